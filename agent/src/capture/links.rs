//! Links: which files of the tree have further names to come, and what those are to repeat.

use std::collections::HashMap;

use firn_format::tree::{Entry, Meta};

/// Files whose names have not all come yet, by the path that the walk met first. As many as the walk keeps, which has a
/// limit.
#[derive(Default)]
pub(crate) struct Links {
    firsts: HashMap<Vec<u8>, First>,
}

struct First {
    /// Where the file lies in the tree: the walk's first path, or a later one if that is not in the tree.
    path: Vec<u8>,
    /// As it was when the content was read, which later names repeat.
    meta: Meta,
    names_left: u32,
}

impl Links {
    /// Notes a file that is in the tree. `walked` is the path that the walk met first, `names` how many names there may be
    /// from this one on.
    pub(crate) fn first(&mut self, walked: Vec<u8>, entry: &Entry, names: u32) {
        if names > 1 {
            self.firsts.insert(walked, First { path: entry.path.clone(), meta: entry.meta, names_left: names - 1 });
        }
    }

    /// Makes `entry` a further name of its file. `false` if no name of that file is in the tree.
    pub(crate) fn later(&mut self, entry: &mut Entry) -> bool {
        let Some(first) = self.firsts.get_mut(&entry.target) else { return false };
        first.names_left = first.names_left.saturating_sub(1);
        let walked = std::mem::replace(&mut entry.target, first.path.clone());
        entry.meta = first.meta;
        if first.names_left == 0 {
            self.firsts.remove(&walked);
        }
        true
    }
}
