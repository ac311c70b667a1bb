//! A store that remembers what was asked of it.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Head, Kind, Listed, Operation, Put, Result, Store};

/// Calls kept in the trace; later ones are only counted. Some 100 MiB at most, and no test needs more.
pub const TRACE_LEN_MAX: usize = 1_000_000;

/// One call, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The verb.
    pub operation: Operation,
    /// The object's name, or the prefix of a list.
    pub name: String,
    /// Bytes sent or received; for a list, its lines.
    pub bytes: u64,
    /// What a put did; `None` for other verbs and failures.
    pub put: Option<Put>,
    /// How it failed, if it did.
    pub error: Option<Kind>,
}

/// Sums over all calls of one verb.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls, failed ones included.
    pub calls: u64,
    /// Failed calls.
    pub errors: u64,
    /// Bytes sent or received; for lists, their lines.
    pub bytes: u64,
}

#[derive(Default)]
struct Record {
    counts: BTreeMap<Operation, Count>,
    trace: Vec<Traced>,
}

/// Forwards every call, counts it by verb, and keeps them in the order in which they ended.
pub struct Recording {
    inner: Arc<dyn Store>,
    record: Mutex<Record>,
}

impl Recording {
    /// Records what is asked of `inner` from now on.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, record: Mutex::default() }
    }

    /// Sums by verb; a verb that was not used is missing.
    pub fn counts(&self) -> BTreeMap<Operation, Count> {
        self.record.lock().counts.clone()
    }

    /// The sums of one verb.
    pub fn count(&self, operation: Operation) -> Count {
        let record = self.record.lock();
        record.counts.get(&operation).copied().unwrap_or_default()
    }

    /// All calls in the order in which they ended, up to `TRACE_LEN_MAX`.
    pub fn trace(&self) -> Vec<Traced> {
        self.record.lock().trace.clone()
    }

    /// Forgets counts and trace.
    pub fn reset(&self) {
        *self.record.lock() = Record::default();
    }

    fn note<T>(
        &self,
        operation: Operation,
        name: &str,
        result: Result<T>,
        bytes: impl FnOnce(&T) -> u64,
        put: Option<Put>,
    ) -> Result<T> {
        let traced = Traced {
            operation,
            name: name.to_owned(),
            bytes: result.as_ref().map_or(0, bytes),
            put,
            error: result.as_ref().err().map(|error| error.kind),
        };
        let mut record = self.record.lock();
        let count = record.counts.entry(operation).or_default();
        count.calls += 1;
        count.errors += u64::from(result.is_err());
        count.bytes += traced.bytes;
        if record.trace.len() < TRACE_LEN_MAX {
            record.trace.push(traced);
        }
        result
    }
}

impl Store for Recording {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        let bytes_sent = bytes.len() as u64;
        let result = self.inner.put_new(name, bytes);
        let put = result.as_ref().ok().copied();
        self.note(Operation::Put, name, result, |_| bytes_sent, put)
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        let result = self.inner.get(name, bytes_max);
        self.note(Operation::Get, name, result, |bytes| bytes.len() as u64, None)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let result = self.inner.get_range(name, range);
        self.note(Operation::GetRange, name, result, |bytes| bytes.len() as u64, None)
    }

    fn head(&self, name: &str) -> Result<Head> {
        let result = self.inner.head(name);
        self.note(Operation::Head, name, result, |_| 0, None)
    }

    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()> {
        let mut lines = 0;
        let result = self.inner.list(prefix, after, &mut |listed| {
            lines += 1;
            each(listed)
        });
        self.note(Operation::List, prefix, result, |()| lines, None)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let result = self.inner.delete(name);
        self.note(Operation::Delete, name, result, |()| 0, None)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn time(&self) -> Result<Timestamp> {
        let result = self.inner.time();
        self.note(Operation::Time, "", result, |_| 0, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn counts_and_trace_say_what_happened() {
        let store = Recording::new(Arc::new(MemoryStore::new()));
        let _ = store.put_new("a", Bytes::from_static(b"123")).unwrap();
        let _ = store.put_new("a", Bytes::from_static(b"12")).unwrap();
        store.get("a", 10).unwrap();
        store.get_range("a", 0..2).unwrap();
        assert!(store.head("b").is_err());
        store.list("", None, &mut |_| ControlFlow::Continue(())).unwrap();
        store.delete("a").unwrap();
        store.time().unwrap();
        let count = |calls, errors, bytes| Count { calls, errors, bytes };
        assert_eq!(store.count(Operation::Put), count(2, 0, 5));
        assert_eq!(store.count(Operation::Get), count(1, 0, 3));
        assert_eq!(store.count(Operation::GetRange), count(1, 0, 2));
        assert_eq!(store.count(Operation::Head), count(1, 1, 0));
        assert_eq!(store.count(Operation::List), count(1, 0, 1));
        assert_eq!(store.counts().len(), 7);
        let trace = store.trace();
        assert_eq!(trace[0].put, Some(Put::Created));
        assert_eq!(trace[1].put, Some(Put::Exists));
        assert_eq!(trace[4].error, Some(Kind::NotFound));
        store.reset();
        assert!(store.trace().is_empty() && store.counts().is_empty());
    }
}
