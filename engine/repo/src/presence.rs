//! Presence: which sessions of this machine still have a process: each process holds a lock on a file of its session's name.
//!
//! The system frees a lock with its process, however that ends: whoever can take it knows that the process is gone. The
//! files lie in the cache folder. Without one, or with one that fails, nobody is taken for gone.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use firn_format::SessionId;

/// Guards the folder, so that nobody meets a file between its making and its locking.
const GUARD: &str = "lock";

/// Longer files are none of ours.
const MACHINE_BYTES_MAX: u64 = 256;

/// The lock on a session's file. Dropped it frees the lock and leaves the file: the session may be open in the log.
pub(crate) struct Presence {
    path: PathBuf,
    session: SessionId,
    _file: File,
}

impl Presence {
    /// Says in `folder` that this process works for `session`; `None` if that cannot be said.
    pub(crate) fn take(folder: &Path, session: SessionId) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        let _guard = guard(folder)?;
        let path = folder.join(session.hex());
        let mut file = File::options().write(true).create_new(true).open(&path).ok()?;
        let told = file.try_lock().is_ok() && file.write_all(machine()?.as_bytes()).is_ok();
        told.then_some(Self { path, session, _file: file })
    }

    /// The sessions of `folder` whose processes ran on this machine and are gone. Each is locked for this process now.
    pub(crate) fn gone(folder: &Path) -> Vec<Self> {
        let (Some(_guard), Ok(files), Some(machine)) = (guard(folder), folder.read_dir(), machine()) else {
            return Vec::new();
        };
        let gone = files.filter_map(|file| {
            let path = file.ok()?.path();
            let session = path.file_name()?.to_str()?.parse().ok()?;
            let file = File::options().read(true).open(&path).ok()?;
            file.try_lock().ok()?;
            let mut maker = String::new();
            (&file).take(MACHINE_BYTES_MAX).read_to_string(&mut maker).ok()?;
            (maker == machine).then_some(Self { path, session, _file: file })
        });
        gone.collect()
    }

    /// Whose it is.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// The session has ended in the log: nobody needs to know of the process any more.
    pub(crate) fn end(self) {
        // What stays is looked at, and removed, by the next run.
        let _removed = std::fs::remove_file(&self.path);
    }
}

fn guard(folder: &Path) -> Option<File> {
    let file = File::options().write(true).create(true).truncate(false).open(folder.join(GUARD)).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Names this machine: a folder may be shared by several, and not every network file system carries locks between them.
fn machine() -> Option<String> {
    let names = ["/etc/machine-id", "/proc/sys/kernel/random/boot_id"];
    let mut read = names.iter().filter_map(|name| std::fs::read_to_string(name).ok());
    read.find_map(|name| Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(folder: &Path) -> Vec<SessionId> {
        Presence::gone(folder).iter().map(Presence::session).collect()
    }

    #[test]
    fn only_who_is_gone_and_was_of_this_machine_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sessions");
        assert_eq!(gone(&folder), []);
        let [dead, living, ended] = [1, 2, 3].map(|byte| SessionId([byte; 16]));
        drop(Presence::take(&folder, dead).unwrap());
        let lives = Presence::take(&folder, living).unwrap();
        Presence::take(&folder, ended).unwrap().end();
        std::fs::write(folder.join(SessionId([4; 16]).hex()), "another machine").unwrap();
        std::fs::write(folder.join("notes"), "").unwrap();
        assert_eq!(gone(&folder), [dead]);
        let held = Presence::gone(&folder);
        assert_eq!(gone(&folder), [], "one at a time buries");
        held.into_iter().for_each(Presence::end);
        drop(lives);
        assert_eq!(gone(&folder), [living]);
        assert!(Presence::take(&folder, living).is_none(), "a name is taken once");
    }
}
