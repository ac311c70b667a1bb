//! Nodes in, entries out: streams a tree in order, seeks, looks up, lists one directory.

use minicbor::Decoder;

use super::entry::{Entry, EntryKind};
use super::node::{Child, Leaf, Node, broken, open_node};
use super::order::{is_below, path_cmp, successor};
use super::wire::{Before, read_entry};
use crate::{BlobId, FormatError};

/// Where nodes come from. It promises that the bytes have the id that was asked for.
pub trait NodeSource {
    /// What can go wrong while reading.
    type Error: From<FormatError>;

    /// The plain bytes of a node.
    fn node(&mut self, id: &BlobId) -> Result<Vec<u8>, Self::Error>;
}

impl<S: NodeSource> NodeSource for &mut S {
    type Error = S::Error;

    fn node(&mut self, id: &BlobId) -> Result<Vec<u8>, S::Error> {
        (**self).node(id)
    }
}

/// Reads a tree in order, node by node. Every rule of the format is checked on the way, so that what comes out of a
/// hostile tree is an error or a sound tree: ordered, sound paths, nothing below what is no directory.
pub struct TreeReader<S> {
    source: S,
    root: BlobId,
    /// The root has not been opened yet.
    at_root: bool,
    stack: Vec<InnerCursor>,
    leaf: Option<LeafCursor>,
    /// The last entry that was decoded: the next one if `peeked`, else the one before the position.
    entry: Entry,
    before: Before,
    peeked: bool,
}

struct InnerCursor {
    level: u8,
    children: Vec<Child>,
    next: usize,
}

struct LeafCursor {
    id: BlobId,
    leaf: Leaf,
    /// What the node above says of it, until the first entry is read.
    first: Option<Vec<u8>>,
    /// Bytes of content in the entries read so far, and as many as the node above promises.
    bytes: u64,
    bytes_said: Option<u64>,
}

/// An unopened node that comes next.
pub(crate) struct Pending<'r> {
    pub(crate) id: &'r BlobId,
    /// 0 is a leaf; None for the root, whose level is not known before it is opened.
    pub(crate) level: Option<u8>,
    pub(crate) first: &'r [u8],
}

impl<S: NodeSource> TreeReader<S> {
    /// A reader before the first entry. Reads nothing yet.
    pub fn new(root: BlobId, source: S) -> Self {
        Self {
            source,
            root,
            at_root: true,
            stack: Vec::new(),
            leaf: None,
            entry: Entry::default(),
            before: Before::Nothing,
            peeked: false,
        }
    }

    /// The next entry, which stays the next. None at the end.
    pub fn peek(&mut self) -> Result<Option<&Entry>, S::Error> {
        Ok(if self.fill()? { Some(&self.entry) } else { None })
    }

    /// The next entry; the position moves behind it. None at the end. The entry is overwritten by the next call:
    /// clone it to keep it.
    pub fn next_entry(&mut self) -> Result<Option<&Entry>, S::Error> {
        let found = self.fill()?;
        self.peeked = false;
        Ok(if found { Some(&self.entry) } else { None })
    }

