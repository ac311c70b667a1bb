//! Index runs made anew from the packs that the damaged ones told of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use firn_format::log::{GcCommit, GcMark, Moved};
use firn_format::{Class, INDEX_PLAIN_BYTES_MAX, IndexRun, KeyRef, ObjectName, Payload, SessionId};
use firn_store::{Check, put_new_resolved};

use crate::check::needs;
use crate::collect::random_id;
use crate::error::RepoError;
use crate::keyring::Keyring;
use crate::load;
use crate::open::Repository;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuiltRuns {
    /// Damaged or missing runs, each with the one that took its place.
    pub moved: Vec<(ObjectName, ObjectName)>,
    /// Runs that stay as they are, with why.
    pub unmended: Vec<(ObjectName, String)>,
}

/// What takes the place of one domain's damaged runs.
#[derive(Default)]
struct Gap {
    runs: BTreeSet<ObjectName>,
    /// Packs of which no whole run tells that the same point needs.
    packs: BTreeSet<ObjectName>,
}

/// Puts new index runs in the place of `damaged` ones: for each domain one that tells of all packs that its points need and no
/// whole run of theirs tells of. A GC_COMMIT moves the names, so no point changes.
///
/// # Errors
/// `LogDamaged`, `NotAllowed`; `Refused` if a collector came between: run it again.
pub fn rebuild_runs(
    repository: &mut Repository,
    keyring: &Keyring,
    damaged: &BTreeSet<ObjectName>,
) -> Result<RebuiltRuns, RepoError> {
    let key = keyring.signing_key()?;
    repository.refresh()?;
    repository.refuse_halted()?;
    let mut rebuilt = RebuiltRuns::default();
    for (domain, gap) in gaps(repository, keyring, damaged)? {
        match rebuild(repository, keyring, domain, &gap)? {
            Ok(run) => rebuilt.moved.extend(gap.runs.iter().map(|old| (*old, run))),
            Err(why) => rebuilt.unmended.extend(gap.runs.iter().map(|run| (*run, why.clone()))),
        }
    }
    // A run that points of two domains need has two successors: one name can only take the place of one.
    let mut seen = BTreeSet::new();
    rebuilt.moved.retain(|(old, _)| seen.insert(*old));
    if rebuilt.moved.is_empty() {
        return Ok(rebuilt);
    }
    let collection = random_id(repository)?;
    let candidates = rebuilt.moved.iter().map(|(from, _)| *from).collect();
    let moved = rebuilt.moved.iter().map(|(from, to)| Moved { from: *from, to: *to }).collect();
    repository.append(&Payload::GcMark(GcMark { collection, candidates }), key)?;
    repository.append(&Payload::GcCommit(GcCommit { collection, dropped: Vec::new(), moved }), key)?;
    Ok(rebuilt)
}

/// For each domain, which runs are damaged and which packs are therefore told of by none.
fn gaps(
    repository: &Repository,
    keyring: &Keyring,
    damaged: &BTreeSet<ObjectName>,
) -> Result<BTreeMap<KeyRef, Gap>, RepoError> {
    let state = repository.state();
    let is_run = |name: &ObjectName| matches!(name.class, Class::Index(_));
    let whole: BTreeSet<ObjectName> =
        state.needed().filter(|name| is_run(name) && !damaged.contains(name)).copied().collect();
    let keys: BTreeSet<KeyRef> =
        state.points().map(|point| KeyRef { domain: point.domain, generation: point.generation }).collect();
    let mut tellers: HashMap<ObjectName, Vec<ObjectName>> = HashMap::new();
    for key in keys {
        let keys = keyring.writer_keys(key.domain, key.generation)?;
        let standing = |told: &ObjectName| Some(state.name_to_store(*told));
        load::tellers(repository.store().as_ref(), &keys, &whole, &standing, &mut tellers)?;
    }
    let mut gaps: BTreeMap<KeyRef, Gap> = BTreeMap::new();
    let result: Result<(), RepoError> = needs::walk(state, &mut gaps, &mut |_, _, _| {}, &mut |gaps, point, needs| {
        let mut runs = damaged.iter().filter(|run| needs.contains(run)).peekable();
        if runs.peek().is_none() {
            return Ok(());
        }
        let gap = gaps.entry(KeyRef { domain: point.domain, generation: point.generation }).or_default();
        gap.runs.extend(runs);
        let told = |pack: &ObjectName| tellers.get(pack).is_some_and(|runs| runs.iter().any(|run| needs.contains(run)));
        gap.packs.extend(needs.iter().copied().filter(|name| !is_run(name) && !told(name)));
        Ok(())
    });
    result.map(|()| gaps)
}

/// Stores the new run of one domain, and says its name; or why there is none.
fn rebuild(
    repository: &Repository,
    keyring: &Keyring,
    domain: KeyRef,
    gap: &Gap,
) -> Result<Result<ObjectName, String>, RepoError> {
    let keys = keyring.writer_keys(domain.domain, domain.generation)?;
    let store = repository.store().as_ref();
    let packs = load::packs(store, &keys, gap.packs.clone())?;
    let mut runs = IndexRun { packs }.split(INDEX_PLAIN_BYTES_MAX);
    if runs.len() > 1 {
        return Ok(Err("its packs hold more than one run can tell of".into()));
    }
    let run = runs.pop().unwrap_or_default();
    let session = gap.runs.first().map_or(SessionId([0; 16]), |run| match run.class {
        Class::Index(session) => session,
        Class::Data | Class::Meta => SessionId([0; 16]),
    });
    let bytes = run.seal(&keys, repository.context().entropy.as_ref())?;
    let name = ObjectName::of(Class::Index(session), &bytes);
    let _either = put_new_resolved(store, &name.path(), bytes.into(), Check::Bytes)
        .map_err(|source| RepoError::store("put an index run", source))?;
    Ok(Ok(name))
}
