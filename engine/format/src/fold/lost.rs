//! LOST and FOUND: objects whose bytes are gone, and how they come back.

use std::collections::{BTreeMap, BTreeSet};

use crate::log::{Found, Lost};
use crate::name::ObjectName;
use crate::state::{State, flag};
use crate::verdict::VoidReason;

impl State {
    pub(super) fn change_lost(&mut self, lost: &Lost) {
        for name in &lost.names {
            let no = self.objects.intern(name);
            self.objects.mark_lost(no, self.next);
        }
    }

    /// Every object that it names is lost here, each once; what lies elsewhere bears the one name that it may.
    pub(super) fn judge_found(&self, found: &Found) -> Result<(), VoidReason> {
        let mut named = BTreeSet::new();
        for name in found.names.iter().chain(found.moved.iter().map(|moved| &moved.from)) {
            if !named.insert(name) {
                return Err(VoidReason::Malformed);
            }
            self.may_be_found(name)?;
        }
        if named.is_empty() {
            return Err(VoidReason::Malformed);
        }
        let rescues: BTreeSet<_> = found.rescues.iter().collect();
        for moved in &found.moved {
            if self.name_instead(&moved.from) != Some(moved.to) {
                return Err(VoidReason::NotLost);
            }
            self.may_need(&moved.to, false, &rescues)?;
        }
        Ok(())
    }

    fn may_be_found(&self, name: &ObjectName) -> Result<(), VoidReason> {
        let dead = self.dead(name);
        if dead && self.rules.found_dead {
            return Err(VoidReason::DeadName);
        }
        if dead || self.is_lost(name) { Ok(()) } else { Err(VoidReason::NotLost) }
    }

    /// The names are whole again; those with damaged bytes end, and their successors stand in for them in what points need.
    pub(super) fn change_found(&mut self, found: &Found) {
        self.rescue(&found.rescues);
        for name in &found.names {
            let no = self.objects.intern(name);
            self.objects.mark_found(no);
        }
        let mut moved = BTreeMap::new();
        for pair in &found.moved {
            let (from, to) = (self.objects.intern(&pair.from), self.objects.intern(&pair.to));
            // The same position as in its successor's name, so that whoever has the old name finds the new one.
            if let Some(seq) = self.objects.next_name_seq(from) {
                self.objects.end(from, seq);
            }
            if let Some(open) = &mut self.collection {
                open.candidates.remove(&from);
            }
            self.objects.set(to, flag::LISTED);
            moved.insert(from, to);
        }
        if !moved.is_empty() {
            self.points.replace(&moved, &mut self.objects);
        }
    }
}
