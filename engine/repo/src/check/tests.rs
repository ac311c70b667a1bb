use std::sync::Arc;

use bytes::Bytes;
use firn_format::log::{Commit, SessionOpen};
use firn_format::manifest::Manifest;
use firn_format::{Class, PointId, RunId, SessionId};
use firn_store::{Fault, Faulty, Kind, MemoryStore, Store};

use super::*;
use crate::ground::{CLUSTER, Ground, Meanwhile, say};
use crate::{Session, SessionPlan, Summary};

/// Backs up a volume of `files`, and returns the point.
pub(crate) fn back_up(repository: &mut Repository, keyring: &Keyring, files: &[(&str, &str)]) -> PointId {
    let session = begin(repository, keyring, "all");
    finish(session, repository, keyring, files)
}

pub(crate) fn begin(repository: &mut Repository, keyring: &Keyring, policy: &str) -> Session {
    let lineage = keyring.lineage(CLUSTER, policy);
    let parent = repository.state().latest(&lineage).map(|point| point.id);
    let plan = SessionPlan { cluster: CLUSTER.into(), lineage, parent };
    Session::open(repository, keyring, plan).unwrap()
}

pub(crate) fn finish(
    session: Session,
    repository: &mut Repository,
    keyring: &Keyring,
    files: &[(&str, &str)],
) -> PointId {
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.repeat(50))).collect();
    let mount = crate::ground::volume(session.part(), "volumes/local/data", &files);
    let manifest = Manifest {
        cluster_uid: CLUSTER.into(),
        cluster_name: "east".into(),
        policy: "all".into(),
        mounts: vec![mount],
        complete: true,
        ..Manifest::default()
    };
    let summary = |_: &crate::WriteStats| Summary { cluster: CLUSTER.into(), complete: true, ..Summary::default() };
    session.commit(repository, keyring, &manifest, &summary, Vec::new()).unwrap().point
}

pub(crate) const OLD: &[(&str, &str)] = &[("a", "first file "), ("b", "second file "), ("c", "third file ")];
pub(crate) const NEW: &[(&str, &str)] = &[("a", "first file "), ("b", "second file, changed "), ("d", "fourth file ")];

pub(crate) fn ground(seed: u64) -> (Ground, Repository, Keyring, [PointId; 2]) {
    let ground = Ground::new(seed);
    let (mut repository, keyring) = ground.create();
    let points = [back_up(&mut repository, &keyring, OLD), back_up(&mut repository, &keyring, NEW)];
    (ground, repository, keyring, points)
}

#[test]
fn a_sound_repository_is_found_sound_and_its_points_verified() {
    let (_ground, mut repository, keyring, points) = ground(1);
    for (read_data, level) in [(false, Level::Structure), (true, Level::AllData)] {
        let report = check(&mut repository, &keyring, read_data).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.sound, points);
        assert!(points.iter().all(|point| repository.state().verified(point).unwrap().level == level));
        assert_eq!(report.blobs > 0, read_data);
    }
}

/// Every object that points need, and the log: each kind of damage is told, of the right object, for the right points.
#[test]
fn every_damage_to_every_object_is_told_and_concerns_the_right_points() {
    let (ground, repository, keyring, points) = ground(2);
    let whole = ground.memory.snapshot();
    let needed: Vec<ObjectName> = repository.state().needed().copied().collect();
    assert!(needed.len() >= 6);
    let mut cases = 0;
    for name in &needed {
        let path = name.path();
        let bytes = whole[&path].clone();
        let concerned: Vec<_> =
            points.iter().copied().filter(|point| repository.state().needs(point).contains(name)).collect();
        let folder = &path[..5];
        let other = needed.iter().find(|other| other.path().starts_with(folder) && *other != name).unwrap();
        let mut damages: Vec<Option<Bytes>> = vec![
            None,
            Some(bytes.slice(..bytes.len() / 2)),
            Some(Bytes::new()),
            Some(whole[&other.path()].clone()),
            Some([bytes.as_ref(), b"more"].concat().into()),
        ];
        for at in (0..bytes.len()).step_by(bytes.len() / 12) {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 4;
            damages.push(Some(flipped.into()));
        }
        for damage in damages {
            let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
            match damage {
                Some(bytes) => case.memory.overwrite(&path, bytes),
                None => case.memory.delete(&path).unwrap(),
            }
            let mut damaged = case.open().unwrap();
            let report = check(&mut damaged, &keyring, true).unwrap();
            let finding = report.findings.iter().find(|finding| finding.object == path);
            assert_eq!(finding.map(|finding| &finding.points), Some(&concerned), "{path}");
            assert!(concerned.iter().all(|point| report.unsound.contains(point)));
            let sound: Vec<_> = points.iter().copied().filter(|point| !concerned.contains(point)).collect();
            assert_eq!(report.sound, sound, "{path}");
            assert!(damaged.state().is_lost(name));
            assert!(sound.iter().all(|point| damaged.state().verified(point).is_some()));
            assert!(concerned.iter().all(|point| damaged.state().verified(point).is_none()));
            if name.class == Class::Data {
                let finding = finding.unwrap();
                assert!(finding.paths > 0 && finding.examples[0].starts_with("volumes/local/data/"), "{finding:?}");
            }
            cases += 1;
        }
    }
    say(&format!("{cases} damages"));
    assert!(cases > 90);
}

