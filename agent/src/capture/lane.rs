//! Lane: one worker of a capture: small files into bundles, large ones into chunks, each with what was noticed on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use firn_format::chunk::{BUNDLE_BYTES_MAX, Chunker, Rule, rule_for};
use firn_format::tree::{Entry, FileMapBuilder, Piece};
use firn_format::{BlobId, Counter, Progress};
use firn_repo::{Lane, RepoError};
use firn_volume::{Exception, FileReader, Found, Reason, Source, Stillness, VolumeError};

use crate::capture::cut;
use crate::capture::exceptions::Exceptions;
use crate::error::AgentError;

/// So many bytes at the front of a file decide how it is cut.
const FIRST_BYTES: usize = 64;

/// What a lane is asked to do.
pub(crate) enum Job {
    /// Small files that become one bundle.
    Bundle(Vec<Task>),
    /// A file of its own.
    File(Task),
}

/// One file to read.
pub(crate) struct Task {
    /// Its place in the walk.
    pub(crate) number: u64,
    pub(crate) found: Found,
    /// How the parent cut it.
    pub(crate) rule: Option<Rule>,
}

/// An entry that is complete.
pub(crate) struct Ready {
    pub(crate) number: u64,
    pub(crate) entry: Entry,
}

/// Why a file, or all of it, cannot go on.
pub(crate) enum TaskError {
    Volume(VolumeError),
    Repo(RepoError),
    Stopped,
}

impl From<VolumeError> for TaskError {
    fn from(source: VolumeError) -> Self {
        Self::Volume(source)
    }
}

impl From<RepoError> for TaskError {
    fn from(source: RepoError) -> Self {
        Self::Repo(source)
    }
}

/// What all lanes of one capture share.
pub(crate) struct Shared<'a> {
    pub(crate) name: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) chunker: Chunker,
    pub(crate) node_id_key: &'a [u8; 32],
    pub(crate) exceptions: &'a Exceptions<'a>,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) read: &'a AtomicU64,
}

impl Shared<'_> {
    fn count(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        self.progress.add(Counter::Bytes, bytes);
    }

    pub(crate) fn stop(&self, error: TaskError) -> AgentError {
        match error {
            TaskError::Volume(source) => AgentError::Volume { name: self.name.to_owned(), source },
            TaskError::Repo(source) => source.into(),
            TaskError::Stopped => AgentError::Stopped,
        }
    }
}

/// Works until there are no more jobs, or until it is to stop. However it ends, what it read is stored: the session takes it
/// for known from then on.
pub(crate) fn run(
    shared: &Shared<'_>,
    mut lane: Lane,
    jobs: &Receiver<Job>,
    ready: &Sender<Ready>,
) -> Result<(), AgentError> {
    let worked = work(shared, &mut lane, jobs, ready);
    let finished = lane.finish();
    worked?;
    Ok(finished?)
}

fn work(
    shared: &Shared<'_>,
    lane: &mut Lane,
    jobs: &Receiver<Job>,
    ready: &Sender<Ready>,
) -> Result<(), AgentError> {
    let mut buffer = Vec::new();
    for job in jobs {
        let finished = match job {
            _ if shared.progress.stopping() => Err(TaskError::Stopped),
            Job::Bundle(tasks) => bundle(shared, lane, tasks, &mut buffer),
            Job::File(task) => file(shared, lane, task, &mut buffer).map(|entry| vec![entry]),
        };
        for entry in finished.map_err(|error| shared.stop(error))? {
            if ready.send(entry).is_err() {
                // The collector has stopped and says why.
                return Ok(());
            }
        }
    }
    Ok(())
}

/// An entry whose content could not be read at all.
fn unreadable(shared: &Shared<'_>, task: Task, exception: &Exception) -> Ready {
    shared.exceptions.volume(exception);
    let mut entry = task.found.entry;
    entry.flags.unreadable = true;
    Ready { number: task.number, entry }
}

/// Reads attributes, and turns the metadata into that of the file that was opened.
fn open(shared: &Shared<'_>, task: &mut Task) -> Result<Result<FileReader, Exception>, TaskError> {
    let reader = match shared.source.open_file(&task.found) {
        Ok(reader) => reader,
        Err(VolumeError::Entry(exception)) => return Ok(Err(exception)),
        Err(other) => return Err(other.into()),
    };
    let entry = &mut task.found.entry;
    entry.meta = reader.meta();
    match reader.xattrs() {
        Ok(xattrs) => entry.xattrs = xattrs,
        Err(VolumeError::Entry(exception)) => shared.exceptions.volume(&exception),
        Err(other) => return Err(other.into()),
    }
    Ok(Ok(reader))
}

