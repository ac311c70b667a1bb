use super::*;
use crate::check::tests::{begin, finish};
use crate::ground::Ground;

/// Sessions that are open, as the store tells.
fn open(ground: &Ground) -> Vec<SessionId> {
    ground.open().unwrap().state().sessions().keys().copied().collect()
}

/// A session that stored content and whose process is gone.
fn leave_one(repository: &mut Repository, keyring: &Keyring, policy: &str) -> SessionId {
    let session = begin(repository, keyring, policy);
    let mut lane = session.lane().unwrap();
    lane.put_chunk(&[7; 5000]).unwrap();
    lane.finish().unwrap();
    drop(lane);
    let id = session.id();
    assert!(session.leave(repository, keyring).unwrap().packs > 0);
    id
}

#[test]
fn the_next_run_ends_sessions_whose_processes_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut ground = Ground::new(7);
    ground.context.cache_dir = Some(dir.path().to_owned());
    let (mut repository, keyring) = ground.create();
    let dead = leave_one(&mut repository, &keyring, "all");
    let other = leave_one(&mut repository, &keyring, "other");
    let living = begin(&mut repository, &keyring, "all");
    assert!(!open(&ground).contains(&dead), "its process is gone");
    assert!(living.part().packs_found() > 0, "and what it left is not");
    let mut at_work = BTreeSet::from([other, living.id()]);
    let next = begin(&mut repository, &keyring, "all");
    at_work.insert(next.id());
    assert_eq!(open(&ground), Vec::from_iter(at_work), "who lives goes on, and another lineage waits for its own");

    finish(next, &mut repository, &keyring, &[("a", "a")]);
    finish(living, &mut repository, &keyring, &[("a", "a")]);
    let last = begin(&mut repository, &keyring, "other");
    assert_eq!(open(&ground), [last.id()]);
    finish(last, &mut repository, &keyring, &[("b", "b")]);
    let files = std::fs::read_dir(repository.sessions_dir().unwrap()).unwrap();
    assert_eq!(files.count(), 1, "nothing is left but the guard");
}

#[test]
fn without_a_cache_folder_nobody_is_taken_for_gone() {
    let ground = Ground::new(8);
    let (mut repository, keyring) = ground.create();
    let left = leave_one(&mut repository, &keyring, "all");
    let next = begin(&mut repository, &keyring, "all");
    assert!(open(&ground).contains(&left) && open(&ground).contains(&next.id()));
}
