//! Nodes as bytes: leaves, inner nodes, file maps.

use minicbor::Decoder;
use minicbor::decode::Error;

use super::cbor::{Parse, definite, put_array, put_field_bytes, put_field_uint, put_map_of, put_uint, read_key};
use super::entry::Piece;
use super::order::{check_path, path_cmp};
use super::wire::{IdTable, put_pieces, read_map_pieces};
use crate::{BlobId, FormatError};

/// Longest node, in bytes: the longest blob.
pub const NODE_BYTES_MAX: usize = crate::BLOB_BYTES_MAX;
/// A leaf or inner node is closed before it grows beyond this, so that any one entry still fits into a node.
pub(crate) const CLOSE_BYTES: usize = 4 * 1024 * 1024;
/// Most children of an inner node.
pub(crate) const CHILDREN_MAX: usize = 1024;
/// Most levels above the leaves. A hundred million entries need four.
pub(crate) const LEVELS_MAX: u8 = 16;

/// The number that begins every node (key 0).
pub(crate) const LEAF: u64 = 1;
pub(crate) const INNER: u64 = 2;
pub(crate) const FILE_MAP: u64 = 3;
pub(crate) const MANIFEST: u64 = 4;
pub(crate) const EXCEPTIONS: u64 = 5;
/// The key of a node's list: entries, children, pieces. Its table of ids comes before it.
const LIST: u64 = 2;

/// What an inner node says of a node below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) first: Vec<u8>,
    pub(crate) id: BlobId,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// A leaf that was opened: its entries are read one by one from `plain`.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) plain: Vec<u8>,
    pub(crate) table: std::ops::Range<usize>,
    /// Where the next entry begins.
    pub(crate) position: usize,
    /// Entries not yet read.
    pub(crate) left: u64,
    /// Fields that follow the entries; none is known yet.
    fields_after: usize,
}

impl Leaf {
    /// Checks what follows the last entry.
    pub(crate) fn read_end(&self) -> Parse<()> {
        let mut d = Decoder::new(&self.plain);
        d.set_position(self.position);
        read_rest(&mut d, self.fields_after, &mut (LIST + 1))
    }
}

/// An opened node of a tree.
#[derive(Debug)]
pub(crate) enum Node {
    Leaf(Leaf),
    Inner { level: u8, children: Vec<Child> },
}

/// Writes a leaf of `count` entries that are encoded in `entries`.
pub(crate) fn leaf_bytes(table: &[u8], count: usize, entries: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(table.len() + entries.len() + 24);
    put_map_of(&mut out, |out| {
        let fields = put_field_uint(out, 0, LEAF) + put_field_bytes(out, 1, table);
        put_uint(out, LIST);
        put_array(out, count);
        out.extend_from_slice(entries);
        fields + 1
    });
    out
}

/// Writes an inner node.
pub(crate) fn inner_bytes(level: u8, children: &[Child]) -> Vec<u8> {
    let mut out = Vec::new();
    put_map_of(&mut out, |out| {
        let fields = put_field_uint(out, 0, INNER) + put_field_uint(out, 1, u64::from(level));
        put_uint(out, LIST);
        put_array(out, children.len());
        for child in children {
            put_map_of(out, |out| {
                put_field_bytes(out, 0, &child.first)
                    + put_field_bytes(out, 1, child.id.as_bytes())
                    + put_field_uint(out, 2, child.entries)
                    + put_field_uint(out, 3, child.bytes)
            });
        }
        fields + 1
    });
    out
}

/// Writes a file map.
pub(crate) fn map_bytes(pieces: &[Piece]) -> Vec<u8> {
    let (mut list, mut table) = (Vec::new(), IdTable::default());
    put_pieces(&mut list, &mut table, pieces);
    let mut out = Vec::with_capacity(list.len() + table.joined.len() + 16);
    put_map_of(&mut out, |out| {
        let fields = put_field_uint(out, 0, FILE_MAP) + put_field_bytes(out, 1, &table.joined);
        put_uint(out, LIST);
        out.extend_from_slice(&list);
        fields + 1
    });
    out
}

/// Damage of the node `id`.
pub(crate) fn broken(id: &BlobId, error: impl std::fmt::Display) -> FormatError {
    FormatError::damaged(format!("tree node {}", id.short()), error.to_string())
}

/// Opens a leaf or an inner node.
pub(crate) fn open_node(id: &BlobId, plain: Vec<u8>) -> Result<Node, FormatError> {
    check_size(id, &plain)?;
    parse_node(plain).map_err(|error| broken(id, error))
}

/// Opens a file map whose pieces should add up to `len` bytes.
pub(crate) fn open_map(id: &BlobId, plain: &[u8], len: u64) -> Result<Vec<Piece>, FormatError> {
    check_size(id, plain)?;
    parse_map(plain, len).map_err(|error| broken(id, error))
}

fn check_size(id: &BlobId, plain: &[u8]) -> Result<(), FormatError> {
    if plain.len() > NODE_BYTES_MAX { Err(broken(id, "longer than any blob")) } else { Ok(()) }
}

