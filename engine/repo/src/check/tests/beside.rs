//! What lies beside points: checkpoints, mirrors, copies, strays.

use firn_format::log::{Direction, Link};
use firn_format::{Hash, StoreId, name};

use super::*;
use crate::collect::{collect, foresee};
use crate::reader::{ReadKeys, Reader};
use crate::repair::renew_checkpoints;

/// A repository with three checkpoints, and points before and between them.
fn with_checkpoints(seed: u64) -> (Ground, Repository, Keyring) {
    let (ground, mut repository, keyring, _) = ground(seed);
    let key = keyring.signing_key().unwrap();
    for text in ["one ", "two ", "three "] {
        back_up(&mut repository, &keyring, &[("a", text)]);
        repository.store_checkpoint(key).unwrap();
    }
    back_up(&mut repository, &keyring, NEW);
    (ground, repository, keyring)
}

fn checkpoints(ground: &Ground) -> Vec<String> {
    ground.memory.snapshot().into_keys().filter(|name| name.starts_with("checkpoint/")).collect()
}

fn summary_of(repository: &Repository) -> (LogHeadOf, Vec<PointId>) {
    let head = repository.head();
    ((head.seq, head.hash), repository.state().points().map(|point| point.id).collect())
}

type LogHeadOf = (u64, Hash);

#[test]
fn a_checkpoint_gone_or_changed_is_told_and_opening_does_without() {
    let (ground, repository, keyring) = with_checkpoints(20);
    let right = summary_of(&repository);
    let whole = ground.memory.snapshot();
    let names = checkpoints(&ground);
    assert_eq!(names.len(), 3);
    let mut cases = 0;
    // Each alone, the newest two, and all of them.
    for chosen in [&names[..1], &names[1..2], &names[2..], &names[1..], &names[..]] {
        for harm in 0..4 {
            let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
            for name in chosen {
                let bytes = &whole[name];
                match harm {
                    0 => case.memory.delete(name).unwrap(),
                    1 => case.memory.overwrite(name, bytes.slice(..bytes.len() / 2)),
                    2 => case.memory.overwrite(name, [&bytes[..], b"x"].concat().into()),
                    _ => {
                        let mut bytes = bytes.to_vec();
                        let middle = bytes.len() / 2;
                        bytes[middle] ^= 16;
                        case.memory.overwrite(name, bytes.into());
                    }
                }
            }
            let mut opened = case.open().unwrap();
            assert_eq!(summary_of(&opened), right, "{chosen:?}");
            let report = check(&mut opened, &keyring, false).unwrap();
            let told: Vec<_> = report.findings.iter().map(|finding| finding.object.clone()).collect();
            assert_eq!((told, report.checkpoints_wrong), (chosen.to_vec(), chosen.len() as u64));
            assert_eq!(report.sound, right.1);
            let problem = &report.findings[0].problem;
            assert_eq!(*problem == Problem::Missing, harm == 0, "{problem}");
            // It can still be written to.
            back_up(&mut case.open().unwrap(), &keyring, OLD);
            cases += 1;
        }
    }
    say(&format!("{cases} harmed checkpoints"));
}

#[test]
fn a_checkpoint_below_the_second_newest_goes_with_a_collection_and_is_not_missed() {
    let (ground, mut repository, keyring) = with_checkpoints(21);
    let names = checkpoints(&ground);
    // Without a GC_COMMIT nobody may delete it.
    let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(ground.memory.snapshot())));
    case.memory.delete(&names[0]).unwrap();
    assert!(!check(&mut case.open().unwrap(), &keyring, false).unwrap().is_sound());

    let foreseen = foresee(&mut repository).unwrap();
    assert_eq!(foreseen.checkpoints, 1);
    let head = repository.head();
    assert_eq!(head, ground.open().unwrap().head());
    let collected = collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
    assert_eq!(collected, foreseen);
    assert_eq!(checkpoints(&ground), names[1..]);
    let report = check(&mut repository, &keyring, true).unwrap();
    assert_eq!((report.findings, report.strays), (Vec::new(), Vec::new()));
    assert_eq!(collect(&mut repository, keyring.signing_key().unwrap()).unwrap().checkpoints, 0);
    assert_eq!(summary_of(&ground.open().unwrap()), summary_of(&repository));
    // What is left must be there.
    for name in &names[1..] {
        let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(ground.memory.snapshot())));
        case.memory.delete(name).unwrap();
        let report = check(&mut case.open().unwrap(), &keyring, false).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == *name), "{:?}", report.findings);
    }
}

