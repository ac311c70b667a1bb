//! Sealing: AES-256-GCM under keys that are each derived for one use and committed to (FORMAT.md §3–§6).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use crate::error::FormatError;
use crate::keys::KEY_BYTES;

/// Length of an authentication tag.
pub(crate) const TAG_BYTES: usize = 16;

/// The nonce of a key that seals one thing only.
pub(crate) const NONCE_ZERO: [u8; 12] = [0; 12];

/// Sealed bytes did not open; the caller names the thing.
pub(crate) struct NotOpened;

/// A key that seals under nonces which its user never repeats.
pub(crate) struct SealKey {
    key: LessSafeKey,
    #[cfg(test)]
    bytes: [u8; KEY_BYTES],
}

impl SealKey {
    /// The key with these bytes.
    pub(crate) fn new(bytes: &[u8; KEY_BYTES]) -> Result<Self, FormatError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes);
        let unbound = unbound.map_err(|_| FormatError::Library { what: "an AES-256-GCM key".into() })?;
        Ok(Self {
            key: LessSafeKey::new(unbound),
            #[cfg(test)]
            bytes: *bytes,
        })
    }

    /// Seals `buffer[from..]` in place and appends the tag. A (key, nonce) pair must be used once.
    pub(crate) fn seal_tail(
        &self,
        nonce: [u8; 12],
        data: &[u8],
        buffer: &mut Vec<u8>,
        from: usize,
    ) -> Result<(), FormatError> {
        #[cfg(test)]
        used::record(self.bytes, nonce);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tail = buffer.get_mut(from..).unwrap_or_default();
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(data), tail);
        let tag = tag.map_err(|_| FormatError::Library { what: "AES-256-GCM".into() })?;
        buffer.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens `sealed` (ciphertext and tag) into `out`, which must be exactly as long as the plain bytes.
    pub(crate) fn open_into(
        &self,
        nonce: [u8; 12],
        data: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), NotOpened> {
        let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(NotOpened)?;
        if text.len() != out.len() {
            return Err(NotOpened);
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_separate_gather(nonce, Aad::from(data), text, tag, out).map_err(|_| NotOpened)
    }

    /// Opens `sealed` into a new buffer. The caller has checked that its length is within the format's limits.
    pub(crate) fn open(&self, nonce: [u8; 12], data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let mut out = vec![0; sealed.len().checked_sub(TAG_BYTES).ok_or(NotOpened)?];
        self.open_into(nonce, data, sealed, &mut out)?;
        Ok(out)
    }
}

/// A derived key and the commitment to it.
pub(crate) struct Derived {
    pub(crate) key: Zeroizing<[u8; KEY_BYTES]>,
    pub(crate) commitment: [u8; KEY_BYTES],
}

impl Derived {
    /// `key 32 || commitment 32` = XOF of BLAKE3 keyed with `from` over the joined `context`.
    pub(crate) fn from(from: &[u8; KEY_BYTES], context: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(from);
        for part in context {
            hasher.update(part);
        }
        let mut reader = hasher.finalize_xof();
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let mut commitment = [0; KEY_BYTES];
        reader.fill(key.as_mut_slice());
        reader.fill(&mut commitment);
        reader.zeroize();
        hasher.zeroize();
        Self { key, commitment }
    }

    /// The key, if `commitment` is the one that it commits to.
    pub(crate) fn committed(&self, commitment: &[u8], what: &str) -> Result<SealKey, FormatError> {
        if self.commitment != commitment {
            return Err(FormatError::WrongKey { what: what.into() });
        }
        self.seal_key()
    }

    /// The key, for sealing.
    pub(crate) fn seal_key(&self) -> Result<SealKey, FormatError> {
        SealKey::new(&self.key)
    }
}

#[cfg(test)]
pub(crate) mod used {
    //! Every (key, nonce) that this thread has sealed under.
    use std::cell::RefCell;

    thread_local!(static PAIRS: RefCell<Vec<([u8; 32], [u8; 12])>> = const { RefCell::new(Vec::new()) });

    pub(crate) fn record(key: [u8; 32], nonce: [u8; 12]) {
        PAIRS.with_borrow_mut(|pairs| pairs.push((key, nonce)));
    }

    pub(crate) fn take() -> Vec<([u8; 32], [u8; 12])> {
        PAIRS.with_borrow_mut(std::mem::take)
    }
}
