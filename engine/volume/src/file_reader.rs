//! One file that is read: its bytes, where it has data and holes, and whether it held still.

use std::os::fd::{AsFd, OwnedFd};

use firn_format::tree::{Meta, Xattr};
use rustix::fs::{Advice, SeekFrom, Statx};
use rustix::io::Errno;

use crate::beneath::{read_full, stat_fd};
use crate::error::VolumeError;
use crate::source::xattr_exception;
use crate::walk::meta_of;
use crate::xattr::Object;

/// From this size on the kernel is told that the file is read from front to back; for smaller ones the call costs more
/// than it brings.
const SEQUENTIAL_BYTES_MIN: u64 = 1 << 20;

/// `stx_blocks` counts in these.
const BLOCK_BYTES: u64 = 512;

/// An open file of a volume. May be read by several threads at once.
#[derive(Debug)]
pub struct FileReader {
    fd: OwnedFd,
    before: Statx,
    path: Vec<u8>,
}

/// Whether a file was the same from the first byte read to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stillness {
    /// Size, mtime, ctime and inode are what they were.
    Unchanged,
    /// Somebody wrote: the bytes read may be torn, and the entry is an exception.
    Changed,
}

/// A run of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes, at least 1.
    pub len: u64,
    /// Whether it is a hole: zeros that take no space.
    pub hole: bool,
}

impl FileReader {
    pub(crate) fn new(fd: OwnedFd, before: Statx, path: Vec<u8>) -> Self {
        if before.stx_size >= SEQUENTIAL_BYTES_MIN {
            // Advice only: a file system that has no use for it loses nothing.
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Sequential);
        }
        Self { fd, before, path }
    }

    /// Bytes in the file when it was opened.
    pub fn size(&self) -> u64 {
        self.before.stx_size
    }

    /// Metadata when it was opened: what belongs to the bytes that are read, even if the walk saw an older state.
    pub fn meta(&self) -> Meta {
        meta_of(&self.before)
    }

    /// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes. Fewer than up to
    /// [`FileReader::size`] means that the file shrank.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, VolumeError> {
        read_full(&self.fd, buffer, offset).map_err(|errno| VolumeError::reading("read", &self.path, errno))
    }

    /// Data and holes from front to back, covering [`FileReader::size`] bytes without gaps. Costs two system calls a
    /// run, and none for a file without holes.
    pub fn extents(&self) -> Extents<'_> {
        let dense = self.before.stx_blocks.saturating_mul(BLOCK_BYTES) >= self.before.stx_size;
        Extents { reader: self, at: 0, data_until: if dense { self.before.stx_size } else { 0 } }
    }

    /// The extended attributes, sorted by name.
    pub fn xattrs(&self) -> Result<Vec<Xattr>, VolumeError> {
        Object::Open(self.fd.as_fd()).read().map_err(|error| xattr_exception(&self.path, error))
    }

    /// Whether the file held still since it was opened. Call it after the last byte was read.
    pub fn finish(self) -> Result<Stillness, VolumeError> {
        let after = stat_fd(self.fd.as_fd()).map_err(|errno| VolumeError::reading("stat", &self.path, errno))?;
        let same = stamp(&after) == stamp(&self.before);
        Ok(if same { Stillness::Unchanged } else { Stillness::Changed })
    }
}

/// What changes when a file is written.
fn stamp(stat: &Statx) -> (u64, i64, u32, i64, u32) {
    (stat.stx_size, stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec, stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec)
}

/// Runs of data and holes; ends after the first error.
#[derive(Debug)]
pub struct Extents<'a> {
    reader: &'a FileReader,
    at: u64,
    data_until: u64,
}

impl Extents<'_> {
    /// The run that begins at `self.at`, which is before the end.
    fn run(&mut self) -> Result<Extent, Errno> {
        let (offset, size) = (self.at, self.reader.size());
        if self.data_until <= offset {
            let fd = &self.reader.fd;
            let data = match rustix::fs::seek(fd, SeekFrom::Data(offset)) {
                Ok(data) => data.min(size),
                // Nothing but a hole up to the end, wherever the end is by now.
                Err(Errno::NXIO) => size,
                // A file system that knows no holes.
                Err(Errno::INVAL | Errno::NOTSUP) => {
                    self.data_until = size;
                    offset
                }
                Err(errno) => return Err(errno),
            };
            if data > offset {
                self.at = data;
                return Ok(Extent { offset, len: data - offset, hole: true });
            }
            if self.data_until <= offset {
                self.data_until = match rustix::fs::seek(fd, SeekFrom::Hole(offset)) {
                    // A file that is punched or cut while it is read may answer anything; go on by one byte at least.
                    Ok(hole) => hole.clamp(offset + 1, size),
                    Err(Errno::NXIO) => size,
                    Err(errno) => return Err(errno),
                };
            }
        }
        self.at = self.data_until;
        Ok(Extent { offset, len: self.data_until - offset, hole: false })
    }
}

impl Iterator for Extents<'_> {
    type Item = Result<Extent, VolumeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.reader.size() {
            return None;
        }
        let run = self.run();
        if run.is_err() {
            self.at = u64::MAX;
        }
        Some(run.map_err(|errno| VolumeError::reading("find holes in", &self.reader.path, errno)))
    }
}
