//! Entries and pieces as CBOR, written and read without an allocation per field.

use std::collections::HashMap;

use minicbor::Decoder;
use minicbor::decode::Error;

use super::cbor::{
    Parse, definite, put_array, put_bytes, put_field_bytes, put_field_int, put_field_uint, put_map_of, put_uint,
    read_key,
};
use super::entry::{Entry, EntryKind, Flags, Meta, PIECES_MAX, Piece, XATTRS_MAX, Xattr, pieces_fault};
use super::order::{check_path_from, is_below, path_cmp, shared_prefix};
use crate::BlobId;
use crate::chunk::Rule;

const HOLE: u64 = 0;
const CHUNK: u64 = 1;
const SLICE: u64 = 2;
const MAP: u64 = 3;

const CHANGED: u64 = 1;
const UNREADABLE: u64 = 2;
const CARRIED: u64 = 4;
const ATTRIBUTES_INCOMPLETE: u64 = 8;

/// A node's table of ids while it is written: each id once, in the order of first use.
#[derive(Default)]
pub(crate) struct IdTable {
    pub(crate) joined: Vec<u8>,
    places: HashMap<BlobId, u64>,
    last: Option<(BlobId, u64)>,
}

impl IdTable {
    /// The number of `id`, which is added if it is new.
    fn place(&mut self, id: &BlobId) -> u64 {
        // Neighbours in a bundle refer to the same id one after another.
        if let Some((last, place)) = &self.last
            && last == id
        {
            return *place;
        }
        let next = (self.joined.len() / BlobId::LEN) as u64;
        let place = *self.places.entry(*id).or_insert(next);
        if place == next {
            self.joined.extend_from_slice(id.as_bytes());
        }
        self.last = Some((*id, place));
        place
    }

    /// Forgets ids added after the table was `bytes` long.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.joined.truncate(bytes);
        self.places.retain(|_, place| (*place as usize) < bytes / BlobId::LEN);
        self.last = None;
    }

    pub(crate) fn clear(&mut self) {
        self.joined.clear();
        self.places.clear();
        self.last = None;
    }
}

/// Writes `entry` after one whose path was `before` (empty if it is the first of its leaf).
pub(crate) fn put_entry(out: &mut Vec<u8>, table: &mut IdTable, before: &[u8], entry: &Entry) {
    put_map_of(out, |out| put_fields(out, table, before, entry));
}

fn put_fields(out: &mut Vec<u8>, table: &mut IdTable, before: &[u8], entry: &Entry) -> usize {
    let shared = shared_prefix(before, &entry.path);
    let meta = &entry.meta;
    let mut fields = put_field_uint(out, 0, shared as u64);
    fields += put_field_bytes(out, 1, &entry.path[shared..]);
    fields += put_field_uint(out, 2, entry.kind as u64);
    fields += put_field_uint(out, 3, u64::from(meta.mode));
    fields += put_field_uint(out, 4, u64::from(meta.uid));
    fields += put_field_uint(out, 5, u64::from(meta.gid));
    fields += put_field_int(out, 6, meta.mtime_s);
    fields += put_field_uint(out, 7, u64::from(meta.mtime_ns));
    fields += put_field_int(out, 8, meta.ctime_s);
    fields += put_field_uint(out, 9, u64::from(meta.ctime_ns));
    fields += put_field_uint(out, 10, meta.inode);
    fields += put_field_uint(out, 11, entry.size);
    if !entry.content.is_empty() {
        put_uint(out, 12);
        put_pieces(out, table, &entry.content);
        fields += 1;
    }
    fields += put_field_bytes(out, 13, &entry.target);
    fields += put_field_uint(out, 14, entry.device);
    if !entry.xattrs.is_empty() {
        put_uint(out, 15);
        put_xattrs(out, &entry.xattrs);
        fields += 1;
    }
    fields += put_field_uint(out, 16, entry.chunker.map_or(0, |rule| rule as u64));
    fields += put_field_bytes(out, 17, entry.digest.as_ref().map_or(&[], |digest| digest));
    fields + put_field_uint(out, 18, flags_number(entry.flags))
}

fn flags_number(flags: Flags) -> u64 {
    let bit = |set: bool, value: u64| if set { value } else { 0 };
    bit(flags.changed, CHANGED)
        | bit(flags.unreadable, UNREADABLE)
        | bit(flags.carried, CARRIED)
        | bit(flags.attributes_incomplete, ATTRIBUTES_INCOMPLETE)
}

