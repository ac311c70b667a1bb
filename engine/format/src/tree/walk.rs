//! Everything that a tree refers to.

use super::entry::Piece;
use super::file_map::open_child_map;
use super::reader::{NodeSource, TreeReader};
use crate::BlobId;

/// Something that a tree needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A leaf, an inner node or a file map (blob of kind 2).
    Node(BlobId),
    /// A chunk or bundle (blob of kind 1).
    Chunk(BlobId),
}

/// Visits every node of a tree and every id that it refers to, each node before what is below it.
///
/// `visit` says of a node whether to go into it: a caller that keeps a set answers "no" for what it has seen, and
/// nothing is read twice. Its answer for a chunk counts for nothing. What is read is checked as [`TreeReader`] does.
pub fn walk_nodes<S: NodeSource>(
    root: BlobId,
    source: &mut S,
    mut visit: impl FnMut(Reference) -> bool,
) -> Result<(), S::Error> {
    let mut reader = TreeReader::new(root, source);
    loop {
        if let Some(id) = reader.pending()?.map(|pending| *pending.id) {
            if visit(Reference::Node(id)) {
                reader.open_pending()?;
            } else {
                reader.skip_pending();
            }
            continue;
        }
        let Some(entry) = reader.next_entry()? else { return Ok(()) };
        if entry.content.iter().any(|piece| matches!(piece, Piece::Map { .. })) {
            let content = entry.content.clone();
            walk_content(&content, reader.source(), &mut visit)?;
        } else {
            visit_pieces(&entry.content, &mut visit);
        }
    }
}

/// Visits everything that the content of one entry refers to, file maps of all levels among it, as [`walk_nodes`] does.
/// Reads nothing if there are no maps.
pub fn walk_content<S: NodeSource>(
    content: &[Piece],
    source: &mut S,
    visit: &mut impl FnMut(Reference) -> bool,
) -> Result<(), S::Error> {
    walk_pieces(content, 1, source, visit)
}

/// Visits the chunks among pieces that have no maps among them.
fn visit_pieces(pieces: &[Piece], visit: &mut impl FnMut(Reference) -> bool) {
    for piece in pieces {
        if let Piece::Chunk { id, .. } | Piece::Slice { id, .. } = piece {
            visit(Reference::Chunk(*id));
        }
    }
}

fn walk_pieces<S: NodeSource>(
    pieces: &[Piece],
    depth: usize,
    source: &mut S,
    visit: &mut impl FnMut(Reference) -> bool,
) -> Result<(), S::Error> {
    for piece in pieces {
        if let Piece::Map { id, len } = piece {
            if visit(Reference::Node(*id)) {
                let below = open_child_map(id, *len, depth, source)?;
                walk_pieces(&below, depth + 1, source, visit)?;
            }
        } else {
            visit_pieces(std::slice::from_ref(piece), visit);
        }
    }
    Ok(())
}
