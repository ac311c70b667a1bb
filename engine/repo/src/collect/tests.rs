use std::sync::Arc;

use firn_format::log::Lost;
use firn_format::{PointId, VoidReason};
use firn_store::{Fault, Faulty, Kind};

use super::*;
use crate::ground::{Ground, Meanwhile, assert_whole, back_up, commit, open_session, put_object};
use crate::{Class, Keyring, forget};

/// Three points that share an object, of which the first is forgotten: one object goes.
fn ground(seed: u64) -> (Ground, Repository, Keyring, Vec<PointId>) {
    let ground = Ground::new(seed);
    let (mut repository, keyring) = ground.create();
    let mut points = Vec::new();
    for own in ["one", "two", "three"] {
        points.push(back_up(&mut repository, &keyring, "all", &["base", own]).unwrap());
    }
    forget(&mut repository, &keyring, &points[..1], "old", true).unwrap();
    (ground, repository, keyring, points)
}

fn objects(ground: &Ground) -> usize {
    ground.memory.snapshot().keys().filter(|name| name.starts_with("data/")).count()
}

#[test]
fn what_no_point_needs_goes_and_all_else_stays() {
    let (ground, mut repository, keyring, _) = ground(1);
    let key = keyring.signing_key().unwrap();
    put_object(&repository, "litter of nobody").unwrap();
    assert_eq!(objects(&ground), 5);
    let collected = collect(&mut repository, key).unwrap();
    assert_eq!((collected.objects, objects(&ground)), (2, 3));
    assert_eq!(collected.bytes, "an object: one".len() as u64 + "an object: litter of nobody".len() as u64);
    let head = assert_whole(&ground).head();
    // Nothing is left to do, and nothing is appended.
    assert_eq!(collect(&mut repository, key).unwrap(), Collected::default());
    assert_eq!(ground.open().unwrap().head(), head);
}

#[test]
fn a_writer_that_pauses_loses_nothing() {
    let (ground, mut repository, keyring, points) = ground(2);
    let key = keyring.signing_key().unwrap();
    let (mut writer, _) = ground.open_unlocked(ground.memory.clone()).unwrap();
    let session = open_session(&mut writer, &keyring, "all", Some(points[2])).unwrap();
    let mut needs = writer.state().needs(&points[2]);
    needs.push(put_object(&writer, "new").unwrap());
    for _ in 0..3 {
        let collected = collect(&mut repository, key).unwrap();
        assert_eq!(collected.waiting_for, [session.open.session]);
        assert_eq!(collected.waiting_objects, 1);
    }
    let point = commit(&mut writer, &keyring, &session, &needs, true).unwrap();
    assert_whole(&ground);
    collect(&mut repository, key).unwrap();
    assert!(assert_whole(&ground).state().point(&point).is_some());
    assert_eq!(objects(&ground), 4);
}

#[test]
fn a_writer_that_refers_to_what_was_dropped_is_refused_and_nothing_breaks() {
    let (ground, mut repository, keyring, points) = ground(3);
    let (mut writer, _) = ground.open_unlocked(ground.memory.clone()).unwrap();
    let session = open_session(&mut writer, &keyring, "all", Some(points[2])).unwrap();
    let name = put_object(&writer, "one").unwrap();
    collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
    let error = commit(&mut writer, &keyring, &session, &[name], true).unwrap_err();
    assert!(matches!(error, RepoError::Refused { what: "COMMIT", reason: VoidReason::DeadName }), "{error}");
    assert_whole(&ground);
}

#[test]
fn a_session_of_last_week_is_declared_dead_by_the_store_s_clock() {
    let (ground, mut repository, keyring, points) = ground(4);
    let key = keyring.signing_key().unwrap();
    let session = open_session(&mut repository, &keyring, "all", Some(points[2])).unwrap();
    put_object(&repository, "unfinished").unwrap();
    ground.clock.advance(7 * 24 * 3600 * 1000 - 1000);
    assert_eq!(collect(&mut repository, key).unwrap().killed, []);
    ground.clock.advance(2000);
    let collected = collect(&mut repository, key).unwrap();
    // What it left is there until the next collection, for its next run.
    assert_eq!((collected.killed, collected.objects), (vec![session.open.session], 0));
    assert_eq!(objects(&ground), 4);
    assert_eq!(collect(&mut repository, key).unwrap().objects, 1);
    assert_eq!(objects(&ground), 3);
    let error = commit(&mut repository, &keyring, &session, &[], true).unwrap_err();
    assert!(matches!(error, RepoError::Refused { reason: VoidReason::SessionNotOpen, .. }));
}

