//! Paths as text: names are bytes; what a terminal or UTF-8 cannot hold is written as `\xNN`, a backslash as `\\`.

use std::borrow::Cow;

/// The text of a path. Different paths have different texts.
pub fn escape(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_hex(&mut text, byte)),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| push_hex(&mut text, *byte));
    }
    text
}

/// So much of a path is shown to people. Programs get all of it.
const SHOWN_CHARS_MAX: usize = 160;

/// The text for people: of one that is too long its beginning and its end.
pub fn shorten(text: &str) -> Cow<'_, str> {
    let chars = text.chars().count();
    if chars <= SHOWN_CHARS_MAX {
        return Cow::Borrowed(text);
    }
    let half = SHOWN_CHARS_MAX / 2;
    let (begin, end): (String, String) = (text.chars().take(half).collect(), text.chars().skip(chars - half).collect());
    Cow::Owned(format!("{begin}[… {} more characters …]{end}", chars - 2 * half))
}

fn push_hex(text: &mut String, byte: u8) {
    text.push_str(&format!("\\x{byte:02x}"));
}

/// The path of a text that [`escape`] wrote. A backslash that begins nothing stands for itself, as people type it.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after
            .strip_prefix(b"x")
            .and_then(|digits| digits.get(..2))
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, hex) {
            (b'\\', Some(byte)) => {
                path.push(byte);
                rest = &after[3..];
            }
            (b'\\', None) if after.first() == Some(&b'\\') => {
                path.push(b'\\');
                rest = &after[1..];
            }
            _ => {
                path.push(*first);
                rest = after;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_and_commands_no_terminal() {
        let names: [&[u8]; 6] = [
            b"plain",
            "gr\u{fc}n \u{1f984}".as_bytes(),
            b"\xff\xfe",
            b"a\\xffb\\",
            b"\x1b[2J\n\x7f",
            "\u{9b}".as_bytes(),
        ];
        for name in names {
            let text = escape(name);
            assert_eq!(unescape(&text), name, "{text}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        assert_eq!(escape(b"a/\xff\\"), "a/\\xff\\\\");
        assert_eq!(unescape(r"C:\dir\x4"), br"C:\dir\x4");
        for byte in 0..=255 {
            for name in [vec![b'\\', byte], vec![byte], vec![b'\\', b'x', byte, b'1']] {
                assert_eq!(unescape(&escape(&name)), name);
            }
        }
    }
    #[test]
    fn a_long_path_is_shown_by_its_ends() {
        assert_eq!(shorten("a/b"), "a/b");
        let shown = shorten(&"é/".repeat(5000)).into_owned();
        assert!(shown.starts_with("é/é/") && shown.ends_with("é/é/") && shown.contains("9840 more"), "{shown}");
        assert!(shown.chars().count() < 200, "{shown}");
    }
}
