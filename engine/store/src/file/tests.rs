use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn store() -> (tempfile::TempDir, FileStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::new(dir.path().join("deep/root")).unwrap();
    (dir, store)
}

fn names(store: &FileStore, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    store.list(prefix, after, &mut |listed| {
        names.push(listed.name);
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

#[test]
fn modes_are_private_and_stage_is_empty() {
    let (_dir, store) = store();
    let _ = store.put_new("data/ab/x", Bytes::from_static(b"1")).unwrap();
    let mode = |path: &str| store.root.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data/ab/x") & !0o600, 0);
    for folder in ["", "data", "data/ab", ".tmp"] {
        assert_eq!(mode(folder) & !0o700, 0, "{folder}");
    }
    assert_eq!(std::fs::read_dir(store.root.join(".tmp")).unwrap().count(), 0);
}

#[test]
fn leftovers_are_not_listed_and_old_ones_are_swept() {
    let (_dir, store) = store();
    let tmp = store.root.join(".tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    let old = File::create(tmp.join("old")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    File::create(tmp.join("new")).unwrap();
    let _ = store.put_new("a", Bytes::new()).unwrap();
    assert_eq!(names(&store, "", None).unwrap(), ["a"]);
    assert!(!tmp.join("old").exists());
    assert!(tmp.join("new").exists());
}

#[test]
fn names_sort_as_whole_names() {
    let (_dir, store) = store();
    let sorted = ["a-b", "a.b/c", "a/b", "a/c/d", "a0", "b/a"];
    for name in sorted.iter().rev() {
        let _ = store.put_new(name, Bytes::new()).unwrap();
    }
    assert_eq!(names(&store, "", None).unwrap(), sorted);
    for (index, after) in sorted.iter().enumerate() {
        assert_eq!(names(&store, "", Some(after)).unwrap(), sorted[index + 1..]);
    }
    assert_eq!(names(&store, "a/", Some("a/b")).unwrap(), ["a/c/d"]);
    assert_eq!(names(&store, "", Some("a/")).unwrap(), sorted[2..]);
    assert_eq!(names(&store, "none/", None).unwrap(), Vec::<String>::new());
}

#[test]
fn a_missing_store_is_not_an_empty_one() {
    let (_dir, store) = store();
    assert_eq!(names(&store, "", None).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn a_root_that_vanishes_is_not_made_again() {
    let (_dir, store) = store();
    let _ = store.put_new("data/a", Bytes::new()).unwrap();
    std::fs::rename(&store.root, store.root.with_extension("gone")).unwrap();
    let error = store.put_new("data/b", Bytes::new()).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(!store.root.exists());
}

#[test]
fn links_and_fifos_are_no_objects() {
    let (dir, store) = store();
    let _ = store.put_new("data/a", Bytes::new()).unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, b"secret").unwrap();
    symlink(&secret, store.root.join("data/b")).unwrap();
    assert!(store.get("data/b", 100).is_err());
    assert!(store.head("data/b").is_err());
    assert!(store.get_range("data/b", 0..1).is_err());
    assert!(store.put_new("data/b", Bytes::new()).is_err());
    assert!(names(&store, "", None).is_err());
    std::fs::remove_file(store.root.join("data/b")).unwrap();
    let fifo = store.root.join("data/f");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(store.get("data/f", 100).is_err());
    assert!(names(&store, "data/", None).is_err());
}

#[test]
fn files_that_are_not_ours_are_passed_over() {
    let (_dir, store) = store();
    let _ = store.put_new("a", Bytes::new()).unwrap();
    std::fs::create_dir(store.root.join("lost+found")).unwrap();
    std::fs::write(store.root.join(".hidden"), b"").unwrap();
    std::fs::write(store.root.join("with blank"), b"").unwrap();
    assert_eq!(names(&store, "", None).unwrap(), ["a"]);
}

#[test]
fn errnos_have_meaning() {
    use rustix::io::Errno;
    for (errno, kind) in [
        (Errno::NOSPC, Kind::Full),
        (Errno::DQUOT, Kind::Full),
        (Errno::ROFS, Kind::ReadOnly),
        (Errno::ACCESS, Kind::PermissionDenied),
        (Errno::NOENT, Kind::NotFound),
        (Errno::STALE, Kind::Unreachable),
        (Errno::IO, Kind::Other),
    ] {
        assert_eq!(kind_of(&io::Error::from(errno)), kind);
    }
}

#[test]
fn the_clock_is_the_file_systems() {
    let (_dir, store) = store();
    let before = Timestamp::now();
    let time = store.time().unwrap();
    // File systems stamp with a coarse clock that may lag by a tick.
    assert!((time - before).abs().total(jiff::Unit::Second).unwrap() < 3600.0);
}

#[test]
fn relative_paths_are_refused() {
    assert_eq!(FileStore::new("relative").map(|_| ()).unwrap_err().kind, Kind::BadUrl);
}
