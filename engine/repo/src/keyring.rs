//! Keyring: what a secret unlocks, and the key objects that hold it.

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

/// So many key objects are tried: a passphrase costs a fifth of a second at each, and nobody has so many.
const SLOTS_MAX: usize = 64;

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
    let slots = read_slots(store, format.family)?;
    let tried = slots.len();
    let mut damaged = Vec::new();
    for (name, slot) in slots {
        match slot.and_then(|slot| slot.open(secret)) {
            Ok(unlocked) => return Keyring::new(format, unlocked),
            Err(FormatError::WrongKey { .. }) => {}
            Err(error @ (FormatError::Damaged { .. } | FormatError::Newer { .. })) => {
                damaged.push(format!("{name}: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let url = store.describe();
    match (tried, damaged.as_slice()) {
        (0, _) => Err(RepoError::KeysDamaged { url, detail: "no key object is there".into() }),
        (_, []) => Err(RepoError::WrongKey { url, tried }),
        (_, [first, ..]) => {
            let detail =
                format!("none of {tried} opens, and {} of them cannot be read, such as {first}", damaged.len());
            Err(RepoError::KeysDamaged { url, detail })
        }
    }
}

type ReadSlot = Result<KeySlot, FormatError>;

/// The key objects of this family: those of another are what an interrupted `init` left.
fn read_slots(store: &dyn Store, family: FamilyId) -> Result<Vec<(String, ReadSlot)>, RepoError> {
    let mut slots = Vec::new();
    for name in list_slots(store)? {
        if let (_, Some(slot)) = read_slot(store, &name, family)? {
            slots.push((name, slot));
        }
    }
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

fn list_slots(store: &dyn Store) -> Result<Vec<String>, RepoError> {
    let mut names = Vec::new();
    let listed = store.list("keys/", None, &mut |listed| {
        names.push(listed.name);
        if names.len() < SLOTS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    listed.map_err(|source| RepoError::store("list the keys", source))?;
    Ok(names)
}
