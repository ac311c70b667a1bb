//! Part: what one process stores for a session, and what it may refer to.
//!
//! Needs no log and no right to append: whoever opened the session gives an [`Assignment`], and takes the
//! [`Contribution`] for the commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use firn_format::{
    COMPRESSION_LEVEL, Class, Entropy, INDEX_PLAIN_BYTES_MAX, IndexPack, IndexRun, ObjectName, SessionId, State,
    WriterKeys,
};
use firn_store::{Check, Store, put_new_resolved};

use crate::error::RepoError;
use crate::index::Index;
use crate::lane::Lane;
use crate::load;
use crate::reader::{ReadKeys, Reader};
use crate::writer::{WriteStats, Writer, Written};

/// An index run is cut at this size before compression: a reader must hold one, and its own overhead is nothing.
const RUN_PLAIN_BYTES: usize = INDEX_PLAIN_BYTES_MAX / 4;

/// What a part needs to know: plain data, of which nothing is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The session that is written for.
    pub session: SessionId,
    /// Index runs whose content may be referred to.
    pub runs: BTreeSet<ObjectName>,
    /// Packs that may be referred to, if one of the runs tells of them.
    pub packs: BTreeSet<ObjectName>,
    /// Packs that a session which did not end left. Those of their full length may be referred to.
    pub leftovers: BTreeSet<ObjectName>,
}

impl Assignment {
    /// All that live points of `state` need may be referred to, but what is lost or about to go.
    pub fn of_live_points(state: &State, session: SessionId) -> Self {
        Self::of(state, session, state.needed().copied())
    }

    /// Some of what live points of `state` need may be referred to: those of `names` that are neither lost nor about to go.
    pub fn of(state: &State, session: SessionId, names: impl Iterator<Item = ObjectName>) -> Self {
        // What a lost run told of is stored again; a run that is about to go can be read for as long as it is there.
        let (runs, packs): (BTreeSet<_>, BTreeSet<_>) = names
            .filter(|name| state.needed_by_any(name) && !state.is_lost(name) && !state.dead(name))
            .partition(|name| matches!(name.class, Class::Index(_)));
        let packs = packs.into_iter().filter(|name| !state.is_candidate(name)).collect();
        Self { session, runs, packs, leftovers: BTreeSet::new() }
    }

    /// The assigned pack that a run tells of, whatever it is called now: itself, or the newest name of the same bytes.
    fn place(&self, told: &ObjectName) -> Option<ObjectName> {
        if self.packs.contains(told) {
            return Some(*told);
        }
        let of_same_bytes = ObjectName { reborn: None, ..*told }..=ObjectName { reborn: Some(u64::MAX), ..*told };
        self.packs.range(of_same_bytes).next_back().copied()
    }
}

/// What a part stored and what it refers to. Plain data, of which nothing is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Objects that the point adds: packs and the index runs that tell of them.
    pub adds: BTreeSet<ObjectName>,
    /// Objects that the point needs: the above, and those of before that are referred to.
    pub needs: BTreeSet<ObjectName>,
    /// What was written.
    pub stats: WriteStats,
}

impl Contribution {
    /// Adds what another part did.
    pub fn join(&mut self, other: &Self) {
        self.adds.extend(other.adds.iter().copied());
        self.needs.extend(other.needs.iter().copied());
        let WriteStats { bytes_offered, bytes_new, blobs_new, bytes_stored, packs } = other.stats;
        self.stats.bytes_offered += bytes_offered;
        self.stats.bytes_new += bytes_new;
        self.stats.blobs_new += blobs_new;
        self.stats.bytes_stored += bytes_stored;
        self.stats.packs += packs;
    }
}

/// One process's part of a session.
pub struct Part {
    store: Arc<dyn Store>,
    entropy: Arc<dyn Entropy>,
    session: SessionId,
    writer: Arc<Writer>,
    index: Arc<Index>,
    reader: Arc<Reader>,
}