/// A disk that was away for the time of one check, and one that gave wrong bytes: what lies there again is whole again, and what
/// is still wrong, even where only its bytes tell, is not.
#[test]
fn what_was_lost_and_lies_there_again_is_found() {
    let (ground, repository, keyring, points) = ground(9);
    let whole = ground.memory.snapshot();
    let needed: Vec<ObjectName> = repository.state().needed().copied().collect();
    let paths: Vec<String> = needed.iter().map(ObjectName::path).collect();
    for read_data in [false, true] {
        let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
        let mut repository = case.open().unwrap();
        for path in &paths {
            case.memory.delete(path).unwrap();
        }
        let report = check(&mut repository, &keyring, read_data).unwrap();
        assert_eq!((report.found, report.sound), (0, Vec::new()));
        assert_eq!(repository.state().lost().count(), needed.len());
        // All but one come back, and that one with another's bytes of the same length.
        let wrong = needed.iter().position(|name| name.class == Class::Data).unwrap();
        for path in &paths {
            case.memory.overwrite(path, whole[path].clone());
        }
        case.memory.overwrite(&paths[wrong], vec![0; whole[&paths[wrong]].len()].into());
        let report = check(&mut repository, &keyring, read_data).unwrap();
        assert_eq!(report.found, needed.len() as u64 - 1);
        assert_eq!(repository.state().lost().collect::<Vec<_>>(), [&needed[wrong]]);
        assert_eq!((report.findings.len(), report.findings[0].object.as_str()), (1, paths[wrong].as_str()));
        let shown = crate::list_points(&repository, &keyring);
        assert!(shown.iter().all(|point| (point.lost > 0) == report.unsound.contains(&point.id)));
        case.memory.overwrite(&paths[wrong], whole[&paths[wrong]].clone());
        let report = check(&mut repository, &keyring, read_data).unwrap();
        assert_eq!((report.findings, report.found, report.sound), (Vec::new(), 1, points.to_vec()));
        assert!(crate::list_points(&repository, &keyring).iter().all(|point| point.lost == 0));
        assert!(points.iter().all(|point| repository.state().verified(point).is_some()));
        assert_eq!(check(&mut repository, &keyring, read_data).unwrap().found, 0);
    }
}

/// Somebody else forgets, prunes and backs up right before each call of the check: nothing of that is damage.
#[test]
fn what_others_forget_collect_and_store_meanwhile_is_no_damage() {
    let (ground, mut repository, keyring, points) = ground(10);
    let stays = back_up(&mut repository, &keyring, &[("c", "third file "), ("f", "sixth file ")]);
    let key = keyring.signing_key().unwrap();
    for _ in 0..3 {
        repository.store_checkpoint(key).unwrap();
    }
    let whole = ground.memory.snapshot();
    let mut calls = 0;
    for read_data in [false, true] {
        for call in 0.. {
            let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
            let (mut other, key) = case.open_unlocked(case.memory.clone()).unwrap();
            let act = move || {
                crate::forget(&mut other, &key, &points, "old", true).unwrap();
                assert!(crate::collect(&mut other, key.signing_key().unwrap()).unwrap().objects > 3);
                back_up(&mut other, &key, &[("e", "fifth file ")]);
            };
            let store = Arc::new(Meanwhile::new(case.memory.clone(), move |number, _| number == call, act));
            let mut checked = Repository::open(store.clone(), case.context.clone()).unwrap();
            let report = check(&mut checked, &keyring, read_data).unwrap();
            if !store.is_done() {
                break;
            }
            assert_eq!(report.findings, [], "call {call}");
            assert!(report.sound.contains(&stays) && report.unsound.is_empty(), "call {call}");
            assert_eq!((checked.state().lost().count(), report.found), (0, 0), "call {call}");
            calls += 1;
        }
    }
    say(&format!("{calls} moments"));
    assert!(calls > 80);
}

