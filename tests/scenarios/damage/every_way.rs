//! Whole objects of every kind × flip, cut, gone, swapped.

use super::*;

/// So many positions of a large object are flipped.
const FLIPS: u64 = 4;

/// A few objects of each kind; of the log the entries that matter most, and some.
fn chosen(victim: &Victim) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for of in ["FORMAT", "key", "data pack", "meta pack", "index run", "checkpoint", "mirror"] {
        let names = victim.names(of);
        assert!(!names.is_empty(), "no {of}");
        chosen.extend(names.into_iter().take(8).cloned());
    }
    let log = victim.names("log entry");
    let last = log.len() - 1;
    chosen.extend([0, 1, 2, 4, 7, 250, last - 4, last - 2, last - 1, last].map(|n| log[n].clone()));
    chosen.sort();
    chosen.dedup();
    chosen
}

/// Another object of the same kind and, of packs, of another content.
fn other<'a>(victim: &'a Victim, name: &str) -> Option<&'a String> {
    victim.names(kind(name)).into_iter().find(|other| *other != name)
}

#[test]
fn every_kind_of_object_is_harmed_in_every_way() {
    root();
    let victim = Victim::new(20);
    let mut dice = Dice::told("harm", 21);
    let mut tally = Tally::default();
    for name in chosen(&victim) {
        let sound = &victim.sound[&name];
        for _ in 0..FLIPS {
            let (at, bit) = (dice.index(sound.len()), dice.below(8));
            let mut bytes = sound.to_vec();
            bytes[at] ^= 1 << bit;
            let store = victim.store();
            store.overwrite(&name, bytes.into());
            examine(&victim, &store, &name, &format!("{name}: bit {bit} of byte {at} flipped"), &mut tally);
        }
        for len in [0, dice.index(sound.len()), sound.len() - 1] {
            let store = victim.store();
            store.overwrite(&name, sound.slice(..len));
            examine(&victim, &store, &name, &format!("{name}: cut to {len} bytes"), &mut tally);
        }
        let store = victim.store();
        store.overwrite(&name, [&sound[..], b"\0"].concat().into());
        examine(&victim, &store, &name, &format!("{name}: a byte longer"), &mut tally);
        if !is_last_entry(&victim, &name) {
            let store = victim.store();
            store.delete(&name).unwrap();
            examine(&victim, &store, &name, &format!("{name}: gone"), &mut tally);
        }
        if let Some(other) = other(&victim, &name) {
            let store = victim.store();
            store.overwrite(&name, victim.sound[other].clone());
            store.overwrite(other, sound.clone());
            examine(&victim, &store, &name, &format!("{name}: swapped with {other}"), &mut tally);
        }
    }
    tally.print("damage");
    assert!(tally.points_whole > 0 && tally.points_partial > 0 && tally.files_right > 0 && tally.backups > 0);
}

/// Without the last entry the log is an older log: only a cache that saw it can tell, which is tested with rollbacks.
fn is_last_entry(victim: &Victim, name: &str) -> bool {
    victim.names("log entry").last().is_some_and(|last| *last == name)
}
