//! The time, as a value that comes in from outside.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type TimeMs = i64;

/// Where "now" comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> TimeMs + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| jiff::Timestamp::now().as_millisecond())
    }

    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> TimeMs + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> TimeMs {
        (self.0)()
    }

    pub(crate) fn unix(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_millis(self.now_ms().max(0).unsigned_abs()))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.unix())
    }
}

/// The time for people, in UTC.
pub(crate) fn text(time_ms: TimeMs) -> String {
    match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => format!("{time_ms} ms"),
    }
}
