//! Signers: a mark in the store for each KEY entry, so that no checkpoint can leave out that somebody's right has ended.
//!
//! A cold reader takes a checkpoint's word for what the log says. Whoever forges one would leave out the entry that revoked
//! him; but nobody who can only create objects can take the mark of it away.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use firn_format::log::Roles;
use firn_format::{Entry, Payload, State, name};
use firn_store::{Check, Store, put_new_resolved};

use crate::error::RepoError;
use crate::slots;

/// What a mark holds: some stores have no use for an empty object.
const MARK: &[u8] = b"KEY\n";

/// So many marks that a checkpoint knows nothing of are looked into; a repository has one per signer, cluster and
/// rotation. Behind more of them somebody hides something.
const LOOKUPS_MAX: usize = 1000;

/// Puts the mark of the KEY entry at `seq`.
pub(crate) fn mark(store: &dyn Store, seq: u64) -> Result<(), RepoError> {
    let put = put_new_resolved(store, &name::signer_path(seq), Bytes::from_static(MARK), Check::Length);
    put.map(|_| ()).map_err(|source| RepoError::store("mark a KEY entry", source))
}

/// Puts those marks that a writer which died in between did not.
pub(crate) fn mark_all(store: &dyn Store, state: &State) -> Result<(), RepoError> {
    let marked = marks(store)?;
    state.key_positions().difference(&marked).try_for_each(|seq| mark(store, *seq))
}

/// The first KEY entry below the end of `state` that was left out of it, if one was.
pub(crate) fn left_out(store: &dyn Store, state: &State) -> Result<Option<u64>, RepoError> {
    let known = state.key_positions();
    let marked = marks(store)?;
    let unknown = marked.difference(&known).filter(|seq| **seq < state.next_seq());
    for (lookups, seq) in unknown.enumerate() {
        if lookups == LOOKUPS_MAX || is_key_entry(store, state, *seq)? {
            return Ok(Some(*seq));
        }
    }
    Ok(None)
}

/// Whether an owner's KEY entry lies there. Anybody can put a mark, or sign an entry that nobody heeds.
fn is_key_entry(store: &dyn Store, state: &State, seq: u64) -> Result<bool, RepoError> {
    let Some(bytes) = slots::read(store, seq)? else { return Ok(false) };
    let Ok((entry, _)) = Entry::open(&bytes) else { return Ok(false) };
    let is_owner = entry.signer == state.format().owner
        || state.signers().get(&entry.signer).is_some_and(|info| info.roles.has_any(Roles::OWNER));
    Ok(is_owner && entry.store == state.store() && entry.seq == seq && matches!(entry.payload, Payload::Key(_)))
}

fn marks(store: &dyn Store) -> Result<BTreeSet<u64>, RepoError> {
    let mut seqs = BTreeSet::new();
    let listed = store.list("signers/", None, &mut |line| {
        seqs.extend(name::parse_signer_path(&line.name));
        ControlFlow::Continue(())
    });
    listed.map(|()| seqs).map_err(|source| RepoError::store("list the marks of KEY entries", source))
}

#[cfg(test)]
mod tests;
