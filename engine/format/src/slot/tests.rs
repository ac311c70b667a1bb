use super::*;
use crate::clock::SeededEntropy;
use crate::ids::Hash;

const FAMILY: FamilyId = FamilyId([3; 16]);

fn unlocked() -> Unlocked {
    Unlocked { root: Root::from_bytes([1; 32]), owner_seed: Some(Zeroizing::new([2; 32])) }
}

fn kit(seed: u64) -> Kit {
    Kit::generate(Hash([0; 32]), FAMILY, &SeededEntropy::new(seed)).unwrap()
}

fn word(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned())
}

fn passphrase_slot(cost: PassphraseCost) -> Result<Vec<u8>, FormatError> {
    seal_passphrase(FAMILY, &unlocked(), &word("pässword"), cost, "mine", 5, &SeededEntropy::new(1))
}

#[test]
fn a_passphrase_opens_its_slot_and_no_other_does() {
    let bytes = passphrase_slot(PassphraseCost::LEAST).unwrap();
    let opened = open_slot(&bytes, &Secret::Passphrase(&word("pässword"))).unwrap();
    assert_eq!(opened.root.expose(), &[1; 32]);
    assert_eq!(*opened.owner_seed.unwrap(), [2; 32]);
    let slot = KeySlot::parse(&bytes).unwrap();
    assert_eq!((slot.label.as_str(), slot.created_ms, slot.family), ("mine", 5, FAMILY));
    for wrong in ["", "password", "pässword "] {
        let error = slot.open(&Secret::Passphrase(&word(wrong))).unwrap_err();
        assert!(matches!(error, FormatError::WrongKey { .. }), "{error}");
    }
    assert!(matches!(slot.open(&Secret::Kit(&kit(1))), Err(FormatError::WrongKey { .. })));
}

#[test]
fn a_reader_kit_has_no_owner() {
    let reader = Unlocked { owner_seed: None, ..unlocked() };
    let bytes = seal_kit(&reader, &kit(1), "safe", 5, &SeededEntropy::new(1)).unwrap();
    assert!(open_slot(&bytes, &Secret::Kit(&kit(1))).unwrap().owner_seed.is_none());
    assert!(matches!(open_slot(&bytes, &Secret::Kit(&kit(2))), Err(FormatError::WrongKey { .. })));
    assert!(matches!(open_slot(&bytes, &Secret::Passphrase(&word("x"))), Err(FormatError::WrongKey { .. })));
}

#[test]
fn a_flipped_bit_never_opens_to_another_secret() {
    let bytes = seal_kit(&unlocked(), &kit(1), "", 5, &SeededEntropy::new(1)).unwrap();
    let sealed_at = bytes.len() - KeySlot::parse(&bytes).unwrap().sealed.len() - 5;
    let mut still_open = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match open_slot(&flipped, &Secret::Kit(&kit(1))) {
            // Label and time are for people and not authenticated.
            Ok(opened) => {
                assert_eq!(opened.root.expose(), &[1; 32]);
                assert_eq!(*opened.owner_seed.unwrap(), [2; 32]);
                still_open += 1;
            }
            Err(error) => {
                let in_sealed = (sealed_at + 1..bytes.len() - 4).contains(&(bit / 8));
                assert!(!in_sealed || matches!(error, FormatError::Damaged { .. }), "bit {bit}: {error}");
            }
        }
    }
    assert!(still_open <= 24, "{still_open}");
    for len in 0..bytes.len() {
        assert!(open_slot(&bytes[..len], &Secret::Kit(&kit(1))).is_err(), "{len}");
    }
}

#[test]
fn costs_out_of_bounds_are_refused_before_any_work() {
    let least = PassphraseCost::LEAST;
    let bad = [
        PassphraseCost { memory_kib: u32::MAX, ..least },
        PassphraseCost { memory_kib: (1 << 20) + 1, ..least },
        PassphraseCost { memory_kib: (8 << 10) - 1, ..least },
        PassphraseCost { passes: 0, ..least },
        PassphraseCost { passes: 17, ..least },
        PassphraseCost { lanes: 0, ..least },
        PassphraseCost { lanes: 9, ..least },
    ];
    let good: WireSlot = minicbor::decode(&passphrase_slot(least).unwrap()).unwrap();
    let mut bytes = minicbor::to_vec(&good).unwrap();
    assert!(KeySlot::parse(&bytes).is_ok());
    for cost in bad {
        assert!(passphrase_slot(cost).is_err(), "{cost:?}");
        let mut wire: WireSlot = minicbor::decode(&bytes).unwrap();
        (wire.memory_kib, wire.passes, wire.lanes) = (Some(cost.memory_kib), Some(cost.passes), Some(cost.lanes));
        let hostile = minicbor::to_vec(&wire).unwrap();
        assert!(matches!(KeySlot::parse(&hostile), Err(FormatError::Damaged { .. })), "{cost:?}");
    }
    bytes.resize(SLOT_BYTES_MAX + 1, 0);
    assert!(KeySlot::parse(&bytes).is_err());
}

#[test]
fn newer_slots_and_long_labels_are_told_apart_from_damage() {
    let bytes = seal_kit(&unlocked(), &kit(1), "x", 5, &SeededEntropy::new(1)).unwrap();
    for (version, kind) in [(2, 2), (1, 3)] {
        let wire = WireSlot { version, kind, ..minicbor::decode(&bytes).unwrap() };
        let newer = minicbor::to_vec(&wire).unwrap();
        assert!(matches!(KeySlot::parse(&newer), Err(FormatError::Newer { .. })));
    }
    let label = "x".repeat(SLOT_LABEL_BYTES_MAX + 1);
    let sealed = seal_kit(&unlocked(), &kit(1), &label, 5, &SeededEntropy::new(1));
    assert!(matches!(sealed, Err(FormatError::TooLarge { .. })));
}

#[test]
fn nothing_secret_is_printed() {
    let text = format!("{:?} {:?}", unlocked(), Secret::Passphrase(&word("pässword")));
    assert_eq!(text, "Unlocked { owner: true, .. } Passphrase(Passphrase(..))");
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_never_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = KeySlot::parse(&bytes);
    }
}
