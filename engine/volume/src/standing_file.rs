//! A file that stands in a target and looks right: its bytes are compared, and nothing of it is changed.

use std::os::fd::OwnedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::beneath::read_full;
use crate::error::VolumeError;

/// Bytes compared with zeros at once where a hole should be.
const ZEROS_BYTES: usize = 64 << 10;

/// An open file of a target. Holds one descriptor. Made by [`crate::Target::standing_file`].
#[derive(Debug)]
pub struct StandingFile {
    fd: OwnedFd,
    path: Vec<u8>,
}

impl StandingFile {
    pub(crate) fn new(fd: OwnedFd, path: Vec<u8>) -> Self {
        Self { fd, path }
    }

    /// Whether exactly `bytes` stand at `offset`.
    pub fn has(&self, bytes: &[u8], offset: u64) -> Result<bool, VolumeError> {
        let mut there = vec![0; bytes.len()];
        Ok(self.read_at(&mut there, offset)? == bytes.len() && there == bytes)
    }

    /// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, VolumeError> {
        read_full(&self.fd, buffer, offset).map_err(|errno| self.failed(errno))
    }

    /// Whether `len` bytes at `offset` are zeros. Costs next to nothing where they are a hole.
    pub fn has_zeros(&self, offset: u64, len: u64) -> Result<bool, VolumeError> {
        let (mut at, end) = (offset, offset.saturating_add(len));
        let mut buffer = vec![0; ZEROS_BYTES];
        while at < end {
            match rustix::fs::seek(&self.fd, SeekFrom::Data(at)) {
                Ok(data) => at = data.max(at),
                Err(Errno::NXIO) => return Ok(true),
                // A file system that knows no holes.
                Err(Errno::INVAL | Errno::NOTSUP) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
            let want = end.saturating_sub(at).min(ZEROS_BYTES as u64) as usize;
            let got = self.read_at(&mut buffer[..want], at)?;
            if buffer[..got].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if got < want {
                return Ok(true);
            }
            at += got as u64;
        }
        Ok(true)
    }

    fn failed(&self, errno: Errno) -> VolumeError {
        VolumeError::reading("compare", &self.path, errno)
    }
}
