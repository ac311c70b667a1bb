//! A replica that lost objects and gets them again from its source, stopped anywhere.

use std::sync::Arc;

use bytes::Bytes;
use firn_format::{Class, ObjectName};
use firn_store::{MemoryStore, Store};
use firn_tests::{Dice, Forest, Portrait, Shot, World, backup, objects, plant, root, scratch};

use super::replicate::{bring, copy, replica};
use super::{Promise, Promises, STOPS, check_nothing_is_left, check_sound, stopping};

/// Damages a pack of data and an index run, and takes a pack of metadata away; a check notices.
fn harm(world: &World, store: &Arc<MemoryStore>) {
    let mut repository = world.open(store.clone()).unwrap();
    let needed: Vec<ObjectName> = repository.state().needed().copied().collect();
    let of = |fits: fn(&Class) -> bool| needed.iter().find(|name| fits(&name.class)).unwrap().path();
    for path in [of(|class| *class == Class::Data), of(|class| matches!(class, Class::Index(_)))] {
        let mut bytes = store.snapshot()[&path].to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        store.overwrite(&path, Bytes::from(bytes));
    }
    store.delete(&of(|class| *class == Class::Meta)).unwrap();
    let report = firn_repo::check(&mut repository, &world.keyring, true).unwrap();
    assert!(!report.is_sound() && repository.state().lost().count() >= 3, "{report:?}");
}

#[test]
fn a_replica_is_mended_from_its_source_whatever_stops_it() {
    root();
    let world = World::new(17);
    let mut dice = Dice::told("mend", 17);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 20, large_bytes: 200_000 });
    let b = replica(&world);
    let objects = objects(&mut dice, 5);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: true };
    let point = backup(&mut world.repository(), &world.keyring, &shot).unwrap().point;
    bring(&world, world.memory.clone(), b.clone()).unwrap();
    harm(&world, &b);
    let promises = Promises::from([(point, Promise { portrait: Portrait::of(source.path()), objects })]);
    let mut runs = 0;
    for stop in STOPS {
        for call in 0.. {
            let b = copy(&b);
            let faulty = stopping(&b, call, stop);
            let result = bring(&world, world.memory.clone(), faulty.clone());
            let is_through = !faulty.is_crashed();
            let report = match result {
                Ok(report) if is_through => report,
                _ => bring(&world, world.memory.clone(), b.clone()).unwrap(),
            };
            assert!(report.problems.is_empty(), "{report:?}");
            let repository = world.open(b.clone()).unwrap();
            assert!(repository.state().lost().next().is_none() && repository.state().sessions().is_empty());
            if is_through {
                assert!(report.found.len() >= 3 && report.mended == [point], "{report:?}");
            }
            if is_through || call % 8 == 0 {
                check_sound(&world, &b, &promises);
                check_nothing_is_left(&world, &b);
                check_sound(&world, &b, &promises);
            }
            if is_through {
                break;
            }
            runs += 1;
        }
    }
    println!("mend: {runs} stopped runs");
    assert!(runs > 20, "{runs}");
}
