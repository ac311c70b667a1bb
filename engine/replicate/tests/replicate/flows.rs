//! What a replication does when nothing fails.

use std::sync::Arc;

use firn_format::log::{Direction, Moved};
use firn_format::{Class, ObjectName};
use firn_replicate::ReplicateError;
use firn_repo::{Class as Exit, RepoError};
use firn_store::{MemoryStore, Operation, Recording, Store};

use crate::ground::{DAILY, Ground, HOURLY, check_same, check_whole, is_object, open, run};

#[test]
fn points_arrive_in_order_and_a_second_run_does_nothing() {
    let mut ground = Ground::new(1);
    let a = ground.a.clone();
    let daily = ground.commit(&a, DAILY, 30, 0);
    let hourly = [ground.commit(&a, HOURLY, 2, 0), ground.commit(&a, HOURLY, 3, 1)];
    let last = ground.commit(&a, DAILY, 4, 3);
    let report = ground.replicate();
    // The small lineage first, and each in its own order.
    assert_eq!(report.points, [hourly[0], daily, hourly[1], last]);
    assert_eq!((report.objects_copied, report.objects_there), (39, 0));
    assert!(report.problems.is_empty() && report.left_aside.is_empty());
    assert_eq!(report.lineages[&DAILY].newest, Some(last));
    assert_eq!(report.lineages[&DAILY].points_behind, 0);
    assert!(report.lineages[&HOURLY].age_ms.is_some());
    check_same(&ground.a, &ground.b);
    let links = |repository: &firn_repo::Repository| {
        repository.state().links().iter().map(|link| link.direction).collect::<Vec<_>>()
    };
    assert_eq!(links(&open(&ground.b)), [Direction::From]);

    let recording = Arc::new(Recording::new(ground.b.clone()));
    let idle = run(ground.a.clone(), recording.clone(), &ground.importer).unwrap();
    assert!(idle.points.is_empty() && idle.entries_mirrored == 0);
    assert_eq!(recording.count(Operation::Put).calls, 0);
}

#[test]
fn the_owner_s_key_records_the_link_at_both_ends() {
    let mut ground = Ground::new(2);
    let a = ground.a.clone();
    ground.commit(&a, DAILY, 3, 0);
    run(ground.a.clone(), ground.b.clone(), ground.owner()).unwrap();
    let (there, here) = (open(&ground.a), open(&ground.b));
    assert_eq!(there.state().links()[0].store, here.state().store());
    assert_eq!(there.state().links()[0].fingerprint, here.fingerprint());
    // The entry that records it was mirrored too; the next run has nothing to say.
    let report = run(ground.a.clone(), ground.b.clone(), ground.owner()).unwrap();
    assert_eq!((report.entries_mirrored, report.points.len()), (0, 0));
    check_same(&ground.a, &ground.b);
}

#[test]
fn strangers_twins_and_weak_keys_are_refused() {
    let (ground, other) = (Ground::new(3), Ground::new(30));
    let refused = run(other.a.clone(), ground.b.clone(), ground.owner());
    assert!(matches!(refused, Err(ReplicateError::OtherFamily { .. })));
    let refused = run(ground.a.clone(), ground.a.clone(), ground.owner());
    assert!(matches!(refused, Err(ReplicateError::Itself { .. })));
    // A copy made by other means is the same log.
    let twin = Arc::new(MemoryStore::from_snapshot(ground.a.snapshot()));
    assert!(matches!(run(ground.a.clone(), twin, ground.owner()), Err(ReplicateError::Itself { .. })));
    let stranger = firn_format::SigningKey::from_seed(&[8; 32]).unwrap();
    let before = ground.b.snapshot();
    let refused = run(ground.a.clone(), ground.b.clone(), &stranger).unwrap_err();
    assert!(matches!(refused, ReplicateError::Repo(RepoError::NotAllowed { .. })));
    assert_eq!(refused.class(), Exit::Security);
    assert_eq!(ground.b.snapshot(), before);
}

#[test]
fn what_the_source_deleted_is_not_brought_and_its_children_are_whole() {
    let mut ground = Ground::new(4);
    let a = ground.a.clone();
    let first = ground.commit(&a, DAILY, 10, 0);
    let second = ground.commit(&a, DAILY, 5, 4);
    let third = ground.commit(&a, DAILY, 2, 0);
    let needs = open(&a).state().needs(&first);
    ground.delete(&a, &[first, second]);
    let gone: Vec<ObjectName> = needs.into_iter().filter(|name| !open(&a).state().needed_by_any(name)).collect();
    assert!(!gone.is_empty());
    ground.mark(&a, &gone);
    ground.collect(&a, &gone, &[]);
    let report = ground.replicate();
    assert_eq!(report.points, [third]);
    check_same(&ground.a, &ground.b);
}

#[test]
fn what_the_target_deleted_stays_deleted_and_its_names_come_back_as_others() {
    let mut ground = Ground::new(5);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 6, 0);
    let needs = open(&a).state().needs(&first);
    ground.replicate();
    ground.delete(&b, &[first]);
    ground.mark(&b, &needs);
    ground.collect(&b, &needs, &[]);
    // The child needs what is dead in the target, and its parent is not there.
    let second = ground.commit(&a, DAILY, 2, 1);
    let report = ground.replicate();
    assert_eq!(report.points, [second]);
    let here = open(&b);
    assert!(here.state().point(&first).is_none());
    assert_eq!(here.state().needs(&second).iter().filter(|name| name.reborn.is_some()).count(), 5);
    check_whole(&b);
    // Its own children differ from it in the source's names.
    let third = ground.commit(&a, DAILY, 1, 2);
    assert_eq!(ground.replicate().points, [third]);
    check_same(&a, &b);
}

