//! What the tests of trees share: nodes in memory, made-up entries.

mod build;
mod diff;
mod file_map;
mod golden;
mod hostile;
mod order;
mod read;

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::chunk::Rule;
use crate::{BlobId, FormatError};

const KEY: [u8; 32] = [7; 32];

/// Nodes in memory. Counts what is read.
#[derive(Default, Clone)]
struct Nodes {
    stored: HashMap<BlobId, Vec<u8>>,
    reads: usize,
}

impl NodeSink for Nodes {
    type Error = FormatError;

    fn put_node(&mut self, plain: Vec<u8>) -> Result<BlobId, FormatError> {
        assert!(plain.len() <= NODE_BYTES_MAX);
        let id = BlobId(*blake3::keyed_hash(&KEY, &plain).as_bytes());
        self.stored.insert(id, plain);
        Ok(id)
    }
}

impl NodeSource for Nodes {
    type Error = FormatError;

    fn node(&mut self, id: &BlobId) -> Result<Vec<u8>, FormatError> {
        self.reads += 1;
        self.stored.get(id).cloned().ok_or_else(|| FormatError::damaged("test", "no such node"))
    }
}

fn build(entries: &[Entry], nodes: &mut Nodes) -> TreeRoot {
    let mut builder = TreeBuilder::new(&KEY);
    for entry in entries {
        builder.push(entry, nodes).unwrap();
    }
    builder.finish(nodes).unwrap()
}

fn read_all(root: BlobId, nodes: &mut Nodes) -> Vec<Entry> {
    let mut reader = TreeReader::new(root, nodes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        entries.push(entry.clone());
    }
    entries
}

fn blob(number: u64) -> BlobId {
    BlobId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A file as they are in a source tree: bundled, with the usual metadata.
fn file(path: &str, number: u64) -> Entry {
    let len = (number % 9000) as u32 + 1;
    let mut entry = Entry::new(path, EntryKind::File);
    entry.meta = Meta {
        mode: 0o644,
        uid: 1000,
        gid: 1000,
        mtime_s: 1_700_000_000 + number as i64,
        mtime_ns: 123_456_789,
        ctime_s: 1_700_000_100,
        ctime_ns: 5,
        inode: 1_000_000 + number,
    };
    entry.size = u64::from(len);
    entry.content = vec![Piece::Slice { id: blob(number / 30), offset: 0, len }];
    entry.chunker = Some(Rule::Bundle);
    entry
}

/// Directories of 50 files each, in order.
fn source_tree(files: usize) -> Vec<Entry> {
    let mut entries = vec![Entry::new("", EntryKind::Directory)];
    for number in 0..files {
        if number % 50 == 0 {
            entries.push(Entry::new(format!("dir{:06}", number / 50), EntryKind::Directory));
        }
        entries.push(file(&format!("dir{:06}/source_{:06}.c", number / 50, number), number as u64));
    }
    entries
}

/// Any bytes but `/` and zero, never `.` or `..`; drawn so that names share beginnings and sort around `/`.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'a'),
        Just(b'b'),
        Just(b'.'),
        Just(b'-'),
        Just(b'0'),
        Just(1_u8),
        Just(0xff_u8),
        (1_u8..=255).prop_filter("no slash", |byte| *byte != b'/')
    ];
    prop::collection::vec(byte, 1..4).prop_filter("dots", |name| name != b"." && name != b"..")
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (1_u64..1 << 40).prop_map(|len| Piece::Hole { len }),
        (0_u64..5, 1_u32..200_000).prop_map(|(n, len)| Piece::Chunk { id: blob(n), len }),
        (0_u64..5, 0_u32..500_000, 1_u32..100_000).prop_map(|(n, offset, len)| Piece::Slice {
            id: blob(n),
            offset,
            len
        }),
        (0_u64..5, 1_u64..1 << 40).prop_map(|(n, len)| Piece::Map { id: blob(n), len }),
    ]
}

fn meta() -> impl Strategy<Value = Meta> {
    (0_u32..=0o7777, any::<u32>(), any::<u32>(), any::<i64>(), 0_u32..1_000_000_000, any::<i64>(), any::<u64>())
        .prop_map(|(mode, uid, gid, mtime_s, mtime_ns, ctime_s, inode)| Meta {
            mode,
            uid,
            gid,
            mtime_s,
            mtime_ns,
            ctime_s,
            ctime_ns: mtime_ns / 2,
            inode,
        })
}

/// Any entry that the format allows, at `path`.
fn entry_at(path: Vec<u8>) -> impl Strategy<Value = Entry> {
    let xattrs = prop::collection::btree_map("[a-z]{1,4}", prop::collection::vec(any::<u8>(), 0..5), 0..3);
    let rest = (1_u8..=10, any::<[bool; 4]>(), 0_u8..=4, any::<Option<[u8; 16]>>(), any::<u64>());
    (meta(), prop::collection::vec(piece(), 0..4), xattrs, rest).prop_map(
        move |(meta, pieces, xattrs, (kind, flags, chunker, digest, device))| {
            let kind = EntryKind::from_number(kind).unwrap();
            let mut entry = Entry::new(path.clone(), kind);
            entry.meta = meta;
            let [changed, unreadable, carried, attributes_incomplete] = flags;
            entry.flags = Flags { changed, unreadable, carried, attributes_incomplete };
            if kind.has_content() && !unreadable {
                let is_text = |piece: &Piece| matches!(piece, Piece::Chunk { .. } | Piece::Slice { .. });
                entry.content = match kind {
                    EntryKind::Object => pieces.into_iter().filter(is_text).take(1).collect(),
                    _ => pieces,
                };
                entry.size = entry.content.iter().map(Piece::len).sum();
            }
            if matches!(kind, EntryKind::Symlink | EntryKind::HardLink) {
                entry.target = b"some/target".to_vec();
            }
            entry.device = device;
            entry.xattrs = xattrs.into_iter().map(|(name, value)| Xattr { name: name.into_bytes(), value }).collect();
            entry.chunker = Rule::from_number(chunker);
            entry.digest = digest;
            entry
        },
    )
}

/// A set of entries in order. Whatever has something below it is a directory.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let drawn = path().prop_flat_map(entry_at);
    prop::collection::vec(drawn, 0..40).prop_map(|mut entries| {
        entries.sort_by(|a, b| path_cmp(&a.path, &b.path));
        entries.dedup_by(|a, b| a.path == b.path);
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries {
            if let Some(last) = kept.last_mut()
                && is_below(&entry.path, &last.path)
                && last.kind != EntryKind::Directory
            {
                *last = Entry::new(last.path.clone(), EntryKind::Directory);
            }
            kept.push(entry);
        }
        kept
    })
}
