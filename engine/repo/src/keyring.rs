//! Keyring: what a secret unlocks, and the key objects that hold it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::slot::SLOT_BYTES_MAX;
use firn_format::{
    DomainId, DomainKeys, FamilyId, FormatError, FormatFile, Hash, KeySlot, Kit, LineageId, Passphrase, PassphraseCost,
    Root, Secret, SigningKey, SlotKind, TimeMs, Unlocked, WriterKeys, name,
};
use firn_store::{Check, Store, put_new_resolved};

use crate::context::Context;
use crate::error::RepoError;
use crate::open::Repository;
use crate::pool::{self, Limits};

/// So many key objects are read, the oldest first: whoever may create objects cannot push out what was there before.
const SLOTS_MAX: usize = 1024;

/// A passphrase is tried until all tries together cost so much, in KiB of memory times passes: a minute or so, some 340 slots
/// of the usual cost. Whoever may create objects may create slots of the highest.
const TRIES_KIB_MAX: u64 = 64 << 20;

/// Key objects are small, and reading them is waiting.
const READING: Limits = Limits { threads: 8, items_max: 64, bytes_max: u64::MAX };

/// The family's root and what follows from it; the owner's signing key, if the secret held it. Never printed.
pub struct Keyring {
    family: FamilyId,
    unlocked: Unlocked,
    signing: Option<SigningKey>,
}

/// A key object, as far as it can be read without a secret.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// Its name in the store.
    pub name: String,
    /// Passphrase or kit; `None` if it is damaged.
    pub kind: Option<SlotKind>,
    /// What its maker called it; not authenticated.
    pub label: String,
    /// When it was made; not authenticated.
    pub created_ms: TimeMs,
}

/// Tries every key object of `repository` with `secret`.
///
/// # Errors
/// `WrongKey` if all are sound and none fits; `KeysDamaged` if none opens and one is damaged or there is none.
pub fn unlock(repository: &Repository, secret: &Secret<'_>) -> Result<Keyring, RepoError> {
    open_keys(repository.store().as_ref(), repository.format(), secret)
}

/// The key objects of `repository`, damaged ones too, by name.
pub fn list_keys(repository: &Repository) -> Result<Vec<KeyInfo>, RepoError> {
    let slots = read_slots(repository.store().as_ref(), repository.format().family)?;
    Ok(slots
        .into_iter()
        .map(|(name, slot)| match slot {
            Ok(slot) => KeyInfo { name, kind: Some(slot.kind), label: slot.label, created_ms: slot.created_ms },
            Err(_) => KeyInfo { name, kind: None, label: String::new(), created_ms: 0 },
        })
        .collect())
}

/// Wraps what `keyring` holds for one more passphrase. Returns the new key object's name.
pub fn add_passphrase(
    repository: &Repository,
    keyring: &Keyring,
    passphrase: &Passphrase,
    cost: PassphraseCost,
    label: &str,
) -> Result<String, RepoError> {
    let slot = keyring.seal_passphrase(repository.context(), passphrase, cost, label)?;
    put_slot(repository.store().as_ref(), slot)
}

/// Wraps what `keyring` holds for a new kit and returns the kit. Its text is the only copy of its secret.
pub fn export_kit(repository: &Repository, keyring: &Keyring, label: &str) -> Result<Kit, RepoError> {
    let (kit, slot) = keyring.seal_kit(repository.context(), repository.fingerprint(), label)?;
    put_slot(repository.store().as_ref(), slot)?;
    Ok(kit)
}

/// Copies key objects that `to` lacks from another store of the family, so that every secret that opens one opens the
/// other. They are sealed; no secret is needed. Returns how many were copied.
pub fn copy_keys(from: &dyn Store, to: &dyn Store, family: FamilyId) -> Result<usize, RepoError> {
    let there = list_slots(to)?;
    let mut copied = 0;
    for name in list_slots(from)? {
        if there.contains(&name) {
            continue;
        }
        let (bytes, slot) = read_slot(from, &name, family)?;
        // What is damaged, or another family's, opens nothing there either.
        if slot.is_some_and(|slot| slot.is_ok()) {
            put_slot(to, bytes)?;
            copied += 1;
        }
    }
    Ok(copied)
}

