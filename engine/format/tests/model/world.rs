//! The world: three stores, their logs, actors between two operations, operations that have not landed yet; and what must
//! hold in it.

use firn_format::log::Payload;
use firn_format::{Hash, PointId, State};

use super::actors::{self, Role};
use super::book::{Blobs, Book, Log, Object, STORES, bit, content, lineage_id, mask};

/// An operation that its caller gave up and that may land at any later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Late {
    Put(u8, Object),
    Delete(u8, Object),
    /// The store, the log that it was meant for, and that log with the entry.
    Append(u8, Log, Log),
}

/// An actor between two operations. What the fields mean is its role's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Actor {
    pub(crate) step: u8,
    /// The log that it has read last.
    pub(crate) view: Log,
    /// Objects that it means to need, or to collect.
    pub(crate) refs: u64,
    /// Objects that it stored.
    pub(crate) mine: u64,
    /// Objects still to be stored, copied or deleted.
    pub(crate) todo: u64,
    /// What its parent needed when it planned.
    pub(crate) inherited: u64,
    pub(crate) moved_to: u64,
}

pub(crate) const DONE: u8 = 99;
pub(crate) const DEAD: u8 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) logs: [Log; STORES],
    pub(crate) rot: u8,
    pub(crate) objects: [u64; STORES],
    /// Objects that the stores lost, and that were not put back.
    pub(crate) harmed: [u64; STORES],
    pub(crate) actors: Vec<Actor>,
    pub(crate) late: Vec<Late>,
    /// Points whose makers were told that they are safe.
    pub(crate) acked: Vec<(u8, PointId)>,
    pub(crate) faults: u8,
}

/// What may happen in a scenario besides its actors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) budget: u8,
    pub(crate) deaths: bool,
    pub(crate) rot: bool,
    /// Whether a store may lose an object.
    pub(crate) harm: bool,
}

pub(crate) struct Scenario {
    pub(crate) title: &'static str,
    pub(crate) roles: Vec<Role>,
    pub(crate) faults: Faults,
    /// Points that are there at first: store, lineage, wanted blobs, pack.
    pub(crate) base: Vec<(u8, Blobs, Object)>,
    pub(crate) states_max: usize,
}

impl World {
    pub(crate) fn state(&self, book: &mut Book, store: u8) -> std::rc::Rc<State> {
        let rot = if store == 0 { self.rot } else { 0 };
        book.state(self.logs[usize::from(store)], rot)
    }

    /// Appends to a log that was read as `view`; `None` if another came first.
    pub(crate) fn append(&self, book: &mut Book, store: u8, view: Log, payload: Payload) -> Option<World> {
        if self.logs[usize::from(store)] != view {
            return None;
        }
        let prev = self.prev(book, store);
        let mut next = self.clone();
        next.logs[usize::from(store)] = book.append(view, prev, payload);
        Some(next)
    }

    pub(crate) fn prev(&self, book: &mut Book, store: u8) -> Hash {
        let state = self.state(book, store);
        state.damage().map_or(state.head_hash(), |damage| damage.free.prev)
    }

    pub(crate) fn add_late(&mut self, late: Late) {
        self.late.push(late);
        self.late.sort_unstable();
        self.late.dedup();
        self.faults -= 1;
    }
}

