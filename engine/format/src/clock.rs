//! Time and randomness come in as values: the two seams through which they do.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Milliseconds since 1970-01-01T00:00:00Z. Positions in the log decide safety; times are for people and retention.
pub type TimeMs = i64;

/// Where "now" comes from.
///
/// # Contract
/// `now_ms` is wall-clock time and may jump; nothing that is safe may depend on it.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> TimeMs;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> TimeMs {
        jiff::Timestamp::now().as_millisecond()
    }
}

/// A clock that a test sets and moves.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now_ms`.
    pub fn at(now_ms: TimeMs) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Moves by `by_ms`, which may be negative.
    pub fn advance(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> TimeMs {
        self.0.load(Ordering::SeqCst)
    }
}

/// Randomness could not be had; nothing may be sealed.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct EntropyError;

/// Where random bytes come from.
///
/// # Contract
/// Each call fills the whole slice with bytes that nobody can predict, or fails. Salts and session keys depend on it.
pub trait Entropy: Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError>;
}

/// Random bytes as an array.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut out = [0; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(out).map_err(|_| EntropyError)
    }
}

/// A replayable stream from a seed, for tests and golden repositories. Never for real keys.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    calls: AtomicU64,
}

impl SeededEntropy {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, calls: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"firn seeded entropy").update(&self.seed.to_le_bytes()).update(&call.to_le_bytes());
        hasher.finalize_xof().fill(out);
        Ok(())
    }
}
