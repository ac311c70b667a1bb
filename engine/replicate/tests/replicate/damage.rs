//! Damage at either end, and sources that take back what they said.

use std::sync::Arc;

use bytes::Bytes;
use firn_format::name;
use firn_replicate::{Problem, ReplicateError};
use firn_repo::Class;
use firn_store::{MemoryStore, Store};

use crate::ground::{DAILY, Ground, HOURLY, check_same, check_whole, open, run};

fn flip(store: &MemoryStore, name: &str) {
    let mut bytes = store.snapshot()[name].to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    store.overwrite(name, Bytes::from(bytes));
}

#[test]
fn a_damaged_pack_of_the_source_is_named_and_the_rest_goes_on() {
    let mut ground = Ground::new(40);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 4, 0);
    let second = ground.commit(&a, DAILY, 4, 4);
    let hourly = ground.commit(&a, HOURLY, 4, 0);
    let bad = open(&a).state().needs(&first)[2];
    let good = a.snapshot()[&bad.path()].clone();
    let harms: [&dyn Fn(); 4] = [
        &|| flip(&a, &bad.path()),
        &|| a.overwrite(&bad.path(), good.slice(..good.len() / 2)),
        &|| a.overwrite(&bad.path(), vec![0; 65 << 20].into()),
        &|| a.delete(&bad.path()).unwrap(),
    ];
    for harm in harms {
        harm();
        let b = Arc::new(MemoryStore::from_snapshot(b.snapshot()));
        let report = run(a.clone(), b.clone(), &ground.importer).unwrap();
        assert!(report.points.contains(&second) && report.points.contains(&hourly), "{report:?}");
        assert!(
            matches!(&report.problems[..], [Problem::SourceObject { point, name, .. }] if (*point, *name) == (first, bad))
        );
        assert_eq!(report.class(), Some(Class::Damaged));
        assert!(open(&b).state().sessions().is_empty());
        check_whole(&b);
        a.overwrite(&bad.path(), good.clone());
    }
}

#[test]
fn a_point_waits_until_its_source_is_mended() {
    let mut ground = Ground::new(41);
    let a = ground.a.clone();
    let point = ground.commit(&a, DAILY, 4, 0);
    let bad = open(&a).state().needs(&point)[0].path();
    flip(&a, &bad);
    let report = ground.replicate();
    assert_eq!((report.points.len(), report.lineages[&DAILY].points_behind), (0, 1));
    flip(&a, &bad);
    let report = ground.replicate();
    assert_eq!((report.points, report.objects_copied, report.objects_there), (vec![point], 1, 3));
    check_same(&ground.a, &ground.b);
}

#[test]
fn a_damaged_leftover_in_the_target_is_named() {
    let mut ground = Ground::new(42);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let point = ground.commit(&a, DAILY, 4, 0);
    let bad = open(&a).state().needs(&point)[1];
    let _created = b.put_new(&bad.path(), Bytes::from_static(b"rot")).unwrap();
    let report = ground.replicate();
    assert!(matches!(&report.problems[..], [Problem::TargetObject { name, .. }] if *name == bad), "{report:?}");
    // A collection ends the name, and the bytes come under another.
    ground.mark(&b, &[bad]);
    ground.collect(&b, &[bad], &[]);
    assert_eq!(ground.replicate().points, [point]);
    check_same(&a, &b);
}

#[test]
fn a_damaged_log_gives_what_was_before_the_damage() {
    let mut ground = Ground::new(43);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let second = ground.commit(&a, DAILY, 3, 0);
    let damaged = open(&a).head().seq + 1;
    ground.commit(&a, DAILY, 3, 0);
    flip(&a, &name::log_path(damaged));
    let report = ground.replicate();
    assert_eq!(report.points, [second]);
    assert_eq!(report.problems, [Problem::SourceLog { seq: damaged }]);
    assert!(open(&b).state().point(&first).is_some());
    check_whole(&b);
    flip(&a, &name::log_path(damaged));
    assert_eq!(ground.replicate().points.len(), 1);
    check_same(&a, &b);
}