fn put_xattrs(out: &mut Vec<u8>, xattrs: &[Xattr]) {
    put_array(out, xattrs.len());
    for xattr in xattrs {
        put_array(out, 2);
        put_bytes(out, &xattr.name);
        put_bytes(out, &xattr.value);
    }
}

/// Writes an array of pieces.
pub(crate) fn put_pieces(out: &mut Vec<u8>, table: &mut IdTable, pieces: &[Piece]) {
    put_array(out, pieces.len());
    for piece in pieces {
        let (kind, id) = match piece {
            Piece::Hole { .. } => (HOLE, None),
            Piece::Chunk { id, .. } => (CHUNK, Some(id)),
            Piece::Slice { id, .. } => (SLICE, Some(id)),
            Piece::Map { id, .. } => (MAP, Some(id)),
        };
        let offset = if let Piece::Slice { offset, .. } = piece { Some(u64::from(*offset)) } else { None };
        put_array(out, 2 + usize::from(id.is_some()) + usize::from(offset.is_some()));
        put_uint(out, kind);
        if let Some(id) = id {
            let place = table.place(id);
            put_uint(out, place);
        }
        if let Some(offset) = offset {
            put_uint(out, offset);
        }
        put_uint(out, piece.len());
    }
}

/// What stands before an entry in the order of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing is known: the tree's first entry, or the first after a jump back.
    Nothing,
    /// The entry in the buffer, in another leaf: order counts, its path is not shared.
    OtherLeaf,
    /// The entry in the buffer, in the same leaf.
    SameLeaf,
}

/// Reads an entry over the one before it, which is in `entry`. After an error `entry` is of no use.
pub(crate) fn read_entry(d: &mut Decoder<'_>, table: &[u8], before: Before, entry: &mut Entry) -> Parse<()> {
    let start = d.position();
    let was_directory = entry.kind == EntryKind::Directory;
    let (mut shared, mut rest, mut next_key) = (0_usize, &[][..], 0_u64);
    entry.kind = EntryKind::File;
    let mut kind = 0_u8;
    entry.meta = Meta::default();
    (entry.size, entry.device, entry.chunker, entry.digest, entry.flags) = (0, 0, None, None, Flags::default());
    entry.content.clear();
    entry.target.clear();
    entry.xattrs.clear();

    let len = d.map()?;
    for _ in 0..definite(d, len, 2)? {
        let key = read_key(d, &mut next_key)?;
        let meta = &mut entry.meta;
        match key {
            0 => shared = usize::try_from(d.u64()?).unwrap_or(usize::MAX),
            1 => rest = d.bytes()?,
            2 => kind = d.u8()?,
            3 => meta.mode = d.u32()?,
            4 => meta.uid = d.u32()?,
            5 => meta.gid = d.u32()?,
            6 => meta.mtime_s = d.i64()?,
            7 => meta.mtime_ns = d.u32()?,
            8 => meta.ctime_s = d.i64()?,
            9 => meta.ctime_ns = d.u32()?,
            10 => meta.inode = d.u64()?,
            11 => entry.size = d.u64()?,
            12 => read_pieces(d, table, &mut entry.content)?,
            13 => entry.target.extend_from_slice(d.bytes()?),
            14 => entry.device = d.u64()?,
            15 => read_xattrs(d, &mut entry.xattrs)?,
            16 => entry.chunker = Some(read_rule(d)?),
            17 => entry.digest = Some(read_digest(d)?),
            18 => entry.flags = read_flags(d)?,
            _ => d.skip()?,
        }
    }
    entry.kind = EntryKind::from_number(kind).ok_or_else(|| Error::message("unknown kind of entry").at(start))?;
    follow(&mut entry.path, before, was_directory, shared, rest).map_err(|text| Error::message(text).at(start))?;
    match entry.fault_beside_path() {
        Some(fault) => Err(Error::message(fault).at(start)),
        None => Ok(()),
    }
}