/// All worlds that one step leads to.
pub(crate) fn successors(book: &mut Book, scenario: &Scenario, world: &World) -> Result<Vec<World>, String> {
    let mut next = Vec::new();
    for index in 0..world.actors.len() {
        next.extend(actors::steps(book, scenario, world, index)?);
        let step = world.actors[index].step;
        if scenario.faults.deaths && world.faults > 0 && step > 0 && step < DONE {
            let mut dead = world.clone();
            dead.actors[index] = Actor { step: DEAD, ..Actor::default() };
            dead.faults -= 1;
            next.push(dead);
        }
    }
    for index in 0..world.late.len() {
        next.push(land(world, index));
    }
    if scenario.faults.harm && world.faults > 0 {
        for object in super::book::bits(world.objects[0]) {
            let mut harmed = World { faults: world.faults - 1, ..world.clone() };
            harmed.objects[0] &= !bit(object);
            harmed.harmed[0] |= bit(object);
            next.push(harmed);
        }
    }
    if scenario.faults.rot {
        if world.rot > 0 {
            next.push(World { rot: 0, ..world.clone() });
        } else if world.faults > 0 {
            for seq in [book.depth(world.logs[0]), book.depth(world.logs[0]) - 1] {
                next.push(World { rot: seq as u8, faults: world.faults - 1, ..world.clone() });
            }
        }
    }
    Ok(next)
}

fn land(world: &World, index: usize) -> World {
    let mut next = world.clone();
    match next.late.remove(index) {
        Late::Put(store, object) => next.objects[usize::from(store)] |= bit(object),
        Late::Delete(store, object) => next.objects[usize::from(store)] &= !bit(object),
        Late::Append(store, before, after) => {
            if next.logs[usize::from(store)] == before {
                next.logs[usize::from(store)] = after;
            }
        }
    }
    next
}

/// What must hold in every world.
pub(crate) fn check(book: &mut Book, world: &World) -> Result<(), String> {
    for store in 0..STORES as u8 {
        let state = world.state(book, store);
        if state.damage().is_some() {
            continue;
        }
        // What the store itself lost is not the protocol's fault.
        let present = world.objects[usize::from(store)] | world.harmed[usize::from(store)];
        for point in state.points() {
            let needs = mask(&state.needs(&point.id));
            let whole = super::book::bits(needs & present).fold(0, |blobs, object| blobs | content(object));
            if needs & !present != 0 {
                return Err(format!("store {store}: point {} lacks an object", point.seq));
            }
            if point.manifest.0[0] & !whole != 0 {
                return Err(format!("store {store}: point {} lacks a blob", point.seq));
            }
        }
        let above = |point: &&firn_format::Point| !point.branch && point.epoch > state.epoch(&point.lineage);
        if let Some(point) = state.points().find(above) {
            return Err(format!("store {store}: point {} stands above its lineage's epoch", point.seq));
        }
        check_log(book, world, store, &state)?;
    }
    Ok(())
}

/// Acknowledged points live until DELETE or VOID; nothing of a lower epoch follows a fence.
fn check_log(book: &mut Book, world: &World, store: u8, state: &State) -> Result<(), String> {
    let log = world.logs[usize::from(store)];
    let mut excused: Vec<PointId> = Vec::new();
    let mut fences: Vec<(u64, u64)> = Vec::new();
    let mut unfences: Vec<(u64, Hash)> = Vec::new();
    for seq in 1..=book.depth(log) {
        match &book.entry(log, seq).0.payload {
            Payload::Delete(delete) => excused.extend(&delete.points),
            // What followed a slot that is given up may have been built on it.
            Payload::Void(void) if void.entry.is_none() => {
                excused.extend((void.seq..=book.depth(log)).map(|seq| PointId::from(book.entry(log, seq).2)));
            }
            Payload::Fence(fence) if state.fences().contains_key(&seq) => fences.push((seq, fence.epochs[0])),
            Payload::Unfence(unfence) => unfences.push((seq, unfence.fence)),
            Payload::Import(import) if unfence_in(import).is_some() => {
                unfences.extend(unfence_in(import).map(|fence| (seq, fence)));
            }
            Payload::Import(_) => fences.extend(state.fences().get(&seq).map(|info| (seq, info.lineages[0].epoch))),
            _ => {}
        }
    }
    for (at, id) in &world.acked {
        if *at == store && state.point(id).is_none() && !excused.contains(id) {
            return Err(format!("store {store}: an acknowledged point is gone"));
        }
    }
    for (fence, epoch) in fences {
        let info = state.fences().get(&fence).filter(|info| info.unfenced.is_some());
        let end = info.and_then(|info| unfences.iter().rev().find(|(_, hash)| *hash == info.hash));
        let held = fence..end.map_or(u64::MAX, |(seq, _)| *seq);
        let late = state.points_of(&lineage_id(1)).any(|point| held.contains(&point.seq) && point.epoch < epoch);
        if late {
            return Err(format!("store {store}: a point of a lower epoch follows a fence"));
        }
    }
    Ok(())
}

