//! What the tests share: a naive copy through the public interface, seeded numbers, mounts, a child without rights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use firn_format::tree::{Entry, EntryKind, Xattr};
use tempfile::TempDir;

use crate::{Exception, Found, Privileges, Reason, Seen, Source, Standing, Stillness, Target, VolumeError};

/// A fresh directory on the file system that tests run on. Fails loudly without root.
pub(crate) fn scratch() -> TempDir {
    assert!(rustix::process::geteuid().is_root(), "THESE TESTS NEED ROOT: owners, devices and mounts are part of them");
    tempfile::tempdir().unwrap()
}

/// A small generator of replayable numbers.
pub(crate) struct Dice(u64);

impl Dice {
    /// Prints the seed, so that a failure can be played again with `FIRN_TEST_SEED`.
    pub(crate) fn new(what: &str, seed: u64) -> Self {
        let seed = std::env::var("FIRN_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        println!("{what}: seed {seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Everything a walk gives.
pub(crate) fn walk(source: &Source) -> (Vec<Found>, Vec<Exception>) {
    let (mut found, mut exceptions) = (Vec::new(), Vec::new());
    for seen in source.walk() {
        match seen.unwrap() {
            Seen::Found(entry) => found.push(entry),
            Seen::Exception(exception) => exceptions.push(exception),
        }
    }
    (found, exceptions)
}

/// The entries of `dir` by path.
pub(crate) fn entries(dir: &Path) -> BTreeMap<Vec<u8>, Entry> {
    walk(&Source::open(dir).unwrap()).0.into_iter().map(|found| (found.entry.path.clone(), found.entry)).collect()
}

/// What a tree looks like from outside: entries with attributes, content of files. Without what is never restored.
pub(crate) fn portrait(dir: &Path) -> BTreeMap<Vec<u8>, (Entry, Vec<Xattr>, Vec<u8>)> {
    let source = Source::open(dir).unwrap();
    let (found, exceptions) = walk(&source);
    assert_eq!(exceptions, []);
    let mut all = BTreeMap::new();
    for found in found {
        let xattrs = source.read_xattrs(&found).unwrap();
        let content = match found.entry.kind {
            EntryKind::File => {
                let reader = source.open_file(&found).unwrap();
                let mut bytes = vec![0; reader.size() as usize];
                assert_eq!(reader.read_at(&mut bytes, 0).unwrap(), bytes.len());
                bytes
            }
            _ => Vec::new(),
        };
        let mut entry = found.entry;
        (entry.meta.inode, entry.meta.ctime_s, entry.meta.ctime_ns) = (0, 0, 0);
        all.insert(entry.path.clone(), (entry, xattrs, content));
    }
    all
}

/// Captures `from` and restores it to `to`; returns every exception of both.
pub(crate) fn copy(from: &Path, to: &Path, privileges: Privileges) -> Vec<Exception> {
    let source = Source::open(from).unwrap();
    let (mut found, mut exceptions) = walk(&source);
    for found in &mut found {
        found.entry.xattrs = source.read_xattrs(found).unwrap();
    }
    let target = Target::create(to, privileges).unwrap();
    for found in &found {
        match found.entry.kind {
            EntryKind::Directory => target.directory(&found.entry).unwrap(),
            EntryKind::File => exceptions.extend(copy_file(&source, found, &target)),
            _ => {}
        }
    }
    let mut closing = target.close();
    for found in &found {
        exceptions.extend(closing.push(&found.entry).unwrap());
    }
    exceptions.extend(closing.done().unwrap());
    exceptions.extend(target.finish().unwrap());
    exceptions
}

fn copy_file(source: &Source, found: &Found, target: &Target) -> Vec<Exception> {
    let reader = source.open_file(found).unwrap();
    let writer = target.file(&found.entry).unwrap();
    for extent in reader.extents() {
        let extent = extent.unwrap();
        if !extent.hole {
            let mut bytes = vec![0; extent.len as usize];
            assert_eq!(reader.read_at(&mut bytes, extent.offset).unwrap(), bytes.len());
            writer.write_at(&bytes, extent.offset).unwrap();
        }
    }
    assert_eq!(reader.finish().unwrap(), Stillness::Unchanged);
    writer.finish(&found.entry).unwrap()
}

/// Restores entries as they come, files with `content`; keeps what concerns one entry, fails on the rest.
pub(crate) fn restore(target: &Target, entries: &[Entry], content: &[u8]) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for entry in entries {
        let result = match entry.kind {
            EntryKind::Directory => target.directory(entry).map(|()| Vec::new()),
            EntryKind::File => restore_file(target, entry, content),
            _ => Ok(Vec::new()),
        };
        note(result, &mut exceptions);
    }
    let mut closing = target.close();
    for entry in entries {
        note(closing.push(entry), &mut exceptions);
    }
    note(closing.done(), &mut exceptions);
    exceptions
}

fn restore_file(target: &Target, entry: &Entry, content: &[u8]) -> Result<Vec<Exception>, VolumeError> {
    if target.compare(entry)? == Standing::Same {
        return Ok(Vec::new());
    }
    let writer = target.file(entry)?;
    writer.write_at(content, 0)?;
    writer.finish(entry)
}

fn note(result: Result<Vec<Exception>, VolumeError>, exceptions: &mut Vec<Exception>) {
    match result {
        Ok(more) => exceptions.extend(more),
        Err(VolumeError::Entry(exception)) => exceptions.push(exception),
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

/// A file entry of `len` bytes with a mode and time that show where they land.
pub(crate) fn file_entry(path: impl Into<Vec<u8>>, len: usize) -> Entry {
    let mut entry = marked(Entry::new(path, EntryKind::File));
    entry.size = len as u64;
    entry
}

pub(crate) fn directory_entry(path: impl Into<Vec<u8>>) -> Entry {
    marked(Entry::new(path, EntryKind::Directory))
}

pub(crate) fn symlink_entry(path: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Entry {
    let mut entry = marked(Entry::new(path, EntryKind::Symlink));
    entry.target = target.into();
    entry
}

fn marked(mut entry: Entry) -> Entry {
    entry.meta.mode = if entry.kind == EntryKind::Directory { 0o755 } else { 0o644 };
    (entry.meta.uid, entry.meta.gid) = (12_345, 23_456);
    (entry.meta.mtime_s, entry.meta.mtime_ns) = (1_000_000_000, 123_456_789);
    entry
}

/// The one reason among `exceptions` for `path`.
pub(crate) fn reason(exceptions: &[Exception], path: &[u8]) -> Reason {
    let mut found = exceptions.iter().filter(|exception| exception.path == path);
    let reason = found.next().unwrap_or_else(|| panic!("no exception for {path:?} in {exceptions:?}")).reason;
    assert!(found.next().is_none(), "{exceptions:?}");
    reason
}

/// The reason of an error that concerns one entry.
pub(crate) fn entry_reason<T: std::fmt::Debug>(result: Result<T, VolumeError>) -> Reason {
    match result {
        Err(VolumeError::Entry(exception)) => exception.reason,
        other => panic!("not an exception: {other:?}"),
    }
}

/// A file system mounted for the time of a test.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn tmpfs(at: &Path, options: &str) -> Self {
        run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", at.to_str().unwrap()]);
        Self(at.to_path_buf())
    }

    pub(crate) fn bind(from: &Path, at: &Path) -> Self {
        run("mount", &["--bind", from.to_str().unwrap(), at.to_str().unwrap()]);
        Self(at.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a test that fails may still hold something open in it, and must not fail twice.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub(crate) fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}: {status}");
}

/// Runs the ignored test `name` in a child of uid and gid 65534, with `dir` in `FIRN_TEST_DIR`.
pub(crate) fn as_nobody(name: &str, dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let place = scratch();
    let program = place.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [place.path(), &program, dir] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new(&program)
        .args(["--ignored", "--exact", name])
        .env("FIRN_TEST_DIR", dir)
        .current_dir("/")
        .gid(65_534)
        .uid(65_534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Where the parent told a child to work.
pub(crate) fn child_dir() -> PathBuf {
    assert!(!rustix::process::geteuid().is_root(), "this test is run by another one, without rights");
    std::env::var_os("FIRN_TEST_DIR").unwrap().into()
}