#[test]
fn candidates_in_the_target_are_rescued() {
    let mut ground = Ground::new(6);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 6, 0);
    ground.replicate();
    let needs = open(&b).state().needs(&first);
    ground.delete(&b, &[first]);
    ground.mark(&b, &needs);
    let second = ground.commit(&a, DAILY, 1, 0);
    let report = ground.replicate();
    assert_eq!((report.points, report.objects_there), (vec![second], 6));
    assert_eq!(open(&b).state().candidates().count(), 0);
    check_same(&a, &b);
}

#[test]
fn a_collection_of_the_source_changes_what_is_needed() {
    let mut ground = Ground::new(7);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let daily = ground.commit(&a, DAILY, 4, 0);
    ground.replicate();
    let hourly = ground.commit(&a, HOURLY, 4, 0);
    // One pack of each point is merged into a new one.
    let bytes = ground.dice.bytes();
    let merged = ObjectName::of(Class::Data, &bytes);
    let _created = a.put_new(&merged.path(), bytes).unwrap();
    let from = [open(&a).state().needs(&daily)[0], open(&a).state().needs(&hourly)[0]];
    ground.mark(&a, &from);
    ground.collect(&a, &[], &from.map(|from| Moved { from, to: merged }));
    // The child refers to what came from the other lineage, and its differences do not say so.
    let child = ground.commit(&a, DAILY, 1, 0);
    assert_eq!(ground.replicate().points.len(), 2);
    assert!(open(&b).state().needs(&child).contains(&merged));
    check_same(&a, &b);
}

#[test]
fn two_way_links_make_no_loop() {
    let mut ground = Ground::new(8);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let there = ground.commit(&a, DAILY, 5, 0);
    let here = ground.commit(&b, HOURLY, 5, 0);
    for round in 0..3 {
        let forth = run(a.clone(), b.clone(), ground.owner()).unwrap();
        let back = run(b.clone(), a.clone(), ground.owner()).unwrap();
        let expected = if round == 0 { (vec![there], vec![here]) } else { (vec![], vec![]) };
        assert_eq!((forth.points, back.points), expected, "round {round}");
    }
    check_same(&a, &b);
    check_same(&b, &a);
    let (before, after) = (a.snapshot().len(), b.snapshot().len());
    run(a.clone(), b.clone(), ground.owner()).unwrap();
    run(b.clone(), a.clone(), ground.owner()).unwrap();
    run(a.clone(), b.clone(), ground.owner()).unwrap();
    // Each mirrors what the other's last import added, and then both are silent.
    assert!(a.snapshot().len() - before <= 4 && b.snapshot().len() - after <= 4);
    let before = (a.snapshot().len(), b.snapshot().len());
    run(b.clone(), a.clone(), ground.owner()).unwrap();
    run(a.clone(), b.clone(), ground.owner()).unwrap();
    assert_eq!((a.snapshot().len(), b.snapshot().len()), before);
}

#[test]
fn a_large_first_point_keeps_no_other_lineage_waiting() {
    let mut ground = Ground::new(9);
    let a = ground.a.clone();
    let large = ground.commit(&a, DAILY, 600, 0);
    let small: Vec<_> = (0..4).map(|_| ground.commit(&a, HOURLY, 1, 0)).collect();
    let report = ground.replicate();
    let at = |point| report.points.iter().position(|other| other == point).unwrap();
    assert_eq!(at(&large), 3, "{:?}", report.points);
    assert!(small[..3].iter().all(|point| at(point) < 3));
    check_same(&ground.a, &ground.b);
}

#[test]
fn two_replicators_at_once_agree() {
    let mut ground = Ground::new(10);
    let a = ground.a.clone();
    for n in 0..20 {
        ground.commit(&a, if n % 3 == 0 { HOURLY } else { DAILY }, 5, n % 2);
    }
    let ground = &ground;
    let reports: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| ground.replicate())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    // Two that write the very same entry at the same time both hear that it is theirs.
    let imported: std::collections::BTreeSet<_> = reports.iter().flat_map(|report| &report.points).collect();
    assert_eq!(imported.len(), 20);
    assert!(reports.iter().all(|report| report.problems.is_empty()), "{reports:?}");
    ground.replicate();
    check_same(&ground.a, &ground.b);
    assert!(ground.b.snapshot().keys().filter(|name| is_object(name)).count() == 100);
}

#[test]
fn new_keys_arrive_too() {
    let ground = Ground::new(11);
    let a = open(&ground.a);
    let word = firn_format::Passphrase::new("second".into());
    firn_repo::add_passphrase(&a, &ground.keyring, &word, firn_format::PassphraseCost::LEAST, "second").unwrap();
    assert_eq!(ground.replicate().keys_copied, 1);
    firn_repo::unlock(&open(&ground.b), &firn_format::Secret::Passphrase(&word)).unwrap();
}
