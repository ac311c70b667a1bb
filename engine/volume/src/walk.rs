//! The walk over a volume: every entry once, in tree order, with its metadata and nothing opened but directories.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use firn_format::tree::{Entry, EntryKind, Meta, PATH_BYTES_MAX};
use rustix::fs::{FileType, OFlags, Statx, StatxAttributes};
use rustix::io::Errno;

use crate::beneath::{Beneath, DEPTH_MAX, device_number, identity, open_at, open_quietly, stat_at, stat_fd};
use crate::error::VolumeError;
use crate::exception::{Exception, Reason};
use crate::links::{LinkTable, Name};
use crate::listing::{ListError, Names};

/// Directories kept open at once, the deepest ones; those above are opened again when the walk comes back to them. Far
/// below the 1024 descriptors a process may have, far above the depth of trees in earnest.
const OPEN_DIRECTORIES_MAX: usize = 64;

/// Memory for the names of all directories on the way down. A directory of one million files takes 40 MiB.
const NAMES_BYTES_MAX: usize = 256 << 20;

/// What the walk came to.
#[derive(Debug)]
pub enum Seen {
    /// An entry.
    Found(Found),
    /// Something that is not, or not wholly, in the walk.
    Exception(Exception),
}

/// An entry that the walk found: plain data, no descriptor.
#[derive(Debug, Clone)]
pub struct Found {
    /// Path, kind, metadata, size, target and device number as they were when the walk passed; no content, no extended
    /// attributes. A directory that could not be listed has `flags.unreadable`, and an exception follows it.
    pub entry: Entry,
    /// Space that the content takes on disk, in bytes: less than its size when it has holes.
    pub bytes_on_disk: u64,
    /// How many names of this file the walk may still meet, this one among them; 1 if none will be tied to it.
    pub names: u32,
    /// Device and inode number.
    pub(crate) identity: (u64, u64),
}

/// Streams a volume. Items come in tree order: depth first, names compared as bytes, the root first with an empty path.
/// An `Err` is about the whole volume and ends the walk.
#[derive(Debug)]
pub struct Walker {
    beneath: Arc<Beneath>,
    stack: Vec<Level>,
    path: Vec<u8>,
    links: LinkTable,
    names_bytes: usize,
    buffer: Vec<u8>,
    pending: Option<Exception>,
    started: bool,
    failed: bool,
}

/// A directory on the way down to where the walk is.
#[derive(Debug)]
struct Level {
    /// Its own path is this much of the walk's.
    path_len: usize,
    /// `None` once it was closed for the sake of deeper ones.
    dir: Option<OwnedFd>,
    identity: (u64, u64),
    names: Names,
}