impl Part {
    /// Reads what may be referred to, and starts the upload.
    ///
    /// # Errors
    /// An index run of the assignment that is missing or damaged, and whatever the store meets.
    pub fn begin(
        store: Arc<dyn Store>,
        entropy: Arc<dyn Entropy>,
        keys: WriterKeys,
        assignment: &Assignment,
    ) -> Result<Self, RepoError> {
        let place = |told: &ObjectName| assignment.place(told);
        let mut index = load::index(store.as_ref(), &keys, &assignment.runs, &place)?;
        load::add_leftovers(&mut index, store.as_ref(), &keys, &assignment.leftovers)?;
        let index = Arc::new(index);
        let writer = Writer::new(store.clone(), keys.clone(), entropy.clone(), index.clone(), COMPRESSION_LEVEL)?;
        let reader = Arc::new(Reader::new(store.clone(), index.clone(), ReadKeys::Metadata(keys)));
        let (session, writer) = (assignment.session, Arc::new(writer));
        Ok(Self { store, entropy, session, writer, index, reader })
    }

    /// How many packs of unfinished sessions are used again, if they fit.
    pub fn packs_found(&self) -> usize {
        self.index.packs().iter().filter(|pack| pack.run.is_none()).count()
    }

    /// A new lane for one thread. All lanes must be finished and dropped before [`Part::finish`].
    pub fn lane(&self) -> Result<Lane, RepoError> {
        Lane::new(self.writer.clone())
    }

    /// What all lanes share.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Reads the trees of points before.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// Waits until all is stored, and stores the index of it.
    ///
    /// # Errors
    /// Whatever the store meets; `Unwritten` if a lane was dropped before it was finished.
    pub fn finish(self) -> Result<Contribution, RepoError> {
        let Self { store, entropy, session, writer, index, reader } = self;
        drop(reader);
        let keys = writer.keys().clone();
        let writer = Arc::into_inner(writer).ok_or(RepoError::LanesOpen)?;
        let mut written = writer.finish()?;
        let mut adds: BTreeSet<ObjectName> = written.names().collect();
        let mut needs = adds.clone();
        let adopted = used(&index, &written, &mut needs);
        adds.extend(adopted.iter().map(|pack| pack.name));
        written.packs.extend(adopted);
        let Written { packs, mut stats, .. } = written;
        for name in put_runs(store.as_ref(), entropy.as_ref(), &keys, session, packs, &mut stats)? {
            adds.insert(name);
            needs.insert(name);
        }
        Ok(Contribution { adds, needs, stats })
    }

    /// Stops: waits until every pack that lanes handed over is stored, for another part to go on from.
    ///
    /// # Errors
    /// A pack could not be stored; `LanesOpen`.
    pub fn leave(self) -> Result<WriteStats, RepoError> {
        let Self { writer, reader, .. } = self;
        drop(reader);
        Ok(Arc::into_inner(writer).ok_or(RepoError::LanesOpen)?.leave()?.stats)
    }
}

/// Adds to `needs` what the part refers to: packs of before and the runs that tell of them. Returns leftovers that it
/// uses: they are its own now.
fn used(index: &Index, written: &Written, needs: &mut BTreeSet<ObjectName>) -> Vec<IndexPack> {
    let mut adopted = BTreeSet::new();
    for number in &written.used {
        let Some(pack) = index.packs().get(*number as usize) else { continue };
        needs.insert(pack.name);
        match pack.run {
            Some(run) => _ = needs.insert(run),
            None => _ = adopted.insert(*number),
        }
    }
    index.tell(&adopted)
}

/// Stores the part's index.
fn put_runs(
    store: &dyn Store,
    entropy: &dyn Entropy,
    keys: &WriterKeys,
    session: SessionId,
    packs: Vec<IndexPack>,
    stats: &mut WriteStats,
) -> Result<Vec<ObjectName>, RepoError> {
    let mut names = Vec::new();
    if packs.is_empty() {
        return Ok(names);
    }
    for run in (IndexRun { packs }).split(RUN_PLAIN_BYTES) {
        let bytes = run.seal(keys, entropy)?;
        let name = ObjectName::of(Class::Index(session), &bytes);
        stats.bytes_stored += bytes.len() as u64;
        let _either = put_new_resolved(store, &name.path(), bytes.into(), Check::Length)
            .map_err(|source| RepoError::store("put an index run", source))?;
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
