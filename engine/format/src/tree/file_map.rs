//! Long contents: pieces grouped into file maps by position, and read back as one stream of pieces.

use super::builder::NodeSink;
use super::entry::{Entry, PIECES_MAX, Piece};
use super::node::{broken, map_bytes, open_map};
use super::reader::NodeSource;
use crate::{BlobId, FormatError};

/// Bytes of content in one file map of the lowest level; chunks never cross a multiple of it.
pub const MAP_BYTES: u64 = crate::chunk::RESTART_BYTES;
/// Most pieces that stay in the entry itself. More go into file maps, so that a leaf stays small and a changed time
/// does not write the list again.
pub const INLINE_PIECES_MAX: usize = 16;
/// Each level of file maps covers this many times the range of the one below.
const FANOUT_BITS: u32 = 10;
/// Deepest nesting of file maps: more than any 64-bit size needs.
const DEPTH_MAX: usize = 8;

/// Takes the pieces of one content in order and gives what its entry holds; file maps go to the sink as they fill up.
///
/// Neighbouring holes become one; a hole costs nothing however long it is.
#[derive(Default)]
pub struct FileMapBuilder {
    /// Index 0 collects pieces within one range of [`MAP_BYTES`], index 1 maps within 1024 such ranges, …
    groups: Vec<Group>,
}

#[derive(Default)]
struct Group {
    pieces: Vec<Piece>,
    bytes: u64,
    /// Whether a whole range has been handed up.
    handed_up: bool,
}

impl FileMapBuilder {
    /// Adds the next piece: a hole of any length, or a chunk or slice that does not cross a multiple of
    /// [`MAP_BYTES`] and is not one too many between two of them.
    pub fn push<S: NodeSink>(&mut self, piece: Piece, sink: &mut S) -> Result<(), S::Error> {
        let refuse = |fault| Err(FormatError::damaged("new file map", fault).into());
        if let Some(fault) = piece.fault() {
            return refuse(fault);
        }
        match piece {
            Piece::Hole { len } => self.put_hole(0, len, sink),
            Piece::Map { .. } => refuse("file map as a piece"),
            Piece::Chunk { .. } | Piece::Slice { .. } => {
                self.hand_up_if_full(0, sink)?;
                if self.group(0).bytes + piece.len() > MAP_BYTES {
                    return refuse("piece across a border of 64 MiB");
                }
                Ok(self.put(0, piece)?)
            }
        }
    }

    /// The pieces for the entry.
    pub fn finish<S: NodeSink>(mut self, sink: &mut S) -> Result<Vec<Piece>, S::Error> {
        let mut level = 0;
        loop {
            let group = self.group(level);
            if !group.handed_up && group.pieces.len() <= INLINE_PIECES_MAX {
                return Ok(std::mem::take(&mut group.pieces));
            }
            if !group.pieces.is_empty() {
                self.hand_up(level, sink)?;
            }
            level += 1;
        }
    }

    fn group(&mut self, level: usize) -> &mut Group {
        if self.groups.len() <= level {
            self.groups.resize_with(level + 1, Group::default);
        }
        &mut self.groups[level]
    }

    /// Adds to a group whose range has room; holes merge.
    fn put(&mut self, level: usize, piece: Piece) -> Result<(), FormatError> {
        let group = self.group(level);
        let is_full = group.pieces.len() >= PIECES_MAX;
        match (group.pieces.last_mut(), piece) {
            (Some(Piece::Hole { len }), Piece::Hole { len: more }) => *len += more,
            _ if is_full => {
                return Err(FormatError::damaged("new file map", "too many pieces between two borders of 64 MiB"));
            }
            _ => group.pieces.push(piece),
        }
        group.bytes += piece.len();
        Ok(())
    }

