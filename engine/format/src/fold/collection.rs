//! GC_MARK and GC_COMMIT: how objects go.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::{GcCommit, GcMark};
use crate::state::{Collection, ObjectNo, State, flag};
use crate::verdict::VoidReason;

impl State {
    pub(super) fn judge_mark(&self, mark: &GcMark) -> Result<(), VoidReason> {
        if mark.candidates.iter().any(|name| self.dead(name)) {
            return Err(VoidReason::DeadName);
        }
        Ok(())
    }

    /// A mark replaces the open collection.
    pub(super) fn change_mark(&mut self, mark: &GcMark, time_ms: i64) {
        let candidates = mark.candidates.iter().map(|name| self.objects.intern(name)).collect();
        self.collection = Some(Collection {
            id: mark.collection,
            seq: self.next,
            time_ms,
            barrier: self.sessions.keys().copied().collect(),
            candidates,
            rescued: BTreeSet::new(),
        });
    }

    pub(super) fn judge_collected(&self, collected: &GcCommit) -> Result<(), VoidReason> {
        let open = self.collection.as_ref().filter(|open| open.id == collected.collection);
        let open = open.ok_or(VoidReason::CollectionNotOpen)?;
        let mut going = BTreeSet::new();
        for name in collected.dropped.iter().chain(collected.moved.iter().map(|moved| &moved.from)) {
            let no = self.objects.find(name).filter(|no| self.candidate_no(*no)).ok_or(VoidReason::NotCandidate)?;
            if !going.insert(no) {
                return Err(VoidReason::Malformed);
            }
            if self.rules.barrier && !self.objects.has(no, flag::LISTED) && !open.barrier.is_empty() {
                return Err(VoidReason::SessionBarrier);
            }
        }
        if self.rules.needs && collected.dropped.iter().any(|name| self.needed_by_any(name)) {
            return Err(VoidReason::Needed);
        }
        for moved in &collected.moved {
            let Some(no) = self.objects.find(&moved.to) else { continue };
            if self.objects.has(no, flag::DEAD) {
                return Err(VoidReason::DeadName);
            }
            if self.objects.has(no, flag::LOST) {
                return Err(VoidReason::LostName);
            }
            if open.candidates.contains(&no) {
                return Err(VoidReason::NotCandidate);
            }
        }
        Ok(())
    }

    /// Ends names, and puts successors in their place in what points need.
    pub(super) fn change_collected(&mut self, collected: &GcCommit) {
        self.collection = None;
        for name in &collected.dropped {
            let no = self.objects.intern(name);
            self.end_name(no);
        }
        let mut moved = BTreeMap::new();
        for pair in &collected.moved {
            let (from, to) = (self.objects.intern(&pair.from), self.objects.intern(&pair.to));
            self.end_name(from);
            self.objects.set(to, flag::LISTED | flag::SUCCESSOR);
            moved.insert(from, to);
        }
        if !moved.is_empty() {
            self.points.replace(&moved, &mut self.objects);
            self.moved_to = self.next;
        }
    }

    fn end_name(&mut self, no: ObjectNo) {
        if self.rules.dead_names {
            self.objects.end(no, self.next);
        }
    }
}
