use std::sync::Arc;

use firn_format::log::{Hold, Retention};
use firn_format::{Halt, HoldId, Payload, VoidReason};
use firn_store::{Fault, Faulty, Kind as StoreKind, Store};

use super::*;
use crate::Class;
use crate::ground::{Ground, back_up};

fn entry(seconds: u64) -> Payload {
    Payload::Retention(Retention { seconds_min: seconds })
}

#[test]
fn sixteen_committers_at_once_lose_nothing_and_break_nothing() {
    let ground = Ground::new(1);
    ground.create();
    const EACH: u64 = 6;
    let places: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let ground = &ground;
                scope.spawn(move || {
                    let (mut repository, keyring) = ground.open_unlocked(ground.memory.clone()).unwrap();
                    let key = keyring.signing_key().unwrap();
                    (0..EACH).map(|n| repository.append(&entry(thread * 100 + n), key).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut seqs: Vec<_> = places.iter().map(|place| place.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=16 * EACH).collect::<Vec<_>>());
    let repository = ground.open().unwrap();
    assert_eq!(repository.head().seq, 16 * EACH);
    assert_eq!(repository.damage(), None);
    for place in places {
        assert_eq!(Hash::of(&repository.raw_entry(place.seq).unwrap().unwrap()), place.hash);
    }
}

#[test]
fn an_entry_that_would_be_void_is_refused_with_its_reason() {
    let ground = Ground::new(2);
    let (mut repository, keyring) = ground.create();
    let key = keyring.signing_key().unwrap();
    let hold = Payload::Hold(Hold {
        hold: HoldId([1; 16]),
        points: vec![firn_format::PointId([7; 32])],
        reason: "reading".into(),
        until_ms: None,
    });
    let error = repository.append(&hold, key).unwrap_err();
    assert!(matches!(error, RepoError::Refused { what: "HOLD", reason: VoidReason::PointNotLive }), "{error}");
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap();
    let error = repository.append(&entry(1), &stranger).unwrap_err();
    assert!(matches!(error, RepoError::Refused { reason: VoidReason::NotAllowed, .. }), "{error}");
    assert_eq!(repository.head().seq, 0);
}

/// Appends 1, 2, 3 with a fault at one call, then again what is missing, as a person would.
fn append_with_fault(ground: &Ground, call: u64, fault: Fault) -> bool {
    let (base, keyring) = ground.create();
    drop(base);
    let faulty = Arc::new(Faulty::new(ground.memory.clone()).with_fault(call, fault));
    let done = std::cell::Cell::new(0);
    let try_all = |store: Arc<dyn Store>| -> Result<(), RepoError> {
        let mut repository = Repository::open(store, ground.context.clone())?;
        while repository.state().retention_seconds_min() < 3 {
            let next = repository.state().retention_seconds_min() + 1;
            repository.append(&entry(next), keyring.signing_key()?)?;
            // What was acknowledged stays.
            done.set(next);
        }
        Ok(())
    };
    let first = try_all(faulty.clone());
    let reached = faulty.calls() > call;
    let repository = ground.open().unwrap();
    assert_eq!(repository.damage(), None);
    assert!(repository.state().retention_seconds_min() >= done.get(), "call {call}, {fault:?}");
    try_all(ground.memory.clone()).unwrap();
    assert!(first.is_ok() || reached);
    let repository = ground.open().unwrap();
    assert_eq!((repository.state().retention_seconds_min(), repository.head().seq), (3, 3), "call {call}, {fault:?}");
    reached
}

#[test]
fn a_crash_or_an_unclear_answer_at_any_call_neither_loses_nor_repeats() {
    let mut cases = 0;
    let faults = [
        Fault::Crash,
        Fault::CrashAfter,
        Fault::Fail(StoreKind::Ambiguous),
        Fault::FailAfter(StoreKind::Ambiguous),
        Fault::Fail(StoreKind::Unreachable),
    ];
    for fault in faults {
        for call in 0.. {
            let ground = Ground::new(1000 + call);
            if !append_with_fault(&ground, call, fault) {
                break;
            }
            cases += 1;
        }
    }
    crate::ground::say(&format!("{cases} faults"));
    assert!(cases > 100);
}

#[test]
fn a_committer_that_was_away_validates_anew() {
    let ground = Ground::new(4);
    let (mut one, keyring) = ground.create();
    let point = back_up(&mut one, &keyring, "all", &["a"]).unwrap();
    let (mut two, _) = ground.open_unlocked(ground.memory.clone()).unwrap();
    let key = keyring.signing_key().unwrap();
    back_up(&mut one, &keyring, "all", &["a", "b"]).unwrap();
    let delete =
        |reason: &str| Payload::Delete(firn_format::log::Delete { points: vec![point], reason: reason.into() });
    one.append(&delete("one"), key).unwrap();
    assert!(two.state().point(&point).is_some());
    let error = two.append(&delete("two"), key).unwrap_err();
    assert!(matches!(error, RepoError::Refused { reason: VoidReason::PointNotLive, .. }));
    assert!(two.state().point(&point).is_none());
}

#[test]
fn a_checkpoint_comes_every_so_often_and_a_cold_reader_begins_there() {
    let ground = Ground::new(5);
    let (mut repository, keyring) = ground.create();
    let key = keyring.signing_key().unwrap();
    for n in 0..1100 {
        repository.append(&entry(n), key).unwrap();
    }
    let cold = ground.open().unwrap();
    assert_eq!(cold.state().checkpoint_seq(), 1002);
    assert_eq!(cold.head(), repository.head());
    assert_eq!(cold.state().retention_seconds_min(), 1099);
    // With a broken newest checkpoint an older one serves, and without any the entries do.
    for (name, _) in ground.memory.snapshot().into_iter().rev().filter(|(name, _)| name.starts_with("checkpoint/")) {
        ground.memory.overwrite(&name, bytes::Bytes::from_static(b"FIRNCKPT broken"));
        let cold = ground.open().unwrap();
        assert_eq!((cold.head(), cold.damage()), (repository.head(), None));
    }
}

#[test]
fn the_clocks_are_recorded_and_a_difference_is_said() {
    let ground = Ground::new(6);
    ground.create();
    let clock = Arc::new(firn_format::ManualClock::at(crate::ground::NOW_MS + 24 * 3600 * 1000));
    let mut context = ground.context.clone();
    context.clock = clock;
    let mut repository = Repository::open(ground.memory.clone(), context).unwrap();
    let keyring = crate::unlock(&repository, &firn_format::Secret::Passphrase(&crate::ground::passphrase())).unwrap();
    assert_eq!(repository.skew_ms(), Some(24 * 3600 * 1000));
    let place = repository.append(&entry(1), keyring.signing_key().unwrap()).unwrap();
    let (entry, _) = Entry::open(&repository.raw_entry(place.seq).unwrap().unwrap()).unwrap();
    assert_eq!(entry.store_time_ms, Some(crate::ground::NOW_MS));
    assert_eq!(entry.time_ms, crate::ground::NOW_MS + 24 * 3600 * 1000);
}

#[test]
fn a_log_that_asks_for_a_newer_writer_can_be_read_and_not_written() {
    let ground = Ground::new(7);
    let (mut repository, keyring) = ground.create();
    let key = keyring.signing_key().unwrap();
    let upgrade =
        |reader_min| Payload::Upgrade(firn_format::log::Upgrade { reader_min, writer_min: 2, features: Vec::new() });
    repository.append(&upgrade(1), key).unwrap();
    let mut again = ground.open().unwrap();
    let error = again.append(&entry(1), key).unwrap_err();
    assert!(matches!(error, RepoError::Newer { .. }));
    assert_eq!(error.class(), Class::Failed);
    assert!(matches!(again.state().may_append(), Err(Halt::Newer { .. })));
}

#[test]
fn a_log_that_asks_for_a_newer_reader_is_not_opened() {
    let ground = Ground::new(8);
    let (mut repository, keyring) = ground.create();
    let upgrade = Payload::Upgrade(firn_format::log::Upgrade { reader_min: 2, writer_min: 2, features: Vec::new() });
    repository.append(&upgrade, keyring.signing_key().unwrap()).unwrap();
    assert!(matches!(ground.open().err().unwrap(), RepoError::Newer { .. }));
}
