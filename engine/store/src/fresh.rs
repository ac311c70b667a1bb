//! Names that nobody used before.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// 32 hexadecimal digits that differ from every other call's, here and on other machines. Not a secret.
pub(crate) fn fresh_token() -> String {
    // Each `RandomState` is keyed from the system's randomness, which is all that a name needs.
    let half = |salt: u64| RandomState::new().hash_one((salt, std::process::id()));
    format!("{:016x}{:016x}", half(0), half(1))
}
