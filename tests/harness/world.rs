//! World: a repository in memory, with its keys, its clock and its randomness.

use std::sync::Arc;

use firn_format::{Clock, ManualClock, Passphrase, PassphraseCost, Secret, SeededEntropy, Silent};
use firn_repo::{Context, CreateOptions, Keyring, RepoError, Repository, create};
use firn_store::{MemoryStore, Store};

/// Where a world's clock begins.
pub const NOW_MS: i64 = 1_800_000_000_000;
/// The UID of a world's cluster.
pub const CLUSTER: &str = "5f0c7a4e-cluster";

/// The passphrase of every world.
pub fn passphrase() -> Passphrase {
    Passphrase::new("correct horse".to_owned())
}

/// A repository in memory. Its clock, which is the store's too, moves only when told to.
pub struct World {
    /// The clock.
    pub clock: Arc<ManualClock>,
    /// What repositories are opened with.
    pub context: Context,
    /// Where the objects lie.
    pub memory: Arc<MemoryStore>,
    /// Unlocked with [`passphrase`].
    pub keyring: Keyring,
}

impl World {
    /// A new repository that follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let context = Context {
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(seed)),
            progress: Arc::new(Silent),
            cache_dir: None,
        };
        let memory = Arc::new(ticking(MemoryStore::new(), &clock));
        let options = CreateOptions { cost: PassphraseCost::LEAST, ..CreateOptions::default() };
        let created = create(memory.clone(), context.clone(), &Secret::Passphrase(&passphrase()), &options);
        Self { clock, context, memory, keyring: created.expect("a new repository").keyring }
    }

    /// Opens what lies in `store`.
    pub fn open(&self, store: Arc<dyn Store>) -> Result<Repository, RepoError> {
        Repository::open(store, self.context.clone())
    }

    /// Opens the world's own store.
    pub fn repository(&self) -> Repository {
        self.open(self.memory.clone()).expect("a sound repository")
    }

    /// A store of its own with what the world's holds now.
    pub fn copy(&self) -> Arc<MemoryStore> {
        Arc::new(ticking(MemoryStore::from_snapshot(self.memory.snapshot()), &self.clock))
    }
}

fn ticking(store: MemoryStore, clock: &Arc<ManualClock>) -> MemoryStore {
    let clock = clock.clone();
    store.with_clock(move || jiff::Timestamp::from_millisecond(clock.now_ms()).expect("a time of this age"))
}
