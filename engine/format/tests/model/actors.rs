//! What each actor does: one operation on a store per step, each honest, each liable to be overtaken.

mod collector;
mod importer;

use firn_format::log::{
    Commit, Delete, Fence, Found, Hold, Lost, Payload, Release, SessionEnd, SessionOpen, Unfence, Void,
};
use firn_format::{HoldId, RunId, SessionId, State, VoidReason};

use super::book::{
    Blobs, Book, Log, OBJECTS, Object, REBORN_MAX, bit, bits, content, domain, lineage_id, manifest, mask, name, object,
};
use super::world::{Actor, DONE, Late, Scenario, World};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    /// Adds one point with these blobs to a lineage.
    Committer { store: u8, lineage: u8, wants: Blobs },
    /// One collection.
    Collector { store: u8 },
    /// Deletes the oldest point of a lineage.
    Retention { store: u8, lineage: u8 },
    /// One collection that makes one pack of two.
    Merger { store: u8 },
    /// Brings over whatever is there.
    Importer { from: u8, to: u8 },
    /// Fences a lineage once.
    Fencer { store: u8, lineage: u8 },
    /// Takes the newest own fence back.
    Unfencer { store: u8 },
    /// Says once what of the needed objects is gone.
    Checker { store: u8 },
    /// Puts lost objects back once, as a replica has them, and says so.
    Mender { store: u8 },
    /// Holds the oldest point of a lineage for a while.
    Reader { store: u8, lineage: u8 },
    /// Settles a damaged slot of store 0.
    Owner,
}

impl Role {
    /// Whether it must come to an end once nothing fails.
    pub(crate) fn must_end(&self) -> bool {
        matches!(self, Role::Committer { .. } | Role::Collector { .. } | Role::Merger { .. })
    }
}

/// One step's outcomes; the first is the one without a fault.
type Steps = Result<Vec<World>, String>;

/// One actor about to step.
struct At<'a> {
    book: &'a mut Book,
    scenario: &'a Scenario,
    world: &'a World,
    index: usize,
    actor: Actor,
}

pub(crate) fn steps(book: &mut Book, scenario: &Scenario, world: &World, index: usize) -> Steps {
    let actor = world.actors[index];
    if actor.step >= DONE {
        return Ok(Vec::new());
    }
    let mut at = At { book, scenario, world, index, actor };
    match scenario.roles[index] {
        Role::Committer { store, lineage, wants } => Ok(at.committer(store, lineage, wants)),
        Role::Collector { store } | Role::Merger { store } => at.collector(store),
        Role::Retention { store, lineage } => Ok(at.retention(store, lineage)),
        Role::Importer { from, to } => Ok(at.importer(from, to)),
        Role::Fencer { store, lineage } => Ok(at.fencer(store, lineage)),
        Role::Unfencer { store } => Ok(at.unfencer(store)),
        Role::Checker { store } => Ok(at.checker(store)),
        Role::Mender { store } => Ok(at.mender(store)),
        Role::Reader { store, lineage } => Ok(at.reader(store, lineage)),
        Role::Owner => Ok(at.owner()),
    }
}

/// A point of store 0 that is there from the beginning.
pub(crate) fn base(book: &mut Book, world: World, session: u8, lineage: u8, wants: Blobs, pack: Object) -> World {
    let (session, id) = (SessionId([session; 16]), lineage_id(lineage));
    let state = world.state(book, 0);
    let parent = state.latest(&id).map(|point| point.id);
    let inherited = parent.map_or(0, |parent| mask(&state.needs(&parent)));
    let run = RunId(session.0);
    let open = Payload::SessionOpen(SessionOpen { session, run, lineage: id, epoch: 0, parent });
    let mut world = world.append(book, 0, world.logs[0], open).unwrap_or(world);
    world.objects[0] |= bit(pack);
    let commit = Payload::Commit(Box::new(Commit {
        session,
        run,
        lineage: id,
        epoch: 0,
        parent,
        manifest: manifest(wants),
        domain: domain(),
        generation: 1,
        adds: vec![name(pack)],
        needs_added: Vec::new(),
        needs_dropped: bits(inherited & !bit(pack)).map(name).collect(),
        peers: Vec::new(),
        summary: Vec::new(),
        rescues: Vec::new(),
        collected_to: 0,
    }));
    let mut world = world.append(book, 0, world.logs[0], commit).unwrap_or(world);
    let log = world.logs[0];
    world.acked.push((0, book.entry(log, book.depth(log)).2.into()));
    world
}

