//! Segments: runs of blobs sealed under one key that is used nowhere else (FORMAT.md §4).

use crate::clock::{Entropy, random};
use crate::compress::Codec;
use crate::error::FormatError;
use crate::ids::{BlobId, DomainId, FamilyId};
use crate::index::IndexSegment;
use crate::keys::{KEY_BYTES, KeyRef, WriterKeys};
use crate::name::Class;
use crate::pack::{PACK_BYTES_MAX, PACK_HEAD_BYTES, padded_len};
use crate::seal::{Derived, NONCE_ZERO, SealKey, TAG_BYTES};
use crate::session::{SessionKey, WrappedSession};

mod open;

pub use open::{SegmentHeader, SegmentOpener};

/// Length of a segment's header.
pub const SEGMENT_HEADER_BYTES: usize = 212;
/// Largest plain length of a blob: what a reader must be ready to hold.
pub const BLOB_BYTES_MAX: usize = 8 << 20;
/// Most blobs of one segment.
pub const SEGMENT_BLOBS_MAX: usize = 65536;
/// Largest segment: it must fit into a pack alone.
pub const SEGMENT_BYTES_MAX: usize = PACK_BYTES_MAX - PACK_HEAD_BYTES;
/// What sealing adds to a blob's stored bytes.
pub const BLOB_OVERHEAD_BYTES: usize = TAG_BYTES + RECORD_BYTES;
/// Length of a directory record.
pub(crate) const RECORD_BYTES: usize = 41;

/// Length of `H`, the part of the header that keys are derived from.
const H_BYTES: usize = 60;
const BLOB_CONTEXT: &[u8; 12] = b"firn blob v1";
const BLOB_DATA_BYTES: usize = 12 + 16 + H_BYTES + 4 + 32 + 4 + 1;

/// What a segment, and the pack around it, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// Chunks of files and objects: sealed with a session's key.
    Data,
    /// Tree nodes and manifests: sealed with the metadata key.
    Meta,
}

impl BlobKind {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Meta => 2,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::Meta),
            _ => None,
        }
    }

    /// The class of the packs that hold it.
    pub fn class(self) -> Class {
        match self {
            Self::Data => Class::Data,
            Self::Meta => Class::Meta,
        }
    }
}

/// What a segment's directory, and the index, say of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobRecord {
    /// Its name.
    pub id: BlobId,
    /// Length of the plain bytes.
    pub plain_len: u32,
    /// Length as sealed, tag included.
    pub sealed_len: u32,
    /// How the plain bytes were packed.
    pub codec: Codec,
}

impl BlobRecord {
    /// Appends the 41 bytes of the record.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.plain_len.to_le_bytes());
        out.extend_from_slice(&self.sealed_len.to_le_bytes());
        out.push(self.codec.byte());
    }

    /// Reads joined records and checks each against the limits, and their sealed lengths against `blobs_len`.
    pub(crate) fn read_all(bytes: &[u8], blobs_len: u32, what: &str) -> Result<Vec<Self>, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(what, detail);
        let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
        if !rest.is_empty() || records.len() > SEGMENT_BLOBS_MAX {
            return Err(damaged("its directory has a wrong length"));
        }
        let mut out = Vec::with_capacity(records.len());
        let mut sealed_total = 0u64;
        for bytes in records {
            let record = Self::read(bytes, what)?;
            sealed_total += u64::from(record.sealed_len);
            out.push(record);
        }
        if sealed_total != u64::from(blobs_len) {
            return Err(damaged("its blobs do not add up to their area"));
        }
        Ok(out)
    }

    fn read(bytes: &[u8; RECORD_BYTES], what: &str) -> Result<Self, FormatError> {
        let id = BlobId(array(&bytes[..32]));
        let plain_len = u32::from_le_bytes(array(&bytes[32..36]));
        let sealed_len = u32::from_le_bytes(array(&bytes[36..40]));
        let codec = Codec::from_byte(bytes[40])
            .ok_or_else(|| FormatError::Newer { what: what.into(), needs: format!("codec {}", bytes[40]) })?;
        let record = Self { id, plain_len, sealed_len, codec };
        if !record.is_sound() {
            return Err(FormatError::damaged(what, format!("blob {} has impossible lengths", id.short())));
        }
        Ok(record)
    }

    /// Whether the lengths are within the format's limits.
    fn is_sound(&self) -> bool {
        let whole = u64::from(self.plain_len) + TAG_BYTES as u64;
        let sealed = u64::from(self.sealed_len);
        let fits = match self.codec {
            Codec::Plain => sealed == whole,
            Codec::Zstd => sealed <= whole && sealed >= TAG_BYTES as u64,
        };
        fits && self.plain_len as usize <= BLOB_BYTES_MAX
    }
}

