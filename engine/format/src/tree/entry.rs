//! One entry of a tree: a file, a directory, an object, … with what is known about it.

use super::order::{PathFault, check_path};
use crate::chunk::Rule;
use crate::{BLOB_BYTES_MAX, BlobId};

/// Most pieces in one entry or one file map. Alternating data and holes of one page fill 64 MiB with 16 384.
pub(crate) const PIECES_MAX: usize = 65_536;
/// Most bytes of extended attributes of one entry, names and values. A leaf must hold any entry.
pub(crate) const XATTR_BYTES_MAX: usize = 1024 * 1024;
/// Most extended attributes of one entry.
pub(crate) const XATTRS_MAX: usize = 4096;

/// What an entry is. The numbers are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum EntryKind {
    /// A regular file.
    #[default]
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link; `target` is its text.
    Symlink = 3,
    /// A further name of a file; `target` is the path of the first one in the same tree.
    HardLink = 4,
    /// A named pipe.
    Fifo = 5,
    /// A character device; `device` says which.
    CharDevice = 6,
    /// A block device; `device` says which.
    BlockDevice = 7,
    /// A socket.
    Socket = 8,
    /// A Kubernetes object; its content is canonical JSON.
    Object = 9,
    /// A whole block volume; its content is the device's.
    BlockVolume = 10,
}

impl EntryKind {
    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::File,
            2 => Self::Directory,
            3 => Self::Symlink,
            4 => Self::HardLink,
            5 => Self::Fifo,
            6 => Self::CharDevice,
            7 => Self::BlockDevice,
            8 => Self::Socket,
            9 => Self::Object,
            10 => Self::BlockVolume,
            _ => return None,
        })
    }

    /// Whether entries of this kind have content: files, objects, block volumes.
    pub fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Object | Self::BlockVolume)
    }
}

/// Owner, permissions, times. Zeros for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of content, seconds since 1970.
    pub mtime_s: i64,
    /// The rest of it, nanoseconds below 10⁹.
    pub mtime_ns: u32,
    /// Time of the last change of content or metadata, seconds since 1970. Never restored; tells "unchanged".
    pub ctime_s: i64,
    /// The rest of it, nanoseconds below 10⁹.
    pub ctime_ns: u32,
    /// Inode number. Never restored; tells "unchanged".
    pub inode: u64,
}

/// One extended attribute; ACLs and capabilities are among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// Name with its namespace, as `user.note`; 1 to 255 bytes.
    pub name: Vec<u8>,
    /// Value, any bytes.
    pub value: Vec<u8>,
}

/// What happened while the entry was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// The file changed while it was read: the content may be torn.
    pub changed: bool,
    /// The content could not be read; there is none.
    pub unreadable: bool,
    /// Not captured this time: taken over from the parent.
    pub carried: bool,
    /// Some extended attributes could not be read: those here are not all.
    pub attributes_incomplete: bool,
}

/// A part of a content. Pieces follow one another without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Zeros that take no space.
    Hole {
        /// Bytes, at least 1.
        len: u64,
    },
    /// A whole chunk.
    Chunk {
        /// Its id.
        id: BlobId,
        /// Its plain length in bytes, 1 to [`BLOB_BYTES_MAX`].
        len: u32,
    },
    /// A part of a bundle.
    Slice {
        /// The bundle's id.
        id: BlobId,
        /// Where the part begins in it.
        offset: u32,
        /// Bytes, at least 1.
        len: u32,
    },
    /// A file map: the pieces of these bytes are in a node of their own.
    Map {
        /// The node's id.
        id: BlobId,
        /// Bytes that its pieces add up to, at least 1.
        len: u64,
    },
}

impl Piece {
    /// Bytes of content.
    pub fn len(&self) -> u64 {
        match *self {
            Self::Hole { len } | Self::Map { len, .. } => len,
            Self::Chunk { len, .. } | Self::Slice { len, .. } => u64::from(len),
        }
    }

