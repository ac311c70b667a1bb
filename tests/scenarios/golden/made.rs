//! Made: the golden repository, from seeds, through the real writer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use firn_agent::ObjectCapture;
use firn_format::chunk::{Chunker, GRID_BYTES, Rule};
use firn_format::manifest::{Consistency, Manifest, Mount, MountKind};
use firn_format::tree::{Entry, EntryKind, FileMapBuilder, Meta, Piece, TreeBuilder, TreeRoot, Xattr};
use firn_format::{Clock, ManualClock, Passphrase, PassphraseCost, Secret, SeededEntropy, Silent};
use firn_repo::{Context, CreateOptions, Created, Keyring, Lane, Repository, Session, SessionPlan, Summary};
use firn_store::MemoryStore;

use super::spec::{self, Body, Item, Run};

pub(super) const CLUSTER: &str = "golden-cluster-uid";
const BEGIN_MS: i64 = 1_767_225_600_000;
const HOUR_MS: i64 = 3_600_000;

/// The objects of the golden repository by name. Always the same bytes.
pub(super) fn make() -> BTreeMap<String, Bytes> {
    let clock = Arc::new(ManualClock::at(BEGIN_MS));
    let context = Context {
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(2026)),
        progress: Arc::new(Silent),
        cache_dir: None,
    };
    let time = clock.clone();
    let store =
        MemoryStore::new().with_clock(move || jiff::Timestamp::from_millisecond(time.now_ms()).expect("a time"));
    let store = Arc::new(store);
    let word = Passphrase::new("golden".into());
    let options = CreateOptions { label: "golden", cost: PassphraseCost::LEAST, ..CreateOptions::default() };
    let created = firn_repo::create(store.clone(), context, &Secret::Passphrase(&word), &options).unwrap();
    let Created { mut repository, keyring, .. } = created;
    for second in [false, true] {
        clock.advance(HOUR_MS);
        take(&mut repository, &keyring, clock.now_ms(), second);
    }
    let mut objects = store.snapshot();
    // What probing the store left behind is no part of a repository.
    objects.retain(|name, _| !name.starts_with("doctor/"));
    objects
}

fn take(repository: &mut Repository, keyring: &Keyring, now_ms: i64, second: bool) {
    let lineage = keyring.lineage(CLUSTER, "daily");
    let parent = repository.state().latest(&lineage).map(|point| point.id);
    let plan = SessionPlan { cluster: CLUSTER.into(), lineage, parent };
    let session = Session::open(repository, keyring, plan).unwrap();
    let mut capture = ObjectCapture::new(session.part(), None, &Silent).unwrap();
    for (key, text) in spec::objects(second) {
        capture.push(&key, &text).unwrap();
    }
    let objects = capture.finish().unwrap().root;
    let volume = volume(&session, &spec::volume(second));
    let key = session.part().writer().keys().key_ref();
    let mount = |path: &str, kind, root: TreeRoot, method: &str| Mount {
        path: path.into(),
        root: root.id,
        domain: key.domain,
        generation: key.generation,
        kind,
        consistency: if kind == MountKind::Files { Consistency::Frozen } else { Consistency::None },
        cut_ms: now_ms,
        stale: false,
        entries: root.entries,
        bytes: root.bytes,
        exceptions: 0,
        method: method.into(),
    };
    let manifest = Manifest {
        cluster_uid: CLUSTER.into(),
        cluster_name: "golden".into(),
        policy: "daily".into(),
        cut_ms: now_ms,
        end_ms: now_ms + 1500,
        mounts: vec![
            mount("objects", MountKind::Objects, objects, "list"),
            mount("volumes/shop/data", MountKind::Files, volume, "walk"),
        ],
        complete: true,
        facts: r#"{"server":"v1.33.0"}"#.into(),
        writer_version: "0.1.0".into(),
        namespaces: vec!["shop".into()],
        ..Manifest::default()
    };
    let summary = |stats: &firn_repo::WriteStats| Summary {
        cluster: CLUSTER.into(),
        cluster_name: "golden".into(),
        policy: "daily".into(),
        cut_time_ms: now_ms,
        complete: true,
        files: volume.entries,
        bytes: volume.bytes + objects.bytes,
        bytes_stored: stats.bytes_stored,
        namespaces: vec!["shop".into()],
        consistency: Consistency::Frozen as u8,
        mounts: 2,
        duration_ms: 1500,
        ..Summary::default()
    };
    session.commit(repository, keyring, &manifest, &summary, Vec::new()).unwrap();
}

