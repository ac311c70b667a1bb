//! Parent: what the point before says of the same path, walked beside the volume.

use std::cmp::Ordering;
use std::sync::Arc;

use firn_format::tree::{Entry, EntryKind, Reference, TreeReader, path_cmp, walk_content};
use firn_format::{BlobId, TimeMs};
use firn_repo::{Nodes, Reader, RepoError, Writer};

/// Attributes changed this shortly before the parent's cut are read again: file systems keep times in steps, and a change in
/// the same step after the read would look like none.
const STEP_MS: i64 = 2000;

/// The same for content, which may be written through a memory mapping: the kernel sets a file's time when a page is first
/// written, and again only after it was brought to disk, by default up to 35 s later. A capture brings it there before it
/// reads; this is for file systems that do so late.
const MAPPED_MS: i64 = 60_000;

/// The parent's tree, read in step with a walk.
pub(crate) struct Parent {
    tree: TreeReader<Nodes>,
    nodes: Nodes,
    cut_ms: TimeMs,
    /// Whether a file's times tell of every change of its content.
    times_tell: bool,
}

impl Parent {
    pub(crate) fn new(reader: Arc<Reader>, root: BlobId, cut_ms: TimeMs, times_tell: bool) -> Self {
        let nodes = Nodes(reader);
        Self { tree: TreeReader::new(root, nodes.clone()), nodes, cut_ms, times_tell }
    }

    /// The parent's entry of this path, if it has one. Paths must come in tree order.
    ///
    /// # Errors
    /// The parent's tree cannot be read. The capture goes on without it.
    pub(crate) fn at(&mut self, path: &[u8]) -> Result<Option<Entry>, RepoError> {
        while let Some(entry) = self.tree.peek()? {
            match path_cmp(&entry.path, path) {
                Ordering::Less => self.tree.next_entry()?,
                Ordering::Equal => return Ok(self.tree.next_entry()?.cloned()),
                Ordering::Greater => return Ok(None),
            };
        }
        Ok(None)
    }

    /// Whether extended attributes must be what they were. Those that could not all be read are read again.
    pub(crate) fn same_attributes(&self, old: &Entry, new: &Entry) -> bool {
        self.same_inode(old, new) && !old.flags.attributes_incomplete
    }

    /// Whether nobody has touched it.
    fn same_inode(&self, old: &Entry, new: &Entry) -> bool {
        let (a, b) = (&old.meta, &new.meta);
        old.kind == new.kind
            && a.inode == b.inode
            && (a.ctime_s, a.ctime_ns) == (b.ctime_s, b.ctime_ns)
            && !self.is_racy(new, STEP_MS)
    }

    /// Whether the content must be what it was.
    pub(crate) fn same_content(&self, old: &Entry, new: &Entry) -> bool {
        let (a, b) = (&old.meta, &new.meta);
        old.kind == EntryKind::File
            && self.same_inode(old, new)
            && old.size == new.size
            && (a.mtime_s, a.mtime_ns) == (b.mtime_s, b.mtime_ns)
            && !old.flags.changed
            && !old.flags.unreadable
            && self.times_tell
            && !self.is_racy(new, MAPPED_MS)
    }

    fn is_racy(&self, entry: &Entry, within_ms: i64) -> bool {
        let newest = entry.meta.ctime_s.max(entry.meta.mtime_s).saturating_mul(1000);
        newest.saturating_add(within_ms) >= self.cut_ms
    }

    /// Refers to all that the entry's content consists of, file maps of every level among it. `false` if any of it is not
    /// known any more, or a map cannot be read: then the file is read.
    pub(crate) fn refer(&mut self, writer: &Writer, entry: &Entry) -> bool {
        let mut known = true;
        let walked = walk_content(&entry.content, &mut self.nodes, &mut |reference| {
            let (Reference::Node(id) | Reference::Chunk(id)) = reference;
            known &= writer.refer(&id);
            known
        });
        walked.is_ok() && known
    }
}
