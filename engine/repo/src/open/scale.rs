//! A hundred thousand points, opened cold.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use firn_format::log::{Checkpoint, Commit, SessionOpen};
use firn_format::{
    BlobId, Class, DomainId, Entry, Hash, LineageId, ObjectName, Payload, PointId, RunId, SessionId, SigningKey, State,
    name,
};
use firn_store::{FileStore, Recording};

use crate::ground::{Ground, NOW_MS, say};
use crate::{Context, Repository};

/// Where the child finds what the parent wrote.
const DIR: &str = "FIRN_TEST_SCALE_DIR";

/// The child's cache, if it has one.
const CACHE: &str = "FIRN_TEST_SCALE_CACHE";

/// Writes logs faster than a committer: no waiting, no checks.
struct Scribe<'a> {
    dir: &'a Path,
    key: &'a SigningKey,
    state: State,
}

impl Scribe<'_> {
    fn write(&mut self, payload: Payload) -> Hash {
        let entry = Entry {
            store: self.state.store(),
            seq: self.state.next_seq(),
            prev: self.state.head_hash(),
            critical: false,
            term: 0,
            payload,
            time_ms: NOW_MS,
            store_time_ms: Some(NOW_MS),
            signer: self.key.signer(),
        };
        let bytes = entry.sign(self.key).unwrap();
        fs::write(self.dir.join(name::log_path(entry.seq)), &bytes).unwrap();
        let hash = Hash::of(&bytes);
        let _ = self.state.apply_opened(Ok(&entry), hash, &bytes);
        hash
    }

    fn checkpoint(&mut self) {
        let object = self.state.to_checkpoint().unwrap();
        let hash = Hash::of(&object);
        let path = self.dir.join(name::checkpoint_path(self.state.next_seq(), hash));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, object).unwrap();
        self.write(Payload::Checkpoint(Checkpoint { hash }));
    }
}

/// Ten lineages, each point with a data pack, a metadata pack and an index run of its own, of which it drops the oldest
/// after twenty points.
fn write_points(dir: &Path, key: &SigningKey, state: State, points: u64) -> (u64, u64) {
    let mut scribe = Scribe { dir, key, state };
    fs::create_dir_all(dir.join("log")).unwrap();
    let object =
        |n: u64, class| ObjectName { class, hash: Hash::of(&[n, 77].map(u64::to_le_bytes).concat()), reborn: None };
    let objects = |n: u64, session| {
        vec![object(3 * n, Class::Data), object(3 * n + 1, Class::Meta), object(3 * n + 2, Class::Index(session))]
    };
    let id16 = |n: u64| -> [u8; 16] { Hash::of(&n.to_le_bytes()).0[..16].try_into().unwrap() };
    let mut parents: Vec<Option<PointId>> = vec![None; 10];
    for n in 0..points {
        let which = (n % 10) as usize;
        let (session, run, lineage) = (SessionId(id16(n)), RunId(id16(n)), LineageId([which as u8; 16]));
        let parent = parents[which];
        scribe.write(Payload::SessionOpen(SessionOpen { session, run, lineage, epoch: 0, parent }));
        let dropped = if n >= 200 { objects(n - 200, SessionId(id16(n - 200))) } else { Vec::new() };
        let noise: Vec<u8> = (0..9).flat_map(|part| Hash::of(&[n, part].map(u64::to_le_bytes).concat()).0).collect();
        let commit = Commit {
            session,
            run,
            lineage,
            epoch: 0,
            parent,
            manifest: BlobId(Hash::of(&n.to_le_bytes()).0),
            domain: DomainId([1; 16]),
            generation: 1,
            adds: objects(n, session),
            needs_added: Vec::new(),
            needs_dropped: dropped,
            peers: Vec::new(),
            summary: noise,
            rescues: Vec::new(),
            collected_to: 0,
        };
        parents[which] = Some(scribe.write(Payload::Commit(Box::new(commit))).into());
        if n + 240 == points {
            scribe.checkpoint();
        }
    }
    (scribe.state.next_seq() - 1, scribe.state.points().len() as u64)
}

fn prepare(dir: &Path, points: u64) -> u64 {
    let ground = Ground::new(1);
    let store = Arc::new(FileStore::new(dir).unwrap());
    let created = ground.create_in(store).unwrap();
    let key = created.keyring.signing_key().unwrap();
    let (head, live) = write_points(dir, key, created.repository.state().clone(), points);
    assert_eq!(live, points);
    head
}

fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn open_counted(dir: &Path, context: Context, expected_points: u64) -> u64 {
    let recording = Arc::new(Recording::new(Arc::new(FileStore::new(dir).unwrap())));
    let start = Instant::now();
    let repository = Repository::open(recording.clone(), context).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(repository.damage(), None);
    assert_eq!(repository.state().points().len() as u64, expected_points);
    let requests = recording.counts().values().map(|count| count.calls).sum::<u64>();
    say(&format!("{expected_points} points: {requests} requests, {seconds:.2} s, peak {} MiB", peak_mib()));
    requests
}

#[test]
fn two_thousand_points_open_cold_in_few_requests() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), 2_000);
    assert!(open_counted(dir.path(), Context::system(), 2_000) < 1_000);
}

#[test]
#[ignore = "writes 200 000 files; run by name"]
fn a_hundred_thousand_points_open_cold() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), 100_000);
    let cache = tempfile::tempdir().unwrap();
    // Without a cache, with an empty one, with a full one.
    for cache in [None, Some(&cache), Some(&cache)] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "open::scale::child_opens", "--ignored", "--nocapture"]).env(DIR, dir.path());
        if let Some(cache) = cache {
            child.env(CACHE, cache.path());
        }
        assert!(child.status().unwrap().success());
    }
}

#[test]
#[ignore = "the other half of a_hundred_thousand_points_open_cold, in a process of its own"]
fn child_opens() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let mut context = Context::system();
    context.cache_dir = std::env::var(CACHE).ok().map(Into::into);
    let requests = open_counted(Path::new(&dir), context, 100_000);
    assert!(requests < 1_000);
    assert!(peak_mib() < 256);
}
