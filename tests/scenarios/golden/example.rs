//! The worked example of `docs/FORMAT.md`, made from the golden files and compared with the text.

use std::fmt::Write as _;

use firn_format::{Entry, FormatFile, Hash, KeySlot, ObjectName, Passphrase, Payload, Secret};

use super::made::CLUSTER;
use super::{golden, spec};

/// A line of hexadecimal digits, 32 bytes each.
fn hex(bytes: &[u8]) -> String {
    let lines: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    lines.join("\n    ")
}

/// The example, as it must stand in the text.
fn example() -> String {
    let golden = golden();
    let mut out = String::new();
    let mut say = |what: &str, value: String| writeln!(out, "{what}\n    {value}").unwrap();
    let (format, fingerprint) = FormatFile::open(&golden["FORMAT"]).unwrap();
    say("FORMAT, its first 16 bytes", hex(&golden["FORMAT"][..16]));
    say("fingerprint", fingerprint.hex());
    say("family", format.family.hex());
    say("owner", hex(&format.owner.0));
    let (name, bytes) = golden.iter().find(|(name, _)| name.starts_with("keys/")).unwrap();
    say("key object", name.clone());
    let word = Passphrase::new("golden".into());
    let unlocked = KeySlot::parse(bytes).unwrap().open(&Secret::Passphrase(&word)).unwrap();
    let root = &unlocked.root;
    say("root", hex(root.expose()));
    say("chunker secret id", hex(&format.chunker_check));
    let domain = root.domain_id(CLUSTER);
    say("domain id of golden-cluster-uid", domain.hex());
    say("lineage id of golden-cluster-uid, policy daily", root.lineage_id(CLUSTER, "daily").hex());
    let keys = root.domain_keys(format.family, domain, 1).unwrap();
    let keys = keys.writer();
    say("node id key, generation 1", hex(keys.node_id_key()));
    say("X25519 public key, generation 1", hex(keys.public()));
    say("chunker multiplier and addend, generation 1", format!("{} {}", keys.chunker().0, keys.chunker().1));
    let (_, text) = &spec::objects(false)[0];
    say("digest of objects/apps/v1/deployments/shop/web in the first point", hex(&keys.chunk_id(text).0[..16]));
    for (name, bytes) in golden.iter().filter(|(name, _)| name.starts_with("log/")) {
        let (entry, hash) = Entry::open(bytes).unwrap();
        say(name, format!("{}, hash {}", told(&entry), hash.hex()));
    }
    let (name, bytes) = golden.iter().find(|(name, _)| name.starts_with("data/")).unwrap();
    say("the first pack of data", name.clone());
    say("its first 96 bytes: magic, version, kind; domain; generation; salt; commitment", hex(&bytes[..96]));
    assert_eq!(ObjectName::parse(name).unwrap().hash, Hash::of(bytes));
    out
}

fn told(entry: &Entry) -> String {
    match &entry.payload {
        Payload::Key(change) => format!("KEY, domain {}", change.domain.unwrap().hex()),
        Payload::SessionOpen(open) => format!("SESSION_OPEN {}", open.session.hex()),
        Payload::Commit(commit) => format!("COMMIT of {}, {} objects added", commit.session.hex(), commit.adds.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_worked_example_is_true() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FORMAT.md")).unwrap();
    let (_, section) = text.split_once("## 9. A worked example").expect("the section");
    let block = section.split("```").nth(1).expect("the block").trim_start_matches("text\n");
    let example = example();
    assert!(block == example, "docs/FORMAT.md should say:\n{example}");
}
