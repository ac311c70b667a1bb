//! A volume that is read: its root, and how single entries are opened once the walk has found them.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use firn_format::tree::{EntryKind, Xattr};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::beneath::{Beneath, identity, open_quietly, stat_fd};
use crate::error::VolumeError;
use crate::exception::Reason;
use crate::file_reader::FileReader;
use crate::walk::{Found, Walker};
use crate::xattr::{Object, XattrError};

/// File systems in memory (tmpfs, ramfs): nothing is ever written to disk, so a page that is mapped stays writable, and what is
/// written to it gives the file no new time.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A directory that is captured. Cheap to clone; every clone reads through the same descriptor.
#[derive(Debug, Clone)]
pub struct Source {
    beneath: Arc<Beneath>,
}

impl Source {
    /// Opens the volume at `root`, following links in `root` itself and none below it. Fails with
    /// [`VolumeError::NoOpenat2`] where safe opens are not to be had.
    pub fn open(root: &Path) -> Result<Self, VolumeError> {
        Ok(Self { beneath: Arc::new(Beneath::open(root)?) })
    }

    /// Brings to disk what was written through memory mappings. The kernel gives a file a new time when a mapped page is
    /// first written, and again only once that page has been to disk: from here on every change shows in the times of its
    /// file. `false` where that is not so, in a file system in memory.
    pub fn flush(&self) -> Result<bool, VolumeError> {
        let root = self.beneath.root();
        let fs = rustix::fs::fstatfs(root).map_err(|errno| VolumeError::io("ask the file system of", b"", errno))?;
        if IN_MEMORY.contains(&(fs.f_type as u64)) {
            return Ok(false);
        }
        rustix::fs::syncfs(root).map_err(|errno| VolumeError::io("sync", b"", errno))?;
        Ok(true)
    }

    /// All entries in tree order, the root first. Several walks may run at once.
    pub fn walk(&self) -> Walker {
        Walker::new(Arc::clone(&self.beneath))
    }

    /// Opens the file that stands where the walk found one. Its metadata may be newer than the walk's, and it may be
    /// another file that was renamed to this name since: see [`FileReader::meta`]. When nothing stands there any more, or
    /// something else than a file, that is an exception: [`Reason::Vanished`] or [`Reason::Changed`].
    ///
    /// Needs one descriptor until the reader is dropped, and no other; a `Found` holds none.
    pub fn open_file(&self, found: &Found) -> Result<FileReader, VolumeError> {
        let path = &found.entry.path;
        // Never waits: a FIFO that was planted after the walk opens at once and is recognised.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = open_quietly(|flags| self.beneath.open_path(path, flags), flags)
            .map_err(|errno| VolumeError::reading("open", path, errno))?;
        let stat = stat_fd(fd.as_fd()).map_err(|errno| VolumeError::reading("stat", path, errno))?;
        if FileType::from_raw_mode(stat.stx_mode.into()) != FileType::RegularFile {
            return Err(VolumeError::entry(path, Reason::Changed, "replaced by something else than a file"));
        }
        Ok(FileReader::new(fd, stat, path.clone()))
    }

    /// The extended attributes of any entry that the walk found, sorted by name. Entries whose ctime and inode equal
    /// the parent's need no call: attributes cannot change without the ctime. For a file that is opened anyway,
    /// [`FileReader::xattrs`] is cheaper.
    pub fn read_xattrs(&self, found: &Found) -> Result<Vec<Xattr>, VolumeError> {
        let path = &found.entry.path;
        let readable = matches!(found.entry.kind, EntryKind::File | EntryKind::Directory);
        let fd = if readable {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            open_quietly(|flags| self.beneath.open_path(path, flags), flags)
        } else {
            self.beneath.open_path(path, OFlags::PATH)
        };
        let fd = fd.map_err(|errno| VolumeError::reading("open", path, errno))?;
        let stat = stat_fd(fd.as_fd()).map_err(|errno| VolumeError::reading("stat", path, errno))?;
        if identity(&stat) != found.identity {
            return Err(VolumeError::entry(path, Reason::Changed, "replaced by something else while it was read"));
        }
        let object = if readable { Object::Open(fd.as_fd()) } else { Object::Held(fd.as_fd()) };
        object.read().map_err(|error| xattr_exception(path, error))
    }
}

/// Attributes that cannot be kept: the entry stays, the exception says what it lacks.
pub(crate) fn xattr_exception(path: &[u8], error: XattrError) -> VolumeError {
    match error {
        XattrError::TooLarge => {
            VolumeError::entry(path, Reason::Xattr, "more extended attributes than an entry may have")
        }
        XattrError::Errno(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
            VolumeError::io("read extended attributes of", path, errno)
        }
        XattrError::Errno(errno) => {
            VolumeError::entry(path, Reason::Xattr, format!("cannot read extended attributes: {errno}"))
        }
    }
}
