//! Progress: what flows back while work is done, and the wish to stop, which flows in by the same way.

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counter {
    /// Files, objects or other entries handled.
    Entries,
    /// Bytes read from a volume, or written to one.
    Bytes,
    /// Bytes put into, or copied to, a store.
    StoredBytes,
    /// Entries that could not be handled whole.
    Exceptions,
}

/// Receives progress.
///
/// # Contract
/// Called from many threads, often: it must be cheap, must not block, and must not fail. Totals may be announced late, more
/// than once, or never; without one there is no time left to show.
pub trait Progress: Send + Sync {
    /// A new phase begins, named for people ("reading volumes").
    fn phase(&self, name: &str);
    /// How much `counter` will come to in this phase.
    fn total(&self, counter: Counter, amount: u64);
    /// `amount` more of `counter` is done.
    fn add(&self, counter: Counter, amount: u64);
    /// Something that a person should read now.
    fn note(&self, text: &str);
    /// Whether somebody has asked to stop. It stays so. Work that takes long looks at it between two pieces, begins no
    /// more, brings what is under way to where the next run goes on, and says that it was stopped.
    fn stopping(&self) -> bool {
        false
    }
}

/// Progress that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _: &str) {}
    fn total(&self, _: Counter, _: u64) {}
    fn add(&self, _: Counter, _: u64) {}
    fn note(&self, _: &str) {}
}
