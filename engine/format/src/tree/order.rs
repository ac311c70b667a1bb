//! The order of paths in a tree, and which paths there can be.

use std::cmp::Ordering;

/// Longest path, in bytes. A path of 10 000 levels fits.
pub const PATH_BYTES_MAX: usize = 64 * 1024;

/// Longest part of a path, in bytes: what is accepted as a Kubernetes name, and more than file systems allow.
const NAME_BYTES_MAX: usize = 1024;

/// Why bytes are not a path in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub enum PathFault {
    /// More than [`PATH_BYTES_MAX`] bytes.
    Long,
    /// A part of more than 1024 bytes.
    LongName,
    /// An empty part: absolute, doubled or trailing `/`.
    EmptyName,
    /// `.` or `..`.
    Dots,
    /// A zero byte.
    Nul,
}

impl PathFault {
    /// The fault in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Long => "path longer than 64 KiB",
            Self::LongName => "name longer than 1024 bytes",
            Self::EmptyName => "empty name in a path",
            Self::Dots => "`.` or `..` in a path",
            Self::Nul => "zero byte in a path",
        }
    }
}

/// Whether `path` may stand in a tree: relative, no empty part, no `.` or `..`, no zero byte, no part above 1024
/// bytes, at most [`PATH_BYTES_MAX`] bytes. The empty path is the root and allowed.
pub fn check_path(path: &[u8]) -> Result<(), PathFault> {
    if path.is_empty() { Ok(()) } else { check_path_from(path, 0) }
}

/// [`check_path`] of a path whose parts before the one that holds byte `known` are known to be right.
pub(crate) fn check_path_from(path: &[u8], known: usize) -> Result<(), PathFault> {
    if path.len() > PATH_BYTES_MAX {
        return Err(PathFault::Long);
    }
    let start = path[..known.min(path.len())].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    for name in path[start..].split(|byte| *byte == b'/') {
        match name {
            [] => return Err(PathFault::EmptyName),
            b"." | b".." => return Err(PathFault::Dots),
            _ if name.len() > NAME_BYTES_MAX => return Err(PathFault::LongName),
            _ if name.contains(&0) => return Err(PathFault::Nul),
            _ => {}
        }
    }
    Ok(())
}

/// The order of a tree: depth first, names compared as bytes. That is the order of whole paths when `/` counts as 0.
pub fn path_cmp(a: &[u8], b: &[u8]) -> Ordering {
    let shared = shared_prefix(a, b);
    match (a.get(shared), b.get(shared)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(x), Some(y)) => rank(*x).cmp(&rank(*y)),
    }
}

fn rank(byte: u8) -> u8 {
    if byte == b'/' { 0 } else { byte }
}

/// How many bytes both begin with.
pub(crate) fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = 8;
    let mut at = 0;
    for (x, y) in a.chunks_exact(WORD).zip(b.chunks_exact(WORD)) {
        if x != y {
            break;
        }
        at += WORD;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(x, y)| x == y).count()
}

/// Whether `path` lies inside `dir` at any depth. Everything but the root lies in the root.
pub fn is_below(path: &[u8], dir: &[u8]) -> bool {
    if dir.is_empty() {
        return !path.is_empty();
    }
    path.len() > dir.len() && path.starts_with(dir) && path[dir.len()] == b'/'
}

/// A key just after `path` and all that lies below it: the first entry that is not before it is the next sibling or
/// what follows. Not itself a path to be stored. For the root there is nothing after: None.
pub fn successor(path: &[u8]) -> Option<Vec<u8>> {
    if path.is_empty() {
        return None;
    }
    // What lies below goes on with `/`, which counts as 0; a sibling with the same beginning goes on with 1 or more.
    let mut key = Vec::with_capacity(path.len() + 1);
    key.extend_from_slice(path);
    key.push(1);
    Some(key)
}
