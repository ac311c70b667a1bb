//! Forget and prune that stop.

use firn_format::PointId;
use firn_repo::{RepoError, Repository};
use firn_tests::{Dice, Forest, Portrait, Shot, World, backup, change, objects, plant, root, scratch};

use super::{Promise, Promises, STOPS, check_nothing_is_left, check_sound, stopping};

/// Forgets what there still is of `points`, and prunes: what a person would run again.
fn forget_and_prune(world: &World, repository: &mut Repository, points: &[PointId]) -> Result<(), RepoError> {
    let live: Vec<_> = points.iter().copied().filter(|point| repository.state().point(point).is_some()).collect();
    firn_repo::forget(repository, &world.keyring, &live, "a test", true)?;
    firn_repo::collect(repository, world.keyring.signing_key()?)?;
    Ok(())
}

#[test]
fn forget_and_prune_stop_anywhere() {
    root();
    let world = World::new(12);
    let mut dice = Dice::told("forget and prune", 12);
    let source = scratch();
    plant(source.path(), &mut dice, Forest::SMALL);
    let (mut promises, mut points) = (Promises::new(), Vec::new());
    for _ in 0..4 {
        let objects = objects(&mut dice, 20);
        let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: true };
        let taken = backup(&mut world.repository(), &world.keyring, &shot).unwrap();
        promises.insert(taken.point, Promise { portrait: Portrait::of(source.path()), objects });
        points.push(taken.point);
        for _ in 0..20 {
            change(source.path(), &mut dice);
        }
    }
    let going = [points[0], points[2]];
    promises.retain(|point, _| !going.contains(point));
    let mut runs = 0;
    for stop in STOPS {
        for call in 0.. {
            let store = world.copy();
            let faulty = stopping(&store, call, stop);
            let result =
                world.open(faulty.clone()).and_then(|mut repository| forget_and_prune(&world, &mut repository, &going));
            if !faulty.is_crashed() {
                result.unwrap();
                break;
            }
            assert!(result.is_err(), "call {call}");
            runs += 1;
            check_sound(&world, &store, &promises);
            forget_and_prune(&world, &mut world.open(store.clone()).unwrap(), &going).unwrap();
            check_nothing_is_left(&world, &store);
            let repository = world.open(store.clone()).unwrap();
            assert_eq!(repository.state().points().len(), promises.len());
        }
    }
    println!("forget and prune: {runs} stopped runs");
    assert!(runs > 40, "{runs}");
}
