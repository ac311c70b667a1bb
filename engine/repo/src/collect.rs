//! Collect: objects that no point needs go, in the order mark, commit, delete, of which any part may be repeated.
//!
//! Whatever stops it, the next run goes on: an open collection is finished, and names that a GC_COMMIT has ended are deleted
//! for as long as they are seen. What goes is decided by a [`Plan`] alone, which a dry run shows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use firn_format::log::{GcCommit, GcMark, SessionEnd};
use firn_format::{Class, CollectionId, FormatError, ObjectName, Payload, SessionId, SigningKey, State, clock};
use firn_store::Store;

use crate::append::Appended;
use crate::checkpoint;
use crate::error::RepoError;
use crate::open::Repository;
use crate::pool::{self, Limits};

/// A session that is open for longer is taken for dead: a week is more than a first backup of terabytes over a slow line takes.
/// A writer that is declared dead by mistake fails with a clear error, and its next run uses what it had stored: that
/// goes at the earliest with the next collection.
const SESSION_AGE_MS_MAX: i64 = 7 * 24 * 3600 * 1000;

/// So many names fit an entry of 16 MiB with room to spare; the rest goes in a further collection.
const CANDIDATES_MAX: usize = 200_000;

/// A cold reader begins at the newest checkpoint; should that be damaged, at the one before.
const CHECKPOINTS_KEPT: usize = 2;

/// Deleting is waiting.
const DELETING: Limits = Limits { threads: 8, items_max: 64, bytes_max: u64::MAX };

/// So many objects that a list leaves out are looked up one by one before it is judged.
const MISSING_LOOKUPS_MAX: usize = 100;

/// What a collection did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Sessions that had been open for more than a week. What they left may go with the next collection.
    pub killed: Vec<SessionId>,
    /// Objects deleted.
    pub objects: u64,
    /// How many of them were old checkpoints.
    pub checkpoints: u64,
    /// The bytes of all of them.
    pub bytes: u64,
    /// Objects of no point that must wait until the sessions below have ended; another run deletes them.
    pub waiting_objects: u64,
    /// Sessions that were open when they were seen.
    pub waiting_for: Vec<SessionId>,
}

/// What [`collect`] would do now. Nothing is changed.
///
/// # Errors
/// As [`collect`].
pub fn foresee(repository: &mut Repository) -> Result<Collected, RepoError> {
    repository.refresh_by_list()?;
    repository.refuse_halted()?;
    let plan = Plan::make(repository)?;
    let bytes_of = |name: &ObjectName| plan.listing.get(name);
    let going = || plan.going(repository.state()).into_iter().filter_map(|name| bytes_of(&name));
    let waiting: Vec<_> = plan.waiting(repository.state());
    let open = repository.state().sessions().keys();
    Ok(Collected {
        objects: going().count() as u64 + plan.checkpoints.len() as u64,
        checkpoints: plan.checkpoints.len() as u64,
        bytes: going().sum::<u64>() + plan.checkpoints.iter().map(|listed| listed.bytes).sum::<u64>(),
        waiting_objects: waiting.len() as u64,
        waiting_for: if waiting.is_empty() { Vec::new() } else { open.copied().collect() },
        killed: plan.stale,
    })
}

/// Deletes what no live point needs and no open session may have written, and all checkpoints but the newest two. `key` needs
/// the role collect or owner.
///
/// # Errors
/// `Stopped` if that was asked for; the next run goes on. `LogDamaged`; `ShortList` if the store's list leaves out what is
/// there; `Missing` if objects that points need are gone.
/// Nothing that a point needs is ever deleted.
pub fn collect(repository: &mut Repository, key: &SigningKey) -> Result<Collected, RepoError> {
    // Points behind a gap in the log need objects, too.
    repository.refresh_by_list()?;
    repository.refuse_halted()?;
    let plan = Plan::make(repository)?;
    let mut collected = Collected::default();
    refuse_stopped(repository, &collected)?;
    repository.context().progress.phase("collecting");
    let mut is_committed = finish_open(repository, key)?;
    while mark(repository, key, |state| plan.unneeded(state, state.sessions().is_empty()))?.is_some() {
        refuse_stopped(repository, &collected)?;
        if !commit(repository, key)? {
            break;
        }
        is_committed = true;
    }
    if !plan.checkpoints.is_empty() && !is_committed {
        commit_nothing(repository, key)?;
    }
    if !repository.state().sessions().is_empty() {
        mark(repository, key, |state| plan.unneeded(state, true))?;
        if let Some(open) = repository.state().collection() {
            collected.waiting_objects = repository.state().candidates().count() as u64;
            collected.waiting_for = open.barrier.iter().copied().collect();
        }
    }
    plan.delete(repository, &mut collected)?;
    collected.killed = kill(repository, key, &plan.stale)?;
    Ok(collected)
}

/// What there is to collect: which names may go, by the state that is asked, and which checkpoints.
struct Plan {
    listing: Listing,
    /// Sessions to be declared dead.
    stale: Vec<SessionId>,
    /// Older than the second newest that is whole.
    checkpoints: Vec<checkpoint::Listed>,
}

