//! Laws that hold for every log: random entries, good and bad, of two stores.

use proptest::prelude::*;

use super::*;
use crate::log::Checkpoint;

/// One thing that somebody tries; most numbers name something small so that they meet.
#[derive(Debug, Clone)]
enum Try {
    Open(u8, u8, bool),
    Commit(u8, Vec<u16>, Vec<u16>, Vec<u16>),
    End(u8),
    Delete(u8),
    Mark(u8, Vec<u16>),
    Collect(u8, Vec<u16>, Option<(u16, u16)>),
    Rescue(Vec<u16>),
    Lost(Vec<u16>),
    Found(Vec<u16>, Vec<u16>),
    Fence(u64),
    Unfence,
    Checkpoint,
}

fn attempt() -> impl Strategy<Value = Try> {
    let few = || prop::collection::vec(1u16..9, 0..4);
    prop_oneof![
        3 => (1u8..30, 1u8..3, any::<bool>()).prop_map(|(session, lineage, parent)| Try::Open(session, lineage, parent)),
        5 => (1u8..30, few(), few(), few()).prop_map(|(session, adds, needs, drops)| Try::Commit(session, adds, needs, drops)),
        1 => (1u8..30).prop_map(Try::End),
        2 => (0u8..6).prop_map(Try::Delete),
        2 => (1u8..4, few()).prop_map(|(id, names)| Try::Mark(id, names)),
        2 => (1u8..4, few(), prop::option::of((1u16..9, 9u16..15))).prop_map(|(id, names, moved)| Try::Collect(id, names, moved)),
        1 => few().prop_map(Try::Rescue),
        1 => few().prop_map(Try::Lost),
        1 => (few(), few()).prop_map(|(names, moved)| Try::Found(names, moved)),
        1 => (1u64..9).prop_map(Try::Fence),
        1 => Just(Try::Unfence),
        1 => Just(Try::Checkpoint),
    ]
}

fn run(bench: &mut Bench, attempt: Try) {
    match attempt {
        Try::Open(number, lineage, parent) => {
            let lineage = LineageId([lineage; 16]);
            let parent = bench.state.latest(&lineage).map(|point| point.id).filter(|_| parent);
            bench.open_on(number, lineage, parent);
        }
        Try::Commit(number, adds, needs, drops) => {
            // Anybody open is as good as the one named.
            let number = bench.state.sessions().keys().next().map_or(number, |id| id.0[0]);
            let (needs_added, needs_dropped, rescues) = (names(&needs), names(&drops), names(&[1, 2, 3, 4]));
            let commit = Commit { needs_added, needs_dropped, rescues, ..bench.commit_of(number, &adds) };
            bench.commit(commit);
        }
        Try::End(number) => _ = bench.both(Payload::Kill(SessionEnd { session: session(number) })),
        Try::Delete(which) => {
            let point = bench.state.points().nth(usize::from(which)).map_or(PointId([0; 32]), |point| point.id);
            bench.delete(point);
        }
        Try::Mark(id, names) => _ = bench.mark(id, &names),
        Try::Collect(id, names, moved) => _ = bench.collect(id, &names, moved.as_slice()),
        Try::Rescue(numbers) => _ = bench.both(Payload::Rescue(Rescue { names: names(&numbers) })),
        Try::Lost(numbers) => {
            bench.both(Payload::Lost(Lost { names: names(&numbers), reason: String::new() }));
        }
        Try::Found(numbers, elsewhere) => {
            let instead = |from: ObjectName| bench.state.name_instead(&from).map(|to| Moved { from, to });
            let moved: Vec<_> = names(&elsewhere).into_iter().filter_map(instead).collect();
            let rescues = moved.iter().map(|moved| moved.to).collect();
            // Half of them would be void for one that is not lost.
            let lost = names(&numbers).into_iter().filter(|name| bench.state.is_lost(name) || numbers.len() == 1);
            bench.both(Payload::Found(Found { names: lost.collect(), moved, rescues }));
        }
        Try::Unfence => {
            let fence = bench.state.fences().values().next_back().map_or(Hash::ZERO, |info| info.hash);
            bench.unfence(fence);
        }
        Try::Fence(epoch) => _ = bench.fence(epoch),
        Try::Checkpoint => {
            let hash = Hash::of(&bench.state.to_checkpoint().unwrap());
            bench.put(Payload::Checkpoint(Checkpoint { hash }));
        }
    }
}

/// The counts behind `needed_by_any` are what looking at every point gives, and nobody needs a dead name.
fn consistent(state: &State) {
    let mut needed: Vec<ObjectName> = state.points().flat_map(|point| state.needs(&point.id)).collect();
    needed.sort_unstable();
    needed.dedup();
    for number in 0..16 {
        let name = name(number);
        assert_eq!(state.needed_by_any(&name), needed.binary_search(&name).is_ok(), "object {number}");
        assert!(!(state.dead(&name) && state.needed_by_any(&name)), "object {number} is dead and needed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_fold_is_one_function(attempts in prop::collection::vec(attempt(), 1..50)) {
        let mut bench = Bench::new(1);
        let mut middle = None;
        let count = attempts.len();
        for (index, attempt) in attempts.into_iter().enumerate() {
            run(&mut bench, attempt);
            consistent(&bench.state);
            if index == count / 2 {
                // A reader that begins here, with a checkpoint.
                let bytes = bench.state.to_checkpoint().unwrap();
                prop_assert_eq!(bench.put(Payload::Checkpoint(Checkpoint { hash: Hash::of(&bytes) })), Verdict::Applied);
                let entry = bench.slots.last().unwrap().clone().unwrap();
                let read = State::from_checkpoint(&bytes, &entry, &bench.format, bench.fingerprint).unwrap();
                prop_assert_eq!(read.to_checkpoint().unwrap(), bench.state.to_checkpoint().unwrap());
                middle = Some(read);
            }
        }
        let mut late = middle.unwrap();
        while let Some(slot) = bench.slots.get(late.wants() as usize - 1) {
            late.apply(slot.as_deref());
        }
        consistent(&late);
        let end = bench.state.to_checkpoint().unwrap();
        prop_assert_eq!(late.to_checkpoint().unwrap(), end.clone());
        prop_assert_eq!(bench.refold().to_checkpoint().unwrap(), end);
    }

    #[test]
    fn any_bytes_in_any_slot_are_judged_without_a_panic(slots in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..200)), 0..6)) {
        let bench = Bench::new(1);
        let state = fold(&bench.format, bench.fingerprint, slots.iter().map(Option::as_deref));
        prop_assert_eq!(state.damage().is_none(), slots.is_empty());
    }

    #[test]
    fn authentic_entries_with_any_payload_are_judged_without_a_panic(kind in 0u16..30, payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut bench = Bench::new(1);
        bench.point(1, &[1], &[]);
        let entry = bench.entry(Payload::decode(kind, &payload));
        let bytes = entry.sign(&bench.key).unwrap();
        let verdict = bench.push(bytes);
        prop_assert_ne!(verdict, Verdict::Damaged);
    }
}
