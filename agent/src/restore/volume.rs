//! Restore of one volume into a directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use firn_format::tree::{Entry, EntryKind};
use firn_format::{BlobId, Exception, Progress};
use firn_repo::Reader;
use firn_volume::{Privileges, Target, VolumeError};

use crate::capture::exceptions::Exceptions;
use crate::error::AgentError;
use crate::restore::batch::{Batch, Filler};
use crate::restore::entries;

/// How a volume is restored.
pub struct RestoreOptions<'a> {
    /// The mount in the point, for names.
    pub mount: &'a str,
    /// Only what lies at and below this path of the volume; empty for all.
    pub below: &'a str,
    /// Which powers over the machine the restored tree may hold.
    pub privileges: Privileges,
    /// How many threads fetch, open and write.
    pub threads: usize,
    /// Bytes and entries that will be written at most, for the check of free space; zeros to leave it out.
    pub room: (u64, u64),
    /// Who is told how far it is.
    pub progress: &'a dyn Progress,
}

/// What came of a restore.
#[derive(Debug)]
pub struct RestoredVolume {
    /// Files that were written.
    pub files: u64,
    /// Files that stood there already, as they should be.
    pub kept: u64,
    /// Files that could not be had whole from the repository.
    pub damaged: u64,
    /// How many exceptions there were, damaged files among them.
    pub exceptions: u64,
    /// Those that are named.
    pub named: Vec<Exception>,
}

/// Restores the tree at `root` into `dir`, which may hold an older or interrupted restore: what is right already stays, after
/// every byte of it was compared. What was not whole when it was captured is an exception again.
///
/// # Guarantees
/// Every blob is verified against its id before a byte of it is written. Nothing outside `dir` is touched, whatever the tree
/// says and whoever writes in `dir` meanwhile. When this returns, the files are on disk.
///
/// # Errors
/// `Stopped` if the progress asks for that; `NoSuchPath` if there is nothing at `below`, before anything is made. Else only
/// what concerns the whole volume. It may be run again and goes on.
pub fn restore_volume(
    reader: &Arc<Reader>,
    root: BlobId,
    dir: &Path,
    options: RestoreOptions<'_>,
) -> Result<RestoredVolume, AgentError> {
    let name = options.mount;
    let volume = |source: VolumeError| AgentError::Volume { name: name.to_owned(), source };
    entries::must_exist(reader, root, options.below.as_bytes())?;
    let target = Target::create(dir, options.privileges).map_err(volume)?;
    let exceptions = Exceptions::new(name, options.progress);
    target.room(options.room.0, options.room.1).map_err(volume)?;
    let filler = Filler {
        name,
        reader,
        target: &target,
        threads: options.threads.max(1),
        exceptions: &exceptions,
        progress: options.progress,
        files: AtomicU64::new(0),
        damaged: AtomicU64::new(0),
        kept: AtomicU64::new(0),
    };
    let below = options.below.as_bytes();
    let mut batch = Batch::default();
    entries::each(reader, root, below, |entry| {
        if options.progress.stopping() {
            return Err(AgentError::Stopped);
        }
        tell(&exceptions, entry);
        match entry.kind {
            EntryKind::Directory => note(&exceptions, target.directory(entry)).map(|_| ()).map_err(volume)?,
            EntryKind::File if entry.flags.unreadable => {}
            EntryKind::File if batch.push(entry) => filler.fill(std::mem::take(&mut batch))?,
            _ => {}
        }
        Ok(())
    })?;
    filler.fill(batch)?;
    let (files, damaged, kept) = (filler.files, filler.damaged, filler.kept);
    let mut closing = target.close();
    entries::each(reader, root, below, |entry| {
        for exception in note(&exceptions, closing.push(entry)).map_err(volume)?.into_iter().flatten() {
            exceptions.volume(&exception);
        }
        Ok(())
    })?;
    for exception in closing.done().map_err(volume)? {
        exceptions.volume(&exception);
    }
    for exception in target.finish().map_err(volume)? {
        exceptions.volume(&exception);
    }
    let (exceptions, named) = exceptions.finish();
    Ok(RestoredVolume {
        files: files.into_inner(),
        kept: kept.into_inner(),
        damaged: damaged.into_inner(),
        exceptions,
        named,
    })
}

/// Names what was not whole when it was captured, and cannot be now.
fn tell(exceptions: &Exceptions<'_>, entry: &Entry) {
    let (flags, is_directory) = (entry.flags, entry.kind == EntryKind::Directory);
    let told = [
        (flags.unreadable && is_directory, "unreadable", "what it held could not be listed when it was captured"),
        (flags.unreadable && !is_directory, "unreadable", "its content could not be read when it was captured"),
        (flags.changed, "changed", "it was written to while it was captured; it may be torn"),
        (flags.attributes_incomplete, "xattr", "not all its attributes could be read when it was captured"),
    ];
    for (_, reason, detail) in told.into_iter().filter(|(is_so, ..)| *is_so) {
        exceptions.note(String::from_utf8_lossy(&entry.path).into_owned(), reason, detail.to_owned());
    }
}

fn note<T>(exceptions: &Exceptions<'_>, result: Result<T, VolumeError>) -> Result<Option<T>, VolumeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(VolumeError::Entry(exception)) => {
            exceptions.volume(&exception);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
