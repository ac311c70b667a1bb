//! The create race: many writers, one name, one winner.

use std::thread;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::fresh::fresh_token;
use crate::{Kind, Operation, Put, Result, Store, StoreError};

/// Names raced for by the probe: a store that checks and then writes fails the first ones already.
const PROBE_NAMES: usize = 4;
/// Writers per name in the probe: more than a store's front ends that might answer from different states.
const PROBE_WRITERS: usize = 8;

/// Finds out whether the store can create an object only if it is absent, by racing for fresh names below
/// `doctor/`, which are deleted afterwards.
///
/// # Errors
/// `NoConditionalPut` if it cannot: such a store must not be written to. Any other kind if it could not be found out.
pub fn probe_create_race(store: &dyn Store) -> Result<()> {
    let token = fresh_token();
    let names: Vec<_> = (0..PROBE_NAMES).map(|index| format!("doctor/{token}-{index}")).collect();
    let result = names.iter().try_for_each(|name| race(store, name, PROBE_WRITERS));
    for name in &names {
        // What was found out counts more than litter that could not be removed.
        if let Err(error) = store.delete(name) {
            tracing::warn!(%error, "could not remove a probe");
        }
    }
    result
}

/// Lets `writers` threads create `name` at once, each with bytes of its own, and one more call afterwards.
pub(crate) fn race(store: &dyn Store, name: &str, writers: usize) -> Result<()> {
    let outcomes = outcomes(store, name, writers)?;
    let late = store.put_new(name, Bytes::from_static(b"late"));
    let stored = store.get(name, u64::from(u16::MAX))?;
    let refuse = |reason: String| {
        let error = StoreError::new(Operation::Put, name, store.describe(), Kind::NoConditionalPut);
        Err(error.because(reason))
    };
    let mut created = 0;
    let mut is_winners = false;
    for (writer, outcome) in outcomes {
        let is_stored = stored == bytes_of(writer);
        match outcome {
            Ok(Put::Created) => {
                created += 1;
                is_winners |= is_stored;
            }
            Ok(Put::Exists) if is_stored => {
                return refuse("a writer was told that it lost, and its bytes are stored".to_owned());
            }
            Ok(Put::Exists) => {}
            // Its bytes may be the stored ones; then nobody else may have won.
            Err(error) if error.kind == Kind::Ambiguous => {
                created += usize::from(is_stored);
                is_winners |= is_stored;
            }
            Err(error) => return Err(error),
        }
    }
    if created != 1 {
        return refuse(format!("{created} of {writers} writers created the same object"));
    }
    if !is_winners {
        return refuse("the stored bytes are not the winner's".to_owned());
    }
    match late {
        Ok(Put::Exists) => Ok(()),
        Ok(Put::Created) => refuse("an existing object was created again".to_owned()),
        Err(error) if error.kind == Kind::Ambiguous => Ok(()),
        Err(error) => Err(error),
    }
}

fn bytes_of(writer: usize) -> Bytes {
    // Different lengths too, so that a mixture would show.
    Bytes::from(format!("writer {writer} {}", "x".repeat(writer)))
}

fn outcomes(store: &dyn Store, name: &str, writers: usize) -> Result<Vec<(usize, Result<Put>)>> {
    let outcomes = Mutex::new(Vec::new());
    let gate = RwLock::new(());
    thread::scope(|scope| {
        let closed = gate.write();
        for writer in 0..writers {
            let (gate, outcomes) = (&gate, &outcomes);
            thread::Builder::new()
                .name(format!("race-{writer}"))
                .spawn_scoped(scope, move || {
                    drop(gate.read());
                    let outcome = store.put_new(name, bytes_of(writer));
                    outcomes.lock().push((writer, outcome));
                })
                .map_err(|source| {
                    StoreError::new(Operation::Put, name, store.describe(), Kind::Other).because(source)
                })?;
        }
        drop(closed);
        Ok(())
    })?;
    Ok(outcomes.into_inner())
}
