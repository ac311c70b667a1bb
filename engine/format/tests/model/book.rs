//! Logs as a tree of shared prefixes, each folded once by the real fold.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use firn_format::fold::Rules;
use firn_format::log::Payload;
use firn_format::verdict::Fault;
use firn_format::{
    BlobId, ChunkerFacts, Class, DomainId, Entry, FamilyId, FormatFile, Hash, LineageId, ObjectName, Signer,
    SigningKey, State, StoreId,
};

/// How many stores there are: most scenarios leave the third alone.
pub(crate) const STORES: usize = 3;

/// A log: a node of the tree. The first ones are the stores' empty logs.
pub(crate) type Log = u32;
/// An object: base * 16 + position of the collection that it was re-created after (0: plain).
pub(crate) type Object = u8;
/// Blobs as bits.
pub(crate) type Blobs = u8;

/// Which blobs each pack holds. Pack 2 is what a collector makes of pack 0 when only blob 0 is wanted, pack 3 what another
/// makes of packs 0 and 1 then.
pub(crate) const CONTENT: [Blobs; 4] = [0b011, 0b100, 0b001, 0b101];
pub(crate) const REBORN_MAX: u8 = 16;
pub(crate) const OBJECTS: u8 = 4 * REBORN_MAX;

pub(crate) fn content(object: Object) -> Blobs {
    CONTENT[usize::from(object / REBORN_MAX)]
}

pub(crate) fn name(object: Object) -> ObjectName {
    let reborn = (!object.is_multiple_of(REBORN_MAX)).then_some(u64::from(object % REBORN_MAX));
    ObjectName { class: Class::Data, hash: Hash([object / REBORN_MAX + 1; 32]), reborn }
}

pub(crate) fn object(name: &ObjectName) -> Object {
    let reborn = name.reborn.unwrap_or(0) as u8;
    assert!(reborn < REBORN_MAX, "the logs are too long for the model");
    (name.hash.0[0] - 1) * REBORN_MAX + reborn
}

pub(crate) fn bit(object: Object) -> u64 {
    1 << object
}

pub(crate) fn bits(mut mask: u64) -> impl Iterator<Item = Object> {
    std::iter::from_fn(move || {
        let object = (mask != 0).then(|| mask.trailing_zeros() as u8)?;
        mask &= mask - 1;
        Some(object)
    })
}

pub(crate) fn mask<'a>(names: impl IntoIterator<Item = &'a ObjectName>) -> u64 {
    names.into_iter().fold(0, |mask, name| mask | bit(object(name)))
}

pub(crate) fn store_id(store: u8) -> StoreId {
    StoreId([store + 1; 16])
}

pub(crate) fn lineage_id(lineage: u8) -> LineageId {
    LineageId([lineage; 16])
}

/// A manifest that says which blobs the point's trees name.
pub(crate) fn manifest(wants: Blobs) -> BlobId {
    BlobId([wants; 32])
}

struct Node {
    parent: Log,
    store: u8,
    depth: u64,
    entry: Option<(Entry, Vec<u8>, Hash)>,
}

pub(crate) struct Book {
    nodes: Vec<Node>,
    children: HashMap<(Log, Hash, Vec<u8>), Log>,
    states: HashMap<(Log, u8), Rc<State>>,
    rules: Rules,
    key: SigningKey,
}

impl Book {
    pub(crate) fn new(rules: Rules) -> Self {
        let root = |store| Node { parent: Log::from(store), store, depth: 0, entry: None };
        Self {
            nodes: (0..STORES as u8).map(root).collect(),
            children: HashMap::new(),
            states: HashMap::new(),
            rules,
            key: SigningKey::from_seed(&[9; 32]).unwrap(),
        }
    }

    fn genesis(&self, store: u8) -> State {
        let format = FormatFile {
            family: FamilyId([1; 16]),
            store: store_id(store),
            owner: self.key.signer(),
            chunker: ChunkerFacts::default(),
            chunker_check: [0; 8],
            created_ms: 0,
            features: Vec::new(),
        };
        State::genesis_with(Arc::new(format), Hash([store; 32]), self.rules)
    }

    pub(crate) fn depth(&self, log: Log) -> u64 {
        self.nodes[log as usize].depth
    }

    /// Everybody signs with the owner's key: roles are tested elsewhere.
    pub(crate) fn signer(&self) -> Signer {
        self.key.signer()
    }

    /// The entry at `seq` of `log`, with its bytes and hash.
    pub(crate) fn entry(&self, log: Log, seq: u64) -> &(Entry, Vec<u8>, Hash) {
        let mut node = &self.nodes[log as usize];
        while node.depth > seq {
            node = &self.nodes[node.parent as usize];
        }
        node.entry.as_ref().unwrap()
    }

    /// The log with one more entry, whose `prev` is given.
    pub(crate) fn append(&mut self, log: Log, prev: Hash, payload: Payload) -> Log {
        let mut key = payload.encode();
        key.push(payload.kind_number() as u8);
        let key = (log, prev, key);
        if let Some(known) = self.children.get(&key) {
            return *known;
        }
        let Node { store, depth, .. } = self.nodes[log as usize];
        let entry = Entry {
            store: store_id(store),
            seq: depth + 1,
            prev,
            critical: true,
            term: 0,
            payload,
            time_ms: 0,
            store_time_ms: None,
            signer: self.key.signer(),
        };
        let bytes = entry.sign(&self.key).unwrap();
        let hash = Hash::of(&bytes);
        let new = self.nodes.len() as Log;
        self.nodes.push(Node { parent: log, store, depth: depth + 1, entry: Some((entry, bytes, hash)) });
        self.children.insert(key, new);
        new
    }

    /// The state of `log` while the bytes in slot `rot` are spoilt (0: none are).
    pub(crate) fn state(&mut self, log: Log, rot: u8) -> Rc<State> {
        let rot = if u64::from(rot) > self.depth(log) { 0 } else { rot };
        if let Some(state) = self.states.get(&(log, rot)) {
            return Rc::clone(state);
        }
        let Node { store, depth, parent, .. } = self.nodes[log as usize];
        let mut state = if depth == 0 { self.genesis(store) } else { (*self.state(parent, rot)).clone() };
        while state.wants() <= depth {
            let seq = state.wants();
            if seq == u64::from(rot) {
                state.apply_opened(Err(Fault::NotAnEntry), Hash::of(b"rot"), b"rot");
            } else {
                let (entry, bytes, hash) = self.entry(log, seq);
                state.apply_opened(Ok(entry), *hash, bytes);
            }
        }
        let state = Rc::new(state);
        self.states.insert((log, rot), Rc::clone(&state));
        state
    }
}

impl Book {
    /// The logs of a world, for people.
    pub(crate) fn tell(&self, world: &super::world::World) -> String {
        let mut out = String::new();
        for log in world.logs {
            for seq in 1..=self.depth(log) {
                let (entry, ..) = self.entry(log, seq);
                out += &format!("{} {seq} {:?}\n", entry.store.short(), entry.payload.kind());
            }
        }
        out + &format!("objects {:x?}, late {:?}, spoilt {}", world.objects, world.late, world.rot)
    }
}

pub(crate) fn domain() -> DomainId {
    DomainId([3; 16])
}
