//! How fast one core compresses, seals and opens; run by hand: `cargo test --release -p firn-format --test seal_speed -- --ignored --nocapture`.
//! `FIRN_SPEED_DIR` names a tree whose files are joined into bundles; without it the text is made up.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement: it stops at what is wrong, and prints")]

use std::time::Instant;

use firn_format::{
    BlobKind, Codec, Compressor, Decompressor, FamilyId, PackBuilder, Root, SegmentBuilder, SegmentOpener, SessionKey,
    SystemEntropy,
};

const BUNDLE_BYTES: usize = 512 << 10;
const TOTAL_BYTES: usize = 256 << 20;

fn bundles() -> Vec<Vec<u8>> {
    let mut text = Vec::with_capacity(TOTAL_BYTES);
    let mut folders: Vec<std::path::PathBuf> = std::env::var_os("FIRN_SPEED_DIR").into_iter().map(Into::into).collect();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && text.len() < TOTAL_BYTES {
                text.extend(std::fs::read(entry.path()).unwrap());
            }
        }
    }
    for number in 0u32.. {
        if text.len() >= TOTAL_BYTES {
            break;
        }
        text.extend(format!("static int field_{} = {};\n", number % 977, number.wrapping_mul(2_654_435_761)).bytes());
    }
    text.chunks_exact(BUNDLE_BYTES).map(<[u8]>::to_vec).collect()
}

fn report(what: &str, bytes: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:<40} {:8.0} MiB/s", bytes as f64 / seconds / f64::from(1 << 20));
}

#[test]
#[ignore = "measures; run by hand"]
fn speed_of_one_core() {
    let root = Root::from_bytes([1; 32]);
    let keys = root.domain_keys(FamilyId([1; 16]), root.domain_id("a"), 1).unwrap();
    let writer = keys.writer();
    let bundles = bundles();
    let total = bundles.len() * BUNDLE_BYTES;

    let start = Instant::now();
    let ids: Vec<_> = bundles.iter().map(|bundle| writer.chunk_id(bundle)).collect();
    report("ids", total, start);

    let mut frames = Vec::new();
    for level in [-1, 1, 2, 3, 4, 5] {
        let mut compressor = Compressor::new(level).unwrap();
        let mut out = Vec::new();
        frames.clear();
        let start = Instant::now();
        for bundle in &bundles {
            let codec = compressor.compress(bundle, &mut out);
            frames.push((codec, if codec == Codec::Zstd { out.clone() } else { bundle.clone() }));
        }
        let stored: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
        report(&format!("compress level {level}, ratio {:.3}", stored as f64 / total as f64), total, start);
        if level == 3 {
            seal_and_open(&keys, &bundles, &ids, &frames, total);
        }
    }
    let noise: Vec<u8> = frames.iter().flat_map(|(_, frame)| frame.iter().copied()).take(32 << 20).collect();
    let mut compressor = Compressor::new(3).unwrap();
    let mut out = Vec::new();
    let start = Instant::now();
    let plain = noise.chunks(BUNDLE_BYTES).filter(|noise| compressor.compress(noise, &mut out) == Codec::Plain).count();
    report(&format!("probe noise, {plain} of {} skipped", noise.len() / BUNDLE_BYTES), noise.len(), start);
    let plain: Vec<_> = bundles.iter().map(|bundle| (Codec::Plain, bundle.clone())).collect();
    seal_and_open(&keys, &bundles, &ids, &plain, total);
}

fn seal_and_open(
    keys: &firn_format::DomainKeys,
    bundles: &[Vec<u8>],
    ids: &[firn_format::BlobId],
    frames: &[(Codec, Vec<u8>)],
    total: usize,
) {
    let writer = keys.writer();
    let session = SessionKey::new(writer, &SystemEntropy).unwrap();
    let new_segment = || SegmentBuilder::data(writer, &session, &SystemEntropy, 16 << 20).unwrap();
    let stored: usize = frames.iter().map(|(_, frame)| frame.len()).sum();

    let start = Instant::now();
    let mut segments = Vec::new();
    let mut segment = new_segment();
    for ((codec, frame), (bundle, id)) in frames.iter().zip(bundles.iter().zip(ids)) {
        segment.push(*id, bundle.len(), *codec, frame).unwrap();
        if segment.bytes_len() >= 16 << 20 {
            segments.push(std::mem::replace(&mut segment, new_segment()).finish().unwrap());
        }
    }
    segments.push(segment.finish().unwrap());
    report("seal (of stored bytes)", stored, start);

    let start = Instant::now();
    let packs: Vec<_> = segments
        .into_iter()
        .map(|segment| {
            let mut pack = PackBuilder::new(BlobKind::Data, writer);
            pack.push(segment).unwrap();
            pack.finish(&SystemEntropy).unwrap()
        })
        .collect();
    report("pack, pad and name (of stored bytes)", stored, start);

    let start = Instant::now();
    let mut work = Decompressor::new().unwrap();
    let mut opened = 0;
    for pack in &packs {
        for segment in &pack.index.segments {
            let opener = SegmentOpener::data(writer, session.secret(), &segment.facts).unwrap();
            for (position, at, record) in segment.blobs() {
                let sealed = &pack.bytes[at as usize..][..record.sealed_len as usize];
                opened += opener.open_blob(&mut work, position, record, sealed).unwrap().len();
            }
        }
    }
    assert_eq!(opened, total);
    report("open, decompress, verify id (plain bytes)", total, start);
}