#[test]
fn damaged_checkpoints_keep_older_ones_and_are_renewed() {
    let (ground, _, keyring) = with_checkpoints(22);
    let names = checkpoints(&ground);
    ground.memory.overwrite(&names[2], Bytes::from_static(b"rot"));
    let mut repository = ground.open().unwrap();
    let key = keyring.signing_key().unwrap();
    assert_eq!(foresee(&mut repository).unwrap().checkpoints, 0);
    collect(&mut repository, key).unwrap();
    assert_eq!(checkpoints(&ground), names);
    assert_eq!(renew_checkpoints(&mut repository, key).unwrap(), 3);
    assert_eq!(checkpoints(&ground).len(), 2);
    assert_eq!(check(&mut ground.open().unwrap(), &keyring, false).unwrap().findings, []);
}

const PEER: StoreId = StoreId([7; 16]);

/// A repository that holds a mirror of a whole log: another repository's.
fn with_mirror(seed: u64) -> (Ground, Keyring, u64) {
    let (source, source_repository, _, _) = ground(seed);
    let (ground, mut repository, keyring, _) = ground(seed + 1);
    let store = source_repository.format().store;
    let last = source_repository.head().seq;
    for seq in 1..=last {
        let bytes = source.memory.get(&name::log_path(seq), 1 << 20).unwrap();
        ground.memory.overwrite(&name::mirror_path(store, seq), bytes);
    }
    let fingerprint = source_repository.fingerprint();
    let link = Link { store, fingerprint, url: "file:///a".into(), direction: Direction::From };
    repository.append(&Payload::Link(link), keyring.signing_key().unwrap()).unwrap();
    (ground, keyring, last)
}

#[test]
fn every_harm_to_a_mirror_is_told() {
    let (ground, keyring, last) = with_mirror(30);
    let whole = ground.memory.snapshot();
    let names: Vec<String> = whole.keys().filter(|name| name.starts_with("mirror/")).cloned().collect();
    let check_with = |harm: &dyn Fn(&MemoryStore)| {
        let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
        harm(&case.memory);
        check(&mut case.open().unwrap(), &keyring, false).unwrap()
    };
    assert_eq!(check_with(&|_| {}).findings, []);
    assert_eq!(names.len() as u64, last);
    for (at, path) in names.iter().enumerate() {
        let bytes = &whole[path];
        let mut flipped = bytes.to_vec();
        flipped[bytes.len() / 3] ^= 1;
        let other = &whole[&names[(at + 1) % names.len()]];
        let harms: [&dyn Fn(&MemoryStore); 4] = [
            &|store| store.overwrite(path, flipped.clone().into()),
            &|store| store.overwrite(path, bytes.slice(1..)),
            &|store| store.overwrite(path, other.clone()),
            &|store| store.delete(path).unwrap(),
        ];
        for (number, harm) in harms.into_iter().enumerate() {
            let report = check_with(harm);
            // Nobody can tell how far a mirror went.
            let is_last_gone = number == 3 && at + 1 == names.len();
            assert_eq!(report.findings.iter().any(|finding| finding.object == *path), !is_last_gone, "{path} {number}");
        }
    }
    // A log that is whole in itself, but another one.
    let foreign = with_mirror(40).0.memory.snapshot();
    let (from, to) = (foreign.keys().find(|name| name.starts_with("mirror/")).unwrap(), &names[0]);
    assert!(!check_with(&|store| store.overwrite(to, foreign[from].clone())).is_sound());
}

