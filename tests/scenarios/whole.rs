//! The plain case: what was taken in comes back.

use firn_tests::{Dice, Forest, Shot, World, backup, change, objects, plant, restore, root, same_tree, scratch};

#[test]
fn every_kind_of_file_and_all_objects_come_back() {
    root();
    let world = World::new(1);
    let mut dice = Dice::told("whole", 1);
    let source = scratch();
    plant(source.path(), &mut dice, Forest::SMALL);
    let mut repository = world.repository();
    for round in 0..3 {
        let objects = objects(&mut dice, 40);
        let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: false };
        let taken = backup(&mut repository, &world.keyring, &shot).unwrap();
        let target = scratch();
        let restored = restore(&repository, &world.keyring, &taken.point, target.path()).unwrap();
        assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{:?}", restored.named);
        assert_eq!(restored.objects.unwrap(), objects);
        same_tree(source.path(), target.path());
        let report = firn_repo::check(&mut repository, &world.keyring, true).unwrap();
        assert!(report.is_sound(), "{report:?}");
        println!("round {round}: {} blobs, {} bytes stored", report.blobs, taken.stats.bytes_stored);
        for _ in 0..10 {
            change(source.path(), &mut dice);
        }
    }
}

#[test]
fn what_a_prune_took_away_and_a_backup_stored_again_comes_back() {
    root();
    // Which of two index runs is read first follows from the seed.
    for seed in 100..112 {
        let world = World::new(seed);
        let (objects, source) = (objects(&mut Dice::new(seed), 10), scratch());
        let content = Dice::new(seed).bytes(300_000);
        let take = |content: &[u8]| {
            std::fs::write(source.path().join("file"), content).unwrap();
            let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: false };
            backup(&mut world.repository(), &world.keyring, &shot).unwrap().point
        };
        let first = take(&content);
        take(b"something else");
        let mut repository = world.repository();
        firn_repo::forget(&mut repository, &world.keyring, &[first], "a test", true).unwrap();
        let collected = firn_repo::collect(&mut repository, world.keyring.signing_key().unwrap()).unwrap();
        assert!(collected.bytes > 300_000, "{collected:?}");
        // The objects' run, which tells of the pack that is gone, is needed still.
        let again = take(&content);
        let target = scratch();
        let restored = restore(&world.repository(), &world.keyring, &again, target.path()).unwrap();
        assert_eq!((restored.damaged, restored.exceptions), (0, 0), "seed {seed}: {:?}", restored.named);
        same_tree(source.path(), target.path());
        let report = firn_repo::check(&mut world.repository(), &world.keyring, true).unwrap();
        assert!(report.is_sound(), "seed {seed}: {report:?}");
    }
}
