//! From A by way of B to C: what B imported is carried on, and never comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use firn_format::log::{Commit, Head, Import, KeyAction, KeyChange, Moved, SessionOpen, Unfence};
use firn_format::{
    BlobId, Class, DomainId, Entry, Hash, LineageId, ObjectName, Payload, PointId, Roles, RunId, SessionId, SigningKey,
    StoreId, name,
};
use firn_replicate::{Problem, ReplicateError, Report, import_fences};
use firn_repo::Class as Exit;
use firn_store::{Fault, Faulty, MemoryStore, Operation, Recording, Store};

use crate::ground::{DAILY, Dice, Ground, HOURLY, check_whole, open, run};

/// Replicates with the key that may only import.
fn bring(ground: &Ground, source: &Arc<MemoryStore>, target: &Arc<MemoryStore>) -> Report {
    let report = run(source.clone(), target.clone(), &ground.importer).unwrap();
    let new = |store: &Arc<MemoryStore>| open(store).state().points().map(|point| point.id).collect::<Vec<_>>();
    assert!(report.points.iter().all(|point| new(target).contains(point)));
    report
}

fn head_of(store: &Arc<MemoryStore>) -> Head {
    let seen = open(store);
    Head { store: seen.format().store, seq: seen.head().seq, hash: seen.head().hash }
}

fn live(store: &Arc<MemoryStore>) -> Vec<PointId> {
    let mut points: Vec<_> = open(store).state().points().map(|point| point.id).collect();
    points.sort_unstable();
    points
}

type Standing = BTreeMap<LineageId, (u64, Option<StoreId>, bool, Option<PointId>)>;

/// Epoch, holder, split and newest point of each lineage.
fn standing(store: &Arc<MemoryStore>) -> Standing {
    let repository = open(store);
    let state = repository.state();
    let of = |id: &LineageId| state.latest(id).map(|point| point.id);
    state.lineages().iter().map(|(id, at)| (*id, (at.epoch, at.holder, at.split, of(id)))).collect()
}

fn copy_of(store: &Arc<MemoryStore>) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::from_snapshot(store.snapshot()))
}

/// The target's mirror of a store holds what that store's log holds.
fn check_mirror(origin: &Arc<MemoryStore>, target: &Arc<MemoryStore>) {
    let prefix = format!("mirror/{}/", open(origin).format().store);
    let log = origin.snapshot();
    let mirrored: Vec<_> = target.snapshot().into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    assert!(!mirrored.is_empty());
    for (at, (name, bytes)) in mirrored.iter().enumerate() {
        assert_eq!(*name, name::mirror_path(open(origin).format().store, at as u64 + 1));
        assert_eq!(log.get(&name.replace(&prefix, "log/")), Some(bytes));
    }
}

#[test]
fn after_a_failover_the_history_comes_to_a_new_store() {
    let mut ground = Ground::new(100);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(102));
    let first = [ground.commit(&a, DAILY, 5, 0), ground.commit(&a, DAILY, 3, 1)];
    ground.replicate();
    let fence = ground.fence(&b, DAILY, vec![head_of(&a)]);
    let report = bring(&ground, &b, &c);
    assert_eq!((&report.points, &report.points_carried), (&first.to_vec(), &first.to_vec()));
    assert_eq!((report.fences, report.problems), (vec![fence], vec![]));
    assert_eq!(report.lineages[&DAILY].points_behind, 0);
    let third = ground.commit(&b, DAILY, 2, 1);
    let report = bring(&ground, &b, &c);
    assert_eq!((report.points, report.points_carried), (vec![third], vec![]));
    assert_eq!((live(&c), standing(&c)), (live(&b), standing(&b)));
    check_whole(&c);
    check_mirror(&a, &c);
    check_mirror(&b, &c);
    let recording = Arc::new(Recording::new(c.clone()));
    let idle = run(b.clone(), recording.clone(), &ground.importer).unwrap();
    assert!(idle.points.is_empty() && idle.problems.is_empty());
    assert_eq!(recording.count(Operation::Put).calls, 0);
    // And all of it to one that begins later.
    let report = run(b, ground.another(103), &ground.importer).unwrap();
    assert_eq!(report.points, [first[0], first[1], third]);
}

