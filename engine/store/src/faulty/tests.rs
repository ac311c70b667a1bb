use super::*;
use crate::{Check, MemoryStore, put_new_resolved};

fn filled() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for index in 0..10 {
        let _ = store.put_new(&format!("a/{index}"), Bytes::from_static(b"0123456789")).unwrap();
    }
    Arc::new(store)
}

fn list(store: &dyn Store) -> (usize, Result<()>) {
    let mut lines = 0;
    let result = store.list("", None, &mut |_| {
        lines += 1;
        ControlFlow::Continue(())
    });
    (lines, result)
}

#[test]
fn before_and_after_differ_in_effect() {
    let inner = filled();
    let store = Faulty::new(inner.clone())
        .with_fault(0, Fault::Fail(Kind::Full))
        .with_fault(1, Fault::FailAfter(Kind::Ambiguous));
    assert_eq!(store.put_new("b", Bytes::new()).unwrap_err().kind, Kind::Full);
    assert!(inner.head("b").is_err());
    assert_eq!(store.put_new("c", Bytes::new()).unwrap_err().kind, Kind::Ambiguous);
    assert!(inner.head("c").is_ok());
    assert_eq!(store.put_new("b", Bytes::new()).unwrap(), Put::Created);
}

#[test]
fn after_a_crash_nothing_works() {
    for (fault, there) in [(Fault::Crash, false), (Fault::CrashAfter, true)] {
        let inner = filled();
        let store = Faulty::new(inner.clone()).with_fault(1, fault);
        store.head("a/1").unwrap();
        assert!(store.put_new("b", Bytes::new()).unwrap_err().is_permanent());
        assert_eq!(inner.head("b").is_ok(), there);
        assert!(store.is_crashed());
        assert!(store.head("a/1").is_err());
        assert!(store.put_new("c", Bytes::new()).is_err());
        assert!(store.delete("a/1").is_err());
        assert!(store.time().is_err());
        assert!(list(&store).1.is_err());
        assert_eq!(inner.snapshot().len(), 10 + usize::from(there));
        assert_eq!(store.calls(), 7);
    }
}

#[test]
fn reads_can_lie() {
    let store = Faulty::new(filled())
        .with_seed(7, 0)
        .with_fault(0, Fault::FlipBit)
        .with_fault(1, Fault::FlipBit)
        .with_fault(2, Fault::ShortRead);
    let flipped = store.get("a/0", 10).unwrap();
    let bits: u32 = flipped.iter().zip(b"0123456789").map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(bits, 1);
    assert_ne!(store.get_range("a/0", 2..5).unwrap(), "234");
    assert_eq!(store.get("a/0", 10).unwrap(), "01234");
    assert_eq!(store.get("a/0", 10).unwrap(), "0123456789");
}

#[test]
fn lists_can_lie_or_break_off() {
    let inner = filled();
    let store = Faulty::new(inner)
        .with_fault(1, Fault::ListStale)
        .with_fault(2, Fault::ListCut)
        .with_fault(3, Fault::ListFails);
    let _ = store.put_new("b", Bytes::new()).unwrap();
    let (lines, result) = list(&store);
    assert!(lines == 10 && result.is_ok());
    let (lines, result) = list(&store);
    assert!(lines == 5 && result.is_ok());
    let (lines, result) = list(&store);
    assert!(lines == 5 && result.is_err());
    assert_eq!(list(&store).0, 11);
}

#[test]
fn a_seed_replays() {
    let run = |seed| {
        let store = Faulty::new(filled()).with_seed(seed, 300);
        (0..200).map(|_| store.head("a/1").map_err(|e| e.kind).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let failed = run(1).iter().filter(|ok| !**ok).count();
    assert!((30..90).contains(&failed), "{failed}");
}

#[test]
fn resolved_puts_survive_every_honest_fault() {
    for seed in 0..200 {
        let inner = Arc::new(MemoryStore::new());
        let store = Faulty::new(inner.clone()).with_seed(seed, 400);
        for index in 0..20 {
            let name = format!("x/{index}");
            let bytes = Bytes::from(name.clone().into_bytes());
            let result = put_new_resolved(&store, &name, bytes.clone(), Check::Bytes);
            match result {
                Ok(_) => assert_eq!(inner.get(&name, 100).unwrap(), bytes, "seed {seed}"),
                Err(error) => assert!(!error.is_permanent(), "seed {seed}: {error}"),
            }
        }
    }
}

#[test]
fn resolved_puts_tell_other_content() {
    let store = filled();
    let put = |bytes: &'static [u8], check| {
        put_new_resolved(&*store, "a/1", Bytes::from_static(bytes), check).map_err(|e| e.kind)
    };
    assert_eq!(put(b"0123456789", Check::Bytes), Ok(Put::Exists));
    assert_eq!(put(b"abcdefghij", Check::Length), Ok(Put::Exists));
    assert_eq!(put(b"abcdefghij", Check::Bytes), Err(Kind::Differs));
    assert_eq!(put(b"short", Check::Length), Err(Kind::Differs));
}

#[test]
fn a_put_that_stays_unknown_is_reported() {
    let store = (0..20).fold(Faulty::new(Arc::new(MemoryStore::new())), |store, call| {
        store.with_fault(call * 2, Fault::Fail(Kind::Ambiguous))
    });
    let result = put_new_resolved(&store, "a", Bytes::new(), Check::Length);
    assert_eq!(result.unwrap_err().kind, Kind::Ambiguous);
    assert_eq!(store.calls(), 6);
}
