//! Ground for tests: a repository in memory, and points of made-up objects, which is all that log and collection look at.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use firn_format::log::{Commit, SessionOpen};
use firn_format::manifest::{Consistency, Mount, MountKind};
use firn_format::tree::{Entry as TreeEntry, EntryKind, Piece, TreeBuilder};
use firn_format::{
    BlobId, Class, Clock, Hash, ManualClock, ObjectName, Passphrase, PassphraseCost, Payload, PointId, RunId, Secret,
    SeededEntropy, SessionId, Silent, seal_box,
};
use firn_store::{Check, Head, Listed, MemoryStore, Put, Store, put_new_resolved};
use parking_lot::Mutex;

use crate::{Context, CreateOptions, Created, Keyring, Part, RepoError, Repository, Summary, create, unlock};

/// Where the clocks of a test begin.
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;
pub(crate) const CLUSTER: &str = "0a1b";

/// Time and randomness of one test; the store's clock is the same.
pub(crate) struct Ground {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) context: Context,
}

pub(crate) fn passphrase() -> Passphrase {
    Passphrase::new("correct horse".to_owned())
}

pub(crate) fn memory(clock: &Arc<ManualClock>) -> MemoryStore {
    let clock = clock.clone();
    MemoryStore::new().with_clock(move || jiff::Timestamp::from_millisecond(clock.now_ms()).unwrap())
}

impl Ground {
    pub(crate) fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let context = Context {
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(seed)),
            progress: Arc::new(Silent),
            cache_dir: None,
        };
        Self { memory: Arc::new(memory(&clock)), clock, context }
    }

    /// The same ground, with other objects in the store.
    pub(crate) fn with_memory(&self, memory: Arc<MemoryStore>) -> Self {
        Self { clock: self.clock.clone(), memory, context: self.context.clone() }
    }

    pub(crate) fn create_in(&self, store: Arc<dyn Store>) -> Result<Created, RepoError> {
        let options = CreateOptions { cost: PassphraseCost::LEAST, ..CreateOptions::default() };
        create(store, self.context.clone(), &Secret::Passphrase(&passphrase()), &options)
    }

    pub(crate) fn create(&self) -> (Repository, Keyring) {
        let created = self.create_in(self.memory.clone()).unwrap();
        (created.repository, created.keyring)
    }

    pub(crate) fn open(&self) -> Result<Repository, RepoError> {
        Repository::open(self.memory.clone(), self.context.clone())
    }

    pub(crate) fn open_unlocked(&self, store: Arc<dyn Store>) -> Result<(Repository, Keyring), RepoError> {
        let repository = Repository::open(store, self.context.clone())?;
        let keyring = unlock(&repository, &Secret::Passphrase(&passphrase()))?;
        Ok((repository, keyring))
    }
}

type When = Box<dyn Fn(u64, &str) -> bool + Send + Sync>;

/// A store beside which somebody else does something once: right before the first call that fits.
pub(crate) struct Meanwhile {
    inner: Arc<dyn Store>,
    /// Asked with the call's number, from 0, and the name or prefix that it is about.
    when: When,
    act: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    calls: AtomicU64,
}

impl Meanwhile {
    pub(crate) fn new(
        inner: Arc<dyn Store>,
        when: impl Fn(u64, &str) -> bool + Send + Sync + 'static,
        act: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self { inner, when: Box::new(when), act: Mutex::new(Some(Box::new(act))), calls: AtomicU64::new(0) }
    }

    /// Whether it was done.
    pub(crate) fn is_done(&self) -> bool {
        self.act.lock().is_none()
    }

    fn before(&self, name: &str) -> &dyn Store {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut act = self.act.lock();
        if (self.when)(call, name)
            && let Some(act) = act.take()
        {
            act();
        }
        self.inner.as_ref()
    }
}

impl Store for Meanwhile {
    fn put_new(&self, name: &str, bytes: Bytes) -> firn_store::Result<Put> {
        self.before(name).put_new(name, bytes)
    }

