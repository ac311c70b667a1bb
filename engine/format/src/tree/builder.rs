//! Entries in, nodes out: builds a tree in one pass, in the memory of one leaf and one inner node a level.

use super::entry::{Entry, EntryKind};
use super::node::{CHILDREN_MAX, CLOSE_BYTES, Child, inner_bytes, leaf_bytes};
use super::order::{is_below, path_cmp};
use super::wire::{IdTable, put_entry};
use crate::{BlobId, FormatError};

/// A leaf ends before an entry whose hash is a multiple of this: a thousand entries a leaf on average.
const LEAF_BORDER: u64 = 1024;
/// Most entries of a leaf.
const LEAF_ENTRIES_MAX: usize = 4096;
/// What a child is counted with beside its path when an inner node is closed for its size.
const CHILD_BYTES: usize = 64;

/// Where finished nodes go. It is told every node of the tree, whether it was stored before or not: leaving out what
/// is known is its own business.
pub trait NodeSink {
    /// What can go wrong while storing.
    type Error: From<FormatError>;

    /// Takes a node's plain bytes and gives its id.
    fn put_node(&mut self, plain: Vec<u8>) -> Result<BlobId, Self::Error>;
}

impl<S: NodeSink> NodeSink for &mut S {
    type Error = S::Error;

    fn put_node(&mut self, plain: Vec<u8>) -> Result<BlobId, S::Error> {
        (**self).put_node(plain)
    }
}

/// A finished tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeRoot {
    /// The root node.
    pub id: BlobId,
    /// Entries in the tree.
    pub entries: u64,
    /// Sum of their sizes, or the largest number if it is more.
    pub bytes: u64,
}

/// Builds a tree from entries that come in the order of [`path_cmp`]. The same entries under the same key give the
/// same nodes.
pub struct TreeBuilder {
    node_id_key: [u8; 32],
    leaf: LeafDraft,
    /// Index 0 is level 1.
    inner: Vec<InnerDraft>,
    /// Path and kind of the entry before.
    last: Option<(Vec<u8>, EntryKind)>,
}

#[derive(Default)]
struct LeafDraft {
    entries: Vec<u8>,
    table: IdTable,
    count: usize,
    bytes: u64,
    first: Vec<u8>,
    first_hash: u64,
}

#[derive(Default)]
struct InnerDraft {
    children: Vec<Child>,
    weight: usize,
    /// Whether a node of this level has been closed.
    closed_one: bool,
}

impl TreeBuilder {
    /// An empty tree that is divided into nodes with the domain's node id key.
    pub fn new(node_id_key: &[u8; 32]) -> Self {
        Self { node_id_key: *node_id_key, leaf: LeafDraft::default(), inner: Vec::new(), last: None }
    }

    /// Adds the next entry. Fails without effect if it is not after the one before, lies below what is no directory,
    /// or breaks a rule itself ([`Entry::fault`]); a failure of the sink leaves the builder of no use.
    pub fn push<S: NodeSink>(&mut self, entry: &Entry, sink: &mut S) -> Result<(), S::Error> {
        self.check(entry)?;
        let hash = path_hash(&self.node_id_key, &entry.path);
        if self.leaf.count >= LEAF_ENTRIES_MAX || (self.leaf.count > 0 && hash.is_multiple_of(LEAF_BORDER)) {
            self.close_leaf(sink)?;
        }
        let (entries_len, table_len) = (self.leaf.entries.len(), self.leaf.table.joined.len());
        self.put(entry);
        if self.leaf.count > 0 && self.leaf.entries.len() + self.leaf.table.joined.len() > CLOSE_BYTES {
            self.leaf.entries.truncate(entries_len);
            self.leaf.table.truncate(table_len);
            self.close_leaf(sink)?;
            self.put(entry);
        }
        if self.leaf.count == 0 {
            self.leaf.first.clone_from(&entry.path);
            self.leaf.first_hash = hash;
        }
        self.leaf.count += 1;
        self.leaf.bytes = self.leaf.bytes.saturating_add(entry.size);
        let (path, kind) = self.last.get_or_insert_default();
        path.clone_from(&entry.path);
        *kind = entry.kind;
        Ok(())
    }

