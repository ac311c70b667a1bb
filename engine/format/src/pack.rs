//! Packs: the objects that hold segments, put once, padded, named by their hash (FORMAT.md §5).

use crate::clock::Entropy;
use crate::error::FormatError;
use crate::head::{HEAD_BYTES, Head, HeadKind};
use crate::index::{IndexPack, IndexSegment};
use crate::keys::{KeyRef, WriterKeys};
use crate::name::ObjectName;
use crate::seal::{NONCE_ZERO, TAG_BYTES};
use crate::segment::{BlobKind, SEGMENT_HEADER_BYTES, SealedSegment, SegmentHeader, array};

/// Largest pack, padding included.
pub const PACK_BYTES_MAX: usize = 32 << 20;
/// Most segments of one pack.
pub const PACK_SEGMENTS_MAX: usize = 64;
/// What stands before the first segment: head and sealed table. Enough for [`PackTable::open`].
pub const PACK_HEAD_BYTES: usize = HEAD_BYTES + TABLE_BYTES + TAG_BYTES;

const TABLE_BYTES: usize = PACK_SEGMENTS_MAX * SLOT_BYTES;
const SLOT_BYTES: usize = 8;
const PACK: HeadKind = HeadKind { magic: b"FIRNPACK", label: b"firn pack v1", what: "a pack" };

/// A finished pack.
#[derive(Debug)]
pub struct Pack {
    /// Its name and what it holds, for an index run.
    pub index: IndexPack,
    /// The bytes to store under that name.
    pub bytes: Vec<u8>,
}

/// Collects sealed segments of one kind, domain and generation.
pub struct PackBuilder {
    keys: WriterKeys,
    kind: BlobKind,
    buffer: Vec<u8>,
    segments: Vec<IndexSegment>,
}

impl PackBuilder {
    /// An empty pack.
    pub fn new(kind: BlobKind, keys: &WriterKeys) -> Self {
        Self { keys: keys.clone(), kind, buffer: Vec::new(), segments: Vec::new() }
    }

    /// The pack's length so far, without padding.
    pub fn bytes_len(&self) -> usize {
        self.buffer.len().max(PACK_HEAD_BYTES)
    }

    /// How many segments it holds.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Whether a segment of `segment_len` bytes can still be pushed.
    pub fn fits(&self, segment_len: usize) -> bool {
        // Padding never crosses the limit: it is a multiple of every step below it.
        self.segments.len() < PACK_SEGMENTS_MAX && self.bytes_len().saturating_add(segment_len) <= PACK_BYTES_MAX
    }

    /// Adds a segment. The first one's buffer becomes the pack's, so a pack of one segment is made without a copy.
    pub fn push(&mut self, segment: SealedSegment) -> Result<(), FormatError> {
        self.admit(&segment.index, segment.bytes().len())?;
        let mut index = segment.index;
        index.offset = self.bytes_len() as u32;
        match self.segments.is_empty() {
            true => self.buffer = segment.buffer,
            false => self.buffer.extend_from_slice(&segment.buffer[PACK_HEAD_BYTES..]),
        }
        self.segments.push(index);
        Ok(())
    }

    /// Adds the stored bytes of a segment of another pack as they are; no data key is needed. `index` says what it is, and
    /// its header must agree.
    pub fn push_verbatim(&mut self, bytes: &[u8], index: &IndexSegment) -> Result<(), FormatError> {
        let header = SegmentHeader::parse(bytes)?;
        let agrees = header.facts == index.facts
            && header.blobs as usize == index.records.len()
            && header.blobs_len == index.blobs_len
            && header.bytes_len() == bytes.len() as u64;
        if !agrees {
            return Err(FormatError::damaged("a segment to be copied", "its header is not what the index says"));
        }
        self.admit(index, bytes.len())?;
        self.buffer.resize(self.bytes_len(), 0);
        self.segments.push(IndexSegment { offset: self.buffer.len() as u32, ..index.clone() });
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn admit(&self, segment: &IndexSegment, segment_len: usize) -> Result<(), FormatError> {
        if segment.facts.key != self.keys.key || segment.facts.kind != self.kind {
            return Err(FormatError::WrongKey { what: format!("a segment in a pack of {}", self.keys.key) });
        }
        if !self.fits(segment_len) {
            let bytes = (self.bytes_len() + segment_len) as u64;
            return Err(FormatError::TooLarge { what: PACK.what.into(), bytes, bytes_max: PACK_BYTES_MAX as u64 });
        }
        Ok(())
    }

    /// Seals the table, pads, and names the pack.
    pub fn finish(mut self, entropy: &dyn Entropy) -> Result<Pack, FormatError> {
        let (head, derived) = Head::new(&PACK, self.kind.byte(), &self.keys, entropy)?;
        let mut front = Vec::with_capacity(PACK_HEAD_BYTES);
        front.extend_from_slice(head.bytes());
        for segment in &self.segments {
            front.extend_from_slice(&segment.offset.to_le_bytes());
            front.extend_from_slice(&(segment.bytes_len() as u32).to_le_bytes());
        }
        front.resize(HEAD_BYTES + TABLE_BYTES, 0);
        let data = head.data(&PACK, self.keys.family);
        derived.seal_key()?.seal_tail(NONCE_ZERO, &data, &mut front, HEAD_BYTES)?;
        self.buffer.resize(self.bytes_len(), 0);
        self.buffer[..PACK_HEAD_BYTES].copy_from_slice(&front);
        let content_len = self.buffer.len();
        let padded_len = padded_len(content_len);
        self.buffer.reserve_exact(padded_len - content_len);
        self.buffer.resize(padded_len, 0);
        padding(&derived.key).fill(&mut self.buffer[content_len..]);
        let name = ObjectName::of(self.kind.class(), &self.buffer);
        let index = IndexPack { name, bytes_len: padded_len as u32, segments: self.segments };
        Ok(Pack { index, bytes: self.buffer })
    }
}

/// Padmé: at most 12 % more, and only O(log log n) bits of the length remain visible.
pub(crate) fn padded_len(len: usize) -> usize {
    let exponent = len.max(2).ilog2();
    let kept = exponent.ilog2() + 1;
    let step = 1usize << (exponent - kept.min(exponent));
    len.next_multiple_of(step)
}

fn padding(key: &[u8; 32]) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"firn padding v1");
    hasher.finalize_xof()
}

