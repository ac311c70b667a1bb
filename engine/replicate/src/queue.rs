//! Queue: what is still to be imported, in the order of the source's log within each lineage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firn_format::{Hash, LineageId, PointId, State};

/// An entry of the source's log that is to be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// Its position there.
    pub(crate) seq: u64,
    /// Its hash.
    pub(crate) hash: Hash,
    pub(crate) kind: ItemKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ItemKind {
    Fence,
    Point,
}

impl Item {
    /// The point, if it is a COMMIT.
    pub(crate) fn point(&self) -> PointId {
        self.hash.into()
    }
}

/// The lineages' items. A fence stands in the queue of each lineage that it fences.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lineages: BTreeMap<LineageId, VecDeque<Item>>,
}

impl Queue {
    /// What `source` committed itself, is live there and not a branch, and `target` has not imported nor gone past; without
    /// what this run has `passed` over.
    pub(crate) fn new(source: &State, target: &State, passed: &BTreeSet<Hash>) -> Self {
        let mut items: Vec<(LineageId, Item)> = Vec::new();
        for lineage in source.lineages().keys() {
            let to = target.lineages().get(lineage).map_or(0, |lineage| lineage.imported_to(&source.store()));
            let own = source.points_of(lineage).filter(|point| point.store == source.store() && point.seq > to);
            let wanted = own.filter(|point| !point.branch && target.point(&point.id).is_none());
            items.extend(
                wanted.map(|point| (*lineage, Item { seq: point.seq, hash: point.id.into(), kind: ItemKind::Point })),
            );
        }
        for item in fences(source, target) {
            let lineages = source.fences().get(&item.seq).into_iter().flat_map(|info| &info.lineages);
            items.extend(lineages.map(|fenced| (fenced.lineage, item)));
        }
        items.retain(|(_, item)| !passed.contains(&item.hash));
        items.sort_unstable_by_key(|(_, item)| item.seq);
        let mut queue = Self::default();
        for (lineage, item) in items {
            queue.lineages.entry(lineage).or_default().push_back(item);
        }
        queue
    }

    /// The items whose turn it is: each is the first of every queue in which it stands. There is one unless all are empty:
    /// that with the lowest position.
    pub(crate) fn heads(&self) -> Vec<(LineageId, Item)> {
        let mut heads: BTreeMap<Item, LineageId> = BTreeMap::new();
        for (lineage, queue) in &self.lineages {
            let Some(item) = queue.front() else { continue };
            let waits = |queue: &VecDeque<Item>| queue.front() != Some(item) && queue.contains(item);
            if item.kind == ItemKind::Point || !self.lineages.values().any(waits) {
                heads.insert(*item, *lineage);
            }
        }
        heads.into_iter().map(|(item, lineage)| (lineage, item)).collect()
    }

    /// Takes an item out that is done.
    pub(crate) fn remove(&mut self, item: &Item) {
        self.lineages.values_mut().for_each(|queue| {
            if queue.front() == Some(item) {
                queue.pop_front();
            }
        });
    }
}

/// The source's own fences, in force, that the target does not know.
pub(crate) fn fences(source: &State, target: &State) -> Vec<Item> {
    let known: BTreeSet<Hash> = target.fences().values().map(|info| info.hash).collect();
    let own = source.fences().values().filter(|info| info.store == source.store() && !info.unfenced);
    let new = own.filter(|info| !known.contains(&info.hash));
    new.map(|info| Item { seq: info.store_seq, hash: info.hash, kind: ItemKind::Fence }).collect()
}
