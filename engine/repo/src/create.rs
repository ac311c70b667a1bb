//! Create: a new repository in an empty store. FORMAT comes last; what an interrupted attempt leaves hinders no other.

use std::ops::ControlFlow;
use std::sync::Arc;

use firn_format::format_file::ChunkerFacts;
use firn_format::{
    FamilyId, FormatError, FormatFile, Hash, Kit, PassphraseCost, Secret, StoreId, Unlocked, clock, name,
};
use firn_store::{Check, Kind, Store, probe_create_race, put_new_resolved};

use crate::context::Context;
use crate::error::RepoError;
use crate::keyring::{Keyring, copy_keys, open_keys, put_slot};
use crate::open::Repository;

/// What a new repository begins with.
pub struct CreateOptions<'a> {
    /// What the passphrase is called in the list of keys.
    pub label: &'a str,
    /// What the passphrase costs to try.
    pub cost: PassphraseCost,
    /// The repository whose family this one joins, unlocked with an owner's secret.
    pub replica_of: Option<(&'a Repository, &'a Keyring)>,
    /// Whether a kit is wanted at once.
    pub kit: bool,
}

impl Default for CreateOptions<'_> {
    fn default() -> Self {
        Self { label: "passphrase", cost: PassphraseCost::DEFAULT, replica_of: None, kit: false }
    }
}

/// A new repository.
pub struct Created {
    /// It, opened.
    pub repository: Repository,
    /// Its keys.
    pub keyring: Keyring,
    /// The kit, if one was wanted: the only copy of its secret.
    pub kit: Option<Kit>,
}

/// Creates a repository in an empty store that creates objects only if they are absent. A replica takes over family, root,
/// owner and all key objects of the other repository, so that every passphrase and kit that opens that one opens this.
///
/// # Errors
/// `AlreadyARepository` or `NotEmpty` before anything is written; a store that lets two writers create one object is
/// refused. After any error a second attempt begins afresh.
pub fn create(
    store: Arc<dyn Store>,
    context: Context,
    secret: &Secret<'_>,
    options: &CreateOptions<'_>,
) -> Result<Created, RepoError> {
    refuse_used(store.as_ref())?;
    probe_create_race(store.as_ref()).map_err(|source| RepoError::store("use this store for a repository", source))?;
    let (format, bytes, unlocked) = describe(&context, options)?;
    let keyring = Keyring::new(&format, unlocked)?;
    if let Some((source, _)) = options.replica_of {
        copy_keys(source.store().as_ref(), store.as_ref(), format.family)?;
    }
    let opens = options.replica_of.is_some() && open_keys(store.as_ref(), &format, secret).is_ok();
    match secret {
        _ if opens => {}
        Secret::Passphrase(passphrase) => {
            put_slot(store.as_ref(), keyring.seal_passphrase(&context, passphrase, options.cost, options.label)?)?;
        }
        Secret::Kit(_) => return Err(RepoError::NotAllowed { what: "begin a repository" }),
    }
    let mut kit = None;
    if options.kit {
        let (made, slot) = keyring.seal_kit(&context, Hash::of(&bytes), "kit")?;
        put_slot(store.as_ref(), slot)?;
        kit = Some(made);
    }
    match put_new_resolved(store.as_ref(), name::FORMAT, bytes.into(), Check::Bytes) {
        Ok(_) => {}
        // Somebody else created one at the same time.
        Err(error) if error.kind == Kind::Differs => {
            return Err(RepoError::AlreadyARepository { url: store.describe() });
        }
        Err(source) => return Err(RepoError::store("store FORMAT", source)),
    }
    Ok(Created { repository: Repository::open(store, context)?, keyring, kit })
}

/// FORMAT's content, its bytes, and the secrets that belong to it.
fn describe(context: &Context, options: &CreateOptions<'_>) -> Result<(FormatFile, Vec<u8>, Unlocked), RepoError> {
    let random_id = || {
        clock::random(context.entropy.as_ref())
            .map_err(|source| FormatError::Entropy { what: "a repository's id".into(), source })
    };
    let (family, unlocked, chunker) = match options.replica_of {
        Some((source, keyring)) => {
            (source.format().family, keyring.unlocked().clone(), source.format().chunker.clone())
        }
        None => (FamilyId(random_id()?), Keyring::generate(context)?, ChunkerFacts::default()),
    };
    let seed = unlocked.owner_seed.as_ref().ok_or(RepoError::NotAllowed { what: "begin a replica" })?;
    let key = firn_format::SigningKey::from_seed(seed)?;
    let format = FormatFile {
        family,
        store: StoreId(random_id()?),
        owner: key.signer(),
        chunker,
        chunker_check: unlocked.root.chunker_check(),
        created_ms: context.clock.now_ms(),
        features: Vec::new(),
    };
    let bytes = format.sign(&key);
    Ok((format, bytes, unlocked))
}

/// Passes over what an interrupted attempt may have left: key objects, which nobody's secret reaches without a FORMAT of
/// their family, and probes.
fn refuse_used(store: &dyn Store) -> Result<(), RepoError> {
    let (mut is_repository, mut foreign) = (false, None);
    let listed = store.list("", None, &mut |listed| {
        is_repository |= listed.name == name::FORMAT;
        let is_ours = ["keys/", "doctor/"].iter().any(|folder| listed.name.starts_with(folder));
        if !is_ours && !is_repository {
            foreign.get_or_insert(listed.name);
        }
        // FORMAT comes before every other name of a repository.
        if is_repository || foreign.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let url = store.describe();
    match listed {
        // The store's folder is made by the first put.
        Err(error) if error.is_not_found() => Ok(()),
        Err(source) => Err(RepoError::store("look into the store", source)),
        Ok(()) if is_repository => Err(RepoError::AlreadyARepository { url }),
        Ok(()) => match foreign {
            Some(name) => Err(RepoError::NotEmpty { url, name }),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests;