/// The head of a node's map: how many fields follow its type.
pub(crate) fn read_type(d: &mut Decoder<'_>, next_key: &mut u64) -> Parse<(usize, u64)> {
    let len = d.map()?;
    let fields = definite(d, len, 2)?;
    if fields == 0 || read_key(d, next_key)? != 0 {
        return Err(Error::message("node without a type").at(d.position()));
    }
    Ok((fields - 1, d.u64()?))
}

/// Skips `fields` fields, after which the input must end.
pub(crate) fn read_rest(d: &mut Decoder<'_>, fields: usize, next_key: &mut u64) -> Parse<()> {
    for _ in 0..fields {
        read_key(d, next_key)?;
        d.skip()?;
    }
    if d.position() == d.input().len() { Ok(()) } else { Err(Error::message("bytes after the end").at(d.position())) }
}

fn parse_node(plain: Vec<u8>) -> Parse<Node> {
    let mut d = Decoder::new(&plain);
    let mut next_key = 0;
    let (fields, node_type) = read_type(&mut d, &mut next_key)?;
    match node_type {
        INNER => {
            let (level, children) = parse_inner(&mut d, fields, &mut next_key)?;
            Ok(Node::Inner { level, children })
        }
        LEAF => {
            let (table, left, fields_after) = parse_to_list(&mut d, fields, &mut next_key)?;
            let position = d.position();
            Ok(Node::Leaf(Leaf { table, position, left, fields_after, plain }))
        }
        _ => Err(Error::message("not a node of a tree").at(0)),
    }
}

/// Reads up to the elements of the list: the table before it, the number of elements, the fields after it.
fn parse_to_list(
    d: &mut Decoder<'_>,
    mut fields: usize,
    next_key: &mut u64,
) -> Parse<(std::ops::Range<usize>, u64, usize)> {
    let mut table = 0..0;
    while fields > 0 {
        fields -= 1;
        match read_key(d, next_key)? {
            1 => {
                let bytes = d.bytes()?.len();
                if !bytes.is_multiple_of(BlobId::LEN) {
                    return Err(Error::message("table of a wrong length").at(d.position()));
                }
                table = d.position() - bytes..d.position();
            }
            LIST => {
                let len = d.array()?;
                return Ok((table, definite(d, len, 1)? as u64, fields));
            }
            _ => break,
        }
    }
    Err(Error::message("node without a list").at(d.position()))
}

fn parse_map(plain: &[u8], len: u64) -> Parse<Vec<Piece>> {
    let mut d = Decoder::new(plain);
    let mut next_key = 0;
    let (mut fields, node_type) = read_type(&mut d, &mut next_key)?;
    if node_type != FILE_MAP {
        return Err(Error::message("not a file map").at(0));
    }
    let (mut table, mut pieces) = (&[][..], None);
    while fields > 0 && pieces.is_none() {
        fields -= 1;
        match read_key(&mut d, &mut next_key)? {
            1 => table = d.bytes()?,
            2 => pieces = Some(read_map_pieces(&mut d, table, len)?),
            _ => d.skip()?,
        }
    }
    read_rest(&mut d, fields, &mut next_key)?;
    pieces.ok_or_else(|| Error::message("file map without pieces").at(0))
}

fn parse_inner(d: &mut Decoder<'_>, mut fields: usize, next_key: &mut u64) -> Parse<(u8, Vec<Child>)> {
    let (mut level, mut children) = (0, Vec::new());
    while fields > 0 && children.is_empty() {
        fields -= 1;
        match read_key(d, next_key)? {
            1 => level = d.u8()?,
            2 => {
                let len = d.array()?;
                let len = definite(d, len, 35)?;
                if len > CHILDREN_MAX {
                    return Err(Error::message("too many children").at(d.position()));
                }
                children.reserve(len);
                for _ in 0..len {
                    let child = parse_child(d)?;
                    if children.last().is_some_and(|last: &Child| path_cmp(&last.first, &child.first).is_ge()) {
                        return Err(Error::message("children out of order").at(d.position()));
                    }
                    children.push(child);
                }
            }
            _ => d.skip()?,
        }
    }
    read_rest(d, fields, next_key)?;
    if level == 0 || level > LEVELS_MAX || children.is_empty() {
        return Err(Error::message("inner node without a level or children").at(0));
    }
    Ok((level, children))
}

fn parse_child(d: &mut Decoder<'_>) -> Parse<Child> {
    let at = d.position();
    let (mut first, mut id, mut entries, mut bytes, mut next_key) = (&[][..], None, 0, 0, 0);
    let len = d.map()?;
    for _ in 0..definite(d, len, 2)? {
        match read_key(d, &mut next_key)? {
            0 => first = d.bytes()?,
            1 => id = BlobId::from_slice(d.bytes()?),
            2 => entries = d.u64()?,
            3 => bytes = d.u64()?,
            _ => d.skip()?,
        }
    }
    check_path(first).map_err(|fault| Error::message(fault.sentence()).at(at))?;
    let id = id.ok_or_else(|| Error::message("child without an id").at(at))?;
    Ok(Child { first: first.to_vec(), id, entries, bytes })
}
