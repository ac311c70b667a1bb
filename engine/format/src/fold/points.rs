//! COMMIT and IMPORT: how points come to life, and what they need.

use std::collections::BTreeSet;

use super::judge::Plan;
use crate::ids::{Hash, LineageId, PointId, StoreId};
use crate::log::{Commit, Entry, Import, Level, PASSED_MAX, Payload};
use crate::name::ObjectName;
use crate::state::{ObjectNo, Point, State, Verification, flag};
use crate::verdict::VoidReason;

/// The longest sealed summary; a real one has some 300 bytes, and every live point's is kept in memory.
const SUMMARY_BYTES_MAX: usize = 4 << 10;

/// How a point came.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    /// When this log says so.
    pub(super) time_ms: i64,
    /// Whether all that it needs was hashed in this store before.
    pub(super) was_hashed: bool,
}

/// A point about to live.
pub(super) struct NewPoint {
    /// The live point that its needs are written against.
    base: Option<u64>,
    /// What it needs and the base does not, each once, in the order of mention.
    added: Vec<ObjectName>,
    /// What the base needs and it does not.
    dropped: Vec<ObjectNo>,
    /// Lost objects that it needs and that were stored again for it.
    stored: Vec<ObjectNo>,
}

impl State {
    pub(super) fn judge_commit(&self, commit: &Commit) -> Result<NewPoint, VoidReason> {
        let session = self.sessions.get(&commit.session).ok_or(VoidReason::SessionNotOpen)?;
        if (session.run, session.lineage, session.epoch, session.parent)
            != (commit.run, commit.lineage, commit.epoch, commit.parent)
        {
            return Err(VoidReason::SessionMismatch);
        }
        if self.rules.epoch {
            if commit.epoch != self.epoch(&commit.lineage) {
                return Err(VoidReason::Epoch);
            }
            if !self.may_commit(&commit.lineage) {
                return Err(VoidReason::HeldElsewhere);
            }
        }
        if self.rules.moves && commit.collected_to != self.moved_to {
            return Err(VoidReason::StaleCollection);
        }
        let base = match &commit.parent {
            Some(parent) => Some(self.points.seq_of(parent).ok_or(VoidReason::ParentNotLive)?),
            None => None,
        };
        self.differences(base, commit, &commit.rescues)
    }

    pub(super) fn judge_import(&self, import: &Import) -> Result<Plan, VoidReason> {
        if import.store == self.store() {
            return Err(VoidReason::OwnEntry);
        }
        if Hash::of(&import.entry) != import.hash {
            return Err(VoidReason::ImportMismatch);
        }
        let entry = Entry::open_trusted(&import.entry).map_err(|_| VoidReason::ImportMismatch)?;
        if (entry.store, entry.seq) != (import.store, import.seq) {
            return Err(VoidReason::ImportMismatch);
        }
        match &entry.payload {
            Payload::Commit(commit) => {
                let point = self.judge_imported(import, commit)?;
                Ok(Plan::ImportCommit(Box::new(entry), point))
            }
            Payload::Fence(fence) => {
                let effects = self.judge_imported_fence(import, fence)?;
                Ok(Plan::ImportFence(Box::new(entry), effects))
            }
            Payload::Unfence(unfence) if self.rules.unfence => {
                self.judge_imported_unfence(import.store, unfence).map(Plan::Unfence)
            }
            _ => Err(VoidReason::ImportMismatch),
        }
    }

    fn judge_imported(&self, import: &Import, commit: &Commit) -> Result<NewPoint, VoidReason> {
        if let Some(lineage) = self.lineages.get(&commit.lineage) {
            if !lineage.may_import(&import.store, import.seq) {
                return Err(VoidReason::OutOfOrder);
            }
            if self.rules.epoch && commit.epoch < lineage.epoch {
                return Err(VoidReason::Epoch);
            }
            if self.rules.epoch && commit.epoch == lineage.epoch {
                if lineage.split {
                    return Err(VoidReason::Split);
                }
                if lineage.holder.is_some_and(|holder| holder != import.store) {
                    return Err(VoidReason::HeldElsewhere);
                }
            }
        }
        if self.points.seq_of(&PointId::from(import.hash)).is_some() {
            return Err(VoidReason::OutOfOrder);
        }
        if import.passed.len() > PASSED_MAX || import.passed.iter().any(|seq| *seq >= import.seq) {
            return Err(VoidReason::Malformed);
        }
        let parent =
            commit.parent.as_ref().map(|parent| self.points.seq_of(parent).and_then(|seq| self.points.node(seq)));
        let base = parent.flatten().map(|node| &node.point);
        if base.is_some_and(|point| point.lineage != commit.lineage) {
            return Err(VoidReason::ParentNotLive);
        }
        match (&import.needs, parent, base) {
            (Some(needs), _, base) => self.whole(base.map(|point| point.seq), needs, &commit.adds, &import.rescues),
            (None, Some(None), _) => Err(VoidReason::NeedsMissing),
            (None, _, Some(point)) if point.collected || self.source_moved(import.store, commit, point) => {
                Err(VoidReason::NeedsMissing)
            }
            (None, _, base) => self.differences(base.map(|point| point.seq), commit, &import.rescues),
        }
        .and_then(|point| if commit.summary.len() > SUMMARY_BYTES_MAX { Err(VoidReason::Malformed) } else { Ok(point) })
    }

