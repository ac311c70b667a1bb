//! Capture of objects: each an entry of one tree, their texts in bundles per namespace.

use std::collections::{BTreeMap, HashMap, HashSet};

use firn_format::chunk::{BUNDLE_BYTES_MAX, Rule};
use firn_format::object::{OBJECTS_ROOT, ObjectKey};
use firn_format::tree::{Entry, EntryKind, PathFault, Piece, TreeBuilder, TreeReader, TreeRoot, check_path, path_cmp};
use firn_format::{BLOB_BYTES_MAX, BlobId, Counter, Exception, Progress, TimeMs};
use firn_repo::{Lane, Nodes, Part, RepoError};

use crate::capture::volume::ParentTree;
use crate::error::AgentError;

/// Texts held in open bundles at most, over all namespaces; beyond it the largest bundle is closed early.
const OPEN_BYTES_MAX: usize = 16 << 20;

/// Takes objects in any order.
pub struct ObjectCapture<'a> {
    lane: Lane,
    progress: &'a dyn Progress,
    known: HashMap<Vec<u8>, Entry>,
    entries: Vec<Entry>,
    open: BTreeMap<String, Bundle>,
    open_bytes: usize,
    exceptions: Vec<Exception>,
    /// When the parent's objects were captured, if any of them were taken over.
    parent_cut_ms: Option<TimeMs>,
    has_carried: bool,
}

/// Texts of one namespace that become one chunk.
#[derive(Default)]
struct Bundle {
    bytes: Vec<u8>,
    /// Which entries, by number.
    entries: Vec<usize>,
}

/// What came of it.
#[derive(Debug)]
pub struct CapturedObjects {
    /// The tree.
    pub root: TreeRoot,
    /// How many objects.
    pub objects: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Objects that no point can hold: left out. Whoever commits the point must name them in it.
    pub exceptions: Vec<Exception>,
    /// When the oldest objects among them were captured, if any were carried: then this is the time of the whole mount.
    pub carried_cut_ms: Option<TimeMs>,
}

impl<'a> ObjectCapture<'a> {
    /// A capture that stores only what differs from the parent.
    ///
    /// # Errors
    /// The part cannot be written to. A parent that cannot be read is noted and done without.
    pub fn new(part: &Part, parent: Option<ParentTree>, progress: &'a dyn Progress) -> Result<Self, AgentError> {
        let parent_cut_ms = parent.as_ref().map(|parent| parent.cut_ms);
        let known = match parent.map(load) {
            None => HashMap::new(),
            Some(Ok(known)) => known,
            Some(Err(error)) => {
                progress
                    .note(&format!("the objects of the point before cannot be read ({error}); all are stored again"));
                HashMap::new()
            }
        };
        let lane = part.lane()?;
        Ok(Self {
            lane,
            progress,
            known,
            entries: Vec::new(),
            open: BTreeMap::new(),
            open_bytes: 0,
            exceptions: Vec::new(),
            parent_cut_ms,
            has_carried: false,
        })
    }

