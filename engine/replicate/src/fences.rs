//! Fences: how an old primary learns that it is one.

use std::collections::HashSet;

use firn_format::{Hash, SigningKey, VoidReason};
use firn_repo::Repository;

use crate::error::ReplicateError;
use crate::import::{self, Outcome};
use crate::link;
use crate::mirror::{self, Mirror};
use crate::queue;

/// Imports the fences of `peer` that `target` does not know, and nothing else: what a committer of `target` does before it
/// opens a session and again before it commits. Returns the hashes of those that took effect; a lineage that they fence
/// refuses the commit.
///
/// # Errors
/// `RolledBack` and `Forked` if the peer's log is not the one that the target has seen; `PeerDamaged` after the fences
/// before the damage were imported; `NotAllowed` if `key` may not import.
pub fn import_fences(
    peer: &mut Repository,
    target: &mut Repository,
    key: &SigningKey,
) -> Result<Vec<Hash>, ReplicateError> {
    link::check(peer, target, key)?;
    target.refresh()?;
    let mut mirror = Mirror::open(peer, target)?;
    let items = queue::fences(peer.state(), target.state());
    if !items.is_empty() {
        mirror.catch_up(peer, target)?;
    }
    let mut taken = Vec::new();
    for item in items {
        let Some(entry) = mirror::entry_of(peer, target, item.seq, item.hash)? else {
            return Err(ReplicateError::PeerDamaged { url: peer.store().describe(), seq: item.seq });
        };
        match import::append(peer.state(), target, key, &item, &entry, &HashSet::new())? {
            Outcome::Appended => taken.push(item.hash),
            // A later epoch is in force here already.
            Outcome::Already | Outcome::Refused(VoidReason::Epoch) => {}
            _ => return Err(ReplicateError::PeerDamaged { url: peer.store().describe(), seq: item.seq }),
        }
    }
    match peer.damage() {
        Some(damage) => Err(ReplicateError::PeerDamaged { url: peer.store().describe(), seq: damage.seq }),
        None => Ok(taken),
    }
}
