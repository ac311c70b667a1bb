//! Stops after every k-th store operation, before and after its effect, and then runs again.
//!
//! Whatever the stop: acknowledged points restore as they were, the next run succeeds, and nothing is left to be cleaned
//! by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firn_format::{ObjectName, PointId};
use firn_repo::{Keyring, Repository};
use firn_store::{Fault, Faulty, MemoryStore, Store};
use firn_tests::{Object, Portrait, World, restore, scratch};

mod backup;
mod collect;
mod failover;
mod mend;
mod replicate;
mod restore;

/// A stop before, and a stop after the effect of a call.
const STOPS: [Fault; 2] = [Fault::Crash, Fault::CrashAfter];

/// What an acknowledged point must restore to.
struct Promise {
    portrait: Portrait,
    objects: Vec<Object>,
}

/// All promises by point.
type Promises = BTreeMap<PointId, Promise>;

/// `store` with a stop at call `call`.
fn stopping(store: &Arc<MemoryStore>, call: u64, stop: Fault) -> Arc<Faulty> {
    Arc::new(Faulty::new(store.clone() as Arc<dyn Store>).with_fault(call, stop))
}

/// Restores the point and compares everything.
fn keeps(repository: &Repository, keyring: &Keyring, point: &PointId, promise: &Promise) {
    let target = scratch();
    let restored = restore(repository, keyring, point, target.path()).unwrap();
    assert_eq!((restored.damaged, restored.exceptions), (0, 0));
    assert!(restored.objects.unwrap() == promise.objects);
    let differences = promise.portrait.differences(&Portrait::of(target.path()));
    assert!(differences.is_empty(), "{differences:?}");
}

/// The state of `store` is sound, and holds every promise.
fn check_sound(world: &World, store: &Arc<MemoryStore>, promises: &Promises) {
    let mut repository = world.open(store.clone()).unwrap();
    let report = firn_repo::check(&mut repository, &world.keyring, true).unwrap();
    assert!(report.is_sound(), "{report:?}");
    for (point, promise) in promises {
        keeps(&repository, &world.keyring, point, promise);
    }
}

/// A week later collections take everything that no point needs, whoever left it: the first declares who left it dead.
fn check_nothing_is_left(world: &World, store: &Arc<MemoryStore>) {
    const A_WEEK_AND_A_BIT_MS: i64 = (7 * 24 + 1) * 3600 * 1000;
    world.clock.advance(A_WEEK_AND_A_BIT_MS);
    let mut repository = world.open(store.clone()).unwrap();
    for _ in 0..2 {
        firn_repo::collect(&mut repository, world.keyring.signing_key().unwrap()).unwrap();
    }
    let there: BTreeSet<_> = store.snapshot().keys().filter_map(|name| ObjectName::parse(name)).collect();
    let needed: BTreeSet<_> = repository.state().needed().copied().collect();
    assert_eq!(there, needed);
}

/// Bytes of packs and index runs.
fn object_bytes(store: &MemoryStore) -> u64 {
    let objects = store.snapshot().into_iter().filter(|(name, _)| ObjectName::parse(name).is_some());
    objects.map(|(_, bytes)| bytes.len() as u64).sum()
}
