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
        assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{restored:?}");
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
