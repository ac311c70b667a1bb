//! The mounts of this machine, and taking away those below a folder.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

/// One line of /proc/self/mountinfo.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: PathBuf,
    /// `overlay`, `tmpfs`, `cgroup`, …
    pub(crate) file_system: String,
    /// Those of the file system, separated by commas.
    pub(crate) options: String,
}

impl Mount {
    /// All mounts, in the order in which they were made.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let text = fs::read_to_string("/proc/self/mountinfo").context("read /proc/self/mountinfo")?;
        text.lines().map(|line| Self::parse(line).with_context(|| format!("a mount that reads {line:?}"))).collect()
    }

    /// `36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw,errors=continue`: before the dash any number
    /// of optional fields.
    fn parse(line: &str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let file_system = kind.next()?.to_owned();
        let options = kind.nth(1)?.to_owned();
        Some(Self { point: unescape(place.split(' ').nth(4)?), file_system, options })
    }
}

/// Blanks, tabs, line feeds and backslashes are written as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// The mounts below a folder, which is itself none of them; in the order in which they were made.
pub(crate) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mounts = Mount::all()?.into_iter().map(|mount| mount.point);
    Ok(mounts.filter(|point| point.starts_with(folder) && point != folder).collect())
}

/// Takes away every mount below a folder, the latest first. An error if one stays.
pub(crate) fn unmount_below(folder: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let begun = Instant::now();
    // Another mount namespace that ends may hold one busy for a moment.
    loop {
        let mut failed = None;
        for point in below(folder)?.iter().rev() {
            if let Err(error) = unmount(point, UnmountFlags::NOFOLLOW) {
                failed = Some(Err(error).with_context(|| format!("unmount {}", point.display())));
            }
        }
        match failed {
            None if below(folder)?.is_empty() => return Ok(()),
            Some(error) if begun.elapsed() > PATIENCE => return error,
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_optional_fields() {
        let mount = |line| Mount::parse(line).expect("a mount");
        let plain = mount("36 35 98:0 / /a\\040b rw - tmpfs none rw,size=1k");
        assert_eq!(plain.point, Path::new("/a b"));
        assert_eq!((plain.file_system.as_str(), plain.options.as_str()), ("tmpfs", "rw,size=1k"));
        let shared = mount("36 35 98:0 /x /p rw,noatime shared:1 master:2 - cgroup cgroup rw,cpu,cpuacct");
        assert_eq!((shared.file_system.as_str(), shared.options.as_str()), ("cgroup", "rw,cpu,cpuacct"));
        assert_eq!(Mount::parse("36 35 98:0 / /p rw"), None);
    }

    #[test]
    fn a_backslash_is_read_as_the_kernel_writes_it() {
        assert_eq!(unescape("/a\\134b\\011c"), Path::new("/a\\b\tc"));
        assert_eq!(unescape("/a\\9"), Path::new("/a\\9"));
    }

    #[test]
    fn all_mounts_can_be_read_and_none_lies_below_a_fresh_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!Mount::all().expect("mounts").is_empty());
        assert!(below(folder.path()).expect("mounts").is_empty());
        unmount_below(folder.path()).expect("nothing to do");
    }
}
