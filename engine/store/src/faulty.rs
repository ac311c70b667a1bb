//! A store that fails on purpose, the same way each time.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Head, Kind, Listed, Operation, Put, Result, Store, StoreError};

/// Objects that a stale list does not show yet.
const STALE_LEN: usize = 16;

/// What goes wrong with one call. One that does not apply to the verb (a bit flip in a put) does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and has no effect.
    Fail(Kind),
    /// The call has its effect, and fails.
    FailAfter(Kind),
    /// The process dies before the call: it and every later one fail without effect.
    Crash,
    /// The process dies after the call's effect: it and every later one fail.
    CrashAfter,
    /// A read returns with one bit wrong; which one follows from seed and call number.
    FlipBit,
    /// A read returns half of its bytes as if they were all. The contract forbids it.
    ShortRead,
    /// A list delivers half of its lines, and fails.
    ListFails,
    /// A list delivers half of its lines as if they were all. The contract forbids it.
    ListCut,
    /// A list does not show the 16 objects last created through this decorator. The contract forbids it.
    ListStale,
    /// The call takes this much longer.
    Slow(Duration),
}

/// Forwards every call, except for those that a script or a seed picks to fail. Calls are numbered from 0 in the
/// order in which they arrive; number, seed and script decide everything, so a run of one thread can be replayed.
pub struct Faulty {
    inner: Arc<dyn Store>,
    script: BTreeMap<u64, Fault>,
    seed: u64,
    faults_per_thousand: u64,
    calls: AtomicU64,
    is_crashed: AtomicBool,
    created: Mutex<VecDeque<String>>,
}

impl Faulty {
    /// Forwards everything, until told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            script: BTreeMap::new(),
            seed: 0,
            faults_per_thousand: 0,
            calls: AtomicU64::new(0),
            is_crashed: AtomicBool::new(false),
            created: Mutex::default(),
        }
    }

    /// The same, with `fault` at call number `call`.
    #[must_use]
    pub fn with_fault(mut self, call: u64, fault: Fault) -> Self {
        self.script.insert(call, fault);
        self
    }

    /// The same, with about `faults_per_thousand` of the calls that the script leaves alone failing as an honest
    /// store may fail: unreachable, ambiguous with and without effect, a list that breaks off.
    #[must_use]
    pub fn with_seed(mut self, seed: u64, faults_per_thousand: u64) -> Self {
        self.seed = seed;
        self.faults_per_thousand = faults_per_thousand;
        self
    }

    /// How many calls came so far; those after a crash included.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether a crash point was reached.
    pub fn is_crashed(&self) -> bool {
        self.is_crashed.load(Ordering::SeqCst)
    }

    /// What goes wrong with call number `call`, if it is `operation`.
    pub fn fault_at(&self, call: u64, operation: Operation) -> Option<Fault> {
        if let Some(fault) = self.script.get(&call) {
            return Some(*fault);
        }
        let dice = mix(self.seed, call);
        if dice % 1_000 >= self.faults_per_thousand {
            return None;
        }
        let choice = dice / 1_000 % 3;
        Some(match (operation, choice) {
            (_, 0) => Fault::Fail(Kind::Unreachable),
            (Operation::Put | Operation::Delete, 1) => Fault::Fail(Kind::Ambiguous),
            (Operation::Put | Operation::Delete, _) => Fault::FailAfter(Kind::Ambiguous),
            (Operation::List, _) => Fault::ListFails,
            (Operation::Get | Operation::GetRange, 1) => Fault::Fail(Kind::Short),
            _ => Fault::Fail(Kind::Unreachable),
        })
    }

    fn error(&self, operation: Operation, name: &str, kind: Kind, reason: String) -> StoreError {
        StoreError::new(operation, name, self.describe(), kind).because(reason)
    }

    fn crashed(&self, operation: Operation, name: &str) -> StoreError {
        // `Other` is permanent: whoever died does not try again.
        self.error(operation, name, Kind::Other, "stopped at a crash point".to_owned())
    }

    /// Runs one call with its fault. The call gets those that concern its result, to apply them itself.
    fn call<T>(&self, operation: Operation, name: &str, call: impl FnOnce(Option<Spoil>) -> Result<T>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_crashed() {
            return Err(self.crashed(operation, name));
        }
        let failed = |kind| self.error(operation, name, kind, format!("injected at call {number}"));
        let Some(fault) = self.fault_at(number, operation) else {
            return call(None);
        };
        match fault {
            Fault::Fail(kind) => Err(failed(kind)),
            Fault::FailAfter(kind) => call(None).and(Err(failed(kind))),
            Fault::Crash => {
                self.is_crashed.store(true, Ordering::SeqCst);
                Err(self.crashed(operation, name))
            }
            Fault::CrashAfter => {
                let result = call(None);
                self.is_crashed.store(true, Ordering::SeqCst);
                result.and(Err(self.crashed(operation, name)))
            }
            Fault::Slow(delay) => {
                std::thread::sleep(delay);
                call(None)
            }
            fault => call(Some(Spoil { fault, dice: mix(self.seed, !number) })),
        }
    }

    fn list_spoiled(
        &self,
        prefix: &str,
        after: Option<&str>,
        fault: Fault,
        each: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut lines = Vec::new();
        self.inner.list(prefix, after, &mut |listed| {
            lines.push(listed);
            ControlFlow::Continue(())
        })?;
        match fault {
            Fault::ListStale => {
                let hidden = self.created.lock();
                lines.retain(|listed| !hidden.contains(&listed.name));
            }
            Fault::ListCut | Fault::ListFails => lines.truncate(lines.len() / 2),
            _ => {}
        }
        for listed in lines {
            if each(listed).is_break() {
                return Ok(());
            }
        }
        if fault == Fault::ListFails {
            let reason = "injected in the middle of a list".to_owned();
            return Err(self.error(Operation::List, prefix, Kind::Unreachable, reason));
        }
        Ok(())
    }
}

