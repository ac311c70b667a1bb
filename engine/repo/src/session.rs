//! Session: one writer's time between SESSION_OPEN and COMMIT.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firn_format::log::{Commit, Head, SessionEnd, SessionOpen};
use firn_format::manifest::Manifest;
use firn_format::{
    COMPRESSION_LEVEL, Class, INDEX_PLAIN_BYTES_MAX, IndexPack, IndexRun, LineageId, ObjectName, Payload, PointId,
    RunId, SessionId, State, clock, seal_box,
};
use firn_store::{Check, put_new_resolved};

use crate::error::RepoError;
use crate::index::Index;
use crate::keyring::Keyring;
use crate::lane::Lane;
use crate::load;
use crate::open::Repository;
use crate::reader::{ReadKeys, Reader};
use crate::summary::Summary;
use crate::writer::{WriteStats, Writer, Written};

/// An index run is cut at this size before compression: a reader must hold one, and its own overhead is nothing.
const RUN_PLAIN_BYTES: usize = INDEX_PLAIN_BYTES_MAX / 4;

/// What a session is opened for.
#[derive(Debug, Clone)]
pub struct SessionPlan {
    /// The cluster's UID: names the domain.
    pub cluster: String,
    /// The lineage of cluster and policy.
    pub lineage: LineageId,
    /// The point that it builds on.
    pub parent: Option<PointId>,
}

/// An open session. Dropped without a commit it stays open, and what it stored is found by the next one.
pub struct Session {
    id: SessionId,
    run: RunId,
    plan: SessionPlan,
    epoch: u64,
    collected_to: u64,
    writer: Arc<Writer>,
    index: Arc<Index>,
    reader: Arc<Reader>,
    leftovers: BTreeMap<ObjectName, IndexPack>,
}

/// A point that was committed and read back.
#[derive(Debug, Clone, Copy)]
pub struct Committed {
    /// Its id.
    pub point: PointId,
    /// Its position in the log.
    pub seq: u64,
    /// What the session wrote.
    pub stats: WriteStats,
}

impl Session {
    /// Opens a session and reads what may be referred to.
    ///
    /// # Errors
    /// `Refused` if the lineage is fenced; whatever reading the index runs of live points meets.
    pub fn open(repository: &mut Repository, keyring: &Keyring, plan: SessionPlan) -> Result<Self, RepoError> {
        let keys = repository.writer_keys(keyring, &plan.cluster)?;
        let context = repository.context().clone();
        let entropy = context.entropy.as_ref();
        let id = SessionId(random(entropy)?);
        let run = RunId(random(entropy)?);
        let (lineage, parent) = (plan.lineage, plan.parent);
        let mut epoch = 0;
        repository.append_with(keyring.signing_key()?, |state| {
            epoch = state.epoch(&lineage);
            Ok(Some(Payload::SessionOpen(SessionOpen { session: id, run, lineage, epoch, parent })))
        })?;
        let state = repository.state();
        let store = repository.store().clone();
        let mut runs = runs_of_live_points(state);
        // What a lost run told of is stored again.
        runs.retain(|run| !state.is_lost(run));
        let usable = |name: &ObjectName| {
            state.needed_by_any(name) && !state.is_candidate(name) && !state.is_lost(name) && !state.dead(name)
        };
        let mut index = load::index(store.as_ref(), &keys, &runs, &usable)?;
        let mut leftovers = BTreeMap::new();
        if state.sessions().keys().any(|other| *other != id) {
            for pack in load::leftovers(store.as_ref(), &keys, &|name| state.listed(name) || state.dead(name))? {
                index.add_pack(None, &pack);
                leftovers.insert(pack.name, pack);
            }
        }
        let index = Arc::new(index);
        let writer =
            Writer::new(store.clone(), keys.clone(), context.entropy.clone(), index.clone(), COMPRESSION_LEVEL)?;
        let reader = Arc::new(Reader::new(store, index.clone(), ReadKeys::Metadata(keys)));
        let collected_to = state.moved_to();
        Ok(Self { id, run, plan, epoch, collected_to, writer: Arc::new(writer), index, reader, leftovers })
    }

    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The attempt's id.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The point that it builds on.
    pub fn parent(&self) -> Option<PointId> {
        self.plan.parent
    }

    /// How many packs of unfinished sessions are used again, if they fit.
    pub fn packs_found(&self) -> usize {
        self.leftovers.len()
    }

    /// A new lane for one thread. All lanes must be finished and dropped before the commit.
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