/// What must be known of a segment to open its blobs: it stands in the header and in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Data or metadata.
    pub kind: BlobKind,
    /// Whose keys.
    pub key: KeyRef,
    /// What its key was derived with.
    pub salt: [u8; KEY_BYTES],
    /// The commitment to its key.
    pub commitment: [u8; KEY_BYTES],
    /// The session's key; none for metadata.
    pub wrapped: Option<WrappedSession>,
}

impl SegmentFacts {
    /// `H`: header bytes 0–59.
    fn h(&self) -> [u8; H_BYTES] {
        let mut h = [0; H_BYTES];
        h[..4].copy_from_slice(b"FSEG");
        h[4] = 1;
        h[5] = self.kind.byte();
        h[6] = 1;
        h[8..24].copy_from_slice(&self.key.domain.0);
        h[24..28].copy_from_slice(&self.key.generation.to_le_bytes());
        h[28..60].copy_from_slice(&self.salt);
        h
    }

    fn derive(&self, from: &[u8; KEY_BYTES], label: &[u8], family: FamilyId) -> Derived {
        Derived::from(from, &[label, &family.0, &self.h()])
    }
}

/// A finished segment, ready for [`crate::PackBuilder::push`].
#[derive(Debug)]
pub struct SealedSegment {
    /// The segment behind [`PACK_HEAD_BYTES`] of room, so that a pack of one segment is made without a copy.
    pub(crate) buffer: Vec<u8>,
    /// What an index says of it; its offset is zero until it lies in a pack.
    pub index: IndexSegment,
}

impl SealedSegment {
    /// The bytes as stored.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(PACK_HEAD_BYTES..).unwrap_or_default()
    }
}

/// Seals blobs into one growing buffer.
pub struct SegmentBuilder {
    buffer: Vec<u8>,
    family: FamilyId,
    facts: SegmentFacts,
    key: SealKey,
    directory: Derived,
    data: [u8; BLOB_DATA_BYTES],
    records: Vec<BlobRecord>,
}

impl SegmentBuilder {
    /// A segment of data blobs under `session`, whose domain must be that of `keys`. Room for `bytes_expected` is reserved.
    pub fn data(
        keys: &WriterKeys,
        session: &SessionKey,
        entropy: &dyn Entropy,
        bytes_expected: usize,
    ) -> Result<Self, FormatError> {
        if session.key_ref() != keys.key {
            return Err(FormatError::WrongKey { what: format!("a data segment of {}", keys.key) });
        }
        Self::new(keys, BlobKind::Data, &session.secret().0, Some(*session.wrapped()), entropy, bytes_expected)
    }

    /// A segment of metadata blobs.
    pub fn meta(keys: &WriterKeys, entropy: &dyn Entropy, bytes_expected: usize) -> Result<Self, FormatError> {
        Self::new(keys, BlobKind::Meta, &keys.metadata_key, None, entropy, bytes_expected)
    }

    fn new(
        keys: &WriterKeys,
        kind: BlobKind,
        from: &[u8; KEY_BYTES],
        wrapped: Option<WrappedSession>,
        entropy: &dyn Entropy,
        bytes_expected: usize,
    ) -> Result<Self, FormatError> {
        let salt = random(entropy).map_err(|source| FormatError::Entropy { what: "a segment".into(), source })?;
        let mut facts = SegmentFacts { kind, key: keys.key, salt, commitment: [0; KEY_BYTES], wrapped };
        let derived = facts.derive(from, b"firn segment v1", keys.family);
        facts.commitment = derived.commitment;
        let directory = facts.derive(&keys.metadata_key, b"firn directory v1", keys.family);
        // Room for the pack's padding too, so that a pack of one segment never moves.
        let mut buffer = Vec::with_capacity(padded_len(PACK_HEAD_BYTES + bytes_expected.min(SEGMENT_BYTES_MAX)));
        buffer.resize(PACK_HEAD_BYTES, 0);
        buffer.extend_from_slice(&facts.h());
        buffer.extend_from_slice(&facts.commitment);
        buffer.extend_from_slice(&directory.commitment);
        buffer.extend_from_slice(wrapped.as_ref().map_or(&[0; WrappedSession::LEN], |wrapped| &wrapped.0));
        buffer.extend_from_slice(&[0; 8]);
        let data = blob_data(keys.family, &facts);
        let key = derived.seal_key()?;
        Ok(Self { buffer, family: keys.family, facts, key, directory, data, records: Vec::new() })
    }

