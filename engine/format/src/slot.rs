//! Key slots: the root wrapped for a passphrase or a kit, stored under `keys/` (FORMAT.md §3).

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::clock::{Entropy, TimeMs, random};
use crate::error::FormatError;
use crate::ids::FamilyId;
use crate::keys::{KEY_BYTES, Root};
use crate::kit::Kit;
use crate::seal::{Derived, NONCE_ZERO};

/// Longest key object that is read.
pub const SLOT_BYTES_MAX: usize = 4096;
/// Longest label of a slot.
pub const SLOT_LABEL_BYTES_MAX: usize = 256;

const WHAT: &str = "a key slot";
const CONTEXT: &[u8] = b"firn key slot v1";

/// What opens a slot.
#[derive(Debug)]
pub enum Secret<'a> {
    /// A passphrase, as typed.
    Passphrase(&'a Passphrase),
    /// A kit.
    Kit(&'a Kit),
}

/// A passphrase. Wiped when dropped; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

impl Passphrase {
    /// The passphrase with this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What a slot holds.
#[derive(Clone)]
pub struct Unlocked {
    /// The family's root.
    pub root: Root,
    /// The owner's Ed25519 seed; none in a slot that may only read.
    pub owner_seed: Option<Zeroizing<[u8; KEY_BYTES]>>,
}

impl fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unlocked").field("owner", &self.owner_seed.is_some()).finish_non_exhaustive()
    }
}

/// What Argon2id costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory in KiB, 8 MiB to 1 GiB.
    pub memory_kib: u32,
    /// Passes over it, 1 to 16.
    pub passes: u32,
    /// Lanes, 1 to 8.
    pub lanes: u32,
}

impl PassphraseCost {
    /// 64 MiB, three passes, one lane: a fifth of a second on one core, and within the memory goal.
    pub const DEFAULT: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 1 };
    /// The least that the format allows, for tests.
    pub const LEAST: Self = Self { memory_kib: 8 << 10, passes: 1, lanes: 1 };

    fn is_sound(&self) -> bool {
        (8 << 10..=1 << 20).contains(&self.memory_kib)
            && (1..=16).contains(&self.passes)
            && (1..=8).contains(&self.lanes)
    }
}

/// Which kind of secret a slot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// A passphrase at this cost.
    Passphrase(PassphraseCost),
    /// A kit.
    Kit,
}

impl SlotKind {
    fn byte(self) -> u8 {
        match self {
            Self::Passphrase(_) => 1,
            Self::Kit => 2,
        }
    }
}

