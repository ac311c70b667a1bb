//! Ground: a repository in memory, captures into points of it, restores out of them.

use std::path::Path;
use std::sync::Arc;

use firn_agent::{
    AgentError, CaptureOptions, CapturedVolume, ParentTree, RestoreOptions, RestoredVolume, capture_volume,
    restore_volume,
};
use firn_format::manifest::{Manifest, Mount};
use firn_format::tree::{Entry, TreeBuilder, TreeReader};
use firn_format::{BlobId, Passphrase, PointId, Progress, Secret, Silent, TimeMs};
use firn_repo::{
    Committed, Context, CreateOptions, Keyring, Nodes, Part, ReadKeys, Reader, Repository, Session, SessionPlan,
    Summary,
};
use firn_store::MemoryStore;

/// A parent's cut so late that no file was written near it.
pub(crate) const LONG_AFTER: TimeMs = TimeMs::MAX / 2;

pub(crate) const MOUNT: &str = "volumes/shop/data";

pub(crate) struct Ground {
    pub(crate) repository: Repository,
    pub(crate) keyring: Keyring,
    pub(crate) points: Vec<PointId>,
    /// The newest tree.
    pub(crate) root: Option<BlobId>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let passphrase = Passphrase::new("correct horse".into());
        let store = Arc::new(MemoryStore::new());
        let options = CreateOptions::default();
        let created = firn_repo::create(store, Context::system(), &Secret::Passphrase(&passphrase), &options).unwrap();
        Self { repository: created.repository, keyring: created.keyring, points: Vec::new(), root: None }
    }

    /// A session that goes on from the newest point.
    pub(crate) fn session(&mut self) -> Session {
        let lineage = self.keyring.lineage("cluster", "default");
        let parent = self.repository.state().latest(&lineage).map(|point| point.id);
        let plan = SessionPlan { cluster: "cluster".into(), lineage, parent };
        Session::open(&mut self.repository, &self.keyring, plan).unwrap()
    }

    pub(crate) fn commit(&mut self, session: Session, root: BlobId) -> Result<Committed, firn_repo::RepoError> {
        let key = session.part().writer().keys().key_ref();
        let mount = Mount { path: MOUNT.into(), root, domain: key.domain, generation: key.generation, ..mount() };
        let manifest = Manifest { cut_ms: 1, end_ms: 2, mounts: vec![mount], ..Manifest::default() };
        let summary = |_: &firn_repo::WriteStats| Summary::default();
        let committed = session.commit(&mut self.repository, &self.keyring, &manifest, &summary, Vec::new())?;
        self.points.push(committed.point);
        self.root = Some(root);
        Ok(committed)
    }

    /// Captures `dir` into a point, by differences from the newest, whose cut was at `parent_cut_ms`.
    pub(crate) fn back_up(&mut self, dir: &Path, parent_cut_ms: TimeMs) -> CapturedVolume {
        let session = self.session();
        let captured = capture(session.part(), dir, self.root, parent_cut_ms).unwrap();
        self.commit(session, captured.root.id).unwrap();
        captured
    }

    pub(crate) fn reader(&self) -> Arc<Reader> {
        let keys = self.keyring.domain_keys(self.keyring.domain("cluster"), 1).unwrap();
        Arc::new(Reader::open(&self.repository, ReadKeys::All(keys)).unwrap())
    }

    /// The entries of the newest tree.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut tree = TreeReader::new(self.root.unwrap(), Nodes(self.reader()));
        let mut entries = Vec::new();
        while let Some(entry) = tree.next_entry().unwrap() {
            entries.push(entry.clone());
        }
        entries
    }

    /// A point with a tree of these entries, whose content is known already.
    pub(crate) fn commit_entries(&mut self, entries: &[Entry]) {
        let session = self.session();
        let mut lane = session.part().lane().unwrap();
        let mut tree = TreeBuilder::new(session.part().writer().keys().node_id_key());
        for entry in entries {
            tree.push(entry, &mut lane).unwrap();
        }
        let root = tree.finish(&mut lane).unwrap();
        lane.finish().unwrap();
        drop(lane);
        assert!(firn_agent::carry_tree(session.part(), self.root.unwrap()).unwrap());
        self.commit(session, root.id).unwrap();
    }

    /// Restores what lies below `below` of the newest tree.
    pub(crate) fn restore(&self, below: &str, dir: &Path) -> Result<RestoredVolume, AgentError> {
        let (reader, root) = (self.reader(), self.root.unwrap());
        let privileges = firn_volume::Privileges::default();
        let options = RestoreOptions { mount: MOUNT, below, privileges, threads: 2, room: (0, 0), progress: &Silent };
        restore_volume(&reader, root, dir, options)
    }
}

pub(crate) fn capture(
    part: &Part,
    dir: &Path,
    parent: Option<BlobId>,
    cut_ms: TimeMs,
) -> Result<CapturedVolume, AgentError> {
    capture_watched(part, dir, (parent, cut_ms), &Silent)
}

pub(crate) fn capture_watched(
    part: &Part,
    dir: &Path,
    (parent, cut_ms): (Option<BlobId>, TimeMs),
    progress: &dyn Progress,
) -> Result<CapturedVolume, AgentError> {
    let parent = parent.map(|root| ParentTree { reader: part.reader().clone(), root, cut_ms });
    capture_volume(part, dir, CaptureOptions { mount: MOUNT, parent, lanes: 2, progress })
}

fn mount() -> Mount {
    Mount {
        path: String::new(),
        root: BlobId([0; 32]),
        domain: firn_format::DomainId([0; 16]),
        generation: 1,
        kind: firn_format::manifest::MountKind::Files,
        consistency: firn_format::manifest::Consistency::Live,
        cut_ms: 1,
        stale: false,
        entries: 0,
        bytes: 0,
        exceptions: 0,
        method: String::new(),
    }
}

/// Bytes that neither compress nor repeat.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// A directory on disk: temporary files may lie in memory, where times tell nothing and everything is read again.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}
