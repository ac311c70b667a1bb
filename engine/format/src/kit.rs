//! The kit: the offline secret, as text that can be printed and typed in again (FORMAT.md §3).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::clock::{Entropy, random};
use crate::error::FormatError;
use crate::ids::{FamilyId, Hash};
use crate::keys::KEY_BYTES;

const HEADLINE: &str = "FIRN-KIT-1";
const WHAT: &str = "a kit";

/// A secret that opens a kit slot, and which repository it belongs to. Wiped when dropped; never printed by accident.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Kit {
    /// The store for which it was made.
    #[zeroize(skip)]
    pub fingerprint: Hash,
    /// The family whose root it unwraps.
    #[zeroize(skip)]
    pub family: FamilyId,
    pub(crate) secret: [u8; KEY_BYTES],
}

impl Kit {
    /// A new secret for this repository.
    pub fn generate(fingerprint: Hash, family: FamilyId, entropy: &dyn Entropy) -> Result<Self, FormatError> {
        let secret = random(entropy).map_err(|source| FormatError::Entropy { what: WHAT.into(), source })?;
        Ok(Self { fingerprint, family, secret })
    }

    /// The text: whoever reads it can read everything.
    pub fn encode(&self) -> Zeroizing<String> {
        use fmt::Write;
        let mut text = Zeroizing::new(format!("{HEADLINE}\n{}\n{}\n", self.fingerprint, self.family));
        for (number, byte) in self.secret.iter().chain(&self.check()).enumerate() {
            let separator = if number > 0 && number % 4 == 0 { "-" } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}{byte:02x}");
        }
        text.push('\n');
        text
    }

    /// Reads a text that somebody may have typed: spaces, line ends, separators and case do not matter, every digit does.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(WHAT, detail);
        if text.len() > TEXT_BYTES_MAX {
            return Err(damaged("it is too long"));
        }
        let mut squeezed = Zeroizing::new(String::with_capacity(text.len()));
        squeezed.extend(text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase()));
        let headline = HEADLINE.replace('-', "").to_ascii_lowercase();
        let digits = squeezed.strip_prefix(&headline).ok_or_else(|| damaged("it does not begin with FIRN-KIT-1"))?;
        if digits.len() != DIGITS || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(damaged("it has digits too many, too few, or not hexadecimal"));
        }
        let mut bytes = Zeroizing::new([0u8; DIGITS / 2]);
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        let (fingerprint, rest) = bytes.split_at(32);
        let (family, rest) = rest.split_at(16);
        let (secret, check) = rest.split_at(KEY_BYTES);
        let mut kit = Self { fingerprint: Hash::ZERO, family: FamilyId([0; 16]), secret: [0; KEY_BYTES] };
        kit.fingerprint.0.copy_from_slice(fingerprint);
        kit.family.0.copy_from_slice(family);
        kit.secret.copy_from_slice(secret);
        if kit.check() != check {
            return Err(damaged("a digit is wrong: its last group does not fit the rest"));
        }
        Ok(kit)
    }

    /// Finds slips of the pen.
    fn check(&self) -> [u8; 4] {
        let mut material = Zeroizing::new([0u8; 80]);
        material[..32].copy_from_slice(&self.fingerprint.0);
        material[32..48].copy_from_slice(&self.family.0);
        material[48..].copy_from_slice(&self.secret);
        let derived = blake3::derive_key("firn 2026 v1 kit check", material.as_slice());
        [derived[0], derived[1], derived[2], derived[3]]
    }
}

/// Fingerprint, family, secret, check.
const DIGITS: usize = 2 * (32 + 16 + KEY_BYTES + 4);
/// Generous to spaces.
const TEXT_BYTES_MAX: usize = 4096;

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("family", &self.family).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
