//! Lane: one worker of a capture: small files into bundles, large ones into chunks, each with what was noticed on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use firn_format::chunk::{BUNDLE_BYTES_MAX, Chunker, Rule, rule_for};
use firn_format::tree::{Entry, EntryKind, FileMapBuilder, Piece};
use firn_format::{BlobId, Counter, Progress};
use firn_repo::{Lane, RepoError};
use firn_volume::{Exception, FileReader, Found, Reason, Source, Stillness, VolumeError};

use crate::capture::cut;
use crate::capture::exceptions::Exceptions;
use crate::error::AgentError;

/// So many bytes at the front of a file decide how it is cut: as many as the rules look at.
const FIRST_BYTES: usize = 80;

/// So often a file is looked for that stood there when the walk passed: whoever replaces files by making them anew leaves
/// their names empty for a moment.
const LOOKS: u32 = 3;

/// What a lane is asked to do.
pub(crate) enum Job {
    /// Small files that become one bundle.
    Bundle(Vec<Task>),
    /// A file of its own.
    File(Box<Task>),
}

/// One file to read.
pub(crate) struct Task {
    /// Its place in the walk.
    pub(crate) number: u64,
    pub(crate) found: Found,
    /// How the parent cut it.
    pub(crate) rule: Option<Rule>,
}

