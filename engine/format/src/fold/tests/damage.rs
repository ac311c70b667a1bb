//! Spoilt slots: nobody goes on until the owner settles them, and then everybody agrees.

use super::*;
use crate::log::{Checkpoint, Void};

fn bench() -> Bench {
    let mut bench = Bench::new(1);
    bench.point(1, &[1], &[]);
    bench.point(2, &[2], &[]);
    bench
}

/// Appends the owner's VOID where the damage says it goes.
fn settle(bench: &mut Bench, entry: Option<Vec<u8>>) {
    let state = bench.refold();
    let damage = *state.damage().unwrap();
    let void = Void { seq: damage.seq, hash: damage.hash, reason: "test".into(), entry };
    assert_eq!(state.validate(&Payload::Void(void.clone()), &bench.key.signer()), Ok(()));
    assert_eq!(damage.free.seq, bench.slots.len() as u64 + 1);
    let (seq, prev) = (damage.free.seq, damage.free.prev);
    let entry = Entry { seq, prev, ..Bench::new(1).entry(Payload::Void(void)) };
    bench.slots.push(Some(entry.sign(&bench.key).unwrap()));
    bench.state = bench.refold();
}

#[test]
fn every_kind_of_damage_stops_the_log() {
    let whole = bench();
    let foreign = Bench::new(2).entry(Payload::Rescue(Rescue { names: Vec::new() }));
    let foreign = foreign.sign(&SigningKey::from_seed(&[2; 32]).unwrap()).unwrap();
    for (spoilt, fault) in [
        (None, Fault::Missing),
        (Some(b"rot".to_vec()), Fault::NotAnEntry),
        (whole.slots[0].clone(), Fault::Misplaced),
        (Some(foreign), Fault::Misplaced),
    ] {
        let mut bench = bench();
        bench.slots[1] = spoilt;
        let state = bench.refold();
        assert_eq!(state.damage().map(|damage| (damage.seq, damage.fault)), Some((2, fault)));
        assert!(state.may_append().is_err());
        assert_eq!((state.next_seq(), state.wants()), (2, 5));
    }
}

#[test]
fn a_flipped_bit_anywhere_is_damage() {
    let whole = bench();
    let bytes = whole.slots[2].clone().unwrap();
    for at in 0..bytes.len() {
        let mut bench = bench();
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        bench.slots[2] = Some(spoilt);
        assert_eq!(bench.refold().damage().map(|damage| damage.seq), Some(3), "byte {at}");
    }
}

#[test]
fn a_void_gives_the_slot_up_for_everybody() {
    for spoilt in [None, Some(b"rot".to_vec())] {
        let mut bench = bench();
        let original = bench.slots[3].clone();
        bench.slots[3] = spoilt;
        settle(&mut bench, None);
        assert!(bench.state.damage().is_none());
        assert_eq!(bench.state.points().len(), 1);
        // The next entries follow, and putting the bytes back later changes nothing.
        let open = bench.open_on(7, LINEAGE, None);
        assert_eq!(open, Verdict::Applied);
        let before = bench.refold();
        bench.slots[3] = original;
        let after = bench.refold();
        assert_eq!((after.next_seq(), after.head_hash()), (before.next_seq(), before.head_hash()));
        assert_eq!(after.points().len(), 1);
        assert!(after.damage().is_none());
    }
}

#[test]
fn a_void_with_the_mirrored_entry_loses_nothing() {
    for slot in 0..4 {
        let mut bench = bench();
        let whole = bench.refold();
        let original = bench.slots[slot].clone();
        bench.slots[slot] = Some(b"rot".to_vec());
        settle(&mut bench, original.clone());
        assert!(bench.state.damage().is_none(), "slot {slot}");
        assert_eq!(bench.state.points().collect::<Vec<_>>(), whole.points().collect::<Vec<_>>());
        bench.point(9, &[9], &[]);
        bench.slots[slot] = original;
        let after = bench.refold();
        assert_eq!(after.points().len(), 3);
        assert_eq!(after.head_hash(), bench.state.head_hash());
    }
}

#[test]
fn only_the_owner_voids_and_only_what_is_damaged() {
    let mut bench = bench();
    let hash = Hash::of(bench.slots[1].as_ref().unwrap());
    let void = |seq, hash| Payload::Void(Void { seq, hash, reason: String::new(), entry: None });
    assert_eq!(bench.put(void(2, hash)), Verdict::Void(Why::NotDamaged));
    assert_eq!(bench.put(void(99, Hash::ZERO)), Verdict::Void(Why::NotDamaged));
    assert_eq!(bench.state.points().len(), 2);
    bench.slots[1] = None;
    let stranger = SigningKey::from_seed(&[66; 32]).unwrap();
    let damage = *bench.refold().damage().unwrap();
    assert_eq!(damage.original, Some(hash));
    let entry = Entry { seq: damage.free.seq, prev: damage.free.prev, ..Bench::new(1).entry(void(2, Hash::ZERO)) };
    bench.slots.push(Some(entry.sign(&stranger).unwrap()));
    assert!(bench.refold().damage().is_some());
}

#[test]
fn two_spoilt_slots_are_settled_one_after_the_other() {
    let mut bench = bench();
    (bench.slots[1], bench.slots[3]) = (Some(b"rot".to_vec()), None);
    settle(&mut bench, None);
    assert_eq!(bench.state.damage().map(|damage| damage.seq), Some(4));
    settle(&mut bench, None);
    assert!(bench.state.damage().is_none());
    assert_eq!(bench.state.next_seq(), 7);
}

#[test]
fn a_checkpoint_settles_what_lies_below() {
    let mut bench = bench();
    let hash = Hash::of(&bench.state.to_checkpoint().unwrap());
    assert_eq!(bench.put(Payload::Checkpoint(Checkpoint { hash })), Verdict::Applied);
    bench.slots[1] = None;
    let state = bench.refold();
    assert_eq!(state.damage().and_then(|damage| damage.checkpoint), Some(5));
    let void = Payload::Void(Void { seq: 2, hash: Hash::ZERO, reason: String::new(), entry: None });
    assert_eq!(state.validate(&void, &bench.key.signer()), Err(Why::NotDamaged));
}