    /// Whether a collection of `source` may have moved what the parent needs after `parent` came here: an object that was
    /// made from several holds more than each of them, so the entry's differences to it say too little.
    fn source_moved(&self, source: StoreId, commit: &Commit, parent: &Point) -> bool {
        let known_to = if parent.store == source { parent.store_seq } else { 0 };
        self.rules.source_moves && commit.collected_to > known_to
    }

    /// Whether an IMPORT of `commit` from `source` must name all needs.
    pub fn must_name_needs(&self, source: StoreId, commit: &Commit) -> bool {
        let Some(parent) = &commit.parent else { return false };
        self.point(parent).is_none_or(|parent| parent.collected || self.source_moved(source, commit, parent))
    }

    /// Notes how far a peer's points of the lineage were imported, and which were passed over.
    pub(super) fn change_order(&mut self, lineage: LineageId, import: &Import) {
        let lineage = self.lineages.entry(lineage).or_default();
        let to = lineage.imported.entry(import.store).or_default();
        let before = *to;
        *to = import.seq.max(before);
        let passed = lineage.passed.entry(import.store).or_default();
        passed.remove(&import.seq);
        // Only what lies behind all that was imported was not here yet, as far as this log knows.
        passed.extend(import.passed.iter().filter(|seq| **seq > before));
        while passed.len() > PASSED_MAX {
            passed.pop_first();
        }
        if passed.is_empty() {
            lineage.passed.remove(&import.store);
        }
    }

    /// needs(parent) − dropped ∪ adds ∪ added.
    fn differences(&self, base: Option<u64>, commit: &Commit, rescues: &[ObjectName]) -> Result<NewPoint, VoidReason> {
        if commit.summary.len() > SUMMARY_BYTES_MAX {
            return Err(VoidReason::Malformed);
        }
        let before = base.map(|base| self.points.needs(base)).unwrap_or_default();
        let rescues: BTreeSet<_> = rescues.iter().collect();
        let mut wanted = BTreeSet::new();
        let mut added = Vec::new();
        for (name, stored) in commit.adds.iter().map(|n| (n, true)).chain(commit.needs_added.iter().map(|n| (n, false)))
        {
            if !wanted.insert(name) {
                continue;
            }
            self.may_need(name, stored, &rescues)?;
            if self.objects.find(name).is_none_or(|no| before.binary_search(&no).is_err()) {
                added.push(*name);
            }
        }
        let dropped = commit.needs_dropped.iter().filter(|name| !wanted.contains(name));
        let mut dropped: Vec<_> = dropped.filter_map(|name| self.objects.find(name)).collect();
        dropped.retain(|no| before.binary_search(no).is_ok());
        dropped.sort_unstable();
        dropped.dedup();
        let stored = self.lost_among(commit.adds.iter());
        Ok(NewPoint { base, added, dropped, stored })
    }

