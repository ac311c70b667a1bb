//! Interrupted at any moment, and run again.

use std::sync::Arc;

use firn_format::ObjectName;
use firn_replicate::Report;
use firn_store::{Fault, Faulty, Kind, MemoryStore, Operation, Recording, Store};

use crate::ground::{DAILY, Dice, Ground, HOURLY, LANES, Snapshot, check_same, check_whole, is_object, run};

/// A primary with points of two lineages, one deleted; a replica that has some, and a collection of its own going on.
fn prepared(seed: u64) -> (Ground, Snapshot, Snapshot) {
    let mut ground = Ground::new(seed);
    let (a, b) = (ground.a.clone(), ground.b.clone());
    let first = ground.commit(&a, DAILY, 5, 0);
    ground.replicate();
    let second = ground.commit(&a, DAILY, 3, 1);
    ground.commit(&a, HOURLY, 4, 0);
    ground.commit(&a, DAILY, 3, 2);
    ground.delete(&a, &[second]);
    ground.commit(&a, HOURLY, 2, 1);
    let needs = crate::ground::open(&b).state().needs(&first);
    ground.delete(&b, &[first]);
    let (drop, keep) = needs.split_at(2);
    ground.mark(&b, drop);
    ground.collect(&b, drop, &[]);
    ground.mark(&b, keep);
    let snapshots = (a.snapshot(), b.snapshot());
    (ground, snapshots.0, snapshots.1)
}

struct Ends {
    source: Arc<MemoryStore>,
    target: Arc<MemoryStore>,
    /// What is asked of the source's store, whatever fails above it.
    asked: Arc<Recording>,
    put: Arc<Recording>,
}

impl Ends {
    fn new(source: &Snapshot, target: &Snapshot) -> Self {
        let source = Arc::new(MemoryStore::from_snapshot(source.clone()));
        let target = Arc::new(MemoryStore::from_snapshot(target.clone()));
        let (asked, put) = (Arc::new(Recording::new(source.clone())), Arc::new(Recording::new(target.clone())));
        Self { source, target, asked, put }
    }

    /// Object reads at the source, and object puts into the target.
    fn traffic(&self) -> (usize, usize) {
        let of = |recording: &Recording, operation| {
            let trace = recording.trace().into_iter();
            trace.filter(|call| call.operation == operation && is_object(&call.name) && call.error.is_none()).count()
        };
        (of(&self.asked, Operation::Get), of(&self.put, Operation::Put))
    }
}

fn whole_run(ground: &Ground, ends: &Ends) -> Report {
    let report = run(ends.asked.clone(), ends.put.clone(), &ground.importer).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    report
}

/// Stops one end at call number `call`, then runs to the end.
fn stopped(ground: &Ground, ends: &Ends, call: u64, fault: Fault, at_source: bool) -> bool {
    let (mut source, mut target): (Arc<dyn Store>, Arc<dyn Store>) = (ends.asked.clone(), ends.put.clone());
    let end = if at_source { &mut source } else { &mut target };
    let faulty = Arc::new(Faulty::new(end.clone()).with_fault(call, fault));
    *end = faulty.clone();
    let result = run(source, target, &ground.importer);
    if let Ok(report) = &result {
        // A process that died does not report; one that lost its source may say so object by object.
        assert!(!faulty.is_crashed() || at_source, "{report:?}");
    }
    check_whole(&ends.target);
    whole_run(ground, ends);
    check_same(&ends.source, &ends.target);
    faulty.is_crashed()
}

fn stop_everywhere(at_source: bool) {
    let (ground, a, b) = prepared(20);
    let ends = Ends::new(&a, &b);
    whole_run(&ground, &ends);
    let (reads, puts) = ends.traffic();
    assert!(reads > 10 && puts == reads, "{reads} {puts}");
    for fault in [Fault::Crash, Fault::CrashAfter] {
        let mut call = 0;
        loop {
            let ends = Ends::new(&a, &b);
            if !stopped(&ground, &ends, call, fault, at_source) {
                break;
            }
            let (again, put_again) = ends.traffic();
            assert!(
                again <= reads + LANES && put_again <= puts + LANES,
                "call {call} {fault:?}: {again} reads of {reads}"
            );
            call += 1;
        }
        println!("{call} calls, {fault:?}");
        assert!(call > 30, "{call}");
    }
}

#[test]
fn the_target_stops_anywhere() {
    stop_everywhere(false);
}

#[test]
fn the_source_stops_anywhere() {
    stop_everywhere(true);
}