fn plain(store: u8) -> usize {
    usize::from(store)
}

impl At<'_> {
    /// The world with this actor at another step, and other changes to the actor.
    fn go(&self, step: u8, change: impl FnOnce(&mut Actor)) -> World {
        self.go_in(self.world.clone(), step, change)
    }

    fn go_in(&self, mut world: World, step: u8, change: impl FnOnce(&mut Actor)) -> World {
        world.actors[self.index] = Actor { step, ..self.actor };
        if step == DONE {
            world.actors[self.index] = Actor { step, ..Actor::default() };
        } else {
            change(&mut world.actors[self.index]);
        }
        world
    }

    /// Reads the log; `None` while nobody may append to it.
    fn read(&mut self, store: u8) -> Option<(Log, std::rc::Rc<State>)> {
        let state = self.world.state(self.book, store);
        state.may_append().ok()?;
        Some((self.world.logs[plain(store)], state))
    }

    /// Creates the next slot after the view: `applied` if it took effect, `again` if another was faster or it is void.
    fn create(&mut self, store: u8, payload: Payload, applied: u8, again: u8) -> World {
        match self.world.append(self.book, store, self.actor.view, payload.clone()) {
            Some(next) if self.world.state(self.book, store).validate(&payload, &self.book.signer()).is_ok() => {
                let view = next.logs[plain(store)];
                self.go_in(next, applied, |actor| actor.view = view)
            }
            _ => self.go(again, |_| {}),
        }
    }

    fn session(&self) -> SessionId {
        SessionId([self.index as u8 + 1; 16])
    }

    fn committer(&mut self, store: u8, lineage: u8, wants: Blobs) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        let id = lineage_id(lineage);
        let alive = state.sessions().contains_key(&self.session());
        if self.actor.step > 1 && !alive {
            return vec![self.go(DONE, |_| {})];
        }
        match self.actor.step {
            0 if !state.may_commit(&id) => vec![self.go(DONE, |_| {})],
            0 => vec![self.go(1, |actor| actor.view = view)],
            1 => {
                let seen = self.book.state(self.actor.view, 0);
                let open = SessionOpen {
                    session: self.session(),
                    run: RunId(self.session().0),
                    lineage: id,
                    epoch: seen.epoch(&id),
                    parent: seen.latest(&id).map(|point| point.id),
                };
                vec![self.create(store, Payload::SessionOpen(open), 2, 0)]
            }
            2 => vec![self.plan_objects(&state, wants)],
            3 => self.put(store),
            4 => vec![self.before_commit(&state, view, wants)],
            5 => self.commit(store, wants),
            6 => vec![self.go(7, |actor| actor.view = view)],
            _ => vec![self.create(store, Payload::Abort(SessionEnd { session: self.session() }), DONE, 6)],
        }
    }

    /// Deduplicates against all that the log knows, and plans to store the rest.
    fn plan_objects(&mut self, state: &State, wants: Blobs) -> World {
        let (mut refs, mut todo) = (0, 0);
        for blob in [1, 2, 4].into_iter().filter(|blob| wants & blob != 0) {
            let holds = |object: &Object| content(*object) & blob != 0;
            let known = (0..OBJECTS).filter(holds).find(|object| {
                let name = name(*object);
                state.listed(&name) && !state.dead(&name) && !state.is_lost(&name)
            });
            let own = bits(self.actor.mine).filter(holds).find(|object| !state.dead(&name(*object)));
            let fresh = || object(&state.name_to_store(name(if blob == 4 { REBORN_MAX } else { 0 })));
            let chosen = known.or(own).unwrap_or_else(fresh);
            refs |= bit(chosen);
            if known.is_none() && own.is_none() {
                todo |= bit(chosen);
            }
        }
        let parent = state.sessions().get(&self.session()).and_then(|session| session.parent);
        let inherited = parent.map_or(0, |parent| mask(&state.needs(&parent)));
        let moved_to = state.moved_to();
        self.go(3, |actor| {
            (actor.refs, actor.todo, actor.inherited, actor.moved_to) = (refs, todo, inherited, moved_to);
        })
    }

    fn put(&mut self, store: u8) -> Vec<World> {
        let Some(object) = bits(self.actor.todo).next() else { return vec![self.go(4, |_| {})] };
        let mut done = self.world.clone();
        done.objects[plain(store)] |= bit(object);
        let mut out = vec![self.go_in(done, 3, |actor| {
            actor.todo &= !bit(object);
            actor.mine |= bit(object);
        })];
        if self.world.faults > 0 {
            let mut late = self.world.clone();
            late.add_late(Late::Put(store, object));
            out.push(late);
        }
        out
    }

    fn commit_payload(&mut self, state: &State, wants: Blobs) -> Option<Payload> {
        let session = state.sessions().get(&self.session())?;
        let names = |mask: u64| bits(mask).map(name).collect::<Vec<_>>();
        let Actor { refs, mine, inherited, .. } = self.actor;
        Some(Payload::Commit(Box::new(Commit {
            session: self.session(),
            run: session.run,
            lineage: session.lineage,
            epoch: session.epoch,
            parent: session.parent,
            manifest: manifest(wants),
            domain: domain(),
            generation: 1,
            adds: names(refs & mine),
            needs_added: names(refs & !mine & !inherited),
            needs_dropped: names(inherited & !refs),
            peers: Vec::new(),
            summary: Vec::new(),
            rescues: names(refs).into_iter().filter(|name| state.is_candidate(name)).collect(),
            collected_to: self.actor.moved_to,
        })))
    }

    fn before_commit(&mut self, state: &State, view: Log, wants: Blobs) -> World {
        let Some(payload) = self.commit_payload(state, wants) else { return self.go(DONE, |_| {}) };
        match state.validate(&payload, &self.book.signer()) {
            Ok(()) => self.go(5, |actor| actor.view = view),
            Err(VoidReason::Epoch | VoidReason::HeldElsewhere) => self.go(6, |_| {}),
            Err(_) => self.go(2, |_| {}),
        }
    }

    fn commit(&mut self, store: u8, wants: Blobs) -> Vec<World> {
        let seen = self.world.state(self.book, store);
        let current = self.world.logs[plain(store)] == self.actor.view;
        let Some(payload) = self.commit_payload(&seen, wants).filter(|_| current) else {
            return vec![self.go(4, |_| {})];
        };
        let mut done = self.create(store, payload.clone(), DONE, 4);
        if done.actors[self.index].step == DONE {
            let log = done.logs[plain(store)];
            let id = self.book.entry(log, self.book.depth(log)).2.into();
            done.acked.push((store, id));
            done.acked.sort_unstable();
        }
        let mut out = vec![done];
        if self.world.faults > 0
            && let Some(later) = self.world.append(self.book, store, self.actor.view, payload)
        {
            let mut late = self.go(4, |_| {});
            late.add_late(Late::Append(store, self.actor.view, later.logs[plain(store)]));
            out.push(late);
        }
        out
    }

    fn retention(&mut self, store: u8, lineage: u8) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        let oldest = |state: &State| state.points_of(&lineage_id(lineage)).next().map(|point| point.id);
        let Some(id) = oldest(&state).filter(|id| !state.is_held(id)) else { return Vec::new() };
        match self.actor.step {
            0 => vec![self.go(1, |actor| actor.view = view)],
            _ => {
                let delete = Delete { points: vec![id], reason: String::new() };
                vec![self.create(store, Payload::Delete(delete), DONE, 0)]
            }
        }
    }

    fn reader(&mut self, store: u8, lineage: u8) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        let hold = HoldId([self.index as u8; 16]);
        match self.actor.step {
            0 | 2 => vec![self.go(self.actor.step + 1, |actor| actor.view = view)],
            1 => {
                let Some(id) = state.points_of(&lineage_id(lineage)).next().map(|point| point.id) else {
                    return vec![self.go(DONE, |_| {})];
                };
                let held = Hold { hold, points: vec![id], reason: String::new(), until_ms: None };
                vec![self.create(store, Payload::Hold(held), 2, 0)]
            }
            _ => vec![self.create(store, Payload::Release(Release { hold }), DONE, 2)],
        }
    }

    fn fencer(&mut self, store: u8, lineage: u8) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        let id = lineage_id(lineage);
        match self.actor.step {
            0 => vec![self.go(1, |actor| actor.view = view)],
            _ => {
                let fence = Fence {
                    lineages: vec![id],
                    epochs: vec![state.next_epoch(&id)],
                    basis: Vec::new(),
                    reason: String::new(),
                    tips: vec![state.latest(&id).map(|point| point.id)],
                    successors: Vec::new(),
                };
                vec![self.create(store, Payload::Fence(fence), DONE, 0)]
            }
        }
    }

    fn unfencer(&mut self, store: u8) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        let own = state.fences().values().rev().find(|info| info.store == state.store() && info.unfenced.is_none());
        let Some(unfence) = own.map(|info| Payload::Unfence(Unfence { fence: info.hash })) else { return Vec::new() };
        match self.actor.step {
            0 if state.validate(&unfence, &self.book.signer()).is_err() => Vec::new(),
            0 => vec![self.go(1, |actor| actor.view = view)],
            _ => vec![self.create(store, unfence, DONE, 0)],
        }
    }

    fn checker(&mut self, store: u8) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        let gone = mask(state.needed()) & !self.world.objects[plain(store)] & !mask(state.lost());
        match self.actor.step {
            0 if gone == 0 => Vec::new(),
            0 => vec![self.go(1, |actor| (actor.view, actor.todo) = (view, gone))],
            _ => {
                let lost = Lost { names: bits(self.actor.todo).map(name).collect(), reason: String::new() };
                vec![self.create(store, Payload::Lost(lost), DONE, 0)]
            }
        }
    }

    fn mender(&mut self, store: u8) -> Vec<World> {
        let Some((view, state)) = self.read(store) else { return Vec::new() };
        match self.actor.step {
            0 => match mask(state.lost()) {
                0 => Vec::new(),
                lost => vec![self.go(1, |actor| actor.todo = lost)],
            },
            1 => {
                let mut next = self.world.clone();
                next.objects[plain(store)] |= self.actor.todo;
                next.harmed[plain(store)] &= !self.actor.todo;
                vec![self.go_in(next, 2, |_| {})]
            }
            2 => vec![self.go(3, |actor| actor.view = view)],
            _ => {
                let names = bits(self.actor.todo).map(name).collect();
                let found = Payload::Found(Found { names, moved: Vec::new(), rescues: Vec::new() });
                let is_void = state.validate(&found, &self.book.signer()).is_err();
                vec![if is_void { self.go(DONE, |_| {}) } else { self.create(store, found, DONE, 2) }]
            }
        }
    }

    fn owner(&mut self) -> Vec<World> {
        let state = self.world.state(self.book, 0);
        let Some(damage) = state.damage() else { return Vec::new() };
        let log = self.world.logs[0];
        let mirrored = self.book.entry(log, damage.seq).1.clone();
        // Deletes cannot be taken back: a slot is given up only if no GC_COMMIT lies there or was built on it.
        let collected = (damage.seq..=self.book.depth(log))
            .any(|seq| matches!(self.book.entry(log, seq).0.payload, Payload::GcCommit(_)));
        let mut out = Vec::new();
        for entry in [Some(mirrored), None].into_iter().take(if collected { 1 } else { 2 }) {
            let void = Void { seq: damage.seq, hash: damage.hash, reason: String::new(), entry };
            let next = self.world.append(self.book, 0, log, Payload::Void(void));
            out.extend(next.map(|next| self.go_in(next, DONE, |_| {})));
        }
        out
    }
}