/// A fault of a call's result, and the number that picks its details.
#[derive(Clone, Copy)]
struct Spoil {
    fault: Fault,
    dice: u64,
}

impl Spoil {
    fn bytes(self, bytes: Bytes) -> Bytes {
        match self.fault {
            Fault::FlipBit if !bytes.is_empty() => {
                let mut bytes = bytes.to_vec();
                let bit = (self.dice % (bytes.len() as u64 * 8)) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
                Bytes::from(bytes)
            }
            Fault::ShortRead => bytes.slice(..bytes.len() / 2),
            _ => bytes,
        }
    }
}

/// Spreads seed and number over 64 bits (SplitMix64's finish).
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Store for Faulty {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        self.call(Operation::Put, name, |_| {
            let put = self.inner.put_new(name, bytes)?;
            if put == Put::Created {
                let mut created = self.created.lock();
                if created.len() == STALE_LEN {
                    created.pop_front();
                }
                created.push_back(name.to_owned());
            }
            Ok(put)
        })
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        self.call(Operation::Get, name, |spoil| {
            let bytes = self.inner.get(name, bytes_max)?;
            Ok(spoil.map_or(bytes.clone(), |spoil| spoil.bytes(bytes)))
        })
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.call(Operation::GetRange, name, |spoil| {
            let bytes = self.inner.get_range(name, range)?;
            Ok(spoil.map_or(bytes.clone(), |spoil| spoil.bytes(bytes)))
        })
    }

    fn head(&self, name: &str) -> Result<Head> {
        self.call(Operation::Head, name, |_| self.inner.head(name))
    }

    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()> {
        self.call(Operation::List, prefix, |spoil| match spoil {
            None => self.inner.list(prefix, after, each),
            Some(spoil) => self.list_spoiled(prefix, after, spoil.fault, each),
        })
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.call(Operation::Delete, name, |_| self.inner.delete(name))
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn time(&self) -> Result<Timestamp> {
        self.call(Operation::Time, "", |_| self.inner.time())
    }
}

#[cfg(test)]
mod tests;
