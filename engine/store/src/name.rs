//! Object names: what every store accepts, so that no name means two things on two stores.

use crate::{Kind, Operation, Result, StoreError};

/// Longest name in bytes: below Azure's 1 024 with room for a prefix, and below every file system's path limit.
pub const NAME_BYTES_MAX: usize = 512;
/// Longest segment in bytes: file systems stop at 255.
pub const SEGMENT_BYTES_MAX: usize = 200;

/// Checks an object name: segments of `A-Z a-z 0-9 . _ -` joined by `/`; no segment is empty or begins or ends
/// with a dot (so no `..`, no hidden file, no absolute path); bounded length.
///
/// # Errors
/// `Kind::BadName`; `url` is only used to say where.
pub fn check_name(operation: Operation, name: &str, url: impl FnOnce() -> String) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    Err(StoreError::new(operation, name, url(), Kind::BadName))
}

/// Checks a list prefix: empty, or a name followed by one `/`.
///
/// # Errors
/// `Kind::BadName`; `url` is only used to say where.
pub fn check_prefix(prefix: &str, url: impl FnOnce() -> String) -> Result<()> {
    if prefix.is_empty() || prefix.strip_suffix('/').is_some_and(is_name) {
        return Ok(());
    }
    Err(StoreError::new(Operation::List, prefix, url(), Kind::BadName))
}

/// Whether `name` keeps the rules of `check_name`.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && name.split('/').all(is_segment)
}

/// Whether `segment` may stand between two slashes.
pub(crate) fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment.len() <= SEGMENT_BYTES_MAX
        && !segment.starts_with('.')
        && !segment.ends_with('.')
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_format_pass() {
        for name in ["FORMAT", "data/ab/ab34", "log/00000000000000000007", "data/ab/ab34.17", "a-b_c/D.e"] {
            assert!(is_name(name), "{name}");
        }
        assert!(is_name(&"a".repeat(SEGMENT_BYTES_MAX)));
    }

    #[test]
    fn hostile_names_do_not() {
        let long = ["a"; 300].join("/");
        for name in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            ".tmp/a",
            "a.",
            "a b",
            "a\\b",
            "a\0",
            "ä",
            "a\n",
            "a%2e",
            "a#1",
            "a:b",
            long.as_str(),
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(!is_name(&"a".repeat(SEGMENT_BYTES_MAX + 1)));
    }

    #[test]
    fn prefixes_are_whole_folders() {
        let url = String::new;
        assert!(check_prefix("", url).is_ok());
        assert!(check_prefix("data/ab/", url).is_ok());
        for prefix in ["data", "/", "data//", "../", "data/ab"] {
            assert_eq!(check_prefix(prefix, url).map_err(|e| e.kind), Err(Kind::BadName));
        }
    }
}
