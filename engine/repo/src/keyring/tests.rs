use firn_format::SeededEntropy;

use super::*;
use crate::ground::{Ground, passphrase};

/// Slots of a stranger: sound in form, at the highest cost, and of use to nobody.
fn costly_slots(ground: &Ground, keyring: &Keyring, from: u64, count: u64) {
    let stranger = Passphrase::new("a stranger's".into());
    let cheap = PassphraseCost::LEAST;
    for n in from..from + count {
        let entropy = SeededEntropy::new(n);
        let slot =
            firn_format::seal_passphrase(keyring.family(), keyring.unlocked(), &stranger, cheap, "", 1, &entropy)
                .unwrap();
        // Made cheaply, then said to be costly: 8192 KiB is `19 2000`, and 2^20 KiB is `1a 00100000`.
        let at = slot.windows(4).position(|bytes| bytes == [3, 0x19, 0x20, 0]).unwrap();
        let mut costly = [&slot[..at + 1], &[0x1a, 0, 0x10, 0, 0], &slot[at + 4..]].concat();
        assert_eq!(costly[at + 6..at + 8], [4, 1]);
        costly[at + 7] = 16;
        assert!(matches!(KeySlot::parse(&costly).unwrap().kind, SlotKind::Passphrase(cost) if cost.passes == 16));
        ground.clock.advance(1);
        put_slot(ground.memory.as_ref(), costly.into()).unwrap();
    }
}

#[test]
fn names_and_slots_of_strangers_lock_nobody_out() {
    let ground = Ground::new(31);
    let (repository, keyring) = ground.create();
    for n in 0..100 {
        put(&ground, &format!("keys/{n:064x}"), "junk under a key's name");
        put(&ground, &format!("keys/0-junk-{n}"), "no key's name");
    }
    costly_slots(&ground, &keyring, 0, 70);
    assert!(unlock(&repository, &Secret::Passphrase(&passphrase())).is_ok());
    // A stranger's names are in front of all others, and far too many; what is older than they are is tried all the same.
    for n in 0..2 * SLOTS_MAX {
        ground.clock.advance(1);
        put(&ground, &format!("keys/{:064x}", 1000 + n), "more junk");
    }
    assert!(unlock(&repository, &Secret::Passphrase(&passphrase())).is_ok());
    assert!(list_keys(&repository).unwrap().len() <= SLOTS_MAX);
}

fn put(ground: &Ground, name: &str, text: &str) {
    let _created = ground.memory.put_new(name, Bytes::from(text.to_owned())).unwrap();
}

#[test]
fn costly_slots_are_not_all_tried() {
    let ground = Ground::new(32);
    let (repository, keyring) = ground.create();
    costly_slots(&ground, &keyring, 0, 70);
    // A kit needs no try at any of them.
    let kit = export_kit(&repository, &keyring, "kit").unwrap();
    assert!(unlock(&repository, &Secret::Kit(&kit)).is_ok());
    // The owner's is the cheapest; of the others none is tried within its cost.
    let (store, format) = (ground.memory.as_ref(), repository.format());
    let kib_max = u64::from(PassphraseCost::LEAST.memory_kib);
    assert!(open_within(store, format, &Secret::Passphrase(&passphrase()), kib_max).is_ok());
    let wrong = Passphrase::new("a slip of the pen".into());
    let error = open_within(store, format, &Secret::Passphrase(&wrong), kib_max).unwrap_err();
    let detail = "none of 2 opens; 70 more would take too long to try: remove those that are not yours";
    assert!(matches!(&error, RepoError::KeysDamaged { detail: told, .. } if told == detail), "{error}");
}