impl Iterator for Walker {
    type Item = Result<Seen, VolumeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if let Some(exception) = self.pending.take() {
            return Some(Ok(Seen::Exception(exception)));
        }
        let step = if self.started { self.step() } else { self.root().map(Some) };
        match step {
            Ok(seen) => seen.map(Ok),
            Err(VolumeError::Entry(exception)) => Some(Ok(Seen::Exception(exception))),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl Walker {
    pub(crate) fn new(beneath: Arc<Beneath>) -> Self {
        Self {
            beneath,
            stack: Vec::new(),
            path: Vec::new(),
            links: LinkTable::default(),
            names_bytes: 0,
            buffer: Vec::new(),
            pending: None,
            started: false,
            failed: false,
        }
    }

    /// The root: if it cannot be read, nothing can.
    fn root(&mut self) -> Result<Seen, VolumeError> {
        self.started = true;
        let fatal = |errno| VolumeError::io("list", b"", errno);
        let dir = self.beneath.open_dir(b"").map_err(fatal)?;
        let stat = stat_fd(dir.as_fd()).map_err(fatal)?;
        let names = Names::read(dir.as_fd(), &mut self.buffer, NAMES_BYTES_MAX).map_err(|error| match error {
            ListError::Errno(errno) => fatal(errno),
            ListError::TooMany => fatal(Errno::FBIG),
        })?;
        self.descend(dir, identity(&stat), names);
        Ok(Seen::Found(self.found(EntryKind::Directory, &stat)))
    }

    /// The next name, on whatever level it is.
    fn step(&mut self) -> Result<Option<Seen>, VolumeError> {
        loop {
            let Some(level) = self.stack.last_mut() else { return Ok(None) };
            self.path.truncate(level.path_len);
            if let Some(name) = level.names.next() {
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                let name_at = self.path.len();
                self.path.extend_from_slice(name);
                return self.visit(name_at).map(Some);
            }
            if let Some(level) = self.stack.pop() {
                self.names_bytes -= level.names.bytes();
            }
        }
    }

    /// What stands at the walk's path, whose last name begins at `name_at`.
    fn visit(&mut self, name_at: usize) -> Result<Seen, VolumeError> {
        self.reopen()?;
        let name = &self.path[name_at..];
        let stat = stat_at(self.here(), name).map_err(|errno| VolumeError::reading("stat", &self.path, errno))?;
        if self.path.len() > PATH_BYTES_MAX {
            return Err(VolumeError::entry(&self.path, Reason::TooDeep, "path longer than 64 KiB"));
        }
        if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Err(VolumeError::entry(&self.path, Reason::OtherFilesystem, "another file system is mounted here"));
        }
        match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => self.directory(name_at, &stat),
            FileType::RegularFile => Ok(self.file(EntryKind::File, &stat)),
            FileType::Fifo => Ok(self.file(EntryKind::Fifo, &stat)),
            FileType::CharacterDevice => Ok(self.file(EntryKind::CharDevice, &stat)),
            FileType::BlockDevice => Ok(self.file(EntryKind::BlockDevice, &stat)),
            FileType::Symlink => self.symlink(name_at, &stat),
            FileType::Socket => Err(VolumeError::entry(&self.path, Reason::Socket, "sockets are not kept")),
            FileType::Unknown => Err(VolumeError::entry(&self.path, Reason::Unreadable, "unknown kind of file")),
        }
    }

