//! Entries: a tree, or the part of it below a path with the directories that lead there, in order.

use std::sync::Arc;

use firn_format::BlobId;
use firn_format::tree::{Entry, TreeReader, is_below};
use firn_repo::{Nodes, Reader};

use crate::error::AgentError;

/// Hands every entry at and below `below` to `each`, after the directories above it. An empty path means all.
pub(crate) fn each(
    reader: &Arc<Reader>,
    root: BlobId,
    below: &[u8],
    mut each: impl FnMut(&Entry) -> Result<(), AgentError>,
) -> Result<(), AgentError> {
    let mut tree = TreeReader::new(root, Nodes(reader.clone()));
    for above in ancestors(below) {
        // One without an entry is there because of what lies below.
        if let Some(entry) = tree.lookup(above)? {
            each(&entry)?;
        }
    }
    tree.seek(below)?;
    while let Some(entry) = tree.next_entry()? {
        if !below.is_empty() && entry.path != below && !is_below(&entry.path, below) {
            break;
        }
        each(entry)?;
    }
    Ok(())
}

/// Whether there is anything at or below `below`.
///
/// # Errors
/// `NoSuchPath` if not. An empty tree has its root.
pub(crate) fn must_exist(reader: &Arc<Reader>, root: BlobId, below: &[u8]) -> Result<(), AgentError> {
    if below.is_empty() {
        return Ok(());
    }
    let mut tree = TreeReader::new(root, Nodes(reader.clone()));
    tree.seek(below)?;
    match tree.peek()? {
        Some(entry) if entry.path == below || is_below(&entry.path, below) => Ok(()),
        _ => Err(AgentError::NoSuchPath { path: String::from_utf8_lossy(below).into_owned() }),
    }
}

/// The directories that lead to `path`, the root first, without itself.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let root = (!path.is_empty()).then_some(&path[..0]);
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    root.into_iter().chain(slashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_lead_from_the_root() {
        let of =
            |path: &'static str| ancestors(path.as_bytes()).map(|p| String::from_utf8_lossy(p)).collect::<Vec<_>>();
        assert_eq!(of(""), Vec::<String>::new());
        assert_eq!(of("a"), [""]);
        assert_eq!(of("a/b/c"), ["", "a", "a/b"]);
    }
}
