use super::*;
use crate::clock::SeededEntropy;

fn kit() -> Kit {
    Kit::generate(Hash([0xab; 32]), FamilyId([0xcd; 16]), &SeededEntropy::new(1)).unwrap()
}

#[test]
fn the_text_comes_back_however_it_was_typed() {
    let kit = kit();
    let text = kit.encode();
    assert!(text.starts_with("FIRN-KIT-1\nabab"), "{}", *text);
    let typed = [
        text.to_string(),
        text.to_uppercase(),
        text.replace('-', " ").replace("FIRN KIT 1", "firn-kit-1"),
        text.replace('\n', "\r\n\r\n  "),
        text.replace("-", "-\n"),
    ];
    for typed in typed {
        let read = Kit::parse(&typed).unwrap();
        assert_eq!((read.secret, read.family, read.fingerprint), (kit.secret, kit.family, kit.fingerprint));
    }
}

#[test]
fn every_wrong_digit_is_found() {
    let text = kit().encode();
    let digits = text.char_indices().skip("FIRN-KIT-1\n".len()).filter(|(_, c)| c.is_ascii_hexdigit());
    let mut tried = 0;
    for (at, right) in digits {
        for wrong in "0123456789abcdef".chars().filter(|wrong| *wrong != right) {
            let mut typed = text.to_string();
            typed.replace_range(at..=at, &wrong.to_string());
            assert!(Kit::parse(&typed).is_err(), "digit at {at}");
            tried += 1;
        }
        let mut typed = text.to_string();
        typed.remove(at);
        assert!(Kit::parse(&typed).is_err(), "no digit at {at}");
    }
    assert_eq!(tried, DIGITS * 15);
}

#[test]
fn other_texts_are_not_kits() {
    let text = kit().encode();
    for other in [
        "",
        "FIRN-KIT-1",
        "FIRN-KIT-2",
        &text.replace("KIT-1", "KIT-2"),
        &text.replace('a', "ä"),
        &text.replace('a', "+"),
        &text.repeat(2),
        &" ".repeat(5000),
    ] {
        assert!(Kit::parse(other).is_err(), "{other}");
    }
    assert!(!format!("{:?}", kit()).contains(&text[120..140]));
}
