//! Ed25519: the keys that sign a store's description and its log.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::FormatError;
use crate::ids::Signer;

/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A private Ed25519 key. The library that holds it wipes it when it is dropped.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    signer: Signer,
}

impl SigningKey {
    /// The key of a seed of 32 random bytes.
    ///
    /// # Errors
    /// When the library refuses the seed, which it does for no seed of the right length.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, FormatError> {
        let refused = || FormatError::damaged("signing key", "the seed was refused");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| refused())?;
        let signer = Signer::from_slice(pair.public_key().as_ref()).ok_or_else(refused)?;
        Ok(Self { pair, signer })
    }

    /// The public half.
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// The signature over `context || message`.
    pub fn sign(&self, context: &[u8], message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut out = [0; SIGNATURE_BYTES];
        let signature = self.pair.sign(&[context, message].concat());
        let bytes = signature.as_ref();
        let len = bytes.len().min(SIGNATURE_BYTES);
        out[..len].copy_from_slice(&bytes[..len]);
        out
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.signer.short())
    }
}

impl Signer {
    /// Whether `signature` over `context || message` is this signer's.
    pub fn verifies(&self, context: &[u8], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&[context, message].concat(), signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_one_message_and_one_context() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let signature = key.sign(b"context", b"message");
        assert!(key.signer().verifies(b"context", b"message", &signature));
        assert!(!key.signer().verifies(b"contexT", b"message", &signature));
        assert!(!key.signer().verifies(b"context", b"messagE", &signature));
        assert!(!Signer([0; 32]).verifies(b"context", b"message", &signature));
    }
}
