//! Trees that are made to hurt: too deep, too sparse, too many attributes.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, XattrFlags};

use super::support::{Dice, entry_reason, reason, run, scratch, walk};
use crate::{DEPTH_MAX, Reason, Seen, Source, Stillness};

/// A chain of `levels` directories named `d`, with a file `z` beside every hundredth.
fn chain(root: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir: OwnedFd = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    for level in 0..levels {
        if level % 100 == 0 {
            rustix::fs::openat(&dir, "z", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        }
        rustix::fs::mkdirat(&dir, "d", Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, "d", flags, Mode::empty()).unwrap();
    }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn ten_thousand_levels_are_walked_to_the_limit_with_few_descriptors() {
    let place = scratch();
    let root = place.path().join("chain");
    std::fs::create_dir(&root).unwrap();
    chain(&root, 10_000);
    let (mut directories, mut files, mut exceptions, mut descriptors_max) = (0, 0, Vec::new(), 0);
    for seen in Source::open(&root).unwrap().walk() {
        match seen.unwrap() {
            Seen::Found(found) if found.entry.path.ends_with(b"z") => files += 1,
            Seen::Found(_) => directories += 1,
            Seen::Exception(exception) => exceptions.push(exception),
        }
        if (directories + files) % 64 == 0 {
            descriptors_max = descriptors_max.max(open_descriptors());
        }
    }
    println!("{directories} directories, {files} files, at most {descriptors_max} descriptors");
    assert_eq!(exceptions.len(), 1, "{exceptions:?}");
    assert_eq!(reason(&exceptions, &vec![&b"d"[..]; DEPTH_MAX].join(&b"/"[..])), Reason::TooDeep);
    assert_eq!(directories, 1 + DEPTH_MAX);
    assert_eq!(files, DEPTH_MAX.div_ceil(100));
    assert!(descriptors_max < 600, "{descriptors_max}");
    run("rm", &["-rf", root.to_str().unwrap()]);
}

#[test]
fn a_path_of_more_than_64_kib_is_named() {
    let place = scratch();
    let root = place.path().join("long");
    std::fs::create_dir(&root).unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir: OwnedFd = rustix::fs::openat(CWD, &root, flags, Mode::empty()).unwrap();
    let name = "n".repeat(255);
    for _ in 0..300 {
        rustix::fs::mkdirat(&dir, &*name, Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, &*name, flags, Mode::empty()).unwrap();
    }
    let (found, exceptions) = walk(&Source::open(&root).unwrap());
    assert_eq!((found.len(), exceptions.len()), (257, 1));
    assert_eq!(exceptions[0].reason, Reason::TooDeep);
    assert_eq!(found.last().unwrap().entry.fault(), None);
    run("rm", &["-rf", root.to_str().unwrap()]);
}

#[test]
fn one_tebibyte_of_nothing_costs_nothing() {
    const TIB: u64 = 1 << 40;
    let dir = scratch();
    let file = std::fs::File::create(dir.path().join("sparse")).unwrap();
    file.set_len(TIB).unwrap();
    file.write_all_at(&[7; 4096], TIB / 2).unwrap();
    file.sync_all().unwrap();
    let source = Source::open(dir.path()).unwrap();
    let (found, _) = walk(&source);
    assert_eq!(found[1].entry.size, TIB);
    assert!(found[1].bytes_on_disk < 1 << 20);
    let reader = source.open_file(&found[1]).unwrap();
    let extents: Vec<_> = reader.extents().map(Result::unwrap).collect();
    assert_eq!(
        extents.iter().map(|extent| (extent.offset, extent.len, extent.hole)).collect::<Vec<_>>(),
        [(0, TIB / 2, true), (TIB / 2, 4096, false), (TIB / 2 + 4096, TIB / 2 - 4096, true)]
    );
    assert_eq!(reader.finish().unwrap(), Stillness::Unchanged);
}

#[test]
fn runs_cover_every_file_without_gaps() {
    let dir = scratch();
    let mut dice = Dice::new("runs", 5);
    for round in 0..200 {
        let path = dir.path().join("f");
        let _ = std::fs::remove_file(&path);
        let file = std::fs::File::create(&path).unwrap();
        let mut expected = vec![0; dice.below(300_000) as usize];
        file.set_len(expected.len() as u64).unwrap();
        for _ in 0..dice.below(6) {
            let at = dice.below(expected.len() as u64 + 1) as usize;
            let len = (dice.below(20_000) as usize).min(expected.len() - at);
            let bytes = dice.bytes(len);
            file.write_all_at(&bytes, at as u64).unwrap();
            expected[at..at + len].copy_from_slice(&bytes);
        }
        let source = Source::open(dir.path()).unwrap();
        let (found, _) = walk(&source);
        let reader = source.open_file(&found[1]).unwrap();
        let (mut at, mut content) = (0, vec![0; expected.len()]);
        for extent in reader.extents() {
            let extent = extent.unwrap();
            assert_eq!(extent.offset, at, "round {round}");
            assert!(extent.len > 0);
            at += extent.len;
            if !extent.hole {
                let part = &mut content[extent.offset as usize..at as usize];
                assert_eq!(reader.read_at(part, extent.offset).unwrap() as u64, extent.len);
            }
        }
        assert_eq!(at, expected.len() as u64);
        assert!(content == expected, "round {round}");
    }
}

#[test]
fn a_file_cut_while_its_runs_are_read_ends() {
    let dir = scratch();
    let path = dir.path().join("f");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    for at in 0..64 {
        file.write_all_at(&[1; 4096], at << 24).unwrap();
    }
    let source = Source::open(dir.path()).unwrap();
    let (found, _) = walk(&source);
    let reader = source.open_file(&found[1]).unwrap();
    let mut extents = reader.extents();
    assert!(!extents.next().unwrap().unwrap().hole);
    file.set_len(10).unwrap();
    let rest: Vec<_> = extents.map(Result::unwrap).collect();
    assert!(rest.len() <= 2, "{rest:?}");
    assert_eq!(reader.read_at(&mut [0; 100], 0).unwrap(), 10);
    assert_eq!(reader.finish().unwrap(), Stillness::Changed);
}

#[test]
fn attributes_beyond_the_limit_are_named_and_those_within_come_sorted() {
    // The file system of this machine holds a page or so of attributes a file; a memory file system holds as many as
    // it is given.
    let place = scratch();
    let _mounted = super::support::Mounted::tmpfs(place.path(), "size=64m");
    std::fs::write(place.path().join("f"), "").unwrap();
    let file = std::fs::File::open(place.path().join("f")).unwrap();
    let set = |name: String, len: usize| rustix::fs::fsetxattr(file.as_fd(), name, &vec![1; len], XattrFlags::empty());
    for name in ["trusted.b", "trusted.a", "trusted.c"] {
        set(name.into(), 60_000).unwrap();
    }
    set("trusted.empty".into(), 0).unwrap();
    let source = Source::open(place.path()).unwrap();
    let (found, _) = walk(&source);
    let xattrs = source.read_xattrs(&found[1]).unwrap();
    let sizes: Vec<_> = xattrs.iter().map(|xattr| (&xattr.name[..], xattr.value.len())).collect();
    let expected: [(&[u8], usize); 4] =
        [(b"trusted.a", 60_000), (b"trusted.b", 60_000), (b"trusted.c", 60_000), (b"trusted.empty", 0)];
    assert_eq!(sizes, expected);
    for i in 0..16 {
        set(format!("trusted.big{i}"), 65_000).unwrap();
    }
    assert_eq!(entry_reason(source.read_xattrs(&found[1])), Reason::Xattr);
    assert_eq!(entry_reason(source.open_file(&found[1]).unwrap().xattrs()), Reason::Xattr);
}
