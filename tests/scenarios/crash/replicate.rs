//! Replication of real content that stops at either end.

use std::sync::Arc;

use firn_format::{PassphraseCost, Secret};
use firn_replicate::{ReplicateError, ReplicateOptions, Report, replicate};
use firn_repo::CreateOptions;
use firn_store::{MemoryStore, Store};
use firn_tests::{Dice, Forest, Portrait, Shot, World, backup, change, objects, passphrase, plant, root, scratch};

use super::{Promise, Promises, STOPS, check_nothing_is_left, check_sound, stopping};

/// An empty replica of the world's repository.
pub(super) fn replica(world: &World) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let source = world.repository();
    let options = CreateOptions {
        cost: PassphraseCost::LEAST,
        replica_of: Some((&source, &world.keyring)),
        ..CreateOptions::default()
    };
    firn_repo::create(store.clone(), world.context.clone(), &Secret::Passphrase(&passphrase()), &options).unwrap();
    store
}

pub(super) fn copy(store: &MemoryStore) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::from_snapshot(store.snapshot()))
}

pub(super) fn bring(world: &World, from: Arc<dyn Store>, to: Arc<dyn Store>) -> Result<Report, ReplicateError> {
    let (mut source, mut target) = (world.open(from)?, world.open(to)?);
    let options = ReplicateOptions { lanes: 2 };
    replicate(&mut source, &mut target, world.keyring.signing_key()?, &options)
}

#[test]
fn a_replica_that_keeps_less_than_its_source_can_be_read() {
    root();
    for seed in 30..38 {
        let world = World::new(seed);
        let b = replica(&world);
        let (objects, source) = (objects(&mut Dice::new(seed), 10), scratch());
        let content = Dice::new(seed).bytes(300_000);
        let take = |content: &[u8]| {
            std::fs::write(source.path().join("file"), content).unwrap();
            let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: false };
            let point = backup(&mut world.repository(), &world.keyring, &shot).unwrap().point;
            bring(&world, world.memory.clone(), b.clone()).unwrap();
            point
        };
        let first = take(&content);
        take(b"something else");
        let mut replica = world.open(b.clone()).unwrap();
        firn_repo::forget(&mut replica, &world.keyring, &[first], "a test", true).unwrap();
        let collected = firn_repo::collect(&mut replica, world.keyring.signing_key().unwrap()).unwrap();
        assert!(collected.bytes > 300_000, "{collected:?}");
        // The source refers to the pack that the replica has no more: it comes again, under another name than runs tell.
        let third = take(&content);
        let mut replica = world.open(b.clone()).unwrap();
        assert!(replica.state().needs(&third).iter().any(|name| name.reborn.is_some()), "seed {seed}");
        let target = scratch();
        let restored = firn_tests::restore(&replica, &world.keyring, &third, target.path()).unwrap();
        assert_eq!((restored.damaged, restored.exceptions), (0, 0), "seed {seed}: {:?}", restored.named);
        firn_tests::same_tree(source.path(), target.path());
        let report = firn_repo::check(&mut replica, &world.keyring, true).unwrap();
        assert!(report.is_sound(), "seed {seed}: {report:?}");
        // And what is captured there next refers to it, as after a failover.
        let shot = Shot { tree: source.path(), objects: &objects, policy: "of b", lanes: 1, trusting: false };
        let taken = backup(&mut replica, &world.keyring, &shot).unwrap();
        assert!(taken.stats.bytes_stored < 100_000, "seed {seed}: {:?}", taken.stats);
        let report = firn_repo::check(&mut replica, &world.keyring, true).unwrap();
        assert!(report.is_sound(), "seed {seed}: {report:?}");
    }
}

#[test]
fn a_replication_stops_anywhere_at_either_end() {
    root();
    let world = World::new(14);
    let mut dice = Dice::told("replicate", 14);
    let source = scratch();
    plant(source.path(), &mut dice, Forest::SMALL);
    let b = replica(&world);
    let mut promises = Promises::new();
    for _ in 0..2 {
        let objects = objects(&mut dice, 20);
        let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: true };
        let taken = backup(&mut world.repository(), &world.keyring, &shot).unwrap();
        promises.insert(taken.point, Promise { portrait: Portrait::of(source.path()), objects });
        for _ in 0..12 {
            change(source.path(), &mut dice);
        }
    }
    let mut runs = 0;
    for (at_source, stop) in [(false, STOPS[0]), (false, STOPS[1]), (true, STOPS[0]), (true, STOPS[1])] {
        for call in 0.. {
            let (a, b) = (world.copy(), copy(&b));
            let faulty = stopping(if at_source { &a } else { &b }, call, stop);
            let result = match at_source {
                true => bring(&world, faulty.clone(), b.clone()),
                false => bring(&world, a.clone(), faulty.clone()),
            };
            if !faulty.is_crashed() {
                assert_eq!(result.unwrap().problems, []);
                break;
            }
            runs += 1;
            // What B shows as a point is whole, at every moment.
            check_sound(&world, &b, &Promises::new());
            assert_eq!(bring(&world, a.clone(), b.clone()).unwrap().problems, []);
            let there = world.open(b.clone()).unwrap();
            assert!(promises.keys().all(|point| there.state().point(point).is_some()));
            check_nothing_is_left(&world, &b);
            if call % 8 == 0 {
                check_sound(&world, &b, &promises);
            }
        }
    }
    println!("replicate: {runs} stopped runs");
    assert!(runs > 80, "{runs}");
}
