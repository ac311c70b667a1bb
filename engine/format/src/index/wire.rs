//! The CBOR of an index run.

use std::collections::HashMap;

use minicbor::bytes::{ByteArray, ByteSlice};
use minicbor::{Decode, Encode};

use crate::error::FormatError;
use crate::keys::KeyRef;
use crate::name::ObjectName;
use crate::pack::{PACK_BYTES_MAX, PACK_HEAD_BYTES, PACK_SEGMENTS_MAX};
use crate::segment::{BlobKind, BlobRecord, RECORD_BYTES, SegmentFacts};
use crate::session::WrappedSession;

use super::{IndexPack, IndexRun, IndexSegment};

const WHAT: &str = "an index run";

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireRun<'b> {
    #[b(0)]
    wrapped: Vec<&'b ByteSlice>,
    #[b(1)]
    packs: Vec<WirePack<'b>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WirePack<'b> {
    #[n(0)]
    name: ObjectName,
    #[n(1)]
    bytes_len: u32,
    #[b(2)]
    segments: Vec<WireSegment<'b>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireSegment<'b> {
    #[n(0)]
    offset: u32,
    #[n(1)]
    salt: ByteArray<32>,
    #[n(2)]
    commitment: ByteArray<32>,
    #[n(3)]
    wrapped: Option<u32>,
    #[n(4)]
    kind: u8,
    #[n(5)]
    blobs_len: u32,
    #[b(6)]
    records: &'b ByteSlice,
}

/// The plain bytes of `run`, whose segments must all be of `key`.
pub(super) fn encode(run: &IndexRun, key: KeyRef) -> Result<Vec<u8>, FormatError> {
    let segments = || run.packs.iter().flat_map(|pack| &pack.segments);
    if segments().any(|segment| segment.facts.key != key) {
        return Err(FormatError::WrongKey { what: format!("a segment in {WHAT} of {key}") });
    }
    let mut numbers = HashMap::new();
    let mut wrapped: Vec<&ByteSlice> = Vec::new();
    for session in segments().filter_map(|segment| segment.facts.wrapped.as_ref()) {
        numbers.entry(session).or_insert_with(|| {
            wrapped.push(session.0.as_slice().into());
            wrapped.len() as u32 - 1
        });
    }
    let records: Vec<Vec<u8>> = segments().map(|segment| join(&segment.records)).collect();
    let mut records = records.iter();
    let mut packs = Vec::with_capacity(run.packs.len());
    for pack in &run.packs {
        let segments = pack.segments.iter().zip(&mut records).map(|(segment, records)| WireSegment {
            offset: segment.offset,
            salt: segment.facts.salt.into(),
            commitment: segment.facts.commitment.into(),
            wrapped: segment.facts.wrapped.as_ref().and_then(|session| numbers.get(session).copied()),
            kind: segment.facts.kind.byte(),
            blobs_len: segment.blobs_len,
            records: records.as_slice().into(),
        });
        packs.push(WirePack { name: pack.name, bytes_len: pack.bytes_len, segments: segments.collect() });
    }
    minicbor::to_vec(WireRun { wrapped, packs }).map_err(|_| FormatError::Library { what: "CBOR".into() })
}

fn join(records: &[BlobRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * RECORD_BYTES);
    records.iter().for_each(|record| record.write(&mut out));
    out
}

/// Reads what [`encode`] wrote, and checks every length against the pack that it lies in.
pub(super) fn decode(plain: &[u8], key: KeyRef) -> Result<IndexRun, FormatError> {
    let run: WireRun<'_> = minicbor::decode(plain).map_err(|error| FormatError::damaged(WHAT, error.to_string()))?;
    let mut packs = Vec::with_capacity(run.packs.len());
    for pack in &run.packs {
        packs.push(decode_pack(pack, &run.wrapped, key)?);
    }
    Ok(IndexRun { packs })
}

fn decode_pack(pack: &WirePack<'_>, wrapped: &[&ByteSlice], key: KeyRef) -> Result<IndexPack, FormatError> {
    let damaged = |detail: &str| FormatError::damaged(WHAT, format!("pack {}: {detail}", pack.name.hash.short()));
    if pack.segments.len() > PACK_SEGMENTS_MAX || pack.bytes_len as usize > PACK_BYTES_MAX {
        return Err(damaged("it breaks a limit"));
    }
    let mut segments = Vec::with_capacity(pack.segments.len());
    let mut end = PACK_HEAD_BYTES;
    for segment in &pack.segments {
        let kind = BlobKind::from_byte(segment.kind).ok_or_else(|| damaged("a segment of an unknown kind"))?;
        if kind.class() != pack.name.class {
            return Err(damaged("a segment of another kind"));
        }
        let session = match (kind, segment.wrapped) {
            (BlobKind::Meta, None) => None,
            (BlobKind::Data, Some(number)) => {
                let bytes = wrapped
                    .get(number as usize)
                    .and_then(|bytes| <[u8; WrappedSession::LEN]>::try_from(&***bytes).ok());
                Some(WrappedSession(bytes.ok_or_else(|| damaged("a segment without its session key"))?))
            }
            _ => return Err(damaged("a segment with a wrong session key")),
        };
        let facts = SegmentFacts {
            kind,
            key,
            salt: segment.salt.into(),
            commitment: segment.commitment.into(),
            wrapped: session,
        };
        let records = BlobRecord::read_all(segment.records, segment.blobs_len, WHAT)?;
        let segment = IndexSegment { offset: segment.offset, facts, blobs_len: segment.blobs_len, records };
        if segment.offset as usize != end
            || segment.bytes_len() > pack.bytes_len as usize - end.min(pack.bytes_len as usize)
        {
            return Err(damaged("its segments do not follow one another within it"));
        }
        end += segment.bytes_len();
        segments.push(segment);
    }
    Ok(IndexPack { name: pack.name, bytes_len: pack.bytes_len, segments })
}
