//! Failover and failback: who may go on, and what stays aside.

use firn_format::log::{Head, Unfence};
use firn_format::{Payload, VoidReason};
use firn_replicate::{FenceNews, Problem, ReplicateError, ReplicateOptions, import_fences, replicate};
use firn_repo::{Class, RepoError};

use crate::ground::{DAILY, Ground, HOURLY, check_same, check_whole, open, run};

/// Fails over: the target fences the lineage at what it has seen of the source.
fn fail_over(ground: &Ground) -> firn_format::Hash {
    let seen = open(&ground.a);
    let head = Head { store: seen.format().store, seq: seen.head().seq, hash: seen.head().hash };
    ground.fence(&ground.b, DAILY, vec![head])
}

#[test]
fn an_old_primary_learns_it_and_is_refused() {
    let mut ground = Ground::new(60);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let tip = ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let fence = fail_over(&ground);
    // A has not heard of it and goes on: a branch.
    let branch = ground.commit(&a, DAILY, 3, 0);
    let report = ground.replicate();
    assert!(report.points.is_empty() && report.problems.is_empty(), "{report:?}");
    assert_eq!(report.left_aside, [branch]);
    // What a committer does before it begins.
    assert_eq!(import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap().fences, [fence]);
    let refused = ground.try_commit(&a, DAILY, 3, 0, &[]);
    assert!(matches!(refused, Err(RepoError::Refused { reason: VoidReason::HeldElsewhere, .. })), "{refused:?}");
    ground.try_commit(&a, HOURLY, 1, 0, &[]).unwrap();
    assert_eq!(open(&a).state().branches().map(|point| point.id).collect::<Vec<_>>(), [branch]);
    assert_eq!(import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap(), FenceNews::default());
    // B goes on from the tip; failback brings its points to A.
    let next = ground.commit(&b, DAILY, 2, 1);
    assert_eq!(open(&b).state().point(&next).unwrap().parent, Some(tip));
    let back = run(b.clone(), a.clone(), ground.owner()).unwrap();
    assert_eq!(back.points, [next]);
    assert_eq!(open(&a).state().latest(&DAILY).unwrap().id, next);
    check_whole(&a);
    let forth = ground.replicate();
    assert_eq!(forth.left_aside, [branch]);
    assert_eq!(forth.points.len(), 1);
    check_same(&a, &b);
}

#[test]
fn failback_brings_fence_and_points_in_one_run() {
    let mut ground = Ground::new(61);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    ground.commit(&a, HOURLY, 3, 0);
    ground.replicate();
    let fence = fail_over(&ground);
    let points = [ground.commit(&b, DAILY, 2, 0), ground.commit(&b, DAILY, 2, 3)];
    let back = run(b.clone(), a.clone(), ground.owner()).unwrap();
    assert_eq!((back.fences, back.points), (vec![fence], points.to_vec()));
    // A fences again and takes over; B imports that, and then A's points.
    let fence = ground.fence(&a, DAILY, Vec::new());
    let point = ground.commit(&a, DAILY, 1, 0);
    let forth = ground.replicate();
    assert_eq!((forth.fences, forth.points), (vec![fence], vec![point]));
    assert!(matches!(ground.try_commit(&b, DAILY, 1, 0, &[]), Err(RepoError::Refused { .. })));
    check_same(&a, &b);
}

#[test]
fn one_epoch_fenced_in_two_places_stops_the_lineage_alone() {
    let mut ground = Ground::new(62);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    fail_over(&ground);
    ground.fence(&a, DAILY, Vec::new());
    ground.commit(&a, DAILY, 3, 0);
    let hourly = ground.commit(&a, HOURLY, 3, 0);
    let report = ground.replicate();
    assert_eq!(report.points, [hourly]);
    assert_eq!(report.problems, [Problem::Split { lineage: DAILY }]);
    assert_eq!(report.class(), Some(Class::Security));
    check_whole(&b);
}

#[test]
fn a_peer_that_was_rolled_back_says_nothing_about_fences() {
    let mut ground = Ground::new(63);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let before = b.snapshot();
    fail_over(&ground);
    import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap();
    let rolled = std::sync::Arc::new(firn_store::MemoryStore::from_snapshot(before));
    let refused = import_fences(&mut open(&rolled), &mut open(&a), ground.owner());
    assert!(matches!(refused, Err(ReplicateError::RolledBack { .. })), "{refused:?}");
}

#[test]
fn a_fence_that_is_taken_back_ends_where_it_was_imported() {
    let mut ground = Ground::new(65);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let fence = fail_over(&ground);
    let tail = ground.commit(&a, DAILY, 3, 0);
    import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap();
    assert_eq!(open(&a).state().branches().count(), 1);
    assert!(ground.try_commit(&a, DAILY, 1, 0, &[]).is_err());
    let unfence = ground.append(&b, Payload::Unfence(Unfence { fence })).hash;
    // What A's committer does before its next point.
    let news = import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap();
    assert_eq!(news, FenceNews { fences: Vec::new(), unfences: vec![unfence] });
    assert_eq!(import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap(), FenceNews::default());
    assert_eq!(open(&a).state().latest(&DAILY).unwrap().id, tail);
    assert_eq!(open(&a).state().branches().count(), 0);
    let next = ground.commit(&a, DAILY, 1, 0);
    let report = ground.replicate();
    assert_eq!((report.points, report.left_aside), (vec![tail, next], vec![]));
    check_same(&a, &b);
    // The next failover has another epoch, and holds.
    let again = fail_over(&ground);
    assert_eq!(open(&b).state().epoch(&DAILY), 2);
    assert_eq!(import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap().fences, [again]);
    assert!(ground.try_commit(&a, DAILY, 1, 0, &[]).is_err());
}

#[test]
fn a_replication_brings_the_end_of_a_fence_and_skips_what_is_over() {
    let mut ground = Ground::new(66);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let fence = fail_over(&ground);
    run(b.clone(), a.clone(), ground.owner()).unwrap();
    let unfence = ground.append(&b, Payload::Unfence(Unfence { fence })).hash;
    let over = fail_over(&ground);
    ground.append(&b, Payload::Unfence(Unfence { fence: over }));
    let back = run(b.clone(), a.clone(), ground.owner()).unwrap();
    assert_eq!((back.fences, back.unfences, back.problems), (vec![], vec![unfence], vec![]));
    assert_eq!(open(&a).state().epoch(&DAILY), 0);
    // One that A has overruled by itself changes nothing, and is no problem.
    let fence = fail_over(&ground);
    run(b.clone(), a.clone(), ground.owner()).unwrap();
    ground.fence(&a, DAILY, Vec::new());
    ground.append(&b, Payload::Unfence(Unfence { fence }));
    let back = run(b.clone(), a.clone(), ground.owner()).unwrap();
    assert_eq!((back.unfences, back.problems), (vec![], vec![]));
    assert!(open(&a).state().may_commit(&DAILY));
}

#[test]
fn a_fence_that_comes_while_a_run_copies_stops_it() {
    let mut ground = Ground::new(64);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let tip = ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let late = ground.commit(&a, DAILY, 3, 0);
    // The run's view of the target is from before the fence.
    let (mut source, mut target) = (open(&a), open(&b));
    ground.fence(&b, DAILY, Vec::new());
    let report = replicate(&mut source, &mut target, &ground.importer, &ReplicateOptions::default()).unwrap();
    assert_eq!((report.points.len(), report.left_aside), (0, vec![late]));
    assert_eq!(open(&b).state().latest(&DAILY).unwrap().id, tip);
}
