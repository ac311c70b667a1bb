//! Makes a repository with very many points.
//!
//! The log is signed and folded as ever, but written as plain files: appending so many entries one by one, each synced
//! and read back, would take an hour. Packs and index runs exist by name only; opening asks for none of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use firn_format::log::{Checkpoint, Commit, SessionOpen};
use firn_format::{
    BlobId, Class, Entropy, Entry, Hash, ObjectName, Passphrase, Payload, PointId, RunId, Secret, SeededEntropy,
    SessionId, State, TimeMs, Verdict, WriterKeys, clock, name, seal_box,
};
use firn_repo::{Context, CreateOptions, Keyring, Summary};

/// Policies of one cluster.
pub(super) const LINEAGES: u64 = 10;
/// As many entries lie between two checkpoints as when entries are appended one by one.
const ENTRIES_BETWEEN_CHECKPOINTS: u64 = 500;
const CLUSTER: &str = "5f0e7a4c-5d0a-4a3e-9d54-0c5ad1d0f3aa";
const MINUTE_MS: TimeMs = 60_000;
/// The same repository in every run, but for its keys.
const SEED: u64 = 11;

/// What was made.
pub(super) struct Made {
    pub(super) points: u64,
    pub(super) entries: u64,
    pub(super) entries_behind_checkpoint: u64,
    pub(super) checkpoint_bytes: usize,
}

/// What opens it.
pub(super) fn passphrase() -> Passphrase {
    Passphrase::new("benchmark".to_owned())
}

/// Makes a repository in `dir` with at least `points` points, and as long a way from the newest checkpoint to the end of
/// the log as there can be.
pub(super) fn make(dir: &Path, points: u64) -> Result<Made> {
    let mut maker = Maker::new(dir, points)?;
    let longest_tail = ENTRIES_BETWEEN_CHECKPOINTS - 3;
    while maker.points < points || maker.entries_behind_checkpoint() < longest_tail {
        maker.add_point()?;
    }
    Ok(Made {
        points: maker.points,
        entries: maker.state.next_seq() - 1,
        entries_behind_checkpoint: maker.entries_behind_checkpoint(),
        checkpoint_bytes: maker.checkpoint_bytes,
    })
}

struct Maker {
    dir: PathBuf,
    state: State,
    keyring: Keyring,
    keys: WriterKeys,
    entropy: SeededEntropy,
    time_ms: TimeMs,
    points: u64,
    checkpoint_bytes: usize,
}

impl Maker {
    fn new(dir: &Path, points: u64) -> Result<Self> {
        let store = firn_store::open(&format!("file://{}", dir.display()))?;
        let secret = passphrase();
        let created =
            firn_repo::create(store, Context::system(), &Secret::Passphrase(&secret), &CreateOptions::default())?;
        let mut repository = created.repository;
        let keys = repository.writer_keys(&created.keyring, CLUSTER)?;
        Ok(Self {
            dir: dir.to_owned(),
            state: repository.state().clone(),
            keyring: created.keyring,
            keys,
            entropy: SeededEntropy::new(SEED),
            // The newest point is of now.
            time_ms: repository.context().clock.now_ms() - points as TimeMs * MINUTE_MS,
            points: 0,
            checkpoint_bytes: 0,
        })
    }

    fn entries_behind_checkpoint(&self) -> u64 {
        self.state.next_seq() - 1 - self.state.checkpoint_seq()
    }

    /// A minute later another lineage gets a point: it adds a pack of each kind and an index run, and no longer needs the
    /// tree nodes of its parent.
    fn add_point(&mut self) -> Result<()> {
        self.time_ms += MINUTE_MS;
        let policy = format!("every-ten-minutes-{}", self.points % LINEAGES);
        let lineage = self.keyring.lineage(CLUSTER, &policy);
        let (session, run) = (SessionId(self.random()?), RunId(self.random()?));
        let parent = self.state.latest(&lineage).map(|point| point.id);
        let epoch = self.state.epoch(&lineage);
        self.append(Payload::SessionOpen(SessionOpen { session, run, lineage, epoch, parent }))?;
        let names = |class| self.random::<32>().map(|hash| ObjectName { class, hash: Hash(hash), reborn: None });
        let commit = Commit {
            session,
            run,
            lineage,
            epoch,
            parent,
            manifest: BlobId(self.random()?),
            domain: self.keys.key_ref().domain,
            generation: self.keys.key_ref().generation,
            adds: vec![names(Class::Data)?, names(Class::Meta)?, names(Class::Index(session))?],
            needs_added: Vec::new(),
            needs_dropped: self.nodes_of(parent),
            peers: Vec::new(),
            summary: seal_box(&self.summary(policy).encode()?, &self.keys, &self.entropy)?,
            rescues: Vec::new(),
            collected_to: self.state.moved_to(),
        };
        self.append(Payload::Commit(Box::new(commit)))?;
        self.points += 1;
        Ok(())
    }

    fn nodes_of(&self, point: Option<PointId>) -> Vec<ObjectName> {
        let needs = point.map(|point| self.state.needs(&point)).unwrap_or_default();
        needs.into_iter().filter(|name| name.class == Class::Meta).collect()
    }

    fn summary(&self, policy: String) -> Summary {
        Summary {
            cluster: CLUSTER.to_owned(),
            cluster_name: "production-west-europe".to_owned(),
            policy,
            cut_time_ms: self.time_ms,
            complete: true,
            files: 10_000 + self.points,
            bytes: 20 << 30,
            bytes_stored: 100 << 20,
            namespaces: ["shop", "billing", "search"].map(str::to_owned).to_vec(),
            mounts: 20,
            duration_ms: 4_000,
            ..Summary::default()
        }
    }

    fn append(&mut self, payload: Payload) -> Result<()> {
        self.write(payload)?;
        if self.entries_behind_checkpoint() >= ENTRIES_BETWEEN_CHECKPOINTS {
            let object = self.state.to_checkpoint()?;
            let hash = Hash::of(&object);
            self.put(&name::checkpoint_path(self.state.next_seq(), hash), &object)?;
            self.checkpoint_bytes = object.len();
            self.write(Payload::Checkpoint(Checkpoint { hash }))?;
        }
        Ok(())
    }

    fn write(&mut self, payload: Payload) -> Result<()> {
        let key = self.keyring.signing_key()?;
        let entry = Entry {
            store: self.state.store(),
            seq: self.state.next_seq(),
            prev: self.state.head_hash(),
            critical: false,
            term: 0,
            payload,
            time_ms: self.time_ms,
            store_time_ms: Some(self.time_ms),
            signer: key.signer(),
        };
        let bytes = entry.sign(key)?;
        let verdict = self.state.apply(Some(&bytes));
        ensure!(matches!(verdict, Verdict::Applied), "entry {} means nothing: {verdict:?}", entry.seq);
        self.put(&name::log_path(entry.seq), &bytes)
    }

    /// Writes an object where a `file://` store looks for it.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
    }

    fn random<const N: usize>(&self) -> Result<[u8; N]> {
        Ok(clock::random(&self.entropy as &dyn Entropy)?)
    }
}
