//! Out and in again: what comes back is what was there.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, makedev, mknodat};

use super::support::{Dice, copy, portrait, reason, scratch};
use crate::{Privileges, Reason};

/// `u::rw-, u:4242:r--, g::r--, m::rw-, o::---` as the kernel stores it.
const ACL: [u8; 44] = [
    2, 0, 0, 0, // version
    1, 0, 6, 0, 255, 255, 255, 255, // user
    2, 0, 4, 0, 0x92, 0x10, 0, 0, // user 4242
    4, 0, 4, 0, 255, 255, 255, 255, // group
    16, 0, 6, 0, 255, 255, 255, 255, // mask
    32, 0, 0, 0, 255, 255, 255, 255, // other
];

/// `cap_net_bind_service=ep`, revision 2.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn set_times(path: &Path, tv_sec: i64, tv_nsec: i64) {
    let times =
        Timestamps { last_access: Timespec { tv_sec: 5, tv_nsec: 5 }, last_modification: Timespec { tv_sec, tv_nsec } };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn own(path: &Path, uid: u32, gid: u32) {
    rustix::fs::chownat(CWD, path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
        .unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()).unwrap();
}

/// One of everything that a volume can hold and that is restored by default.
fn one_of_everything(root: &Path) {
    let at = |name: &str| root.join(name);
    for dir in ["sub", "sub/closed", "sub/sticky", "empty", "acl"] {
        std::fs::create_dir(at(dir)).unwrap();
    }
    std::fs::write(at("sub/closed/file"), "inside").unwrap();
    std::fs::write(at("plain"), "some text").unwrap();
    std::fs::write(at("nothing"), "").unwrap();
    std::fs::write(at("owned"), "mine").unwrap();
    own(&at("owned"), 1001, 2002);
    std::fs::write(at("setuid"), "#!").unwrap();
    own(&at("setuid"), 33, 44);
    set_mode(&at("setuid"), 0o6755);
    std::fs::write(at("none"), "mode 0").unwrap();
    set_mode(&at("none"), 0);
    std::fs::write(at("capable"), "elf").unwrap();
    own(&at("capable"), 7, 8);
    set_xattr(&at("capable"), "security.capability", &CAPABILITY);
    std::fs::write(at("attributes"), "x").unwrap();
    set_xattr(&at("attributes"), "user.note", &[0, 255, 10, 0]);
    set_xattr(&at("attributes"), "user.empty", b"");
    std::fs::write(at("guarded"), "x").unwrap();
    set_mode(&at("guarded"), 0o660);
    set_xattr(&at("guarded"), "system.posix_acl_access", &ACL);
    set_xattr(&at("acl"), "system.posix_acl_default", &ACL);
    set_xattr(&at("acl"), "user.dir", b"directories have them too");
    std::fs::write(at("acl/after"), "made under a default ACL").unwrap();
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    set_mode(&at("fifo"), 0o626);
    own(&at("fifo"), 9, 9);
    symlink("../somewhere/\u{e9}", at("link")).unwrap();
    own(&at("link"), 55, 66);
    std::fs::hard_link(at("plain"), at("sub/again")).unwrap();
    std::fs::hard_link(at("plain"), at("again")).unwrap();
    rustix::fs::linkat(CWD, at("link"), CWD, at("link2"), AtFlags::empty()).unwrap();
    rustix::fs::linkat(CWD, at("fifo"), CWD, at("fifo2"), AtFlags::empty()).unwrap();
    set_times(&at("link"), -2_000_000_000, 999_999_999);
    set_times(&at("plain"), -1, 1);
    set_times(&at("owned"), 5_000_000_000, 123_456_789);
    set_times(&at("sub/closed/file"), 0, 0);
    set_mode(&at("sub/closed"), 0o500);
    set_mode(&at("sub/sticky"), 0o3777);
    own(&at("sub/closed"), 3, 4);
    for (seconds, dir) in ["sub/closed", "sub/sticky", "sub", "empty", "acl", ""].iter().enumerate() {
        set_times(&at(dir), -86_400 * 365 * 10 + seconds as i64, 7);
    }
}

#[test]
fn everything_comes_back_as_it_was() {
    let (from, to) = (scratch(), scratch());
    one_of_everything(from.path());
    assert_eq!(copy(from.path(), to.path(), Privileges::default()), []);
    let (expected, restored) = (portrait(from.path()), portrait(to.path()));
    assert!(expected.len() > 20);
    for (path, entry) in &expected {
        assert_eq!(Some(entry), restored.get(path), "{}", String::from_utf8_lossy(path));
    }
    assert_eq!(expected.len(), restored.len());
    let inode = |name: &str| std::fs::symlink_metadata(to.path().join(name)).unwrap().ino();
    assert_eq!((inode("plain"), inode("plain")), (inode("again"), inode("sub/again")));
    assert_eq!((inode("link"), inode("fifo")), (inode("link2"), inode("fifo2")));
}

#[test]
fn a_second_restore_over_the_first_changes_nothing() {
    let (from, to) = (scratch(), scratch());
    one_of_everything(from.path());
    copy(from.path(), to.path(), Privileges::default());
    assert_eq!(copy(from.path(), to.path(), Privileges::default()), []);
    assert_eq!(portrait(from.path()), portrait(to.path()));
}

