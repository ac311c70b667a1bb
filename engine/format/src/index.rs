//! Index runs: which blob lies in which pack (FORMAT.md §6).

use crate::clock::Entropy;
use crate::compress::Decompressor;
use crate::error::FormatError;
use crate::head::{HEAD_BYTES, Head, HeadKind};
use crate::keys::{KeyRef, WriterKeys};
use crate::name::ObjectName;
use crate::seal::{NONCE_ZERO, TAG_BYTES};
use crate::segment::{BlobRecord, RECORD_BYTES, SEGMENT_HEADER_BYTES, SegmentFacts};

mod wire;

/// Most plain bytes of a run. Any one pack's index fits: a pack of the smallest blobs needs 24 MiB.
pub const INDEX_PLAIN_BYTES_MAX: usize = 64 << 20;
/// Most stored bytes of a run: what a reader must be ready to fetch.
pub const INDEX_BYTES_MAX: usize = INDEX_PLAIN_BYTES_MAX + INDEX_PLAIN_BYTES_MAX / 128;

const INDEX: HeadKind = HeadKind { magic: b"FIRNINDX", label: b"firn index v1", what: "an index run" };

/// One segment within its pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSegment {
    /// Where it begins in the pack.
    pub offset: u32,
    /// What opens its blobs.
    pub facts: SegmentFacts,
    /// Length of the blobs area.
    pub blobs_len: u32,
    /// Its blobs, by position.
    pub records: Vec<BlobRecord>,
}

impl IndexSegment {
    /// Length of the whole segment.
    pub fn bytes_len(&self) -> usize {
        SEGMENT_HEADER_BYTES + self.blobs_len as usize + self.records.len() * RECORD_BYTES + TAG_BYTES
    }

    /// Each blob with its position and the offset in the pack of its sealed bytes.
    pub fn blobs(&self) -> impl Iterator<Item = (u32, u32, &BlobRecord)> {
        let first = self.offset + SEGMENT_HEADER_BYTES as u32;
        self.records.iter().zip(0u32..).scan(first, |offset, (record, position)| {
            let at = *offset;
            *offset += record.sealed_len;
            Some((position, at, record))
        })
    }
}

/// One pack and all that lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPack {
    /// Its name.
    pub name: ObjectName,
    /// Its length, padding included.
    pub bytes_len: u32,
    /// Its segments, in order.
    pub segments: Vec<IndexSegment>,
}

impl IndexPack {
    /// At most this many plain bytes in a run.
    fn plain_len_max(&self) -> usize {
        let segments =
            self.segments.iter().map(|segment| SEGMENT_PLAIN_BYTES_MAX + segment.records.len() * RECORD_BYTES);
        PACK_PLAIN_BYTES_MAX + segments.sum::<usize>()
    }
}

/// A run's share for a pack apart from its segments: its name (up to 41 bytes), length, CBOR heads.
const PACK_PLAIN_BYTES_MAX: usize = 64;
/// A run's share for a segment apart from its records: its fields, and its wrapped key if no other shares it.
const SEGMENT_PLAIN_BYTES_MAX: usize = 192;

/// Packs of one domain and generation, with all that lies in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexRun {
    /// The packs.
    pub packs: Vec<IndexPack>,
}

impl IndexRun {
    /// Which keys a run is sealed with, as its first 96 bytes say.
    pub fn key_of(bytes: &[u8]) -> Result<KeyRef, FormatError> {
        Head::parse(&INDEX, bytes).map(|head| head.key_ref())
    }

    /// Cuts into runs of at most `plain_bytes_max` before compression (or one pack, if that alone is more).
    pub fn split(self, plain_bytes_max: usize) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        let mut plain_len = usize::MAX;
        for pack in self.packs {
            let more = pack.plain_len_max();
            match runs.last_mut() {
                Some(run) if plain_len.saturating_add(more) <= plain_bytes_max => {
                    plain_len += more;
                    run.packs.push(pack);
                }
                _ => {
                    plain_len = more;
                    runs.push(Self { packs: vec![pack] });
                }
            }
        }
        runs
    }

    /// Seals the run; every segment in it must be of the domain and generation of `keys`.
    pub fn seal(&self, keys: &WriterKeys, entropy: &dyn Entropy) -> Result<Vec<u8>, FormatError> {
        let plain = wire::encode(self, keys.key)?;
        if plain.len() > INDEX_PLAIN_BYTES_MAX {
            let bytes_max = INDEX_PLAIN_BYTES_MAX as u64;
            return Err(FormatError::TooLarge { what: INDEX.what.into(), bytes: plain.len() as u64, bytes_max });
        }
        // Ids are noise; what compresses (lengths, names) does so at any level.
        let frame = zstd::bulk::compress(&plain, 1).map_err(|_| FormatError::Library { what: "zstd".into() })?;
        let (head, derived) = Head::new(&INDEX, 0, keys, entropy)?;
        let mut out = Vec::with_capacity(HEAD_BYTES + 4 + frame.len() + TAG_BYTES);
        out.extend_from_slice(head.bytes());
        out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        out.extend_from_slice(&frame);
        derived.seal_key()?.seal_tail(NONCE_ZERO, &head.data(&INDEX, keys.family), &mut out, HEAD_BYTES)?;
        Ok(out)
    }

    /// Opens a run and checks it against the format's limits.
    pub fn open(bytes: &[u8], keys: &WriterKeys) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(INDEX.what, detail);
        if bytes.len() > INDEX_BYTES_MAX {
            return Err(damaged("it is longer than a run can be"));
        }
        let head = Head::parse(&INDEX, bytes)?;
        if head.kind() != 0 {
            return Err(damaged("its reserved bytes are not zero"));
        }
        let key = head.key(&INDEX, keys)?.seal_key()?;
        let sealed = bytes.get(HEAD_BYTES..).unwrap_or_default();
        let opened = key.open(NONCE_ZERO, &head.data(&INDEX, keys.family), sealed);
        let opened = opened.map_err(|_| damaged("it does not open"))?;
        let (plain_len, frame) = opened.split_first_chunk().ok_or_else(|| damaged("it has no length"))?;
        let plain_len = u32::from_le_bytes(*plain_len) as usize;
        if plain_len > INDEX_PLAIN_BYTES_MAX {
            return Err(damaged("it says that it is larger than a run can be"));
        }
        let plain = Decompressor::new()?.decompress(frame, plain_len);
        let plain = plain.ok_or_else(|| damaged("it does not decompress to its length"))?;
        drop(opened);
        wire::decode(&plain, keys.key)
    }
}

#[cfg(test)]
mod tests;
