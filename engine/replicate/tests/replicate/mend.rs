//! What the target lost and gets again, and points that come late.

use std::sync::Arc;

use bytes::Bytes;
use firn_format::log::{Level, Lost};
use firn_format::{ObjectName, Payload};
use firn_replicate::Problem;
use firn_repo::Class;
use firn_store::{MemoryStore, Store};

use crate::ground::{DAILY, Ground, check_same, check_whole, open};

fn lose(ground: &Ground, store: &Arc<MemoryStore>, names: &[ObjectName]) {
    ground.append(store, Payload::Lost(Lost { names: names.to_vec(), reason: "found by a check".into() }));
}

fn flip(store: &MemoryStore, name: &ObjectName) {
    let mut bytes = store.snapshot()[&name.path()].to_vec();
    bytes[3] ^= 4;
    store.overwrite(&name.path(), Bytes::from(bytes));
}

#[test]
fn a_missing_object_of_the_target_comes_again_under_its_name() {
    let mut ground = Ground::new(80);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let point = ground.commit(&a, DAILY, 4, 0);
    ground.replicate();
    let names = open(&b).state().needs(&point);
    b.delete(&names[1].path()).unwrap();
    // The other was found missing by a check that was wrong: a disk was away.
    lose(&ground, &b, &names[1..3]);
    assert_eq!(open(&b).state().missing(&point).len(), 2);
    // A point that needs them is refused while they are lost.
    let next = ground.commit(&a, DAILY, 1, 0);
    let report = ground.replicate();
    assert_eq!((report.points, report.mended, report.problems), (vec![next], vec![point], vec![]));
    assert_eq!(report.found.len(), 2);
    assert_eq!((report.objects_copied, report.objects_there), (2, 1));
    assert!(open(&b).state().lost().next().is_none() && open(&b).state().sessions().is_empty());
    check_same(&a, &b);
    assert_eq!(ground.replicate().found, []);
}

#[test]
fn a_damaged_object_of_the_target_comes_again_under_another_name() {
    let mut ground = Ground::new(81);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let point = ground.commit(&a, DAILY, 4, 0);
    ground.replicate();
    let bad = open(&b).state().needs(&point)[0];
    flip(&b, &bad);
    lose(&ground, &b, &[bad]);
    let instead = open(&b).state().name_instead(&bad).unwrap();
    // An earlier attempt may have got so far, and a collection may have seen it.
    let good = a.snapshot()[&bad.path()].clone();
    let _created = b.put_new(&instead.path(), good).unwrap();
    ground.mark(&b, &[instead]);
    let next = ground.commit(&a, DAILY, 1, 0);
    let report = ground.replicate();
    assert_eq!((report.found, report.mended, report.points), (vec![bad], vec![point], vec![next]));
    let here = open(&b);
    assert!(here.state().dead(&bad) && here.state().needs(&next).contains(&instead));
    // The damaged bytes may go now.
    b.delete(&bad.path()).unwrap();
    check_same(&a, &b);
    // Points to come find it under its new name.
    let third = ground.commit(&a, DAILY, 1, 0);
    let report = ground.replicate();
    assert_eq!((report.points, report.objects_copied), (vec![third], 1));
    check_same(&a, &b);
}

#[test]
fn what_the_source_has_not_got_either_stays_lost_and_is_told() {
    let mut ground = Ground::new(82);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let point = ground.commit(&a, DAILY, 4, 0);
    ground.replicate();
    let names = open(&b).state().needs(&point);
    for name in &names[..2] {
        flip(&b, name);
    }
    flip(&a, &names[0]);
    lose(&ground, &b, &names[..2]);
    let report = ground.replicate();
    assert_eq!((report.found, report.mended), (vec![names[1]], vec![]));
    assert!(
        matches!(&report.problems[..], [Problem::Lost { objects: 1, name, .. }] if *name == names[0]),
        "{:?}",
        report.problems
    );
    assert_eq!(report.problems[0].class(), Class::Damaged);
    assert_eq!(open(&b).state().missing(&point), names[..1]);
    // And the other way round: the replica mends its source.
    let c = Arc::new(MemoryStore::from_snapshot(a.snapshot()));
    lose(&ground, &c, &names[1..2]);
    c.delete(&names[1].path()).unwrap();
    let back = crate::ground::run(b.clone(), c.clone(), ground.owner()).unwrap();
    assert_eq!((back.found, back.mended), (vec![names[1]], vec![point]));
}

#[test]
fn a_point_that_was_passed_over_comes_once_its_source_is_mended() {
    let mut ground = Ground::new(83);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let second = ground.commit(&a, DAILY, 3, 1);
    let bad = *open(&a).state().needs(&second).last().unwrap();
    let third = ground.commit(&a, DAILY, 3, 5);
    flip(&a, &bad);
    for points in [vec![third], vec![]] {
        let report = ground.replicate();
        assert_eq!((report.points, report.lineages[&DAILY].points_behind), (points, 1));
        assert!(matches!(&report.problems[..], [Problem::SourceObject { point, .. }] if *point == second));
    }
    flip(&a, &bad);
    let report = ground.replicate();
    assert_eq!((report.points, report.problems), (vec![second], vec![]));
    let here = open(&b);
    assert_eq!(here.state().latest(&DAILY).unwrap().id, third);
    let order: Vec<_> = here.state().points_of(&DAILY).map(|point| point.id).collect();
    assert_eq!(order, [first, second, third]);
    check_same(&a, &b);
    // What the replica forgets does not come back.
    ground.delete(&b, &[second]);
    assert_eq!(ground.replicate().points, []);
}

#[test]
fn what_arrived_was_verified() {
    let mut ground = Ground::new(84);
    let point = ground.commit(&ground.a.clone(), DAILY, 2, 0);
    assert_eq!(open(&ground.a).state().verified(&point), None);
    ground.replicate();
    let here = open(&ground.b);
    let verified = here.state().verified(&point).unwrap();
    assert_eq!(
        (verified.level, verified.time_ms),
        (Level::StoredHashes, here.state().point(&point).unwrap().arrived_ms)
    );
    check_whole(&ground.b);
}

#[test]
fn a_merge_at_the_source_loses_nothing_of_the_next_point() {
    use crate::ground::HOURLY;
    use firn_format::log::Moved;
    let mut ground = Ground::new(85);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let daily = ground.commit(&a, DAILY, 1, 0);
    let hourly = ground.commit(&a, HOURLY, 1, 0);
    ground.replicate();
    let names = [daily, hourly].map(|point| open(&a).state().needs(&point)[0]);
    let bytes = ground.dice.bytes();
    let both = ObjectName::of(firn_format::Class::Data, &bytes);
    let _created = a.put_new(&both.path(), bytes).unwrap();
    ground.mark(&a, &names);
    ground.collect(&a, &[], &names.map(|from| Moved { from, to: both }));
    // It inherits the merged pack, in which lies what only the other lineage needed before.
    let next = ground.commit(&a, DAILY, 1, 0);
    assert_eq!(ground.replicate().points, [next]);
    assert!(open(&b).state().needs(&next).contains(&both));
    check_whole(&b);
}
