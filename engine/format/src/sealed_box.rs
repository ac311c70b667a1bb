//! The sealed box: a point's summary in the log, readable by its domain's writers (FORMAT.md §8.1).

use crate::clock::{Entropy, random};
use crate::error::FormatError;
use crate::ids::FamilyId;
use crate::keys::{KeyRef, WriterKeys};
use crate::seal::{Derived, NONCE_ZERO, TAG_BYTES};
use crate::segment::{array, key_ref};

/// Most plain bytes of a box; far above any summary, far below a log entry's limit.
pub const BOX_BYTES_MAX: usize = 1 << 20;

const WHAT: &str = "a sealed summary";
/// Domain, generation, salt.
const BOUND_BYTES: usize = 16 + 4 + 32;
/// The same and the commitment.
const HEAD_BYTES: usize = BOUND_BYTES + 32;

/// Seals `plain` for those who hold the domain's metadata key.
pub fn seal_box(plain: &[u8], keys: &WriterKeys, entropy: &dyn Entropy) -> Result<Vec<u8>, FormatError> {
    if plain.len() > BOX_BYTES_MAX {
        let bytes = plain.len() as u64;
        return Err(FormatError::TooLarge { what: WHAT.into(), bytes, bytes_max: BOX_BYTES_MAX as u64 });
    }
    let salt: [u8; 32] = random(entropy).map_err(|source| FormatError::Entropy { what: WHAT.into(), source })?;
    let mut out = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
    out.extend_from_slice(&keys.key.domain.0);
    out.extend_from_slice(&keys.key.generation.to_le_bytes());
    out.extend_from_slice(&salt);
    let bound = bound(keys.family, &out);
    let derived = Derived::from(&keys.metadata_key, &[&bound]);
    out.extend_from_slice(&derived.commitment);
    out.extend_from_slice(plain);
    derived.seal_key()?.seal_tail(NONCE_ZERO, &bound, &mut out, HEAD_BYTES)?;
    Ok(out)
}

/// Which keys open a box, as it says itself.
pub fn box_key(sealed: &[u8]) -> Result<KeyRef, FormatError> {
    let head = sealed.get(..HEAD_BYTES).ok_or_else(|| FormatError::damaged(WHAT, "it is cut within its head"))?;
    Ok(key_ref(head))
}

/// Opens what [`seal_box`] sealed.
pub fn open_box(sealed: &[u8], keys: &WriterKeys) -> Result<Vec<u8>, FormatError> {
    let named = box_key(sealed)?;
    if sealed.len() > HEAD_BYTES + BOX_BYTES_MAX + TAG_BYTES {
        return Err(FormatError::damaged(WHAT, "it is longer than its limit"));
    }
    let what = format!("{WHAT} of {named}");
    if named != keys.key {
        return Err(FormatError::WrongKey { what });
    }
    let (head, text) = sealed.split_at(HEAD_BYTES);
    let bound = bound(keys.family, &head[..BOUND_BYTES]);
    let commitment: [u8; 32] = array(&head[BOUND_BYTES..]);
    let key = Derived::from(&keys.metadata_key, &[&bound]).committed(&commitment, &what)?;
    key.open(NONCE_ZERO, &bound, text).map_err(|_| FormatError::damaged(what, "it does not open"))
}

fn bound(family: FamilyId, head: &[u8]) -> Vec<u8> {
    [b"firn summary v1".as_slice(), &family.0, head].concat()
}

#[cfg(test)]
mod tests;