    /// Whether it holds no byte. Such a piece is never stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn fault(&self) -> Option<&'static str> {
        let too_long = match *self {
            Self::Hole { .. } | Self::Map { .. } => false,
            Self::Chunk { len, .. } => len as usize > BLOB_BYTES_MAX,
            Self::Slice { offset, len, .. } => offset as usize + len as usize > BLOB_BYTES_MAX,
        };
        if self.is_empty() {
            Some("empty piece")
        } else if too_long {
            Some("piece beyond the longest chunk")
        } else {
            None
        }
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Where it lies, relative to the tree's root, parts joined by `/`; the root is empty. Any bytes that
    /// [`check_path`] allows.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Owner, permissions, times.
    pub meta: Meta,
    /// Bytes of content; 0 for kinds without.
    pub size: u64,
    /// The content; lengths add up to `size`, unless `flags.unreadable`: then there is none.
    pub content: Vec<Piece>,
    /// Text of a symbolic link, or path of a hard link's first name; else empty.
    pub target: Vec<u8>,
    /// Device number, major << 32 | minor; else 0.
    pub device: u64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// How the content was cut.
    pub chunker: Option<Rule>,
    /// For objects: the first 16 bytes of the blob id of the whole text.
    pub digest: Option<[u8; 16]>,
    /// What happened while it was captured.
    pub flags: Flags,
}

impl Entry {
    /// An entry with nothing but a path and a kind.
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self { path: path.into(), kind, ..Self::default() }
    }

    /// The last part of the path; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Which rule of the format the entry breaks, if any. Says nothing about its place among others.
    pub fn fault(&self) -> Option<&'static str> {
        check_path(&self.path).err().map(PathFault::sentence).or_else(|| self.fault_beside_path())
    }

    /// [`Entry::fault`] of all but the path.
    pub(crate) fn fault_beside_path(&self) -> Option<&'static str> {
        if self.meta.mode > 0o7777 {
            return Some("mode with unknown bits");
        }
        if self.meta.mtime_ns >= 1_000_000_000 || self.meta.ctime_ns >= 1_000_000_000 {
            return Some("a second or more of nanoseconds");
        }
        self.content_fault().or_else(|| self.target_fault()).or_else(|| self.xattr_fault())
    }

    fn content_fault(&self) -> Option<&'static str> {
        if !self.kind.has_content() {
            let none = self.content.is_empty() && self.size == 0;
            return (!none).then_some("content in an entry that has none");
        }
        if self.flags.unreadable {
            return (!self.content.is_empty()).then_some("content of what could not be read");
        }
        let is_text = matches!(self.content[..], [] | [Piece::Chunk { .. } | Piece::Slice { .. }]);
        if self.kind == EntryKind::Object && !is_text {
            return Some("text of an object in other than one piece");
        }
        pieces_fault(&self.content, self.size)
    }

    fn target_fault(&self) -> Option<&'static str> {
        match self.kind {
            EntryKind::Symlink if self.target.is_empty() || self.target.contains(&0) => {
                Some("symbolic link without a usable text")
            }
            EntryKind::HardLink if self.target.is_empty() || check_path(&self.target).is_err() => {
                Some("hard link without a usable path")
            }
            EntryKind::Symlink | EntryKind::HardLink => {
                (self.target.len() > super::PATH_BYTES_MAX).then_some("target longer than 64 KiB")
            }
            _ => (!self.target.is_empty()).then_some("target in an entry that has none"),
        }
    }

    fn xattr_fault(&self) -> Option<&'static str> {
        if self.xattrs.is_empty() {
            return None;
        }
        if self.xattrs.len() > XATTRS_MAX {
            return Some("too many extended attributes");
        }
        let bytes: usize = self.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
        if bytes > XATTR_BYTES_MAX {
            return Some("extended attributes above 1 MiB");
        }
        if self.xattrs.iter().any(|xattr| xattr.name.is_empty() || xattr.name.len() > 255 || xattr.name.contains(&0)) {
            return Some("unusable name of an extended attribute");
        }
        let sorted = self.xattrs.windows(2).all(|pair| pair[0].name < pair[1].name);
        (!sorted).then_some("extended attributes out of order")
    }
}

/// Which rule a list of pieces breaks that should add up to `len` bytes.
pub(crate) fn pieces_fault(pieces: &[Piece], len: u64) -> Option<&'static str> {
    if pieces.len() > PIECES_MAX {
        return Some("too many pieces");
    }
    let mut sum = 0_u64;
    for piece in pieces {
        if let Some(fault) = piece.fault() {
            return Some(fault);
        }
        match sum.checked_add(piece.len()) {
            Some(next) => sum = next,
            None => return Some("pieces beyond any size"),
        }
    }
    (sum != len).then_some("pieces do not add up to the size")
}
