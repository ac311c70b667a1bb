//! Listing a folder tree in the order of whole names.

use std::fs::DirEntry;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;

use super::not_a_file;
use crate::Listed;
use crate::name::{NAME_BYTES_MAX, is_segment};

type Each<'a> = &'a mut dyn FnMut(Listed) -> ControlFlow<()>;

/// Hands out every object below `root` whose name begins with `prefix` and is greater than `after`.
///
/// Files that no object name can spell (hidden ones, `lost+found`) are not objects and are passed over. A link or
/// device under a name that an object could have is an error: leaving it out would make the list shorter than the
/// store.
pub(super) fn list(root: &Path, prefix: &str, after: &str, each: Each<'_>) -> io::Result<()> {
    // A missing root is a missing store, not an empty one.
    root.metadata()?;
    let mut name = prefix.to_owned();
    walk(root, &mut name, after, each).map(|_| ())
}

/// Walks the folder `name` (empty, or ending in `/`). Depth is bounded by the length of names.
fn walk(root: &Path, name: &mut String, after: &str, each: Each<'_>) -> io::Result<ControlFlow<()>> {
    let len = name.len();
    for entry in entries(root, name)? {
        name.push_str(&entry.key);
        let flow = if name.len() > NAME_BYTES_MAX {
            // Longer than any object's name.
            ControlFlow::Continue(())
        } else if entry.key.ends_with('/') {
            // All names below begin with this one; they are all too small if it is and `after` is elsewhere.
            if name.as_str() > after || after.starts_with(name.as_str()) {
                walk(root, name, after, each)?
            } else {
                ControlFlow::Continue(())
            }
        } else if name.as_str() > after {
            visit(&root.join(&*name), name, each)?
        } else {
            ControlFlow::Continue(())
        };
        name.truncate(len);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn visit(path: &Path, name: &str, each: Each<'_>) -> io::Result<ControlFlow<()>> {
    let metadata = match path.symlink_metadata() {
        // Deleted since the folder was read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
        other => other?,
    };
    if !metadata.is_file() {
        return Err(not_a_file(path));
    }
    let modified = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(each(Listed { name: name.to_owned(), bytes: metadata.len(), modified }))
}

/// An entry of a folder; folders end in `/`, so that sorting by key sorts by whole name.
struct Entry {
    key: String,
}

fn entries(root: &Path, name: &str) -> io::Result<Vec<Entry>> {
    let folder = match std::fs::read_dir(root.join(name)) {
        // No such folder, or gone since its parent was read: no objects there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut entries = Vec::new();
    for entry in folder {
        if let Some(key) = key(&entry?)? {
            entries.push(Entry { key });
        }
    }
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

fn key(entry: &DirEntry) -> io::Result<Option<String>> {
    let Ok(mut key) = entry.file_name().into_string() else {
        return Ok(None);
    };
    if !is_segment(&key) {
        return Ok(None);
    }
    if entry.file_type()?.is_dir() {
        key.push('/');
    }
    Ok(Some(key))
}