    fn get(&self, name: &str, bytes_max: u64) -> firn_store::Result<Bytes> {
        self.before(name).get(name, bytes_max)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> firn_store::Result<Bytes> {
        self.before(name).get_range(name, range)
    }

    fn head(&self, name: &str) -> firn_store::Result<Head> {
        self.before(name).head(name)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        each: &mut dyn FnMut(Listed) -> ControlFlow<()>,
    ) -> firn_store::Result<()> {
        self.before(prefix).list(prefix, after, each)
    }

    fn delete(&self, name: &str) -> firn_store::Result<()> {
        self.before(name).delete(name)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn time(&self) -> firn_store::Result<jiff::Timestamp> {
        self.inner.time()
    }
}

/// Stores a volume of small files in `part`: the mount to put into a manifest.
pub(crate) fn volume(part: &Part, path: &str, files: &[(&str, String)]) -> Mount {
    let (mut lane, keys) = (part.lane().unwrap(), part.writer().keys());
    let mut tree = TreeBuilder::new(keys.node_id_key());
    for (path, content) in files {
        let id = lane.put_chunk(content.as_bytes()).unwrap();
        let mut entry = TreeEntry::new(*path, EntryKind::File);
        entry.size = content.len() as u64;
        entry.content = vec![Piece::Chunk { id, len: content.len() as u32 }];
        tree.push(&entry, &mut lane).unwrap();
    }
    let root = tree.finish(&mut lane).unwrap();
    lane.finish().unwrap();
    let key = keys.key_ref();
    Mount {
        path: path.into(),
        root: root.id,
        domain: key.domain,
        generation: key.generation,
        kind: MountKind::Files,
        consistency: Consistency::Frozen,
        cut_ms: 1,
        stale: false,
        entries: root.entries,
        bytes: root.bytes,
        exceptions: 0,
        method: "walk".into(),
    }
}

/// Stores a made-up object.
pub(crate) fn put_object(repository: &Repository, content: &str) -> Result<ObjectName, RepoError> {
    let bytes = Bytes::from(format!("an object: {content}"));
    let name = ObjectName::of(Class::Data, &bytes);
    put_new_resolved(repository.store().as_ref(), &name.path(), bytes, Check::Bytes)
        .map(|_| name)
        .map_err(|source| RepoError::store("put", source))
}

/// An open session of a test.
pub(crate) struct TestSession {
    pub(crate) open: SessionOpen,
    policy: String,
}

pub(crate) fn open_session(
    repository: &mut Repository,
    keyring: &Keyring,
    policy: &str,
    parent: Option<PointId>,
) -> Result<TestSession, RepoError> {
    let lineage = keyring.lineage(CLUSTER, policy);
    let random = || firn_format::clock::random(repository.context().entropy.as_ref()).unwrap();
    let (session, run) = (SessionId(random()), RunId(random()));
    let open = SessionOpen { session, run, lineage, epoch: repository.state().epoch(&lineage), parent };
    repository.append(&Payload::SessionOpen(open.clone()), keyring.signing_key()?)?;
    Ok(TestSession { open, policy: policy.to_owned() })
}

/// Commits a point that needs exactly `needs`; those that no point has listed were put by the session.
pub(crate) fn commit(
    repository: &mut Repository,
    keyring: &Keyring,
    session: &TestSession,
    needs: &[ObjectName],
    complete: bool,
) -> Result<PointId, RepoError> {
    let keys = keyring.writer_keys(keyring.domain(CLUSTER), 1)?;
    let now_ms = repository.context().clock.now_ms();
    let summary = Summary {
        cluster: CLUSTER.into(),
        cluster_name: "east".into(),
        policy: session.policy.clone(),
        cut_time_ms: now_ms,
        complete,
        ..Summary::default()
    };
    let sealed = seal_box(&summary.encode()?, &keys, repository.context().entropy.as_ref())?;
    let needs: BTreeSet<ObjectName> = needs.iter().copied().collect();
    let open = &session.open;
    let appended = repository.append_with(keyring.signing_key()?, |state| {
        let before: BTreeSet<_> =
            open.parent.map(|parent| state.needs(&parent)).unwrap_or_default().into_iter().collect();
        let fresh = needs.difference(&before);
        let (adds, needs_added) = fresh.copied().partition(|name| !state.listed(name));
        Ok(Some(Payload::Commit(Box::new(Commit {
            session: open.session,
            run: open.run,
            lineage: open.lineage,
            epoch: open.epoch,
            parent: open.parent,
            manifest: BlobId(Hash::of(&sealed).0),
            domain: keys.key_ref().domain,
            generation: 1,
            adds,
            needs_added,
            needs_dropped: before.difference(&needs).copied().collect(),
            peers: Vec::new(),
            summary: sealed.clone(),
            rescues: needs.iter().filter(|name| state.is_candidate(name)).copied().collect(),
            collected_to: state.moved_to(),
        }))))
    })?;
    Ok(appended.unwrap().hash.into())
}

/// A whole backup: session, one object per text of `contents`, point.
pub(crate) fn back_up(
    repository: &mut Repository,
    keyring: &Keyring,
    policy: &str,
    contents: &[&str],
) -> Result<PointId, RepoError> {
    let parent = repository.state().latest(&keyring.lineage(CLUSTER, policy)).map(|point| point.id);
    let session = open_session(repository, keyring, policy, parent)?;
    let needs = contents.iter().map(|content| put_object(repository, content)).collect::<Result<Vec<_>, _>>()?;
    commit(repository, keyring, &session, &needs, true)
}

/// What must hold at any moment: every live point has all that it needs.
pub(crate) fn assert_whole(ground: &Ground) -> Repository {
    let repository = ground.open().unwrap();
    assert_eq!(repository.damage(), None);
    let stored = ground.memory.snapshot();
    for point in repository.state().points() {
        for name in repository.state().needs(&point.id) {
            assert!(stored.contains_key(&name.path()), "{} lacks {name}", point.id);
        }
    }
    repository
}

/// Prints how much a test went through.
#[expect(clippy::print_stdout, reason = "counts of a test are for who runs it")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
