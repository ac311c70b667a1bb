//! What is known of a ground between two commands: one JSON file in the ground's folder, and a lock.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::{kernel, mounts};

/// The names of everything a ground puts into its folder; `remove` removes these and nothing else.
const STATE: &str = "ground.json";
const KUBECONFIG: &str = "kubeconfig";
const CLUSTERS: &str = "clusters";
const IMAGES: &str = "images";
const LOCK: &str = "lock";

/// A ground's folder, locked: one command at a time works on it.
#[derive(Debug)]
pub(crate) struct Ground {
    dir: PathBuf,
    lock: File,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// What the kernel was set to before the first kubelet.
    pub(crate) kernel: kernel::Settings,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    clusters: BTreeMap<String, Cluster>,
    #[serde(default)]
    kernel: kernel::Settings,
}

impl Ground {
    /// Opens the ground in `dir`, which is made if absent; waits for another command that works on it.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        make_dir(dir)?;
        // Process checks compare this path with command lines: it has to be the one true path.
        let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        let lock = lock(&dir)?;
        let saved: Saved = match fs::read(dir.join(STATE)) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", dir.join(STATE).display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Saved::default(),
            Err(error) => return Err(error).with_context(|| format!("read {}", dir.join(STATE).display())),
        };
        Ok(Self { dir, lock, clusters: saved.clusters, kernel: saved.kernel })
    }

    /// Opens the ground in `dir` if there is one.
    pub(crate) fn open_existing(dir: &Path) -> Result<Option<Self>> {
        if !dir.join(STATE).exists() {
            return Ok(None);
        }
        Self::open(dir).map(Some)
    }

    /// Writes what is known; whole or not at all, since `down` finds the processes by it.
    pub(crate) fn save(&self) -> Result<()> {
        let saved = Saved { clusters: self.clusters.clone(), kernel: self.kernel.clone() };
        let mut text = serde_json::to_string_pretty(&saved).context("write the ground's state")?;
        text.push('\n');
        write_private(&self.dir.join(STATE), &text)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.join(KUBECONFIG)
    }

    pub(crate) fn cluster_dir(&self, name: &str) -> PathBuf {
        self.dir.join(CLUSTERS).join(name)
    }

    /// Where the archives of the nodes' images lie.
    pub(crate) fn images_dir(&self) -> PathBuf {
        self.dir.join(IMAGES)
    }

    /// Removes the ground's files. A folder that holds anything else keeps that, and stays.
    pub(crate) fn remove(self) -> Result<()> {
        // Through a mount that is left, a volume would be emptied that is not the ground's.
        let mounts = mounts::below(&self.dir)?;
        if !mounts.is_empty() {
            bail!("still mounted, so nothing is removed: {mounts:?}");
        }
        let gone = |result: std::io::Result<()>, what: &str| match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.dir.join(what).display()))
            }
            _ => Ok(()),
        };
        gone(fs::remove_dir_all(self.dir.join(CLUSTERS)), CLUSTERS)?;
        gone(fs::remove_dir_all(self.dir.join(IMAGES)), IMAGES)?;
        gone(fs::remove_file(self.dir.join(KUBECONFIG)), KUBECONFIG)?;
        gone(fs::remove_file(self.dir.join(STATE)), STATE)?;
        gone(fs::remove_file(self.dir.join(LOCK)), LOCK)?;
        drop(self.lock);
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::DirectoryNotEmpty => {
                Err(error).with_context(|| format!("remove {}", self.dir.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a folder that only its owner may read: tokens lie in it.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("make {}", dir.display()))
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// Takes the lock of a folder. `remove` unlinks the file, so after waiting it may be one that
/// nobody else will ever open: then take the new one.
fn lock(dir: &Path) -> Result<File> {
    const ATTEMPTS_MAX: usize = 100; // Each one means that another command removed the ground meanwhile.
    let path = dir.join(LOCK);
    let attempt = || -> std::io::Result<Option<File>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        file.lock()?;
        let (held, named) = (file.metadata()?, path.metadata());
        Ok(named.is_ok_and(|named| named.ino() == held.ino() && named.dev() == held.dev()).then_some(file))
    };
    for _ in 0..ATTEMPTS_MAX {
        make_dir(dir)?;
        if let Some(file) = attempt().with_context(|| format!("lock {}", path.display()))? {
            return Ok(file);
        }
    }
    bail!("{} is being removed again and again", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remove_leaves_what_others_put_there() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("ground");
        let ground = Ground::open(&dir).expect("a ground");
        ground.save().expect("saved");
        make_dir(&ground.cluster_dir("a")).expect("a cluster's folder");
        fs::write(dir.join("letter"), "mine").expect("a stranger's file");
        ground.remove().expect("removed");
        let left: Vec<_> = fs::read_dir(&dir).expect("still there").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["letter"]);

        fs::remove_file(dir.join("letter")).expect("removed");
        Ground::open(&dir).expect("a ground").remove().expect("removed");
        assert!(!dir.exists());
        assert!(Ground::open_existing(&dir).expect("no error").is_none());
    }

    #[test]
    fn nothing_is_removed_while_a_volume_is_mounted_in_it() {
        assert!(rustix::process::geteuid().is_root(), "THIS TEST NEEDS ROOT: it mounts a folder");
        let parent = tempfile::tempdir().expect("a folder");
        let (dir, volume) = (parent.path().join("ground"), parent.path().join("volume"));
        fs::create_dir(&volume).expect("a volume");
        fs::write(volume.join("orders"), "order 1\n").expect("data");
        let ground = Ground::open(&dir).expect("a ground");
        let point = ground.cluster_dir("a").join("kubelet");
        make_dir(&point).expect("a mount point");
        rustix::mount::mount_bind(&volume, &point).expect("mounted");
        let refused = ground.remove().expect_err("still mounted").to_string();
        assert!(refused.contains("kubelet"), "{refused}");
        assert!(volume.join("orders").is_file());

        mounts::unmount_below(&dir).expect("unmounted");
        Ground::open(&dir).expect("a ground").remove().expect("removed");
        assert!(volume.join("orders").is_file() && !dir.exists());
    }

    #[test]
    fn a_damaged_state_is_an_error_and_not_an_empty_ground() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(STATE), "{").expect("damaged");
        assert!(Ground::open(dir.path()).is_err());
    }
}
