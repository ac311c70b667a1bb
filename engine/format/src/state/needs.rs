//! Live points with what they need: a forest of differences, in which every node is live.
//!
//! Because every node is live and every difference is exact, a live point needs an object if and only if some node adds
//! it; `Objects::adders` counts those. A deleted node is spliced out, its difference merged into its children's.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::objects::{ObjectNo, Objects};
use super::point::Point;
use crate::ids::{LineageId, PointId};

/// A live point and how its needs differ from its base's. Both lists are sorted; `added` holds nothing that the base needs,
/// `dropped` only what it needs.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) point: Point,
    pub(crate) base: Option<u64>,
    pub(crate) added: Vec<ObjectNo>,
    pub(crate) dropped: Vec<ObjectNo>,
    children: BTreeSet<u64>,
}

/// All live points by position, and the whole needs of each lineage's newest, which the next point most likely builds on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Points {
    nodes: BTreeMap<u64, Node>,
    by_id: HashMap<PointId, u64>,
    tips: HashMap<LineageId, (u64, Arc<Vec<ObjectNo>>)>,
}

fn without(list: &[ObjectNo], minus: &[ObjectNo]) -> Vec<ObjectNo> {
    list.iter().copied().filter(|no| minus.binary_search(no).is_err()).collect()
}

fn union(mut left: Vec<ObjectNo>, right: Vec<ObjectNo>) -> Vec<ObjectNo> {
    left.extend(right);
    left.sort_unstable();
    left
}

impl Points {
    pub(crate) fn seq_of(&self, id: &PointId) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn node(&self, seq: u64) -> Option<&Node> {
        self.nodes.get(&seq)
    }

    pub(crate) fn point(&self, id: &PointId) -> Option<&Point> {
        self.nodes.get(self.by_id.get(id)?).map(|node| &node.point)
    }

