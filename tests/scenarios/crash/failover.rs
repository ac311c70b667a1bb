//! Failover that stops: replicate, fence, capture on the other side, and back.

use std::sync::Arc;

use firn_agent::AgentError;
use firn_format::log::{Fence, Unfence};
use firn_format::{LineageId, Payload};
use firn_repo::{RepoError, Repository};
use firn_store::Store;
use firn_tests::{CLUSTER, Dice, Forest, Portrait, Shot, World, backup, objects, plant, root, scratch};

use super::replicate::{bring, copy, replica};
use super::{Promise, Promises, STOPS, check_sound, stopping};

/// Makes B the holder of the lineage, unless it is: what a second attempt finds done it leaves alone.
fn fence(world: &World, repository: &mut Repository, lineage: LineageId) -> Result<(), RepoError> {
    let key = world.keyring.signing_key()?;
    repository.append_with(key, |state| {
        if state.epoch(&lineage) > 0 {
            return Ok(None);
        }
        Ok(Some(Payload::Fence(Fence {
            lineages: vec![lineage],
            epochs: vec![1],
            basis: state.peers().values().cloned().collect(),
            reason: "a test".into(),
            tips: vec![state.latest(&lineage).map(|point| point.id)],
            successors: Vec::new(),
        })))
    })?;
    Ok(())
}

fn fail_over(
    world: &World,
    a: &Arc<dyn Store>,
    b: &Arc<dyn Store>,
    lineage: LineageId,
    shot: &Shot<'_>,
) -> Result<firn_format::PointId, Box<dyn std::error::Error>> {
    bring(world, a.clone(), b.clone())?;
    let mut there = world.open(b.clone())?;
    fence(world, &mut there, lineage)?;
    let taken = backup(&mut there, &world.keyring, shot)?;
    bring(world, b.clone(), a.clone())?;
    Ok(taken.point)
}

#[test]
fn a_failover_and_the_way_back_stop_anywhere() {
    root();
    let world = World::new(15);
    let mut dice = Dice::told("failover", 15);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 40, large_bytes: 200_000 });
    let b = replica(&world);
    let objects = objects(&mut dice, 10);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: true };
    let lineage = world.keyring.lineage(CLUSTER, "daily");
    let first = backup(&mut world.repository(), &world.keyring, &shot).unwrap().point;
    let promise = || Promise { portrait: Portrait::of(source.path()), objects: objects.clone() };
    let mut runs = 0;
    for (at_a, stop) in [(false, STOPS[0]), (false, STOPS[1]), (true, STOPS[0]), (true, STOPS[1])] {
        for call in 0.. {
            let (a, b) = (world.copy(), copy(&b));
            let faulty = stopping(if at_a { &a } else { &b }, call, stop);
            let (clean_a, clean_b): (Arc<dyn Store>, Arc<dyn Store>) = (a.clone(), b.clone());
            let (mut ours, mut theirs) = (clean_a.clone(), clean_b.clone());
            *(if at_a { &mut ours } else { &mut theirs }) = faulty.clone();
            let result = fail_over(&world, &ours, &theirs, lineage, &shot);
            if !faulty.is_crashed() {
                result.unwrap();
                break;
            }
            runs += 1;
            let point = fail_over(&world, &clean_a, &clean_b, lineage, &shot).unwrap();
            let promises = Promises::from([(first, promise()), (point, promise())]);
            for store in [&a, &b] {
                let repository = world.open(store.clone()).unwrap();
                assert_eq!(repository.state().latest(&lineage).map(|latest| latest.id), Some(point));
                assert_eq!(repository.state().epoch(&lineage), 1);
                if call % 8 == 0 {
                    check_sound(&world, store, &promises);
                }
            }
            // The old primary was told, and writes no more.
            let late = backup(&mut world.open(a.clone()).unwrap(), &world.keyring, &shot);
            assert!(matches!(late, Err(AgentError::Repo(RepoError::Refused { .. }))), "{late:?}");
        }
    }
    println!("failover: {runs} stopped runs");
    assert!(runs > 100, "{runs}");
}

/// Fails over and takes it back, each step unless it is done.
fn fail_over_and_take_back(
    world: &World,
    a: &Arc<dyn Store>,
    b: &Arc<dyn Store>,
    lineage: LineageId,
) -> Result<(), Box<dyn std::error::Error>> {
    let key = world.keyring.signing_key()?;
    let (mut here, mut there) = (world.open(a.clone())?, world.open(b.clone())?);
    if there.state().fences().is_empty() {
        bring(world, a.clone(), b.clone())?;
        there.refresh()?;
        fence(world, &mut there, lineage)?;
    }
    firn_replicate::import_fences(&mut there, &mut here, key)?;
    there.append_with(key, |state| {
        let standing = state.fences().values().find(|fence| fence.unfenced.is_none());
        Ok(standing.map(|fence| Payload::Unfence(Unfence { fence: fence.hash })))
    })?;
    firn_replicate::import_fences(&mut there, &mut here, key)?;
    Ok(())
}

#[test]
fn a_failover_that_is_taken_back_stops_anywhere() {
    root();
    let world = World::new(16);
    let mut dice = Dice::told("failover taken back", 16);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 10, large_bytes: 100_000 });
    let b = replica(&world);
    let objects = objects(&mut dice, 5);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: true };
    let lineage = world.keyring.lineage(CLUSTER, "daily");
    backup(&mut world.repository(), &world.keyring, &shot).unwrap();
    let mut runs = 0;
    for (at_a, stop) in [(false, STOPS[0]), (false, STOPS[1]), (true, STOPS[0]), (true, STOPS[1])] {
        for call in 0.. {
            let (a, b) = (world.copy(), copy(&b));
            let faulty = stopping(if at_a { &a } else { &b }, call, stop);
            let (clean_a, clean_b): (Arc<dyn Store>, Arc<dyn Store>) = (a.clone(), b.clone());
            let (mut ours, mut theirs) = (clean_a.clone(), clean_b.clone());
            *(if at_a { &mut ours } else { &mut theirs }) = faulty.clone();
            let result = fail_over_and_take_back(&world, &ours, &theirs, lineage);
            if !faulty.is_crashed() {
                result.unwrap();
                break;
            }
            runs += 1;
            fail_over_and_take_back(&world, &clean_a, &clean_b, lineage).unwrap();
            // The primary goes on as if nothing had been, and the replica takes it.
            let taken = backup(&mut world.open(a.clone()).unwrap(), &world.keyring, &shot).unwrap();
            bring(&world, clean_a, clean_b).unwrap();
            for store in [&a, &b] {
                let repository = world.open(store.clone()).unwrap();
                assert_eq!(repository.state().latest(&lineage).map(|latest| latest.id), Some(taken.point));
                assert_eq!((repository.state().epoch(&lineage), repository.state().branches().count()), (0, 0));
            }
        }
    }
    println!("failover taken back: {runs} stopped runs");
    assert!(runs > 50, "{runs}");
}
