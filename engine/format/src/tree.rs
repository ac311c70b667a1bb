//! Trees: what a volume or the objects of a point consist of, as nodes named by id (`docs/FORMAT.md` §7).
//!
//! [`TreeBuilder`] takes [`Entry`]s in order and gives nodes to a [`NodeSink`]; [`TreeReader`] gets them from a
//! [`NodeSource`] and streams, seeks and lists; [`Diff`] compares two trees without reading what they share;
//! [`walk_nodes`] and [`walk_content`] visit what a tree or an entry refers to; [`FileMapBuilder`] and [`FilePieces`]
//! write and read long contents.

mod builder;
pub(crate) mod cbor;
mod diff;
mod entry;
mod file_map;
pub(crate) mod node;
mod order;
mod reader;
mod walk;
mod wire;

pub use builder::{NodeSink, TreeBuilder, TreeRoot};
pub use diff::{Change, Diff};
pub use entry::{Entry, EntryKind, Flags, Meta, Piece, Xattr};
pub use file_map::{FileMapBuilder, FilePieces, INLINE_PIECES_MAX, MAP_BYTES};
pub use node::NODE_BYTES_MAX;
pub use order::{PATH_BYTES_MAX, PathFault, check_path, is_below, path_cmp, successor};
pub use reader::{DirChild, Listing, NodeSource, TreeReader};
pub use walk::{Reference, walk_content, walk_nodes};

#[cfg(test)]
mod tests;
