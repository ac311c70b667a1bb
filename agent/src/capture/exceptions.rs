//! Exceptions of one mount, named up to a limit and counted without one.

use firn_format::{Counter, Exception, Progress};
use parking_lot::Mutex;

/// So many are named; the rest is counted. Ten thousand names are more than a person reads and less than 2 MiB.
const NAMED_MAX: usize = 10_000;

/// Collects exceptions from several threads.
pub(crate) struct Exceptions<'a> {
    mount: &'a str,
    progress: &'a dyn Progress,
    state: Mutex<(u64, Vec<Exception>)>,
}

impl<'a> Exceptions<'a> {
    pub(crate) fn new(mount: &'a str, progress: &'a dyn Progress) -> Self {
        Self { mount, progress, state: Mutex::new((0, Vec::new())) }
    }

    pub(crate) fn volume(&self, exception: &firn_volume::Exception) {
        let path = String::from_utf8_lossy(&exception.path).into_owned();
        self.note(path, exception.reason.word(), exception.detail.clone());
    }

    pub(crate) fn note(&self, path: String, reason: &str, detail: String) {
        self.progress.add(Counter::Exceptions, 1);
        let mut state = self.state.lock();
        state.0 += 1;
        if state.1.len() < NAMED_MAX {
            state.1.push(Exception { path, reason: reason.to_owned(), detail, mount: self.mount.to_owned() });
        }
    }

    /// How many there were, and those that are named, in order of path.
    pub(crate) fn finish(self) -> (u64, Vec<Exception>) {
        let (count, mut named) = self.state.into_inner();
        named.sort_by(|a, b| a.path.cmp(&b.path));
        (count, named)
    }
}
