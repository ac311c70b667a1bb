//! `file://` stores: one file per object below a folder, durable when a put returns.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};

use crate::name::{check_name, check_prefix};
use crate::{Head, Kind, Listed, Operation, Put, Result, Store, StoreError};

mod stage;
mod walk;

use stage::{Link, Stage};

/// A store below a local folder. Files are 0600, folders 0700; the folder is created by the first put.
///
/// A put writes a file under `.tmp/`, syncs it, hard-links it to its name, and syncs the folder. The link fails if
/// the name exists, which is what makes `put_new` atomic, across processes and machines that share the folder.
/// What a crash leaves under `.tmp/` no list shows; a later put removes it once it is a day old.
pub struct FileStore {
    root: PathBuf,
    stage: Stage,
}

impl FileStore {
    /// The store below `root`, an absolute path. Touches nothing yet.
    ///
    /// # Errors
    /// `BadUrl` if the path is not absolute.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        if !root.is_absolute() {
            let url = format!("file://{}", root.display());
            return Err(StoreError::new(Operation::Open, "", url, Kind::BadUrl).because("the path is not absolute"));
        }
        let stage = Stage::new(&root);
        Ok(Self { root, stage })
    }

    fn path(&self, operation: Operation, name: &str) -> Result<PathBuf> {
        check_name(operation, name, || self.describe())?;
        Ok(self.root.join(name))
    }

    fn error(&self, operation: Operation, name: &str, source: io::Error) -> StoreError {
        let kind = kind_of(&source);
        StoreError::new(operation, name, self.describe(), kind).because(source)
    }

    /// Opens an object for reading; also says its length.
    fn open(&self, operation: Operation, name: &str) -> Result<(File, u64)> {
        let path = self.path(operation, name)?;
        open_file(&path).map_err(|source| self.error(operation, name, source))
    }
}

/// Opens a plain file without following a link in its last segment and without waiting for a FIFO's other end.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_a_file(path));
    }
    Ok((file, metadata.len()))
}

/// The error for a link, folder or device where an object should be.
fn not_a_file(path: &Path) -> io::Error {
    io::Error::other(format!("{} is not a plain file", path.display()))
}

/// What the system's error means for a caller. A missing file is `NotFound`: right for reads only.
fn kind_of(error: &io::Error) -> Kind {
    use rustix::io::Errno;
    let Some(errno) = Errno::from_io_error(error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Kind::Short,
            _ => Kind::Other,
        };
    };
    match errno {
        Errno::NOENT | Errno::NOTDIR => Kind::NotFound,
        Errno::NOSPC | Errno::DQUOT => Kind::Full,
        Errno::ROFS => Kind::ReadOnly,
        Errno::ACCESS | Errno::PERM => Kind::PermissionDenied,
        // A network file system that lost its server.
        Errno::STALE | Errno::TIMEDOUT | Errno::NOTCONN | Errno::HOSTDOWN | Errno::HOSTUNREACH => Kind::Unreachable,
        _ => Kind::Other,
    }
}

impl Store for FileStore {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        let path = self.path(Operation::Put, name)?;
        let error = |source: io::Error| {
            let mut error = self.error(Operation::Put, name, source);
            if error.kind == Kind::NotFound {
                // A folder of the store went away under us, as when a disk is unmounted.
                error.kind = Kind::Unreachable;
            }
            error
        };
        match self.stage.create(&path, &bytes).map_err(error)? {
            Link::Created => Ok(Put::Created),
            Link::Exists => Ok(Put::Exists),
            Link::Unsupported(source) => {
                let error = StoreError::new(Operation::Put, name, self.describe(), Kind::NoConditionalPut);
                Err(error.because(source))
            }
        }
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        let (mut file, bytes) = self.open(Operation::Get, name)?;
        if bytes > bytes_max {
            return Err(StoreError::new(Operation::Get, name, self.describe(), Kind::TooLarge));
        }
        let mut buffer = vec![0; usize_of(bytes).map_err(|source| self.error(Operation::Get, name, source))?];
        file.read_exact(&mut buffer).map_err(|source| self.error(Operation::Get, name, source))?;
        Ok(Bytes::from(buffer))
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        check_name(Operation::GetRange, name, || self.describe())?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (file, bytes) = self.open(Operation::GetRange, name)?;
        if range.end > bytes {
            return Err(StoreError::new(Operation::GetRange, name, self.describe(), Kind::Short));
        }
        let error = |source| self.error(Operation::GetRange, name, source);
        let mut buffer = vec![0; usize_of(range.end - range.start).map_err(error)?];
        file.read_exact_at(&mut buffer, range.start).map_err(error)?;
        Ok(Bytes::from(buffer))
    }

    fn head(&self, name: &str) -> Result<Head> {
        let path = self.path(Operation::Head, name)?;
        let error = |source| self.error(Operation::Head, name, source);
        let metadata = path.symlink_metadata().map_err(error)?;
        if !metadata.is_file() {
            return Err(error(not_a_file(&path)));
        }
        Ok(Head { bytes: metadata.len() })
    }

    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()> {
        check_prefix(prefix, || self.describe())?;
        walk::list(&self.root, prefix, after.unwrap_or_default(), each)
            .map_err(|source| self.error(Operation::List, prefix, source))
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(Operation::Delete, name)?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(source) if kind_of(&source) == Kind::NotFound => Ok(()),
            Err(source) => Err(self.error(Operation::Delete, name, source)),
        }
    }

    fn describe(&self) -> String {
        format!("file://{}", self.root.display())
    }

    fn time(&self) -> Result<Timestamp> {
        self.stage.time().map_err(|source| self.error(Operation::Time, "", source))
    }
}

/// A length that was compared with a limit or a file's length, as an allocation size.
fn usize_of(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
