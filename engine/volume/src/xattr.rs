//! Extended attributes of one object, read and written through a descriptor; ACLs and capabilities are among them.

use std::os::fd::{AsRawFd, BorrowedFd};

use firn_format::tree::Xattr;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// All values of one object together. Linux allows 64 KiB each; more than this in sum is made to hurt.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// Attributes of one object: as many as the format holds.
const COUNT_MAX: usize = 4096;

/// The kernel's own limits for a list of names and for one value.
const LIST_BYTES_MAX: usize = 64 << 10;

/// How often a list or value may grow between asking for its size and reading it.
const GROWTHS_MAX: u32 = 8;

/// The object whose attributes are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Object<'a> {
    /// A file or directory that is open for reading or writing.
    Open(BorrowedFd<'a>),
    /// Anything else, held by an `O_PATH` descriptor: a link, FIFO or device must not be opened to be described. The
    /// system calls take no such descriptor, but its name under `/proc/self/fd`, which no tenant can change.
    Held(BorrowedFd<'a>),
}

/// Why attributes could not be had.
#[derive(Debug)]
pub(crate) enum XattrError {
    /// More than an entry may have.
    TooLarge,
    /// The system refused.
    Errno(Errno),
}

impl From<Errno> for XattrError {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// The name under which a held descriptor can be given to calls that take only paths.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Object<'_> {
    /// All attributes, sorted by name. A file system without attributes has none.
    pub(crate) fn read(self) -> Result<Vec<Xattr>, XattrError> {
        let mut total = 0;
        let mut all = Vec::new();
        let names = self.names()?;
        if names.len() > COUNT_MAX {
            return Err(XattrError::TooLarge);
        }
        for name in names {
            let Some(value) = self.value(&name)? else { continue };
            total += name.len() + value.len();
            if total > VALUES_BYTES_MAX {
                return Err(XattrError::TooLarge);
            }
            all.push(Xattr { name, value });
        }
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The names of all attributes, in no order.
    pub(crate) fn names(self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut small = [0; 256];
        let list = match self.list(&mut small) {
            Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Ok(len) => small[..len].to_vec(),
            Err(Errno::RANGE) => {
                let mut large = vec![0; LIST_BYTES_MAX];
                let len = self.list(&mut large)?;
                large.truncate(len);
                large
            }
            Err(errno) => return Err(errno),
        };
        Ok(list.split(|&b| b == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    fn list(self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => rustix::fs::flistxattr(fd, buffer),
            Self::Held(fd) => rustix::fs::listxattr(proc_path(fd), buffer),
        }
    }

    /// The value of `name`; `None` when it went away in between.
    fn value(self, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        let mut small = [0; 256];
        let len = match self.get(name, &mut small) {
            Ok(len) => return Ok(Some(small[..len].to_vec())),
            Err(Errno::NODATA) => return Ok(None),
            Err(Errno::RANGE) => 4096,
            Err(errno) => return Err(errno),
        };
        let mut buffer = vec![0; len];
        for _ in 0..GROWTHS_MAX {
            match self.get(name, &mut buffer) {
                Ok(len) => {
                    buffer.truncate(len);
                    return Ok(Some(buffer));
                }
                Err(Errno::NODATA) => return Ok(None),
                Err(Errno::RANGE) => buffer.resize(LIST_BYTES_MAX, 0),
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::RANGE)
    }

    fn get(self, name: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fgetxattr(fd, name, buffer),
            Self::Held(fd) => rustix::fs::getxattr(proc_path(fd), name, buffer),
        }
    }

    /// Sets one attribute, replacing its value.
    pub(crate) fn set(self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Held(fd) => rustix::fs::setxattr(proc_path(fd), name, value, XattrFlags::empty()),
        }
    }

    /// Removes one attribute; one that is not there is no error.
    pub(crate) fn remove(self, name: &[u8]) -> Result<(), Errno> {
        let result = match self {
            Self::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Self::Held(fd) => rustix::fs::removexattr(proc_path(fd), name),
        };
        match result {
            Err(Errno::NODATA) => Ok(()),
            result => result,
        }
    }
}
