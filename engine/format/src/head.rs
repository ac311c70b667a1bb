//! The 96 bytes that packs and index runs begin with (FORMAT.md §5, §6).

use crate::clock::{Entropy, random};
use crate::error::FormatError;
use crate::ids::FamilyId;
use crate::keys::{KeyRef, WriterKeys};
use crate::seal::Derived;
use crate::segment::{array, key_ref};

/// Length of a head.
pub(crate) const HEAD_BYTES: usize = 96;
/// The part of it that keys are derived from: all but the commitment.
const DERIVED_FROM_BYTES: usize = 64;

/// One of the two objects that begin with a head.
pub(crate) struct HeadKind {
    /// The first eight bytes.
    pub(crate) magic: &'static [u8; 8],
    /// What keys and additional data are bound to.
    pub(crate) label: &'static [u8],
    /// For people.
    pub(crate) what: &'static str,
}

/// `magic 8 || version 1 || kind || zero 2 || domain 16 || generation u32 || salt 32 || commitment 32`.
pub(crate) struct Head([u8; HEAD_BYTES]);

impl Head {
    /// A fresh head and the key that it commits to. `kind` is zero for index runs.
    pub(crate) fn new(
        of: &HeadKind,
        kind: u8,
        keys: &WriterKeys,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Derived), FormatError> {
        let salt: [u8; 32] = random(entropy).map_err(|source| FormatError::Entropy { what: of.what.into(), source })?;
        let mut head = Self([0; HEAD_BYTES]);
        head.0[..8].copy_from_slice(of.magic);
        head.0[8] = 1;
        head.0[9] = kind;
        head.0[12..28].copy_from_slice(&keys.key.domain.0);
        head.0[28..32].copy_from_slice(&keys.key.generation.to_le_bytes());
        head.0[32..64].copy_from_slice(&salt);
        let derived = head.derive(of, keys);
        head.0[64..].copy_from_slice(&derived.commitment);
        Ok((head, derived))
    }

    /// Reads a head; nothing of it is authentic before [`Head::key`].
    pub(crate) fn parse(of: &HeadKind, bytes: &[u8]) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(of.what, detail);
        let head = bytes.first_chunk().copied().map(Self).ok_or_else(|| damaged("it is cut within its head"))?;
        if &head.0[..8] != of.magic {
            return Err(damaged("its first bytes are another's"));
        }
        if head.0[8] != 1 {
            return Err(FormatError::Newer { what: of.what.into(), needs: format!("version {}", head.0[8]) });
        }
        if head.0[10..12] != [0; 2] {
            return Err(damaged("its reserved bytes are not zero"));
        }
        Ok(head)
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8; HEAD_BYTES] {
        &self.0
    }

    /// The kind byte.
    pub(crate) fn kind(&self) -> u8 {
        self.0[9]
    }

    /// Whose keys it says that it is sealed with.
    pub(crate) fn key_ref(&self) -> KeyRef {
        key_ref(&self.0[12..32])
    }

    /// The key, if `keys` are the right ones.
    pub(crate) fn key(&self, of: &HeadKind, keys: &WriterKeys) -> Result<Derived, FormatError> {
        let derived = self.derive(of, keys);
        if self.key_ref() != keys.key || derived.commitment != array(&self.0[64..]) {
            return Err(FormatError::WrongKey { what: format!("{} of {}", of.what, self.key_ref()) });
        }
        Ok(derived)
    }

    /// What sealing binds.
    pub(crate) fn data(&self, of: &HeadKind, family: FamilyId) -> Vec<u8> {
        [of.label, &family.0, &self.0].concat()
    }

    fn derive(&self, of: &HeadKind, keys: &WriterKeys) -> Derived {
        Derived::from(&keys.metadata_key, &[of.label, &keys.family.0, &self.0[..DERIVED_FROM_BYTES]])
    }
}
