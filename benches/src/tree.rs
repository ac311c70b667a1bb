//! A directory tree as a benchmark sees it: how much is in it; reading it into the page cache.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// What a tree holds. Two trees with the same facts count as the same for a benchmark; faithfulness is for tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    pub(crate) files: u64,
    pub(crate) folders: u64,
    /// Symbolic links and whatever else there is.
    pub(crate) others: u64,
    /// Lengths of all files.
    pub(crate) bytes: u64,
}

impl Facts {
    /// Counts what lies below `root`.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut facts = Self::default();
        walk(root, &mut |_, metadata| {
            match metadata.file_type() {
                kind if kind.is_dir() => facts.folders += 1,
                kind if kind.is_file() => {
                    facts.files += 1;
                    facts.bytes += metadata.len();
                }
                _ => facts.others += 1,
            }
            Ok(())
        })?;
        Ok(facts)
    }
}

/// Reads all of a tree, names and contents, so that whoever comes next finds it in the page cache, and writes out what
/// earlier work left to be written, so that nobody pays for another.
pub(crate) fn warm(root: &Path) -> Result<()> {
    rustix::fs::sync();
    let mut buffer = vec![0; 1 << 20];
    walk(root, &mut |path, metadata| {
        if metadata.is_file() {
            let mut file = File::open(path)?;
            while file.read(&mut buffer)? > 0 {}
        }
        Ok(())
    })
}

/// Calls `each` for everything below `root`, not for `root`.
fn walk(root: &Path, each: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>) -> Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in listing {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let path = entry.path();
            let metadata = entry.metadata().with_context(|| format!("look at {}", path.display()))?;
            each(&path, &metadata).with_context(|| format!("read {}", path.display()))?;
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_count_everything_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), [7; 300]).unwrap();
        fs::write(dir.path().join("empty"), []).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        let facts = Facts::of(dir.path()).unwrap();
        assert_eq!(facts, Facts { files: 2, folders: 2, others: 1, bytes: 300 });
        warm(dir.path()).unwrap();
        assert!(warm(&dir.path().join("absent")).is_err());
    }
}
