//! Progress: the one thing that flows back while work is done.

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
