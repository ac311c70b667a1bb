//! Context: what every verb takes from outside: time, randomness, somebody to tell, a folder for the cache.

use std::path::PathBuf;
use std::sync::Arc;

use firn_format::{Clock, Entropy, Progress, Silent, SystemClock, SystemEntropy};

/// The seams of a verb. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Where "now" comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
    /// Who is told how far the work is.
    pub progress: Arc<dyn Progress>,
    /// Where what was seen and folded is remembered; without one every opening starts afresh and no rollback is noticed.
    pub cache_dir: Option<PathBuf>,
}

impl Context {
    /// The machine's clock and randomness, nobody watching, no cache.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            progress: Arc::new(Silent),
            cache_dir: None,
        }
    }

    /// The same with a folder for the cache.
    #[must_use]
    pub fn with_cache_dir(mut self, cache_dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(cache_dir.into());
        self
    }

    /// The same, telling `progress`.
    #[must_use]
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }
}
