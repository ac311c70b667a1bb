//! Every way in which a store refuses, in the middle of a backup.

use std::sync::Arc;
use std::time::Duration;

use firn_agent::AgentError;
use firn_repo::RepoError;
use firn_store::{Fault, Faulty, Kind, Store};
use firn_tests::{Dice, Forest, Shot, World, backup, objects, plant, restore, root, same_tree, scratch};

#[test]
fn a_store_that_refuses_in_the_middle_costs_one_run() {
    root();
    let world = World::new(70);
    let mut dice = Dice::told("store errors", 70);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 20, large_bytes: 150_000 });
    let objects = objects(&mut dice, 5);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: true };
    let mut faults = vec![Fault::Slow(Duration::from_millis(20))];
    for kind in [Kind::PermissionDenied, Kind::Unreachable, Kind::Full, Kind::ReadOnly, Kind::Ambiguous, Kind::Other] {
        faults.extend([Fault::Fail(kind), Fault::FailAfter(kind)]);
    }
    let (mut runs, mut failed) = (0, 0);
    for fault in faults {
        for call in 0.. {
            let store = world.copy();
            let faulty = Arc::new(Faulty::new(store.clone()).with_fault(call, fault));
            let result = world
                .open(faulty.clone() as Arc<dyn Store>)
                .map_err(AgentError::from)
                .and_then(|mut repository| backup(&mut repository, &world.keyring, &shot));
            if faulty.calls() <= call {
                break;
            }
            runs += 1;
            failed += u64::from(result.is_err());
            if let Err(error) = &result {
                let tells =
                    !matches!(error, AgentError::Worker { .. } | AgentError::Repo(RepoError::ThreadDied { .. }));
                assert!(tells && !matches!(fault, Fault::Slow(_)), "call {call}, {fault:?}: {error:?}");
            }
            let taken = match result {
                Ok(taken) => taken,
                Err(_) => backup(&mut world.open(store.clone()).unwrap(), &world.keyring, &shot).unwrap(),
            };
            if call % 5 == 0 {
                let target = scratch();
                restore(&world.open(store.clone()).unwrap(), &world.keyring, &taken.point, target.path()).unwrap();
                same_tree(source.path(), target.path());
            }
        }
    }
    println!("store errors: {runs} runs, {failed} failed and succeeded when repeated");
    assert!(runs > 300 && failed > 100, "{runs} {failed}");
}
