//! Queue: what is still to be imported, whoever committed it, in the order of the source's log within each lineage.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firn_format::state::FenceInfo;
use firn_format::{Hash, LineageId, Point, PointId, State, StoreId};

/// An entry that took effect in the source and is to be imported: its own, or another store's that it imported itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    /// Where it took effect in the source's log. That order is one that a fold accepts.
    pub(crate) place: u64,
    /// The store in whose log it is.
    pub(crate) store: StoreId,
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
    pub(crate) fn of_point(point: &Point) -> Self {
        let hash = point.id.into();
        Self { place: point.seq, store: point.store, seq: point.store_seq, hash, kind: ItemKind::Point }
    }

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
    /// What is live or in force in `source`, is no branch there, is not `target`'s own, and may still be imported by it;
    /// without what this run has `passed` over.
    pub(crate) fn new(source: &State, target: &State, passed: &BTreeSet<Hash>) -> Self {
        let mut items: Vec<(LineageId, Item)> = Vec::new();
        for lineage in source.lineages().keys() {
            items.extend(outstanding(source, target, lineage).map(|point| (*lineage, Item::of_point(point))));
        }
        for (item, info) in fences(source, target) {
            items.extend(lineages_of(source, info).into_iter().map(|lineage| (lineage, item)));
        }
        items.retain(|(_, item)| !passed.contains(&item.hash));
        items.sort_unstable_by_key(|(_, item)| *item);
        let mut queue = Self::default();
        for (lineage, item) in items {
            queue.lineages.entry(lineage).or_default().push_back(item);
        }
        queue
    }

    /// All that is queued, with its lineage.
    pub(crate) fn items(&self) -> impl Iterator<Item = (&LineageId, &Item)> {
        self.lineages.iter().flat_map(|(lineage, queue)| queue.iter().map(move |item| (lineage, item)))
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

/// The points of a lineage that are live in `source` and no branch there, and that `target`, which did not commit them, may
/// still import.
pub(crate) fn outstanding<'s>(
    source: &'s State,
    target: &'s State,
    lineage: &'s LineageId,
) -> impl Iterator<Item = &'s Point> {
    let here = target.lineages().get(lineage);
    source.points_of(lineage).filter(move |point| {
        let is_others = point.store != target.store() && !point.branch;
        let may_come = here.is_none_or(|here| here.may_import(&point.store, point.store_seq));
        is_others && may_come && target.point(&point.id).is_none()
    })
}

/// The fences that are in force in the source, that the target did not make and does not know, and what took back those
/// that still hold in the target; each with the fence.
pub(crate) fn fences<'s>(source: &'s State, target: &State) -> Vec<(Item, &'s FenceInfo)> {
    let known: BTreeSet<Hash> = target.fences().values().map(|info| info.hash).collect();
    let others = source.fences().iter().filter(|(_, info)| info.store != target.store());
    let items = others.filter_map(|(place, info)| match info.unfenced {
        None if known.contains(&info.hash) || is_over(source, target, info) => None,
        None => {
            let (store, seq, hash) = (info.store, info.store_seq, info.hash);
            Some((Item { place: *place, store, seq, hash, kind: ItemKind::Fence }, info))
        }
        // First of all: nothing was built on that fence, and what came before it in the source waits for its end here.
        Some(by) if target.may_import_unfence(info.store, info.hash) => {
            let (store, seq, hash) = (info.store, by.seq, by.hash);
            Some((Item { place: 0, store, seq, hash, kind: ItemKind::Unfence }, info))
        }
        Some(_) => None,
    });
    items.collect()
}

/// Whether the fence would change nothing in the target: each of its lineages has a higher epoch there, and there is no split
/// that the target has not heard of.
fn is_over(source: &State, target: &State, info: &FenceInfo) -> bool {
    let lower = |lineage: &LineageId, epoch| target.epoch(lineage) > epoch;
    let is_split_here = |id| target.lineages().get(id).is_some_and(|lineage| lineage.split);
    let mut split = source.lineages().iter().filter(|(_, lineage)| lineage.split);
    info.lineages.iter().all(|fenced| lower(&fenced.lineage, fenced.epoch))
        && split.all(|(id, lineage)| is_split_here(id) || lower(id, lineage.epoch))
}

/// The lineages in whose queues a fence stands. One that did nothing but split has none of its own: it stands with those
/// that are split.
pub(crate) fn lineages_of(source: &State, info: &FenceInfo) -> Vec<LineageId> {
    if info.lineages.is_empty() {
        let split = source.lineages().iter().filter(|(_, lineage)| lineage.split);
        return split.map(|(id, _)| *id).collect();
    }
    info.lineages.iter().map(|fenced| fenced.lineage).collect()
}
