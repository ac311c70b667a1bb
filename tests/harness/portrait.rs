//! Portrait: what a tree looks like from outside, made with nothing of Firn.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{SeekFrom, lgetxattr, llistxattr, seek};

/// File systems keep holes in steps of a page.
const PAGE: u64 = 4096;

/// Everything that a restore brings back, by path: two trees are the same if their portraits are equal. Times of access
/// and of status changes, and inode numbers, are no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portrait(BTreeMap<Vec<u8>, Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    /// Hash of the content or, of a symbolic link, its text.
    content: Vec<u8>,
    size: u64,
    /// Where data lies, in pages: from, to.
    extents: Vec<(u64, u64)>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path of the same file, if this is another name.
    link_of: Option<Vec<u8>>,
    device: u64,
}

impl Portrait {
    /// The portrait of the tree at `dir`, `dir` itself included. Sockets are left out: they are never restored.
    pub fn of(dir: &Path) -> Self {
        let (mut items, mut inodes) = (BTreeMap::new(), HashMap::new());
        draw(dir, Vec::new(), &mut items, &mut inodes);
        Self(items)
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether not even the root is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.0.keys().map(Vec::as_slice)
    }

    /// What differs in `other`, a line each; empty if they are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for path in self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path))) {
            let shown = String::from_utf8_lossy(path).into_owned();
            match (self.0.get(path), other.0.get(path)) {
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) => out.push(format!("{shown:?}: {a:?} became {b:?}")),
                (Some(_), None) => out.push(format!("{shown:?} is missing")),
                (None, _) => out.push(format!("{shown:?} was not there before")),
            }
        }
        out
    }

    /// Files of `other` with another content than here: wrong bytes, unless somebody was told. A file of several names is
    /// told once.
    pub fn wrong_contents(&self, other: &Self) -> Vec<String> {
        let both = other.0.iter().filter_map(|(path, item)| Some((path, self.0.get(path)?, item)));
        let wrong = both.filter(|(_, a, b)| b.kind == "file" && b.link_of.is_none() && a.content != b.content);
        wrong.map(|(path, _, _)| String::from_utf8_lossy(path).into_owned()).collect()
    }

    /// How many files of `other` have the content that they have here.
    pub fn right_contents(&self, other: &Self) -> usize {
        let files = other.0.iter().filter(|(_, item)| item.kind == "file");
        files.filter(|(path, item)| self.0.get(*path).is_some_and(|here| here.content == item.content)).count()
    }
}

/// Panics with what differs, unless both trees look the same.
pub fn same_tree(a: &Path, b: &Path) {
    let differences = Portrait::of(a).differences(&Portrait::of(b));
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences[..differences.len().min(5)].join("\n")
    );
}

fn draw(path: &Path, name: Vec<u8>, items: &mut BTreeMap<Vec<u8>, Item>, inodes: &mut HashMap<(u64, u64), Vec<u8>>) {
    let meta = path.symlink_metadata().unwrap();
    let Some(kind) = kind(&meta) else { return };
    let mut item = Item {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        modified: (meta.mtime(), meta.mtime_nsec()),
        content: Vec::new(),
        size: if meta.is_file() { meta.len() } else { 0 },
        extents: Vec::new(),
        attributes: attributes(path),
        link_of: None,
        device: if kind == "device" { meta.rdev() } else { 0 },
    };
    if meta.is_symlink() {
        item.content = fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec();
    } else if meta.is_file() {
        (item.content, item.extents) = read(path, meta.len());
    }
    if !meta.is_dir() && meta.nlink() > 1 {
        let first = inodes.entry((meta.dev(), meta.ino())).or_insert_with(|| name.clone());
        item.link_of = (*first != name).then(|| first.clone());
    }
    items.insert(name.clone(), item);
    if meta.is_dir() {
        let mut children: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        children.sort();
        for child in children {
            let mut below = name.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(child.as_bytes());
            draw(&path.join(&child), below, items, inodes);
        }
    }
}

fn kind(meta: &Metadata) -> Option<&'static str> {
    let kind = meta.file_type();
    if kind.is_socket() {
        return None;
    }
    Some(match () {
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_file() => "file",
        () => "device",
    })
}

/// Hash of the content, and where data lies. Holes are skipped, so a file of terabytes costs nothing.
fn read(path: &Path, size: u64) -> (Vec<u8>, Vec<(u64, u64)>) {
    let file = File::open(path).unwrap();
    let (mut hasher, mut extents, mut at) = (blake3::Hasher::new(), Vec::new(), 0);
    while at < size {
        let Ok(from) = seek(&file, SeekFrom::Data(at)) else { break };
        let to = seek(&file, SeekFrom::Hole(from)).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut next = from;
        while next < to {
            let len = buffer.len().min((to - next) as usize);
            file.read_exact_at(&mut buffer[..len], next).unwrap();
            hash_data(&mut hasher, next, &buffer[..len]);
            next += len as u64;
        }
        extents.push((from / PAGE, to.div_ceil(PAGE)));
        at = to;
    }
    (hasher.finalize().as_bytes().to_vec(), extents)
}

/// Data by page with its place; pages of zeros are what holes are.
fn hash_data(hasher: &mut blake3::Hasher, at: u64, bytes: &[u8]) {
    for (n, page) in bytes.chunks(PAGE as usize).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            hasher.update(&(at + n as u64 * PAGE).to_le_bytes()).update(page);
        }
    }
}

fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; 64 << 10];
    let Ok(len) = llistxattr(path, &mut list[..]) else { return BTreeMap::new() };
    let names = list[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let len = lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(len);
            (name.to_vec(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dice, Forest, change, plant, root, scratch};

    #[test]
    fn two_trees_of_one_seed_are_the_same_and_every_change_shows() {
        root();
        let (a, b) = (scratch(), scratch());
        plant(a.path(), &mut Dice::new(1), Forest::SMALL);
        plant(b.path(), &mut Dice::new(1), Forest::SMALL);
        same_tree(a.path(), b.path());
        let mut dice = Dice::told("changes", 2);
        for n in 0..60 {
            let before = Portrait::of(b.path());
            change(b.path(), &mut dice);
            assert!(!before.differences(&Portrait::of(b.path())).is_empty(), "change {n} does not show");
        }
    }
}
