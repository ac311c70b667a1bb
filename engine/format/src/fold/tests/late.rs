//! Imports that come late, and what counts as verified.

use super::*;
use crate::log::PASSED_MAX;

#[test]
fn a_point_that_was_passed_over_may_come_later_and_is_not_the_latest() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let (first, second, third) = (a.point(1, &[1], &[]), a.point(2, &[2], &[1]), a.point(3, &[3], &[]));
    assert_eq!(b.import(&a, 2, None), Verdict::Applied);
    assert_eq!(b.import_passing(&a, 6, Some(&[2, 3]), &[6]), Verdict::Void(Why::Malformed));
    assert_eq!(b.import_passing(&a, 6, Some(&[2, 3]), &[4]), Verdict::Applied);
    assert_eq!(b.import(&a, 4, None), Verdict::Applied);
    assert_eq!(b.state.latest(&LINEAGE).unwrap().id, third);
    assert_eq!(b.state.points_of(&LINEAGE).map(|point| point.id).collect::<Vec<_>>(), [first, second, third]);
    assert_eq!((b.needs(&second), b.needs(&third)), (sorted(&[2]), sorted(&[2, 3])));
    assert_eq!(b.import(&a, 4, None), Verdict::Void(Why::OutOfOrder));
    // What was deleted here does not come back, whatever a later import says.
    assert_eq!(b.delete(second), Verdict::Applied);
    assert_eq!(b.import(&a, 4, None), Verdict::Void(Why::OutOfOrder));
    a.point(4, &[4], &[]);
    assert_eq!(b.import_passing(&a, 8, None, &[2, 4]), Verdict::Applied);
    assert_eq!(b.import(&a, 4, None), Verdict::Void(Why::OutOfOrder));
    let bytes = b.state.to_checkpoint().unwrap();
    assert_eq!(bytes, b.refold().to_checkpoint().unwrap());
}

#[test]
fn few_entries_are_remembered_as_passed_over() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    a.point(1, &[1], &[]);
    for _ in 0..PASSED_MAX + 10 {
        a.put(Payload::Rescue(Rescue { names: Vec::new() }));
    }
    a.point(2, &[2], &[]);
    let last = a.slots.len();
    let many: Vec<u64> = (3..=(PASSED_MAX as u64 + 3)).collect();
    assert_eq!(b.import_passing(&a, last, Some(&[1, 2]), &many), Verdict::Void(Why::Malformed));
    assert_eq!(b.import_passing(&a, last, Some(&[1, 2]), &many[1..]), Verdict::Applied);
    assert!(!b.state.lineages()[&LINEAGE].may_import(&a.format.store, 3));
    assert!(b.state.lineages()[&LINEAGE].may_import(&a.format.store, 4));
    a.point(3, &[3], &[]);
    assert_eq!(b.import_passing(&a, last + 2, None, &[last as u64 + 1]), Verdict::Applied);
    let lineage = &b.state.lineages()[&LINEAGE];
    assert_eq!(lineage.passed[&a.format.store].len(), PASSED_MAX);
    assert!(!lineage.may_import(&a.format.store, 4), "the oldest goes");
}

#[test]
fn what_was_imported_was_verified() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let point = a.point(1, &[1], &[]);
    assert_eq!(a.state.verified(&point), None);
    assert_eq!(b.import(&a, 2, None), Verdict::Applied);
    let time_ms = b.state.point(&point).unwrap().arrived_ms;
    let verified = b.state.verified(&point).unwrap();
    assert_eq!((verified.level, verified.seq, verified.time_ms), (Level::StoredHashes, 1, time_ms));
    let check = |level| Payload::Verified(Verified { points: vec![point], level });
    assert_eq!(b.both(check(Level::Structure)), Verdict::Applied);
    assert_eq!(b.state.verified(&point), Some(verified), "a shallower check says less");
    assert_eq!(b.both(check(Level::AllData)), Verdict::Applied);
    assert_eq!(b.state.verified(&point).unwrap().level, Level::AllData);
}

#[test]
fn an_import_names_all_needs_once_its_source_has_merged_objects() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    a.point(1, &[1], &[]);
    assert_eq!(b.import(&a, 2, None), Verdict::Applied);
    // One object stands for two: the next point may need what was in the other, and its differences do not say so.
    assert_eq!(a.mark(1, &[1, 5]), Verdict::Applied);
    assert_eq!(a.collect(1, &[], &[(1, 9), (5, 9)]), Verdict::Applied);
    a.point(2, &[2], &[]);
    let seq = a.slots.len();
    assert_eq!(b.import(&a, seq, None), Verdict::Void(Why::NeedsMissing));
    assert_eq!(b.import(&a, seq, Some(&[2, 9])), Verdict::Applied);
    // Its child's differences are of the same time.
    a.point(3, &[3], &[]);
    assert_eq!(b.import(&a, a.slots.len(), None), Verdict::Applied);
}
