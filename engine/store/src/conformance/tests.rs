use std::error::Error;

use super::*;
use crate::{Fault, Faulty, FileStore, Kind, MemoryStore, Recording, Throttled, probe_create_race};

fn passes(fresh: &dyn Fn() -> Arc<dyn Store>) {
    match run(fresh, Scale::default()) {
        Ok(passed) => assert_eq!(passed.len(), 10),
        Err(violation) => panic!("{violation}: {:?}", violation.source),
    }
}

#[test]
fn memory_passes() {
    passes(&|| Arc::new(MemoryStore::new()));
}

#[test]
fn file_passes() {
    let dir = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    passes(&|| {
        count.set(count.get() + 1);
        Arc::new(FileStore::new(dir.path().join(count.get().to_string())).unwrap())
    });
}

#[test]
fn decorators_keep_the_contract() {
    passes(&|| {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let store = Arc::new(Recording::new(store));
        let store = Arc::new(Faulty::new(store));
        Arc::new(Throttled::new(store, std::num::NonZeroU64::MAX))
    });
}

#[test]
fn check_then_write_is_caught_by_suite_and_probe() {
    let violation = run(&|| Arc::new(CheckThenWrite::default()), Scale::default()).unwrap_err();
    assert_eq!(violation.check, "race");
    let error = probe_create_race(&CheckThenWrite::default()).unwrap_err();
    assert_eq!(error.kind, Kind::NoConditionalPut);
    assert!(error.is_permanent() && error.source().is_some());
}

#[test]
fn the_probe_cleans_up_and_passes_on_errors() {
    let store = Arc::new(MemoryStore::new());
    probe_create_race(&*store).unwrap();
    assert!(store.snapshot().is_empty());
    let faulty = Faulty::new(store.clone()).with_fault(3, Fault::Fail(Kind::Full));
    assert_eq!(probe_create_race(&faulty).unwrap_err().kind, Kind::Full);
    assert!(store.snapshot().is_empty());
}

#[test]
fn lies_are_caught() {
    for fault in [Fault::FlipBit, Fault::ShortRead, Fault::ListCut, Fault::ListStale] {
        let fresh = || -> Arc<dyn Store> {
            let store = Faulty::new(Arc::new(MemoryStore::new()));
            Arc::new((0..5_000).fold(store, |store, call| store.with_fault(call, fault)))
        };
        assert!(run(&fresh, Scale::default()).is_err(), "{fault:?}");
    }
}
