//! Session keys: one random data key a session, wrapped to its domain's public half (FORMAT.md §4).

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::clock::{Entropy, random};
use crate::error::FormatError;
use crate::ids::FamilyId;
use crate::keys::{DomainKeys, KEY_BYTES, KeyRef, WriterKeys, x25519};
use crate::seal::{NONCE_ZERO, SealKey, TAG_BYTES};

/// Session keys kept open at once: a restore touches a few sessions at a time, and a refill costs 50 µs.
const SESSIONS_CACHED_MAX: usize = 1024;

/// A session key as it is stored: ephemeral public key 32, sealed key 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WrappedSession(pub [u8; WrappedSession::LEN]);

impl WrappedSession {
    /// Length in bytes.
    pub const LEN: usize = KEY_BYTES + KEY_BYTES + TAG_BYTES;
}

/// The opened data key of a session. Wiped when dropped; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionSecret(pub(crate) [u8; KEY_BYTES]);

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(..)")
    }
}

/// A writer's data key: the secret, and what is stored of it.
#[derive(Debug, Clone)]
pub struct SessionKey {
    key: KeyRef,
    secret: SessionSecret,
    wrapped: WrappedSession,
}

impl SessionKey {
    /// A fresh data key for one session of the domain that `keys` belong to.
    pub fn new(keys: &WriterKeys, entropy: &dyn Entropy) -> Result<Self, FormatError> {
        let no_entropy = |source| FormatError::Entropy { what: "a session key".into(), source };
        let secret = SessionSecret(random(entropy).map_err(no_entropy)?);
        let ephemeral = Zeroizing::new(random(entropy).map_err(no_entropy)?);
        let (private, ephemeral) = x25519(&ephemeral)?;
        let kek = wrapping_key(&private, &keys.public, &ephemeral, &keys.public)?;
        let mut sealed = Zeroizing::new(Vec::with_capacity(KEY_BYTES + TAG_BYTES));
        sealed.extend_from_slice(&secret.0);
        kek.seal_tail(NONCE_ZERO, &wrap_data(keys.family, keys.key), &mut sealed, 0)?;
        let mut wrapped = [0; WrappedSession::LEN];
        wrapped[..KEY_BYTES].copy_from_slice(&ephemeral);
        wrapped[KEY_BYTES..].copy_from_slice(&sealed);
        Ok(Self { key: keys.key, secret, wrapped: WrappedSession(wrapped) })
    }

    /// Which keys it is wrapped to.
    pub fn key_ref(&self) -> KeyRef {
        self.key
    }

    /// The opened key: a session can read what it wrote itself.
    pub fn secret(&self) -> &SessionSecret {
        &self.secret
    }

    /// What is stored of it.
    pub fn wrapped(&self) -> &WrappedSession {
        &self.wrapped
    }
}

impl DomainKeys {
    /// Opens a session's data key. Wrapping commits to no key, so another domain's key and damage look alike: the commitment
    /// of a segment, which is compared next to it, tells them apart.
    pub fn unwrap_session(&self, wrapped: &WrappedSession) -> Result<SessionSecret, FormatError> {
        let writer = self.writer();
        let (ephemeral, sealed) = wrapped.0.split_at(KEY_BYTES);
        let damaged = || FormatError::damaged("a wrapped session key", format!("it does not open with {}", writer.key));
        let kek = wrapping_key(&self.secret, ephemeral, ephemeral, &writer.public).map_err(|_| damaged())?;
        let mut secret = SessionSecret([0; KEY_BYTES]);
        kek.open_into(NONCE_ZERO, &wrap_data(writer.family, writer.key), sealed, &mut secret.0)
            .map_err(|_| damaged())?;
        Ok(secret)
    }
}

/// Opened session keys, so that each is unwrapped once. Holds at most 1 024; when full it starts over.
#[derive(Debug, Default)]
pub struct SessionCache(HashMap<WrappedSession, SessionSecret>);

impl SessionCache {
    /// The opened key of `wrapped`, which `keys` must belong to.
    pub fn unwrap(&mut self, keys: &DomainKeys, wrapped: &WrappedSession) -> Result<SessionSecret, FormatError> {
        if let Some(secret) = self.0.get(wrapped) {
            return Ok(secret.clone());
        }
        let secret = keys.unwrap_session(wrapped)?;
        if self.0.len() >= SESSIONS_CACHED_MAX {
            self.0.clear();
        }
        self.0.insert(*wrapped, secret.clone());
        Ok(secret)
    }
}

/// The key-encryption key between `mine` and `theirs`.
fn wrapping_key(
    mine: &PrivateKey,
    theirs: &[u8],
    ephemeral: &[u8],
    public: &[u8; KEY_BYTES],
) -> Result<SealKey, FormatError> {
    let refused = || FormatError::Library { what: "an X25519 agreement".into() };
    agree(mine, UnparsedPublicKey::new(&X25519, theirs), refused(), |shared| {
        let mut material = Zeroizing::new([0u8; 3 * KEY_BYTES]);
        let (first, rest) = material.split_at_mut(KEY_BYTES);
        if shared.len() != KEY_BYTES {
            return Err(refused());
        }
        first.copy_from_slice(shared);
        rest[..KEY_BYTES].copy_from_slice(ephemeral);
        rest[KEY_BYTES..].copy_from_slice(public);
        let kek = Zeroizing::new(blake3::derive_key("firn 2026 v1 session wrap", material.as_slice()));
        SealKey::new(&kek)
    })
}

fn wrap_data(family: FamilyId, key: KeyRef) -> [u8; 36] {
    let mut data = [0; 36];
    data[..16].copy_from_slice(&family.0);
    data[16..32].copy_from_slice(&key.domain.0);
    data[32..].copy_from_slice(&key.generation.to_le_bytes());
    data
}

#[cfg(test)]
mod tests;
