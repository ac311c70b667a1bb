//! What could not be captured or restored as it was: named, counted, never silent.

use std::fmt;

/// One entry, or one property of it, that is not whole. A value, not an error: the work around it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Path relative to the root of the volume; empty for the root itself.
    pub path: Vec<u8>,
    /// What kind of thing happened.
    pub reason: Reason,
    /// The same in a few words for a person; may be empty.
    pub detail: String,
}

impl Exception {
    /// An exception about `path`.
    pub fn new(path: impl Into<Vec<u8>>, reason: Reason, detail: impl Into<String>) -> Self {
        Self { path: path.into(), reason, detail: detail.into() }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", String::from_utf8_lossy(&self.path), self.reason.word())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

/// Why an entry is not whole. [`Reason::word`] is what the repository records and people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It is there and could not be read.
    Unreadable,
    /// It was listed and is gone.
    Vanished,
    /// It changed while it was read; what was kept may be torn.
    Changed,
    /// A socket: it has no content and means nothing without its process.
    Socket,
    /// Another file system is mounted there; it belongs to another volume.
    OtherFilesystem,
    /// Deeper or longer than a tree may be.
    TooDeep,
    /// A directory with more names than are held in memory.
    TooManyNames,
    /// Extended attributes larger than an entry may have, or that could not be read or set.
    Xattr,
    /// A hard link that is kept as a file of its own.
    LinkSplit,
    /// A device node that the privileges in force leave out.
    Device,
    /// A privileged property (set-id bit, capability, trusted or label attribute) that was left out.
    Privilege,
    /// The owner could not be set.
    Owner,
    /// Mode or times could not be set.
    Metadata,
    /// A name that cannot stand in a directory.
    Name,
    /// Something stands in the way and was not removed.
    Occupied,
    /// Whoever restores has no right to do it.
    Forbidden,
    /// The directory that should hold it is not there, or is no directory.
    NoParent,
    /// The target was changed by somebody else in the middle, or a link stood where none may.
    Hostile,
}

impl Reason {
    /// One word, stable: it is stored in manifests.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Vanished => "vanished",
            Self::Changed => "changed",
            Self::Socket => "socket",
            Self::OtherFilesystem => "other-filesystem",
            Self::TooDeep => "too-deep",
            Self::TooManyNames => "too-many-names",
            Self::Xattr => "xattr",
            Self::LinkSplit => "link-split",
            Self::Device => "device",
            Self::Privilege => "privilege",
            Self::Owner => "owner",
            Self::Metadata => "metadata",
            Self::Name => "name",
            Self::Occupied => "occupied",
            Self::Forbidden => "forbidden",
            Self::NoParent => "no-parent",
            Self::Hostile => "hostile",
        }
    }
}