#[test]
fn stores_that_fail_now_and_then_only_cost_runs() {
    let (ground, a, b) = prepared(21);
    for seed in 0..60 {
        println!("seed {seed}");
        let ends = Ends::new(&a, &b);
        for attempt in 0.. {
            assert!(attempt < 200, "it never ends");
            let source = Arc::new(Faulty::new(ends.source.clone()).with_seed(seed * 1000 + attempt, 30));
            let target = Arc::new(Faulty::new(ends.target.clone()).with_seed(seed * 1000 + attempt + 500, 30));
            match run(source, target, &ground.importer) {
                Ok(report) if report.problems.is_empty() => break,
                Ok(report) => panic!("{report:?}"),
                Err(error) => assert!(!error.is_permanent(), "{error:?}"),
            }
            check_whole(&ends.target);
        }
        whole_run(&ground, &ends);
        check_same(&ends.source, &ends.target);
    }
}

#[test]
fn bits_that_flip_on_the_way_do_not_arrive() {
    let (ground, a, b) = prepared(22);
    let calls = {
        let ends = Ends::new(&a, &b);
        let counted = Arc::new(Faulty::new(ends.source.clone()));
        run(counted.clone(), ends.target.clone(), &ground.importer).unwrap();
        counted.calls()
    };
    let mut dice = Dice(22);
    for call in 0..calls {
        let ends = Ends::new(&a, &b);
        let faulty = Faulty::new(ends.source.clone()).with_fault(call, Fault::FlipBit).with_seed(dice.roll(), 0);
        // It may fail, or say that the log is damaged; it may not believe it.
        let _whatever = run(Arc::new(faulty), ends.target.clone(), &ground.importer);
        check_whole(&ends.target);
        let mirrored = ends.target.snapshot().into_iter().filter(|(name, _)| name.starts_with("mirror/"));
        for (name, bytes) in mirrored {
            let entry = format!("log/{}", name.rsplit('/').next().unwrap());
            assert_eq!(ends.source.snapshot().get(&entry), Some(&bytes), "call {call}: {name}");
        }
        let report = run(ends.source.clone(), ends.target.clone(), &ground.importer).unwrap();
        assert!(report.problems.is_empty(), "call {call}: {report:?}");
    }
}

#[test]
fn lists_that_lie_or_break_off_do_no_harm() {
    let (ground, a, b) = prepared(23);
    for fault in [Fault::ListCut, Fault::ListFails, Fault::ListStale, Fault::Fail(Kind::Unreachable)] {
        for call in 0..80 {
            let ends = Ends::new(&a, &b);
            let target = Arc::new(Faulty::new(ends.target.clone()).with_fault(call, fault));
            let _whatever = run(ends.source.clone(), target, &ground.importer);
            check_whole(&ends.target);
            whole_run(&ground, &ends);
            check_same(&ends.source, &ends.target);
        }
    }
}

#[test]
fn a_collector_of_the_target_that_ends_the_session_wins_nothing() {
    let (ground, a, b) = prepared(24);
    let ends = Ends::new(&a, &b);
    // A first run dies late: objects lie there that no entry lists, under an open session.
    let calls = {
        let ends = Ends::new(&a, &b);
        let counted = Arc::new(Faulty::new(ends.target.clone()));
        run(ends.source.clone(), counted.clone(), &ground.importer).unwrap();
        counted.calls()
    };
    let faulty = Arc::new(Faulty::new(ends.target.clone()).with_fault(calls - 30, Fault::Crash));
    assert!(run(ends.source.clone(), faulty, &ground.importer).is_err());
    let here = crate::ground::open(&ends.target);
    let session = *here.state().sessions().keys().next().unwrap();
    let objects = ends.target.snapshot().into_keys().filter_map(|name| ObjectName::parse(&name));
    let unlisted: Vec<_> =
        objects.filter(|name| !here.state().needed_by_any(name) && !here.state().dead(name)).collect();
    assert!(!unlisted.is_empty());
    // While the session is open, what it copied cannot be collected.
    ground.mark(&ends.target, &unlisted);
    let collection = firn_format::CollectionId([1; 16]);
    let dropped = firn_format::log::GcCommit { collection, dropped: unlisted.clone(), moved: Vec::new() };
    let refused = crate::ground::open(&ends.target).append(&firn_format::Payload::GcCommit(dropped), ground.owner());
    assert!(matches!(refused, Err(firn_repo::RepoError::Refused { .. })), "{refused:?}");
    let end = firn_format::log::SessionEnd { session };
    ground.append(&ends.target, firn_format::Payload::Kill(end));
    ground.mark(&ends.target, &unlisted);
    ground.collect(&ends.target, &unlisted, &[]);
    whole_run(&ground, &ends);
    check_same(&ends.source, &ends.target);
}
