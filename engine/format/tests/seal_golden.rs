//! Frozen bytes: what one root, one seed and a few blobs have always come to (`docs/golden/seal.json`).
//! When this test fails, repositories that exist can no longer be read or deduplicated against.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at what is wrong")]

use firn_format::{
    BlobKind, Codec, Decompressor, FamilyId, Hash, IndexRun, Kit, Pack, PackBuilder, Passphrase, PassphraseCost, Root,
    Secret, SeededEntropy, SegmentBuilder, SegmentOpener, SessionKey, Unlocked, open_box, open_slot, rebuild, seal_box,
    seal_kit, seal_passphrase,
};
use serde_json::{Value, json};

const FROZEN: &str = include_str!("../../../docs/golden/seal.json");

const PLAIN: &[u8] = b"granular snow that survives the summer";
/// 500 times `a`, as one zstd frame; frozen, because another zstd may write another.
const FRAME: &[u8] =
    &[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0xf4, 0x00, 0x4d, 0x00, 0x00, 0x10, 0x61, 0x61, 0x01, 0x00, 0xef, 0x2a, 0xc0, 0x02];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn root() -> Root {
    Root::from_bytes(std::array::from_fn(|at| at as u8))
}

fn family() -> FamilyId {
    FamilyId([0xf1; 16])
}

fn unlocked() -> Unlocked {
    Unlocked { root: root(), owner_seed: Some([0x5e; 32].into()) }
}

fn pack(kind: BlobKind, entropy: &SeededEntropy) -> Pack {
    let keys = root().domain_keys(family(), root().domain_id("cluster-uid"), 1).unwrap();
    let writer = keys.writer();
    let mut segment = match kind {
        BlobKind::Data => {
            let session = SessionKey::new(writer, entropy).unwrap();
            SegmentBuilder::data(writer, &session, entropy, 0).unwrap()
        }
        BlobKind::Meta => SegmentBuilder::meta(writer, entropy, 0).unwrap(),
    };
    let id = |plain: &[u8]| match kind {
        BlobKind::Data => writer.chunk_id(plain),
        BlobKind::Meta => writer.node_id(plain),
    };
    segment.push(id(PLAIN), PLAIN.len(), Codec::Plain, PLAIN).unwrap();
    segment.push(id(&[b'a'; 500]), 500, Codec::Zstd, FRAME).unwrap();
    let mut pack = PackBuilder::new(kind, writer);
    pack.push(segment.finish().unwrap()).unwrap();
    pack.finish(entropy).unwrap()
}

/// Everything, made anew.
fn made() -> Value {
    let entropy = SeededEntropy::new(2026);
    let domain = root().domain_id("cluster-uid");
    let keys = root().domain_keys(family(), domain, 1).unwrap();
    let writer = keys.writer();
    let kit = Kit::generate(Hash([0xf0; 32]), family(), &entropy).unwrap();
    let word = Passphrase::new("correct horse".into());
    let cost = PassphraseCost::LEAST;
    let (data, meta) = (pack(BlobKind::Data, &entropy), pack(BlobKind::Meta, &entropy));
    json!({
        "root": hex(root().expose()),
        "family": family().hex(),
        "domain of cluster-uid": domain.hex(),
        "lineage of cluster-uid, policy daily": root().lineage_id("cluster-uid", "daily").hex(),
        "chunker check": hex(&root().chunker_check()),
        "chunker multiplier and addend": writer.chunker(),
        "public": hex(writer.public()),
        "plain": hex(PLAIN),
        "chunk id of plain": writer.chunk_id(PLAIN).hex(),
        "node id of plain": writer.node_id(PLAIN).hex(),
        "kit": *kit.encode(),
        "key object of the kit": hex(&seal_kit(&unlocked(), &kit, "kit", 1, &entropy).unwrap()),
        "key object of the passphrase correct horse":
            hex(&seal_passphrase(family(), &unlocked(), &word, cost, "word", 2, &entropy).unwrap()),
        "data pack": hex(&data.bytes),
        "data pack name": data.index.name.path(),
        "meta pack": hex(&meta.bytes),
        "meta pack name": meta.index.name.path(),
        "sealed box of plain": hex(&seal_box(PLAIN, writer, &entropy).unwrap()),
        "index run of both packs": hex(&IndexRun { packs: vec![data.index, meta.index] }.seal(writer, &entropy).unwrap()),
    })
}

#[test]
fn the_same_bytes_are_made_as_ever() {
    let (mut made, mut frozen): (Value, Value) = (made(), serde_json::from_str(FROZEN).unwrap());
    let text = serde_json::to_string_pretty(&made).unwrap();
    // Compressed inside, so its bytes are zstd's to choose; that it opens is tested below.
    for value in [&mut made, &mut frozen] {
        value.as_object_mut().unwrap().remove("index run of both packs");
    }
    assert_eq!(made, frozen, "made now:\n{text}");
}

#[test]
fn frozen_bytes_open() {
    let frozen: Value = serde_json::from_str(FROZEN).unwrap();
    let keys = root().domain_keys(family(), root().domain_id("cluster-uid"), 1).unwrap();
    let writer = keys.writer();
    let run = IndexRun::open(&unhex(&frozen["index run of both packs"]), writer).unwrap();
    let mut work = Decompressor::new().unwrap();
    for (pack, bytes) in run.packs.iter().zip([&frozen["data pack"], &frozen["meta pack"]]) {
        let bytes = unhex(bytes);
        assert_eq!(&rebuild(pack.name, &bytes, writer).unwrap(), pack);
        let segment = &pack.segments[0];
        let opener = match &segment.facts.wrapped {
            Some(wrapped) => SegmentOpener::data(writer, &keys.unwrap_session(wrapped).unwrap(), &segment.facts),
            None => SegmentOpener::meta(writer, &segment.facts),
        };
        for ((position, at, record), plain) in segment.blobs().zip([PLAIN, &[b'a'; 500]]) {
            let sealed = &bytes[at as usize..][..record.sealed_len as usize];
            assert_eq!(opener.as_ref().unwrap().open_blob(&mut work, position, record, sealed).unwrap(), plain);
        }
    }
    assert_eq!(open_box(&unhex(&frozen["sealed box of plain"]), writer).unwrap(), PLAIN);
    let kit = Kit::parse(frozen["kit"].as_str().unwrap()).unwrap();
    let word = Passphrase::new("correct horse".into());
    let slots = [
        ("key object of the kit", Secret::Kit(&kit)),
        ("key object of the passphrase correct horse", Secret::Passphrase(&word)),
    ];
    for (name, secret) in slots {
        let opened = open_slot(&unhex(&frozen[name]), &secret).unwrap();
        assert_eq!(opened.root.expose(), root().expose(), "{name}");
        assert_eq!(*opened.owner_seed.unwrap(), [0x5e; 32], "{name}");
    }
}
