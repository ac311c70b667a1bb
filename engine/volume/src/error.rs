//! What can go wrong with a volume as a whole, and how one entry's trouble is told apart from it.

use rustix::io::Errno;

use crate::exception::{Exception, Reason};

/// Why an operation on a volume failed. Only [`VolumeError::Entry`] concerns one entry: note it and go on.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// One entry cannot be captured or restored; everything else can.
    #[error("{0}")]
    Entry(Exception),
    /// The kernel or a sandbox refuses `openat2`; without it nothing is opened safely, so nothing is opened.
    #[error("this kernel or sandbox has no openat2 (Linux 5.6 or newer is needed)")]
    NoOpenat2,
    /// The target has no space or no inodes left, or a quota is used up.
    #[error("no space left to write {path}{}", missing(*.bytes_missing))]
    Full {
        /// What was being written.
        path: String,
        /// How many bytes this write lacked, when known.
        bytes_missing: Option<u64>,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The target is too small; found before anything was written.
    #[error("the target lacks {bytes_missing} bytes and {entries_missing} inodes")]
    NoRoom {
        /// Bytes needed beyond those free; 0 when the bytes suffice.
        bytes_missing: u64,
        /// Inodes needed beyond those free; 0 when they suffice.
        entries_missing: u64,
    },
    /// The system refused something that concerns the whole volume.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With what; empty for the volume's root.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

fn missing(bytes: Option<u64>) -> String {
    bytes.map(|bytes| format!(" ({bytes} bytes missing)")).unwrap_or_default()
}

impl VolumeError {
    /// Whether trying again cannot help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Entry(_) | Self::NoOpenat2 => true,
            Self::Full { .. } | Self::NoRoom { .. } => false,
            Self::Io { source, .. } => {
                !matches!(Errno::from_io_error(source), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
            }
        }
    }

    pub(crate) fn entry(path: &[u8], reason: Reason, detail: impl Into<String>) -> Self {
        Self::Entry(Exception::new(path, reason, detail))
    }

    pub(crate) fn io(operation: &'static str, path: &[u8], errno: Errno) -> Self {
        Self::Io { operation, path: String::from_utf8_lossy(path).into_owned(), source: errno.into() }
    }

    /// A failed read of one entry: an exception, unless the machine itself is in trouble.
    pub(crate) fn reading(operation: &'static str, path: &[u8], errno: Errno) -> Self {
        let reason = match errno {
            errno if is_machine_trouble(errno) => return Self::io(operation, path, errno),
            Errno::NOENT => Reason::Vanished,
            Errno::XDEV => Reason::OtherFilesystem,
            // It was something else when it was listed.
            Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO | Errno::STALE => Reason::Changed,
            _ => Reason::Unreadable,
        };
        Self::entry(path, reason, format!("cannot {operation}: {errno}"))
    }

    /// A failed write of one entry: an exception when only this entry is concerned.
    pub(crate) fn writing(operation: &'static str, path: &[u8], errno: Errno) -> Self {
        let reason = match errno {
            Errno::NOSPC | Errno::DQUOT => return Self::full(path, None, errno),
            Errno::LOOP | Errno::XDEV | Errno::AGAIN | Errno::STALE => Reason::Hostile,
            Errno::NOENT | Errno::NOTDIR => Reason::NoParent,
            Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Reason::Name,
            Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR | Errno::BUSY => Reason::Occupied,
            Errno::ACCESS | Errno::PERM => Reason::Forbidden,
            _ => return Self::io(operation, path, errno),
        };
        Self::entry(path, reason, format!("cannot {operation}: {errno}"))
    }

    pub(crate) fn full(path: &[u8], bytes_missing: Option<u64>, errno: Errno) -> Self {
        Self::Full { path: String::from_utf8_lossy(path).into_owned(), bytes_missing, source: errno.into() }
    }
}

/// Nothing about the entry: file descriptors or memory ran out.
fn is_machine_trouble(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}
