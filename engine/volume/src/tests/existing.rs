//! Onto what stands there already: resumed, compared, overwritten in place, replaced.

use std::os::unix::fs::{FileExt, MetadataExt, symlink};

use firn_format::tree::{Entry, EntryKind};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::support::{directory_entry, entry_reason, file_entry, reason, restore, scratch, symlink_entry};
use crate::{Privileges, Reason, Standing, Target, VolumeError};

#[test]
fn what_was_finished_is_the_same_and_what_was_not_is_different() {
    let dir = scratch();
    let target = Target::create(dir.path(), Privileges::default()).unwrap();
    let mut link = Entry::new("hard", EntryKind::HardLink);
    link.target = b"d/f".to_vec();
    link.meta = file_entry("x", 0).meta;
    let mut fifo = Entry::new("p", EntryKind::Fifo);
    fifo.meta = link.meta;
    let entries =
        [directory_entry("d"), file_entry("d/f", 3), link.clone(), fifo, symlink_entry("s", "to"), file_entry("z", 3)];
    for entry in &entries {
        assert_eq!(target.compare(entry).unwrap(), Standing::Absent);
    }
    assert_eq!(restore(&target, &entries, b"abc"), []);
    for entry in &entries {
        assert_eq!(target.compare(entry).unwrap(), Standing::Same, "{:?}", entry.path);
    }
    let half = target.file(&entries[5]).unwrap();
    half.write_at(b"a", 0).unwrap();
    drop(half);
    assert_eq!(target.compare(&entries[5]).unwrap(), Standing::Different);
    for change in [|e: &mut Entry| e.size = 4, |e: &mut Entry| e.meta.mtime_ns = 1, |e: &mut Entry| e.meta.uid = 1] {
        let mut entry = file_entry("d/f", 3);
        change(&mut entry);
        assert_eq!(target.compare(&entry).unwrap(), Standing::Different);
    }
    assert_eq!(target.compare(&file_entry("d", 3)).unwrap(), Standing::Different);
    assert_eq!(target.compare(&symlink_entry("s", "elsewhere")).unwrap(), Standing::Different);
    link.target = b"z".to_vec();
    assert_eq!(target.compare(&link).unwrap(), Standing::Different);
    assert_eq!(entry_reason(target.compare(&file_entry("../f", 3))), Reason::Name);
}

#[test]
fn a_file_is_updated_in_place_and_only_where_it_differs() {
    const BLOCK: usize = 4096;
    let dir = scratch();
    let target = Target::create(dir.path(), Privileges::default()).unwrap();
    let old: Vec<u8> = (0..8 * BLOCK).map(|i| (i / BLOCK) as u8 + 1).collect();
    let entry = file_entry("f", old.len());
    assert_eq!(restore(&target, std::slice::from_ref(&entry), &old), []);
    let inode = std::fs::metadata(dir.path().join("f")).unwrap().ino();
    // Wanted: block 1 other, blocks 2 and 3 a hole, and 100 bytes less.
    let mut wanted = old[..old.len() - 100].to_vec();
    wanted[BLOCK..2 * BLOCK].fill(99);
    wanted[2 * BLOCK..4 * BLOCK].fill(0);
    let mut entry = file_entry("f", wanted.len());
    entry.meta.mtime_s += 1;
    let writer = target.update(&entry).unwrap();
    assert_eq!(writer.existing_bytes(), wanted.len() as u64);
    let mut written = 0;
    for (number, block) in wanted.chunks(BLOCK).enumerate() {
        let at = (number * BLOCK) as u64;
        let mut there = vec![0; block.len()];
        assert_eq!(writer.read_at(&mut there, at).unwrap(), block.len());
        if block.iter().all(|byte| *byte == 0) {
            writer.punch(at, block.len() as u64).unwrap();
        } else if there != block {
            writer.write_at(block, at).unwrap();
            written += 1;
        }
    }
    assert_eq!(written, 1);
    assert_eq!(writer.finish(&entry).unwrap(), []);
    let file = dir.path().join("f");
    assert!(std::fs::read(&file).unwrap() == wanted);
    let meta = std::fs::metadata(&file).unwrap();
    assert_eq!((meta.ino(), meta.blocks()), (inode, 6 * 8));
    assert_eq!(target.compare(&entry).unwrap(), Standing::Same);
}

#[test]
fn a_file_grows_in_place_to_its_hole_at_the_end() {
    let dir = scratch();
    let target = Target::create(dir.path(), Privileges::default()).unwrap();
    restore(&target, &[file_entry("f", 3)], b"abc");
    let entry = file_entry("f", 1 << 20);
    let writer = target.update(&entry).unwrap();
    assert_eq!(writer.existing_bytes(), 3);
    writer.punch(3, (1 << 20) - 3).unwrap();
    assert_eq!(writer.finish(&entry).unwrap(), []);
    let content = std::fs::read(dir.path().join("f")).unwrap();
    assert!(content.len() == 1 << 20 && content.starts_with(b"abc\0\0"));
}

