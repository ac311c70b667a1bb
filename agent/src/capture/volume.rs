//! Capture of one volume: a thread walks, lanes read and store, the caller's thread builds the tree in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crossbeam_channel::Receiver;
use firn_format::chunk::Chunker;
use firn_format::tree::{Entry, Reference, TreeBuilder, TreeRoot, walk_nodes};
use firn_format::{BlobId, Counter, Exception, Progress, TimeMs};
use firn_repo::{Lane, Nodes, Part, Reader};
use firn_volume::{Source, VolumeError};
use parking_lot::{Condvar, Mutex};

use crate::capture::exceptions::Exceptions;
use crate::capture::lane::{self, Ready, Shared, What};
use crate::capture::links::Links;
use crate::capture::parent::Parent;
use crate::capture::walk::Walk;
use crate::error::AgentError;

/// So many entries may be under way between the walk and the tree: enough to go on past a large file, and at less than
/// a kilobyte each no more than 32 MiB.
const WINDOW_ENTRIES: u64 = 32_768;

/// Jobs that wait for a lane. Each holds at most a bundle's worth of paths.
const JOBS: usize = 32;

/// Entries that wait for the tree.
const READY: usize = 1024;

/// How a volume is captured.
pub struct CaptureOptions<'a> {
    /// Where it lies in the point: `volumes/<namespace>/<claim>`.
    pub mount: &'a str,
    /// The same mount in the point before.
    pub parent: Option<ParentTree>,
    /// How many lanes read and store.
    pub lanes: usize,
    /// Who is told how far it is.
    pub progress: &'a dyn Progress,
}

/// A mount of the point before.
pub struct ParentTree {
    /// Reads its nodes.
    pub reader: Arc<Reader>,
    /// Its root node.
    pub root: BlobId,
    /// When that capture began.
    pub cut_ms: TimeMs,
}

/// What came of a capture.
#[derive(Debug)]
pub struct CapturedVolume {
    /// The tree.
    pub root: TreeRoot,
    /// Bytes of content that were read; what the parent already has is not.
    pub bytes_read: u64,
    /// How many exceptions there were.
    pub exceptions: u64,
    /// Those that are named.
    pub named: Vec<Exception>,
}

/// Captures the directory at `path` into the part.
///
/// # Guarantees
/// Every entry below `path` is in the tree or is an exception; a file that could not be read, or changed while it was, is
/// in the tree and is an exception. What equals the parent's entry by inode, size and times is not read, unless it was written
/// within a minute of the parent's cut or lies in a file system in memory.
///
/// What was written through a memory mapping is brought to disk first, so that it shows in the times of its file the next
/// time. Not seen are changes that give a file no new time: by whoever sets the clock back, on a file system whose server does
/// not change them, or on a block device beneath the file system.
///
/// # Errors
/// `Stopped` if the progress asks for that. Else only what concerns the whole volume or the repository. Work done stays in
/// the part.
pub fn capture_volume(part: &Part, path: &Path, options: CaptureOptions<'_>) -> Result<CapturedVolume, AgentError> {
    let name = options.mount;
    let volume = |source: VolumeError| AgentError::Volume { name: name.to_owned(), source };
    let source = Source::open(path).map_err(volume)?;
    let exceptions = Exceptions::new(name, options.progress);
    let chunker = Chunker::new(part.writer().keys().chunker());
    let node_id_key = part.writer().keys().node_id_key();
    let progress = options.progress;
    let read = AtomicU64::new(0);
    let shared = Shared { name, source: &source, chunker, node_id_key, exceptions: &exceptions, progress, read: &read };
    let window = Window::default();
    // Also without a parent: the next capture relies on the times from here on.
    let times_tell = flush(&source, progress);
    let parent = options.parent.map(|tree| Parent::new(tree.reader, tree.root, tree.cut_ms, times_tell));
    let mut tree_lane = part.lane()?;
    let lanes = (0..options.lanes.max(1)).map(|_| part.lane()).collect::<Result<Vec<_>, _>>()?;
    let root = std::thread::scope(|scope| {
        let (jobs, todo) = crossbeam_channel::bounded(JOBS);
        let (ready, done) = crossbeam_channel::bounded(READY);
        let mut threads = Vec::new();
        let spawn = |name: String| std::thread::Builder::new().name(name);
        let dead = |_| AgentError::Worker { name: name.to_owned() };
        for (n, lane) in lanes.into_iter().enumerate() {
            let (shared, todo, ready) = (&shared, todo.clone(), ready.clone());
            let work = move || lane::run(shared, lane, &todo, &ready);
            threads.push(spawn(format!("firn-lane-{n}")).spawn_scoped(scope, work).map_err(dead)?);
        }
        drop(todo);
        let walk = Walk {
            shared: &shared,
            writer: part.writer(),
            parent,
            window: &window,
            jobs,
            ready,
            bundle: Vec::new(),
            bundle_bytes: 0,
            number: 0,
        };
        threads.push(spawn("firn-walk".into()).spawn_scoped(scope, move || walk.run()).map_err(dead)?);
        let built = build(&shared, &mut tree_lane, done, &window);
        window.close();
        let mut failure = None;
        for thread in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(_) => failure = failure.or(Some(AgentError::Worker { name: name.to_owned() })),
            }
        }
        failure.map_or(built, Err)
    });
    // Also of a tree that is not whole: the session takes its nodes for known from now on.
    let finished = tree_lane.finish();
    let root = root?;
    finished?;
    let (exceptions, named) = exceptions.finish();
    Ok(CapturedVolume { root, bytes_read: read.into_inner(), exceptions, named })
}

