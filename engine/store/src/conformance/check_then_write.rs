//! A store that must not be written to: the double that the suite and the probe have to catch.

use std::ops::{ControlFlow, Range};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Head, Listed, MemoryStore, Put, Result, Store};

/// Between the look and the write: long enough for every racing thread to look too.
const GAP: Duration = Duration::from_millis(2);

/// A store whose `put_new` looks first and then overwrites, as one over a protocol without conditional puts would.
#[derive(Default)]
pub struct CheckThenWrite {
    inner: MemoryStore,
}

impl Store for CheckThenWrite {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        match self.inner.head(name) {
            Ok(_) => return Ok(Put::Exists),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        std::thread::sleep(GAP);
        self.inner.overwrite(name, bytes);
        Ok(Put::Created)
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        self.inner.get(name, bytes_max)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.inner.get_range(name, range)
    }

    fn head(&self, name: &str) -> Result<Head> {
        self.inner.head(name)
    }

    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()> {
        self.inner.list(prefix, after, each)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn time(&self) -> Result<Timestamp> {
        self.inner.time()
    }
}
