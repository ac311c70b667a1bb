//! Somebody swaps names under a walk and under a restore that run as root. Nothing outside is read or touched.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use firn_format::tree::{Entry, EntryKind, Xattr};
use rustix::fs::{AtFlags, CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::support::{Dice, directory_entry, file_entry, restore, scratch, symlink_entry};
use crate::beneath::{Beneath, split_name};
use crate::{Privileges, Seen, Source, Target, VolumeError};

/// Swaps that really happened before a test ends.
const SWAPS_MIN: u64 = 20_000;

const SECRET: &[u8] = b"canary: nobody may read or write this";

/// Everything about what must not be touched, times of change included.
fn canary(dir: &Path) -> Vec<(PathBuf, [i64; 9], Vec<u8>)> {
    let mut all = Vec::new();
    for path in [dir.to_path_buf(), dir.join("f0"), dir.join("d0"), dir.join("d0/f0")] {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let numbers =
            [meta.mode().into(), meta.uid().into(), meta.gid().into(), meta.nlink() as i64, meta.size() as i64];
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        let numbers: Vec<i64> = numbers.into_iter().chain(times).collect();
        all.push((path, numbers.try_into().unwrap(), content));
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 2);
    all
}

fn make_canary(dir: &Path) {
    std::fs::create_dir_all(dir.join("d0")).unwrap();
    std::fs::write(dir.join("f0"), SECRET).unwrap();
    std::fs::write(dir.join("d0/f0"), SECRET).unwrap();
}

/// Paths of the tree that is walked or restored: directories `d0`…`d3` in two levels, files `f0`…`f3` in each.
fn paths() -> (Vec<String>, Vec<String>) {
    let mut dirs = vec![];
    for outer in 0..4 {
        dirs.push(format!("d{outer}"));
        dirs.extend((0..4).map(|inner| format!("d{outer}/d{inner}")));
    }
    let files = dirs.iter().flat_map(|dir| (0..4).map(move |file| format!("{dir}/f{file}"))).collect();
    (dirs, files)
}

/// One name in `root` and the decoy in `stage` that it is exchanged with: a link to what is outside.
struct Swap {
    path: Vec<u8>,
    decoy: PathBuf,
    end: PathBuf,
}

impl Swap {
    /// Exchanges, replaces or removes the name; a second exchange puts back what was there. The attacker is a tenant
    /// who cannot leave the volume either: it reaches the name's directory without following links.
    fn happen(&self, root: &Beneath, how: u64) -> Result<(), Errno> {
        if std::fs::symlink_metadata(&self.decoy).is_err() {
            symlink(&self.end, &self.decoy).unwrap();
        }
        let (dir, name) = split_name(&self.path);
        let dir = root.open_dir(dir)?;
        match how {
            0 => rustix::fs::renameat(CWD, &self.decoy, &dir, name),
            1 => {
                let _ = rustix::fs::unlinkat(&dir, name, AtFlags::empty());
                rustix::fs::symlinkat(&self.end, &dir, name)
            }
            _ => renameat_with(CWD, &self.decoy, &dir, name, RenameFlags::EXCHANGE),
        }
    }
}

/// Swaps names in `root` for links to `outside` and back until told to stop; counts in `swaps`.
fn attack(root: &Path, stage: &Path, outside: &Path, swaps: &AtomicU64, stop: &AtomicBool) {
    let mut dice = Dice::new("attacker", 4711);
    let (dirs, files) = paths();
    let swap = |(number, path): (usize, &String)| Swap {
        path: path.clone().into_bytes(),
        decoy: stage.join(number.to_string()),
        end: match number % 3 {
            0 if path.contains('f') => outside.join("f0"),
            1 => PathBuf::from("../outside"),
            _ => outside.to_path_buf(),
        },
    };
    let all: Vec<_> = dirs.iter().chain(&files).enumerate().map(swap).collect();
    let root = Beneath::open(root).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let how = dice.below(20);
        if all[dice.below(all.len() as u64) as usize].happen(&root, how).is_ok() {
            swaps.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs `work` again and again until enough swaps have happened under it.
fn under_attack(root: &Path, stage: &Path, outside: &Path, mut work: impl FnMut()) -> u64 {
    let (swaps, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Ends the attack when `work` fails, too: the scope waits for it.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        scope.spawn(|| attack(root, stage, outside, &swaps, &stop));
        while swaps.load(Ordering::Relaxed) < SWAPS_MIN {
            work();
        }
    });
    swaps.load(Ordering::Relaxed)
}

fn places() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
    let place = scratch();
    let [root, stage, outside] = ["root", "stage", "outside"].map(|name| place.path().join(name));
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(&stage).unwrap();
    make_canary(&outside);
    (place, root, stage, outside)
}

#[test]
fn a_restore_touches_nothing_outside_while_names_are_swapped_under_it() {
    let (_place, root, stage, outside) = places();
    let before = canary(&outside);
    let (dirs, files) = paths();
    let mut tree: Vec<Entry> = dirs.iter().map(|path| directory_entry(&**path)).collect();
    tree.extend(files.iter().enumerate().map(|(number, path)| match number % 4 {
        0 | 1 => file_entry(&**path, 3),
        2 => symlink_entry(&**path, "elsewhere"),
        _ => {
            let mut entry = file_entry(&**path, 0);
            entry.kind = EntryKind::Fifo;
            entry
        }
    }));
    for entry in &mut tree {
        if matches!(entry.kind, EntryKind::File | EntryKind::Directory) {
            entry.meta.mode = 0o777;
            entry.xattrs.push(Xattr { name: b"user.mark".to_vec(), value: b"here".to_vec() });
        }
        if entry.path.ends_with(b"f1") {
            let mut link = Entry::new(entry.path.clone(), EntryKind::HardLink);
            (link.meta, link.target) = (entry.meta, b"d0/f0".to_vec());
            *entry = link;
        }
    }
    tree.sort_by(|a, b| firn_format::tree::path_cmp(&a.path, &b.path));
    let (mut rounds, mut exceptions, mut restored) = (0_u64, 0, 0);
    let swaps = under_attack(&root, &stage, &outside, || {
        // A new target each time: an old one works through directories that it holds open.
        let target = Target::create(&root, Privileges::default()).unwrap();
        exceptions += restore(&target, &tree, b"abc").len();
        for entry in tree.iter().filter(|entry| entry.kind == EntryKind::File) {
            if let Ok(writer) = target.update(entry) {
                writer.write_at(b"abd", 0).unwrap();
                restored += usize::from(writer.finish(entry).is_ok());
            }
        }
        rounds += 1;
    });
    println!("{swaps} swaps under {rounds} restores: {restored} files written, {exceptions} exceptions");
    assert!(restored > 0 && exceptions > 0);
    assert_eq!(canary(&outside), before);
}

#[test]
fn a_walk_reads_nothing_outside_while_names_are_swapped_under_it() {
    let (_place, root, stage, outside) = places();
    let before = canary(&outside);
    let (dirs, files) = paths();
    let mut tree: Vec<Entry> = dirs.iter().map(|path| directory_entry(&**path)).collect();
    tree.extend(files.iter().map(|path| file_entry(&**path, 3)));
    tree.sort_by(|a, b| firn_format::tree::path_cmp(&a.path, &b.path));
    let (mut rounds, mut read, mut exceptions) = (0_u64, 0_u64, 0_u64);
    let swaps = under_attack(&root, &stage, &outside, || {
        if rounds.is_multiple_of(16) {
            restore(&Target::create(&root, Privileges::default()).unwrap(), &tree, b"abc");
        }
        let source = Source::open(&root).unwrap();
        for seen in source.walk() {
            let Seen::Found(found) = seen.unwrap() else {
                exceptions += 1;
                continue;
            };
            assert_ne!(found.entry.size, SECRET.len() as u64, "{found:?}");
            if found.entry.kind != EntryKind::File {
                continue;
            }
            let mut bytes = [0; 64];
            match source.open_file(&found).and_then(|reader| reader.read_at(&mut bytes, 0)) {
                Ok(len) => {
                    assert!(!bytes[..len].starts_with(b"canary"), "{found:?}");
                    read += 1;
                }
                Err(VolumeError::Entry(_)) => exceptions += 1,
                Err(error) => panic!("{error}"),
            }
        }
        rounds += 1;
    });
    println!("{swaps} swaps under {rounds} walks: {read} files read, {exceptions} exceptions");
    assert!(read > 0 && exceptions > 0);
    assert_eq!(canary(&outside), before);
}
