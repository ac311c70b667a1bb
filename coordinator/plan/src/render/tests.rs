use proptest::prelude::*;

use super::*;

#[test]
fn spans_read_like_speech() {
    for (seconds, text) in
        [(-5, "0 s"), (0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7_200, "2 h"), (90_061, "1 d 1 h")]
    {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut out = String::new();
    line(&mut out, 0, "", "a\u{1b}[31mb");
    assert_eq!(out, "a\u{fffd}[31mb\n");
}

proptest! {
    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_word_is_lost(text in "[a-zé/. ]{0,400}", indent in 0_usize..20) {
        let mut out = String::new();
        line(&mut out, indent, "lead: ", &text);
        prop_assert!(out.lines().all(|line| line.chars().count() <= COLUMNS_MAX));
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(letters(&out), letters(&format!("lead: {text}")));
    }
}