    /// Closes all open nodes. A tree without entries is one empty leaf.
    pub fn finish<S: NodeSink>(mut self, sink: &mut S) -> Result<TreeRoot, S::Error> {
        self.close_leaf(sink)?;
        let mut index = 0;
        loop {
            let draft = &mut self.inner[index];
            if !draft.closed_one
                && let [only] = draft.children.as_slice()
            {
                return Ok(TreeRoot { id: only.id, entries: only.entries, bytes: only.bytes });
            }
            self.close_inner(index, sink)?;
            index += 1;
        }
    }

    fn check(&self, entry: &Entry) -> Result<(), FormatError> {
        let fault = entry.fault().or_else(|| {
            let (last, kind) = self.last.as_ref()?;
            if path_cmp(last, &entry.path).is_ge() {
                return Some("out of order");
            }
            let misplaced = *kind != EntryKind::Directory && is_below(&entry.path, last);
            misplaced.then_some("below what is no directory")
        });
        match fault {
            Some(fault) => {
                Err(FormatError::damaged(format!("new tree entry {:?}", String::from_utf8_lossy(&entry.path)), fault))
            }
            None => Ok(()),
        }
    }

    fn put(&mut self, entry: &Entry) {
        let before = match &self.last {
            Some((path, _)) if self.leaf.count > 0 => path.as_slice(),
            _ => &[],
        };
        put_entry(&mut self.leaf.entries, &mut self.leaf.table, before, entry);
    }

    fn close_leaf<S: NodeSink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let leaf = &mut self.leaf;
        let plain = leaf_bytes(&leaf.table.joined, leaf.count, &leaf.entries);
        let id = sink.put_node(plain)?;
        let child = Child { first: std::mem::take(&mut leaf.first), id, entries: leaf.count as u64, bytes: leaf.bytes };
        let hash = leaf.first_hash;
        leaf.entries.clear();
        leaf.table.clear();
        (leaf.count, leaf.bytes) = (0, 0);
        self.add_child(0, child, hash, sink)
    }

    fn add_child<S: NodeSink>(&mut self, index: usize, child: Child, hash: u64, sink: &mut S) -> Result<(), S::Error> {
        if self.inner.len() <= index {
            self.inner.push(InnerDraft::default());
        }
        let draft = &self.inner[index];
        let weight = child.first.len() + CHILD_BYTES;
        let full = draft.children.len() >= CHILDREN_MAX || draft.weight + weight > CLOSE_BYTES;
        if !draft.children.is_empty() && (full || is_inner_border(index, hash)) {
            self.close_inner(index, sink)?;
        }
        let draft = &mut self.inner[index];
        draft.children.push(child);
        draft.weight += weight;
        Ok(())
    }

    fn close_inner<S: NodeSink>(&mut self, index: usize, sink: &mut S) -> Result<(), S::Error> {
        let draft = &mut self.inner[index];
        let children = std::mem::take(&mut draft.children);
        draft.weight = 0;
        draft.closed_one = true;
        let plain = inner_bytes(index as u8 + 1, &children);
        let id = sink.put_node(plain)?;
        let (mut entries, mut bytes) = (0, 0_u64);
        for child in &children {
            entries += child.entries;
            bytes = bytes.saturating_add(child.bytes);
        }
        let first = children.into_iter().next().map(|child| child.first).unwrap_or_default();
        let hash = path_hash(&self.node_id_key, &first);
        self.add_child(index + 1, Child { first, id, entries, bytes }, hash, sink)
    }
}

/// Decides where nodes end: depends on the name alone, and on a secret, so that sizes of nodes tell nothing of names.
fn path_hash(node_id_key: &[u8; 32], path: &[u8]) -> u64 {
    let hash = blake3::keyed_hash(node_id_key, path);
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Whether a node of level `index + 1` ends before a child whose first path has this hash.
fn is_inner_border(index: usize, hash: u64) -> bool {
    let shift = 10 + 6 * index as u32;
    // From level 10 on the hash has no bits left; there only the size of a node ends it.
    hash.is_multiple_of(LEAF_BORDER) && shift <= 58 && (hash >> shift).is_multiple_of(64)
}
