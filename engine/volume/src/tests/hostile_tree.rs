//! Trees that were made to break out of the target: nothing outside it changes, nothing is silently taken.

use std::path::Path;

use firn_format::tree::{Entry, EntryKind};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::support::{directory_entry, entries, file_entry, portrait, reason, restore, run, scratch, symlink_entry};
use crate::{DEPTH_MAX, Privileges, Reason, Standing, Target};

fn hard_link(path: &str, target: impl Into<Vec<u8>>) -> Entry {
    let mut entry = Entry::new(path, EntryKind::HardLink);
    entry.meta = file_entry(path, 0).meta;
    entry.target = target.into();
    entry
}

/// A directory with a canary in it, beside the target.
fn place(root: &Path) -> Target {
    std::fs::create_dir_all(root.join("outside/inner")).unwrap();
    std::fs::write(root.join("outside/canary"), "canary").unwrap();
    Target::create(&root.join("target"), Privileges::default()).unwrap()
}

#[test]
fn names_that_leave_the_target_are_refused() {
    let root = scratch();
    let target = place(root.path());
    let before = portrait(&root.path().join("outside"));
    for path in ["..", ".", "../outside/canary", "a/../../outside/canary", "/etc/passwd", "//x", "a//b", "a/", "x\0y"] {
        for kind in [EntryKind::Directory, EntryKind::File, EntryKind::Symlink, EntryKind::Fifo] {
            let mut entry = file_entry(path, 3);
            entry.kind = kind;
            entry.target = b"x".to_vec();
            let exceptions = restore(&target, &[entry], b"bad");
            assert!(
                !exceptions.is_empty() && exceptions.iter().all(|exception| exception.reason == Reason::Name),
                "{path}: {exceptions:?}"
            );
        }
        let exceptions = restore(&target, &[hard_link("h", path)], b"");
        assert_eq!(reason(&exceptions, b"h"), Reason::Name, "{path}");
    }
    assert_eq!(reason(&restore(&target, &[file_entry(vec![b'n'; 256], 3)], b"bad"), &[b'n'; 256]), Reason::Name);
    assert_eq!(reason(&restore(&target, &[file_entry("", 3)], b"bad"), b""), Reason::Name);
    assert_eq!(entries(&root.path().join("target")).len(), 1);
    assert_eq!(portrait(&root.path().join("outside")), before);
}

#[test]
fn nothing_is_written_through_a_link_of_the_same_tree() {
    let root = scratch();
    let target = place(root.path());
    let before = portrait(&root.path().join("outside"));
    let tree = [
        directory_entry(""),
        symlink_entry("link", root.path().join("outside").to_str().unwrap()),
        directory_entry("link/dir"),
        file_entry("link/canary", 3),
        file_entry("link/inner/planted", 3),
        directory_entry("link/inner/planted-too"),
        hard_link("stolen", "link/canary"),
        symlink_entry("up", "../outside"),
        file_entry("up/canary", 3),
    ];
    // Twice: the second time the links stand there from the first.
    for _ in 0..2 {
        let exceptions = restore(&target, &tree, b"bad");
        for path in [&b"link/canary"[..], b"link/inner/planted", b"link/inner/planted-too", b"up/canary", b"stolen"] {
            assert!(exceptions.iter().any(|exception| exception.path == path), "{exceptions:?}");
        }
        assert_eq!(portrait(&root.path().join("outside")), before);
    }
    let there = entries(&root.path().join("target"));
    assert_eq!(there.len(), 3, "{there:?}");
    assert_eq!(there[&b"link"[..]].kind, EntryKind::Symlink);
}