/// Notes a file that did not hold still. What was read is kept.
fn settle(shared: &Shared<'_>, entry: &mut Entry, reader: FileReader, read: u64) -> Result<(), TaskError> {
    let short = read != reader.size();
    if reader.finish()? == Stillness::Changed || short {
        entry.flags.changed = true;
        shared.exceptions.volume(&Exception::new(
            entry.path.clone(),
            Reason::Changed,
            "it was written to while it was read; what is kept may be torn",
        ));
    }
    entry.size = read;
    Ok(())
}

fn file(shared: &Shared<'_>, lane: &mut Lane, mut task: Task, buffer: &mut Vec<u8>) -> Result<Ready, TaskError> {
    let reader = match open(shared, &mut task)? {
        Ok(reader) => reader,
        Err(exception) => return Ok(unreadable(shared, task, &exception)),
    };
    let rule = match task.rule {
        Some(Rule::Bundle) | None => choose(&reader, &task.found.entry.path)?,
        Some(rule) => rule,
    };
    let mut on_read = |bytes| {
        shared.count(bytes);
        !shared.progress.stopping()
    };
    let how = cut::How { rule, chunker: &shared.chunker };
    let pieces = match cut::file(lane, &reader, how, buffer, &mut on_read) {
        Ok(pieces) => pieces,
        Err(TaskError::Volume(VolumeError::Entry(exception))) => return Ok(unreadable(shared, task, &exception)),
        Err(other) => return Err(other),
    };
    let entry = &mut task.found.entry;
    let read = pieces.iter().map(Piece::len).sum();
    settle(shared, entry, reader, read)?;
    entry.chunker = Some(rule);
    let mut map = FileMapBuilder::default();
    for piece in pieces {
        map.push(piece, lane)?;
    }
    entry.content = map.finish(lane)?;
    Ok(Ready { number: task.number, entry: task.found.entry })
}

fn choose(reader: &FileReader, path: &[u8]) -> Result<Rule, TaskError> {
    let mut first = [0; FIRST_BYTES];
    let got = reader.read_at(&mut first, 0)?;
    Ok(match rule_for(path, reader.size(), &first[..got]) {
        Rule::Bundle => Rule::MinCdc,
        rule => rule,
    })
}

fn bundle(
    shared: &Shared<'_>,
    lane: &mut Lane,
    tasks: Vec<Task>,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Ready>, TaskError> {
    let mut bytes = std::mem::take(buffer);
    bytes.clear();
    let mut out = Vec::with_capacity(tasks.len());
    for task in tasks {
        out.push(append(shared, lane, task, &mut bytes)?);
    }
    if !bytes.is_empty() {
        let id = lane.put_chunk(&bytes)?;
        for ready in &mut out {
            name_bundle(&mut ready.entry, id, bytes.len());
        }
    }
    *buffer = bytes;
    Ok(out)
}

/// Reads one small file to the end of the bundle.
fn append(shared: &Shared<'_>, lane: &mut Lane, mut task: Task, bytes: &mut Vec<u8>) -> Result<Ready, TaskError> {
    let reader = match open(shared, &mut task)? {
        Ok(reader) => reader,
        Err(exception) => return Ok(unreadable(shared, task, &exception)),
    };
    let size = reader.size() as usize;
    let has_holes = reader.extents().any(|extent| extent.is_ok_and(|extent| extent.hole));
    if has_holes || bytes.len() + size > 2 * BUNDLE_BYTES_MAX {
        // A bundle has no room for holes, nor for a file that grew since the walk passed.
        drop(reader);
        return file(shared, lane, task, &mut Vec::new());
    }
    let start = bytes.len();
    bytes.resize(start + size, 0);
    let got = match reader.read_at(&mut bytes[start..], 0) {
        Ok(got) => got,
        Err(VolumeError::Entry(exception)) => {
            bytes.truncate(start);
            return Ok(unreadable(shared, task, &exception));
        }
        Err(other) => return Err(other.into()),
    };
    bytes.truncate(start + got);
    shared.count(got as u64);
    let entry = &mut task.found.entry;
    settle(shared, entry, reader, got as u64)?;
    entry.chunker = Some(Rule::Bundle);
    if got > 0 {
        // The id follows when the bundle is whole.
        entry.content = vec![Piece::Slice { id: UNNAMED, offset: start as u32, len: got as u32 }];
    }
    Ok(Ready { number: task.number, entry: task.found.entry })
}

const UNNAMED: BlobId = BlobId([0; 32]);

fn name_bundle(entry: &mut Entry, bundle: BlobId, bytes: usize) {
    for piece in &mut entry.content {
        if let Piece::Slice { id, len, .. } = piece
            && *id == UNNAMED
        {
            *id = bundle;
            if *len as usize == bytes {
                *piece = Piece::Chunk { id: bundle, len: *len };
            }
        }
    }
}