#[test]
fn what_structure_alone_can_see_it_sees() {
    let (ground, repository, keyring, _) = ground(3);
    let whole = ground.memory.snapshot();
    let pack = repository.state().needed().find(|name| name.class == Class::Data).copied().unwrap();
    let bytes = whole[&pack.path()].clone();
    for (damage, seen) in [(None, true), (Some(bytes.slice(1..)), true), (Some(vec![0; bytes.len()].into()), false)] {
        let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
        match damage {
            Some(bytes) => case.memory.overwrite(&pack.path(), bytes),
            None => case.memory.delete(&pack.path()).unwrap(),
        }
        let report = check(&mut case.open().unwrap(), &keyring, false).unwrap();
        assert_eq!(!report.is_sound(), seen);
    }
}

#[test]
fn a_point_that_refers_to_more_than_it_says_is_told() {
    let (_ground, mut repository, keyring, points) = ground(4);
    // A third point with the second one's manifest, whose entry leaves out what that refers to.
    let manifest = repository.state().point(&points[1]).unwrap().manifest;
    let lineage = keyring.lineage(CLUSTER, "all");
    let key = keyring.signing_key().unwrap();
    let open =
        SessionOpen { session: SessionId([1; 16]), run: RunId([2; 16]), lineage, epoch: 0, parent: Some(points[1]) };
    repository.append(&Payload::SessionOpen(open.clone()), key).unwrap();
    let needs = repository.state().needs(&points[1]);
    for (byte, left_out) in [(3, Class::Meta), (4, Class::Data)] {
        let dropped: Vec<_> = needs.iter().copied().filter(|name| name.class == left_out).collect();
        let session = SessionId([byte; 16]);
        let open = SessionOpen { session, ..open.clone() };
        repository.append(&Payload::SessionOpen(open.clone()), key).unwrap();
        let commit = Commit {
            session,
            run: open.run,
            lineage,
            epoch: 0,
            parent: open.parent,
            manifest,
            domain: keyring.domain(CLUSTER),
            generation: 1,
            adds: Vec::new(),
            needs_added: Vec::new(),
            needs_dropped: dropped.clone(),
            peers: Vec::new(),
            summary: Vec::new(),
            rescues: Vec::new(),
            collected_to: 0,
        };
        let point: PointId = repository.append(&Payload::Commit(Box::new(commit)), key).unwrap().hash.into();
        let report = check(&mut repository, &keyring, false).unwrap();
        assert_eq!(report.sound, points);
        for name in dropped {
            let told = report.findings.iter().find(|finding| finding.object == name.path());
            let told = told.unwrap();
            assert_eq!((&told.problem, told.points.contains(&point)), (&Problem::NotNeeded, true));
        }
    }
}

#[test]
fn a_damaged_log_is_told_and_the_points_before_it_are_checked() {
    let (ground, repository, keyring, points) = ground(5);
    let last = repository.head().seq;
    let whole = ground.memory.snapshot();
    for seq in 1..=last {
        let case = ground.with_memory(Arc::new(MemoryStore::from_snapshot(whole.clone())));
        case.memory.overwrite(&firn_format::name::log_path(seq), Bytes::from_static(b"torn"));
        let mut damaged = case.open().unwrap();
        let report = check(&mut damaged, &keyring, true).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == firn_format::name::log_path(seq)), "{seq}");
        let live: Vec<_> = damaged.state().points().map(|point| point.id).collect();
        assert_eq!(report.sound, live);
        assert!(points.starts_with(&live));
        // Nothing is appended to a damaged log.
        assert_eq!(case.memory.snapshot().len(), whole.len());
    }
}

