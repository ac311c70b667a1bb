//! Found: objects that were called lost and lie there after all, whole.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use firn_format::{Class, Hash, ObjectName, PACK_BYTES_MAX, State};

use super::domain::object_error;
use super::{Problem, Work};
use crate::error::RepoError;
use crate::open::Repository;
use crate::pool::{self, Limits};

/// Packs on their way at once: each is held whole while its hash is taken.
const PACKS: Limits = Limits { threads: 2, items_max: 3, bytes_max: 96 << 20 };

/// A check of structure is meant to be short. Lost objects are few, unless a whole disk was away: what is beyond this many
/// bytes waits for a check that reads all data.
const BYTES_MAX: u64 = 64 << 30;

/// Hashes the lost packs that points need and that lie there: that some bytes are there proves nothing.
pub(super) fn hash_lost(
    repository: &Repository,
    listing: &BTreeMap<ObjectName, u64>,
    work: &mut Work,
) -> Result<(), RepoError> {
    let is_pack = |name: &ObjectName| !matches!(name.class, Class::Index(_));
    let mut packs = there(repository.state(), listing, work);
    packs.retain(is_pack);
    let mut bytes_sum = 0u64;
    let beyond = packs.iter().position(|name| {
        bytes_sum = bytes_sum.saturating_add(listing.get(name).copied().unwrap_or_default());
        bytes_sum > BYTES_MAX
    });
    for name in packs.split_off(beyond.unwrap_or(packs.len())) {
        let detail = "it was lost before and is not read again by a check of structure; --read-data reads it";
        work.object(name, Problem::Damaged(detail.into()));
    }
    let (store, progress) = (repository.store().as_ref(), repository.context().progress.as_ref());
    pool::in_order(
        PACKS,
        packs,
        |_| PACK_BYTES_MAX as u64,
        |name| (name, store.get(&name.path(), PACK_BYTES_MAX as u64)),
        |(name, bytes)| {
            let problem = match bytes {
                Ok(bytes) => {
                    work.bytes_read += bytes.len() as u64;
                    let is_whole = Hash::of(&bytes) == name.hash;
                    (!is_whole).then(|| Problem::Damaged("its bytes are not what its name says".into()))
                }
                Err(error) => Some(object_error(error)?),
            };
            if let Some(problem) = problem {
                work.object(name, problem);
            }
            work.refuse_stopped(progress)?;
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// Lost objects that points need, that lie there, and with which nothing is wrong as far as is known.
pub(super) fn there(state: &State, listing: &BTreeMap<ObjectName, u64>, work: &Work) -> Vec<ObjectName> {
    let is_there = |name: &&ObjectName| {
        state.needed_by_any(name) && listing.contains_key(*name) && !work.objects_wrong.contains_key(*name)
    };
    state.lost().filter(is_there).copied().collect()
}