impl Plan {
    fn make(repository: &mut Repository) -> Result<Self, RepoError> {
        repository.context().progress.phase("listing objects");
        let listing = list_objects(repository.store().as_ref())?;
        check_whole(repository, &listing)?;
        Ok(Self { listing, stale: stale_sessions(repository), checkpoints: old_checkpoints(repository)? })
    }

    /// Objects that no live point needs; with `unlisted` also those that no entry of the log mentions.
    fn unneeded(&self, state: &State, unlisted: bool) -> Vec<ObjectName> {
        let mut names: Vec<_> = state.unneeded().copied().collect();
        if unlisted {
            // A point's entry lists what it needs; an object of an open session is protected by the mark's barrier.
            names.extend(self.listing.keys().filter(|name| !state.listed(name) && !state.dead(name)));
        }
        names.sort_unstable();
        names.dedup();
        // Runs that nobody reads cost nothing; packs are what is paid for.
        names.sort_by_key(|name| matches!(name.class, Class::Index(_)));
        names
    }

    /// Objects whose names a GC_COMMIT has ended, now or in an earlier run.
    fn dead(&self, state: &State) -> impl Iterator<Item = (&ObjectName, &u64)> {
        self.listing.iter().filter(|(name, _)| state.dead(name) && !state.needed_by_any(name))
    }

    /// All that goes.
    fn going(&self, state: &State) -> BTreeSet<ObjectName> {
        let is_quiet = state.sessions().is_empty();
        self.unneeded(state, is_quiet).into_iter().chain(self.dead(state).map(|(name, _)| *name)).collect()
    }

    /// What could go if no session were open.
    fn waiting(&self, state: &State) -> Vec<ObjectName> {
        let going = self.going(state);
        self.unneeded(state, true).into_iter().filter(|name| !going.contains(name)).collect()
    }

    /// Deletes what the log says may be deleted.
    fn delete(&self, repository: &Repository, collected: &mut Collected) -> Result<(), RepoError> {
        let store = repository.store().as_ref();
        let progress = repository.context().progress.as_ref();
        let objects = self.dead(repository.state()).map(|(name, bytes)| (name.path(), *bytes, 0));
        let checkpoints = self.checkpoints.iter().map(|listed| (listed.path(), listed.bytes, 1));
        pool::in_order(
            DELETING,
            objects.chain(checkpoints),
            |_| 0,
            |(path, bytes, checkpoints)| (bytes, checkpoints, store.delete(&path)),
            |(bytes, checkpoints, deleted)| {
                deleted.map_err(|source| RepoError::store("delete an object that no point needs", source))?;
                collected.objects += 1;
                collected.checkpoints += checkpoints;
                collected.bytes += bytes;
                progress.add(firn_format::Counter::Entries, 1);
                refuse_stopped(repository, collected)?;
                Ok(ControlFlow::Continue(()))
            },
        )
    }
}

/// Checkpoints that a GC_COMMIT appended now ends: those below the second newest. Only whole ones count: a damaged one is of
/// no use to whoever opens the repository.
fn old_checkpoints(repository: &Repository) -> Result<Vec<checkpoint::Listed>, RepoError> {
    let store = repository.store().as_ref();
    let mut listed = checkpoint::list(store)?;
    let mut seqs: Vec<u64> = listed.iter().map(|listed| listed.seq).collect();
    seqs.dedup();
    let mut whole = 0;
    while let Some(seq) = seqs.pop() {
        if whole < CHECKPOINTS_KEPT {
            let is_whole = seq <= repository.state().checkpoint_seq() && checkpoint::fetch(store, seq)?.is_some();
            whole += usize::from(is_whole);
            if whole == CHECKPOINTS_KEPT {
                listed.retain(|listed| listed.seq < seq);
                return Ok(listed);
            }
        }
    }
    Ok(Vec::new())
}

type Listing = BTreeMap<ObjectName, u64>;

/// Every pack and index run in the store, with its length.
pub(crate) fn list_objects(store: &dyn Store) -> Result<Listing, RepoError> {
    let mut listing = Listing::new();
    for folder in ["data/", "meta/", "index/"] {
        let listed = store.list(folder, None, &mut |listed| {
            if let Some(name) = ObjectName::parse(&listed.name) {
                listing.insert(name, listed.bytes);
            }
            ControlFlow::Continue(())
        });
        listed.map_err(|source| RepoError::store("list the objects", source))?;
    }
    Ok(listing)
}

