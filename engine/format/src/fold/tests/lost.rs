//! Lost objects that are there again.

use super::*;

fn found(names: Vec<ObjectName>, moved: Vec<Moved>) -> Payload {
    Payload::Found(Found { names, moved, rescues: Vec::new() })
}

fn instead(bench: &Bench, number: u16) -> Moved {
    Moved { from: name(number), to: bench.state.name_instead(&name(number)).unwrap() }
}

#[test]
fn what_is_found_under_its_name_is_whole_again() {
    let mut bench = Bench::new(1);
    let point = bench.point(1, &[1, 2], &[]);
    assert_eq!(bench.both(found(names(&[1]), Vec::new())), Verdict::Void(Why::NotLost));
    assert_eq!(bench.lose(&[1, 2]), Verdict::Applied);
    assert_eq!(bench.both(found(names(&[1, 1]), Vec::new())), Verdict::Void(Why::Malformed));
    assert_eq!(bench.both(found(Vec::new(), Vec::new())), Verdict::Void(Why::Malformed));
    assert_eq!(bench.both(found(names(&[1]), Vec::new())), Verdict::Applied);
    assert_eq!(bench.state.missing(&point), names(&[2]));
    // It may be needed again by who found it here.
    assert_eq!(bench.open_on(2, LINEAGE, None), Verdict::Applied);
    let commit = Commit { needs_added: names(&[1]), ..bench.commit_of(2, &[]) };
    assert_eq!(bench.commit(commit), Verdict::Applied);
}

#[test]
fn damaged_bytes_keep_their_name_and_the_right_ones_get_another() {
    let mut bench = Bench::new(1);
    let point = bench.point(1, &[1, 2], &[]);
    assert_eq!(bench.state.name_instead(&name(1)), None);
    assert_eq!(bench.lose(&[1]), Verdict::Applied);
    let lost = bench.slots.len() as u64;
    let moved = instead(&bench, 1);
    assert_eq!(moved.to, ObjectName { reborn: Some(lost), ..name(1) });
    assert_eq!(bench.lose(&[1]), Verdict::Applied);
    assert_eq!(instead(&bench, 1), moved, "the first word counts");
    let wrong = Moved { to: ObjectName { reborn: Some(lost + 1), ..name(1) }, ..moved };
    assert_eq!(bench.both(found(Vec::new(), vec![wrong])), Verdict::Void(Why::NotLost));
    assert_eq!(bench.both(found(names(&[1]), vec![moved])), Verdict::Void(Why::Malformed));
    assert_eq!(bench.both(found(Vec::new(), vec![moved])), Verdict::Applied);
    assert!(bench.state.missing(&point).is_empty() && bench.state.dead(&name(1)));
    let needs = bench.state.needs(&point);
    assert!(needs.contains(&moved.to) && !needs.contains(&name(1)));
    // Who has the old name finds the new one; the old one never comes back.
    assert_eq!(bench.state.name_to_store(name(1)), moved.to);
    assert_eq!(bench.both(found(names(&[1]), Vec::new())), Verdict::Void(Why::DeadName));
    assert_eq!(bench.lose(&[1]), Verdict::Applied);
    assert!(bench.state.dead(&name(1)) && !bench.state.is_lost(&name(1)));
    // That may be lost in its turn.
    assert_eq!(bench.both(Payload::Lost(Lost { names: vec![moved.to], reason: String::new() })), Verdict::Applied);
    let next = bench.state.name_instead(&moved.to).unwrap();
    assert_eq!(bench.both(found(Vec::new(), vec![Moved { from: moved.to, to: next }])), Verdict::Applied);
    assert_eq!(bench.state.name_to_store(name(1)), next);
    assert!(bench.state.needs(&point).contains(&next));
    assert_eq!(bench.state.to_checkpoint().unwrap(), bench.refold().to_checkpoint().unwrap());
}

#[test]
fn collections_and_findings_respect_each_other() {
    let mut bench = Bench::new(1);
    bench.point(1, &[1], &[]);
    assert_eq!(bench.lose(&[1]), Verdict::Applied);
    let moved = instead(&bench, 1);
    // An earlier attempt left the copy, and a collection found it unlisted.
    let candidates = vec![moved.to, name(1)];
    let mark = GcMark { collection: CollectionId([7; 16]), candidates };
    assert_eq!(bench.both(Payload::GcMark(mark)), Verdict::Applied);
    assert_eq!(bench.both(found(Vec::new(), vec![moved])), Verdict::Void(Why::NotRescued));
    let rescued = Found { names: Vec::new(), moved: vec![moved], rescues: vec![moved.to] };
    assert_eq!(bench.both(Payload::Found(rescued)), Verdict::Applied);
    // Both are out of that collection: the one is needed, the other ended.
    assert_eq!(bench.collect(7, &[1], &[]), Verdict::Void(Why::NotCandidate));
    assert_eq!(bench.state.candidates().count(), 0);
    // A dropped name is not found again.
    let mut bench = Bench::new(1);
    let point = bench.point(1, &[1], &[]);
    assert_eq!(bench.lose(&[1]), Verdict::Applied);
    assert_eq!(bench.delete(point), Verdict::Applied);
    let moved = instead(&bench, 1);
    assert_eq!(bench.mark(1, &[1]), Verdict::Applied);
    assert_eq!(bench.collect(1, &[1], &[]), Verdict::Applied);
    assert_eq!(bench.both(found(names(&[1]), Vec::new())), Verdict::Void(Why::DeadName));
    assert_eq!(bench.both(found(Vec::new(), vec![moved])), Verdict::Void(Why::DeadName));
}

#[test]
fn an_import_heals_only_what_it_brings() {
    let (mut a, mut b) = (Bench::new(1), Bench::new(2));
    a.point(1, &[1], &[]);
    assert_eq!(b.lose(&[1]), Verdict::Applied);
    assert_eq!(b.import(&a, 2, Some(&[5])), Verdict::Applied);
    assert!(b.state.is_lost(&name(1)), "the entry adds it, the point does not need it here");
    // What a point inherits is refused while it is lost, and taken once it is found.
    a.point(2, &[2], &[]);
    assert_eq!(b.import(&a, 4, Some(&[1, 2])), Verdict::Void(Why::LostName));
    assert_eq!(b.both(found(names(&[1]), Vec::new())), Verdict::Applied);
    assert_eq!(b.import(&a, 4, Some(&[1, 2])), Verdict::Applied);
}