impl Keyring {
    pub(crate) fn new(format: &FormatFile, unlocked: Unlocked) -> Result<Self, RepoError> {
        if unlocked.root.chunker_check() != format.chunker_check {
            return Err(FormatError::damaged("the key", "it is not the root that this repository was made with").into());
        }
        let signing = unlocked.owner_seed.as_ref().map(|seed| SigningKey::from_seed(seed)).transpose()?;
        Ok(Self { family: format.family, unlocked, signing })
    }

    /// What a new family begins with.
    pub(crate) fn generate(context: &Context) -> Result<Unlocked, RepoError> {
        let entropy = context.entropy.as_ref();
        let seed = firn_format::clock::random(entropy)
            .map_err(|source| FormatError::Entropy { what: "a signing key".into(), source })?;
        Ok(Unlocked { root: Root::generate(entropy)?, owner_seed: Some(seed.into()) })
    }

    /// The family that it opens.
    pub fn family(&self) -> FamilyId {
        self.family
    }

    /// The key that signs what the owner appends.
    ///
    /// # Errors
    /// `NotAllowed` if the secret only reads.
    pub fn signing_key(&self) -> Result<&SigningKey, RepoError> {
        self.signing.as_ref().ok_or(RepoError::NotAllowed { what: "write to the repository" })
    }

    /// The domain of a cluster's UID.
    pub fn domain(&self, cluster: &str) -> DomainId {
        self.unlocked.root.domain_id(cluster)
    }

    /// The lineage of a cluster's UID and a policy.
    pub fn lineage(&self, cluster: &str, policy: &str) -> LineageId {
        self.unlocked.root.lineage_id(cluster, policy)
    }

    /// All keys of a domain.
    pub fn domain_keys(&self, domain: DomainId, generation: u32) -> Result<DomainKeys, RepoError> {
        Ok(self.unlocked.root.domain_keys(self.family, domain, generation)?)
    }

    /// The keys of a domain that a writer is given.
    pub fn writer_keys(&self, domain: DomainId, generation: u32) -> Result<WriterKeys, RepoError> {
        Ok(self.domain_keys(domain, generation)?.writer().clone())
    }

    pub(crate) fn unlocked(&self) -> &Unlocked {
        &self.unlocked
    }

    pub(crate) fn seal_passphrase(
        &self,
        context: &Context,
        passphrase: &Passphrase,
        cost: PassphraseCost,
        label: &str,
    ) -> Result<Bytes, RepoError> {
        let (now_ms, entropy) = (context.clock.now_ms(), context.entropy.as_ref());
        let slot = firn_format::seal_passphrase(self.family, &self.unlocked, passphrase, cost, label, now_ms, entropy)?;
        Ok(slot.into())
    }

    pub(crate) fn seal_kit(
        &self,
        context: &Context,
        fingerprint: Hash,
        label: &str,
    ) -> Result<(Kit, Bytes), RepoError> {
        let entropy = context.entropy.as_ref();
        let kit = Kit::generate(fingerprint, self.family, entropy)?;
        let slot = firn_format::seal_kit(&self.unlocked, &kit, label, context.clock.now_ms(), entropy)?;
        Ok((kit, slot.into()))
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("may_write", &self.signing.is_some()).finish_non_exhaustive()
    }
}

/// Puts a key object under the hash of its bytes and says its name.
pub(crate) fn put_slot(store: &dyn Store, slot: Bytes) -> Result<String, RepoError> {
    let name = name::key_path(Hash::of(&slot));
    let put = put_new_resolved(store, &name, slot, Check::Bytes);
    let _present = put.map_err(|source| RepoError::store("store a key", source))?;
    Ok(name)
}

pub(crate) fn open_keys(store: &dyn Store, format: &FormatFile, secret: &Secret<'_>) -> Result<Keyring, RepoError> {
    open_within(store, format, secret, TRIES_KIB_MAX)
}

