//! Volumes in use: files are replaced, renamed and removed between the walk that finds them and the lane that reads them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use firn_agent::CapturedVolume;
use firn_format::{Counter, Progress};

use crate::ground::{Ground, capture_watched, noise, scratch};

/// Does something when the walk has found so many entries and read none of them.
struct AtEntry<F> {
    entry: usize,
    seen: AtomicUsize,
    act: F,
}

impl<F: Fn() + Send + Sync> Progress for AtEntry<F> {
    fn phase(&self, _: &str) {}
    fn total(&self, _: Counter, _: u64) {}
    fn add(&self, _: Counter, _: u64) {}
    fn note(&self, _: &str) {}

    fn stopping(&self) -> bool {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.entry {
            (self.act)();
        }
        false
    }
}

/// Captures small files, which are read only when the walk is over; `act` happens once it has found all `entries`.
fn back_up(ground: &mut Ground, dir: &Path, entries: usize, act: impl Fn() + Send + Sync) -> CapturedVolume {
    let session = ground.session();
    let progress = AtEntry { entry: entries, seen: AtomicUsize::new(0), act };
    let captured = capture_watched(session.part(), dir, (None, 0), &progress).unwrap();
    ground.commit(session, captured.root.id).unwrap();
    captured
}

#[test]
fn a_file_that_is_replaced_is_read_and_one_that_vanished_is_named_once() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir(&source).unwrap();
    for name in ["gone", "replaced", "still", "turned"] {
        std::fs::write(source.join(name), "old").unwrap();
    }
    std::fs::write(dir.path().join("new"), "new content").unwrap();
    let mut ground = Ground::new();
    let captured = back_up(&mut ground, &source, 5, || {
        std::fs::remove_file(source.join("gone")).unwrap();
        std::fs::rename(dir.path().join("new"), source.join("replaced")).unwrap();
        std::fs::remove_file(source.join("turned")).unwrap();
        std::fs::create_dir(source.join("turned")).unwrap();
    });
    let named: Vec<_> = captured.named.iter().map(|named| (&*named.path, &*named.reason)).collect();
    assert_eq!(named, [("gone", "vanished"), ("turned", "changed")]);
    let restored = ground.restore("", &target).unwrap();
    assert_eq!((restored.files, restored.exceptions), (2, 0), "{:?}", restored.named);
    assert_eq!(std::fs::read(target.join("replaced")).unwrap(), b"new content");
    assert_eq!(std::fs::read(target.join("still")).unwrap(), b"old");
    assert!(!target.join("gone").exists() && !target.join("turned").exists());
}

#[test]
fn a_file_whose_first_name_vanished_is_kept_under_the_others() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a-new"), noise(1, 5000)).unwrap();
    std::fs::write(source.join("b-new"), noise(2, 5000)).unwrap();
    for (new, name) in [("a-new", "x"), ("a-new", "y"), ("b-new", "z")] {
        std::fs::hard_link(source.join(new), source.join(name)).unwrap();
    }
    let mut ground = Ground::new();
    let captured = back_up(&mut ground, &source, 6, || {
        std::fs::remove_file(source.join("a-new")).unwrap();
        // And one whose first name is another file now.
        std::fs::write(dir.path().join("other"), "other").unwrap();
        std::fs::rename(dir.path().join("other"), source.join("b-new")).unwrap();
    });
    assert_eq!(captured.exceptions, 1, "{:?}", captured.named);
    let restored = ground.restore("", &target).unwrap();
    assert_eq!(restored.exceptions, 0, "{:?}", restored.named);
    for (name, content) in [("x", noise(1, 5000)), ("y", noise(1, 5000)), ("z", noise(2, 5000))] {
        assert!(std::fs::read(target.join(name)).unwrap() == content, "{name}");
    }
    assert_eq!(std::fs::read(target.join("b-new")).unwrap(), b"other");
    let inode = |name: &str| target.join(name).metadata().unwrap().ino();
    assert_eq!(inode("x"), inode("y"));
}

#[test]
fn names_of_a_file_that_is_written_to_meanwhile_stay_one_file() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a"), "old").unwrap();
    std::fs::hard_link(source.join("a"), source.join("b")).unwrap();
    let mut ground = Ground::new();
    back_up(&mut ground, &source, 3, || {
        std::fs::write(source.join("a"), "new").unwrap();
        let file = std::fs::File::options().write(true).open(source.join("a")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    });
    let restored = ground.restore("", &target).unwrap();
    assert_eq!(restored.exceptions, 0, "{:?}", restored.named);
    let [a, b] = ["a", "b"].map(|name| target.join(name).metadata().unwrap());
    assert_eq!((a.ino(), a.mtime()), (b.ino(), 1_000_000_000));
    let entries = ground.entries();
    assert_eq!(entries[1].meta, entries[2].meta, "later names repeat the first");
}
