//! A peer's UNFENCE, imported.

use super::*;

/// A with a point that B has too, and a tail that B has not; B fenced. Where the fence lies in B's log, and A's tail.
fn fenced(a: &mut Bench, b: &mut Bench) -> (usize, PointId) {
    a.point(1, &[1], &[]);
    assert_eq!(b.import(a, 2, None), Verdict::Applied);
    let tail = a.point(2, &[2], &[]);
    assert_eq!(b.fence(1), Verdict::Applied);
    (b.slots.len(), tail)
}

fn unfenced(b: &mut Bench, fence: usize) -> usize {
    let hash = Hash::of(b.slots[fence - 1].as_ref().unwrap());
    assert_eq!(b.unfence(hash), Verdict::Applied);
    b.slots.len()
}

#[test]
fn what_a_fence_left_aside_is_ordinary_again() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let (fence, tail) = fenced(&mut a, &mut b);
    assert_eq!(a.open_on(3, LINEAGE, Some(tail)), Verdict::Applied);
    let open = a.commit_of(3, &[3]);
    assert_eq!(a.import(&b, fence, None), Verdict::Applied);
    assert_eq!((a.branches(), a.state.may_commit(&LINEAGE)), (vec![tail], false));
    let unfence = unfenced(&mut b, fence);
    assert_eq!(a.import(&b, unfence, None), Verdict::Applied);
    assert_eq!((a.branches(), a.state.latest(&LINEAGE).unwrap().id), (vec![], tail));
    assert_eq!((a.state.epoch(&LINEAGE), a.state.next_epoch(&LINEAGE)), (0, 2));
    assert_eq!(a.import(&b, unfence, None), Verdict::Void(Why::FenceNotInForce));
    assert_eq!(a.import(&b, fence, None), Verdict::Void(Why::OutOfOrder));
    // A session from before goes on, and B takes all of it.
    assert_eq!(a.commit(open), Verdict::Applied);
    assert_eq!(b.import(&a, 4, None), Verdict::Applied);
    assert_eq!(b.import(&a, 6, None), Verdict::Void(Why::ImportMismatch));
    assert_eq!(b.import(&a, a.slots.len(), None), Verdict::Applied);
    assert_eq!(a.state.to_checkpoint().unwrap(), a.refold().to_checkpoint().unwrap());
}

#[test]
fn an_unfence_is_void_where_the_fence_does_not_stand_alone() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let (fence, tail) = fenced(&mut a, &mut b);
    let unfence = unfenced(&mut b, fence);
    // Not known here; void entries change nothing, so that it may come again.
    assert_eq!(a.import(&b, unfence, None), Verdict::Void(Why::FenceNotInForce));
    assert_eq!(a.import(&b, fence, None), Verdict::Applied);
    let mut other = Bench::new(3);
    assert_eq!(other.unfence(Hash::of(b.slots[fence - 1].as_ref().unwrap())), Verdict::Void(Why::FenceNotInForce));
    assert_eq!(a.import(&other, 1, None), Verdict::Void(Why::FenceNotInForce), "another store's word");
    // Fenced again by A itself: B's fence is built upon.
    assert_eq!(a.fence(2), Verdict::Applied);
    let again = a.last_hash();
    assert_eq!(a.import(&b, unfence, None), Verdict::Void(Why::FenceUsed));
    assert_eq!(a.unfence(again), Verdict::Applied);
    assert_eq!(a.import(&b, unfence, None), Verdict::Applied);
    assert_eq!(a.state.latest(&LINEAGE).unwrap().id, tail);
}

#[test]
fn an_unfence_is_void_once_a_point_of_the_new_epoch_is_here() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let (fence, _) = fenced(&mut a, &mut b);
    let hash = Hash::of(b.slots[fence - 1].as_ref().unwrap());
    assert_eq!(a.import(&b, fence, None), Verdict::Applied);
    b.point(3, &[3], &[]);
    assert_eq!(a.import(&b, b.slots.len(), None), Verdict::Applied);
    // Void at home, too; an importer that brings it all the same changes nothing.
    assert_eq!(b.unfence(hash), Verdict::Void(Why::FenceUsed));
    assert_eq!(a.import(&b, b.slots.len(), None), Verdict::Void(Why::FenceUsed));
    assert_eq!(a.branches().len(), 1);
}

#[test]
fn a_split_stays_when_a_fence_above_it_is_taken_back() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let (fence, _) = fenced(&mut a, &mut b);
    assert_eq!(a.fence(1), Verdict::Applied);
    assert_eq!(a.import(&b, fence, None), Verdict::Applied);
    assert!(a.state.lineages()[&LINEAGE].split);
    let unfence = unfenced(&mut b, fence);
    assert_eq!(a.import(&b, unfence, None), Verdict::Void(Why::FenceNotInForce));
    assert_eq!(a.fence(2), Verdict::Applied);
    assert!(!a.state.lineages()[&LINEAGE].split);
    assert_eq!(a.unfence(a.last_hash()), Verdict::Applied);
    assert!(a.state.lineages()[&LINEAGE].split);
    // A split lineage's fence is not taken back from here.
    assert_eq!(b.import(&a, 5, None), Verdict::Applied, "A's fence");
    assert_eq!(a.import(&b, unfence, None), Verdict::Void(Why::FenceNotInForce));
}

#[test]
fn each_lineage_of_a_fence_is_given_back_on_its_own() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    let second = LineageId([8; 16]);
    let both = Fence {
        lineages: vec![LINEAGE, second],
        epochs: vec![1, 1],
        basis: Vec::new(),
        reason: String::new(),
        tips: vec![None, None],
        successors: Vec::new(),
    };
    assert_eq!(b.put(Payload::Fence(both)), Verdict::Applied);
    assert_eq!(a.import(&b, 1, None), Verdict::Applied);
    assert_eq!(a.fence(2), Verdict::Applied);
    let own = a.last_hash();
    let unfence = unfenced(&mut b, 1);
    assert_eq!(a.import(&b, unfence, None), Verdict::Applied);
    assert_eq!((a.state.epoch(&LINEAGE), a.state.epoch(&second)), (2, 0));
    assert_eq!(a.import(&b, unfence, None), Verdict::Void(Why::FenceUsed));
    assert_eq!(a.unfence(own), Verdict::Applied);
    assert_eq!(a.import(&b, unfence, None), Verdict::Applied);
    assert!(a.state.may_commit(&LINEAGE) && a.state.may_commit(&second));
}
