use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::clock::SeededEntropy;
use crate::compress::{Compressor, Decompressor};
use crate::keys::DomainKeys;
use crate::keys::tests::domain;
use crate::seal::used;
use crate::session::SessionSecret;

/// A finished segment of these blobs, and the session it was sealed in if it holds data.
pub(crate) fn sealed(keys: &DomainKeys, kind: BlobKind, blobs: &[Vec<u8>], entropy: &SeededEntropy) -> SealedSegment {
    let writer = keys.writer();
    let mut compressor = Compressor::new(1).unwrap();
    let mut frame = Vec::new();
    let mut builder = match kind {
        BlobKind::Data => {
            let session = SessionKey::new(writer, entropy).unwrap();
            SegmentBuilder::data(writer, &session, entropy, 0).unwrap()
        }
        BlobKind::Meta => SegmentBuilder::meta(writer, entropy, 0).unwrap(),
    };
    for (blob, position) in blobs.iter().zip(0..) {
        let id = match kind {
            BlobKind::Data => writer.chunk_id(blob),
            BlobKind::Meta => writer.node_id(blob),
        };
        let codec = compressor.compress(blob, &mut frame);
        let stored = if codec == Codec::Zstd { &frame } else { blob };
        assert_eq!(builder.push(id, blob.len(), codec, stored).unwrap(), position);
    }
    let expected_len = builder.bytes_len();
    let segment = builder.finish().unwrap();
    assert_eq!(segment.bytes().len(), expected_len);
    assert_eq!(segment.index.bytes_len(), expected_len);
    segment
}

fn opener(keys: &DomainKeys, facts: &SegmentFacts) -> Result<SegmentOpener, FormatError> {
    match &facts.wrapped {
        Some(wrapped) => SegmentOpener::data(keys.writer(), &keys.unwrap_session(wrapped)?, facts),
        None => SegmentOpener::meta(keys.writer(), facts),
    }
}

/// Header, directory and every blob from the stored bytes alone.
pub(crate) fn open_all(keys: &DomainKeys, bytes: &[u8]) -> Result<Vec<Vec<u8>>, FormatError> {
    let header = SegmentHeader::parse(bytes)?;
    if header.bytes_len() != bytes.len() as u64 {
        return Err(FormatError::damaged("a segment", "its length"));
    }
    let directory = &bytes[SEGMENT_HEADER_BYTES + header.blobs_len as usize..];
    let records = header.open_directory(keys.writer(), directory)?;
    let opener = opener(keys, &header.facts)?;
    let mut work = Decompressor::new()?;
    let index = IndexSegment { offset: 0, facts: header.facts, blobs_len: header.blobs_len, records };
    let blobs = index.blobs().map(|(position, at, record)| {
        let at = at as usize;
        opener.open_blob(&mut work, position, record, &bytes[at..at + record.sealed_len as usize])
    });
    blobs.collect()
}

fn two_blobs() -> Vec<Vec<u8>> {
    vec![b"int main(void) { return 0; }".to_vec(), vec![7; 300]]
}

const KINDS: [BlobKind; 2] = [BlobKind::Data, BlobKind::Meta];

#[test]
fn every_flip_of_a_segment_is_found() {
    let keys = domain("a", 1);
    for kind in KINDS {
        let bytes = sealed(&keys, kind, &two_blobs(), &SeededEntropy::new(1)).bytes().to_vec();
        assert_eq!(open_all(&keys, &bytes).unwrap(), two_blobs());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open_all(&keys, &flipped).is_err(), "{kind:?} bit {bit}");
        }
    }
}