/// Turns the path before into the next one, which must come later and not lie below what is no directory.
fn follow(
    path: &mut Vec<u8>,
    before: Before,
    was_directory: bool,
    shared: usize,
    rest: &[u8],
) -> Result<(), &'static str> {
    let allowed = if before == Before::SameLeaf { path.len() } else { 0 };
    if shared > allowed {
        return Err("more shared bytes than the path before has");
    }
    if before != Before::Nothing {
        if path_cmp(&path[shared..], rest).is_ge() {
            return Err("entries out of order");
        }
        // What is below follows at once, so that the entry before is the only one to look at.
        let tail = &path[shared..];
        let below = path.is_empty() || if tail.is_empty() { rest.first() == Some(&b'/') } else { is_below(rest, tail) };
        if below && !was_directory {
            return Err("entry below what is no directory");
        }
    }
    path.truncate(shared);
    path.extend_from_slice(rest);
    if path.is_empty() {
        return Ok(());
    }
    check_path_from(path, shared).map_err(super::PathFault::sentence)
}

fn read_rule(d: &mut Decoder<'_>) -> Parse<Rule> {
    let at = d.position();
    Rule::from_number(d.u8()?).ok_or_else(|| Error::message("unknown chunker").at(at))
}

fn read_digest(d: &mut Decoder<'_>) -> Parse<[u8; 16]> {
    let at = d.position();
    d.bytes()?.try_into().map_err(|_| Error::message("digest of a wrong length").at(at))
}

fn read_flags(d: &mut Decoder<'_>) -> Parse<Flags> {
    let bits = d.u64()?;
    Ok(Flags {
        changed: bits & CHANGED != 0,
        unreadable: bits & UNREADABLE != 0,
        carried: bits & CARRIED != 0,
        attributes_incomplete: bits & ATTRIBUTES_INCOMPLETE != 0,
    })
}

fn read_xattrs(d: &mut Decoder<'_>, out: &mut Vec<Xattr>) -> Parse<()> {
    let len = d.array()?;
    let len = definite(d, len, 3)?;
    if len > XATTRS_MAX {
        return Err(Error::message("too many extended attributes").at(d.position()));
    }
    for _ in 0..len {
        expect_array(d, 2)?;
        out.push(Xattr { name: d.bytes()?.to_vec(), value: d.bytes()?.to_vec() });
    }
    Ok(())
}

fn expect_array(d: &mut Decoder<'_>, len: u64) -> Parse<()> {
    let at = d.position();
    if d.array()? == Some(len) { Ok(()) } else { Err(Error::message("array of a wrong length").at(at)) }
}

/// Reads an array of pieces to the end of `out`.
pub(crate) fn read_pieces(d: &mut Decoder<'_>, table: &[u8], out: &mut Vec<Piece>) -> Parse<()> {
    let len = d.array()?;
    let len = definite(d, len, 3)?;
    if len > PIECES_MAX {
        return Err(Error::message("too many pieces").at(d.position()));
    }
    out.reserve(len);
    for _ in 0..len {
        out.push(read_piece(d, table)?);
    }
    Ok(())
}

fn read_piece(d: &mut Decoder<'_>, table: &[u8]) -> Parse<Piece> {
    let at = d.position();
    let len = d.array()?;
    let kind = d.u64()?;
    match (kind, len) {
        (HOLE, Some(2)) => Ok(Piece::Hole { len: d.u64()? }),
        (CHUNK, Some(3)) => Ok(Piece::Chunk { id: read_id(d, table)?, len: d.u32()? }),
        (SLICE, Some(4)) => Ok(Piece::Slice { id: read_id(d, table)?, offset: d.u32()?, len: d.u32()? }),
        (MAP, Some(3)) => Ok(Piece::Map { id: read_id(d, table)?, len: d.u64()? }),
        _ => Err(Error::message("unknown piece").at(at)),
    }
}

fn read_id(d: &mut Decoder<'_>, table: &[u8]) -> Parse<BlobId> {
    let at = d.position();
    let place = usize::try_from(d.u64()?).unwrap_or(usize::MAX);
    let start = place.checked_mul(BlobId::LEN);
    let id = start.and_then(|start| table.get(start..start.checked_add(BlobId::LEN)?)).and_then(BlobId::from_slice);
    id.ok_or_else(|| Error::message("id beyond the table").at(at))
}

/// Reads the pieces of a file map that should add up to `len` bytes.
pub(crate) fn read_map_pieces(d: &mut Decoder<'_>, table: &[u8], len: u64) -> Parse<Vec<Piece>> {
    let at = d.position();
    let mut pieces = Vec::new();
    read_pieces(d, table, &mut pieces)?;
    match pieces_fault(&pieces, len) {
        Some(fault) => Err(Error::message(fault).at(at)),
        None => Ok(pieces),
    }
}
