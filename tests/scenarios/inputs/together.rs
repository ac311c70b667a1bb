//! Backups into one repository at once.

use std::sync::Barrier;

use firn_agent::AgentError;
use firn_repo::RepoError;
use firn_tests::{
    CLUSTER, Dice, Forest, Shot, World, backup, change, objects, plant, restore, root, same_tree, scratch,
};

/// So many writers, in so many rounds.
const WRITERS: usize = 4;
const ROUNDS: usize = 4;

/// All writers begin at the same moment, each with a tree of its own; `policy` says into which lineage. Returns how many were
/// refused.
fn storm(seed: u64, policy: impl Fn(usize) -> String + Sync) -> usize {
    let world = World::new(seed);
    let mut dice = Dice::told("together", seed);
    let trees: Vec<_> = (0..WRITERS)
        .map(|_| {
            let tree = scratch();
            plant(tree.path(), &mut dice, Forest { small_files: 20, large_bytes: 150_000 });
            tree
        })
        .collect();
    let objects = objects(&mut dice, 5);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let barrier = Barrier::new(WRITERS);
        let results: Vec<_> = std::thread::scope(|scope| {
            let write = |n: usize| {
                let (world, barrier, tree, objects, policy) = (&world, &barrier, &trees[n], &objects, &policy);
                scope.spawn(move || {
                    let mut repository = world.repository();
                    barrier.wait();
                    let policy = policy(n);
                    let shot = Shot { tree: tree.path(), objects, policy: &policy, lanes: 1, trusting: false };
                    backup(&mut repository, &world.keyring, &shot)
                })
            };
            let threads: Vec<_> = (0..WRITERS).map(write).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (result, tree) in results.iter().zip(&trees) {
            match result {
                Ok(taken) => {
                    let target = scratch();
                    restore(&world.repository(), &world.keyring, &taken.point, target.path()).unwrap();
                    same_tree(tree.path(), target.path());
                }
                Err(AgentError::Repo(RepoError::Refused { .. })) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
            change(tree.path(), &mut dice);
        }
        let report = firn_repo::check(&mut world.repository(), &world.keyring, true).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
    let repository = world.repository();
    assert!(repository.state().sessions().is_empty());
    assert!(repository.state().latest(&world.keyring.lineage(CLUSTER, &policy(0))).is_some());
    refused
}

#[test]
fn backups_of_several_policies_at_once_all_succeed() {
    root();
    assert_eq!(storm(50, |n| format!("policy-{n}")), 0);
    println!("together: {} backups of {WRITERS} lineages at once", WRITERS * ROUNDS);
}

#[test]
fn backups_of_one_policy_at_once_disturb_nothing() {
    root();
    let refused = storm(51, |_| "daily".to_owned());
    println!("together: {} backups of one lineage at once, {refused} refused", WRITERS * ROUNDS);
}
