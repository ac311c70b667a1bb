//! The golden repository: bytes that an earlier writer made, which every later reader must read.
//!
//! `fixtures/golden-v1` is a repository of format version 1 with two points, made by `make_golden` from seeds; the
//! passphrase is `golden`. `fixtures/golden-v1.json` says what is in it. What is shown here, with one version so far:
//!
//! | | golden data | today's data |
//! |---|---|---|
//! | today's reader | the points read as recorded | all other tests |
//! | today's writer | continues it; makes the same bytes again | all other tests |
//!
//! A format version 2 adds `golden-v2`, a row and a column: this version's reader must refuse it in words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use firn_format::tree::{Entry, TreeReader};
use firn_format::{BlobId, Passphrase, Secret};
use firn_repo::{Context, Keyring, Nodes, Reader, Repository, Session, SessionPlan};
use firn_store::{FileStore, MemoryStore, Store};
use firn_tests::{Portrait, Shot, backup, content, objects, restore, root, scratch};
use serde_json::{Value, json};

mod example;
mod made;
mod reader;
mod spec;

use made::{CLUSTER, make};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn golden_dir() -> PathBuf {
    fixtures().join("golden-v1")
}

/// The objects of the fixture by name.
fn golden() -> BTreeMap<String, Bytes> {
    let store = FileStore::new(golden_dir()).unwrap();
    let mut names = Vec::new();
    store
        .list("", None, &mut |listed| {
            names.push(listed.name);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    names.into_iter().map(|name| (name.clone(), store.get(&name, 1 << 30).unwrap())).collect()
}

/// A copy of the fixture, open.
fn opened() -> (Repository, Keyring) {
    let store = Arc::new(MemoryStore::from_snapshot(golden()));
    let repository = Repository::open(store, Context::system()).unwrap();
    let word = Passphrase::new("golden".into());
    let keyring = firn_repo::unlock(&repository, &Secret::Passphrase(&word)).unwrap();
    (repository, keyring)
}

fn recorded() -> Value {
    serde_json::from_slice(&std::fs::read(fixtures().join("golden-v1.json")).unwrap()).unwrap()
}

/// What the points hold, as `golden-v1.json` records it.
fn record(repository: &Repository, keyring: &Keyring) -> Value {
    let points: Vec<Value> = firn_repo::list_points(repository, keyring)
        .iter()
        .map(|point| {
            let target = scratch();
            let restored = restore(repository, keyring, &point.id, target.path()).unwrap();
            assert_eq!((restored.damaged, restored.exceptions), (0, 0), "{:?}", restored.named);
            let objects = restored.objects.unwrap().into_iter();
            let objects: BTreeMap<_, _> =
                objects.map(|(key, text)| (key.path(), blake3::hash(&text).to_hex().to_string())).collect();
            let summary = point.summary.as_ref().unwrap();
            json!({
                "id": point.id.hex(),
                "cluster": summary.cluster,
                "policy": summary.policy,
                "cut_time_ms": summary.cut_time_ms,
                "objects": objects,
                "entries": entries(target.path()),
            })
        })
        .collect();
    json!({"fingerprint": repository.fingerprint().hex(), "points": points})
}

/// What lies below `dir`: enough to tell every file's content, and what it is. Content is hashed by common tools alike.
fn entries(dir: &Path) -> BTreeMap<String, Value> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    Portrait::of(dir)
        .paths()
        .map(|path| {
            let path = String::from_utf8(path.to_vec()).unwrap();
            let lies = dir.join(&path);
            let meta = lies.symlink_metadata().unwrap();
            let mut told = json!({
                "mode": format!("{:o}", meta.mode() & 0o7777),
                "owner": [meta.uid(), meta.gid()],
                "mtime": [meta.mtime(), meta.mtime_nsec()],
            });
            if meta.is_symlink() {
                told["target"] = json!(std::fs::read_link(&lies).unwrap());
            } else if meta.is_file() {
                let content = std::fs::read(&lies).unwrap();
                told["size"] = json!(content.len());
                told["links"] = json!(meta.nlink());
                told["blake3"] = json!(blake3::hash(&content).to_hex().to_string());
            } else if meta.file_type().is_fifo() {
                told["fifo"] = json!(true);
            }
            (path, told)
        })
        .collect()
}

#[test]
#[ignore = "makes the fixture; once for each version of the format"]
fn make_golden() {
    root();
    let dir = golden_dir();
    assert!(!dir.exists(), "golden data is made once: {} is there", dir.display());
    for (name, bytes) in make() {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let (repository, keyring) = opened();
    let text = serde_json::to_string_pretty(&record(&repository, &keyring)).unwrap();
    std::fs::write(fixtures().join("golden-v1.json"), text + "\n").unwrap();
}

#[test]
fn todays_reader_reads_the_golden_repository() {
    root();
    let (mut repository, keyring) = opened();
    let (recorded, now) = (recorded(), record(&repository, &keyring));
    assert_eq!(recorded["points"].as_array().unwrap().len(), 2);
    assert_eq!(recorded, now);
    let report = firn_repo::check(&mut repository, &keyring, true).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let bytes: usize = golden().values().map(Bytes::len).sum();
    assert!(bytes < 200 << 10, "{bytes}");
    println!("golden: {} objects, {bytes} bytes, {} blobs", golden().len(), report.blobs);
}

/// A change of any byte is a change of the format, or of zstd: then the chunks below are the same and the packs are not.
/// Decide, say it in the changelog, and keep this fixture beside the new one.
#[test]
fn todays_writer_makes_the_golden_repository_again() {
    let (golden, made) = (golden(), make());
    assert_eq!(golden.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
    for (name, bytes) in &golden {
        assert!(made[name] == *bytes, "{name} differs");
    }
}

#[test]
fn todays_capture_cuts_as_the_golden_one() {
    root();
    let (mut repository, keyring) = opened();
    let lineage = keyring.lineage(CLUSTER, "daily");
    let latest = repository.state().latest(&lineage).unwrap().id;
    let target = scratch();
    restore(&repository, &keyring, &latest, target.path()).unwrap();
    let (manifest, reader) = content(&repository, &keyring, &latest).unwrap();
    let golden = tree(&reader, manifest.mount("volumes/shop/data").unwrap().root);
    let plan = SessionPlan { cluster: CLUSTER.into(), lineage, parent: Some(latest) };
    let session = Session::open(&mut repository, &keyring, plan).unwrap();
    let options = firn_agent::CaptureOptions {
        mount: "volumes/shop/data",
        parent: None,
        lanes: 1,
        progress: &firn_format::Silent,
    };
    let captured = firn_agent::capture_volume(session.part(), target.path(), options).unwrap();
    let point = firn_format::Manifest { cut_ms: 1, ..firn_format::Manifest::default() };
    let committed =
        session.commit(&mut repository, &keyring, &point, &|_| firn_repo::Summary::default(), Vec::new()).unwrap();
    // No chunk is new; only nodes are, since inode numbers and times of status changes are others.
    assert!(committed.stats.bytes_stored < 20_000, "{:?}", committed.stats);
    let (_, reader) = content(&repository, &keyring, &committed.point).unwrap();
    let mut again = tree(&reader, captured.root.id);
    for (entry, golden) in again.iter_mut().zip(&golden) {
        let (now, then) = (&mut entry.meta, &golden.meta);
        (now.inode, now.ctime_s, now.ctime_ns) = (then.inode, then.ctime_s, then.ctime_ns);
    }
    assert_eq!(again, golden);
}

#[test]
fn todays_writer_continues_the_golden_repository() {
    root();
    let (mut repository, keyring) = opened();
    let source = scratch();
    std::fs::write(source.path().join("new"), "new").unwrap();
    let objects = objects(&mut firn_tests::Dice::new(1), 3);
    let shot = Shot { tree: source.path(), objects: &objects, policy: "daily", lanes: 2, trusting: false };
    let taken = backup(&mut repository, &keyring, &shot).unwrap();
    let target = scratch();
    assert!(restore(&repository, &keyring, &taken.point, target.path()).unwrap().objects.unwrap() == objects);
    firn_tests::same_tree(source.path(), target.path());
    let mut now = record(&repository, &keyring);
    now["points"].as_array_mut().unwrap().retain(|point| point["id"] != taken.point.hex());
    assert_eq!(now, recorded());
}

fn tree(reader: &Arc<Reader>, root: BlobId) -> Vec<Entry> {
    let mut tree = TreeReader::new(root, Nodes(reader.clone()));
    let mut entries = Vec::new();
    while let Some(entry) = tree.next_entry().unwrap() {
        entries.push(entry.clone());
    }
    entries
}