    /// The segment's length if it were finished now.
    pub fn bytes_len(&self) -> usize {
        self.buffer.len() - PACK_HEAD_BYTES + self.records.len() * RECORD_BYTES + TAG_BYTES
    }

    /// How many blobs it holds.
    pub fn blobs(&self) -> usize {
        self.records.len()
    }

    /// Whether a blob of `stored_len` bytes (plain or compressed) can still be pushed.
    pub fn fits(&self, stored_len: usize) -> bool {
        self.records.len() < SEGMENT_BLOBS_MAX
            && self.bytes_len().saturating_add(stored_len).saturating_add(BLOB_OVERHEAD_BYTES) <= SEGMENT_BYTES_MAX
    }

    /// Seals one blob: `stored` is its plain bytes or the zstd frame of them, as `codec` says; `id` is that of the plain
    /// bytes. Answers its position.
    pub fn push(&mut self, id: BlobId, plain_len: usize, codec: Codec, stored: &[u8]) -> Result<u32, FormatError> {
        let too_large = |bytes: usize, bytes_max: usize| FormatError::TooLarge {
            what: "a blob in its segment".into(),
            bytes: bytes as u64,
            bytes_max: bytes_max as u64,
        };
        if plain_len > BLOB_BYTES_MAX {
            return Err(too_large(plain_len, BLOB_BYTES_MAX));
        }
        if !self.fits(stored.len()) {
            return Err(too_large(self.bytes_len() + stored.len() + BLOB_OVERHEAD_BYTES, SEGMENT_BYTES_MAX));
        }
        let record =
            BlobRecord { id, plain_len: plain_len as u32, sealed_len: (stored.len() + TAG_BYTES) as u32, codec };
        if !record.is_sound() {
            return Err(FormatError::damaged("a blob to be sealed", "its stored length does not fit its codec"));
        }
        let position = self.records.len() as u32;
        name_blob(&mut self.data, position, &record);
        let from = self.buffer.len();
        self.buffer.extend_from_slice(stored);
        self.key.seal_tail(blob_nonce(position), &self.data, &mut self.buffer, from)?;
        self.records.push(record);
        Ok(position)
    }

    /// Seals the directory and completes the header.
    pub fn finish(mut self) -> Result<SealedSegment, FormatError> {
        let header_end = PACK_HEAD_BYTES + SEGMENT_HEADER_BYTES;
        let blobs_len = (self.buffer.len() - header_end) as u32;
        let counts = &mut self.buffer[header_end - 8..header_end];
        counts[..4].copy_from_slice(&(self.records.len() as u32).to_le_bytes());
        counts[4..].copy_from_slice(&blobs_len.to_le_bytes());
        let data = directory_data(self.family, &self.buffer[PACK_HEAD_BYTES..header_end]);
        let from = self.buffer.len();
        self.buffer.reserve_exact(self.records.len() * RECORD_BYTES + TAG_BYTES);
        self.records.iter().for_each(|record| record.write(&mut self.buffer));
        self.directory.seal_key()?.seal_tail(NONCE_ZERO, &data, &mut self.buffer, from)?;
        let index = IndexSegment { offset: 0, facts: self.facts, blobs_len, records: self.records };
        Ok(SealedSegment { buffer: self.buffer, index })
    }
}

fn directory_data(family: FamilyId, header: &[u8]) -> Vec<u8> {
    [b"firn directory v1".as_slice(), &family.0, header].concat()
}

/// The additional data of a segment's blobs, with the blob itself still to be named.
fn blob_data(family: FamilyId, facts: &SegmentFacts) -> [u8; BLOB_DATA_BYTES] {
    let mut data = [0; BLOB_DATA_BYTES];
    data[..12].copy_from_slice(BLOB_CONTEXT);
    data[12..28].copy_from_slice(&family.0);
    data[28..88].copy_from_slice(&facts.h());
    data
}

fn name_blob(data: &mut [u8; BLOB_DATA_BYTES], position: u32, record: &BlobRecord) {
    data[88..92].copy_from_slice(&position.to_le_bytes());
    data[92..124].copy_from_slice(&record.id.0);
    data[124..128].copy_from_slice(&record.plain_len.to_le_bytes());
    data[128] = record.codec.byte();
}

fn blob_nonce(position: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&u64::from(position).to_le_bytes());
    nonce
}

/// `N` bytes at the front of a slice that has them; zeros where it has not (callers check lengths first).
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

pub(crate) fn key_ref(bytes: &[u8]) -> KeyRef {
    KeyRef {
        domain: DomainId(array(bytes)),
        generation: u32::from_le_bytes(array(bytes.get(16..).unwrap_or_default())),
    }
}

#[cfg(test)]
pub(crate) mod tests;
