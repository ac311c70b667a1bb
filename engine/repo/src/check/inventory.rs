//! Inventory: every object in the store, sorted by what its name says that it is.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use firn_format::{Hash, ObjectName, State, StoreId, name};

use super::{StrayKind, Work};
use crate::checkpoint;
use crate::error::RepoError;
use crate::open::Repository;

/// Everything that a list shows.
#[derive(Default)]
pub(super) struct Inventory {
    /// Packs and index runs, with their lengths.
    pub(super) objects: BTreeMap<ObjectName, u64>,
    /// Checkpoints by position and hash, with their lengths.
    pub(super) checkpoints: BTreeMap<(u64, Hash), u64>,
    /// The positions of each store's mirrored entries, ascending.
    pub(super) mirrors: BTreeMap<StoreId, Vec<u64>>,
}

impl Inventory {
    /// Lists the whole store. Names that are none of the format's are strays.
    pub(super) fn take(repository: &Repository, work: &mut Work) -> Result<Self, RepoError> {
        let mut inventory = Self::default();
        let listed = repository.store().list("", None, &mut |line| {
            if let Some(name) = ObjectName::parse(&line.name) {
                inventory.objects.insert(name, line.bytes);
            } else if let Some(place) = checkpoint::parse(&line.name) {
                inventory.checkpoints.insert(place, line.bytes);
            } else if let Some((store, seq)) = parse_mirror(&line.name) {
                inventory.mirrors.entry(store).or_default().push(seq);
            } else if !is_other(&line.name) {
                work.stray(line.name, line.bytes, StrayKind::Foreign);
            }
            ControlFlow::Continue(())
        });
        match listed {
            Ok(()) => Ok(inventory),
            Err(source) => Err(RepoError::store("list the objects", source)),
        }
    }

    /// Names packs and index runs that are no point's and that no entry will mention, unless they are a running session's.
    pub(super) fn name_strays(&self, state: &State, work: &mut Work) {
        for (name, bytes) in &self.objects {
            if state.dead(name) && !state.needed_by_any(name) {
                work.stray(name.path(), *bytes, StrayKind::Ended);
            } else if !state.listed(name) {
                work.stray(name.path(), *bytes, StrayKind::Unlisted);
            }
        }
    }
}

fn parse_mirror(path: &str) -> Option<(StoreId, u64)> {
    let (store, seq) = path.strip_prefix("mirror/")?.split_once('/')?;
    let (store, seq) = (store.parse().ok()?, seq.parse().ok()?);
    (name::mirror_path(store, seq) == path).then_some((store, seq))
}

/// Whether it is FORMAT, a log entry, a KEY entry's mark, or a key.
fn is_other(path: &str) -> bool {
    let is_key = |hash: &str| hash.parse().is_ok_and(|hash| name::key_path(hash) == path);
    let is_log = name::parse_log_path(path).is_some() || name::parse_signer_path(path).is_some();
    path == name::FORMAT || is_log || path.strip_prefix("keys/").is_some_and(is_key)
}
