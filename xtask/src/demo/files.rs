//! Compares folders: names, kinds, contents, owners, modes, times, links, holes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// SQLite's shared memory: written through a mapping, which leaves the file's times as they are; rebuilt when the
/// database is opened. It must be there, and what it holds is nobody's data.
const NO_DATA: &str = "-shm";

/// What was compared and is the same.
#[derive(Debug, Default)]
pub(super) struct Same {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Compares two folders with all that lies in them; the first difference is an error.
pub(super) fn compare(was: &Path, is: &Path) -> Result<Same> {
    let mut same = Same::default();
    compare_entry(was, is, &mut same)?;
    Ok(same)
}

fn compare_entry(was: &Path, is: &Path, same: &mut Same) -> Result<()> {
    let looked = |path: &Path| fs::symlink_metadata(path).with_context(|| format!("look at {}", path.display()));
    let (before, after) = (looked(was)?, looked(is)?);
    let facts = |found: &Metadata| (found.mode(), found.uid(), found.gid(), found.mtime(), found.mtime_nsec());
    if facts(&before) != facts(&after) {
        bail!("{}: mode, owner or time {:?}, not {:?}", is.display(), facts(&after), facts(&before));
    }
    if before.is_dir() {
        let names = names(was)?;
        let found = self::names(is)?;
        ensure!(names == found, "{}: {:?} are on one side only", is.display(), names.symmetric_difference(&found));
        return names.iter().try_for_each(|name| compare_entry(&was.join(name), &is.join(name), same));
    }
    ensure!(before.nlink() == after.nlink(), "{}: {} links, not {}", is.display(), after.nlink(), before.nlink());
    if before.is_symlink() {
        ensure!(fs::read_link(was)? == fs::read_link(is)?, "{} leads elsewhere", is.display());
        return Ok(());
    }
    ensure!(before.len() == after.len(), "{}: {} bytes, not {}", is.display(), after.len(), before.len());
    // A hole of megabytes stays one; small differences are the file system's.
    let allotted = |found: &Metadata| found.blocks() * 512;
    ensure!(allotted(&after) <= allotted(&before) + (1 << 20), "{} is no longer sparse", is.display());
    if was.to_string_lossy().ends_with(NO_DATA) {
        return Ok(());
    }
    let (mut one, mut other) = (open(was)?, open(is)?);
    ensure!(same_bytes(&mut one, &mut other, before.len())?, "{}: other contents", is.display());
    same.files += 1;
    same.bytes += before.len();
    Ok(())
}

fn names(folder: &Path) -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

fn open(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| format!("open {}", path.display()))?))
}

fn same_bytes(one: &mut impl Read, other: &mut impl Read, mut left: u64) -> Result<bool> {
    let (mut a, mut b) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    while left > 0 {
        let step = a.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        one.read_exact(&mut a[..step])?;
        other.read_exact(&mut b[..step])?;
        if a[..step] != b[..step] {
            return Ok(false);
        }
        left -= step as u64;
    }
    Ok(true)
}

/// Whether a file that only grows holds all of an older copy; gives how many bytes it has beyond that.
pub(super) fn is_continued(older: &Path, newer: &Path) -> Result<u64> {
    let (first, second) = (fs::metadata(older)?.len(), fs::metadata(newer)?.len());
    ensure!(second >= first, "{}: {second} bytes, fewer than {first}", newer.display());
    ensure!(same_bytes(&mut open(older)?, &mut open(newer)?, first)?, "{}: other contents", newer.display());
    Ok(second - first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    #[test]
    fn a_copy_is_the_same_until_anything_is_changed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (was, is) = (dir.path().join("was"), dir.path().join("is"));
        fs::create_dir_all(was.join("deep")).expect("folders");
        fs::write(was.join("deep/file"), vec![7; 100_000]).expect("a file");
        symlink("deep", was.join("link")).expect("a link");
        let copy = || {
            let _gone = fs::remove_dir_all(&is);
            let status = Command::new("cp").arg("-a").args([&was, &is]).status().expect("cp");
            assert!(status.success());
        };
        copy();
        let same = compare(&was, &is).expect("the same");
        assert_eq!((same.files, same.bytes), (1, 100_000));
        type Change<'a> = (&'a str, &'a dyn Fn());
        let file = is.join("deep/file");
        let touch = |change: &dyn Fn()| {
            // Contents only: the time stays.
            let times = fs::metadata(&file).expect("times").modified().expect("a time");
            change();
            File::options().write(true).open(&file).expect("open").set_modified(times).expect("set");
        };
        let changes: [Change<'_>; 4] = [
            ("contents", &|| touch(&|| fs::write(&file, vec![8; 100_000]).expect("written"))),
            ("mode", &|| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("mode")),
            ("another file", &|| fs::write(is.join("deep/more"), "").expect("written")),
            ("time", &|| {
                File::options().write(true).open(&file).expect("open").set_modified(std::time::UNIX_EPOCH).expect("set")
            }),
        ];
        for (what, change) in changes {
            copy();
            change();
            assert!(compare(&was, &is).is_err(), "{what}");
        }
    }

    #[test]
    fn a_log_may_only_grow() {
        let dir = tempfile::tempdir().expect("a folder");
        let (older, newer) = (dir.path().join("older"), dir.path().join("newer"));
        fs::write(&older, "one\n").expect("written");
        for (text, beyond) in [("one\ntwo\n", Some(4)), ("one\n", Some(0)), ("on", None), ("two\ntwo\n", None)] {
            fs::write(&newer, text).expect("written");
            assert_eq!(is_continued(&older, &newer).ok(), beyond, "{text}");
        }
    }
}
