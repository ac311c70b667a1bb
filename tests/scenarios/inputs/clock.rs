//! Clocks that are a day off.

use std::sync::Arc;

use firn_format::ManualClock;
use firn_repo::{Context, Repository};
use firn_tests::{
    Dice, Forest, NOW_MS, Shot, World, backup, change, objects, plant, restore, root, same_tree, scratch,
};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[test]
fn a_machine_whose_clock_is_a_day_off_breaks_nothing() {
    root();
    let mut dice = Dice::told("clock", 60);
    let source = scratch();
    plant(source.path(), &mut dice, Forest { small_files: 20, large_bytes: 150_000 });
    let objects = objects(&mut dice, 5);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 1, trusting: false };
    let mut runs = 0;
    for off_ms in [DAY_MS, -DAY_MS, 3650 * DAY_MS, -NOW_MS] {
        let world = World::new(60);
        let key = world.keyring.signing_key().unwrap();
        let wrong = Context { clock: Arc::new(ManualClock::at(NOW_MS + off_ms)), ..world.context.clone() };
        let open = |context: &Context| Repository::open(world.memory.clone(), context.clone()).unwrap();
        let first = backup(&mut open(&world.context), &world.keyring, &shot).unwrap().point;
        // A session of a machine with the right time is under way while the wrong one works.
        let (lineage, parent) = (world.keyring.lineage("another", "daily"), None);
        let plan = firn_repo::SessionPlan { cluster: "another".into(), lineage, parent };
        let under_way = firn_repo::Session::open(&mut open(&world.context), &world.keyring, plan).unwrap();
        change(source.path(), &mut dice);
        let second = backup(&mut open(&wrong), &world.keyring, &shot).unwrap().point;
        // The order is the log's, not a clock's.
        let repository = open(&world.context);
        let lineage = world.keyring.lineage(firn_tests::CLUSTER, "daily");
        assert_eq!(repository.state().latest(&lineage).map(|point| point.id), Some(second));
        let listed = firn_repo::list_points(&repository, &world.keyring);
        assert_eq!(firn_repo::resolve(&listed, "latest", &firn_repo::Selection::default()).unwrap()[0].id, second);
        // Nobody is taken for dead, and nothing that is needed goes.
        let collected = firn_repo::collect(&mut open(&wrong), key).unwrap();
        assert_eq!(collected.killed, []);
        assert!(repository.state().sessions().contains_key(&under_way.id()));
        under_way.abort(&mut open(&world.context), &world.keyring).unwrap();
        for point in [first, second] {
            let target = scratch();
            let restored = restore(&open(&wrong), &world.keyring, &point, target.path()).unwrap();
            assert_eq!((restored.damaged, restored.exceptions), (0, 0));
            if point == second {
                same_tree(source.path(), target.path());
            }
            runs += 1;
        }
        let report = firn_repo::check(&mut open(&wrong), &world.keyring, true).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
    println!("clock: {runs} points made and restored with clocks off by a day and more");
}
