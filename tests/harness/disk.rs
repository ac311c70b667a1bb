//! Disk: a small file system of its own, to be filled or made read-only.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::scratch::{root, scratch};

/// A file system in memory with a limit, mounted until it is dropped. Needs root.
pub struct Disk {
    dir: TempDir,
}

impl Disk {
    /// A disk of so many bytes.
    pub fn new(bytes: u64) -> Self {
        root();
        let disk = Self { dir: scratch() };
        let size = format!("size={bytes}");
        run("mount", &["-t", "tmpfs", "-o", &size, "firn-test", &disk.path().to_string_lossy()]);
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Changes its size.
    pub fn resize(&self, bytes: u64) {
        self.remount(&format!("remount,size={bytes}"));
    }

    /// Makes it read-only, or writable again.
    pub fn read_only(&self, is_read_only: bool) {
        self.remount(if is_read_only { "remount,ro" } else { "remount,rw" });
    }

    fn remount(&self, options: &str) {
        run("mount", &["-o", options, &self.path().to_string_lossy()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that failed may still hold a file.
        let _ended = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().expect("a program to mount with");
    assert!(status.success(), "{program} {args:?}: {status}; these tests need the right to mount");
}
