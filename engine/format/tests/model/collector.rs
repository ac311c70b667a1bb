//! Collectors: what goes, what moves, and the deletes that may land late.

use firn_format::log::{GcCommit, GcMark, Moved, Payload, SessionEnd};
use firn_format::{CollectionId, PointId, SessionId, State, VoidReason};

use super::super::book::{Blobs, Log, Object, REBORN_MAX, bit, bits, content, mask, name, object};
use super::super::world::{DONE, Late, World};
use super::{At, Role, Steps, plain};

impl At<'_> {
    fn collection(&self) -> CollectionId {
        CollectionId([self.index as u8 + 1; 16])
    }

    /// What this one makes of others.
    fn successor(&self) -> Object {
        if self.merges() { 3 * REBORN_MAX } else { 2 * REBORN_MAX }
    }

    fn merges(&self) -> bool {
        matches!(self.scenario.roles[self.index], Role::Merger { .. })
    }

    /// Whether the object is one that it may copy from.
    fn is_source(&self, object: Object) -> bool {
        object < REBORN_MAX || (self.merges() && object < 2 * REBORN_MAX)
    }

    pub(super) fn collector(&mut self, store: u8) -> Steps {
        // Deletion goes on whatever the log says: the names are dead.
        if self.actor.step == 6 {
            return Ok(self.delete(store));
        }
        let Some((view, state)) = self.read(store) else { return Ok(Vec::new()) };
        Ok(match self.actor.step {
            0 => vec![self.go(1, |actor| actor.refs = self.world.objects[plain(store)])],
            1 => {
                let candidates = self.find_candidates(&state);
                if candidates == 0 {
                    return Ok(vec![self.go(DONE, |_| {})]);
                }
                vec![self.go(2, |actor| (actor.todo, actor.view) = (candidates, view))]
            }
            2 => {
                let candidates = bits(self.actor.todo).map(name).collect();
                let mark = GcMark { collection: self.collection(), candidates };
                vec![self.create(store, Payload::GcMark(mark), 3, 0)]
            }
            3 => {
                // What is kept of a pack is copied before the collection is committed.
                let mut next = self.world.clone();
                if bits(self.actor.todo).any(|object| self.is_source(object) && state.needed_by_any(&name(object))) {
                    next.objects[plain(store)] |= bit(self.successor());
                }
                vec![self.go_in(next, 4, |_| {})]
            }
            4 => self.before_collected(&state, view),
            5 => return self.collected(store, &state),
            _ => {
                let kill = self.dead_session(&state).map(|session| Payload::Kill(SessionEnd { session }));
                vec![match kill {
                    Some(kill) => self.create(store, kill, 4, 4),
                    None => self.go(4, |_| {}),
                }]
            }
        })
    }

    /// Listed objects that nobody needs, objects in the listing that no entry names, and packs of which part is waste.
    fn find_candidates(&mut self, state: &State) -> u64 {
        let seen = bits(self.actor.refs).filter(|object| {
            let name = name(*object);
            !state.dead(&name) && !state.needed_by_any(&name)
        });
        let successor = self.successor();
        let is_free = !state.dead(&name(successor)) && !state.listed(&name(successor));
        let movable = |object: &Object| {
            let used = points_with(state, *object).fold(0, |used, (_, wants)| used | (wants & content(*object)));
            is_free && self.is_source(*object) && used != 0 && used & !content(successor) == 0 && {
                // It is waste to copy a pack that is wanted whole, unless others join it.
                self.merges() || used != content(*object)
            }
        };
        let moves = bits(self.actor.refs).filter(movable).map(bit).fold(0, |a, b| a | b);
        seen.map(bit).fold(moves, |mask, bit| mask | bit) & !(if moves != 0 { bit(successor) } else { 0 })
    }

    /// What may go: all candidates first, then with what the rules refuse left out.
    fn collected_payload(&mut self, state: &State) -> Result<(u64, Payload), VoidReason> {
        let candidates: u64 = mask(state.candidates());
        let (mut needed, mut unlisted) = (false, false);
        loop {
            let successor = name(self.successor());
            let mut chosen = GcCommit { collection: self.collection(), dropped: Vec::new(), moved: Vec::new() };
            for from in bits(candidates).map(name) {
                if unlisted && !state.listed(&from) {
                    continue;
                }
                if needed && state.needed_by_any(&from) {
                    if self.covers(state, object(&from)) {
                        chosen.moved.push(Moved { from, to: successor });
                    }
                } else {
                    chosen.dropped.push(from);
                }
            }
            let going = mask(chosen.dropped.iter().chain(chosen.moved.iter().map(|moved| &moved.from)));
            if going == 0 {
                return Err(if unlisted { VoidReason::SessionBarrier } else { VoidReason::NotCandidate });
            }
            let payload = Payload::GcCommit(chosen);
            match state.validate(&payload, &self.book.signer()) {
                Err(VoidReason::Needed) if !needed => needed = true,
                Err(VoidReason::SessionBarrier) if !unlisted => unlisted = true,
                Err(reason) => return Err(reason),
                Ok(()) => return Ok((going, payload)),
            }
        }
    }

    /// Whether the successor has all that points want of `from`. Points that came to need `from` after the mark have
    /// rescued it, says the rule; so only those that were there or inherit it are looked at.
    fn covers(&self, state: &State, from: Object) -> bool {
        let marked = state.collection().map_or(0, |open| open.seq);
        self.is_source(from)
            && self.actor.todo & bit(from) != 0
            && points_with(state, from).all(|(id, wants)| {
                let Some(point) = state.point(&id) else { return true };
                let inherits = point.parent.is_some_and(|parent| state.needs(&parent).contains(&name(from)));
                let elsewhere = mask(&state.needs(&id)) & !bit(from);
                let others = bits(elsewhere).fold(content(self.successor()), |blobs, object| blobs | content(object));
                (point.seq > marked && !inherits) || wants & content(from) & !others == 0
            })
    }

    fn before_collected(&mut self, state: &State, view: Log) -> Vec<World> {
        if state.collection().is_none_or(|open| open.id != self.collection()) {
            return vec![self.go(DONE, |_| {})];
        }
        match self.collected_payload(state) {
            Ok(_) => vec![self.go(5, |actor| actor.view = view)],
            Err(VoidReason::SessionBarrier) => match self.dead_session(state) {
                Some(_) => vec![self.go(8, |actor| actor.view = view)],
                None => Vec::new(),
            },
            Err(_) => vec![self.go(DONE, |_| {})],
        }
    }

    fn dead_session(&self, state: &State) -> Option<SessionId> {
        // A slot that is given up may leave the session of one who is done open.
        let dead =
            |id: &&SessionId| self.world.actors.get(usize::from(id.0[0]) - 1).is_none_or(|actor| actor.step >= DONE);
        state.sessions().keys().find(dead).copied()
    }

    fn collected(&mut self, store: u8, state: &State) -> Steps {
        let stale = self.world.logs[plain(store)] != self.actor.view;
        let Ok((going, payload)) = self.collected_payload(state) else { return Ok(vec![self.go(4, |_| {})]) };
        if stale {
            return Ok(vec![self.go(4, |_| {})]);
        }
        self.check_barrier(store, state, going)?;
        let next = self.create(store, payload, 6, 4);
        let applied = next.actors[self.index].step == 6;
        Ok(vec![if applied { self.go_in(next, 6, |actor| actor.todo = going) } else { next }])
    }

    /// What a session stored before the mark stays while it is open, even if no entry names it yet.
    fn check_barrier(&self, store: u8, state: &State, going: u64) -> Result<(), String> {
        let marked = state.collection().map_or(0, |open| open.seq);
        for (index, role) in self.scenario.roles.iter().enumerate() {
            let open = state.sessions().get(&SessionId([index as u8 + 1; 16]));
            let early = open.is_some_and(|session| session.seq < marked);
            let unlisted = bits(self.world.actors[index].mine & going).any(|object| !state.listed(&name(object)));
            if matches!(role, Role::Committer { store: at, .. } if *at == store) && early && unlisted {
                return Err("an open session's object is collected".into());
            }
        }
        Ok(())
    }

    fn delete(&mut self, store: u8) -> Vec<World> {
        let Some(object) = bits(self.actor.todo).next() else { return vec![self.go(DONE, |_| {})] };
        let mut done = self.world.clone();
        done.objects[plain(store)] &= !bit(object);
        let mut out = vec![self.go_in(done, 6, |actor| actor.todo &= !bit(object))];
        if self.world.faults > 0 {
            let mut late = self.go(6, |actor| actor.todo &= !bit(object));
            late.add_late(Late::Delete(store, object));
            out.push(late);
        }
        out
    }
}

fn points_with(state: &State, object: Object) -> impl Iterator<Item = (PointId, Blobs)> {
    let name = name(object);
    state
        .points()
        .filter(move |point| state.needs(&point.id).contains(&name))
        .map(|point| (point.id, point.manifest.0[0]))
}
