//! A store behind a bandwidth limit.

use std::num::NonZeroU64;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Head, Listed, Put, Result, Store};

/// Forwards every call, and lets at most so many bytes a second pass, up and down each, over all threads together.
pub struct Throttled {
    inner: Arc<dyn Store>,
    up: Lane,
    down: Lane,
}

impl Throttled {
    /// Limits `inner` to `bytes_per_second` in each direction.
    pub fn new(inner: Arc<dyn Store>, bytes_per_second: NonZeroU64) -> Self {
        let lane = || Lane { bytes_per_second, free: Mutex::new(None) };
        Self { inner, up: lane(), down: lane() }
    }
}

/// One direction.
struct Lane {
    bytes_per_second: NonZeroU64,
    /// When the bytes let through so far will have passed.
    free: Mutex<Option<Instant>>,
}

impl Lane {
    /// Waits until `bytes` more bytes may have passed.
    fn pass(&self, bytes: u64) {
        let now = Instant::now();
        std::thread::sleep(self.reserve(now, bytes));
    }

    /// How long after `now` the transfer ends. Time in which nothing was sent is not saved up.
    fn reserve(&self, now: Instant, bytes: u64) -> Duration {
        let mut free = self.free.lock();
        let start = free.map_or(now, |free| free.max(now));
        let seconds = bytes as f64 / self.bytes_per_second.get() as f64;
        // A wait too long for the clock is as good as one of a year.
        let transfer = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let end = start.checked_add(transfer.min(Duration::from_secs(365 * 86_400)));
        let end = end.unwrap_or(start);
        *free = Some(end);
        end.saturating_duration_since(now)
    }
}

impl Store for Throttled {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        self.up.pass(bytes.len() as u64);
        self.inner.put_new(name, bytes)
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        let bytes = self.inner.get(name, bytes_max)?;
        self.down.pass(bytes.len() as u64);
        Ok(bytes)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.down.pass(range.end.saturating_sub(range.start));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_queue_up_and_idle_time_is_lost() {
        let lane = Lane { bytes_per_second: NonZeroU64::new(1_000).unwrap(), free: Mutex::new(None) };
        let start = Instant::now();
        assert_eq!(lane.reserve(start, 500), Duration::from_millis(500));
        assert_eq!(lane.reserve(start, 1_000), Duration::from_millis(1_500));
        let later = start + Duration::from_secs(10);
        assert_eq!(lane.reserve(later, 0), Duration::ZERO);
        assert_eq!(lane.reserve(later, 2_000), Duration::from_secs(2));
        assert!(lane.reserve(later, u64::MAX) > Duration::from_secs(86_400));
    }
}