#[test]
fn failover_and_failback_reach_a_third_store_that_knows_only_the_replica() {
    let mut ground = Ground::new(104);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(105));
    let both = ground.another(106);
    ground.commit(&a, DAILY, 5, 0);
    ground.commit(&a, HOURLY, 2, 0);
    ground.replicate();
    bring(&ground, &b, &c);
    let taken = ground.fence(&b, DAILY, vec![head_of(&a)]);
    ground.commit(&b, DAILY, 2, 1);
    run(b.clone(), a.clone(), ground.owner()).unwrap();
    let back = ground.fence(&a, DAILY, vec![head_of(&b)]);
    let newest = ground.commit(&a, DAILY, 2, 1);
    ground.replicate();
    let report = bring(&ground, &b, &c);
    assert_eq!((report.fences, report.points.last()), (vec![taken, back], Some(&newest)));
    assert_eq!(open(&c).state().latest(&DAILY).map(|point| point.id), Some(newest));
    bring(&ground, &a, &both);
    bring(&ground, &b, &both);
    assert_eq!((live(&c), standing(&c)), (live(&both), standing(&both)));
    // A fence that is taken back by a third store ends, too.
    let fence = ground.fence(&a, HOURLY, Vec::new());
    ground.replicate();
    bring(&ground, &b, &c);
    assert_eq!(open(&c).state().epoch(&HOURLY), 1);
    let unfence = ground.append(&a, Payload::Unfence(Unfence { fence })).hash;
    ground.replicate();
    assert_eq!(bring(&ground, &b, &c).unfences, [unfence]);
    assert_eq!(standing(&c), standing(&b));
    assert_eq!(bring(&ground, &b, &c).unfences, []);
    check_whole(&c);
}

#[test]
fn a_committer_hears_of_a_fence_through_a_third_store() {
    let mut ground = Ground::new(107);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(108));
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let fence = ground.fence(&b, DAILY, vec![head_of(&a)]);
    bring(&ground, &b, &c);
    let news = import_fences(&mut open(&c), &mut open(&a), ground.owner()).unwrap();
    assert_eq!(news.fences, [fence]);
    assert!(ground.try_commit(&a, DAILY, 1, 0, &[]).is_err());
    // The replica itself has nothing to add.
    assert!(import_fences(&mut open(&b), &mut open(&a), ground.owner()).unwrap().fences.is_empty());
    check_mirror(&b, &a);
}

#[test]
fn a_ring_falls_silent() {
    let mut ground = Ground::new(109);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(110));
    let third = LineageId([3; 16]);
    for _ in 0..2 {
        ground.commit(&a, DAILY, 3, 0);
        ground.commit(&b, HOURLY, 3, 0);
        ground.commit(&c, third, 3, 0);
    }
    let ring = [(&a, &b), (&b, &c), (&c, &a)];
    let mut arrived = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..6 {
        for (source, target) in ring {
            let report = run(source.clone(), target.clone(), ground.owner()).unwrap();
            assert_eq!(report.problems, []);
            arrived.push(report.points.len());
        }
        sizes.push([&a, &b, &c].map(|store| store.snapshot().len()));
    }
    assert_eq!(arrived.iter().sum::<usize>(), 12, "each point comes to each other store once: {arrived:?}");
    assert!(arrived[6..].iter().all(|points| *points == 0), "{arrived:?}");
    assert_eq!(sizes[4], sizes[5], "{sizes:?}");
    for store in [&a, &b, &c] {
        check_whole(store);
        assert_eq!((live(store), standing(store)), (live(&a), standing(&a)));
    }
}

#[test]
fn packs_that_moved_at_both_ends_are_carried_whole() {
    let mut ground = Ground::new(111);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(112));
    let daily = ground.commit(&a, DAILY, 4, 0);
    let hourly = ground.commit(&a, HOURLY, 4, 0);
    ground.replicate();
    bring(&ground, &b, &c);
    for store in [&a, &b] {
        let bytes = ground.dice.bytes();
        let merged = ObjectName::of(Class::Data, &bytes);
        let _created = store.put_new(&merged.path(), bytes).unwrap();
        let from = [open(store).state().needs(&daily)[0], open(store).state().needs(&hourly)[0]];
        ground.mark(store, &from);
        ground.collect(store, &[], &from.map(|from| Moved { from, to: merged }));
    }
    let child = ground.commit(&a, DAILY, 2, 1);
    ground.replicate();
    assert_eq!(bring(&ground, &b, &c).points, [child]);
    let grandchild = ground.commit(&a, DAILY, 2, 1);
    ground.replicate();
    assert_eq!(bring(&ground, &b, &c).points, [grandchild]);
    let hashes = |store: &Arc<MemoryStore>, point| {
        let mut hashes: Vec<Hash> = open(store).state().needs(&point).iter().map(|name| name.hash).collect();
        hashes.sort_unstable();
        hashes
    };
    for point in [child, grandchild] {
        assert_eq!(hashes(&b, point), hashes(&c, point));
    }
    check_whole(&c);
}

