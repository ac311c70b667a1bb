//! Link: the relation between the two stores: what it must be, and how both logs remember it.

use firn_format::log::{Direction, Link};
use firn_format::{Payload, Roles, SigningKey};
use firn_repo::{RepoError, Repository};

use crate::error::ReplicateError;

/// Refuses what is no pair of stores of one family, and a key that may not import.
pub(crate) fn check(source: &Repository, target: &Repository, key: &SigningKey) -> Result<(), ReplicateError> {
    let (from, to) = (source.store().describe(), target.store().describe());
    if source.format().family != target.format().family {
        return Err(ReplicateError::OtherFamily { from, to });
    }
    if source.format().store == target.format().store {
        return Err(ReplicateError::Itself { from, to });
    }
    let signer = target.state().signers().get(&key.signer());
    if !signer.is_some_and(|signer| signer.roles.has_any(Roles::IMPORT.and(Roles::OWNER))) {
        return Err(RepoError::NotAllowed { what: "import into the repository" }.into());
    }
    Ok(())
}

/// Records the link in the target's log, and in the source's if it can be written to with this key.
pub(crate) fn record(source: &mut Repository, target: &mut Repository, key: &SigningKey) -> Result<(), ReplicateError> {
    let (to, from) = (link_to(target, Direction::To), link_to(source, Direction::From));
    append(target, &from, key)?;
    let wanted = source.damage().is_none() && !source.state().links().contains(&to);
    let allowed = source.state().validate(&Payload::Link(to.clone()), &key.signer()).is_ok();
    if wanted
        && allowed
        && let Err(error) = append(source, &to, key)
    {
        let note = format!("the link is not recorded in {}: {error}", source.store().describe());
        target.context().progress.note(&note);
    }
    Ok(())
}

fn link_to(other: &Repository, direction: Direction) -> Link {
    Link { store: other.format().store, fingerprint: other.fingerprint(), url: other.store().describe(), direction }
}

fn append(repository: &mut Repository, link: &Link, key: &SigningKey) -> Result<(), RepoError> {
    if repository.state().links().contains(link) {
        return Ok(());
    }
    let missing = |known: &[Link]| (!known.contains(link)).then(|| Payload::Link(link.clone()));
    repository.append_with(key, |state| Ok(missing(state.links()))).map(|_| ())
}
