//! Queue: what is still to be imported, in the order of the source's log within each lineage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firn_format::state::FenceInfo;
use firn_format::{Hash, LineageId, Point, PointId, State};

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
    Unfence,
    Point,
}

impl Item {
    /// The point, if it is a COMMIT.
    pub(crate) fn point(&self) -> PointId {
        self.hash.into()
    }
}

/// The lineages' items. A fence stands in the queue of each lineage that it fences, and so does what takes it back.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lineages: BTreeMap<LineageId, VecDeque<Item>>,
}

impl Queue {
    /// What `source` committed itself, is live there and not a branch, and `target` may still import; without what this run
    /// has `passed` over.
    pub(crate) fn new(source: &State, target: &State, passed: &BTreeSet<Hash>) -> Self {
        let mut items: Vec<(LineageId, Item)> = Vec::new();
        for lineage in source.lineages().keys() {
            let points = outstanding(source, target, lineage);
            items.extend(
                points.map(|point| (*lineage, Item { seq: point.seq, hash: point.id.into(), kind: ItemKind::Point })),
            );
        }
        for (item, info) in fences(source, target) {
            items.extend(info.lineages.iter().map(|fenced| (fenced.lineage, item)));
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

/// The points of a lineage that `source` committed itself, that are no branch there, and that `target` may still import.
pub(crate) fn outstanding<'s>(
    source: &'s State,
    target: &'s State,
    lineage: &'s LineageId,
) -> impl Iterator<Item = &'s Point> {
    let here = target.lineages().get(lineage);
    source.points_of(lineage).filter(move |point| {
        let is_own = point.store == source.store() && !point.branch;
        let may_come = here.is_none_or(|here| here.may_import(&point.store, point.seq));
        is_own && may_come && target.point(&point.id).is_none()
    })
}

/// The source's own fences that the target does not know and that are in force, and what took back those that still hold in
/// the target; each with the fence.
pub(crate) fn fences<'s>(source: &'s State, target: &State) -> Vec<(Item, &'s FenceInfo)> {
    let known: BTreeSet<Hash> = target.fences().values().map(|info| info.hash).collect();
    let own = source.fences().values().filter(|info| info.store == source.store());
    let items = own.filter_map(|info| match info.unfenced {
        None if known.contains(&info.hash) => None,
        None => Some((Item { seq: info.store_seq, hash: info.hash, kind: ItemKind::Fence }, info)),
        Some(by) if target.may_import_unfence(source.store(), info.hash) => {
            Some((Item { seq: by.seq, hash: by.hash, kind: ItemKind::Unfence }, info))
        }
        Some(_) => None,
    });
    items.collect()
}
