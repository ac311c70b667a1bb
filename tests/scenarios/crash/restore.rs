//! Restores whose store fails while they read.

use firn_store::{Fault, Kind};
use firn_tests::{Dice, Forest, Portrait, Shot, World, backup, objects, plant, restore, root, scratch};

use super::stopping;

#[test]
fn a_restore_stops_anywhere_and_goes_on() {
    root();
    let world = World::new(13);
    let mut dice = Dice::told("restore", 13);
    let source = scratch();
    plant(source.path(), &mut dice, Forest::SMALL);
    let objects = objects(&mut dice, 40);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: true };
    let point = backup(&mut world.repository(), &world.keyring, &shot).unwrap().point;
    let portrait = Portrait::of(source.path());
    let (mut runs, mut refused, mut in_part) = (0, 0, 0);
    let faults = [
        Fault::Crash,
        Fault::CrashAfter,
        Fault::Fail(Kind::Unreachable),
        Fault::FlipBit,
        Fault::ShortRead,
        Fault::Fail(Kind::NotFound),
    ];
    for fault in faults {
        for call in 0.. {
            let faulty = stopping(&world.copy(), call, fault);
            let target = scratch();
            let result = world
                .open(faulty.clone())
                .map_err(firn_agent::AgentError::from)
                .and_then(|repository| restore(&repository, &world.keyring, &point, target.path()));
            if faulty.calls() <= call {
                break;
            }
            runs += 1;
            match result {
                Err(_) => refused += 1,
                Ok(restored) => {
                    let partial = restored.damaged > 0 || restored.objects.is_err();
                    in_part += u64::from(partial);
                    let there = Portrait::of(target.path());
                    assert!(
                        partial || portrait.differences(&there).is_empty(),
                        "call {call}, {fault:?}: silently partial"
                    );
                }
            }
            if target.path().exists() && call % 3 == 0 {
                let restored = restore(&world.repository(), &world.keyring, &point, target.path()).unwrap();
                assert_eq!((restored.damaged, restored.exceptions), (0, 0));
                assert!(restored.objects.unwrap() == objects);
                let differences = portrait.differences(&Portrait::of(target.path()));
                assert!(differences.is_empty(), "call {call}, {fault:?}: {differences:?}");
            }
        }
    }
    println!("restore: {runs} disturbed runs, {refused} refused, {in_part} told what is missing; a third run again");
    assert!(runs > 60 && refused > 0 && in_part > 0, "{runs} {refused} {in_part}");
}