#[test]
fn random_trees_come_back() {
    let mut dice = Dice::new("round trips", 77);
    for _ in 0..10 {
        let (from, to) = (scratch(), scratch());
        let mut dirs = vec![from.path().to_path_buf()];
        for number in 0..120 {
            let path = dirs[dice.below(dirs.len() as u64) as usize].join(format!("{number:x}"));
            match dice.below(5) {
                0 => {
                    std::fs::create_dir(&path).unwrap();
                    dirs.push(path.clone());
                }
                1 => symlink("t".repeat(1 + dice.below(4000) as usize), &path).unwrap(),
                2 => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
                _ => {
                    let len = dice.below(100_000) as usize;
                    std::fs::write(&path, dice.bytes(len)).unwrap();
                    set_mode(&path, dice.below(0o10000) as u32);
                }
            }
            own(&path, dice.below(1 << 31) as u32, dice.below(1 << 31) as u32);
            set_times(&path, dice.below(1 << 32) as i64 - (1 << 30), dice.below(1_000_000_000) as i64);
        }
        assert_eq!(copy(from.path(), to.path(), Privileges::default()), []);
        assert!(portrait(from.path()) == portrait(to.path()));
    }
}

#[test]
fn holes_stay_holes() {
    let (from, to) = (scratch(), scratch());
    let sizes = [1 << 40, 1 << 30, 5 << 20, 4097];
    for size in sizes {
        let file = std::fs::File::create(from.path().join(size.to_string())).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(&[9; 4096], (size / 2) & !4095).unwrap();
        file.sync_all().unwrap();
    }
    std::fs::File::create(from.path().join("all hole")).unwrap().set_len(1 << 33).unwrap();
    assert_eq!(copy(from.path(), to.path(), Privileges::default()), []);
    for name in sizes.iter().map(u64::to_string).chain(["all hole".into()]) {
        let of = |dir: &Path| std::fs::metadata(dir.join(&name)).unwrap();
        assert_eq!(of(from.path()).len(), of(to.path()).len());
        assert_eq!(of(from.path()).blocks(), of(to.path()).blocks(), "{name}");
    }
}

#[test]
fn privileged_things_come_back_only_when_asked_for_and_are_named_when_not() {
    let (from, to, all) = (scratch(), scratch(), scratch());
    let at = |name: &str| from.path().join(name);
    mknodat(CWD, at("null"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 3)).unwrap();
    set_mode(&at("null"), 0o666);
    mknodat(CWD, at("disk"), FileType::BlockDevice, Mode::RUSR, makedev(8, 300)).unwrap();
    std::fs::write(at("setuid"), "").unwrap();
    set_mode(&at("setuid"), 0o4755);
    std::fs::write(at("capable"), "").unwrap();
    set_xattr(&at("capable"), "security.capability", &CAPABILITY);
    for name in ["label1", "label2"] {
        std::fs::write(at(name), "").unwrap();
        set_xattr(&at(name), "trusted.label", b"t");
    }
    let none = Privileges { devices: false, set_id: false, capabilities: false, labels: false };
    let exceptions = copy(from.path(), to.path(), none);
    assert_eq!(exceptions.len(), 5, "{exceptions:?}");
    assert_eq!(reason(&exceptions, b"null"), Reason::Device);
    assert_eq!(reason(&exceptions, b"disk"), Reason::Device);
    assert_eq!(reason(&exceptions, b"setuid"), Reason::Privilege);
    assert_eq!(reason(&exceptions, b"capable"), Reason::Privilege);
    assert_eq!(reason(&exceptions, b"label1"), Reason::Privilege);
    assert!(exceptions.iter().any(|exception| exception.detail.contains("2 in all")));
    let restored = portrait(to.path());
    assert_eq!(restored[&b"setuid"[..]].0.meta.mode, 0o755);
    assert_eq!((&restored[&b"capable"[..]].1[..], &restored[&b"label1"[..]].1[..]), (&[][..], &[][..]));
    let everything = Privileges { devices: true, set_id: true, capabilities: true, labels: true };
    assert_eq!(copy(from.path(), all.path(), everything), []);
    assert!(portrait(from.path()) == portrait(all.path()));
}

#[test]
fn nothing_is_inherited_from_where_it_is_restored() {
    let (from, to) = (scratch(), scratch());
    std::fs::create_dir(from.path().join("d")).unwrap();
    std::fs::write(from.path().join("d/f"), "x").unwrap();
    std::fs::write(from.path().join("f"), "x").unwrap();
    own(to.path(), 0, 77);
    set_mode(to.path(), 0o2777);
    set_xattr(to.path(), "system.posix_acl_default", &ACL);
    assert_eq!(copy(from.path(), to.path(), Privileges::default()), []);
    assert!(portrait(from.path()) == portrait(to.path()));
}

#[test]
fn reading_leaves_no_trace() {
    let dir = scratch();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    set_times(&dir.path().join("f"), 1_000_000, 0);
    set_times(dir.path(), 1_000_000, 0);
    portrait(dir.path());
    let file = rustix::fs::openat(CWD, dir.path(), OFlags::PATH, Mode::empty()).unwrap();
    assert_eq!(rustix::fs::fstat(file.as_fd()).unwrap().st_atime, 5);
    assert_eq!(std::fs::metadata(dir.path().join("f")).unwrap().atime(), 5);
}
