//! FORMAT: what a store is, signed by its owner, never changed. Its hash is the store's fingerprint.

use minicbor::{Decode, Encode};

use crate::clock::TimeMs;
use crate::error::FormatError;
use crate::ids::{FamilyId, Hash, Signer, StoreId};
use crate::log::{Signed, cbor, exact};
use crate::signing::SigningKey;

/// What the signature covers before the body.
const CONTEXT: &[u8] = b"firn format v1\0";
/// The newest version of the format that this crate reads and writes.
pub const VERSION: u32 = 1;
/// The features that this crate knows.
pub const FEATURES: &[&str] = &[];
/// The longest FORMAT; a real one has some 300 bytes.
pub const FORMAT_BYTES_MAX: usize = 64 << 10;

/// How file data is cut.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChunkerFacts {
    /// The algorithm.
    #[n(0)]
    pub name: String,
    /// Shortest chunk.
    #[n(1)]
    pub bytes_min: u32,
    /// Longest chunk.
    #[n(2)]
    pub bytes_max: u32,
    /// Cutting begins anew at every multiple of this.
    #[n(3)]
    pub restart_bytes: u32,
    /// Length of a block on the grid.
    #[n(4)]
    pub grid_bytes: u32,
}

impl Default for ChunkerFacts {
    fn default() -> Self {
        Self {
            name: "mincdc4".into(),
            bytes_min: 64 << 10,
            bytes_max: 192 << 10,
            restart_bytes: 64 << 20,
            grid_bytes: 64 << 10,
        }
    }
}

/// A store's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatFile {
    /// The family that it belongs to.
    pub family: FamilyId,
    /// The store.
    pub store: StoreId,
    /// The first owner, who signed this.
    pub owner: Signer,
    /// How file data is cut.
    pub chunker: ChunkerFacts,
    /// Tells whether a root key is the one whose secrets cut the data.
    pub chunker_check: [u8; 8],
    /// When it was made.
    pub created_ms: TimeMs,
    /// What a reader must know, by name.
    pub features: Vec<String>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    magic: String,
    #[n(1)]
    version: u32,
    #[n(2)]
    family: FamilyId,
    #[n(3)]
    store: StoreId,
    #[n(4)]
    owner: Signer,
    #[n(5)]
    chunker: ChunkerFacts,
    #[cbor(n(6), with = "minicbor::bytes")]
    chunker_check: [u8; 8],
    #[n(7)]
    created_ms: TimeMs,
    #[cbor(n(8), default)]
    features: Vec<String>,
}

/// The two fields that tell whether the rest can be understood.
#[derive(Decode)]
#[cbor(map)]
struct Preface {
    #[n(0)]
    magic: String,
    #[n(1)]
    version: u32,
}

impl FormatFile {
    /// The stored bytes, signed with `key`, whose public half takes the place of `owner`.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let body = cbor(&Body {
            magic: "firn".into(),
            version: VERSION,
            family: self.family,
            store: self.store,
            owner: key.signer(),
            chunker: self.chunker.clone(),
            chunker_check: self.chunker_check,
            created_ms: self.created_ms,
            features: self.features.clone(),
        });
        let signature = key.sign(CONTEXT, &body);
        cbor(&Signed { body, signature })
    }

    /// The description in stored `bytes`, and their hash: the fingerprint. Whoever knows the fingerprint from elsewhere
    /// compares it; the signature alone proves only that the owner named inside wrote the rest.
    ///
    /// # Errors
    /// [`FormatError::Newer`] for a version or a feature that this crate does not know, [`FormatError::Damaged`] for
    /// anything else that is no FORMAT.
    pub fn open(bytes: &[u8]) -> Result<(Self, Hash), FormatError> {
        let broken = |detail: &str| FormatError::damaged("FORMAT", detail);
        if bytes.len() > FORMAT_BYTES_MAX {
            return Err(broken("it is too long"));
        }
        let signed: Signed = exact(bytes).ok_or_else(|| broken("it is not a signed map"))?;
        let preface: Preface = exact(&signed.body).ok_or_else(|| broken("it is not a map with a version"))?;
        if preface.magic != "firn" {
            return Err(broken("it does not begin with `firn`"));
        }
        if preface.version > VERSION {
            return Err(newer(format!("version {}", preface.version)));
        }
        let body: Body = exact(&signed.body).ok_or_else(|| broken("a field is missing or wrong"))?;
        if !body.owner.verifies(CONTEXT, &signed.body, &signed.signature) {
            return Err(broken("the signature is not the owner's"));
        }
        if let Some(unknown) = body.features.iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
            return Err(newer(unknown.chars().take(80).collect()));
        }
        let format = Self {
            family: body.family,
            store: body.store,
            owner: body.owner,
            chunker: body.chunker,
            chunker_check: body.chunker_check,
            created_ms: body.created_ms,
            features: body.features,
        };
        Ok((format, Hash::of(bytes)))
    }
}

fn newer(needs: String) -> FormatError {
    FormatError::Newer { what: "FORMAT".into(), needs }
}