/// What a capture would store, with inode numbers and times of status changes that no file system decides.
fn volume(session: &Session, items: &[Item]) -> TreeRoot {
    let mut lane = session.lane().unwrap();
    let chunker = Chunker::new(session.part().writer().keys().chunker());
    let bundle: Vec<u8> = items
        .iter()
        .flat_map(|item| match &item.body {
            Body::Small(bytes) => bytes.as_slice(),
            _ => &[],
        })
        .copied()
        .collect();
    let bundle_id = lane.put_chunk(&bundle).unwrap();
    let mut offset = 0;
    let mut tree = TreeBuilder::new(session.part().writer().keys().node_id_key());
    for (number, item) in (1..).zip(items) {
        let mut entry = entry(item, number);
        if let Body::HardLink(first) = item.body {
            // One file, whatever its name.
            let (number, first) = (1..).zip(items).find(|(_, item)| item.path == first).unwrap();
            entry.meta = meta(first, number);
        }
        match &item.body {
            Body::Small(bytes) => {
                let len = bytes.len() as u32;
                if len > 0 {
                    entry.content = vec![Piece::Slice { id: bundle_id, offset, len }];
                }
                offset += len;
                (entry.size, entry.chunker) = (u64::from(len), Some(Rule::Bundle));
            }
            Body::Cut(bytes) => {
                let mut rest = bytes.as_slice();
                let mut pieces = Vec::new();
                while let Some(len) = chunker.cut(rest, true) {
                    pieces.push(Piece::Chunk { id: lane.put_chunk(&rest[..len]).unwrap(), len: len as u32 });
                    rest = &rest[len..];
                }
                fill(&mut entry, pieces, Rule::MinCdc, &mut lane);
            }
            Body::Grid(runs) => {
                let pieces = runs.iter().flat_map(|run| blocks(run, &mut lane)).collect();
                fill(&mut entry, pieces, Rule::Grid, &mut lane);
            }
            Body::Directory | Body::Symlink(_) | Body::HardLink(_) | Body::Fifo => {}
        }
        tree.push(&entry, &mut lane).unwrap();
    }
    let root = tree.finish(&mut lane).unwrap();
    lane.finish().unwrap();
    root
}

fn blocks(run: &Run, lane: &mut Lane) -> Vec<Piece> {
    match run {
        Run::Hole(len) => vec![Piece::Hole { len: *len }],
        Run::Data(bytes) => bytes
            .chunks(GRID_BYTES)
            .map(|block| Piece::Chunk { id: lane.put_chunk(block).unwrap(), len: block.len() as u32 })
            .collect(),
    }
}

fn fill(entry: &mut Entry, pieces: Vec<Piece>, rule: Rule, lane: &mut Lane) {
    entry.size = pieces.iter().map(Piece::len).sum();
    entry.chunker = Some(rule);
    let mut map = FileMapBuilder::default();
    for piece in pieces {
        map.push(piece, lane).unwrap();
    }
    entry.content = map.finish(lane).unwrap();
}

fn entry(item: &Item, number: u64) -> Entry {
    let kind = match item.body {
        Body::Directory => EntryKind::Directory,
        Body::Symlink(_) => EntryKind::Symlink,
        Body::HardLink(_) => EntryKind::HardLink,
        Body::Fifo => EntryKind::Fifo,
        _ => EntryKind::File,
    };
    let mut entry = Entry::new(item.path, kind);
    if let Body::Symlink(target) | Body::HardLink(target) = item.body {
        entry.target = target.into();
    }
    entry.meta = meta(item, number);
    if item.path == "conf/app.yaml" {
        entry.xattrs = vec![Xattr { name: b"user.origin".to_vec(), value: b"golden".to_vec() }];
    }
    entry
}

fn meta(item: &Item, number: u64) -> Meta {
    Meta {
        mode: item.mode,
        uid: item.owner.0,
        gid: item.owner.1,
        mtime_s: item.mtime.0,
        mtime_ns: item.mtime.1,
        ctime_s: item.mtime.0 + 1,
        ctime_ns: 5,
        inode: number,
    }
}