#[test]
fn a_checkpoint_that_lies_is_told() {
    let (ground, mut repository, keyring, points) = ground(6);
    let key = keyring.signing_key().unwrap();
    // The state without the second point, vouched for by a signer at the end of the log that holds it.
    let mut short = firn_format::State::genesis(repository.format(), repository.fingerprint());
    let seq_of_second = repository.state().point(&points[1]).unwrap().seq;
    for seq in 1..=repository.head().seq {
        let bytes = repository.raw_entry(seq).unwrap().unwrap();
        if seq == seq_of_second {
            // Anything else at that place leaves the point out; the chain is what the checkpoint does not show.
            break;
        }
        let _ = short.apply(Some(&bytes));
    }
    let object = short.to_checkpoint().unwrap();
    let hash = firn_format::Hash::of(&object);
    let seq = repository.head().seq + 1;
    ground.memory.overwrite(&firn_format::name::checkpoint_path(seq, hash), object.into());
    repository.append(&Payload::Checkpoint(firn_format::log::Checkpoint { hash }), key).unwrap();
    let report = check(&mut repository, &keyring, false).unwrap();
    let told = report.findings.iter().find(|finding| finding.object.starts_with("checkpoint/"));
    assert!(told.is_some(), "{:?}", report.findings);
}

#[test]
fn a_store_that_does_not_answer_is_no_damage() {
    let (ground, repository, keyring, points) = ground(7);
    drop(repository);
    let whole = ground.memory.snapshot();
    let mut failed = 0;
    for call in 0.. {
        let fault = Fault::Fail(Kind::Unreachable);
        let memory = Arc::new(MemoryStore::from_snapshot(whole.clone()));
        let faulty = Arc::new(Faulty::new(memory).with_fault(call, fault));
        let Ok(mut repository) = Repository::open(faulty.clone(), ground.context.clone()) else { continue };
        let result = check(&mut repository, &keyring, true);
        if faulty.calls() <= call {
            break;
        }
        match result {
            Ok(report) => assert_eq!((report.findings, report.sound), (Vec::new(), points.to_vec()), "call {call}"),
            Err(error) => {
                failed += 1;
                assert_eq!(error.class(), crate::Class::Failed, "call {call}: {error}");
            }
        }
    }
    assert!(failed > 10);
}

#[test]
fn a_store_that_takes_no_writes_is_checked_all_the_same() {
    struct ReadOnly(Arc<MemoryStore>);
    impl Store for ReadOnly {
        fn put_new(&self, name: &str, _: Bytes) -> firn_store::Result<firn_store::Put> {
            Err(firn_store::StoreError::new(firn_store::Operation::Put, name, "memory:", Kind::ReadOnly))
        }
        fn get(&self, name: &str, bytes_max: u64) -> firn_store::Result<Bytes> {
            self.0.get(name, bytes_max)
        }
        fn get_range(&self, name: &str, range: std::ops::Range<u64>) -> firn_store::Result<Bytes> {
            self.0.get_range(name, range)
        }
        fn head(&self, name: &str) -> firn_store::Result<firn_store::Head> {
            self.0.head(name)
        }
        fn list(
            &self,
            prefix: &str,
            after: Option<&str>,
            each: &mut dyn FnMut(firn_store::Listed) -> std::ops::ControlFlow<()>,
        ) -> firn_store::Result<()> {
            self.0.list(prefix, after, each)
        }
        fn delete(&self, name: &str) -> firn_store::Result<()> {
            Err(firn_store::StoreError::new(firn_store::Operation::Delete, name, "memory:", Kind::ReadOnly))
        }
        fn describe(&self) -> String {
            self.0.describe()
        }
        fn time(&self) -> firn_store::Result<jiff::Timestamp> {
            self.0.time()
        }
    }
    let (ground, _, keyring, points) = ground(8);
    let store = Arc::new(ReadOnly(ground.memory.clone()));
    let mut repository = Repository::open(store, ground.context.clone()).unwrap();
    assert_eq!(check(&mut repository, &keyring, true).unwrap().sound, points);
}

mod beside;
