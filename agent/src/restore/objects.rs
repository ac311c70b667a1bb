//! Objects of a point, each with its canonical JSON.

use std::collections::HashMap;
use std::sync::Arc;

use firn_format::object::{OBJECTS_ROOT, ObjectKey};
use firn_format::tree::{Entry, EntryKind, Piece};
use firn_format::{BlobId, FormatError};
use firn_repo::{Class, Reader, RepoError};
use parking_lot::Mutex;

use crate::error::AgentError;
use crate::restore::entries;

/// Entries whose texts are fetched together: enough that a namespace's bundles are read once.
const BATCH: usize = 16_384;

/// Bytes of text in one batch, which is what it holds in memory. One object more, at most 8 MiB, may go beyond.
const BYTES_MAX: u64 = 64 << 20;

/// An object's text, or why the repository no longer has it whole.
pub type ObjectText = Result<Vec<u8>, String>;

/// Hands every object at and below `below` (a path within the mount, such as `apps`) to `each`, damaged ones too: whoever
/// leaves those out must name them, since a restore from half a list would look whole.
///
/// # Errors
/// What `each` returns, what is wrong with the list itself, and a store that does not answer. `NoSuchPath` if there is nothing
/// at `below`.
pub fn read_objects(
    reader: &Arc<Reader>,
    root: BlobId,
    below: &str,
    threads: usize,
    mut each: impl FnMut(ObjectKey, ObjectText) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    entries::must_exist(reader, root, below.as_bytes())?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    entries::each(reader, root, below.as_bytes(), |entry| {
        if entry.kind == EntryKind::Object {
            bytes = entry.size.saturating_add(bytes);
            batch.push(entry.clone());
        }
        if batch.len() >= BATCH || bytes >= BYTES_MAX {
            bytes = 0;
            flush(reader, std::mem::take(&mut batch), threads, &mut each)?;
        }
        Ok(())
    })?;
    flush(reader, batch, threads, &mut each)
}

fn flush(
    reader: &Reader,
    batch: Vec<Entry>,
    threads: usize,
    each: &mut impl FnMut(ObjectKey, ObjectText) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    let mut wanted: HashMap<BlobId, Vec<usize>> = HashMap::new();
    for (number, entry) in batch.iter().enumerate() {
        if let [Piece::Chunk { id, .. } | Piece::Slice { id, .. }] = entry.content[..] {
            wanted.entry(id).or_default().push(number);
        }
    }
    // Only the texts are kept: a bundle may be longer than all that is wanted of it.
    let texts = Mutex::new(vec![None; batch.len()]);
    reader.fetch(wanted.keys().copied(), threads, &|id, blob| {
        let blob = match blob {
            Err(error) if error.class() != Class::Damaged => return Err(error),
            other => other.map_err(|error| error.to_string()),
        };
        for number in wanted.get(id).into_iter().flatten() {
            let Some(entry) = batch.get(*number) else { continue };
            let text = blob.as_ref().map_err(String::clone).map(|blob| text(entry, blob).map(<[u8]>::to_vec));
            if let Some(place) = texts.lock().get_mut(*number) {
                *place = text.transpose();
            }
        }
        Ok::<_, RepoError>(())
    })?;
    for (entry, text) in batch.into_iter().zip(texts.into_inner()) {
        let path = format!("{OBJECTS_ROOT}/{}", String::from_utf8_lossy(&entry.path));
        let key = ObjectKey::from_path(&path);
        let key = key.map_err(|error| RepoError::Format(FormatError::damaged(path, error.fault)))?;
        let text = text.or_else(|| entry.content.is_empty().then(|| Ok(Vec::new())));
        each(key, text.unwrap_or_else(|| Err("its text is not where its entry says".to_owned())))?;
    }
    Ok(())
}

/// The text of an object, out of the blob that its one piece names.
fn text<'b>(entry: &Entry, blob: &'b [u8]) -> Option<&'b [u8]> {
    match entry.content[..] {
        [Piece::Chunk { len, .. }] if len as usize == blob.len() => Some(blob),
        [Piece::Slice { offset, len, .. }] => blob.get(offset as usize..)?.get(..len as usize),
        _ => None,
    }
}
