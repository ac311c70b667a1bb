//! A directory goes into a repository and comes back, first whole, then by differences.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

use firn_agent::{CaptureOptions, ParentTree, RestoreOptions, capture_volume, restore_volume};
use firn_format::manifest::Manifest;
use firn_format::{Passphrase, Secret, Silent};
use firn_repo::{Context, CreateOptions, Keyring, ReadKeys, Reader, Repository, Session, SessionPlan};
use firn_store::MemoryStore;

fn repository() -> (Repository, Keyring) {
    let passphrase = Passphrase::new("correct horse".into());
    let store = Arc::new(MemoryStore::new());
    let created =
        firn_repo::create(store, Context::system(), &Secret::Passphrase(&passphrase), &CreateOptions::default())
            .unwrap();
    (created.repository, created.keyring)
}

fn plan(keyring: &Keyring, repository: &Repository) -> SessionPlan {
    let lineage = keyring.lineage("cluster", "default");
    let parent = repository.state().latest(&lineage).map(|point| point.id);
    SessionPlan { cluster: "cluster".into(), lineage, parent }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

#[test]
fn a_tree_comes_back_and_the_second_capture_stores_next_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir_all(source.join("a/b")).unwrap();
    for n in 0..300u64 {
        std::fs::write(source.join(format!("a/file-{n}")), noise(n, (n * 37) as usize)).unwrap();
    }
    std::fs::write(source.join("a/b/large"), noise(7, 3_000_000)).unwrap();
    std::fs::write(source.join("empty"), b"").unwrap();
    symlink("a/b/large", source.join("link")).unwrap();
    std::fs::hard_link(source.join("a/file-9"), source.join("z-hard")).unwrap();
    // Times so far back that the next capture may trust them.
    let (mut repository, keyring) = repository();
    let capture = |repository: &mut Repository, parent: Option<(firn_format::BlobId, i64)>| {
        let session = Session::open(repository, &keyring, plan(&keyring, repository)).unwrap();
        let parent = parent.map(|(root, cut_ms)| ParentTree { reader: session.part().reader().clone(), root, cut_ms });
        let options = CaptureOptions { mount: "volumes/shop/data", parent, lanes: 2, progress: &Silent };
        let captured = capture_volume(session.part(), &source, options).unwrap();
        assert_eq!(captured.exceptions, 0, "{:?}", captured.named);
        let manifest = Manifest { cut_ms: 1, end_ms: 2, ..Manifest::default() };
        let committed =
            session.commit(repository, &keyring, &manifest, &|_| firn_repo::Summary::default(), Vec::new()).unwrap();
        (captured.root, committed)
    };
    let (first, committed) = capture(&mut repository, None);
    assert!(committed.stats.bytes_new > 3_000_000);
    let later = i64::MAX / 2;
    let (second, again) = capture(&mut repository, Some((first.id, later)));
    assert_eq!(second.id, first.id, "the same tree is the same node");
    assert!(again.stats.bytes_new < 4096, "{:?}", again.stats);

    let key = keyring.domain("cluster");
    let reader = Arc::new(reader(&mut repository, &keyring, key));
    let target = dir.path().join("target");
    let options = || RestoreOptions {
        mount: "volumes/shop/data",
        below: "",
        privileges: firn_volume::Privileges::default(),
        threads: 2,
        room: (0, 0),
        progress: &Silent,
    };
    let restored = restore_volume(&reader, second.id, &target, options()).unwrap();
    assert_eq!((restored.exceptions, restored.damaged), (0, 0), "{:?}", restored.named);
    same(&source, &target);
    let restored = restore_volume(&reader, second.id, &target, options()).unwrap();
    assert_eq!(restored.files, 0, "everything stood there already");
    std::fs::write(target.join("a/b/large"), noise(7, 2_000_000)).unwrap();
    let restored = restore_volume(&reader, second.id, &target, options()).unwrap();
    assert_eq!(restored.files, 1);
    same(&source, &target);
}

fn reader(repository: &mut Repository, keyring: &Keyring, domain: firn_format::DomainId) -> Reader {
    let keys = keyring.domain_keys(domain, 1).unwrap();
    Reader::open(repository, ReadKeys::All(keys)).unwrap()
}

fn same(a: &Path, b: &Path) {
    let names = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(a), names(b));
    for name in names(a) {
        let (a, b) = (a.join(&name), b.join(&name));
        let (ma, mb) = (a.symlink_metadata().unwrap(), b.symlink_metadata().unwrap());
        assert_eq!(
            (ma.mode(), ma.uid(), ma.mtime(), ma.mtime_nsec()),
            (mb.mode(), mb.uid(), mb.mtime(), mb.mtime_nsec()),
            "{}",
            a.display()
        );
        if ma.is_dir() {
            same(&a, &b);
        } else if ma.is_file() {
            assert_eq!(ma.nlink(), mb.nlink());
            assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(), "{}", a.display());
        } else {
            assert_eq!(std::fs::read_link(&a).unwrap(), std::fs::read_link(&b).unwrap());
        }
    }
}

#[test]
fn files_written_shortly_before_the_cut_are_read_again_however_they_are_cut() {
    // Not where temporary files may lie in memory: there everything is read again.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let database = [b"SQLite format 3\0".as_slice(), &noise(3, 2 << 20)].concat();
    let files = [("orders.sqlite", database), ("0001.index", noise(4, 2 << 20)), ("small", noise(5, 5000))];
    for (name, content) in &files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let all: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    let written_ms = dir.path().join("small").metadata().unwrap().mtime() * 1000;
    let (mut repository, keyring) = repository();
    let mut parent = None;
    let mut read = |cut_ms: i64| {
        let plan = plan(&keyring, &repository);
        let session = Session::open(&mut repository, &keyring, plan).unwrap();
        let tree = parent.map(|root| ParentTree { reader: session.part().reader().clone(), root, cut_ms });
        let options = CaptureOptions { mount: "volumes/shop/data", parent: tree, lanes: 1, progress: &Silent };
        let captured = capture_volume(session.part(), dir.path(), options).unwrap();
        let manifest = Manifest { cut_ms: 1, end_ms: 2, ..Manifest::default() };
        let summary = |_: &firn_repo::WriteStats| firn_repo::Summary::default();
        session.commit(&mut repository, &keyring, &manifest, &summary, Vec::new()).unwrap();
        parent = Some(captured.root.id);
        captured.bytes_read
    };
    assert_eq!(read(0), all);
    assert_eq!(read(written_ms + 30_000), all, "a mapping may have been written to since");
    assert_eq!(read(written_ms + 120_000), 0, "nothing can have been");
}