    /// Puts manifest and index, and commits: the point exists when this returns, and not before. `summary` is made when
    /// all is stored; `peers` are the logs that were read just now.
    ///
    /// # Errors
    /// `Refused` if a fence or a collection came in between; nothing is committed then.
    pub fn commit(
        self,
        repository: &mut Repository,
        keyring: &Keyring,
        manifest: &Manifest,
        summary: &dyn Fn(&WriteStats) -> Summary,
        peers: Vec<Head>,
    ) -> Result<Committed, RepoError> {
        let mut lane = self.lane()?;
        let manifest = lane.put_metadata(&manifest.encode()?)?;
        lane.finish()?;
        drop(lane);
        let Self { id, run, plan, epoch, collected_to, writer, index, reader, leftovers } = self;
        drop(reader);
        let keys = writer.keys().clone();
        let writer = Arc::into_inner(writer).ok_or(RepoError::ThreadDied { name: "firn-lane" })?;
        let mut written = writer.finish()?;
        let mut adds: BTreeSet<ObjectName> = written.names().collect();
        let mut needs = adds.clone();
        let adopted = used(&index, &written, leftovers, &mut needs);
        adds.extend(adopted.iter().map(|pack| pack.name));
        written.packs.extend(adopted);
        for name in put_runs(repository, &keys, id, std::mem::take(&mut written.packs), &mut written.stats)? {
            adds.insert(name);
            needs.insert(name);
        }
        let summary = seal_box(&summary(&written.stats).encode()?, &keys, repository.context().entropy.as_ref())?;
        let key = keys.key_ref();
        let appended = repository.append_with(keyring.signing_key()?, |state| {
            let before: BTreeSet<ObjectName> =
                plan.parent.map(|parent| state.needs(&parent).into_iter().collect()).unwrap_or_default();
            Ok(Some(Payload::Commit(Box::new(Commit {
                session: id,
                run,
                lineage: plan.lineage,
                epoch,
                parent: plan.parent,
                manifest,
                domain: key.domain,
                generation: key.generation,
                adds: adds.iter().copied().collect(),
                needs_added: needs
                    .iter()
                    .filter(|name| !before.contains(name) && !adds.contains(name))
                    .copied()
                    .collect(),
                needs_dropped: before.difference(&needs).copied().collect(),
                peers: peers.clone(),
                summary: summary.clone(),
                rescues: needs.iter().filter(|name| state.is_candidate(name)).copied().collect(),
                collected_to,
            }))))
        })?;
        let appended = appended.ok_or(RepoError::ThreadDied { name: "commit" })?;
        Ok(Committed { point: appended.hash.into(), seq: appended.seq, stats: written.stats })
    }

    /// Stops without a point: waits until every pack that lanes handed over is stored, and leaves the session open, so that
    /// no collection takes them and the next session goes on from them. One that stored nothing is ended.
    ///
    /// # Errors
    /// A pack could not be stored; `LanesOpen`.
    pub fn leave(self, repository: &mut Repository, keyring: &Keyring) -> Result<WriteStats, RepoError> {
        let Self { id, writer, .. } = self;
        let stats = Arc::into_inner(writer).ok_or(RepoError::LanesOpen)?.finish()?.stats;
        if stats.packs == 0 {
            repository.append(&Payload::Abort(SessionEnd { session: id }), keyring.signing_key()?)?;
        }
        Ok(stats)
    }

    /// Ends the session without a point. What it stored will be collected.
    pub fn abort(self, repository: &mut Repository, keyring: &Keyring) -> Result<(), RepoError> {
        let end = SessionEnd { session: self.id };
        repository.append(&Payload::Abort(end), keyring.signing_key()?)?;
        Ok(())
    }
}

fn random<const N: usize>(entropy: &dyn firn_format::Entropy) -> Result<[u8; N], RepoError> {
    clock::random(entropy)
        .map_err(|source| firn_format::FormatError::Entropy { what: "a session's id".into(), source }.into())
}

/// The index runs that live points need.
pub(crate) fn runs_of_live_points(state: &State) -> BTreeSet<ObjectName> {
    state.needed().filter(|name| matches!(name.class, Class::Index(_))).copied().collect()
}

/// Adds to `needs` what the session refers to: packs of before and the runs that tell of them. Returns leftovers that it
/// uses: they are its own now.
fn used(
    index: &Index,
    written: &Written,
    mut leftovers: BTreeMap<ObjectName, IndexPack>,
    needs: &mut BTreeSet<ObjectName>,
) -> Vec<IndexPack> {
    let mut adopted = Vec::new();
    for pack in written.used.iter().filter_map(|number| index.packs().get(*number as usize)) {
        needs.insert(pack.name);
        needs.extend(pack.run);
        adopted.extend(leftovers.remove(&pack.name));
    }
    adopted
}

/// Stores the session's index.
fn put_runs(
    repository: &Repository,
    keys: &firn_format::WriterKeys,
    session: SessionId,
    packs: Vec<IndexPack>,
    stats: &mut WriteStats,
) -> Result<Vec<ObjectName>, RepoError> {
    let mut names = Vec::new();
    if packs.is_empty() {
        return Ok(names);
    }
    for run in (IndexRun { packs }).split(RUN_PLAIN_BYTES) {
        let bytes = run.seal(keys, repository.context().entropy.as_ref())?;
        let name = ObjectName::of(Class::Index(session), &bytes);
        stats.bytes_stored += bytes.len() as u64;
        let _either = put_new_resolved(repository.store().as_ref(), &name.path(), bytes.into(), Check::Length)
            .map_err(|source| RepoError::store("put an index run", source))?;
        names.push(name);
    }
    Ok(names)
}