/// What has become of one place in the walk.
pub(crate) struct Ready {
    pub(crate) number: u64,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// An entry that is complete, and how many names of its file may follow, itself among them.
    Entry(Entry, u32),
    /// A further name of a file.
    Later(Found),
    /// It was there and is not any more: an exception, and no entry.
    Gone,
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

fn work(shared: &Shared<'_>, lane: &mut Lane, jobs: &Receiver<Job>, ready: &Sender<Ready>) -> Result<(), AgentError> {
    let mut buffer = Vec::new();
    for job in jobs {
        let finished = match job {
            _ if shared.progress.stopping() => Err(TaskError::Stopped),
            Job::Bundle(tasks) => bundle(shared, lane, tasks, &mut buffer),
            Job::File(task) => file(shared, lane, *task, &mut buffer).map(|entry| vec![entry]),
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

/// Settles what came of a file. What concerns it alone is an exception: it goes without content, or is left out if nobody
/// could restore it, because it is not there any more.
fn settled(shared: &Shared<'_>, task: Task, done: Result<(), TaskError>) -> Result<Ready, TaskError> {
    let Task { number, found, .. } = task;
    let Found { mut entry, names, .. } = found;
    match done {
        Ok(()) => {}
        Err(TaskError::Volume(VolumeError::Entry(exception))) => {
            shared.exceptions.volume(&exception);
            if matches!(exception.reason, Reason::Vanished | Reason::Changed | Reason::OtherFilesystem) {
                return Ok(Ready { number, what: What::Gone });
            }
            entry.content.clear();
            entry.flags.unreadable = true;
        }
        Err(other) => return Err(other),
    }
    Ok(Ready { number, what: What::Entry(entry, names) })
}

/// Opens the file that stands there now, and turns the metadata into that of it.
fn open(shared: &Shared<'_>, task: &mut Task) -> Result<FileReader, TaskError> {
    let mut looks = 1;
    let reader = loop {
        match shared.source.open_file(&task.found) {
            Err(VolumeError::Entry(exception)) if exception.reason == Reason::Vanished && looks < LOOKS => looks += 1,
            opened => break opened?,
        }
    };
    let found = &mut task.found;
    if found.entry.meta.inode != reader.meta().inode {
        // Another file: what other names have is not its content.
        found.names = 1;
    }
    found.entry.meta = reader.meta();
    match reader.xattrs() {
        Ok(xattrs) => found.entry.xattrs = xattrs,
        Err(VolumeError::Entry(exception)) => {
            shared.exceptions.volume(&exception);
            found.entry.flags.attributes_incomplete = true;
        }
        Err(other) => return Err(other.into()),
    }
    Ok(reader)
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

/// Reads a file that the walk took for a further name of one that is not in the tree.
pub(crate) fn read_again(
    shared: &Shared<'_>,
    lane: &mut Lane,
    number: u64,
    mut found: Found,
) -> Result<Ready, AgentError> {
    found.entry.kind = EntryKind::File;
    found.entry.target.clear();
    file(shared, lane, Task { number, found, rule: None }, &mut Vec::new()).map_err(|error| shared.stop(error))
}

fn file(shared: &Shared<'_>, lane: &mut Lane, mut task: Task, buffer: &mut Vec<u8>) -> Result<Ready, TaskError> {
    let done = read(shared, lane, &mut task, buffer);
    settled(shared, task, done)
}

fn read(shared: &Shared<'_>, lane: &mut Lane, task: &mut Task, buffer: &mut Vec<u8>) -> Result<(), TaskError> {
    let reader = open(shared, task)?;
    let rule = match task.rule {
        Some(Rule::Bundle) | None => choose(&reader, &task.found.entry.path)?,
        Some(rule) => rule,
    };
    let mut on_read = |bytes| {
        shared.count(bytes);
        !shared.progress.stopping()
    };
    let how = cut::How { rule, chunker: &shared.chunker };
    let pieces = cut::file(lane, &reader, how, buffer, &mut on_read)?;
    let entry = &mut task.found.entry;
    let read = pieces.iter().map(Piece::len).sum();
    settle(shared, entry, reader, read)?;
    entry.chunker = Some(rule);
    let too_many = |error| match error {
        RepoError::Format(fault) => {
            let detail = format!("data and holes take turns too often: {fault}");
            TaskError::Volume(VolumeError::Entry(Exception::new(&*task.found.entry.path, Reason::Unreadable, detail)))
        }
        other => TaskError::Repo(other),
    };
    let mut map = FileMapBuilder::default();
    for piece in pieces {
        map.push(piece, lane).map_err(too_many)?;
    }
    task.found.entry.content = map.finish(lane)?;
    Ok(())
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
            if let What::Entry(entry, _) = &mut ready.what {
                name_bundle(entry, id, bytes.len());
            }
        }
    }
    *buffer = bytes;
    Ok(out)
}

/// Reads one small file to the end of the bundle.
fn append(shared: &Shared<'_>, lane: &mut Lane, mut task: Task, bytes: &mut Vec<u8>) -> Result<Ready, TaskError> {
    let start = bytes.len();
    let done = match append_small(shared, &mut task, bytes) {
        Ok(Fit::Taken) => Ok(()),
        Ok(Fit::OfItsOwn) => return file(shared, lane, task, &mut Vec::new()),
        Err(error) => {
            bytes.truncate(start);
            Err(error)
        }
    };
    settled(shared, task, done)
}

/// Whether a file went into a bundle.
enum Fit {
    Taken,
    /// A bundle has no room for holes, nor for a file that grew since the walk passed.
    OfItsOwn,
}

fn append_small(shared: &Shared<'_>, task: &mut Task, bytes: &mut Vec<u8>) -> Result<Fit, TaskError> {
    let reader = open(shared, task)?;
    let has_holes = reader.extents().any(|extent| extent.is_ok_and(|extent| extent.hole));
    if has_holes || bytes.len() as u64 + reader.size() > 2 * BUNDLE_BYTES_MAX as u64 {
        return Ok(Fit::OfItsOwn);
    }
    let start = bytes.len();
    bytes.resize(start + reader.size() as usize, 0);
    let got = reader.read_at(&mut bytes[start..], 0)?;
    bytes.truncate(start + got);
    shared.count(got as u64);
    let entry = &mut task.found.entry;
    settle(shared, entry, reader, got as u64)?;
    entry.chunker = Some(Rule::Bundle);
    if got > 0 {
        // The id follows when the bundle is whole.
        entry.content = vec![Piece::Slice { id: UNNAMED, offset: start as u32, len: got as u32 }];
    }
    Ok(Fit::Taken)
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