    fn directory(&mut self, name_at: usize, stat: &Statx) -> Result<Seen, VolumeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let name = &self.path[name_at..];
        let here = self.here();
        let opened = open_quietly(|flags| open_at(here, name, flags, rustix::fs::Mode::empty()), flags);
        let dir = match opened {
            Ok(dir) => dir,
            Err(errno) => return self.unlisted(stat, VolumeError::reading("open directory", &self.path, errno)),
        };
        let stat = stat_fd(dir.as_fd()).map_err(|errno| VolumeError::reading("stat", &self.path, errno))?;
        if self.stack.len() >= DEPTH_MAX {
            let detail = format!("what is below is deeper than {DEPTH_MAX} levels");
            return self.unlisted(&stat, VolumeError::entry(&self.path, Reason::TooDeep, detail));
        }
        let bytes_max = NAMES_BYTES_MAX - self.names_bytes;
        let error = match Names::read(dir.as_fd(), &mut self.buffer, bytes_max) {
            Ok(names) => {
                self.descend(dir, identity(&stat), names);
                return Ok(Seen::Found(self.found(EntryKind::Directory, &stat)));
            }
            Err(ListError::TooMany) => {
                VolumeError::entry(&self.path, Reason::TooManyNames, "more names than memory is set aside for")
            }
            Err(ListError::Errno(errno)) => VolumeError::reading("list", &self.path, errno),
        };
        self.unlisted(&stat, error)
    }

    /// A directory whose names are not known: itself, then the exception.
    fn unlisted(&mut self, stat: &Statx, error: VolumeError) -> Result<Seen, VolumeError> {
        match error {
            // What was a directory a moment ago is not there, or is another volume's: no entry.
            VolumeError::Entry(exception)
                if !matches!(exception.reason, Reason::Vanished | Reason::OtherFilesystem) =>
            {
                self.pending = Some(exception);
                let mut found = self.found(EntryKind::Directory, stat);
                found.entry.flags.unreadable = true;
                Ok(Seen::Found(found))
            }
            error => Err(error),
        }
    }

    fn symlink(&mut self, name_at: usize, stat: &Statx) -> Result<Seen, VolumeError> {
        let target = rustix::fs::readlinkat(self.here(), &self.path[name_at..], Vec::new())
            .map_err(|errno| VolumeError::reading("read link", &self.path, errno))?;
        let mut seen = self.file(EntryKind::Symlink, stat);
        if let Seen::Found(Found { entry: entry @ Entry { kind: EntryKind::Symlink, .. }, .. }) = &mut seen {
            entry.target = target.into_bytes();
        }
        Ok(seen)
    }

    /// Anything but a directory; a later name of one file is a hard link.
    fn file(&mut self, kind: EntryKind, stat: &Statx) -> Seen {
        let mut found = self.found(kind, stat);
        if stat.stx_nlink > 1 {
            match self.links.note(found.identity, stat.stx_nlink, &self.path) {
                Name::First => found.names = stat.stx_nlink,
                Name::Later { first, names_left } => {
                    found.names = names_left;
                    found.entry.kind = EntryKind::HardLink;
                    found.entry.target = first;
                    found.entry.size = 0;
                    found.entry.device = 0;
                }
                Name::Untracked => {
                    let detail = "too many hard links are open; kept as a file of its own";
                    self.pending = Some(Exception::new(&*self.path, Reason::LinkSplit, detail));
                }
            }
        }
        Seen::Found(found)
    }

    fn found(&self, kind: EntryKind, stat: &Statx) -> Found {
        let mut entry = Entry::new(self.path.clone(), kind);
        entry.meta = meta_of(stat);
        if kind == EntryKind::File {
            entry.size = stat.stx_size;
        }
        if matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            entry.device = device_number(stat);
        }
        Found { entry, bytes_on_disk: stat.stx_blocks.saturating_mul(512), names: 1, identity: identity(stat) }
    }

    fn descend(&mut self, dir: OwnedFd, identity: (u64, u64), names: Names) {
        self.names_bytes += names.bytes();
        self.stack.push(Level { path_len: self.path.len(), dir: Some(dir), identity, names });
        if let Some(above) = self.stack.len().checked_sub(OPEN_DIRECTORIES_MAX + 1) {
            self.stack[above].dir = None;
        }
    }

    /// The directory the walk is in. The root's descriptor stands in for one that is closed; `reopen` goes first.
    fn here(&self) -> BorrowedFd<'_> {
        let dir = self.stack.last().and_then(|level| level.dir.as_ref());
        dir.map_or(self.beneath.root(), |fd| fd.as_fd())
    }

    /// Opens the directory the walk is in again if it was closed on the way down, and makes sure that it is the same.
    fn reopen(&mut self) -> Result<(), VolumeError> {
        let Some(level) = self.stack.last_mut() else { return Ok(()) };
        if level.dir.is_some() {
            return Ok(());
        }
        let path = &self.path[..level.path_len];
        let opened = self.beneath.open_dir(path).and_then(|dir| Ok((identity(&stat_fd(dir.as_fd())?), dir)));
        let error = match opened {
            Ok((identity, dir)) if identity == level.identity => {
                level.dir = Some(dir);
                return Ok(());
            }
            Ok(_) => VolumeError::entry(path, Reason::Changed, "replaced while what is below was read"),
            Err(errno) => VolumeError::reading("open directory again", path, errno),
        };
        self.names_bytes -= level.names.bytes();
        level.names.clear();
        Err(error)
    }
}

/// Metadata as entries hold it.
pub(crate) fn meta_of(stat: &Statx) -> Meta {
    Meta {
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        mtime_s: stat.stx_mtime.tv_sec,
        mtime_ns: stat.stx_mtime.tv_nsec,
        ctime_s: stat.stx_ctime.tv_sec,
        ctime_ns: stat.stx_ctime.tv_nsec,
        inode: stat.stx_ino,
    }
}