/// A key object, read but not opened.
#[derive(Debug, Clone)]
pub struct KeySlot {
    /// The family whose root it wraps, as it says itself.
    pub family: FamilyId,
    /// What opens it.
    pub kind: SlotKind,
    /// For people; not authenticated.
    pub label: String,
    /// When it was made; not authenticated.
    pub created_ms: TimeMs,
    salt: [u8; KEY_BYTES],
    commitment: [u8; KEY_BYTES],
    sealed: Vec<u8>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct WireSlot {
    #[n(0)]
    version: u32,
    #[n(1)]
    family: FamilyId,
    #[n(2)]
    kind: u8,
    #[n(3)]
    memory_kib: Option<u32>,
    #[n(4)]
    passes: Option<u32>,
    #[n(5)]
    lanes: Option<u32>,
    #[n(6)]
    salt: ByteArray<KEY_BYTES>,
    #[n(7)]
    commitment: ByteArray<KEY_BYTES>,
    #[n(8)]
    sealed: ByteVec,
    #[n(9)]
    label: String,
    #[n(10)]
    created_ms: TimeMs,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(map)]
struct WireUnlocked {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    root: [u8; KEY_BYTES],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    owner_seed: Option<[u8; KEY_BYTES]>,
}

/// Seals `unlocked` for a passphrase: the bytes of a key object.
pub fn seal_passphrase(
    family: FamilyId,
    unlocked: &Unlocked,
    passphrase: &Passphrase,
    cost: PassphraseCost,
    label: &str,
    now_ms: TimeMs,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, FormatError> {
    let salt = random(entropy).map_err(|source| FormatError::Entropy { what: WHAT.into(), source })?;
    let kek = passphrase_key(passphrase, cost, &salt)?;
    seal(family, unlocked, SlotKind::Passphrase(cost), &kek, salt, label, now_ms)
}

/// Seals `unlocked` for a kit: the bytes of a key object.
pub fn seal_kit(
    unlocked: &Unlocked,
    kit: &Kit,
    label: &str,
    now_ms: TimeMs,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, FormatError> {
    let salt = random(entropy).map_err(|source| FormatError::Entropy { what: WHAT.into(), source })?;
    seal(kit.family, unlocked, SlotKind::Kit, &kit.secret, salt, label, now_ms)
}

fn seal(
    family: FamilyId,
    unlocked: &Unlocked,
    kind: SlotKind,
    kek: &[u8; KEY_BYTES],
    salt: [u8; KEY_BYTES],
    label: &str,
    created_ms: TimeMs,
) -> Result<Vec<u8>, FormatError> {
    if label.len() > SLOT_LABEL_BYTES_MAX {
        let (bytes, bytes_max) = (label.len() as u64, SLOT_LABEL_BYTES_MAX as u64);
        return Err(FormatError::TooLarge { what: "a key slot's label".into(), bytes, bytes_max });
    }
    let cbor = |_| FormatError::Library { what: "CBOR".into() };
    let wire =
        WireUnlocked { root: *unlocked.root.expose(), owner_seed: unlocked.owner_seed.as_ref().map(|seed| **seed) };
    // Room for all of it at once: growing would leave copies behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(128));
    minicbor::encode(&wire, &mut *sealed).map_err(cbor)?;
    let derived = Derived::from(kek, &[CONTEXT, &family.0, &salt]);
    derived.seal_key()?.seal_tail(NONCE_ZERO, &bound(family, kind, &salt), &mut sealed, 0)?;
    let cost = match kind {
        SlotKind::Passphrase(cost) => Some(cost),
        SlotKind::Kit => None,
    };
    let slot = WireSlot {
        version: 1,
        family,
        kind: kind.byte(),
        memory_kib: cost.map(|cost| cost.memory_kib),
        passes: cost.map(|cost| cost.passes),
        lanes: cost.map(|cost| cost.lanes),
        salt: salt.into(),
        commitment: derived.commitment.into(),
        sealed: sealed.to_vec().into(),
        label: label.into(),
        created_ms,
    };
    minicbor::to_vec(slot).map_err(cbor)
}

impl KeySlot {
    /// Reads a key object and checks its limits; nothing of it is authentic before [`KeySlot::open`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(WHAT, detail);
        if bytes.len() > SLOT_BYTES_MAX {
            return Err(damaged("it is too long"));
        }
        let wire: WireSlot = minicbor::decode(bytes).map_err(|error| damaged(&error.to_string()))?;
        if wire.version != 1 {
            return Err(FormatError::Newer { what: WHAT.into(), needs: format!("version {}", wire.version) });
        }
        let kind = match (wire.kind, wire.memory_kib, wire.passes, wire.lanes) {
            (1, Some(memory_kib), Some(passes), Some(lanes)) => {
                SlotKind::Passphrase(PassphraseCost { memory_kib, passes, lanes })
            }
            (2, None, None, None) => SlotKind::Kit,
            (1 | 2, ..) => return Err(damaged("its cost does not fit its kind")),
            (kind, ..) => return Err(FormatError::Newer { what: WHAT.into(), needs: format!("slot kind {kind}") }),
        };
        if let SlotKind::Passphrase(cost) = kind
            && !cost.is_sound()
        {
            return Err(damaged("its cost is out of bounds"));
        }
        if wire.label.len() > SLOT_LABEL_BYTES_MAX {
            return Err(damaged("its label is too long"));
        }
        Ok(Self {
            family: wire.family,
            kind,
            label: wire.label,
            created_ms: wire.created_ms,
            salt: wire.salt.into(),
            commitment: wire.commitment.into(),
            sealed: wire.sealed.into(),
        })
    }

    /// Opens the slot. A secret of another kind, and one that is not this slot's, is a wrong key; a slot that commits to the
    /// secret and does not open is damaged.
    pub fn open(&self, secret: &Secret<'_>) -> Result<Unlocked, FormatError> {
        let damaged = |detail: &str| FormatError::damaged(WHAT, detail);
        let wrong = || FormatError::WrongKey { what: format!("key slot {:?}", self.label) };
        let kek = match (self.kind, secret) {
            (SlotKind::Passphrase(cost), Secret::Passphrase(passphrase)) => {
                passphrase_key(passphrase, cost, &self.salt)?
            }
            (SlotKind::Kit, Secret::Kit(kit)) if kit.family == self.family => Zeroizing::new(kit.secret),
            _ => return Err(wrong()),
        };
        let derived = Derived::from(&kek, &[CONTEXT, &self.family.0, &self.salt]);
        if derived.commitment != self.commitment {
            return Err(wrong());
        }
        let data = bound(self.family, self.kind, &self.salt);
        let plain = derived.seal_key()?.open(NONCE_ZERO, &data, &self.sealed);
        let plain = Zeroizing::new(plain.map_err(|_| damaged("it does not open"))?);
        let wire: WireUnlocked = minicbor::decode(&plain).map_err(|error| damaged(&error.to_string()))?;
        Ok(Unlocked { root: Root::from_bytes(wire.root), owner_seed: wire.owner_seed.map(Zeroizing::new) })
    }
}

/// Reads and opens a key object.
pub fn open_slot(bytes: &[u8], secret: &Secret<'_>) -> Result<Unlocked, FormatError> {
    KeySlot::parse(bytes)?.open(secret)
}

fn bound(family: FamilyId, kind: SlotKind, salt: &[u8; KEY_BYTES]) -> Vec<u8> {
    [CONTEXT, &family.0, &[kind.byte()], salt].concat()
}

/// The key-encryption key of a passphrase. Bounds are checked before any memory is taken; the memory is wiped.
fn passphrase_key(
    passphrase: &Passphrase,
    cost: PassphraseCost,
    salt: &[u8; KEY_BYTES],
) -> Result<Zeroizing<[u8; KEY_BYTES]>, FormatError> {
    let refused = || FormatError::Library { what: "Argon2id".into() };
    if !cost.is_sound() {
        return Err(FormatError::damaged(WHAT, "its cost is out of bounds"));
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES)).map_err(|_| refused())?;
    let mut memory = Zeroizing::new(Vec::new());
    memory.try_reserve_exact(params.block_count()).map_err(|_| refused())?;
    memory.resize(params.block_count(), Block::new());
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashed = argon.hash_password_into_with_memory(passphrase.0.as_bytes(), salt, key.as_mut_slice(), &mut *memory);
    hashed.map_err(|_| refused())?;
    Ok(key)
}

#[cfg(test)]
mod tests;