    /// Moves to the first entry that is not before `path`, forward or back, through inner nodes only.
    pub fn seek(&mut self, path: &[u8]) -> Result<(), S::Error> {
        let behind = match path_cmp(&self.entry.path, path) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => !self.peeked,
            std::cmp::Ordering::Greater => true,
        };
        if behind && self.before != Before::Nothing {
            self.at_root = true;
            self.stack.clear();
            self.leaf = None;
            self.before = Before::Nothing;
            self.peeked = false;
        }
        self.skip_to(path)
    }

    /// The entry with exactly this path. The position is then behind or instead of it.
    pub fn lookup(&mut self, path: &[u8]) -> Result<Option<Entry>, S::Error> {
        self.seek(path)?;
        Ok(self.peek()?.filter(|entry| entry.path == path).cloned())
    }

    /// The direct children of a directory, in order; what lies deeper is jumped over, not read. A directory that
    /// does not exist has none. Moves the reader.
    pub fn list(&mut self, dir: &[u8]) -> Result<Listing<'_, S>, S::Error> {
        self.seek(dir)?;
        if self.peek()?.is_some_and(|entry| entry.path == dir) {
            self.peeked = false;
        }
        Ok(Listing { reader: self, dir: dir.to_vec() })
    }

    /// Jumps over all that lies below `path`, which must not be before the position.
    pub fn skip_below(&mut self, path: &[u8]) -> Result<(), S::Error> {
        match successor(path) {
            Some(key) => self.skip_to(&key),
            None => {
                // Everything is below the root.
                self.at_root = false;
                self.stack.clear();
                self.leaf = None;
                self.peeked = false;
                Ok(())
            }
        }
    }

    /// Where the nodes come from.
    pub(crate) fn source(&mut self) -> &mut S {
        &mut self.source
    }

    /// Decodes the next entry into the buffer if it is not there already; false at the end.
    fn fill(&mut self) -> Result<bool, S::Error> {
        while !self.peeked {
            if !self.read_in_leaf()? && !self.open_pending()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decodes the next entry of the open leaf; false if no leaf is open or it has ended.
    fn read_in_leaf(&mut self) -> Result<bool, FormatError> {
        let Some(cursor) = &mut self.leaf else { return Ok(false) };
        if cursor.leaf.left == 0 {
            let ended = cursor.leaf.read_end().map_err(|error| broken(&cursor.id, error));
            if cursor.bytes_said.is_some_and(|said| said != cursor.bytes) {
                return Err(broken(&cursor.id, "fewer bytes than the node above says"));
            }
            self.leaf = None;
            return ended.map(|()| false);
        }
        let leaf = &mut cursor.leaf;
        let mut d = Decoder::new(&leaf.plain);
        d.set_position(leaf.position);
        let table = &leaf.plain[leaf.table.clone()];
        read_entry(&mut d, table, self.before, &mut self.entry).map_err(|error| broken(&cursor.id, error))?;
        leaf.position = d.position();
        leaf.left -= 1;
        self.before = Before::SameLeaf;
        self.peeked = true;
        if cursor.first.take().is_some_and(|first| first != self.entry.path) {
            return Err(broken(&cursor.id, "first path differs from what the node above says"));
        }
        cursor.bytes = cursor.bytes.saturating_add(self.entry.size);
        if cursor.bytes_said.is_some_and(|said| said < cursor.bytes) {
            return Err(broken(&cursor.id, "more bytes than the node above says"));
        }
        Ok(true)
    }

    /// The unopened node that comes next. None while a leaf has entries left, and at the end.
    pub(crate) fn pending(&mut self) -> Result<Option<Pending<'_>>, S::Error> {
        if self.peeked || self.read_in_leaf()? {
            return Ok(None);
        }
        if self.at_root {
            return Ok(Some(Pending { id: &self.root, level: None, first: &[] }));
        }
        while self.stack.pop_if(|cursor| cursor.next >= cursor.children.len()).is_some() {}
        Ok(self.stack.last().map(|cursor| {
            let child = &cursor.children[cursor.next];
            Pending { id: &child.id, level: Some(cursor.level - 1), first: &child.first }
        }))
    }

    /// Leaves out the node that comes next.
    pub(crate) fn skip_pending(&mut self) {
        if self.at_root {
            self.at_root = false;
        } else if let Some(cursor) = self.stack.last_mut() {
            cursor.next += 1;
        }
    }

    /// Opens the node that comes next; false at the end.
    pub(crate) fn open_pending(&mut self) -> Result<bool, S::Error> {
        if self.at_root {
            let root = self.root;
            self.open(root, None, None)?;
            self.at_root = false;
            return Ok(true);
        }
        while self.stack.pop_if(|cursor| cursor.next >= cursor.children.len()).is_some() {}
        let Some(cursor) = self.stack.last_mut() else { return Ok(false) };
        let (child, level) = (cursor.children[cursor.next].clone(), cursor.level - 1);
        self.open(child.id, Some(level), Some(child))?;
        Ok(true)
    }

    fn open(&mut self, id: BlobId, level: Option<u8>, said: Option<Child>) -> Result<(), S::Error> {
        let node = open_node(&id, self.source.node(&id)?)?;
        check_against(&id, &node, level, said.as_ref())?;
        if said.is_some()
            && let Some(above) = self.stack.last_mut()
        {
            above.next += 1;
        }
        match node {
            Node::Inner { level, children } => self.stack.push(InnerCursor { level, children, next: 0 }),
            Node::Leaf(leaf) => {
                if self.before == Before::SameLeaf {
                    self.before = Before::OtherLeaf;
                }
                let bytes_said = said.as_ref().map(|child| child.bytes);
                self.leaf = Some(LeafCursor { id, leaf, first: said.map(|child| child.first), bytes: 0, bytes_said });
            }
        }
        Ok(())
    }

    /// Moves forward to the first entry that is not before `key`.
    fn skip_to(&mut self, key: &[u8]) -> Result<(), S::Error> {
        loop {
            if self.peeked && path_cmp(&self.entry.path, key).is_ge() {
                return Ok(());
            }
            if self.at_root {
                self.open_pending()?;
                continue;
            }
            // The furthest jump is the one nearest to the root.
            let reaches = |cursor: &InnerCursor| {
                cursor.children.get(cursor.next).is_some_and(|child| path_cmp(&child.first, key).is_le())
            };
            if let Some(at) = self.stack.iter().position(reaches) {
                self.stack.truncate(at + 1);
                self.leaf = None;
                self.peeked = false;
                let cursor = &mut self.stack[at];
                cursor.next = cursor.children.partition_point(|child| path_cmp(&child.first, key).is_le()) - 1;
                self.open_pending()?;
                continue;
            }
            // No node further on begins before the key: it is in this leaf, or what comes next is behind it.
            self.peeked = false;
            if !self.read_in_leaf()? {
                return Ok(());
            }
        }
    }
}

