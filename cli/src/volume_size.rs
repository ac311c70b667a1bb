//! Volume size: how much there is to read, counted beside the reading, so that the time left can be told.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;

use std::os::unix::fs::MetadataExt as _;

use firn_format::{Counter, Progress as _};

use crate::terminal::{QUIET_FOR, Terminal};

/// So many folders are remembered on the way; a volume with more beside one another is read without an estimate.
const FOLDERS_MAX: usize = 100_000;

/// A count under way. Dropped it ends.
pub struct Measuring {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Begins to count the bytes of these folders, once the reading has taken long enough for anybody to wonder. The sum is
/// told to `terminal` as the total of the phase.
pub fn measure(folders: Vec<PathBuf>, terminal: &Terminal) -> Measuring {
    let (stop, stopped) = mpsc::channel();
    let terminal = terminal.clone();
    let thread = std::thread::Builder::new().name("firn-measure".to_owned()).spawn(move || {
        if stopped.recv_timeout(QUIET_FOR) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let sizes = folders.iter().map(|folder| bytes_below(folder, &stopped));
        if let Some(bytes) = sizes.sum() {
            terminal.total(Counter::Bytes, bytes);
        }
    });
    // Without a thread there is no estimate, and nothing else is different.
    Measuring { stop: Some(stop), thread: thread.ok() }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It returns nothing, and an estimate less is no failure.
            let _ended = thread.join();
        }
    }
}

/// The length of all files below, on the same file system; `None` if that is not to be known in time. What cannot be looked at
/// counts nothing: it cannot be read either.
fn bytes_below(root: &Path, stopped: &Receiver<()>) -> Option<u64> {
    let Ok(top) = root.metadata() else { return Some(0) };
    let mut bytes = 0_u64;
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        if stopped.try_recv() != Err(TryRecvError::Empty) || folders.len() > FOLDERS_MAX {
            return None;
        }
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() && meta.dev() == top.dev() => folders.push(entry.path()),
                Ok(meta) if meta.is_file() => bytes = bytes.saturating_add(meta.len()),
                _ => {}
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_folders_count_and_links_do_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/file"), [0; 1000]).unwrap();
        std::fs::write(dir.path().join("file"), [0; 50]).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        let (_stop, stopped) = mpsc::channel();
        assert_eq!(bytes_below(dir.path(), &stopped), Some(1050));
        assert_eq!(bytes_below(&dir.path().join("nowhere"), &stopped), Some(0));
        drop(_stop);
        assert_eq!(bytes_below(dir.path(), &stopped), None, "who is stopped says nothing");
    }
}
