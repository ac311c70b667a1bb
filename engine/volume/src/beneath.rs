//! The one way anything in a volume is opened: below a directory that was opened once, following nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use firn_format::tree::check_path;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;

use crate::error::VolumeError;

/// Rules of every open: stay below, follow no link, cross no mount.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// The kernel answers EAGAIN when a rename raced with the lookup. Somebody who renames all the time must not hold us
/// for ever; each try alone succeeds far more often than not.
const RACES_MAX: u32 = 128;

/// The kernel takes at most 4096 bytes of path with the final zero; longer ones are walked in parts.
const PART_BYTES_MAX: usize = 4095;

/// Depth of a tree: as deep as paths of 64 KiB get in earnest, and a bound for whoever recurses over it.
pub const DEPTH_MAX: usize = 4096;

/// A directory that was opened once, and the only handle through which anything below it is reached.
#[derive(Debug)]
pub(crate) struct Beneath {
    root: OwnedFd,
}

impl Beneath {
    /// Opens `root`, which the operator named: links in it are followed, once, here. Fails where `openat2` does not work.
    pub(crate) fn open(root: &Path) -> Result<Self, VolumeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let name = root.as_os_str().as_encoded_bytes();
        let fd = rustix::fs::openat(CWD, root, flags, Mode::empty())
            .map_err(|errno| VolumeError::io("open directory", name, errno))?;
        match open_at(fd.as_fd(), b".", flags, Mode::empty()) {
            Ok(_) => Ok(Self { root: fd }),
            Err(Errno::NOSYS) => Err(VolumeError::NoOpenat2),
            Err(errno) => Err(VolumeError::io("open with openat2", name, errno)),
        }
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what stands at `path` (parts joined by `/`, empty for the root).
    pub(crate) fn open_path(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut rest = path;
        let mut at: Option<OwnedFd> = None;
        while rest.len() > PART_BYTES_MAX {
            let border = rest[..=PART_BYTES_MAX].iter().rposition(|&b| b == b'/').ok_or(Errno::NAMETOOLONG)?;
            let dir = at.as_ref().map_or(self.root.as_fd(), |fd| fd.as_fd());
            let through = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            at = Some(open_at(dir, &rest[..border], through, Mode::empty())?);
            rest = &rest[border + 1..];
        }
        let dir = at.as_ref().map_or(self.root.as_fd(), |fd| fd.as_fd());
        open_at(dir, if rest.is_empty() { b"." } else { rest }, flags, Mode::empty())
    }

    /// Opens the directory at `path` for listing and for its metadata.
    pub(crate) fn open_dir(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        open_quietly(|flags| self.open_path(path, flags), OFlags::RDONLY | OFlags::DIRECTORY)
    }
}

/// `openat2` with the rules of this module; `name` may have several parts. Never follows a link at its end.
pub(crate) fn open_at(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..RACES_MAX {
        match rustix::fs::openat2(dir, name, flags, mode, RESOLVE) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens for reading without leaving a trace in the access time where that is allowed.
pub(crate) fn open_quietly(open: impl Fn(OFlags) -> Result<OwnedFd, Errno>, flags: OFlags) -> Result<OwnedFd, Errno> {
    match open(flags | OFlags::NOATIME) {
        // Only owners may ask for it.
        Err(Errno::PERM) => open(flags),
        result => result,
    }
}

/// What stands behind an open file.
pub(crate) fn stat_fd(fd: BorrowedFd<'_>) -> Result<Statx, Errno> {
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

/// What `name` in `dir` is, without following it and without starting an automount.
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS)
}

/// Device and inode number: which object this is.
pub(crate) fn identity(stat: &Statx) -> (u64, u64) {
    (u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor), stat.stx_ino)
}

/// Device number of a device node as the format writes it: major << 32 | minor.
pub(crate) fn device_number(stat: &Statx) -> u64 {
    u64::from(stat.stx_rdev_major) << 32 | u64::from(stat.stx_rdev_minor)
}

/// Why `path` cannot be restored below a root, if it cannot: a fault of the format, or too many levels.
pub(crate) fn path_fault(path: &[u8]) -> Option<String> {
    if let Err(fault) = check_path(path) {
        return Some(fault.to_string());
    }
    (depth(path) > DEPTH_MAX).then(|| format!("more than {DEPTH_MAX} levels"))
}

/// Levels below the root.
pub(crate) fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { 1 + path.iter().filter(|&&b| b == b'/').count() }
}

/// Splits into the directory's path and the last name. The root has no name.
pub(crate) fn split_name(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Reads at `offset` until `buffer` is full or the file ends; returns how many bytes.
pub(crate) fn read_full(fd: impl AsFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(&fd, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_cannot_be() {
        for bad in [&b"/a"[..], b"a/", b"a//b", b".", b"..", b"a/../b", b"a\0b", b"a/./b", &[b'x'; 1025], &[b'/'; 3]] {
            assert!(path_fault(bad).is_some(), "{}", String::from_utf8_lossy(bad));
        }
        for good in [&b""[..], b"a", b"a/b", b"...", b"..a", b"\xff\xfe/\n", &[b'x'; 1024]] {
            assert_eq!(path_fault(good), None);
        }
        assert_eq!((depth(b""), depth(b"a"), depth(b"a/b")), (0, 1, 2));
        assert!(path_fault(&vec![&b"d"[..]; DEPTH_MAX + 1].join(&b"/"[..])).is_some());
        assert_eq!(path_fault(&vec![&b"d"[..]; DEPTH_MAX].join(&b"/"[..])), None);
    }
}
