//! Opening: a segment's header and directory, and its blobs one at a time.

use crate::compress::{Codec, Decompressor};
use crate::error::FormatError;
use crate::ids::{BlobId, Hash};
use crate::keys::WriterKeys;
use crate::seal::{NONCE_ZERO, SealKey, TAG_BYTES};
use crate::session::{SessionSecret, WrappedSession};

use super::{
    BLOB_DATA_BYTES, BlobKind, BlobRecord, RECORD_BYTES, SEGMENT_BLOBS_MAX, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES,
    SegmentFacts, array, blob_data, blob_nonce, directory_data, key_ref, name_blob,
};

/// A segment's header, checked against the format's limits but not yet against any key.
#[derive(Debug, Clone)]
pub struct SegmentHeader {
    /// What opens its blobs.
    pub facts: SegmentFacts,
    /// How many blobs.
    pub blobs: u32,
    /// Length of the blobs area, which follows the header.
    pub blobs_len: u32,
    bytes: [u8; SEGMENT_HEADER_BYTES],
}

const WHAT: &str = "a segment";

impl SegmentHeader {
    /// Reads the first 212 bytes of a segment.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(WHAT, detail);
        let bytes: [u8; SEGMENT_HEADER_BYTES] =
            bytes.first_chunk().copied().ok_or_else(|| damaged("it is cut within its header"))?;
        if &bytes[..4] != b"FSEG" {
            return Err(damaged("it does not begin with FSEG"));
        }
        if bytes[4] != 1 || bytes[6] != 1 {
            let needs = format!("segment version {} suite {}", bytes[4], bytes[6]);
            return Err(FormatError::Newer { what: WHAT.into(), needs });
        }
        let kind = BlobKind::from_byte(bytes[5]).ok_or_else(|| damaged("its kind is unknown"))?;
        let wrapped = WrappedSession(array(&bytes[124..204]));
        let wrapped = match kind {
            BlobKind::Data => Some(wrapped),
            BlobKind::Meta if wrapped.0 == [0; WrappedSession::LEN] => None,
            BlobKind::Meta => return Err(damaged("metadata with a session key")),
        };
        let facts = SegmentFacts {
            kind,
            key: key_ref(&bytes[8..28]),
            salt: array(&bytes[28..60]),
            commitment: array(&bytes[60..92]),
            wrapped,
        };
        let header = Self {
            facts,
            blobs: u32::from_le_bytes(array(&bytes[204..208])),
            blobs_len: u32::from_le_bytes(array(&bytes[208..212])),
            bytes,
        };
        if bytes[7] != 0 || header.blobs as usize > SEGMENT_BLOBS_MAX || header.bytes_len() > SEGMENT_BYTES_MAX as u64 {
            return Err(damaged("its header breaks a limit"));
        }
        Ok(header)
    }

    /// Length of the whole segment.
    pub fn bytes_len(&self) -> u64 {
        SEGMENT_HEADER_BYTES as u64 + u64::from(self.blobs_len) + self.directory_len() as u64
    }

    /// Length of the sealed directory, which ends the segment.
    pub fn directory_len(&self) -> usize {
        self.blobs as usize * RECORD_BYTES + TAG_BYTES
    }

    /// Opens the sealed directory: the records of all blobs, by position.
    pub fn open_directory(&self, keys: &WriterKeys, sealed: &[u8]) -> Result<Vec<BlobRecord>, FormatError> {
        if self.facts.key != keys.key {
            return Err(wrong_key(&self.facts));
        }
        let key = self.facts.derive(&keys.metadata_key, b"firn directory v1", keys.family);
        let key = key.committed(&self.bytes[92..124], &describe(&self.facts))?;
        if sealed.len() != self.directory_len() {
            return Err(FormatError::damaged(describe(&self.facts), "its directory has a wrong length"));
        }
        let data = directory_data(keys.family, &self.bytes);
        let plain = key.open(NONCE_ZERO, &data, sealed);
        let plain = plain.map_err(|_| FormatError::damaged(describe(&self.facts), "its directory does not open"))?;
        BlobRecord::read_all(&plain, self.blobs_len, &describe(&self.facts))
    }
}

/// Opens the blobs of one segment, in any order.
pub struct SegmentOpener {
    keys: WriterKeys,
    kind: BlobKind,
    key: SealKey,
    data: [u8; BLOB_DATA_BYTES],
    what: String,
}

impl SegmentOpener {
    /// An opener of a data segment with its session's key.
    pub fn data(keys: &WriterKeys, secret: &SessionSecret, facts: &SegmentFacts) -> Result<Self, FormatError> {
        Self::new(keys, BlobKind::Data, &secret.0, facts)
    }

    /// An opener of a metadata segment.
    pub fn meta(keys: &WriterKeys, facts: &SegmentFacts) -> Result<Self, FormatError> {
        Self::new(keys, BlobKind::Meta, &keys.metadata_key, facts)
    }

    fn new(keys: &WriterKeys, kind: BlobKind, from: &[u8; 32], facts: &SegmentFacts) -> Result<Self, FormatError> {
        if facts.key != keys.key || facts.kind != kind {
            return Err(wrong_key(facts));
        }
        let what = describe(facts);
        let key = facts.derive(from, b"firn segment v1", keys.family).committed(&facts.commitment, &what)?;
        Ok(Self { keys: keys.clone(), kind, key, data: blob_data(keys.family, facts), what })
    }

    /// Opens the blob at `position`: its tag, its exact length and its id are verified, in this order.
    pub fn open_blob(
        &self,
        work: &mut Decompressor,
        position: u32,
        record: &BlobRecord,
        sealed: &[u8],
    ) -> Result<Vec<u8>, FormatError> {
        let damaged = |detail: &str| {
            FormatError::damaged(format!("blob {} at {position} of {}", record.id.short(), self.what), detail)
        };
        if !record.is_sound() || sealed.len() != record.sealed_len as usize {
            return Err(damaged("its lengths do not fit"));
        }
        let mut data = self.data;
        name_blob(&mut data, position, record);
        let mut stored = std::mem::take(&mut work.stored);
        stored.clear();
        stored.resize(sealed.len() - TAG_BYTES, 0);
        let opened = self.key.open_into(blob_nonce(position), &data, sealed, &mut stored);
        opened.map_err(|_| damaged("it does not open"))?;
        let plain = match record.codec {
            Codec::Plain => stored,
            Codec::Zstd => {
                let plain = work.decompress(&stored, record.plain_len as usize);
                work.stored = stored;
                plain.ok_or_else(|| damaged("it does not decompress to its length"))?
            }
        };
        let id: BlobId = match self.kind {
            BlobKind::Data => self.keys.chunk_id(&plain),
            BlobKind::Meta => self.keys.node_id(&plain),
        };
        if id != record.id {
            return Err(damaged("its content has another id"));
        }
        Ok(plain)
    }
}

fn describe(facts: &SegmentFacts) -> String {
    let kind = match facts.kind {
        BlobKind::Data => "data",
        BlobKind::Meta => "metadata",
    };
    format!("{kind} segment {} of {}", Hash(facts.salt).short(), facts.key)
}

fn wrong_key(facts: &SegmentFacts) -> FormatError {
    FormatError::WrongKey { what: describe(facts) }
}
