//! Objects of a point, each with its canonical JSON.

use std::collections::HashMap;
use std::sync::Arc;

use firn_format::object::{OBJECTS_ROOT, ObjectKey};
use firn_format::tree::{Entry, EntryKind, Piece};
use firn_format::{BlobId, FormatError};
use firn_repo::{Reader, RepoError};
use parking_lot::Mutex;

use crate::error::AgentError;
use crate::restore::entries;

/// Entries whose texts are fetched together: enough that a namespace's bundles are read once, and at a few kilobytes each
/// no more than some 100 MiB.
const BATCH: usize = 16_384;

/// Hands every object at and below `below` (a path within the mount, such as `apps`) to `each`.
///
/// # Errors
/// The first object that cannot be read ends it: a restore from half a list would look whole.
pub fn read_objects(
    reader: &Arc<Reader>,
    root: BlobId,
    below: &str,
    threads: usize,
    mut each: impl FnMut(ObjectKey, Vec<u8>) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    let mut batch = Vec::new();
    entries::each(reader, root, below.as_bytes(), |entry| {
        if entry.kind == EntryKind::Object {
            batch.push(entry.clone());
        }
        if batch.len() >= BATCH {
            flush(reader, &mut batch, threads, &mut each)?;
        }
        Ok(())
    })?;
    flush(reader, &mut batch, threads, &mut each)
}

fn flush(
    reader: &Reader,
    batch: &mut Vec<Entry>,
    threads: usize,
    each: &mut impl FnMut(ObjectKey, Vec<u8>) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    let ids = batch.iter().flat_map(|entry| &entry.content).filter_map(|piece| match piece {
        Piece::Chunk { id, .. } | Piece::Slice { id, .. } => Some(*id),
        Piece::Hole { .. } | Piece::Map { .. } => None,
    });
    let blobs = Mutex::new(HashMap::new());
    reader.fetch(ids, threads, &|id, blob| {
        blobs.lock().insert(*id, blob?);
        Ok::<_, RepoError>(())
    })?;
    let blobs = blobs.into_inner();
    for entry in batch.drain(..) {
        let path = format!("{OBJECTS_ROOT}/{}", String::from_utf8_lossy(&entry.path));
        let broken = |detail: &str| RepoError::Format(FormatError::damaged(path.clone(), detail));
        let key = ObjectKey::from_path(&path).map_err(|error| broken(error.fault))?;
        let mut text = Vec::with_capacity(entry.size as usize);
        for piece in &entry.content {
            let slice = match piece {
                Piece::Chunk { id, .. } => blobs.get(id).map(Vec::as_slice),
                Piece::Slice { id, offset, len } => {
                    let from = *offset as usize;
                    blobs.get(id).and_then(|blob| blob.get(from..from + *len as usize))
                }
                Piece::Hole { .. } | Piece::Map { .. } => None,
            };
            text.extend_from_slice(slice.ok_or_else(|| broken("its text is not where its entry says"))?);
        }
        each(key, text)?;
    }
    Ok(())
}