#[test]
fn strays_are_named_and_are_no_damage() {
    let (ground, mut repository, keyring) = with_checkpoints(23);
    let put = |name: String| ground.memory.overwrite(&name, Bytes::from_static(b"stray"));
    put("doctor/left".into());
    put("notes.txt".into());
    put(name::mirror_path(PEER, 3));
    put(name::checkpoint_path(9, Hash::of(b"x")));
    let pack = crate::ground::put_object(&repository, "unlisted").unwrap();
    let report = check(&mut repository, &keyring, false).unwrap();
    let mut told: Vec<_> = report.strays.iter().map(|stray| (stray.kind, stray.object.clone())).collect();
    told.sort_by(|a, b| a.1.cmp(&b.1));
    let expected = [
        (StrayKind::Checkpoint, name::checkpoint_path(9, Hash::of(b"x"))),
        (StrayKind::Unlisted, pack.path()),
        (StrayKind::Foreign, "doctor/left".to_owned()),
        (StrayKind::Mirror, name::mirror_path(PEER, 3)),
        (StrayKind::Foreign, "notes.txt".to_owned()),
    ];
    assert_eq!(told, expected);
    // What is no entry is told, whoever's mirror it is.
    let told: Vec<_> = report.findings.iter().map(|finding| finding.object.clone()).collect();
    assert!(told.iter().all(|object| object.starts_with("mirror/")), "{told:?}");
}

/// Two packs with the same content, written at the same time, and a point that refers to it.
fn with_copies(seed: u64) -> (Ground, Repository, Keyring, [PointId; 3]) {
    let ground = Ground::new(seed);
    let (mut repository, keyring) = ground.create();
    let files = [("a", "the same content "), ("b", "more of it ")];
    let (one, two) = (begin(&mut repository, &keyring, "one"), begin(&mut repository, &keyring, "two"));
    let one = finish(one, &mut repository, &keyring, &files);
    let two = finish(two, &mut repository, &keyring, &files);
    let three = begin(&mut repository, &keyring, "three");
    let three = finish(three, &mut repository, &keyring, &files);
    (ground, repository, keyring, [one, two, three])
}

#[test]
fn a_blob_is_read_from_whichever_copy_is_whole() {
    let (ground, repository, keyring, points) = with_copies(50);
    let packs: Vec<ObjectName> =
        repository.state().needs(&points[2]).into_iter().filter(|name| name.class == Class::Data).collect();
    assert_eq!(packs.len(), 2, "the third point needs both copies");
    let whole = ground.memory.snapshot();
    for (harmed, other) in [(0, 1), (1, 0)] {
        for harm in 0..3 {
            let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
            let path = packs[harmed].path();
            match harm {
                0 => case.memory.delete(&path).unwrap(),
                1 => case.memory.overwrite(&path, vec![0; whole[&path].len()].into()),
                _ => case.memory.overwrite(&path, whole[&path].slice(..700)),
            }
            let mut opened = case.open().unwrap();
            let keys = keyring.domain_keys(keyring.domain(CLUSTER), 1).unwrap();
            let reader = Reader::open(&opened, ReadKeys::All(keys)).unwrap();
            let ids: Vec<_> = reader.index().iter().map(|at| at.blob.record.id).collect();
            assert!(ids.iter().all(|id| reader.get(id).is_ok()));
            let all = |_: &firn_format::BlobId, blob: Result<Vec<u8>, RepoError>| blob.map(|_| ());
            reader.fetch(ids, 2, &all).unwrap();
            // And a check says the same: the pack is wrong, no content is lost.
            let report = check(&mut opened, &keyring, true).unwrap();
            assert!(report.findings.iter().any(|finding| finding.object == path));
            assert!(!opened.state().is_lost(&packs[harmed]), "{:?}", report.findings);
            assert!(report.sound.contains(&points[2]));
            // With the other copy gone, too, it is.
            case.memory.delete(&packs[other].path()).unwrap();
            let report = check(&mut opened, &keyring, true).unwrap();
            assert!(report.sound.is_empty(), "{:?}", report.findings);
            assert!(opened.state().is_lost(&packs[0]) && opened.state().is_lost(&packs[1]));
        }
    }
}