    /// Takes one object: its canonical JSON under its key. One that is taken again replaces the one before; one that no
    /// point can hold is an exception of [`CapturedObjects`].
    ///
    /// # Errors
    /// `Stopped` if the progress asks for that; what was taken so far is stored then.
    pub fn push(&mut self, key: &ObjectKey, text: &[u8]) -> Result<(), AgentError> {
        if self.progress.stopping() {
            self.lane.finish()?;
            return Err(AgentError::Stopped);
        }
        self.progress.add(Counter::Entries, 1);
        self.progress.add(Counter::Bytes, text.len() as u64);
        let path = relative(key);
        if let Some(fault) = fault(&path, text) {
            self.exceptions.push(Exception {
                path: String::from_utf8_lossy(&path).into_owned(),
                reason: "invalid".to_owned(),
                detail: fault.to_owned(),
                mount: OBJECTS_ROOT.to_owned(),
            });
            return Ok(());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.lane.writer().keys().chunk_id(text).0[..16]);
        if let Some(old) = self.known.get(&path)
            && old.digest == Some(digest)
            && old.content.iter().all(|piece| self.refer(piece))
        {
            let mut entry = old.clone();
            entry.flags.carried = false;
            self.entries.push(entry);
            return Ok(());
        }
        let mut entry = Entry::new(path, EntryKind::Object);
        entry.size = text.len() as u64;
        entry.digest = Some(digest);
        entry.chunker = Some(Rule::Bundle);
        let number = self.entries.len();
        if text.len() > BUNDLE_BYTES_MAX {
            let id = self.lane.put_chunk(text)?;
            entry.content = vec![Piece::Chunk { id, len: text.len() as u32 }];
        } else if !text.is_empty() {
            entry.content = self.bundle(key.namespace.as_deref().unwrap_or_default(), number, text)?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Takes over from the parent all objects whose path, relative to the mount, begins with `prefix` and that were not
    /// taken already: a kind that could not be listed, or not to its end. Returns how many.
    pub fn carry(&mut self, prefix: &str) -> u64 {
        let taken: HashSet<&[u8]> = self.entries.iter().map(|entry| entry.path.as_slice()).collect();
        let mut carried = Vec::new();
        for (path, entry) in &self.known {
            let is_wanted = path.starts_with(prefix.as_bytes()) && !taken.contains(path.as_slice());
            if is_wanted && entry.content.iter().all(|piece| self.refer(piece)) {
                let mut entry = entry.clone();
                entry.flags.carried = true;
                carried.push(entry);
            }
        }
        let count = carried.len() as u64;
        self.has_carried |= count > 0;
        self.entries.extend(carried);
        count
    }

    fn refer(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Chunk { id, .. } | Piece::Slice { id, .. } => self.lane.writer().refer(id),
            Piece::Hole { .. } | Piece::Map { .. } => false,
        }
    }

    /// Adds to the namespace's bundle. The piece has no id until the bundle is closed.
    fn bundle(&mut self, namespace: &str, number: usize, text: &[u8]) -> Result<Vec<Piece>, AgentError> {
        if self.open.get(namespace).is_some_and(|bundle| bundle.bytes.len() + text.len() > BUNDLE_BYTES_MAX) {
            self.close(namespace)?;
        }
        if self.open_bytes + text.len() > OPEN_BYTES_MAX {
            let largest = self.open.iter().max_by_key(|(_, bundle)| bundle.bytes.len()).map(|(name, _)| name.clone());
            if let Some(largest) = largest {
                self.close(&largest)?;
            }
        }
        let bundle = self.open.entry(namespace.to_owned()).or_default();
        let offset = bundle.bytes.len() as u32;
        bundle.bytes.extend_from_slice(text);
        bundle.entries.push(number);
        self.open_bytes += text.len();
        Ok(vec![Piece::Slice { id: BlobId([0; 32]), offset, len: text.len() as u32 }])
    }

    fn close(&mut self, namespace: &str) -> Result<(), AgentError> {
        let Some(bundle) = self.open.remove(namespace) else { return Ok(()) };
        self.open_bytes -= bundle.bytes.len();
        let chunk = self.lane.put_chunk(&bundle.bytes)?;
        for number in bundle.entries {
            let Some(entry) = self.entries.get_mut(number) else { continue };
            for piece in &mut entry.content {
                if let Piece::Slice { id, .. } = piece {
                    *id = chunk;
                }
            }
        }
        Ok(())
    }

    /// Builds the tree.
    ///
    /// # Errors
    /// The part cannot be written to.
    pub fn finish(mut self) -> Result<CapturedObjects, AgentError> {
        let names: Vec<_> = self.open.keys().cloned().collect();
        for namespace in names {
            self.close(&namespace)?;
        }
        // Of one that was taken twice the last counts; what is carried never comes before what was taken.
        self.entries.reverse();
        self.entries.sort_by(|a, b| path_cmp(&a.path, &b.path).then(a.flags.carried.cmp(&b.flags.carried)));
        self.entries.dedup_by(|later, first| later.path == first.path);
        let mut tree = TreeBuilder::new(self.lane.writer().keys().node_id_key());
        let objects = self.entries.len() as u64;
        for entry in std::mem::take(&mut self.entries) {
            tree.push(&entry, &mut self.lane)?;
        }
        let root = tree.finish(&mut self.lane)?;
        self.lane.finish()?;
        let carried_cut_ms = self.parent_cut_ms.filter(|_| self.has_carried);
        Ok(CapturedObjects { root, objects, bytes: root.bytes, exceptions: self.exceptions, carried_cut_ms })
    }
}

/// Why no point can hold this object, if none can.
fn fault(path: &[u8], text: &[u8]) -> Option<&'static str> {
    let too_long = text.len() > BLOB_BYTES_MAX;
    check_path(path).err().map(PathFault::sentence).or_else(|| too_long.then_some("its text is longer than 8 MiB"))
}

/// The object's path within the mount `objects`.
fn relative(key: &ObjectKey) -> Vec<u8> {
    let path = key.path();
    path.strip_prefix(OBJECTS_ROOT).and_then(|path| path.strip_prefix('/')).unwrap_or(&path).as_bytes().to_vec()
}

fn load(parent: ParentTree) -> Result<HashMap<Vec<u8>, Entry>, RepoError> {
    let mut known = HashMap::new();
    let mut tree = TreeReader::new(parent.root, Nodes(parent.reader));
    while let Some(entry) = tree.next_entry()? {
        known.insert(entry.path.clone(), entry.clone());
    }
    Ok(known)
}
