use proptest::prelude::*;

use super::*;
use crate::clock::SeededEntropy;
use crate::keys::DomainKeys;
use crate::keys::tests::domain;
use crate::pack::{PACK_BYTES_MAX, PackBuilder};
use crate::segment::BlobKind;
use crate::segment::tests::sealed;

fn run(keys: &DomainKeys, packs: usize) -> IndexRun {
    let entropy = SeededEntropy::new(1);
    let pack = |number: usize| {
        let kind = if number.is_multiple_of(2) { BlobKind::Data } else { BlobKind::Meta };
        let mut builder = PackBuilder::new(kind, keys.writer());
        for segment in 0..2 {
            let blobs: Vec<Vec<u8>> = (0..3).map(|blob| vec![number as u8; 10 + blob + segment]).collect();
            builder.push(sealed(keys, kind, &blobs, &entropy)).unwrap();
        }
        builder.finish(&entropy).unwrap().index
    };
    IndexRun { packs: (0..packs).map(pack).collect() }
}

/// Seals any plain bytes as a run, as a hostile writer could.
fn seal_plain(keys: &DomainKeys, plain_len: usize, frame: &[u8]) -> Vec<u8> {
    let (head, derived) = Head::new(&INDEX, 0, keys.writer(), &SeededEntropy::new(2)).unwrap();
    let mut out = [head.bytes().as_slice(), &(plain_len as u32).to_le_bytes(), frame].concat();
    let data = head.data(&INDEX, keys.writer().family());
    derived.seal_key().unwrap().seal_tail(NONCE_ZERO, &data, &mut out, HEAD_BYTES).unwrap();
    out
}

fn reopen(keys: &DomainKeys, run: &IndexRun) -> Result<IndexRun, FormatError> {
    let plain = wire::encode(run, keys.writer().key_ref()).unwrap();
    let frame = zstd::bulk::compress(&plain, 1).unwrap();
    IndexRun::open(&seal_plain(keys, plain.len(), &frame), keys.writer())
}

#[test]
fn a_run_comes_back_and_opens_with_its_keys_alone() {
    let keys = domain("a", 1);
    for packs in [0, 1, 5] {
        let run = run(&keys, packs);
        let sealed = run.seal(keys.writer(), &SeededEntropy::new(3)).unwrap();
        assert_eq!(IndexRun::open(&sealed, keys.writer()).unwrap(), run);
        assert_eq!(IndexRun::key_of(&sealed).unwrap(), keys.writer().key_ref());
        for other in [domain("b", 1), domain("a", 2)] {
            let error = IndexRun::open(&sealed, other.writer()).unwrap_err();
            assert!(matches!(error, FormatError::WrongKey { .. }), "{error}");
        }
    }
    let foreign = run(&domain("b", 1), 1);
    assert!(foreign.seal(keys.writer(), &SeededEntropy::new(3)).is_err());
}

