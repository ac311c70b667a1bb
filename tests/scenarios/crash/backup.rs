//! Backups that stop: the first one of several packs, and an increment.

use firn_tests::{Dice, Forest, Object, Portrait, Shot, World, backup, change, objects, plant, root, scratch};

use super::{Promise, Promises, STOPS, check_nothing_is_left, check_sound, object_bytes, stopping};

/// A lane closes its pack at 16 MiB; the segment that fills it may reach beyond, and padding adds a little.
const PACK_BYTES: u64 = 18 << 20;

fn shot<'a>(tree: &'a std::path::Path, objects: &'a [Object]) -> Shot<'a> {
    Shot { tree, objects, policy: "daily", lanes: 2, trusting: true }
}

/// Stops `shot` everywhere over `world`, then lets it run to its end. Returns how many runs, and the most that was stored
/// twice.
fn stop_everywhere(world: &World, shot: &Shot<'_>, promise: &Promise, promises: &Promises) -> (u64, u64) {
    let whole = world.copy();
    backup(&mut world.open(whole.clone()).unwrap(), &world.keyring, shot).unwrap();
    let bytes_once = object_bytes(&whole);
    let (mut runs, mut twice_most) = (0, 0);
    for stop in STOPS {
        for call in 0.. {
            let store = world.copy();
            let faulty = stopping(&store, call, stop);
            let result = world
                .open(faulty.clone())
                .map_err(firn_agent::AgentError::from)
                .and_then(|mut repository| backup(&mut repository, &world.keyring, shot));
            if !faulty.is_crashed() {
                result.unwrap();
                break;
            }
            assert!(result.is_err(), "call {call}: a process that died acknowledged a point");
            runs += 1;
            check_sound(world, &store, promises);
            let again = backup(&mut world.open(store.clone()).unwrap(), &world.keyring, shot).unwrap();
            let twice = object_bytes(&store).saturating_sub(bytes_once);
            twice_most = twice_most.max(twice);
            assert!(twice <= PACK_BYTES * shot.lanes as u64, "call {call}, {stop:?}: {twice} bytes stored twice");
            check_nothing_is_left(world, &store);
            let repository = world.open(store.clone()).unwrap();
            super::keeps(&repository, &world.keyring, &again.point, promise);
        }
    }
    (runs, twice_most)
}

#[test]
fn a_first_backup_of_several_packs_stops_anywhere() {
    root();
    let world = World::new(10);
    let mut dice = Dice::told("first backup", 10);
    let source = scratch();
    plant(source.path(), &mut dice, Forest::PACKS);
    let objects = objects(&mut dice, 30);
    let promise = Promise { portrait: Portrait::of(source.path()), objects: objects.clone() };
    let (runs, twice) = stop_everywhere(&world, &shot(source.path(), &objects), &promise, &Promises::new());
    println!("first backup: {runs} stopped runs, at most {twice} bytes stored twice");
    assert!(runs > 60, "{runs}");
}

#[test]
fn an_increment_stops_anywhere() {
    root();
    let world = World::new(11);
    let mut dice = Dice::told("increment", 11);
    let source = scratch();
    plant(source.path(), &mut dice, Forest::SMALL);
    let mut promises = Promises::new();
    for _ in 0..2 {
        let objects = objects(&mut dice, 30);
        let taken = backup(&mut world.repository(), &world.keyring, &shot(source.path(), &objects)).unwrap();
        promises.insert(taken.point, Promise { portrait: Portrait::of(source.path()), objects });
        for _ in 0..12 {
            change(source.path(), &mut dice);
        }
    }
    let objects = objects(&mut dice, 30);
    let promise = Promise { portrait: Portrait::of(source.path()), objects: objects.clone() };
    let (runs, twice) = stop_everywhere(&world, &shot(source.path(), &objects), &promise, &promises);
    println!("increment: {runs} stopped runs, at most {twice} bytes stored twice");
    assert!(runs > 50, "{runs}");
}