#[test]
fn a_file_used_as_a_directory_and_names_given_twice_do_no_harm() {
    let root = scratch();
    let target = place(root.path());
    let tree = [
        file_entry("f", 3),
        file_entry("f/below", 3),
        directory_entry("f/dir"),
        file_entry("twice", 3),
        file_entry("twice", 3),
        directory_entry("both"),
        file_entry("both", 3),
        symlink_entry("s", "one"),
        symlink_entry("s", "two"),
        hard_link("h", "f"),
        hard_link("h", "twice"),
        hard_link("h", "h"),
        hard_link("nowhere", "none"),
        hard_link("directory", "d"),
        directory_entry("d"),
    ];
    let exceptions = restore(&target, &tree, b"abc");
    assert_eq!(reason(&exceptions, b"nowhere"), Reason::NoParent);
    assert_eq!(reason(&exceptions, b"directory"), Reason::Hostile);
    let there = entries(&root.path().join("target"));
    assert_eq!(there[&b"f"[..]].size, 3);
    assert_eq!(there[&b"s"[..]].target, b"two");
    assert!(!there.contains_key(&b"f/below"[..]));
}

#[test]
fn sockets_and_entries_of_other_trees_are_named() {
    let root = scratch();
    let target = place(root.path());
    for (kind, expected) in [
        (EntryKind::Socket, Reason::Socket),
        (EntryKind::Object, Reason::Name),
        (EntryKind::BlockVolume, Reason::Name),
        (EntryKind::CharDevice, Reason::Device),
    ] {
        assert_eq!(reason(&restore(&target, &[Entry::new("x", kind)], b""), b"x"), expected);
    }
}

#[test]
fn a_planted_device_or_fifo_is_not_written_to() {
    let root = scratch();
    let target = place(root.path());
    let at = |name: &str| root.path().join("target").join(name);
    mknodat(CWD, at("device"), FileType::CharacterDevice, Mode::RWXU, makedev(1, 1)).unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let tree = [file_entry("device", 3), file_entry("fifo", 3)];
    for entry in &tree {
        assert_eq!(target.compare(entry).unwrap(), Standing::Different);
        drop(target.update(entry).unwrap());
    }
    assert_eq!(restore(&target, &tree, b"abc"), []);
    assert_eq!(std::fs::read(at("device")).unwrap(), b"abc");
}

#[test]
fn the_deepest_tree_comes_back_and_a_deeper_one_is_refused() {
    let root = scratch();
    let target = place(root.path());
    let path = |levels| vec![&b"d"[..]; levels].join(&b"/"[..]);
    let mut tree: Vec<_> = (1..DEPTH_MAX).map(|levels| directory_entry(path(levels))).collect();
    tree.push(file_entry([&path(DEPTH_MAX - 1)[..], b"/f"].concat(), 3));
    assert_eq!(restore(&target, &tree, b"abc"), []);
    assert_eq!(target.compare(tree.last().unwrap()).unwrap(), Standing::Same);
    let there = entries(&root.path().join("target"));
    assert_eq!(there.len(), DEPTH_MAX + 1);
    assert!(there.values().all(|entry| entry.path.is_empty() || entry.meta.uid == 12_345));
    assert_eq!(restore(&target, &[directory_entry(path(10_000))], b"")[0].reason, Reason::Name);
    run("rm", &["-rf", root.path().join("target").to_str().unwrap()]);
}

#[test]
fn a_mount_in_the_target_is_not_crossed() {
    let root = scratch();
    let target = place(root.path());
    let mounted = root.path().join("target/mounted");
    std::fs::create_dir(&mounted).unwrap();
    let _mount = super::support::Mounted::bind(&root.path().join("outside"), &mounted);
    let before = portrait(&root.path().join("outside"));
    let exceptions = restore(&target, &[directory_entry("mounted"), file_entry("mounted/canary", 3)], b"bad");
    assert!(exceptions.iter().any(|exception| exception.path == b"mounted/canary"), "{exceptions:?}");
    assert!(exceptions.iter().any(|exception| exception.path == b"mounted"), "{exceptions:?}");
    assert_eq!(portrait(&root.path().join("outside")), before);
}
