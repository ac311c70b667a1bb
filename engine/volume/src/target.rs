//! A directory that is restored into: made, filled and left without ever following what stands in it.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use firn_format::tree::{Entry, EntryKind};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx};
use rustix::io::Errno;

use crate::beneath::{Beneath, device_number, identity, open_at, path_fault, split_name, stat_at, stat_fd};
use crate::closing::Closing;
use crate::error::VolumeError;
use crate::exception::{Exception, Reason};
use crate::file_writer::FileWriter;
use crate::metadata::{Applier, SET_ID};
use crate::privileges::{CAPABILITY, LeftOut, Privileges};
use crate::standing_file::StandingFile;
use crate::xattr::Object;

/// Directories kept open: files come in tree order, or pack by pack from a few directories at a time.
const CACHED_DIRECTORIES_MAX: usize = 32;

/// How often something may appear again where it was just removed. Whoever plants faster than this wants to stop the
/// restore of this entry, and gets an exception.
pub(crate) const PLANTED_MAX: u32 = 64;

/// The target of a restore. Cheap to clone, may be used by several threads; every clone works through one descriptor.
///
/// # Order
/// First [`Target::directory`] and [`Target::file`] (or [`Target::update`]) for all directories and files, parents
/// first, contents in any order; then one pass of all entries in tree order through [`Target::close`], which makes
/// links and special files and finishes directories; then [`Target::finish`]. All of it may be done again after an
/// interruption: what stands there already is kept or replaced.
#[derive(Debug, Clone)]
pub struct Target {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    beneath: Beneath,
    applier: Applier,
    directories: Mutex<Vec<(Vec<u8>, Arc<OwnedFd>)>>,
}

/// How what stands in the target compares with an entry, judged without reading content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Kind, size, mtime, mode and (for root) owner agree; link texts and device numbers too. Says nothing of a file's
    /// bytes and attributes: see [`Target::standing_file`].
    Same,
    /// Something else stands there, or an older or half-written state.
    Different,
    /// Nothing stands there.
    Absent,
}

