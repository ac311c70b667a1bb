//! Which way a file is cut. Decided at first sight; an increment keeps what its parent chose.

use super::BUNDLED_FILE_BYTES_MAX;

/// How a content is cut. The numbers are those of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// Cuts follow the content: what is inserted moves nothing behind it.
    MinCdc = 1,
    /// Blocks of 64 KiB: what is rewritten in place changes one block.
    Grid = 2,
    /// Whole, beside other small files in one chunk.
    Bundle = 3,
    /// Whole, a chunk of its own.
    Single = 4,
}

impl Rule {
    /// The rule with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::MinCdc,
            2 => Self::Grid,
            3 => Self::Bundle,
            4 => Self::Single,
            _ => return None,
        })
    }
}

/// Below this a grid has too few blocks to save anything over MinCDC.
const GRID_FILE_BYTES_MIN: u64 = 1024 * 1024;

/// Beginnings of files that are rewritten in place: offset, bytes.
const MAGICS: &[(usize, &[u8])] = &[
    // SQLite: pages of 512 B to 64 KiB, overwritten where they lie.
    (0, b"SQLite format 3\0"),
    // QEMU copy on write: clusters of 64 KiB, overwritten once they exist.
    (0, b"QFI\xfb"),
    // VMware sparse extent: grains of 64 KiB.
    (0, b"KDMV"),
    // VirtualBox disk image: blocks of 1 MiB.
    (0x40, b"\x7f\x10\xda\xbe"),
    // Hyper-V disk, second generation: blocks of 1 to 256 MiB.
    (0, b"vhdxfile"),
    // Hyper-V disk, first generation, dynamic: a copy of the footer comes first.
    (0, b"conectix"),
    // LMDB: meta page 0 has its magic behind a page header of 16 bytes; pages are copied within the file.
    (16, b"\xde\xc0\xef\xbe"),
    // SQL Server data file: header page of type 15, version 1; pages of 8 KiB.
    (0, b"\x01\x0f\x00\x00"),
    // Berkeley DB, hash and tree: magic behind 12 bytes of the meta page.
    (12, b"\x61\x15\x06\x00"),
    (12, b"\x62\x31\x05\x00"),
];

/// Endings of names, lower case, of files that are rewritten in place.
const ENDINGS: &[&str] = &[
    // SQLite and what calls itself so before its first page is written.
    ".sqlite", ".sqlite3", ".db", ".db3",
    // MySQL, MariaDB: InnoDB tables, MyISAM tables and indexes, Aria.
    ".ibd", ".myd", ".myi", ".mad", ".mai", // SQL Server.
    ".mdf", ".ndf", ".ldf", // MongoDB: WiredTiger overwrites blocks of 4 KiB.
    ".wt",  // Embedded stores: LMDB, bbolt (etcd), Berkeley DB, H2, Access.
    ".mdb", ".bolt", ".bdb", ".h2.db", ".mv.db", ".accdb", // Disks of virtual machines.
    ".vmdk", ".qcow2", ".qcow", ".vdi", ".vhd", ".vhdx", ".img", ".raw", // Oracle data files.
    ".dbf",
];

/// Whole names, lower case.
const NAMES: &[&str] = &[
    // InnoDB's redo logs: rings, overwritten from the start.
    "ib_logfile0",
    "ib_logfile1",
];

/// How to cut a file that has no parent: `path` in its volume, its size in bytes, its first bytes (80 suffice; fewer
/// are fine).
pub fn rule_for(path: &[u8], size: u64, first_bytes: &[u8]) -> Rule {
    if size <= BUNDLED_FILE_BYTES_MAX as u64 {
        Rule::Bundle
    } else if size >= GRID_FILE_BYTES_MIN && (has_magic(first_bytes) || has_database_name(path)) {
        Rule::Grid
    } else {
        Rule::MinCdc
    }
}

fn has_magic(first_bytes: &[u8]) -> bool {
    MAGICS.iter().any(|(offset, magic)| first_bytes.get(*offset..).is_some_and(|rest| rest.starts_with(magic)))
}

fn has_database_name(path: &[u8]) -> bool {
    let mut names = path.rsplit(|byte| *byte == b'/');
    let name = names.next().unwrap_or_default().to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes()))
        || NAMES.iter().any(|known| name == known.as_bytes())
        // InnoDB's system and undo tablespaces: ibdata1, undo_001.
        || is_numbered(&name, b"ibdata")
        || is_numbered(&name, b"undo_")
        || is_postgres_relation(&name, names.next(), names.next())
}

/// PostgreSQL keeps a relation in `base/<database>/<file node>`, further gigabytes in `<file node>.1`, …: pages of
/// 8 KiB. Shared ones lie in `global/<file node>`.
fn is_postgres_relation(name: &[u8], parent: Option<&[u8]>, grandparent: Option<&[u8]>) -> bool {
    let (node, segment) = match name.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&name[..dot], Some(&name[dot + 1..])),
        None => (name, None),
    };
    let in_database = grandparent == Some(b"base") && parent.is_some_and(is_number);
    is_number(node) && segment.is_none_or(is_number) && (in_database || parent == Some(b"global"))
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn is_numbered(name: &[u8], start: &[u8]) -> bool {
    name.strip_prefix(start).is_some_and(is_number)
}