/// A list that leaves out what the log says is there is not to be trusted, or something is lost: either way nothing goes.
fn check_whole(repository: &mut Repository, listing: &Listing) -> Result<(), RepoError> {
    let state = repository.state();
    let unseen = |name: &&ObjectName| !listing.contains_key(*name) && !state.is_lost(name);
    let mut missing: Vec<_> = state.needed().filter(unseen).copied().collect();
    if !missing.is_empty() {
        // Another collector may have ended and deleted them since the log was read. A name that ended never comes back.
        repository.refresh()?;
        repository.refuse_halted()?;
        let state = repository.state();
        missing.retain(|name| state.needed_by_any(name) && !state.is_lost(name));
    }
    for name in missing.iter().take(MISSING_LOOKUPS_MAX) {
        match repository.store().head(&name.path()) {
            Ok(_) => return Err(RepoError::ShortList { name: name.path() }),
            Err(error) if error.is_not_found() => {}
            Err(source) => return Err(RepoError::store("look for an object", source)),
        }
    }
    match missing.first() {
        Some(name) => Err(RepoError::Missing { count: missing.len(), name: *name }),
        None => Ok(()),
    }
}

fn stale_sessions(repository: &Repository) -> Vec<SessionId> {
    // Only the store's clock tells the age of what the store's clock stamped; without it nobody is killed.
    let Ok(now) = repository.store().time() else { return Vec::new() };
    let dead_ms = now.as_millisecond() - SESSION_AGE_MS_MAX;
    let sessions = repository.state().sessions();
    sessions.iter().filter(|(_, open)| open.time_ms < dead_ms).map(|(id, _)| *id).collect()
}

fn kill(repository: &mut Repository, key: &SigningKey, stale: &[SessionId]) -> Result<Vec<SessionId>, RepoError> {
    let mut killed = Vec::new();
    for session in stale.iter().copied() {
        let appended = repository.append_with(key, |state| {
            Ok(state.sessions().contains_key(&session).then_some(Payload::Kill(SessionEnd { session })))
        })?;
        if appended.is_some() {
            repository
                .context()
                .progress
                .note(&format!("session {} was open for more than a week and is declared dead", session.short()));
            killed.push(session);
        }
    }
    Ok(killed)
}

/// Opens a collection, if there is anything to collect. It replaces one that is open.
fn mark(
    repository: &mut Repository,
    key: &SigningKey,
    candidates: impl Fn(&State) -> Vec<ObjectName>,
) -> Result<Option<Appended>, RepoError> {
    let collection = random_id(repository)?;
    repository.append_with(key, |state| {
        let mut candidates = candidates(state);
        candidates.truncate(CANDIDATES_MAX);
        let mark = GcMark { collection, candidates };
        Ok((!mark.candidates.is_empty()).then_some(Payload::GcMark(mark)))
    })
}

/// Finishes a collection that an earlier run left open, if the sessions that it waited for have ended.
fn finish_open(repository: &mut Repository, key: &SigningKey) -> Result<bool, RepoError> {
    let is_due = repository.state().collection().is_some_and(|open| open.barrier.is_empty());
    Ok(is_due && commit(repository, key)?)
}

/// A collection of no objects: its GC_COMMIT ends old checkpoints.
fn commit_nothing(repository: &mut Repository, key: &SigningKey) -> Result<(), RepoError> {
    let id = random_id(repository)?;
    repository.append(&Payload::GcMark(GcMark { collection: id, candidates: Vec::new() }), key)?;
    repository.append(&Payload::GcCommit(GcCommit { collection: id, dropped: Vec::new(), moved: Vec::new() }), key)?;
    Ok(())
}

/// Ends and deletes all checkpoints but the newest two. Returns how many went.
pub(crate) fn drop_old_checkpoints(repository: &mut Repository, key: &SigningKey) -> Result<u64, RepoError> {
    let checkpoints = old_checkpoints(repository)?;
    if checkpoints.is_empty() {
        return Ok(0);
    }
    commit_nothing(repository, key)?;
    let mut collected = Collected::default();
    Plan { listing: Listing::new(), stale: Vec::new(), checkpoints }.delete(repository, &mut collected)?;
    Ok(collected.checkpoints)
}

pub(crate) fn random_id(repository: &Repository) -> Result<CollectionId, RepoError> {
    let id = clock::random(repository.context().entropy.as_ref())
        .map_err(|source| FormatError::Entropy { what: "a collection's id".into(), source })?;
    Ok(CollectionId(id))
}

/// Ends the names that may go by now. `false` if there is none, or if another collector took over.
fn commit(repository: &mut Repository, key: &SigningKey) -> Result<bool, RepoError> {
    let Some(id) = repository.state().collection().map(|open| open.id) else { return Ok(false) };
    let appended = repository.append_with(key, |state| {
        let Some(open) = state.collection().filter(|open| open.id == id) else { return Ok(None) };
        let may_go = |name: &&ObjectName| !state.needed_by_any(name) && (state.listed(name) || open.barrier.is_empty());
        let dropped: Vec<_> = state.candidates().filter(may_go).copied().collect();
        Ok((!dropped.is_empty()).then(|| Payload::GcCommit(GcCommit { collection: id, dropped, moved: Vec::new() })))
    })?;
    Ok(appended.is_some())
}

/// Between two steps, each of which the next run goes on from.
fn refuse_stopped(repository: &Repository, collected: &Collected) -> Result<(), RepoError> {
    match repository.context().progress.stopping() {
        true => Err(RepoError::Stopped { after: format!("after {} objects were deleted", collected.objects) }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