#[test]
fn what_comes_directly_agrees_with_what_came_by_way_of_another() {
    for seed in 113..117 {
        let mut ground = Ground::new(seed);
        let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(seed + 20));
        let points: Vec<_> = (0..5).map(|_| ground.commit(&a, DAILY, 3, 1)).collect();
        ground.replicate();
        // The replica keeps less.
        ground.delete(&b, &points[1..3]);
        let (first, then) = if seed % 2 == 0 { (&a, &b) } else { (&b, &a) };
        bring(&ground, first, &c);
        bring(&ground, then, &c);
        assert_eq!((live(&c), standing(&c)), (live(&a), standing(&a)));
        let last = ground.commit(&a, DAILY, 1, 0);
        ground.replicate();
        assert_eq!(bring(&ground, then, &c).points, [last]);
        assert_eq!(bring(&ground, first, &c).points, []);
        // What the third store deleted stays deleted, whoever has it.
        ground.delete(&c, &points[..1]);
        assert!(bring(&ground, &a, &c).points.is_empty() && bring(&ground, &b, &c).points.is_empty());
        check_whole(&c);
        check_mirror(&a, &c);
    }
}

#[test]
fn a_log_that_was_rolled_back_or_forked_is_known_by_what_came_through_another() {
    let mut ground = Ground::new(121);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(122));
    ground.commit(&a, DAILY, 3, 0);
    let early = copy_of(&a);
    ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    bring(&ground, &b, &c);
    let refused = run(early.clone(), c.clone(), &ground.importer);
    assert!(matches!(refused, Err(ReplicateError::RolledBack { .. })), "{refused:?}");
    // Another one came to see the forked log first.
    ground.commit(&early, DAILY, 3, 0);
    let other = ground.another(123);
    bring(&ground, &early, &other);
    ground.fence(&b, HOURLY, Vec::new());
    let refused = run(b, other, &ground.importer);
    assert!(!refused.is_ok_and(|report| !report.points.is_empty()), "two histories of one store were joined");
}

/// Lets `b` import an entry that says it is of A's log, signed by somebody.
fn forge(ground: &Ground, signer: &SigningKey) -> PointId {
    let (a, b) = (open(&ground.a), open(&ground.b));
    let newest = a.state().latest(&DAILY).unwrap();
    let bytes = a.raw_entry(newest.seq).unwrap().unwrap();
    let (mut entry, _) = Entry::open(&bytes).unwrap();
    (entry.seq, entry.prev) = (a.head().seq + 1, a.head().hash);
    let Payload::Commit(commit) = &mut entry.payload else { panic!() };
    commit.parent = Some(newest.id);
    let bytes = entry.sign(signer).unwrap();
    let hash = Hash::of(&bytes);
    let import = Import {
        store: a.format().store,
        seq: entry.seq,
        hash,
        entry: bytes,
        rescues: Vec::new(),
        needs: Some(b.state().needs(&newest.id)),
        passed: Vec::new(),
    };
    ground.append(&ground.b, Payload::Import(Box::new(import)));
    hash.into()
}

#[test]
fn who_signed_is_looked_at_again() {
    let mut ground = Ground::new(124);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let point = ground.commit(&a, DAILY, 3, 0);
    ground.replicate();
    let forged = forge(&ground, &SigningKey::from_seed(&[9; 32]).unwrap());
    assert!(live(&b).contains(&forged));
    let c = ground.another(125);
    let report = bring(&ground, &b, &c);
    assert_eq!(report.points, [point]);
    assert!(matches!(&report.problems[..], [Problem::Unproven { .. }]), "{:?}", report.problems);
    assert_eq!(report.class(), Some(Exit::Security));
    assert_eq!(report.lineages[&DAILY].points_behind, 1);
    assert_eq!(live(&c), [point]);
}

