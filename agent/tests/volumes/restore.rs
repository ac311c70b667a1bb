//! Restores: nothing is taken for right by its looks, and what was not whole is said again.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use firn_agent::AgentError;
use rustix::fs::XattrFlags;

use crate::ground::{Ground, LONG_AFTER, noise, scratch};

#[test]
fn a_path_that_is_not_there_is_an_error_and_makes_nothing() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir_all(source.join("a/b")).unwrap();
    std::fs::write(source.join("a/b/file"), "content").unwrap();
    let mut ground = Ground::new();
    ground.back_up(&source, LONG_AFTER);
    for below in ["c", "a/b/fil", "a/b/file/x", "a/z", "0"] {
        let restored = ground.restore(below, &target);
        assert!(matches!(restored, Err(AgentError::NoSuchPath { .. })), "{below}: {restored:?}");
        assert!(!target.exists());
    }
    assert_eq!(ground.restore("a/b/file", &target).unwrap().files, 1);
}

/// Changes a file in a way that keeps its size and its time.
fn spoil(path: &Path, spoil: impl FnOnce(&std::fs::File)) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    spoil(&file);
    file.set_modified(time).unwrap();
}

#[test]
fn files_that_only_look_right_are_mended_and_the_others_kept() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir(&source).unwrap();
    for name in ["chunks", "attribute", "more-attributes", "right"] {
        std::fs::write(source.join(name), noise(1, 700_000)).unwrap();
    }
    for name in ["small", "small-right"] {
        std::fs::write(source.join(name), noise(2, 3000)).unwrap();
    }
    let sparse = std::fs::File::create_new(source.join("sparse")).unwrap();
    sparse.set_len(3 << 20).unwrap();
    sparse.write_all_at(&noise(3, 4096), 1 << 20).unwrap();
    std::fs::hard_link(source.join("right"), source.join("right-too")).unwrap();
    let set = |path: &Path, value: &[u8]| {
        rustix::fs::setxattr(path, "user.note", value, XattrFlags::empty()).unwrap();
    };
    set(&source.join("attribute"), b"as it was");
    let mut ground = Ground::new();
    ground.back_up(&source, LONG_AFTER);
    assert_eq!(ground.restore("", &target).unwrap().files, 7);
    let inode = |name: &str| target.join(name).metadata().unwrap().ino();
    let before = inode("right");
    spoil(&target.join("chunks"), |file| file.write_all_at(b"x", 300_000).unwrap());
    spoil(&target.join("small"), |file| file.write_all_at(b"x", 3).unwrap());
    spoil(&target.join("sparse"), |file| file.write_all_at(b"x", 2 << 20).unwrap());
    set(&target.join("attribute"), b"as it is");
    set(&target.join("more-attributes"), b"more");
    let restored = ground.restore("", &target).unwrap();
    assert_eq!((restored.files, restored.kept, restored.exceptions), (5, 2, 0), "{:?}", restored.named);
    for name in ["chunks", "attribute", "more-attributes", "right", "right-too", "small", "small-right", "sparse"] {
        let (wanted, there) = (source.join(name), target.join(name));
        assert!(std::fs::read(&wanted).unwrap() == std::fs::read(&there).unwrap(), "{name}");
        let mtime = |path: &Path| path.metadata().unwrap().modified().unwrap();
        assert_eq!(mtime(&wanted), mtime(&there), "{name}");
    }
    let mut value = [0; 64];
    let len = rustix::fs::getxattr(target.join("attribute"), "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..len], b"as it was");
    assert!(rustix::fs::getxattr(target.join("more-attributes"), "user.note", &mut value[..]).is_err());
    assert_eq!((inode("right"), inode("right-too")), (before, before));
    assert_eq!(ground.restore("", &target).unwrap().kept, 7);
}

#[test]
fn what_was_not_whole_when_it_was_captured_is_named_again() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    std::fs::create_dir_all(source.join("unlisted")).unwrap();
    std::fs::write(source.join("attributes"), "content").unwrap();
    std::fs::write(source.join("torn"), "content").unwrap();
    let mut ground = Ground::new();
    ground.back_up(&source, LONG_AFTER);
    let mut entries = ground.entries();
    entries[1].flags.attributes_incomplete = true;
    entries[2].flags.changed = true;
    entries[3].flags.unreadable = true;
    ground.commit_entries(&entries);
    let restored = ground.restore("", &target).unwrap();
    let named: Vec<_> = restored.named.iter().map(|named| (&*named.path, &*named.reason)).collect();
    assert_eq!(named, [("attributes", "xattr"), ("torn", "changed"), ("unlisted", "unreadable")]);
    assert_eq!(restored.files, 2);
}
