//! Two repositories of one family, and how to fill them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use firn_format::log::{Commit, Delete, Fence, GcCommit, GcMark, Head, KeyAction, KeyChange, Moved, SessionOpen};
use firn_format::{
    BlobId, Class, CollectionId, DomainId, Entry, Hash, LineageId, ManualClock, ObjectName, Passphrase, PassphraseCost,
    Payload, PointId, Roles, RunId, Secret, SeededEntropy, SessionId, SigningKey, Silent, name,
};
use firn_replicate::{ReplicateError, ReplicateOptions, Report, replicate};
use firn_repo::{Appended, Context, CreateOptions, Keyring, RepoError, Repository, create};
use firn_store::{MemoryStore, Store};

pub(crate) type Snapshot = BTreeMap<String, Bytes>;

pub(crate) const DAILY: LineageId = LineageId([1; 16]);
pub(crate) const HOURLY: LineageId = LineageId([2; 16]);

pub(crate) const LANES: usize = 3;

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let words = 10 + self.roll() % 100;
        (0..words).flat_map(|_| self.roll().to_le_bytes()).collect()
    }

    pub(crate) fn id<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.roll() as u8)
    }
}

/// A primary, its empty replica, the owner's key, and a key that may only import into the replica.
pub(crate) struct Ground {
    pub(crate) dice: Dice,
    pub(crate) a: Arc<MemoryStore>,
    pub(crate) b: Arc<MemoryStore>,
    pub(crate) keyring: Keyring,
    pub(crate) importer: SigningKey,
}

pub(crate) fn context(seed: u64) -> Context {
    Context {
        clock: Arc::new(ManualClock::at(1_790_000_000_000)),
        entropy: Arc::new(SeededEntropy::new(seed)),
        progress: Arc::new(Silent),
        cache_dir: None,
    }
}

impl Ground {
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let (a, b) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let word = Passphrase::new("granular".into());
        let secret = Secret::Passphrase(&word);
        let options = CreateOptions { cost: PassphraseCost::LEAST, ..CreateOptions::default() };
        let primary = create(a.clone(), context(seed), &secret, &options).unwrap();
        let replica_of = Some((&primary.repository, &primary.keyring));
        let options = CreateOptions { cost: PassphraseCost::LEAST, replica_of, ..CreateOptions::default() };
        create(b.clone(), context(seed + 1), &secret, &options).unwrap();
        let importer = SigningKey::from_seed(&[5; 32]).unwrap();
        let ground = Self { dice: Dice(seed), a, b, keyring: primary.keyring, importer };
        ground.admit_importer(&ground.b);
        ground
    }

    /// One more empty store of the family.
    pub(crate) fn another(&self, seed: u64) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::new());
        let word = Passphrase::new("granular".into());
        let options = CreateOptions {
            cost: PassphraseCost::LEAST,
            replica_of: Some((&open(&self.b), &self.keyring)),
            ..CreateOptions::default()
        };
        // Far from the seeds of A and B: the store's id comes from it.
        create(store.clone(), context(seed + 1_000_000), &Secret::Passphrase(&word), &options).unwrap();
        self.admit_importer(&store);
        store
    }

    fn admit_importer(&self, store: &Arc<MemoryStore>) {
        let admit = KeyChange {
            action: KeyAction::Admit,
            signer: Some(self.importer.signer()),
            roles: Some(Roles::IMPORT),
            label: None,
            domain: None,
            generation: None,
            domain_public: None,
        };
        self.append(store, Payload::Key(admit));
    }

    pub(crate) fn owner(&self) -> &SigningKey {
        self.keyring.signing_key().unwrap()
    }

    /// Commits a point that adds `adds` objects to its parent's, and drops the first `drops` of those.
    pub(crate) fn commit(
        &mut self,
        store: &Arc<MemoryStore>,
        lineage: LineageId,
        adds: usize,
        drops: usize,
    ) -> PointId {
        self.try_commit(store, lineage, adds, drops, &[]).unwrap()
    }

    /// The same, with objects of other points that it needs too.
    pub(crate) fn try_commit(
        &mut self,
        store: &Arc<MemoryStore>,
        lineage: LineageId,
        adds: usize,
        drops: usize,
        others: &[ObjectName],
    ) -> Result<PointId, RepoError> {
        let mut repository = open(store);
        let (session, run) = (SessionId(self.dice.id()), RunId(self.dice.id()));
        let parent = repository.state().latest(&lineage).map(|point| point.id);
        let epoch = repository.state().epoch(&lineage);
        let opened = SessionOpen { session, run, lineage, epoch, parent };
        repository.append(&Payload::SessionOpen(opened), self.owner())?;
        let mut names = Vec::new();
        for n in 0..adds {
            let class = [Class::Data, Class::Meta, Class::Index(session)][n % 3];
            let bytes = self.dice.bytes();
            let name = ObjectName::of(class, &bytes);
            let _created = store.put_new(&name.path(), bytes).unwrap();
            names.push(name);
        }
        let before = parent.map_or(Vec::new(), |parent| repository.state().needs(&parent));
        let commit = Commit {
            session,
            run,
            lineage,
            epoch,
            parent,
            manifest: BlobId(self.dice.id()),
            domain: DomainId([7; 16]),
            generation: 1,
            adds: names,
            needs_added: others.to_vec(),
            needs_dropped: before.into_iter().take(drops).collect(),
            peers: Vec::new(),
            summary: b"sealed".to_vec(),
            rescues: Vec::new(),
            collected_to: repository.state().moved_to(),
        };
        Ok(repository.append(&Payload::Commit(Box::new(commit)), self.owner())?.hash.into())
    }

    pub(crate) fn delete(&self, store: &Arc<MemoryStore>, points: &[PointId]) {
        self.append(store, Payload::Delete(Delete { points: points.to_vec(), reason: String::new() }));
    }

    /// Marks `candidates`.
    pub(crate) fn mark(&self, store: &Arc<MemoryStore>, candidates: &[ObjectName]) {
        self.append(
            store,
            Payload::GcMark(GcMark { collection: CollectionId([1; 16]), candidates: candidates.to_vec() }),
        );
    }

    /// Ends the open collection and deletes what it dropped or moved.
    pub(crate) fn collect(&self, store: &Arc<MemoryStore>, dropped: &[ObjectName], moved: &[Moved]) {
        let collected =
            GcCommit { collection: CollectionId([1; 16]), dropped: dropped.to_vec(), moved: moved.to_vec() };
        self.append(store, Payload::GcCommit(collected));
        for name in dropped.iter().chain(moved.iter().map(|pair| &pair.from)) {
            store.delete(&name.path()).unwrap();
        }
    }

    /// Fences a lineage in `store`, which has seen `basis`.
    pub(crate) fn fence(&self, store: &Arc<MemoryStore>, lineage: LineageId, basis: Vec<Head>) -> Hash {
        let state = open(store);
        let fence = Fence {
            lineages: vec![lineage],
            epochs: vec![state.state().next_epoch(&lineage)],
            basis,
            reason: "test".into(),
            tips: vec![state.state().latest(&lineage).map(|point| point.id)],
            successors: Vec::new(),
        };
        self.append(store, Payload::Fence(fence)).hash
    }

    pub(crate) fn append(&self, store: &Arc<MemoryStore>, payload: Payload) -> Appended {
        open(store).append(&payload, self.owner()).unwrap()
    }

    /// A to B, with the key that may only import.
    pub(crate) fn replicate(&self) -> Report {
        run(self.a.clone(), self.b.clone(), &self.importer).unwrap()
    }
}