/// Whether the times of files tell of every change from here on. What cannot be told is read again.
fn flush(source: &Source, progress: &dyn Progress) -> bool {
    source.flush().unwrap_or_else(|error| {
        progress.note(&format!("the volume cannot be brought to disk ({error}); all of it is read again"));
        false
    })
}

/// Takes a tree of the point before over as it is: refers to all that it consists of. `false` if any of it is not known any
/// more.
///
/// # Errors
/// A node that cannot be read.
pub fn carry_tree(part: &Part, root: BlobId) -> Result<bool, AgentError> {
    let mut nodes = Nodes(part.reader().clone());
    let mut known = true;
    walk_nodes(root, &mut nodes, |reference| {
        let (Reference::Node(id) | Reference::Chunk(id)) = reference;
        known &= part.writer().refer(&id);
        known
    })?;
    Ok(known)
}

/// Puts entries in order and builds the tree of them.
fn build(
    shared: &Shared<'_>,
    lane: &mut Lane,
    ready: Receiver<Ready>,
    window: &Window,
) -> Result<TreeRoot, AgentError> {
    let mut tree = TreeBuilder::new(shared.node_id_key);
    let mut links = Links::default();
    let mut early: BTreeMap<u64, What> = BTreeMap::new();
    let mut next = 0;
    for Ready { number, what } in ready {
        early.insert(number, what);
        let first = next;
        while let Some(what) = early.remove(&next) {
            if let Some(entry) = entry_of(shared, lane, &mut links, next, what)? {
                tree.push(&entry, lane)?;
            }
            next += 1;
        }
        if next > first {
            shared.progress.add(Counter::Entries, next - first);
            window.advance(next);
        }
    }
    if !early.is_empty() {
        return Err(AgentError::Worker { name: shared.name.to_owned() });
    }
    Ok(tree.finish(lane)?)
}

/// What goes into the tree. Later names repeat their first; if that is not in the tree, the next name is the file. What no
/// tree can hold is an exception.
fn entry_of(
    shared: &Shared<'_>,
    lane: &mut Lane,
    links: &mut Links,
    number: u64,
    what: What,
) -> Result<Option<Entry>, AgentError> {
    let (walked, entry, names) = match what {
        What::Gone => return Ok(None),
        What::Entry(entry, names) => (entry.path.clone(), entry, names),
        What::Later(mut found) => {
            let walked = found.entry.target.clone();
            if links.later(&mut found.entry) {
                (walked, found.entry, 1)
            } else {
                match lane::read_again(shared, lane, number, found)?.what {
                    What::Entry(entry, names) => (walked, entry, names),
                    What::Later(_) | What::Gone => return Ok(None),
                }
            }
        }
    };
    if let Some(fault) = entry.fault() {
        shared.exceptions.note(String::from_utf8_lossy(&entry.path).into_owned(), "invalid", fault.to_owned());
        return Ok(None);
    }
    links.first(walked, &entry, names);
    Ok(Some(entry))
}

/// Keeps the walk from running away from the tree.
#[derive(Default)]
pub(crate) struct Window {
    state: Mutex<(u64, bool)>,
    moved: Condvar,
}

impl Window {
    /// Whether entry `number` may be begun now.
    pub(crate) fn has_room(&self, number: u64) -> bool {
        number < self.state.lock().0 + WINDOW_ENTRIES
    }

    /// Waits until entry `number` may be begun; `false` if nobody builds any more.
    pub(crate) fn wait(&self, number: u64) -> bool {
        let mut state = self.state.lock();
        while !state.1 && number >= state.0 + WINDOW_ENTRIES {
            self.moved.wait(&mut state);
        }
        !state.1
    }

    fn advance(&self, built: u64) {
        self.state.lock().0 = built;
        self.moved.notify_all();
    }

    fn close(&self) {
        self.state.lock().1 = true;
        self.moved.notify_all();
    }
}
