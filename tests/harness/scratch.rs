//! Scratch: folders for trees, in memory where the system has such a place.

use std::path::Path;

use tempfile::TempDir;

/// Most Linux systems have a file system in memory here. Restores end with an fsync, which costs nothing there.
const IN_MEMORY: &str = "/dev/shm";

/// A fresh folder that goes with its owner.
pub fn scratch() -> TempDir {
    let builder = |dir: &Path| tempfile::Builder::new().prefix("firn-test-").tempdir_in(dir);
    builder(Path::new(IN_MEMORY)).or_else(|_| tempfile::tempdir()).expect("a folder for a test")
}

/// Fails loudly without root: owners, devices and mounts are part of what is tested.
pub fn root() {
    assert!(rustix::process::geteuid().is_root(), "THESE TESTS NEED ROOT: owners and mounts are part of them");
}
