//! Load: the index of one domain, from the index runs that live points need.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use firn_format::{
    Class as NameClass, INDEX_BYTES_MAX, IndexPack, IndexRun, ObjectName, PACK_BYTES_MAX, WriterKeys, rebuild,
};
use firn_store::Store;

use crate::error::{Class, RepoError};
use crate::index::Index;
use crate::open::Repository;
use crate::pool::{Limits, in_order};
use crate::session::runs_of_live_points;

/// Index runs on their way at once: they are small, the wait is the network's.
const RUNS: Limits = Limits { threads: 4, items_max: 16, bytes_max: 128 << 20 };

mod directories;

/// Packs on their way at once: each is held whole while its hash is checked.
const PACKS: Limits = Limits { threads: 2, items_max: 3, bytes_max: 96 << 20 };

/// Says under which name a pack that a run tells of lies now, if it may be used.
type Place<'a> = &'a dyn Fn(&ObjectName) -> Option<ObjectName>;

/// Reads `runs`, leaving out those of other domains and, within runs, packs that have no place.
///
/// # Errors
/// A run that is missing or damaged: without it references would be lost, so nothing may be decided.
pub(crate) fn index(
    store: &dyn Store,
    keys: &WriterKeys,
    runs: &BTreeSet<ObjectName>,
    place: Place<'_>,
) -> Result<Index, RepoError> {
    let mut index = Index::default();
    add_runs(&mut index, store, keys, runs, place, &mut Err)?;
    Ok(index)
}

/// The index of all that live points need, for reading: what runs tell, and where a run is damaged or gone, what the packs
/// themselves tell.
///
/// # Errors
/// Only what the store cannot say now.
pub(crate) fn index_for_reading(repository: &Repository, keys: &WriterKeys) -> Result<Index, RepoError> {
    let (state, store) = (repository.state(), repository.store().as_ref());
    let runs = runs_of_live_points(state);
    let (mut index, mut broken) = (Index::default(), 0);
    let mut pass_over = |error: RepoError| match error.class() {
        Class::Damaged => {
            broken += 1;
            Ok(())
        }
        _ => Err(error),
    };
    // A run may tell of packs that are gone, while their blobs were stored again elsewhere.
    let standing = |told: &ObjectName| Some(state.name_to_store(*told)).filter(|name| state.needed_by_any(name));
    let sound = |told: &ObjectName| standing(told).filter(|name| !state.is_lost(name));
    add_runs(&mut index, store, keys, &runs, &sound, &mut pass_over)?;
    if state.lost().next().is_some() {
        // What is lost may be there in part; it is asked for what is nowhere else.
        let lost = |told: &ObjectName| standing(told).filter(|name| state.is_lost(name));
        add_runs(&mut index, store, keys, &runs, &lost, &mut pass_over)?;
    }
    if broken > 0 {
        let note = "a part of the index is damaged or missing; the packs themselves are read, which takes time";
        repository.context().progress.note(note);
        let known: BTreeSet<_> = index.packs().iter().map(|pack| pack.name).collect();
        let untold = state.needed().filter(|name| !known.contains(name)).copied().collect();
        directories::read(store, keys, untold, &mut |pack| index.add_pack(None, &pack))?;
    }
    Ok(index)
}

/// What is known already keeps its place. `broken` decides about a run that cannot be read.
fn add_runs(
    index: &mut Index,
    store: &dyn Store,
    keys: &WriterKeys,
    runs: &BTreeSet<ObjectName>,
    place: Place<'_>,
    broken: &mut dyn FnMut(RepoError) -> Result<(), RepoError>,
) -> Result<(), RepoError> {
    each_run(store, keys, runs, broken, &mut |name, run| index.add_run(name, &run, place))
}

/// Notes for each pack, by the name that it has now, which of `runs`, of this domain, tell of it. A run that cannot be read tells of nothing.
pub(crate) fn tellers(
    store: &dyn Store,
    keys: &WriterKeys,
    runs: &BTreeSet<ObjectName>,
    place: Place<'_>,
    tellers: &mut HashMap<ObjectName, Vec<ObjectName>>,
) -> Result<(), RepoError> {
    let mut pass_over = |error: RepoError| if error.class() == Class::Damaged { Ok(()) } else { Err(error) };
    each_run(store, keys, runs, &mut pass_over, &mut |name, run| {
        let packs = run.packs.iter().filter_map(|pack| place(&pack.name));
        packs.for_each(|pack| tellers.entry(pack).or_default().push(name));
    })
}