#[test]
fn every_cut_of_a_segment_is_found() {
    let keys = domain("a", 1);
    let bytes = sealed(&keys, BlobKind::Data, &two_blobs(), &SeededEntropy::new(1)).bytes().to_vec();
    for len in 0..bytes.len() {
        assert!(open_all(&keys, &bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn a_wrong_key_is_not_damage_and_damage_is_not_a_wrong_key() {
    let keys = domain("a", 1);
    let root = crate::keys::Root::from_bytes([8; 32]);
    let id = keys.writer().key_ref();
    let same_name = root.domain_keys(keys.writer().family(), id.domain, id.generation).unwrap();
    let root = crate::keys::Root::from_bytes([7; 32]);
    let other_family = root.domain_keys(FamilyId([0; 16]), id.domain, id.generation).unwrap();
    for kind in KINDS {
        let segment = sealed(&keys, kind, &two_blobs(), &SeededEntropy::new(1));
        let facts = &segment.index.facts;
        let header = SegmentHeader::parse(segment.bytes()).unwrap();
        let directory = segment.bytes()[SEGMENT_HEADER_BYTES + header.blobs_len as usize..].to_vec();
        for other in [&same_name, &other_family, &domain("a", 2), &domain("b", 1)] {
            let wrong = header.open_directory(other.writer(), &directory).unwrap_err();
            assert!(matches!(wrong, FormatError::WrongKey { .. }), "{wrong}");
            let secret = SessionSecret([0; 32]);
            let wrong = match kind {
                BlobKind::Data => SegmentOpener::data(other.writer(), &secret, facts).err(),
                BlobKind::Meta => SegmentOpener::meta(other.writer(), facts).err(),
            };
            assert!(matches!(wrong, Some(FormatError::WrongKey { .. })), "{wrong:?}");
        }
        // The right kind of key for the other kind of segment.
        let crossed = match kind {
            BlobKind::Data => SegmentOpener::meta(keys.writer(), facts).err(),
            BlobKind::Meta => SegmentOpener::data(keys.writer(), &SessionSecret([0; 32]), facts).err(),
        };
        assert!(matches!(crossed, Some(FormatError::WrongKey { .. })));
        let mut damaged = directory;
        damaged[0] ^= 1;
        let error = header.open_directory(keys.writer(), &damaged).unwrap_err();
        assert!(matches!(error, FormatError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_blob_opens_at_its_own_place_as_itself_alone() {
    let keys = domain("a", 1);
    let entropy = SeededEntropy::new(1);
    let blobs = [vec![1; 400], vec![2; 400]];
    for kind in KINDS {
        let (one, two) = (sealed(&keys, kind, &blobs, &entropy), sealed(&keys, kind, &blobs, &entropy));
        let open = opener(&keys, &one.index.facts).unwrap();
        let mut work = Decompressor::new().unwrap();
        let bytes_of = |segment: &SealedSegment, number: usize| {
            let (_, at, record) = segment.index.blobs().nth(number).unwrap();
            segment.bytes()[at as usize..][..record.sealed_len as usize].to_vec()
        };
        let record = one.index.records[0];
        let right = bytes_of(&one, 0);
        assert_eq!(open.open_blob(&mut work, 0, &record, &right).unwrap(), blobs[0]);
        let mut refused = |position, record: BlobRecord, sealed: &[u8]| {
            let error = open.open_blob(&mut work, position, &record, sealed).unwrap_err();
            assert!(matches!(error, FormatError::Damaged { .. }), "{error}");
        };
        refused(1, record, &right);
        refused(0, one.index.records[1], &right);
        refused(0, record, &bytes_of(&one, 1));
        refused(0, record, &bytes_of(&two, 0));
        refused(0, BlobRecord { plain_len: record.plain_len + 1, ..record }, &right);
        refused(0, BlobRecord { plain_len: u32::MAX, ..record }, &right);
        refused(0, BlobRecord { sealed_len: record.sealed_len - 1, ..record }, &right[1..]);
        refused(0, BlobRecord { codec: Codec::Plain, plain_len: record.sealed_len - 16, ..record }, &right);
        refused(0, BlobRecord { sealed_len: 0, plain_len: 0, codec: Codec::Zstd, ..record }, &[]);
    }
}

#[test]
fn content_under_a_foreign_id_is_found_although_it_was_sealed_in_order() {
    let keys = domain("a", 1);
    let mut builder = SegmentBuilder::meta(keys.writer(), &SeededEntropy::new(1), 0).unwrap();
    builder.push(keys.writer().node_id(b"another"), 5, Codec::Plain, b"plain").unwrap();
    let bomb = zstd::bulk::compress(&[0; 5000], 3).unwrap();
    builder.push(keys.writer().node_id(&[0; 4999]), 4999, Codec::Zstd, &bomb).unwrap();
    let segment = builder.finish().unwrap();
    let open = opener(&keys, &segment.index.facts).unwrap();
    for (position, at, record) in segment.index.blobs() {
        let sealed = &segment.bytes()[at as usize..][..record.sealed_len as usize];
        let error = open.open_blob(&mut Decompressor::new().unwrap(), position, record, sealed).unwrap_err();
        assert!(matches!(error, FormatError::Damaged { .. }), "{error}");
    }
}

#[test]
fn limits_are_kept_when_sealing() {
    let keys = domain("a", 1);
    let mut builder = SegmentBuilder::meta(keys.writer(), &SeededEntropy::new(1), usize::MAX).unwrap();
    let id = BlobId([0; 32]);
    let too_large = builder.push(id, BLOB_BYTES_MAX + 1, Codec::Plain, &vec![0; BLOB_BYTES_MAX + 1]);
    assert!(matches!(too_large, Err(FormatError::TooLarge { .. })));
    assert!(builder.push(id, 10, Codec::Plain, &[0; 9]).is_err(), "plain, but shorter");
    assert!(builder.push(id, 10, Codec::Zstd, &[0; 11]).is_err(), "compressed to more");
    let full = vec![0; BLOB_BYTES_MAX];
    for _ in 0..3 {
        builder.push(id, full.len(), Codec::Plain, &full).unwrap();
    }
    assert!(!builder.fits(full.len()));
    assert!(matches!(builder.push(id, full.len(), Codec::Plain, &full), Err(FormatError::TooLarge { .. })));
    let rest = SEGMENT_BYTES_MAX - builder.bytes_len() - BLOB_OVERHEAD_BYTES;
    assert!(builder.fits(rest) && !builder.fits(rest + 1));
    builder.push(id, rest, Codec::Plain, &full[..rest]).unwrap();
    assert_eq!(builder.finish().unwrap().bytes().len(), SEGMENT_BYTES_MAX);
}

#[test]
fn no_key_meets_a_nonce_twice() {
    used::take();
    let entropy = SeededEntropy::new(77);
    let mut sealings = 0;
    for round in 0..20u32 {
        let keys = domain("a", 1 + round % 2);
        for kind in KINDS {
            let blobs: Vec<Vec<u8>> = (0..round).map(|n| vec![n as u8; 20]).collect();
            let segment = sealed(&keys, kind, &blobs, &entropy);
            let mut pack = crate::pack::PackBuilder::new(kind, keys.writer());
            pack.push(segment).unwrap();
            let pack = pack.finish(&entropy).unwrap();
            let run = crate::index::IndexRun { packs: vec![pack.index] };
            run.seal(keys.writer(), &entropy).unwrap();
            crate::sealed_box::seal_box(b"same", keys.writer(), &entropy).unwrap();
            // Blobs, directory, table, run, box, and the wrapped key.
            sealings += round as usize + 4 + usize::from(kind == BlobKind::Data);
        }
    }
    let pairs = used::take();
    assert_eq!(pairs.len(), sealings);
    assert_eq!(pairs.iter().collect::<HashSet<_>>().len(), sealings);
}

proptest! {
    #[test]
    fn blobs_come_back(
        blobs in prop::collection::vec(prop::collection::vec(0u8..20, 0..2000), 0..20),
        seed: u64,
        data: bool,
    ) {
        let keys = domain("a", 1);
        let kind = if data { BlobKind::Data } else { BlobKind::Meta };
        let segment = sealed(&keys, kind, &blobs, &SeededEntropy::new(seed));
        prop_assert_eq!(open_all(&keys, segment.bytes()).unwrap(), blobs);
    }

    #[test]
    fn arbitrary_bytes_are_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), disguise: bool) {
        if disguise && bytes.len() > 8 {
            bytes[..8].copy_from_slice(b"FSEG\x01\x02\x01\x00");
        }
        if let Ok(header) = SegmentHeader::parse(&bytes) {
            let keys = domain("a", 1);
            prop_assert!(header.open_directory(keys.writer(), &bytes[SEGMENT_HEADER_BYTES..]).is_err());
        }
        let _ = BlobRecord::read_all(&bytes, 0, "a test");
    }
}