    fn put_hole<S: NodeSink>(&mut self, level: usize, mut len: u64, sink: &mut S) -> Result<(), S::Error> {
        while len > 0 {
            self.hand_up_if_full(level, sink)?;
            let (range, group) = (range(level), self.group(level));
            let whole = len - len % range;
            if group.bytes == 0 && whole > 0 {
                // Whole ranges of nothing need no map, and no loop over them.
                group.handed_up = true;
                self.put_hole(level + 1, whole, sink)?;
                len -= whole;
            } else {
                let part = len.min(range - group.bytes);
                self.put(level, Piece::Hole { len: part })?;
                len -= part;
            }
        }
        Ok(())
    }

    fn hand_up_if_full<S: NodeSink>(&mut self, level: usize, sink: &mut S) -> Result<(), S::Error> {
        if self.group(level).bytes == range(level) { self.hand_up(level, sink) } else { Ok(()) }
    }

    /// Gives what the group holds to the level above: as a file map, or as the hole that it is.
    fn hand_up<S: NodeSink>(&mut self, level: usize, sink: &mut S) -> Result<(), S::Error> {
        let group = self.group(level);
        let (pieces, len) = (std::mem::take(&mut group.pieces), std::mem::take(&mut group.bytes));
        group.handed_up = true;
        if let [Piece::Hole { len }] = pieces[..] {
            return self.put_hole(level + 1, len, sink);
        }
        let id = sink.put_node(map_bytes(&pieces))?;
        self.hand_up_if_full(level + 1, sink)?;
        Ok(self.put(level + 1, Piece::Map { id, len })?)
    }
}

/// Bytes that a map of this level covers at most.
fn range(level: usize) -> u64 {
    let bits = MAP_BYTES.trailing_zeros() + FANOUT_BITS * level as u32;
    if bits < u64::BITS { 1 << bits } else { u64::MAX }
}

/// The pieces of a content in order, file maps resolved, neighbouring holes merged. Streams: holds one map a level.
pub struct FilePieces<S> {
    source: S,
    stack: Vec<std::vec::IntoIter<Piece>>,
    /// Read too far while merging holes.
    ahead: Option<Piece>,
    offset: u64,
}

impl<S: NodeSource> FilePieces<S> {
    /// The pieces of an entry's content.
    pub fn new(entry: &Entry, source: S) -> Self {
        Self { source, stack: vec![entry.content.clone().into_iter()], ahead: None, offset: 0 }
    }

    /// The next piece, never a map, and where it begins in the content; None at the end.
    pub fn next_piece(&mut self) -> Result<Option<(u64, Piece)>, S::Error> {
        let Some(mut piece) = self.resolved()? else { return Ok(None) };
        while let Piece::Hole { len } = piece {
            match self.resolved()? {
                Some(Piece::Hole { len: more }) => piece = Piece::Hole { len: len.saturating_add(more) },
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        let offset = self.offset;
        self.offset = offset.saturating_add(piece.len());
        Ok(Some((offset, piece)))
    }

    fn resolved(&mut self) -> Result<Option<Piece>, S::Error> {
        if let Some(piece) = self.ahead.take() {
            return Ok(Some(piece));
        }
        while let Some(top) = self.stack.last_mut() {
            match top.next() {
                Some(Piece::Map { id, len }) => {
                    let pieces = open_child_map(&id, len, self.stack.len(), &mut self.source)?;
                    self.stack.push(pieces.into_iter());
                }
                Some(piece) => return Ok(Some(piece)),
                None => drop(self.stack.pop()),
            }
        }
        Ok(None)
    }
}

/// Opens a file map that lies `depth` maps deep.
pub(crate) fn open_child_map<S: NodeSource>(
    id: &BlobId,
    len: u64,
    depth: usize,
    source: &mut S,
) -> Result<Vec<Piece>, S::Error> {
    if depth > DEPTH_MAX {
        return Err(broken(id, "file maps nested too deep").into());
    }
    Ok(open_map(id, &source.node(id)?, len)?)
}