/// Reads those of `runs` that are this domain's, in order. `broken` decides about one that cannot be read.
fn each_run(
    store: &dyn Store,
    keys: &WriterKeys,
    runs: &BTreeSet<ObjectName>,
    broken: &mut dyn FnMut(RepoError) -> Result<(), RepoError>,
    each: &mut dyn FnMut(ObjectName, IndexRun),
) -> Result<(), RepoError> {
    in_order(
        RUNS,
        runs.iter().copied(),
        |_| 1 << 20,
        |name| run(store, keys, name),
        |told: Result<Option<(ObjectName, IndexRun)>, RepoError>| {
            match told {
                Ok(Some((name, run))) => each(name, run),
                Ok(None) => {}
                Err(error) => broken(error)?,
            }
            Ok(ControlFlow::Continue(()))
        },
    )
}

fn run(store: &dyn Store, keys: &WriterKeys, name: ObjectName) -> Result<Option<(ObjectName, IndexRun)>, RepoError> {
    let path = name.path();
    let bytes = match store.get(&path, INDEX_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Err(RepoError::Missing { count: 1, name }),
        Err(source) => return Err(RepoError::store("read an index run", source)),
    };
    if firn_format::Hash::of(&bytes) != name.hash {
        return Err(firn_format::FormatError::damaged(path, "its hash is not its name").into());
    }
    if IndexRun::key_of(&bytes)? != keys.key_ref() {
        return Ok(None);
    }
    Ok(Some((name, IndexRun::open(&bytes, keys)?)))
}

/// The names of all packs and index runs that lie in the store.
pub(crate) fn listed(store: &dyn Store, prefixes: &[&str]) -> Result<BTreeSet<ObjectName>, RepoError> {
    let mut names = BTreeSet::new();
    for prefix in prefixes {
        store
            .list(prefix, None, &mut |line| {
                names.extend(ObjectName::parse(&line.name));
                ControlFlow::Continue(())
            })
            .map_err(|source| RepoError::store("list the packs", source))?;
    }
    Ok(names)
}

/// Adds those of `names` that are packs of this domain and of their full length. Of each only its table and its directories are
/// read, which nobody makes without the domain's keys; of its blobs no byte is, as ever when something is referred to.
pub(crate) fn add_leftovers(
    index: &mut Index,
    store: &dyn Store,
    keys: &WriterKeys,
    names: &BTreeSet<ObjectName>,
) -> Result<(), RepoError> {
    directories::read(store, keys, names.clone(), &mut |pack| index.add_pack(None, &pack))
}

/// Those of `names` that are whole packs of this domain, read whole, with their content as their own directories tell it.
pub(crate) fn packs(
    store: &dyn Store,
    keys: &WriterKeys,
    names: BTreeSet<ObjectName>,
) -> Result<Vec<IndexPack>, RepoError> {
    let mut packs = Vec::new();
    in_order(
        PACKS,
        names.into_iter().filter(|name| !matches!(name.class, NameClass::Index(_))),
        |_| PACK_BYTES_MAX as u64,
        |name| whole(store, keys, name),
        |found| {
            packs.extend(found?);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(packs)
}

fn whole(store: &dyn Store, keys: &WriterKeys, name: ObjectName) -> Result<Option<IndexPack>, RepoError> {
    let path = name.path();
    let bytes = match store.get(&path, PACK_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        // It may be gone, or longer than any pack.
        Err(error) if error.is_permanent() => return Ok(None),
        Err(source) => return Err(RepoError::store("read a pack", source)),
    };
    if firn_format::Hash::of(&bytes) != name.hash {
        return Ok(None);
    }
    match firn_format::PackTable::key_of(&bytes) {
        Ok(key) if key == keys.key_ref() => Ok(rebuild(name, &bytes, keys).ok()),
        _ => Ok(None),
    }
}
