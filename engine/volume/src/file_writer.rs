//! One file that is written: content at any position from any thread, holes left out, metadata last.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use firn_format::tree::Entry;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::beneath::read_full;
use crate::error::VolumeError;
use crate::exception::{Exception, Reason};
use crate::target::Target;
use crate::xattr::Object;

/// Zeros written at once where a hole cannot be punched.
const ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// An open file of a target. Holds one descriptor.
#[derive(Debug)]
pub struct FileWriter {
    target: Target,
    fd: OwnedFd,
    path: Vec<u8>,
    size: u64,
    existing_bytes: u64,
    /// Where the file ends on disk, as far as this writer made it.
    end: AtomicU64,
}

impl FileWriter {
    pub(crate) fn new(target: Target, fd: OwnedFd, entry: &Entry, existing_bytes: u64) -> Self {
        Self {
            target,
            fd,
            path: entry.path.clone(),
            size: entry.size,
            existing_bytes,
            end: AtomicU64::new(existing_bytes),
        }
    }

    /// How many bytes of an older state stand in the file and may be compared; 0 for a new one. What is right need not
    /// be written, what is to be a hole must be punched.
    pub fn existing_bytes(&self) -> u64 {
        self.existing_bytes
    }

    /// Writes all of `bytes` at `offset`. Several threads may write at once, each its own part.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), VolumeError> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= self.size);
        let Some(end) = end else {
            return Err(VolumeError::entry(&self.path, Reason::Hostile, "more content than the entry has"));
        };
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::pwrite(&self.fd, &bytes[written..], offset + written as u64) {
                Ok(0) => return Err(VolumeError::io("write", &self.path, Errno::IO)),
                Ok(len) => written += len,
                Err(Errno::INTR) => {}
                Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => {
                    return Err(VolumeError::full(&self.path, Some((bytes.len() - written) as u64), errno));
                }
                Err(errno) => return Err(VolumeError::io("write", &self.path, errno)),
            }
        }
        self.end.fetch_max(end, Ordering::Relaxed);
        Ok(())
    }

    /// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes. For comparing an older state
    /// and for verifying what was written.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, VolumeError> {
        read_full(&self.fd, buffer, offset).map_err(|errno| VolumeError::io("read", &self.path, errno))
    }

    /// Makes `len` bytes at `offset` a hole. Costs nothing in a new file: what was never written is a hole already.
    pub fn punch(&self, offset: u64, len: u64) -> Result<(), VolumeError> {
        let end = offset.saturating_add(len).min(self.end.load(Ordering::Relaxed));
        if offset >= end {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.fd, flags, offset, end - offset) {
            Ok(()) => Ok(()),
            Err(Errno::NOTSUP) => self.write_zeros(offset, end),
            Err(errno) => Err(VolumeError::io("punch a hole into", &self.path, errno)),
        }
    }

    fn write_zeros(&self, from: u64, end: u64) -> Result<(), VolumeError> {
        let mut at = from;
        while at < end {
            let len = (end - at).min(ZEROS.len() as u64);
            self.write_at(&ZEROS[..len as usize], at)?;
            at += len;
        }
        Ok(())
    }

    /// Ends the file: its size with the hole at its end, then the metadata of `entry`, times last. All writes must be
    /// over. Returns what could not be set.
    pub fn finish(self, entry: &Entry) -> Result<Vec<Exception>, VolumeError> {
        if self.end.load(Ordering::Relaxed) < self.size {
            rustix::fs::ftruncate(&self.fd, self.size).map_err(|errno| match errno {
                Errno::FBIG | Errno::INVAL => {
                    VolumeError::entry(&self.path, Reason::Unreadable, "larger than this file system allows")
                }
                errno => VolumeError::writing("extend", &self.path, errno),
            })?;
        }
        Ok(self.target.applier().apply(Object::Open(self.fd.as_fd()), entry))
    }
}