fn open_within(
    store: &dyn Store,
    format: &FormatFile,
    secret: &Secret<'_>,
    kib_max: u64,
) -> Result<Keyring, RepoError> {
    let mut slots = read_slots(store, format.family)?;
    // What costs nothing to try comes first, and what a stranger made costly last.
    slots.sort_by_key(|(_, slot)| slot.as_ref().map_or(0, try_kib));
    let (mut tried, mut spent_kib, mut untried) = (0usize, 0u64, 0u64);
    let mut damaged = Vec::new();
    for (name, slot) in slots {
        let slot = match slot {
            Ok(slot) => slot,
            Err(error) => {
                damaged.push(format!("{name}: {error}"));
                continue;
            }
        };
        spent_kib = spent_kib.saturating_add(try_kib(&slot));
        if spent_kib > kib_max {
            untried += 1;
            continue;
        }
        tried += 1;
        match slot.open(secret) {
            Ok(unlocked) => return Keyring::new(format, unlocked),
            Err(FormatError::WrongKey { .. }) => {}
            // Of one that asks for more memory than there is, too: another may fit.
            Err(error) => damaged.push(format!("{name}: {error}")),
        }
    }
    let url = store.describe();
    let mut detail = match (tried, damaged.first()) {
        (0, None) if untried == 0 => "no key object is there".to_owned(),
        (_, None) if untried == 0 => return Err(RepoError::WrongKey { url, tried }),
        (_, None) => format!("none of {tried} opens"),
        (_, Some(first)) => {
            format!("none of {tried} opens, and {} more cannot be read, such as {first}", damaged.len())
        }
    };
    if untried > 0 {
        detail += &format!("; {untried} more would take too long to try: remove those that are not yours");
    }
    Err(RepoError::KeysDamaged { url, detail })
}

/// What a try costs: memory times passes; next to nothing for a kit.
fn try_kib(slot: &KeySlot) -> u64 {
    match slot.kind {
        SlotKind::Passphrase(cost) => u64::from(cost.memory_kib) * u64::from(cost.passes),
        SlotKind::Kit => 0,
    }
}

type ReadSlot = Result<KeySlot, FormatError>;

/// The key objects of this family: those of another are what an interrupted `init` left.
fn read_slots(store: &dyn Store, family: FamilyId) -> Result<Vec<(String, ReadSlot)>, RepoError> {
    let mut slots = Vec::new();
    pool::in_order(
        READING,
        list_slots(store)?,
        |_| 0,
        |name| read_slot(store, &name, family).map(|(_, slot)| (name, slot)),
        |read| {
            let (name, slot) = read?;
            slots.extend(slot.map(|slot| (name, slot)));
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(slots)
}

/// One key object, `None` if it is another family's.
fn read_slot(store: &dyn Store, name: &str, family: FamilyId) -> Result<(Bytes, Option<ReadSlot>), RepoError> {
    let bytes = match store.get(name, SLOT_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == firn_store::Kind::TooLarge => {
            return Ok((Bytes::new(), Some(Err(FormatError::damaged(name, "it is too long")))));
        }
        Err(source) => return Err(RepoError::store("read a key", source)),
    };
    if name::key_path(Hash::of(&bytes)) != name {
        return Ok((bytes, Some(Err(FormatError::damaged(name, "its bytes are not what its name says")))));
    }
    let slot = match KeySlot::parse(&bytes) {
        Ok(slot) if slot.family != family => None,
        other => Some(other),
    };
    Ok((bytes, slot))
}

/// The oldest names that a key object can have. Anything else is not looked at.
fn list_slots(store: &dyn Store) -> Result<Vec<String>, RepoError> {
    let is_key = |name: &str| {
        let hash = name.strip_prefix("keys/").and_then(|hex| hex.parse().ok());
        hash.is_some_and(|hash| name::key_path(hash) == name)
    };
    let mut oldest = BTreeSet::new();
    let listed = store.list("keys/", None, &mut |listed| {
        if is_key(&listed.name) {
            oldest.insert((listed.modified, listed.name));
        }
        if oldest.len() > SLOTS_MAX {
            oldest.pop_last();
        }
        ControlFlow::Continue(())
    });
    listed.map_err(|source| RepoError::store("list the keys", source))?;
    let mut names: Vec<String> = oldest.into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