/// A point of one new object, committed with a key that is not the owner's.
fn commit_by(ground: &mut Ground, store: &Arc<MemoryStore>, key: &SigningKey) -> PointId {
    let mut repository = open(store);
    let parent = repository.state().latest(&DAILY).map(|point| point.id);
    let (session, run) = (SessionId(ground.dice.id()), RunId(ground.dice.id()));
    let opened = SessionOpen { session, run, lineage: DAILY, epoch: 0, parent };
    repository.append(&Payload::SessionOpen(opened), key).unwrap();
    let bytes = ground.dice.bytes();
    let name = ObjectName::of(Class::Data, &bytes);
    let _created = store.put_new(&name.path(), bytes).unwrap();
    let commit = Commit {
        session,
        run,
        lineage: DAILY,
        epoch: 0,
        parent,
        manifest: BlobId(ground.dice.id()),
        domain: DomainId([7; 16]),
        generation: 1,
        adds: vec![name],
        needs_added: Vec::new(),
        needs_dropped: Vec::new(),
        peers: Vec::new(),
        summary: b"sealed".to_vec(),
        rescues: Vec::new(),
        collected_to: repository.state().moved_to(),
    };
    repository.append(&Payload::Commit(Box::new(commit)), key).unwrap().hash.into()
}

#[test]
fn signers_that_were_admitted_are_known_and_those_that_were_revoked_are_not() {
    let mut ground = Ground::new(140);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(141));
    let keys = [20, 21].map(|seed| SigningKey::from_seed(&[seed; 32]).unwrap());
    let key_entry = |action, key: &SigningKey| {
        let (signer, roles) = (Some(key.signer()), Some(Roles::COMMIT));
        Payload::Key(KeyChange {
            action,
            signer,
            roles,
            label: None,
            domain: None,
            generation: None,
            domain_public: None,
        })
    };
    for key in &keys {
        ground.append(&a, key_entry(KeyAction::Admit, key));
    }
    // The second is met for the first time when C has long begun: it is looked up further back.
    for key in [&keys[0], &keys[0], &keys[1], &keys[0]] {
        let point = commit_by(&mut ground, &a, key);
        ground.replicate();
        let report = bring(&ground, &b, &c);
        assert_eq!((report.points, report.problems), (vec![point], vec![]));
    }
    ground.append(&a, key_entry(KeyAction::Revoke, &keys[0]));
    let point = commit_by(&mut ground, &a, &keys[1]);
    ground.replicate();
    let forged = forge(&ground, &keys[0]);
    let report = bring(&ground, &b, &c);
    assert_eq!(report.points, [point]);
    assert!(matches!(&report.problems[..], [Problem::Unproven { .. }]), "{:?}", report.problems);
    assert!(!live(&c).contains(&forged));
}

#[test]
fn a_mirror_with_holes_is_helped_by_the_import_itself() {
    let mut ground = Ground::new(126);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(127));
    let points = [ground.commit(&a, DAILY, 3, 0), ground.commit(&a, DAILY, 3, 0)];
    ground.replicate();
    let store = open(&a).format().store;
    let seqs: Vec<u64> = open(&a).state().points().map(|point| point.seq).collect();
    b.delete(&name::mirror_path(store, seqs[0])).unwrap();
    b.overwrite(&name::mirror_path(store, seqs[1] - 1), b"rot".as_slice().into());
    let report = bring(&ground, &b, &c);
    assert_eq!((report.points, report.problems), (points.to_vec(), vec![]));
    check_whole(&c);
}

#[test]
fn the_third_store_or_the_second_stops_anywhere() {
    let mut ground = Ground::new(128);
    let (a, b, c) = (ground.a.clone(), ground.b.clone(), ground.another(129));
    ground.commit(&a, DAILY, 4, 0);
    ground.replicate();
    bring(&ground, &b, &c);
    ground.commit(&a, DAILY, 3, 1);
    ground.commit(&a, HOURLY, 2, 0);
    ground.fence(&a, HOURLY, Vec::new());
    ground.replicate();
    ground.fence(&b, DAILY, vec![head_of(&a)]);
    ground.commit(&b, DAILY, 2, 2);
    let (b, c) = (b.snapshot(), c.snapshot());
    for at_source in [false, true] {
        for fault in [Fault::Crash, Fault::CrashAfter] {
            let mut call = 0;
            loop {
                let source = Arc::new(MemoryStore::from_snapshot(b.clone()));
                let target = Arc::new(MemoryStore::from_snapshot(c.clone()));
                let (mut from, mut to): (Arc<dyn Store>, Arc<dyn Store>) = (source.clone(), target.clone());
                let end = if at_source { &mut from } else { &mut to };
                let faulty = Arc::new(Faulty::new(end.clone()).with_fault(call, fault));
                *end = faulty.clone();
                let _whatever = run(from, to, &ground.importer);
                check_whole(&target);
                let report = bring(&ground, &source, &target);
                assert_eq!(report.problems, [], "call {call} {fault:?}");
                assert_eq!((live(&target), standing(&target)), (live(&source), standing(&source)), "call {call}");
                check_whole(&target);
                check_mirror(&a, &target);
                assert!(open(&target).state().sessions().is_empty());
                if !faulty.is_crashed() {
                    break;
                }
                call += 1;
            }
            println!("{call} calls, {fault:?}");
            assert!(call > 20, "{call}");
        }
    }
}