/// The fence that an import says is taken back.
fn unfence_in(import: &firn_format::log::Import) -> Option<Hash> {
    match firn_format::Entry::open_trusted(&import.entry).ok()?.payload {
        Payload::Unfence(unfence) => Some(unfence.fence),
        _ => None,
    }
}

/// Two stores that import from each other come to the same epoch, unless both were fenced at once; and a store that is fed
/// from another has all that lives there, and its epochs and holders.
fn check_agreement(book: &mut Book, scenario: &Scenario, world: &World) -> Result<(), String> {
    let importers = scenario.roles.iter().zip(&world.actors).filter(|(_, actor)| actor.step < DONE);
    let pairs: Vec<(u8, u8)> = importers
        .filter_map(|(role, _)| if let Role::Importer { from, to } = role { Some((*from, *to)) } else { None })
        .collect();
    let is_last = |(from, to): &(u8, u8)| *to == 2 || pairs.contains(&(*to, *from));
    for (from, to) in pairs.iter().copied().filter(is_last) {
        let states = [from, to].map(|store| world.state(book, store));
        let [there, here] = [0, 1].map(|at: usize| {
            let known = states[at].lineages().get(&lineage_id(1)).cloned();
            known.unwrap_or_default()
        });
        if there.split || here.split {
            continue;
        }
        if there.epoch != here.epoch {
            return Err(format!("stores {from} and {to} do not agree: epochs {} and {}", there.epoch, here.epoch));
        }
        if to == 2 {
            check_fed(&states[0], &states[1])?;
        }
    }
    Ok(())
}

/// Nothing that lives in `there` is wanting in `here`, but for what a fence left aside.
fn check_fed(there: &State, here: &State) -> Result<(), String> {
    let id = lineage_id(1);
    let holder = |state: &State| state.lineages().get(&id).and_then(|lineage| lineage.holder);
    if holder(there) != holder(here) {
        return Err("the third store knows another holder".to_owned());
    }
    let lacks = |point: &&firn_format::Point| {
        !point.branch && point.epoch >= here.epoch(&point.lineage) && here.point(&point.id).is_none()
    };
    match there.points_of(&id).find(lacks) {
        Some(point) => Err(format!("the third store lacks point {} of the second", point.seq)),
        None => Ok(()),
    }
}

/// With the faults over, everybody who is alive comes to an end.
pub(crate) fn check_end(book: &mut Book, scenario: &Scenario, world: &World) -> Result<(), String> {
    let mut now = World { rot: 0, faults: 0, ..world.clone() };
    for _ in 0..60 {
        let mut moved = false;
        for index in 0..now.actors.len() {
            if let Some(next) = actors::steps(book, scenario, &now, index)?.into_iter().next() {
                now = next;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    check(book, &now).map_err(|violation| format!("at the end, {violation}\n{}\nwhich began as", book.tell(&now)))?;
    check_agreement(book, scenario, &now)
        .map_err(|violation| format!("at the end, {violation}\n{}\nwhich began as", book.tell(&now)))?;
    let stuck = |(index, actor): (usize, &Actor)| actor.step < DONE && scenario.roles[index].must_end();
    match now.actors.iter().enumerate().find(|pair| stuck(*pair)) {
        Some((index, actor)) => {
            let role = scenario.roles[index];
            Err(format!("{role:?} does not end: {actor:?}\n{}\nwhich began as", book.tell(&now)))
        }
        None => Ok(()),
    }
}
