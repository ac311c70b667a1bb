use std::collections::HashSet;

use super::*;
use crate::clock::SeededEntropy;

pub(crate) const FAMILY: FamilyId = FamilyId([0xfa; 16]);

/// Keys of a family that is the same everywhere; `name` and `generation` choose the domain's.
pub(crate) fn domain(name: &str, generation: u32) -> DomainKeys {
    let root = Root::from_bytes([7; 32]);
    root.domain_keys(FAMILY, root.domain_id(name), generation).unwrap()
}

fn secrets(keys: &DomainKeys) -> Vec<Vec<u8>> {
    let writer = keys.writer();
    let (multiplier, addend) = writer.chunker();
    vec![
        writer.chunk_id_key.to_vec(),
        writer.node_id_key.to_vec(),
        writer.metadata_key.to_vec(),
        writer.public.to_vec(),
        [multiplier.to_le_bytes(), addend.to_le_bytes()].concat(),
    ]
}

#[test]
fn every_key_of_every_domain_and_generation_is_another() {
    let mut seen = HashSet::new();
    for (name, generation) in [("a", 1), ("a", 2), ("b", 1), ("b", 256)] {
        for secret in secrets(&domain(name, generation)) {
            assert!(seen.insert(secret), "{name} {generation}");
        }
        assert_eq!(domain(name, generation).writer().chunker().0 % 2, 1);
    }
}

#[test]
fn ids_bind_the_root_and_keep_cluster_and_policy_apart() {
    let (one, two) = (Root::from_bytes([1; 32]), Root::from_bytes([2; 32]));
    assert_ne!(one.domain_id("c"), two.domain_id("c"));
    assert_ne!(one.lineage_id("ab", "c"), one.lineage_id("a", "bc"));
    assert_ne!(one.chunker_check(), two.chunker_check());
    let keys = domain("a", 1);
    assert_ne!(keys.writer().chunk_id(b"x"), keys.writer().node_id(b"x"));
}

#[test]
fn the_public_half_is_that_of_rfc_7748() {
    let (_, public) = x25519(&[1; 32]).unwrap();
    // Computed with the ladder of RFC 7748 §5 in plain integers.
    let expected = "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209";
    assert_eq!(crate::ids::Hash(public).hex(), expected);
}

#[test]
fn nothing_secret_is_printed() {
    let root = Root::generate(&SeededEntropy::new(1)).unwrap();
    assert_eq!(format!("{root:?}"), "Root(..)");
    let keys = domain("a", 1);
    let text = format!("{keys:?} {:?}", keys.writer());
    for secret in secrets(&keys) {
        let list = format!("{}, {}, {}", secret[0], secret[1], secret[2]);
        let hex: String = secret[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.contains(&list) && !text.contains(&hex), "{text}");
    }
}
