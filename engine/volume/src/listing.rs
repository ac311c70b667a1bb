//! The names of one directory, sorted, in one piece of memory.

use std::os::fd::BorrowedFd;

use rustix::fs::RawDir;
use rustix::io::Errno;

/// Bytes of directory entries asked of the kernel at once: enough for about 2 000 names, small enough for the cache.
const BUFFER_BYTES: usize = 64 << 10;

/// What one name costs beside its own bytes.
const SPAN_BYTES: usize = size_of::<Span>();

/// Sorted names, handed out one by one.
#[derive(Debug, Default)]
pub(crate) struct Names {
    arena: Vec<u8>,
    spans: Vec<Span>,
    next: usize,
}

/// A name in the arena, with its first eight bytes for fast comparison.
#[derive(Debug, Clone, Copy)]
struct Span {
    head: u64,
    start: u32,
    len: u16,
}

/// Why a directory could not be listed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListError {
    /// It has more names than the memory that is left for them.
    TooMany,
    /// The system refused.
    Errno(Errno),
}

impl Names {
    /// Reads all names of `dir` but `.` and `..`, using at most `bytes_max` of memory.
    pub(crate) fn read(dir: BorrowedFd<'_>, buffer: &mut Vec<u8>, bytes_max: usize) -> Result<Self, ListError> {
        buffer.clear();
        buffer.reserve(BUFFER_BYTES);
        let mut names = Self::default();
        let mut raw = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(entry) = raw.next() {
            let entry = entry.map_err(ListError::Errno)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || name.is_empty() {
                continue;
            }
            if names.bytes() + name.len() + SPAN_BYTES > bytes_max {
                return Err(ListError::TooMany);
            }
            names.push(name)?;
        }
        let Self { arena, spans, .. } = &mut names;
        spans.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| a.name(arena).cmp(b.name(arena))));
        Ok(names)
    }

    fn push(&mut self, name: &[u8]) -> Result<(), ListError> {
        let start = u32::try_from(self.arena.len()).map_err(|_| ListError::TooMany)?;
        let len = u16::try_from(name.len()).map_err(|_| ListError::Errno(Errno::NAMETOOLONG))?;
        self.arena.extend_from_slice(name);
        self.spans.push(Span { head: head(name), start, len });
        Ok(())
    }

    /// The next name in order of bytes.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let span = self.spans.get(self.next)?;
        self.next += 1;
        Some(span.name(&self.arena))
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.len() + self.spans.len() * SPAN_BYTES
    }

    /// Gives up the names that are left.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Span {
    fn name<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start as usize..self.start as usize + usize::from(self.len)]
    }
}

/// The first eight bytes as a number that compares as they do. Shorter names are filled with zeros, which no name has.
fn head(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = name.len().min(8);
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn names_come_in_order_of_bytes_and_within_the_memory_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let mut expected: Vec<String> = (0..3000).map(|i| format!("prefix-{:x}", i * 7919 % 3000)).collect();
        expected.extend(["a".into(), "a!".into(), "prefix-".into(), "ÿ".into()]);
        for name in &expected {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        expected.sort();
        let fd = std::fs::File::open(dir.path()).unwrap();
        let mut names = Names::read(fd.as_fd(), &mut Vec::new(), 1 << 20).unwrap();
        let mut found = Vec::new();
        while let Some(name) = names.next() {
            found.push(String::from_utf8(name.to_vec()).unwrap());
        }
        assert_eq!(found, expected);
        let fd = std::fs::File::open(dir.path()).unwrap();
        assert_eq!(Names::read(fd.as_fd(), &mut Vec::new(), 1000).unwrap_err(), ListError::TooMany);
    }
}