#[test]
fn a_damaged_entry_that_was_mirrored_before_is_still_imported() {
    let mut ground = Ground::new(44);
    let a = ground.a.clone();
    let point = ground.commit(&a, DAILY, 3, 0);
    let bad = open(&a).state().needs(&point)[0].path();
    let seq = open(&a).head().seq;
    // Mirrored, but not imported.
    flip(&a, &bad);
    ground.replicate();
    flip(&a, &bad);
    let mut source = open(&a);
    let mut target = open(&ground.b);
    flip(&a, &name::log_path(seq - 1));
    // The state was folded while the entry was whole.
    let options = firn_replicate::ReplicateOptions::default();
    let report = firn_replicate::replicate(&mut source, &mut target, &ground.importer, &options);
    flip(&a, &name::log_path(seq - 1));
    assert_eq!(report.unwrap().points, [point]);
    check_same(&a, &ground.b);
}

#[test]
fn rollback_and_fork_of_the_source_stop_everything() {
    let mut ground = Ground::new(45);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    let before = a.snapshot();
    let seen = {
        ground.commit(&a, DAILY, 3, 0);
        ground.replicate();
        open(&a).head()
    };
    let settled = b.snapshot();
    let rolled = Arc::new(MemoryStore::from_snapshot(before.clone()));
    match run(rolled, b.clone(), &ground.importer) {
        Err(ReplicateError::RolledBack { seen: told, found, .. }) => {
            assert_eq!(told, seen);
            assert_eq!(found.seq, seen.seq - 2);
        }
        other => panic!("{other:?}"),
    }
    // It went on from the older state, with other points.
    for points in 1..4 {
        let forked = Arc::new(MemoryStore::from_snapshot(before.clone()));
        for _ in 0..points {
            ground.commit(&forked, DAILY, 2, 0);
        }
        let error = run(forked, b.clone(), &ground.importer).unwrap_err();
        assert!(matches!(&error, ReplicateError::Forked { seen: told, .. } if *told == seen), "{error}");
        assert_eq!((error.class(), error.is_permanent()), (Class::Security, true));
    }
    assert_eq!(b.snapshot(), settled);
}

#[test]
fn a_rollback_shows_even_without_the_mirror() {
    let mut ground = Ground::new(46);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    ground.commit(&a, DAILY, 3, 0);
    let before = a.snapshot();
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    for name in b.snapshot().into_keys().filter(|name| name.starts_with("mirror/")) {
        b.delete(&name).unwrap();
    }
    let rolled = Arc::new(MemoryStore::from_snapshot(before));
    assert!(matches!(run(rolled, b.clone(), &ground.importer), Err(ReplicateError::RolledBack { .. })));
    // The mirror comes back.
    assert!(ground.replicate().entries_mirrored >= 4);
    check_same(&a, &b);
}

#[test]
fn a_voided_slot_of_the_source_does_not_stop_the_mirror() {
    let mut ground = Ground::new(47);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 3, 0);
    let second = ground.commit(&a, HOURLY, 3, 0);
    let seq = open(&a).head().seq;
    let rotten = Bytes::from_static(b"rot");
    a.overwrite(&name::log_path(seq), rotten.clone());
    let mut source = open(&a);
    assert_eq!(source.damage().unwrap().seq, seq);
    // What the owner's repair does.
    let free = source.damage().unwrap().free;
    let void = firn_format::log::Void { seq, hash: firn_format::Hash::of(&rotten), reason: "test".into(), entry: None };
    let entry = firn_format::Entry {
        store: source.format().store,
        seq: free.seq,
        prev: free.prev,
        critical: false,
        term: 0,
        payload: firn_format::Payload::Void(void),
        time_ms: 0,
        store_time_ms: None,
        signer: ground.owner().signer(),
    };
    let _created = a.put_new(&name::log_path(free.seq), entry.sign(ground.owner()).unwrap().into()).unwrap();
    source.refresh().unwrap();
    assert!(source.damage().is_none() && source.state().point(&second).is_none());
    let report = ground.replicate();
    assert_eq!(report.points, [first]);
    assert!(report.problems.is_empty());
    let third = ground.commit(&a, DAILY, 1, 0);
    assert_eq!(ground.replicate().points, [third]);
    check_same(&a, &b);
}

#[test]
fn an_entry_that_the_mirror_lost_is_mirrored_again_before_its_import() {
    let mut ground = Ground::new(48);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let daily = ground.commit(&a, DAILY, 3, 0);
    let seq = open(&a).head().seq;
    ground.commit(&a, HOURLY, 3, 0);
    let bad = open(&a).state().needs(&daily)[0].path();
    flip(&a, &bad);
    ground.replicate();
    flip(&a, &bad);
    b.delete(&name::mirror_path(open(&a).format().store, seq)).unwrap();
    assert_eq!(ground.replicate().points, [daily]);
    check_same(&a, &b);
}