/// Where the segments of a pack lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackTable {
    /// What the segments hold.
    pub kind: BlobKind,
    /// Whose keys.
    pub key: KeyRef,
    /// Offset from the start of the pack, and length, of each.
    pub segments: Vec<(u32, u32)>,
}

impl PackTable {
    /// Which keys a pack is sealed with, as its first 96 bytes say.
    pub fn key_of(bytes: &[u8]) -> Result<KeyRef, FormatError> {
        Head::parse(&PACK, bytes).map(|head| head.key_ref())
    }

    /// How long the whole pack is, padding included: one of another length was cut, or has something behind it.
    pub fn pack_len(&self) -> u64 {
        let end = self.segments.last().map_or(PACK_HEAD_BYTES, |(offset, len)| *offset as usize + *len as usize);
        padded_len(end) as u64
    }

    /// Opens the table in the first [`PACK_HEAD_BYTES`] of a pack (or more of it).
    pub fn open(bytes: &[u8], keys: &WriterKeys) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(PACK.what, detail);
        let head = Head::parse(&PACK, bytes)?;
        let kind = BlobKind::from_byte(head.kind()).ok_or_else(|| damaged("its kind is unknown"))?;
        let sealed = bytes.get(HEAD_BYTES..PACK_HEAD_BYTES).ok_or_else(|| damaged("it is cut within its table"))?;
        let key = head.key(&PACK, keys)?.seal_key()?;
        let table = key.open(NONCE_ZERO, &head.data(&PACK, keys.family), sealed);
        let table = table.map_err(|_| damaged("its table does not open"))?;
        let mut segments = Vec::new();
        let mut end = PACK_HEAD_BYTES as u64;
        for slot in table.chunks_exact(SLOT_BYTES) {
            let (offset, len) = (u32::from_le_bytes(array(slot)), u32::from_le_bytes(array(&slot[4..])));
            if (offset, len) == (0, 0) {
                end = u64::MAX;
                continue;
            }
            if u64::from(offset) != end || u64::from(len) > PACK_BYTES_MAX as u64 - end {
                return Err(damaged("its segments do not follow one another"));
            }
            end += u64::from(len);
            segments.push((offset, len));
        }
        Ok(Self { kind, key: head.key_ref(), segments })
    }
}

/// What a whole pack holds, read from its own table and directories: how an index is rebuilt. The name is verified first, so
/// what follows is a wrong key or a writer's mistake and never a flipped bit.
pub fn rebuild(name: ObjectName, bytes: &[u8], keys: &WriterKeys) -> Result<IndexPack, FormatError> {
    let damaged = |detail: &str| FormatError::damaged(format!("pack {}", name.hash.short()), detail);
    if bytes.len() > PACK_BYTES_MAX {
        return Err(damaged("it is longer than a pack can be"));
    }
    if ObjectName::of(name.class, bytes).hash != name.hash {
        return Err(damaged("its bytes do not have its hash"));
    }
    let table = PackTable::open(bytes, keys)?;
    if table.kind.class() != name.class {
        return Err(damaged("it lies in the wrong class"));
    }
    let mut segments = Vec::with_capacity(table.segments.len());
    for (offset, len) in table.segments {
        let from = offset as usize;
        let segment = bytes.get(from..from + len as usize).ok_or_else(|| damaged("it is cut within a segment"))?;
        let header = SegmentHeader::parse(segment)?;
        if header.facts.kind != table.kind || header.bytes_len() != segment.len() as u64 {
            return Err(damaged("a segment is not what the table says"));
        }
        let directory = segment.get(SEGMENT_HEADER_BYTES + header.blobs_len as usize..).unwrap_or_default();
        let records = header.open_directory(keys, directory)?;
        segments.push(IndexSegment { offset, facts: header.facts, blobs_len: header.blobs_len, records });
    }
    Ok(IndexPack { name, bytes_len: bytes.len() as u32, segments })
}

#[cfg(test)]
mod tests;
