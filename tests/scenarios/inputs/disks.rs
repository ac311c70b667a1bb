//! Disks that are full or read-only, under the repository and under a restore.

use std::sync::Arc;

use firn_agent::AgentError;
use firn_format::{PassphraseCost, Secret};
use firn_repo::{CreateOptions, RepoError};
use firn_store::{FileStore, Kind, Store};
use firn_tests::{
    Dice, Disk, Forest, Portrait, Shot, World, backup, objects, passphrase, plant, restore, root, same_tree, scratch,
};
use firn_volume::VolumeError;

fn kind_of(error: &AgentError) -> Option<Kind> {
    match error {
        AgentError::Repo(RepoError::Store { source, .. } | RepoError::Uncertain { source, .. }) => Some(source.kind),
        _ => None,
    }
}

#[test]
fn a_repository_whose_disk_fills_up_loses_nothing_and_goes_on() {
    root();
    let world = World::new(40);
    let mut dice = Dice::told("full store", 40);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 60, large_bytes: 2 << 20 });
    let objects = objects(&mut dice, 20);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: false };
    let (mut full, mut first) = (0, None);
    // Each time the disk is full at another place.
    for size_kib in (200..7200).step_by(350) {
        let disk = Disk::new(64 << 20);
        let store: Arc<dyn Store> = Arc::new(FileStore::new(disk.path().join("repository")).unwrap());
        let options = CreateOptions { cost: PassphraseCost::LEAST, ..CreateOptions::default() };
        let word = passphrase();
        let secret = Secret::Passphrase(&word);
        let created = firn_repo::create(store.clone(), world.context.clone(), &secret, &options).unwrap();
        let (mut repository, keyring) = (created.repository, created.keyring);
        disk.resize(size_kib << 10);
        match backup(&mut repository, &keyring, &shot) {
            Err(error) => {
                assert_eq!(kind_of(&error), Some(Kind::Full), "{size_kib} KiB: {error:?}");
                full += 1;
            }
            Ok(_) => {
                first.get_or_insert(size_kib);
            }
        }
        // What lies there can be read while there is no space.
        let mut repository = world.open(store.clone()).unwrap();
        assert!(firn_repo::check(&mut repository, &keyring, true).unwrap().is_sound());
        disk.resize(64 << 20);
        let taken = backup(&mut world.open(store.clone()).unwrap(), &keyring, &shot).unwrap();
        let target = scratch();
        restore(&world.open(store).unwrap(), &keyring, &taken.point, target.path()).unwrap();
        same_tree(source.path(), target.path());
    }
    println!("full store: {full} runs out of space, the first that fitted had {first:?} KiB");
    assert!(full > 10 && first.is_some(), "{full} {first:?}");
}

#[test]
fn a_read_only_repository_restores_and_takes_nothing() {
    root();
    let world = World::new(41);
    let mut dice = Dice::told("read-only store", 41);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 20, large_bytes: 150_000 });
    let objects = objects(&mut dice, 5);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: false };
    let point = backup(&mut world.repository(), &world.keyring, &shot).unwrap().point;
    let disk = Disk::new(64 << 20);
    for (name, bytes) in world.memory.snapshot() {
        let path = disk.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    disk.read_only(true);
    let store: Arc<dyn Store> = Arc::new(FileStore::new(disk.path()).unwrap());
    let mut repository = world.open(store.clone()).unwrap();
    let target = scratch();
    restore(&repository, &world.keyring, &point, target.path()).unwrap();
    same_tree(source.path(), target.path());
    assert!(firn_repo::check(&mut repository, &world.keyring, true).unwrap().is_sound());
    let refused = backup(&mut repository, &world.keyring, &shot).unwrap_err();
    assert_eq!(kind_of(&refused), Some(Kind::ReadOnly), "{refused:?}");
    disk.read_only(false);
    backup(&mut world.open(store).unwrap(), &world.keyring, &shot).unwrap();
}

#[test]
fn a_restore_onto_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    root();
    let world = World::new(42);
    let mut dice = Dice::told("full target", 42);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 60, large_bytes: 2 << 20 });
    let objects = objects(&mut dice, 5);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: false };
    let point = backup(&mut world.repository(), &world.keyring, &shot).unwrap().point;
    let portrait = Portrait::of(source.path());
    let (mut full, mut fitted) = (0, 0);
    for size_kib in (300..9600).step_by(600) {
        let disk = Disk::new(size_kib << 10);
        let target = disk.path().join("target");
        match restore(&world.repository(), &world.keyring, &point, &target) {
            Ok(restored) => {
                assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{size_kib} KiB: {:?}", restored.named);
                fitted += 1;
            }
            Err(AgentError::Volume { source: VolumeError::Full { .. }, .. }) => full += 1,
            Err(error) => panic!("{size_kib} KiB: {error:?}"),
        }
        disk.resize(64 << 20);
        let restored = restore(&world.repository(), &world.keyring, &point, &target).unwrap();
        assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{:?}", restored.named);
        let differences = portrait.differences(&Portrait::of(&target));
        assert!(differences.is_empty(), "{size_kib} KiB: {differences:?}");
    }
    println!("full target: {full} runs out of space, {fitted} fitted");
    assert!(full > 5 && fitted > 0, "{full} {fitted}");
}
