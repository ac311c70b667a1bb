//! Keys: the family's root, what follows from it for each domain, and what a writer is given of that (FORMAT.md §3).

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::clock::{Entropy, random};
use crate::error::FormatError;
use crate::ids::{BlobId, DomainId, FamilyId, LineageId};

/// Length of every key, salt and commitment in bytes.
pub const KEY_BYTES: usize = 32;

/// Which keys something was sealed with: a domain's, of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRef {
    /// The domain.
    pub domain: DomainId,
    /// Counts from 1; rises with each rotation.
    pub generation: u32,
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain {} generation {}", self.domain.short(), self.generation)
    }
}

/// The family's one secret. All other keys follow from it. Wiped when dropped; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Root([u8; KEY_BYTES]);

impl Root {
    /// A new root.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, FormatError> {
        random(entropy).map(Self).map_err(|source| FormatError::Entropy { what: "a root key".into(), source })
    }

    /// The root with these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sealed in a key slot and shown to nobody.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What names domains and lineages.
    pub fn naming_key(&self) -> NamingKey {
        NamingKey(blake3::derive_key("firn 2026 v1 naming key", &self.0))
    }

    /// As [`NamingKey::domain_id`].
    pub fn domain_id(&self, name: &str) -> DomainId {
        self.naming_key().domain_id(name)
    }

    /// As [`NamingKey::lineage_id`].
    pub fn lineage_id(&self, cluster: &str, policy: &str) -> LineageId {
        self.naming_key().lineage_id(cluster, policy)
    }

    /// FORMAT's field 6: tells whether two roots cut alike, and gives nothing away.
    pub fn chunker_check(&self) -> [u8; 8] {
        let secret = Zeroizing::new(blake3::derive_key("firn 2026 v1 chunker check", &self.0));
        let hash = blake3::hash(secret.as_slice());
        let mut check = [0; 8];
        check.copy_from_slice(&hash.as_bytes()[..8]);
        check
    }

    /// All keys of `domain` in `generation`.
    pub fn domain_keys(&self, family: FamilyId, domain: DomainId, generation: u32) -> Result<DomainKeys, FormatError> {
        let mut material = Zeroizing::new([0u8; 52]);
        material[..32].copy_from_slice(&self.0);
        material[32..48].copy_from_slice(&domain.0);
        material[48..].copy_from_slice(&generation.to_le_bytes());
        let derive = |context| blake3::derive_key(context, material.as_slice());
        let secret = Zeroizing::new(derive("firn 2026 v1 x25519 secret"));
        let chunker = Zeroizing::new(derive("firn 2026 v1 chunker secret"));
        let word = |at: usize| u32::from_le_bytes([chunker[at], chunker[at + 1], chunker[at + 2], chunker[at + 3]]);
        let (secret, public) = x25519(&secret)?;
        let writer = WriterKeys {
            family,
            key: KeyRef { domain, generation },
            chunk_id_key: derive("firn 2026 v1 chunk id key"),
            node_id_key: derive("firn 2026 v1 node id key"),
            metadata_key: derive("firn 2026 v1 metadata key"),
            chunker: (word(0) | 1, word(4)),
            public,
        };
        Ok(DomainKeys { writer, secret })
    }
}

/// What whoever commits is given of the root: with it a policy finds its lineage, and nothing can be opened. Wiped when
/// dropped; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct NamingKey([u8; KEY_BYTES]);

impl NamingKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever commits.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The domain of this name; by default the name is a cluster's UID.
    pub fn domain_id(&self, name: &str) -> DomainId {
        DomainId(self.id("firn 2026 v1 domain", name.as_bytes()))
    }

    /// The lineage of a cluster's UID and a policy. Neither may contain a zero byte; Kubernetes allows none.
    pub fn lineage_id(&self, cluster: &str, policy: &str) -> LineageId {
        let name = [cluster.as_bytes(), b"\0", policy.as_bytes()].concat();
        LineageId(self.id("firn 2026 v1 lineage", &name))
    }

    fn id(&self, context: &str, name: &[u8]) -> [u8; 16] {
        let material = Zeroizing::new([self.0.as_slice(), name].concat());
        let derived = Zeroizing::new(blake3::derive_key(context, &material));
        let mut id = [0; 16];
        id.copy_from_slice(&derived[..16]);
        id
    }
}

/// The private key of these bytes and its public half.
pub(crate) fn x25519(secret: &[u8; KEY_BYTES]) -> Result<(PrivateKey, [u8; KEY_BYTES]), FormatError> {
    let refused = || FormatError::Library { what: "an X25519 key".into() };
    let private = PrivateKey::from_private_key(&X25519, secret).map_err(|_| refused())?;
    let public = private.compute_public_key().map_err(|_| refused())?;
    let public = public.as_ref().try_into().map_err(|_| refused())?;
    Ok((private, public))
}

/// What a writer is given of a domain: it can name, cut and seal, and open metadata, but not data of earlier sessions.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct WriterKeys {
    #[zeroize(skip)]
    pub(crate) family: FamilyId,
    #[zeroize(skip)]
    pub(crate) key: KeyRef,
    chunk_id_key: [u8; KEY_BYTES],
    node_id_key: [u8; KEY_BYTES],
    pub(crate) metadata_key: [u8; KEY_BYTES],
    chunker: (u32, u32),
    #[zeroize(skip)]
    pub(crate) public: [u8; KEY_BYTES],
}

impl WriterKeys {
    /// The family they belong to.
    pub fn family(&self) -> FamilyId {
        self.family
    }

    /// Which keys they are.
    pub fn key_ref(&self) -> KeyRef {
        self.key
    }

    /// The name of a chunk with these plain bytes.
    pub fn chunk_id(&self, plain: &[u8]) -> BlobId {
        BlobId(*blake3::keyed_hash(&self.chunk_id_key, plain).as_bytes())
    }

    /// The name of a tree node (or any other metadata blob) with these plain bytes.
    pub fn node_id(&self, plain: &[u8]) -> BlobId {
        BlobId(*blake3::keyed_hash(&self.node_id_key, plain).as_bytes())
    }

    /// The key that names nodes and decides where they end.
    pub fn node_id_key(&self) -> &[u8; KEY_BYTES] {
        &self.node_id_key
    }

    /// The chunker's secret: multiplier (odd) and addend.
    pub fn chunker(&self) -> (u32, u32) {
        self.chunker
    }

    /// The public half to which session keys are wrapped; a KEY entry announces it.
    pub fn public(&self) -> &[u8; KEY_BYTES] {
        &self.public
    }
}

impl fmt::Debug for WriterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterKeys").field("key", &self.key).finish_non_exhaustive()
    }
}

/// All keys of a domain in one generation: opens data too.
pub struct DomainKeys {
    writer: WriterKeys,
    pub(crate) secret: PrivateKey,
}

impl DomainKeys {
    /// The part that a writer gets.
    pub fn writer(&self) -> &WriterKeys {
        &self.writer
    }
}

impl fmt::Debug for DomainKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainKeys").field("key", &self.writer.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(..)")
    }
}

#[cfg(test)]
pub(crate) mod tests;