    /// The lost ones of `names`.
    fn lost_among<'n>(&self, names: impl Iterator<Item = &'n ObjectName>) -> Vec<ObjectNo> {
        names.filter_map(|name| self.objects.find(name)).filter(|no| self.objects.has(*no, flag::LOST)).collect()
    }

    /// Exactly `needs`.
    fn whole(
        &self,
        base: Option<u64>,
        needs: &[ObjectName],
        stored: &[ObjectName],
        rescues: &[ObjectName],
    ) -> Result<NewPoint, VoidReason> {
        let before = base.map(|base| self.points.needs(base)).unwrap_or_default();
        let (rescues, stored): (BTreeSet<_>, BTreeSet<_>) = (rescues.iter().collect(), stored.iter().collect());
        let (mut wanted, mut kept, mut added) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for name in needs {
            if !wanted.insert(name) {
                continue;
            }
            self.may_need(name, stored.contains(name), &rescues)?;
            match self.objects.find(name).filter(|no| before.binary_search(no).is_ok()) {
                Some(no) => _ = kept.insert(no),
                None => added.push(*name),
            }
        }
        let dropped = before.iter().copied().filter(|no| !kept.contains(no)).collect();
        let stored = self.lost_among(wanted.intersection(&stored).copied());
        Ok(NewPoint { base, added, dropped, stored })
    }

    /// Whether a point may come to need `name`, which its writer `stored` itself or found here.
    pub(super) fn may_need(
        &self,
        name: &ObjectName,
        stored: bool,
        rescues: &BTreeSet<&ObjectName>,
    ) -> Result<(), VoidReason> {
        let Some(no) = self.objects.find(name) else { return Ok(()) };
        if self.objects.has(no, flag::DEAD) {
            return Err(VoidReason::DeadName);
        }
        if !stored && self.objects.has(no, flag::LOST) {
            return Err(VoidReason::LostName);
        }
        if self.rules.rescue && self.candidate_no(no) && !rescues.contains(name) {
            return Err(VoidReason::NotRescued);
        }
        Ok(())
    }

    /// Makes the point of `commit` in `entry` live.
    pub(super) fn change_point(&mut self, entry: &Entry, commit: &Commit, hash: Hash, new: NewPoint, arrival: Arrival) {
        let seq = self.next;
        let mut added: Vec<ObjectNo> = new.added.iter().map(|name| self.objects.intern(name)).collect();
        added.sort_unstable();
        for no in &added {
            self.objects.set(*no, flag::LISTED);
        }
        for no in &new.stored {
            self.objects.mark_found(*no);
        }
        let base = new.base.and_then(|base| self.points.node(base)).map(|node| &node.point);
        // What a collection changed once is inherited, except where an import says all needs anew in whole objects.
        let successors = added.iter().any(|no| self.objects.has(*no, flag::SUCCESSOR));
        let collected = base.is_some_and(|point| point.collected) || (entry.store != self.store() && successors);
        self.take_over(commit.lineage, commit.epoch, entry.store, commit.parent);
        let lineage = self.lineages.entry(commit.lineage).or_default();
        lineage.used = true;
        let level = Level::StoredHashes;
        let verified = arrival.was_hashed.then_some(Verification { level, seq, time_ms: arrival.time_ms });
        let point = Point {
            id: hash.into(),
            lineage: commit.lineage,
            epoch: commit.epoch,
            seq,
            store: entry.store,
            store_seq: entry.seq,
            session: commit.session,
            run: commit.run,
            parent: commit.parent,
            manifest: commit.manifest,
            domain: commit.domain,
            generation: commit.generation,
            time_ms: entry.time_ms,
            store_time_ms: entry.store_time_ms,
            arrived_ms: arrival.time_ms,
            summary: commit.summary.clone(),
            branch: false,
            verified,
            collected,
        };
        lineage.points.insert(point.place());
        self.points.insert(point, new.base, added, new.dropped, &mut self.objects);
    }

    /// A peer's point of a higher epoch tells of a fence that was not imported; any point tells who holds the lineage.
    fn take_over(&mut self, id: LineageId, epoch: u64, store: StoreId, parent: Option<PointId>) {
        let lineage = self.lineages.entry(id).or_default();
        if epoch < lineage.epoch {
            return;
        }
        if epoch > lineage.epoch {
            (lineage.epoch, lineage.split, lineage.used) = (epoch, false, false);
            lineage.holder = Some(store);
            lineage.epoch_max = lineage.epoch_max.max(epoch);
            self.set_branches(&id, parent, &[]);
        } else if lineage.holder.is_none() {
            lineage.holder = Some(store);
        }
    }

    /// Takes candidates that are needed now out of the open collection.
    pub(super) fn rescue(&mut self, names: &[ObjectName]) {
        let Some(open) = self.collection.as_mut().filter(|_| self.rules.rescue) else { return };
        let candidates =
            names.iter().filter_map(|name| self.objects.find(name)).filter(|no| open.candidates.contains(no));
        open.rescued.extend(candidates);
    }
}