#[test]
fn files_that_are_unsafe_to_overwrite_are_replaced() {
    let (dir, outside) = (scratch(), scratch());
    let target = Target::create(dir.path(), Privileges::default()).unwrap();
    let canary = outside.path().join("canary");
    std::fs::write(&canary, "canary").unwrap();
    std::fs::hard_link(&canary, dir.path().join("linked")).unwrap();
    symlink(&canary, dir.path().join("symlink")).unwrap();
    mknodat(CWD, dir.path().join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::fs::write(dir.path().join("strangers"), "old").unwrap();
    std::os::unix::fs::chown(dir.path().join("strangers"), Some(5), Some(5)).unwrap();
    std::fs::write(dir.path().join("power"), "old").unwrap();
    // Somebody who holds the old file open must not hold the new set-id file.
    let held = std::fs::File::options().write(true).open(dir.path().join("power")).unwrap();
    for name in ["linked", "symlink", "fifo", "strangers", "power"] {
        let mut entry = file_entry(name, 3);
        if name == "power" {
            entry.meta.mode = 0o4755;
        }
        let writer = target.update(&entry).unwrap();
        assert_eq!(writer.existing_bytes(), 0, "{name}");
        writer.write_at(b"new", 0).unwrap();
        assert_eq!(writer.finish(&entry).unwrap(), []);
    }
    held.write_all_at(b"evil", 0).unwrap();
    for name in ["linked", "symlink", "fifo", "strangers", "power"] {
        assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), b"new");
    }
    assert_eq!(std::fs::read(&canary).unwrap(), b"canary");
    assert_eq!(std::fs::metadata(&canary).unwrap().uid(), 0);
}

#[test]
fn wrong_kinds_make_way_except_directories_with_something_in_them() {
    let dir = scratch();
    let at = |name: &str| dir.path().join(name);
    let target = Target::create(dir.path(), Privileges::default()).unwrap();
    for name in ["file1", "link1", "fifo1", "hard1", "full", "full2"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("full/precious"), "keep").unwrap();
    std::fs::write(at("full2/precious"), "keep").unwrap();
    std::fs::write(at("dir1"), "old").unwrap();
    symlink("/etc", at("dir2")).unwrap();
    symlink("wrong", at("link2")).unwrap();
    mknodat(CWD, at("dir3"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let mut hard = Entry::new("hard1", EntryKind::HardLink);
    hard.target = b"file1".to_vec();
    hard.meta = file_entry("x", 0).meta;
    let mut fifo = Entry::new("fifo1", EntryKind::Fifo);
    fifo.meta = hard.meta;
    let entries = [
        directory_entry("dir1"),
        file_entry("dir1/f", 3),
        directory_entry("dir2"),
        file_entry("dir2/f", 3),
        directory_entry("dir3"),
        fifo,
        file_entry("file1", 3),
        file_entry("full", 3),
        symlink_entry("full2", "x"),
        hard,
        symlink_entry("link1", "to"),
        symlink_entry("link2", "right"),
    ];
    let exceptions = restore(&target, &entries, b"new");
    assert_eq!(exceptions.len(), 2, "{exceptions:?}");
    assert_eq!(reason(&exceptions, b"full"), Reason::Occupied);
    assert_eq!(reason(&exceptions, b"full2"), Reason::Occupied);
    assert_eq!(std::fs::read(at("full/precious")).unwrap(), b"keep");
    for entry in entries.iter().filter(|entry| !entry.path.starts_with(b"full")) {
        assert_eq!(target.compare(entry).unwrap(), Standing::Same, "{:?}", entry.path);
    }
}

#[test]
fn many_threads_write_one_file() {
    let dir = scratch();
    let target = Target::create(dir.path(), Privileges::default()).unwrap();
    let entry = file_entry("f", 1 << 20);
    let writer = target.file(&entry).unwrap();
    std::thread::scope(|scope| {
        for lane in 0..8_u64 {
            let writer = &writer;
            scope.spawn(move || {
                for part in (0..256).filter(|part| part % 8 == lane).rev() {
                    writer.write_at(&[part as u8; 4096], part * 4096).unwrap();
                }
            });
        }
    });
    assert_eq!(entry_reason(writer.write_at(&[1; 2], (1 << 20) - 1)), Reason::Hostile);
    assert_eq!(entry_reason(writer.write_at(&[1; 2], u64::MAX)), Reason::Hostile);
    writer.finish(&entry).unwrap();
    let content = std::fs::read(dir.path().join("f")).unwrap();
    assert!(content.len() == 1 << 20 && content.iter().enumerate().all(|(i, byte)| *byte == (i / 4096) as u8));
}

#[test]
fn a_target_that_is_a_file_is_refused() {
    let dir = scratch();
    std::fs::write(dir.path().join("f"), "").unwrap();
    let error = Target::create(&dir.path().join("f"), Privileges::default()).unwrap_err();
    assert!(matches!(error, VolumeError::Io { .. }), "{error:?}");
    Target::create(&dir.path().join("made/on/the/way"), Privileges::default()).unwrap();
}