/// What happens at random in a family of three stores, A and B of them with links both ways.
fn step(ground: &mut Ground, stores: &[Arc<MemoryStore>; 3], roll: u64) {
    let [a, b, _] = stores;
    let lineage = [DAILY, HOURLY][(roll >> 8) as usize % 2];
    let store = [a, b][(roll >> 9) as usize % 2].clone();
    match roll % 12 {
        0..=4 => {
            // Like a committer: it asks its peers first.
            let other = if Arc::ptr_eq(&store, a) { b } else { a };
            import_fences(&mut open(other), &mut open(&store), ground.owner()).unwrap();
            // Nobody begins a lineage in two places.
            if Arc::ptr_eq(&store, a) || open(&store).state().epoch(&lineage) > 0 {
                let _refused = ground.try_commit(&store, lineage, 2, 1, &[]);
            }
        }
        5 | 6 => _ = run(a.clone(), b.clone(), ground.owner()).unwrap(),
        7 => _ = run(b.clone(), a.clone(), ground.owner()).unwrap(),
        8 => {
            let newer = open(a).state().next_epoch(&lineage).max(open(b).state().next_epoch(&lineage));
            let known = open(&store).state().next_epoch(&lineage) == newer;
            let _hash = known.then(|| ground.fence(&store, lineage, Vec::new()));
        }
        9 => {
            let here = open(&store);
            let own = here.state().fences().values().rev().find(|info| info.store == here.format().store);
            let unfence = own.map(|info| Payload::Unfence(Unfence { fence: info.hash }));
            let _refused = unfence.map(|unfence| open(&store).append(&unfence, ground.owner()));
        }
        10 => {
            let oldest = open(&store).state().points_of(&lineage).next().map(|point| point.id);
            let held = |point: &PointId| open(&store).state().is_held(point) || open(&store).state().points().len() < 3;
            oldest.filter(|point| !held(point)).iter().for_each(|point| ground.delete(&store, &[*point]));
        }
        _ => _ = bring(ground, b, &stores[2]),
    }
}

#[test]
fn a_store_fed_from_one_ends_like_a_store_fed_from_both() {
    for seed in 1000..1040 {
        let mut ground = Ground::new(seed);
        let stores = [ground.a.clone(), ground.b.clone(), ground.another(seed + 500)];
        let [a, b, c] = &stores;
        let both = ground.another(seed + 700);
        let mut dice = Dice(seed);
        for _ in 0..30 {
            step(&mut ground, &stores, dice.roll());
        }
        for _ in 0..3 {
            run(a.clone(), b.clone(), ground.owner()).unwrap();
            run(b.clone(), a.clone(), ground.owner()).unwrap();
            bring(&ground, b, c);
            bring(&ground, a, &both);
            bring(&ground, b, &both);
        }
        check_whole(c);
        let (there, of_both) = (standing(b), standing(&both));
        for (id, at) in &there {
            let here = standing(c).get(id).copied().unwrap_or_default();
            // Of what B has deleted, C hears nothing, not even who committed it.
            if open(b).state().points_of(id).next().is_some() || at.0 > 0 {
                // B may have deleted the newest that came to C, or a fence may have left it aside there since.
                let of_b = |newest| open(b).state().point(&newest).is_some_and(|point| !point.branch);
                assert!(!here.3.is_none_or(of_b) || here.3 == at.3, "seed {seed}");
                assert_eq!((here.0, here.1, here.2), (at.0, at.1, at.2), "seed {seed}");
                assert_eq!((here.0, here.1, here.2), (of_both[id].0, of_both[id].1, of_both[id].2), "seed {seed}");
            }
        }
        let aside: Vec<PointId> = open(b).state().branches().map(|point| point.id).collect();
        let have = live(c);
        let report = bring(&ground, b, c);
        let lacking: Vec<_> = live(b).into_iter().filter(|point| !have.contains(point)).collect();
        assert!(lacking.iter().all(|point| aside.contains(point) || report.left_aside.contains(point)), "seed {seed}");
        let sizes = [a, b, c].map(|store| store.snapshot().len());
        bring(&ground, b, c);
        bring(&ground, a, b);
        assert_eq!([a, b, c].map(|store| store.snapshot().len()), sizes, "seed {seed} is not quiet");
    }
}
