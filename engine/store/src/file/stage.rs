//! Durable creation of files: write aside, sync, link, sync.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::io::Errno;

use crate::fresh::fresh_token;

/// The folder for unfinished files, below the store's root. No object name begins with a dot.
const STAGE_DIR: &str = ".tmp";
/// Age by the file system's own clock after which an unfinished file belongs to a dead writer. A put takes
/// seconds; and should one be slower than this, it fails cleanly because its file is gone.
const STALE_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Folders remembered as durable; a store has some 512 and one for each session. Beyond, it starts over.
const FOLDERS_KNOWN_MAX: usize = 8_192;

/// How the last step of a creation ended.
pub(super) enum Link {
    /// The name is this call's file.
    Created,
    /// The name was taken; what it names is durable too.
    Exists,
    /// The file system knows no hard links.
    Unsupported(io::Error),
}

/// Creates files below one root.
pub(super) struct Stage {
    root: PathBuf,
    dir: PathBuf,
    /// Folders whose own entries, up to the root's, are known to be on disk.
    folders: Mutex<HashSet<PathBuf>>,
    swept: Once,
    /// Set when a folder could not be synced after a link: then "it is there" no longer says "it is durable".
    distrusted: AtomicBool,
}

impl Stage {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            dir: root.join(STAGE_DIR),
            folders: Mutex::default(),
            swept: Once::new(),
            distrusted: AtomicBool::new(false),
        }
    }

    /// Creates `path` with these bytes unless it exists. Errors mean that nothing was created, or that a sync
    /// failed and every later call fails too.
    pub(super) fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<Link> {
        if self.distrusted.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier sync failed: this disk is not trusted until a restart"));
        }
        let folder = path.parent().unwrap_or(&self.root);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_file() => return self.settled(folder, Link::Exists),
            Ok(_) => return Err(super::not_a_file(path)),
            Err(_) => {}
        }
        self.ensure_folder(folder)?;
        let staged = self.write(bytes)?;
        match std::fs::hard_link(&staged.path, path) {
            Ok(()) => self.settled(folder, Link::Created),
            Err(error) => match Errno::from_io_error(&error) {
                // A network file system may repeat a link whose first answer was lost: two names mean we won.
                Some(Errno::EXIST) if staged.path.symlink_metadata()?.nlink() == 2 => {
                    self.settled(folder, Link::Created)
                }
                Some(Errno::EXIST) => self.settled(folder, Link::Exists),
                Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Link::Unsupported(error)),
                _ => Err(error),
            },
        }
    }

    /// Makes the folder's entries durable. Also after `Exists`: the winner may not have got that far.
    fn settled(&self, folder: &Path, link: Link) -> io::Result<Link> {
        match sync_folder(folder) {
            Ok(()) => Ok(link),
            Err(error) => {
                self.distrusted.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    /// Writes and syncs an unfinished file; dropping it removes its name.
    fn write(&self, bytes: &[u8]) -> io::Result<Staged> {
        let (staged, mut file) = self.staged()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    fn staged(&self) -> io::Result<(Staged, File)> {
        self.ensure_folder(&self.dir)?;
        self.swept.call_once(|| self.sweep());
        let path = self.dir.join(fresh_token());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((Staged { path }, file))
    }

    /// The file system's clock: the time stamp of a file made now.
    pub(super) fn time(&self) -> io::Result<Timestamp> {
        let (_staged, mut file) = self.staged()?;
        // A byte, because some file systems stamp an empty file with the caller's clock.
        file.write_all(b"t")?;
        Timestamp::try_from(file.metadata()?.modified()?).map_err(io::Error::other)
    }

    /// Removes unfinished files of dead writers. Failing to is no failure of a put: they are only litter.
    fn sweep(&self) {
        if let Err(error) = self.try_sweep() {
            tracing::debug!(%error, dir = %self.dir.display(), "could not sweep unfinished files");
        }
    }

    fn try_sweep(&self) -> io::Result<()> {
        let probe = self.dir.join(fresh_token());
        let now = File::create_new(&probe).and_then(|file| file.metadata()?.modified());
        std::fs::remove_file(&probe)?;
        let now = now?;
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let age = now.duration_since(entry.metadata()?.modified()?);
            if age.is_ok_and(|age| age > STALE_AGE) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes the folder, and its entry in every folder up to the root's, durable; once.
    fn ensure_folder(&self, folder: &Path) -> io::Result<()> {
        if self.folders.lock().contains(folder) {
            return Ok(());
        }
        if folder == self.root {
            create_root(&self.root)?;
        } else {
            let parent = folder.parent().unwrap_or(&self.root);
            self.ensure_folder(parent)?;
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                // Somebody else's new folder may not be on disk yet, so sync in both cases.
                _ => sync_folder(parent)?,
            }
        }
        let mut folders = self.folders.lock();
        if folders.len() >= FOLDERS_KNOWN_MAX {
            folders.clear();
        }
        folders.insert(folder.to_owned());
        Ok(())
    }
}

/// Creates the root and what is missing above it, and syncs each folder that got a new entry.
fn create_root(root: &Path) -> io::Result<()> {
    let missing = root.ancestors().take_while(|folder| !folder.exists()).count();
    DirBuilder::new().mode(0o700).recursive(true).create(root)?;
    for folder in root.ancestors().skip(1).take(missing) {
        sync_folder(folder)?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An unfinished file's name; removed when dropped.
struct Staged {
    path: PathBuf,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What stays behind is swept a day later.
        let _ = std::fs::remove_file(&self.path);
    }
}
