//! Which names are the same file: the table of hard links of one walk.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

/// Memory for paths of files whose other names have not come yet. A mail store or a package cache with millions of
/// links fits, because a file leaves the table with its last name; a tree made to fill it costs no more than this.
const TABLE_BYTES_MAX: usize = 32 << 20;

/// What a row costs beside its path.
const ROW_BYTES: usize = 64;

/// Files with more names than were met so far, by device and inode.
#[derive(Debug)]
pub(crate) struct LinkTable {
    rows: HashMap<(u64, u64), Row>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Row {
    first: Vec<u8>,
    names_left: u32,
}

/// What a name of a file with several names is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The first one: the file itself.
    First,
    /// A later one.
    Later {
        /// The path of the first.
        first: Vec<u8>,
        /// How many names have not come yet, this one among them.
        names_left: u32,
    },
    /// The table is full: the file is kept as if it had this name alone.
    Untracked,
}

impl Default for LinkTable {
    fn default() -> Self {
        Self { rows: HashMap::new(), bytes: 0, bytes_max: TABLE_BYTES_MAX }
    }
}

impl LinkTable {
    /// Notes that `path` names the file `identity`, which has `names` names in all.
    pub(crate) fn note(&mut self, identity: (u64, u64), names: u32, path: &[u8]) -> Name {
        match self.rows.entry(identity) {
            Slot::Occupied(mut slot) => {
                let row = slot.get_mut();
                let names_left = row.names_left.max(1);
                row.names_left = names_left - 1;
                if row.names_left > 0 {
                    return Name::Later { first: row.first.clone(), names_left };
                }
                let row = slot.remove();
                self.bytes -= ROW_BYTES + row.first.len();
                Name::Later { first: row.first, names_left }
            }
            Slot::Vacant(_) if self.bytes + ROW_BYTES + path.len() > self.bytes_max => Name::Untracked,
            Slot::Vacant(slot) => {
                self.bytes += ROW_BYTES + path.len();
                slot.insert(Row { first: path.to_vec(), names_left: names.saturating_sub(1) });
                Name::First
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(first: &[u8], names_left: u32) -> Name {
        Name::Later { first: first.to_vec(), names_left }
    }

    #[test]
    fn a_file_leaves_the_table_with_its_last_name() {
        let mut table = LinkTable::default();
        assert_eq!(table.note((1, 7), 3, b"a"), Name::First);
        assert_eq!(table.note((2, 7), 2, b"other-device"), Name::First);
        assert_eq!(table.note((1, 7), 3, b"b"), later(b"a", 2));
        assert_eq!(table.note((1, 7), 3, b"c"), later(b"a", 1));
        assert_eq!(table.rows.len(), 1);
        assert_eq!(table.bytes, ROW_BYTES + b"other-device".len());
    }

    #[test]
    fn a_full_table_says_so() {
        let mut table = LinkTable { bytes_max: 2 * ROW_BYTES, ..LinkTable::default() };
        assert_eq!(table.note((1, 1), 2, b"a"), Name::First);
        assert_eq!(table.note((1, 2), 2, b"b"), Name::Untracked);
        assert_eq!(table.note((1, 1), 2, b"c"), later(b"a", 1));
        assert_eq!(table.note((1, 3), 2, b"d"), Name::First);
    }
}
