//! Import: the entry that makes a peer's point live, or its fence take effect.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use firn_format::log::{Commit, Import, PASSED_MAX};
use firn_format::state::FenceInfo;
use firn_format::{Entry, FormatError, ObjectName, Payload, PointId, SigningKey, State, StoreId, VoidReason};
use firn_repo::{RepoError, Repository};

use crate::copy::Pair;
use crate::error::ReplicateError;
use crate::evidence::Evidence;
use crate::queue::{Item, ItemKind};

/// An IMPORT as it would be appended now.
pub(crate) struct Prepared {
    pub(crate) payload: Payload,
    /// All that the point needs.
    pub(crate) pairs: Vec<Pair>,
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Appended,
    /// It, or a later one, is there.
    Already,
    /// The source deleted the point, or has not got the entry as its state knows it.
    Gone,
    /// Something is needed, in the target's names of now, that was not verified there.
    Incomplete,
    Refused(VoidReason),
    TooLong,
}

/// What is to be imported.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) item: &'a Item,
    /// The stored bytes of its entry.
    pub(crate) entry: &'a Bytes,
    /// What is known of a third store's log, if it is in that.
    pub(crate) evidence: Option<&'a Evidence>,
}

/// The IMPORT of `subject`; `None` if the source's point is not live any more.
pub(crate) fn prepare(source: &State, target: &State, subject: Subject<'_>) -> Option<Prepared> {
    let Subject { item, entry, evidence } = subject;
    let mut import = Import {
        store: item.store,
        seq: item.seq,
        hash: item.hash,
        entry: entry.to_vec(),
        rescues: Vec::new(),
        needs: None,
        passed: Vec::new(),
    };
    let mut pairs = Vec::new();
    if item.kind == ItemKind::Point {
        source.point(&item.point())?;
        let Payload::Commit(commit) = Entry::open_trusted(entry).ok()?.payload else { return None };
        pairs = pairs_of(source, target, item);
        let wanted: BTreeSet<ObjectName> = pairs.iter().map(|pair| pair.to).collect();
        import.passed = passed(source, target, item, &commit, evidence);
        let named = match by_differences(target, item.store, &commit) {
            Some(needs) if needs == wanted => commit.adds.iter().chain(&commit.needs_added).copied().collect(),
            // A collection at either end, or a parent that is not here: the entry's differences would say something else.
            _ => {
                import.needs = Some(pairs.iter().map(|pair| pair.to).collect());
                wanted
            }
        };
        import.rescues = named.into_iter().filter(|name| target.is_candidate(name)).collect();
    }
    Some(Prepared { payload: Payload::Import(Box::new(import)), pairs })
}

/// What the import leaves behind: earlier points of the lineage that could not be brought, and may be once they are mended;
/// of a third store's also those that the source has not got: that store may have them still.
fn passed(source: &State, target: &State, item: &Item, commit: &Commit, evidence: Option<&Evidence>) -> Vec<u64> {
    let to = target.lineages().get(&commit.lineage).map_or(0, |lineage| lineage.imported_to(&item.store));
    // Those of a lower epoch are void from now on.
    let earlier = source.points_at(&commit.lineage, commit.epoch, to.saturating_add(1)..item.seq);
    let is_wanting = |point: &PointId| target.point(point).is_none();
    let live = earlier.filter(|point| point.store == item.store && !point.branch && is_wanting(&point.id));
    let live: BTreeSet<u64> = live.map(|point| point.store_seq).collect();
    let seen = evidence.map(|evidence| evidence.commits(commit.lineage, commit.epoch, to, item.seq));
    let seen = seen.into_iter().flatten().filter(|(seq, point)| !live.contains(seq) && is_wanting(point));
    let seen: BTreeSet<u64> = seen.map(|(seq, _)| seq).collect();
    // Those that can be had come before those that perhaps can.
    let mut passed: Vec<u64> = live.iter().rev().chain(seen.iter().rev()).copied().take(PASSED_MAX).collect();
    passed.sort_unstable();
    passed
}

/// All that the point needs in the source now, with the names that the same bytes have in the target.
pub(crate) fn pairs_of(source: &State, target: &State, item: &Item) -> Vec<Pair> {
    let needs = source.needs(&item.point()).into_iter();
    needs.map(|from| Pair { from, to: target.name_to_store(from) }).collect()
}

/// What the point would need in the target if only the entry's differences are given; `None` if they do not apply.
fn by_differences(target: &State, store: StoreId, commit: &Commit) -> Option<BTreeSet<ObjectName>> {
    if target.must_name_needs(store, commit) {
        return None;
    }
    let mut needs = BTreeSet::new();
    if let Some(parent) = &commit.parent {
        target.point(parent).filter(|parent| parent.lineage == commit.lineage)?;
        needs.extend(target.needs(parent));
    }
    commit.needs_dropped.iter().for_each(|name| _ = needs.remove(name));
    needs.extend(commit.adds.iter().chain(&commit.needs_added));
    Some(needs)
}

/// Whether the object needs no copying: a point of the target needs it, so it was verified when that came and is kept
/// since; or this run has verified it.
pub(crate) fn is_there(target: &State, verified: &HashSet<ObjectName>, name: &ObjectName) -> bool {
    (target.needed_by_any(name) && !target.is_lost(name)) || verified.contains(name)
}

/// Whether the target has `item`, or went past it.
pub(crate) fn is_past(source: &State, target: &State, item: &Item) -> bool {
    match item.kind {
        ItemKind::Fence => target.fences().values().any(|info| info.hash == item.hash),
        ItemKind::Unfence => {
            let ended = |info: &&FenceInfo| info.unfenced.is_some_and(|by| by.hash == item.hash);
            let fence = source.fences().values().find(ended);
            !fence.is_some_and(|info| target.may_import_unfence(info.store, info.hash))
        }
        ItemKind::Point => {
            let lineage = source.point(&item.point()).and_then(|point| target.lineages().get(&point.lineage));
            let is_behind = lineage.is_some_and(|lineage| !lineage.may_import(&item.store, item.seq));
            is_behind || target.point(&item.point()).is_some()
        }
    }
}

/// Appends the IMPORT, if all that it needs is there at the very slot that it takes.
pub(crate) fn append(
    source: &State,
    target: &mut Repository,
    key: &SigningKey,
    subject: Subject<'_>,
    verified: &HashSet<ObjectName>,
) -> Result<Outcome, ReplicateError> {
    let mut outcome = Outcome::Appended;
    let appended = target.append_with(key, |here| {
        let made = make(source, here, key, subject, verified);
        outcome = *made.as_ref().err().unwrap_or(&Outcome::Appended);
        Ok(made.ok())
    });
    match appended {
        Ok(_) => Ok(outcome),
        Err(RepoError::Format(FormatError::TooLarge { .. })) => Ok(Outcome::TooLong),
        Err(error) => Err(error.into()),
    }
}

fn make(
    source: &State,
    here: &State,
    key: &SigningKey,
    subject: Subject<'_>,
    verified: &HashSet<ObjectName>,
) -> Result<Payload, Outcome> {
    if is_past(source, here, subject.item) {
        return Err(Outcome::Already);
    }
    let prepared = prepare(source, here, subject).ok_or(Outcome::Gone)?;
    here.validate(&prepared.payload, &key.signer()).map_err(Outcome::Refused)?;
    if prepared.pairs.iter().any(|pair| !is_there(here, verified, &pair.to)) {
        return Err(Outcome::Incomplete);
    }
    Ok(prepared.payload)
}