impl Target {
    /// Makes `dir` if needed and opens it; links in `dir` itself are followed, once, here. Fails with
    /// [`VolumeError::NoOpenat2`] where safe opens are not to be had.
    pub fn create(dir: &Path, privileges: Privileges) -> Result<Self, VolumeError> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| VolumeError::Io {
            operation: "create directory",
            path: dir.to_string_lossy().into_owned(),
            source,
        })?;
        let applier =
            Applier { privileges, is_root: rustix::process::geteuid().is_root(), left_out: LeftOut::default() };
        let inner = Inner { beneath: Beneath::open(dir)?, applier, directories: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether `bytes` of content in `entries` new inodes have room, blocks and inodes both. Fails with
    /// [`VolumeError::NoRoom`], which says how much is missing.
    pub fn room(&self, bytes: u64, entries: u64) -> Result<(), VolumeError> {
        let fs = rustix::fs::fstatvfs(self.inner.beneath.root())
            .map_err(|errno| VolumeError::io("ask the free space of", b"", errno))?;
        let is_root = self.inner.applier.is_root;
        let (blocks, inodes) = if is_root { (fs.f_bfree, fs.f_ffree) } else { (fs.f_bavail, fs.f_favail) };
        let bytes_missing = bytes.saturating_sub(blocks.saturating_mul(fs.f_frsize));
        // A file system that makes inodes as it needs them says that it has none.
        let entries_missing = if fs.f_files == 0 { 0 } else { entries.saturating_sub(inodes) };
        if bytes_missing > 0 || entries_missing > 0 {
            return Err(VolumeError::NoRoom { bytes_missing, entries_missing });
        }
        Ok(())
    }

    /// Compares what stands at the entry's path with it.
    pub fn compare(&self, entry: &Entry) -> Result<Standing, VolumeError> {
        match self.stat(&entry.path) {
            Ok(Some(stat)) => Ok(if self.agrees(entry, &stat)? { Standing::Same } else { Standing::Different }),
            Ok(None) => Ok(Standing::Absent),
            Err(VolumeError::Entry(exception)) if exception.reason == Reason::NoParent => Ok(Standing::Absent),
            Err(error) => Err(error),
        }
    }

    /// The file that stands at the entry's path, for its bytes to be compared. `None` unless it is [`Standing::Same`] and has
    /// the extended attributes that a restore would give it; also if it may not be read.
    pub fn standing_file(&self, entry: &Entry) -> Result<Option<StandingFile>, VolumeError> {
        let (dir, name) = self.parent_of_entry(&entry.path)?;
        let Ok(fd) = open_at(dir.as_fd(), name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) else {
            return Ok(None);
        };
        let stat = stat_fd(fd.as_fd()).map_err(|errno| VolumeError::writing("stat", &entry.path, errno))?;
        let is_right = self.agrees(entry, &stat)? && self.applier().has_xattrs(Object::Open(fd.as_fd()), entry);
        Ok(is_right.then(|| StandingFile::new(fd, entry.path.clone())))
    }

    /// Makes the directory, empty and for its maker alone; one that stands there is kept. Its metadata comes when the
    /// closing pass leaves it.
    pub fn directory(&self, entry: &Entry) -> Result<(), VolumeError> {
        if entry.path.is_empty() {
            return Ok(());
        }
        let (dir, name) = self.parent(&entry.path)?;
        for _ in 0..PLANTED_MAX {
            match rustix::fs::mkdirat(&dir, name, Mode::RWXU) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(VolumeError::writing("make directory", &entry.path, errno)),
            }
            match stat_at(dir.as_fd(), name) {
                Ok(stat) if kind_of(&stat) == Some(EntryKind::Directory) => return self.keep_directory(entry, &stat),
                Ok(_) => self.clear_way(&dir, name, &entry.path)?,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(VolumeError::writing("stat", &entry.path, errno)),
            }
        }
        Err(planted(&entry.path))
    }

    /// Makes the file anew, empty; whatever stood there and is no directory with something in it is unlinked first.
    pub fn file(&self, entry: &Entry) -> Result<FileWriter, VolumeError> {
        let (dir, name) = self.parent_of_entry(&entry.path)?;
        for _ in 0..PLANTED_MAX {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            match open_at(dir.as_fd(), name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => return Ok(FileWriter::new(self.clone(), fd, entry, 0)),
                Err(Errno::EXIST | Errno::LOOP) => self.clear_way(&dir, name, &entry.path)?,
                Err(errno) => return Err(VolumeError::writing("create", &entry.path, errno)),
            }
        }
        Err(planted(&entry.path))
    }

    /// Opens the file that stands there, to be compared and overwritten in place; [`FileWriter::existing_bytes`] says
    /// how much of it there is. Falls back to [`Target::file`] where that would not be safe: another kind, a file with
    /// several names, one of a stranger, or one that is to become set-id or gain capabilities while somebody may still
    /// hold it open for writing.
    pub fn update(&self, entry: &Entry) -> Result<FileWriter, VolumeError> {
        let (dir, name) = self.parent_of_entry(&entry.path)?;
        let powerful = entry.meta.mode & SET_ID != 0 || entry.xattrs.iter().any(|xattr| xattr.name == CAPABILITY);
        if powerful {
            return self.file(entry);
        }
        let Ok(fd) = open_at(dir.as_fd(), name, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()) else {
            return self.file(entry);
        };
        let stat = stat_fd(fd.as_fd()).map_err(|errno| VolumeError::writing("stat", &entry.path, errno))?;
        let ours = [entry.meta.uid, rustix::process::geteuid().as_raw()].contains(&stat.stx_uid);
        if kind_of(&stat) != Some(EntryKind::File) || stat.stx_nlink != 1 || !ours {
            return self.file(entry);
        }
        if stat.stx_size > entry.size {
            rustix::fs::ftruncate(&fd, entry.size).map_err(|errno| VolumeError::writing("cut", &entry.path, errno))?;
        }
        Ok(FileWriter::new(self.clone(), fd, entry, stat.stx_size.min(entry.size)))
    }

    /// Begins the pass that comes after all directories and files.
    pub fn close(&self) -> Closing {
        Closing::new(self.clone())
    }

    /// Brings everything that was written so far to disk.
    pub fn sync(&self) -> Result<(), VolumeError> {
        rustix::fs::syncfs(self.inner.beneath.root()).map_err(|errno| match errno {
            Errno::NOSPC | Errno::DQUOT => VolumeError::full(b"", None, errno),
            errno => VolumeError::io("sync", b"", errno),
        })
    }

    /// Brings everything to disk and returns what was left out so often that it was only counted. An error means that
    /// the restored data may not be on disk.
    pub fn finish(&self) -> Result<Vec<Exception>, VolumeError> {
        self.sync()?;
        Ok(self.inner.applier.left_out.take())
    }

    pub(crate) fn applier(&self) -> &Applier {
        &self.inner.applier
    }

    pub(crate) fn beneath(&self) -> &Beneath {
        &self.inner.beneath
    }

    /// The open directory that holds `path`, and the last name. `path` is checked here, before anything is opened.
    pub(crate) fn parent<'p>(&self, path: &'p [u8]) -> Result<(Arc<OwnedFd>, &'p [u8]), VolumeError> {
        if let Some(fault) = path_fault(path) {
            return Err(VolumeError::entry(path, Reason::Name, fault));
        }
        let (dir_path, name) = split_name(path);
        if let Some(dir) = self.cached(dir_path) {
            return Ok((dir, name));
        }
        let dir = self.inner.beneath.open_dir(dir_path);
        let dir = Arc::new(dir.map_err(|errno| VolumeError::writing("open the directory of", path, errno))?);
        let mut cache = self.inner.directories.lock();
        cache.truncate(CACHED_DIRECTORIES_MAX - 1);
        cache.insert(0, (dir_path.to_vec(), Arc::clone(&dir)));
        Ok((dir, name))
    }

    fn parent_of_entry<'p>(&self, path: &'p [u8]) -> Result<(Arc<OwnedFd>, &'p [u8]), VolumeError> {
        if path.is_empty() {
            return Err(VolumeError::entry(path, Reason::Name, "the root of a volume is a directory"));
        }
        self.parent(path)
    }

    fn cached(&self, dir_path: &[u8]) -> Option<Arc<OwnedFd>> {
        let mut cache = self.inner.directories.lock();
        let at = cache.iter().position(|(path, _)| path == dir_path)?;
        cache[..=at].rotate_right(1);
        cache.first().map(|(_, dir)| Arc::clone(dir))
    }

    /// Unlinks whatever stands at `name`. A directory goes only when it is empty: what is in it is nobody's to lose.
    pub(crate) fn clear_way(&self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(), VolumeError> {
        let error = match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
                Err(errno) => errno,
            },
            Err(errno) => errno,
        };
        Err(VolumeError::writing("clear the way for", path, error))
    }

    /// An ordinary user must be able to enter what an earlier run left closed.
    fn keep_directory(&self, entry: &Entry, stat: &Statx) -> Result<(), VolumeError> {
        let open = u32::from(stat.stx_mode) & 0o700 == 0o700;
        if !open && !self.inner.applier.is_root {
            let fd = self.beneath().open_dir(&entry.path);
            fd.and_then(|fd| rustix::fs::fchmod(fd, Mode::RWXU))
                .map_err(|errno| VolumeError::writing("enter directory", &entry.path, errno))?;
        }
        Ok(())
    }

    fn stat(&self, path: &[u8]) -> Result<Option<Statx>, VolumeError> {
        let (dir, name) = self.parent(path)?;
        let result = if name.is_empty() { stat_fd(dir.as_fd()) } else { stat_at(dir.as_fd(), name) };
        match result {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(VolumeError::writing("stat", path, errno)),
        }
    }

    fn agrees(&self, entry: &Entry, stat: &Statx) -> Result<bool, VolumeError> {
        if entry.kind == EntryKind::HardLink {
            let first = self.stat(&entry.target)?;
            return Ok(first.is_some_and(|first| identity(&first) == identity(stat)));
        }
        let applier = self.applier();
        let meta = &entry.meta;
        let same = kind_of(stat) == Some(entry.kind)
            && (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec) == (meta.mtime_s, meta.mtime_ns)
            && (entry.kind == EntryKind::Symlink || u32::from(stat.stx_mode) & 0o7777 == applier.mode(entry))
            && (!applier.is_root || (stat.stx_uid, stat.stx_gid) == (meta.uid, meta.gid));
        Ok(same
            && match entry.kind {
                EntryKind::File => stat.stx_size == entry.size,
                EntryKind::CharDevice | EntryKind::BlockDevice => device_number(stat) == entry.device,
                EntryKind::Symlink => {
                    let (dir, name) = self.parent(&entry.path)?;
                    rustix::fs::readlinkat(&dir, name, Vec::new()).is_ok_and(|text| text.as_bytes() == entry.target)
                }
                _ => true,
            })
    }
}

/// The kind of entry that a file of this type is; sockets have none to be restored as.
pub(crate) fn kind_of(stat: &Statx) -> Option<EntryKind> {
    Some(match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        FileType::Fifo => EntryKind::Fifo,
        FileType::CharacterDevice => EntryKind::CharDevice,
        FileType::BlockDevice => EntryKind::BlockDevice,
        FileType::Socket | FileType::Unknown => return None,
    })
}

/// Somebody puts things in the way as fast as they are removed.
pub(crate) fn planted(path: &[u8]) -> VolumeError {
    VolumeError::entry(path, Reason::Hostile, "something appears there again as often as it is removed")
}
