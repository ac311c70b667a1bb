use proptest::prelude::*;

use super::*;

fn mount(path: &str) -> Mount {
    Mount {
        path: path.into(),
        root: BlobId([3; 32]),
        domain: DomainId([4; 16]),
        generation: 1,
        kind: MountKind::Files,
        consistency: Consistency::Frozen,
        cut_ms: 1_700_000_000_000,
        stale: false,
        entries: 5,
        bytes: 6,
        exceptions: 0,
        method: "path".into(),
    }
}

fn sample() -> Manifest {
    Manifest {
        cluster_uid: "uid".into(),
        cluster_name: "a".into(),
        policy: "default".into(),
        cut_ms: 1_700_000_000_000,
        end_ms: 1_700_000_001_000,
        mounts: vec![
            Mount { kind: MountKind::Objects, consistency: Consistency::Crash, ..mount("objects") },
            Mount { stale: true, consistency: Consistency::Live, exceptions: 2, ..mount("volumes/local/a") },
            mount("volumes/local/b"),
        ],
        complete: true,
        exceptions: 2,
        exceptions_node: Some(BlobId([9; 32])),
        facts: r#"{"nodes":[{"zone":"1"}]}"#.into(),
        writer_version: "0.1.0".into(),
        namespaces: vec!["default".into(), "shop".into()],
    }
}

#[test]
fn manifests_come_back_as_they_were() {
    for manifest in [sample(), Manifest::default()] {
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    }
    assert_eq!(sample().mount("volumes/local/a").unwrap().exceptions, 2);
    assert_eq!(sample().mount("volumes/local"), None);
    assert_eq!(sample().worst_consistency(), Some(Consistency::Live));
}

#[test]
fn the_bytes_of_a_manifest_are_the_frozen_ones() {
    let hash = crate::Hash::of(&sample().encode().unwrap());
    assert_eq!(hash.hex(), "76b24691603c9496d5fcd518052a5bf44152787172cc361c118fc74f22b84c64");
}

#[test]
fn manifests_that_break_a_rule_are_refused() {
    type Break = fn(&mut Manifest);
    let breaks: [(Break, &str); 9] = [
        (|m| m.mounts.swap(0, 1), "out of order"),
        (|m| m.mounts[1].path = "objects".into(), "out of order"),
        (|m| m.mounts[1].path = "objects/x".into(), "inside one another"),
        (|m| m.mounts[0].path = "../x".into(), "usable path"),
        (|m| m.mounts[0].path.clear(), "usable path"),
        (|m| m.mounts[0].generation = 0, "generation"),
        (|m| m.facts = "{".into(), "JSON"),
        (|m| m.namespaces.reverse(), "namespaces"),
        (|m| m.policy = "x".repeat(70_000), "too long"),
    ];
    for (change, why) in breaks {
        let mut manifest = sample();
        change(&mut manifest);
        let error = manifest.encode().unwrap_err().to_string();
        assert!(error.contains(why), "{error} instead of {why}");
        // The same from bytes that someone else wrote.
        assert!(Manifest::decode(&wire::manifest_bytes(&manifest)).unwrap_err().to_string().contains(why));
    }
}

fn exception(number: usize) -> Exception {
    Exception {
        path: format!("dir/{number}"),
        reason: "unreadable".into(),
        detail: "permission denied".into(),
        mount: "volumes/local/a".into(),
    }
}

#[test]
fn exceptions_come_back_as_far_as_there_is_room() {
    let few: Vec<_> = (0..3).map(exception).collect();
    let (plain, kept) = encode_exceptions(&few);
    assert_eq!((decode_exceptions(&plain).unwrap(), kept), (few, 3));
    let many: Vec<_> = (0..EXCEPTIONS_MAX + 5).map(exception).collect();
    let (plain, kept) = encode_exceptions(&many);
    assert_eq!((decode_exceptions(&plain).unwrap().as_slice(), kept), (&many[..EXCEPTIONS_MAX], EXCEPTIONS_MAX));
    let long: Vec<_> = (0..3000).map(|n| Exception { path: "ä".repeat(40_000), ..exception(n) }).collect();
    let (plain, kept) = encode_exceptions(&long);
    assert!(plain.len() < 5 << 20 && kept > 900 && kept < 3000, "{kept} kept in {} bytes", plain.len());
    assert_eq!(decode_exceptions(&plain).unwrap()[0].path, "ä".repeat(2048));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_an_error_or_a_manifest(
        plain in prop::collection::vec(any::<u8>(), 0..100),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut damaged = sample().encode().unwrap();
        let mut exceptions = encode_exceptions(&[exception(1), exception(2)]).0;
        for (at, byte) in hits {
            let (a, b) = (at.index(damaged.len()), at.index(exceptions.len()));
            damaged[a] = byte;
            exceptions[b] = byte;
        }
        for bytes in [&plain, &damaged, &exceptions] {
            if let Ok(manifest) = Manifest::decode(bytes) {
                prop_assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
            }
            let _ = decode_exceptions(bytes);
        }
    }
}