/// Compares a node with what the node above says of it. Levels fall by one, so that no path through a tree is endless.
fn check_against(id: &BlobId, node: &Node, level: Option<u8>, said: Option<&Child>) -> Result<(), FormatError> {
    let (own_level, entries, bytes) = match node {
        Node::Leaf(leaf) => (0, Some(leaf.left), None),
        Node::Inner { level, children } => {
            let entries = children.iter().map(|child| child.entries).try_fold(0, u64::checked_add);
            // Sparse files say sizes whose sum no number holds: it ends at the largest, as the builder's does.
            let bytes = children.iter().map(|child| child.bytes).fold(0, u64::saturating_add);
            (*level, entries, Some(bytes))
        }
    };
    if level.is_some_and(|level| level != own_level) {
        return Err(broken(id, "not of the level that the node above says"));
    }
    let Some(said) = said else { return Ok(()) };
    if entries == Some(0) || entries != Some(said.entries) || (own_level > 0 && bytes != Some(said.bytes)) {
        return Err(broken(id, "holds other numbers than the node above says"));
    }
    match node {
        Node::Inner { children, .. } if children[0].first != said.first => {
            Err(broken(id, "first path differs from what the node above says"))
        }
        _ => Ok(()),
    }
}

/// Something that lies directly in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirChild {
    /// Its name in the directory.
    pub name: Vec<u8>,
    /// Its entry; None if there is none and only what lies below it shows that it exists.
    pub entry: Option<Entry>,
}

/// The direct children of one directory. See [`TreeReader::list`].
pub struct Listing<'r, S> {
    reader: &'r mut TreeReader<S>,
    dir: Vec<u8>,
}

impl<S: NodeSource> Listing<'_, S> {
    /// The next child, in the order of the tree; None at the end.
    pub fn next_child(&mut self) -> Result<Option<DirChild>, S::Error> {
        let Some(entry) = self.reader.peek()? else { return Ok(None) };
        if !is_below(&entry.path, &self.dir) {
            return Ok(None);
        }
        let name_at = if self.dir.is_empty() { 0 } else { self.dir.len() + 1 };
        let name_len = entry.path[name_at..].iter().position(|byte| *byte == b'/');
        let child_end = name_len.map_or(entry.path.len(), |len| name_at + len);
        let direct = child_end == entry.path.len();
        let child = entry.path[..child_end].to_vec();
        let leaf_kind = direct && entry.kind != EntryKind::Directory;
        let found = DirChild { name: child[name_at..].to_vec(), entry: direct.then(|| entry.clone()) };
        if leaf_kind {
            self.reader.peeked = false;
        } else {
            self.reader.skip_below(&child)?;
        }
        Ok(Some(found))
    }
}