#[test]
fn every_flip_and_every_cut_is_found() {
    let keys = domain("a", 1);
    let sealed = run(&keys, 1).seal(keys.writer(), &SeededEntropy::new(3)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(IndexRun::open(&bytes, keys.writer()).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(IndexRun::open(&sealed[..len], keys.writer()).is_err(), "{len}");
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused_although_they_were_sealed() {
    let keys = domain("a", 1);
    let good = run(&keys, 2);
    assert_eq!(reopen(&keys, &good).unwrap(), good);
    let broken: [fn(&mut IndexPack); 9] = [
        |pack| pack.segments[0].offset += 1,
        |pack| pack.segments[1].offset -= 1,
        |pack| pack.segments.swap(0, 1),
        |pack| pack.segments[0].blobs_len += 1,
        |pack| pack.segments[0].records[0].sealed_len = u32::MAX,
        |pack| pack.segments[0].records[0].plain_len = u32::MAX,
        |pack| pack.bytes_len = 700,
        |pack| pack.bytes_len = u32::MAX,
        |pack| pack.segments[0].facts.kind = BlobKind::Meta,
    ];
    for (number, break_it) in broken.into_iter().enumerate() {
        let mut bad = good.clone();
        break_it(&mut bad.packs[0]);
        let error = reopen(&keys, &bad).unwrap_err();
        assert!(matches!(error, FormatError::Damaged { .. }), "{number}: {error}");
    }
    let mut keyless = good.clone();
    keyless.packs[0].segments[0].facts.wrapped = None;
    assert!(reopen(&keys, &keyless).is_err());
    let mut overfull = good;
    let again = overfull.packs[0].segments[0].clone();
    overfull.packs[0].segments = vec![again; 65];
    assert!(reopen(&keys, &overfull).is_err());
}

#[test]
fn hostile_frames_are_refused_before_memory_is_taken() {
    let keys = domain("a", 1);
    let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
    for said in [0, 1, 1 << 20, INDEX_PLAIN_BYTES_MAX, 100 << 20, u32::MAX as usize] {
        assert!(IndexRun::open(&seal_plain(&keys, said, &bomb), keys.writer()).is_err(), "{said}");
    }
    // An array that says that it has 2^60 elements.
    let plain = [&[0xa2, 0x00, 0x9b][..], &(1u64 << 60).to_be_bytes()].concat();
    let frame = zstd::bulk::compress(&plain, 3).unwrap();
    assert!(IndexRun::open(&seal_plain(&keys, plain.len(), &frame), keys.writer()).is_err());
    // Nested arrays under a key that no reader knows.
    let plain = [&[0xa3, 0x00, 0x80, 0x01, 0x80, 0x09][..], &vec![0x81; 1 << 20], &[0x00]].concat();
    let frame = zstd::bulk::compress(&plain, 3).unwrap();
    assert!(IndexRun::open(&seal_plain(&keys, plain.len(), &frame), keys.writer()).unwrap().packs.is_empty());
}

#[test]
fn a_run_is_cut_into_runs_that_fit() {
    let keys = domain("a", 1);
    let whole = run(&keys, 9);
    for bytes_max in [0, 1000, 2000, 3000, 1 << 20] {
        let parts = whole.clone().split(bytes_max);
        for part in &parts {
            let plain_len = wire::encode(part, keys.writer().key_ref()).unwrap().len();
            assert!(plain_len <= bytes_max || part.packs.len() == 1, "{plain_len} > {bytes_max}");
        }
        let joined: Vec<IndexPack> = parts.into_iter().flat_map(|part| part.packs).collect();
        assert_eq!(joined, whole.packs);
    }
    assert_eq!(whole.clone().split(1 << 20).len(), 1);
    assert_eq!(whole.split(0).len(), 9);
}

#[test]
fn the_least_blobs_that_fill_a_pack_fit_into_a_run() {
    let blobs = PACK_BYTES_MAX / (TAG_BYTES + RECORD_BYTES);
    let segments = crate::pack::PACK_SEGMENTS_MAX * SEGMENT_PLAIN_BYTES_MAX;
    assert!(blobs * RECORD_BYTES + segments + PACK_PLAIN_BYTES_MAX <= INDEX_PLAIN_BYTES_MAX);
    let bound = zstd::zstd_safe::compress_bound(INDEX_PLAIN_BYTES_MAX);
    assert!(HEAD_BYTES + 4 + bound + TAG_BYTES <= INDEX_BYTES_MAX);
}

proptest! {
    #[test]
    fn arbitrary_plain_bytes_are_never_a_panic(plain in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wire::decode(&plain, domain("a", 1).writer().key_ref());
    }

    #[test]
    fn a_byte_changed_before_sealing_never_breaks_a_limit(at: prop::sample::Index, byte: u8) {
        let keys = domain("a", 1);
        let mut plain = wire::encode(&run(&keys, 2), keys.writer().key_ref()).unwrap();
        let at = at.index(plain.len());
        plain[at] = byte;
        if let Ok(run) = wire::decode(&plain, keys.writer().key_ref()) {
            for pack in &run.packs {
                for segment in &pack.segments {
                    let end = segment.offset as usize + segment.bytes_len();
                    prop_assert!(end <= pack.bytes_len as usize);
                    prop_assert!(segment.blobs().all(|(_, at, blob)| at as usize + blob.sealed_len as usize <= end));
                }
            }
        }
    }
}
