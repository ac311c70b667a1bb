//! How soon a silent peer is known to be dead.

use std::time::Duration;

/// Both sides ask for a sign of life, and end the connection when none comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Between a sign of life and the next question.
    pub interval: Duration,
    /// From a question to giving up.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    /// Sixteen seconds in all, so that a dead peer is noticed within twenty.
    fn default() -> Self {
        Self { interval: Duration::from_secs(8), timeout: Duration::from_secs(8) }
    }
}