pub(crate) fn open(store: &Arc<MemoryStore>) -> Repository {
    Repository::open(store.clone(), context(99)).unwrap()
}

pub(crate) fn run(source: Arc<dyn Store>, target: Arc<dyn Store>, key: &SigningKey) -> Result<Report, ReplicateError> {
    static RUNS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1000);
    let seed = RUNS.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let mut source = Repository::open(source, context(0))?;
    let mut target = Repository::open(target, context(seed))?;
    replicate(&mut source, &mut target, key, &ReplicateOptions { lanes: LANES })
}

/// Every live point has all that it needs, with the right bytes, and what was imported was mirrored before.
pub(crate) fn check_whole(store: &Arc<MemoryStore>) {
    let (repository, objects) = (open(store), store.snapshot());
    assert!(repository.damage().is_none());
    for point in repository.state().points() {
        if let Some((store, seq)) = point.imported_from(repository.state().store()) {
            let mirrored = objects.get(&name::mirror_path(store, seq));
            assert_eq!(mirrored.map(|bytes| Hash::of(bytes)), Some(point.id.into()), "entry {seq} is not mirrored");
        }
        for name in repository.state().needs(&point.id) {
            let bytes = objects.get(&name.path()).unwrap_or_else(|| panic!("point {} lacks {name}", point.seq));
            assert_eq!(Hash::of(bytes), name.hash, "{name}");
        }
    }
}

/// The target has all of the source's own points that it did not delete itself, each with the same bytes at least, and no
/// session of a replication is left open.
pub(crate) fn check_same(source: &Arc<MemoryStore>, target: &Arc<MemoryStore>) {
    check_whole(target);
    let (there, here) = (open(source), open(target));
    let deleted = deleted(&here);
    let own = there.state().points().filter(|point| point.store == there.state().store() && !point.branch);
    for point in own.filter(|point| !deleted.contains(&point.id)) {
        assert!(here.state().point(&point.id).is_some(), "point {} is missing", point.seq);
        if point.collected {
            continue;
        }
        let hashes = |names: Vec<ObjectName>| names.iter().map(|name| name.hash).collect::<Vec<_>>();
        let (want, have) = (hashes(there.state().needs(&point.id)), hashes(here.state().needs(&point.id)));
        assert!(want.iter().all(|hash| have.contains(hash)), "point {} is not whole", point.seq);
    }
    // Those of a writer that was refused build on a point.
    assert!(here.state().sessions().values().all(|open| open.parent.is_some()), "a session is left open");
    let mirror = format!("mirror/{}/", there.state().store());
    let mirrored = target.snapshot().into_iter().filter(|(name, _)| name.starts_with(&mirror));
    for (name, bytes) in mirrored {
        let entry = name.replace(&mirror, "log/");
        assert_eq!(source.snapshot().get(&entry), Some(&bytes), "{name}");
    }
}

/// The points that the log deletes.
fn deleted(repository: &Repository) -> Vec<PointId> {
    let entries = (1..=repository.head().seq).filter_map(|seq| repository.raw_entry(seq).unwrap());
    let payloads = entries.filter_map(|bytes| Entry::open(&bytes).ok()).map(|(entry, _)| entry.payload);
    payloads
        .filter_map(|payload| if let Payload::Delete(delete) = payload { Some(delete.points) } else { None })
        .flatten()
        .collect()
}

/// Whether the name is one of a pack or an index run.
pub(crate) fn is_object(name: &str) -> bool {
    ObjectName::parse(name).is_some()
}