    pub(crate) fn point_mut(&mut self, seq: u64) -> Option<&mut Point> {
        self.nodes.get_mut(&seq).map(|node| &mut node.point)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Node> + ExactSizeIterator {
        self.nodes.values()
    }

    /// All that the point at `seq` needs, sorted by number.
    pub(crate) fn needs(&self, seq: u64) -> Arc<Vec<ObjectNo>> {
        let Some(node) = self.nodes.get(&seq) else { return Arc::default() };
        if let Some((tip, needs)) = self.tips.get(&node.point.lineage)
            && *tip == seq
        {
            return Arc::clone(needs);
        }
        // From the point to the root, the first word on an object is the last one said.
        let (mut settled, mut needs) = (HashSet::new(), Vec::new());
        let mut at = Some(node);
        while let Some(node) = at {
            needs.extend(node.added.iter().filter(|no| settled.insert(**no)));
            settled.extend(&node.dropped);
            at = node.base.and_then(|base| self.nodes.get(&base));
        }
        needs.sort_unstable();
        Arc::new(needs)
    }

    /// Makes a point live. `base` is live or none, and the lists are exact against its needs.
    pub(crate) fn insert(
        &mut self,
        point: Point,
        base: Option<u64>,
        added: Vec<ObjectNo>,
        dropped: Vec<ObjectNo>,
        objects: &mut Objects,
    ) {
        let (seq, lineage) = (point.seq, point.lineage);
        let needs = match base {
            Some(base) => self.needs(base),
            None => Arc::default(),
        };
        // Without the cached copy the set is changed in place.
        self.tips.remove(&lineage);
        self.tips.insert(lineage, (seq, changed(needs, &added, &dropped)));
        self.restore(Node { point, base, added, dropped, children: BTreeSet::new() }, objects);
    }

    /// Puts a node in as it is: the half of [`Points::insert`] that a checkpoint needs. Bases come before what builds on them.
    pub(crate) fn restore(&mut self, node: Node, objects: &mut Objects) {
        for no in &node.added {
            objects.gain(*no);
        }
        let seq = node.point.seq;
        if let Some(base) = node.base.and_then(|base| self.nodes.get_mut(&base)) {
            base.children.insert(seq);
        }
        self.by_id.insert(node.point.id, seq);
        self.nodes.insert(seq, node);
    }

    /// A node for [`Points::restore`].
    pub(crate) fn loose(point: Point, base: Option<u64>, added: Vec<ObjectNo>, dropped: Vec<ObjectNo>) -> Node {
        Node { point, base, added, dropped, children: BTreeSet::new() }
    }

    /// Ends a point's life; those that build on it need what they needed before.
    pub(crate) fn remove(&mut self, seq: u64, objects: &mut Objects) {
        let Some(gone) = self.nodes.remove(&seq) else { return };
        self.by_id.remove(&gone.point.id);
        if self.tips.get(&gone.point.lineage).is_some_and(|(tip, _)| *tip == seq) {
            self.tips.remove(&gone.point.lineage);
        }
        if gone.children.is_empty() {
            gone.added.iter().for_each(|no| objects.lose(*no));
        }
        for (index, child) in gone.children.iter().enumerate() {
            if index > 0 {
                gone.added.iter().for_each(|no| objects.gain(*no));
            }
            if let Some(child) = self.nodes.get_mut(child) {
                rebase(child, &gone, objects);
            }
        }
        if let Some(base) = gone.base.and_then(|base| self.nodes.get_mut(&base)) {
            base.children.remove(&seq);
            base.children.extend(&gone.children);
        }
    }

    /// Replaces names in the needs of all points. No value of `moved` is also a key.
    pub(crate) fn replace(&mut self, moved: &BTreeMap<ObjectNo, ObjectNo>, objects: &mut Objects) {
        self.tips.clear();
        let mut counts = moved.values().map(|to| (*to, 0)).collect();
        let roots: Vec<u64> = self.nodes.values().filter(|n| n.base.is_none()).map(|n| n.point.seq).collect();
        for root in roots {
            let mut stack = vec![Step::Enter(root)];
            while let Some(step) = stack.pop() {
                match step {
                    Step::Enter(seq) => self.replace_in(seq, moved, &mut counts, &mut stack, objects),
                    Step::Leave(undo) => undo.iter().for_each(|(to, by)| bump(&mut counts, *to, -by)),
                }
            }
        }
    }

    fn replace_in(
        &mut self,
        seq: u64,
        moved: &BTreeMap<ObjectNo, ObjectNo>,
        counts: &mut BTreeMap<ObjectNo, i64>,
        stack: &mut Vec<Step>,
        objects: &mut Objects,
    ) {
        let Some(node) = self.nodes.get_mut(&seq) else { return };
        let target = |no: &ObjectNo| moved.get(no).copied().or_else(|| counts.contains_key(no).then_some(*no));
        let mut change: BTreeMap<ObjectNo, i64> = BTreeMap::new();
        for to in node.added.iter().filter_map(target) {
            *change.entry(to).or_default() += 1;
        }
        for to in node.dropped.iter().filter_map(target) {
            *change.entry(to).or_default() -= 1;
        }
        if node.added.iter().chain(&node.dropped).any(|no| target(no).is_some()) {
            node.added.iter().filter(|no| target(no).is_some()).for_each(|no| objects.lose(*no));
            let (added, dropped) = (&mut node.added, &mut node.dropped);
            added.retain(|no| target(no).is_none());
            dropped.retain(|no| target(no).is_none());
            for (to, by) in &change {
                let before = counts.get(to).copied().unwrap_or(0);
                match (before > 0, before + by > 0) {
                    (false, true) => {
                        added.push(*to);
                        objects.gain(*to);
                    }
                    (true, false) => dropped.push(*to),
                    _ => {}
                }
            }
            added.sort_unstable();
            dropped.sort_unstable();
        }
        change.iter().for_each(|(to, by)| bump(counts, *to, *by));
        node.point.collected |= counts.values().any(|count| *count > 0);
        stack.push(Step::Leave(change.into_iter().collect()));
        stack.extend(node.children.iter().map(|child| Step::Enter(*child)));
    }
}

/// A walk over the forest that keeps, per replacing name, how many of the names that it stands for the point needs.
enum Step {
    Enter(u64),
    Leave(Vec<(ObjectNo, i64)>),
}

fn bump(counts: &mut BTreeMap<ObjectNo, i64>, to: ObjectNo, by: i64) {
    *counts.entry(to).or_default() += by;
}

fn changed(mut needs: Arc<Vec<ObjectNo>>, added: &[ObjectNo], dropped: &[ObjectNo]) -> Arc<Vec<ObjectNo>> {
    let list = Arc::make_mut(&mut needs);
    if !dropped.is_empty() {
        list.retain(|no| dropped.binary_search(no).is_err());
    }
    // New objects have the highest numbers, so the list is mostly sorted already and sorting it again is one pass.
    list.extend_from_slice(added);
    list.sort();
    needs
}

/// Makes `child`'s difference one against the base of `gone`.
fn rebase(child: &mut Node, gone: &Node, objects: &mut Objects) {
    let both = |left: &[ObjectNo], right: &[ObjectNo]| {
        left.iter().copied().filter(|no| right.binary_search(no).is_ok()).collect::<Vec<_>>()
    };
    both(&gone.added, &child.dropped).iter().for_each(|no| objects.lose(*no));
    both(&child.added, &gone.dropped).iter().for_each(|no| objects.lose(*no));
    let added = union(without(&gone.added, &child.dropped), without(&child.added, &gone.dropped));
    let dropped = union(without(&gone.dropped, &child.added), without(&child.dropped, &gone.added));
    child.added = added;
    child.dropped = dropped;
    child.base = gone.base;
}