#[test]
fn a_short_or_failed_list_deletes_nothing() {
    for fault in [Fault::ListCut, Fault::ListFails, Fault::Fail(Kind::Unreachable)] {
        let mut lists = 0;
        for call in 0.. {
            let (ground, repository, keyring, _) = ground(5);
            drop(repository);
            let faulty = Arc::new(Faulty::new(ground.memory.clone()).with_fault(call, fault));
            let result = Repository::open(faulty.clone(), ground.context.clone())
                .and_then(|mut repository| collect(&mut repository, keyring.signing_key()?));
            if faulty.calls() <= call {
                break;
            }
            if faulty.fault_at(call, firn_store::Operation::List).is_some() && result.is_err() {
                lists += 1;
                assert!(objects(&ground) >= 3);
            }
            assert_whole(&ground);
        }
        assert!(lists > 0, "{fault:?}");
    }
    let (ground, mut repository, keyring, points) = ground(6);
    let name = repository.state().needs(&points[2])[0];
    ground.memory.delete(&name.path()).unwrap();
    let error = collect(&mut repository, keyring.signing_key().unwrap()).unwrap_err();
    assert!(matches!(error, RepoError::Missing { count: 1, .. }));
    assert_eq!((error.class(), objects(&ground)), (Class::Damaged, 3));
    // What is known to be lost does not stop the rest.
    let lost = Payload::Lost(Lost { names: vec![name], reason: "gone".into() });
    repository.append(&lost, keyring.signing_key().unwrap()).unwrap();
    collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
    assert_eq!(objects(&ground), 2);
}

#[test]
fn a_fault_at_any_call_leaves_every_point_whole_and_a_second_run_finishes() {
    let mut cases = 0;
    let faults = [
        Fault::Crash,
        Fault::CrashAfter,
        Fault::Fail(Kind::Ambiguous),
        Fault::FailAfter(Kind::Ambiguous),
        Fault::Fail(Kind::Unreachable),
    ];
    for fault in faults {
        for call in 0.. {
            let (ground, repository, keyring, points) = ground(100 + call);
            put_object(&repository, "litter").unwrap();
            drop(repository);
            let faulty = Arc::new(Faulty::new(ground.memory.clone()).with_fault(call, fault));
            let first = Repository::open(faulty.clone(), ground.context.clone())
                .and_then(|mut repository| collect(&mut repository, keyring.signing_key()?));
            if faulty.calls() <= call {
                first.unwrap();
                break;
            }
            cases += 1;
            let mut repository = assert_whole(&ground);
            // A backup in between is not hurt by what the first run left.
            back_up(&mut repository, &keyring, "all", &["base", "four"]).unwrap();
            collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
            let repository = assert_whole(&ground);
            assert_eq!(objects(&ground), 4, "call {call}, {fault:?}");
            assert!(points[1..].iter().all(|point| repository.state().point(point).is_some()));
        }
    }
    crate::ground::say(&format!("{cases} faults"));
    assert!(cases > 100);
}

#[test]
fn what_another_collector_took_meanwhile_is_not_missing() {
    let (ground, mut other, keyring, points) = ground(8);
    let inner = ground.memory.clone();
    let (_, again) = ground.open_unlocked(inner.clone()).unwrap();
    let act = move || {
        forget(&mut other, &keyring, &points[1..2], "old", true).unwrap();
        collect(&mut other, keyring.signing_key().unwrap()).unwrap();
    };
    let store = Arc::new(Meanwhile::new(inner, |_, name| name == "data/", act));
    let mut repository = Repository::open(store, ground.context.clone()).unwrap();
    assert_eq!(collect(&mut repository, again.signing_key().unwrap()).unwrap().objects, 0);
    assert_eq!(objects(&ground), 2);
    assert_whole(&ground);
}

#[test]
fn collectors_and_writers_at_once_never_break_a_point() {
    let (ground, repository, keyring, _) = ground(7);
    drop(repository);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (ground, keyring) = (&ground, &keyring);
            scope.spawn(move || {
                let (mut repository, _) = ground.open_unlocked(ground.memory.clone()).unwrap();
                let policy = format!("policy {thread}");
                for n in 0..15 {
                    let own = format!("{thread} {n}");
                    // Shared contents come and go, so that sessions meet candidates and dead names; a refusal is no loss.
                    let shared = format!("shared {}", n % 3);
                    let _refused = back_up(&mut repository, keyring, &policy, &[&own, &shared]);
                    let lineage = keyring.lineage(crate::ground::CLUSTER, &policy);
                    let points: Vec<_> = repository.state().points_of(&lineage).map(|point| point.id).collect();
                    if let [rest @ .., _] = points.as_slice() {
                        let _kept = forget(&mut repository, keyring, rest, "old", true);
                    }
                }
            });
        }
        for _ in 0..2 {
            let (ground, keyring) = (&ground, &keyring);
            scope.spawn(move || {
                let (mut repository, _) = ground.open_unlocked(ground.memory.clone()).unwrap();
                for _ in 0..15 {
                    collect(&mut repository, keyring.signing_key().unwrap()).unwrap();
                }
            });
        }
    });
    let repository = assert_whole(&ground);
    assert!(repository.state().points().count() >= 4);
}
