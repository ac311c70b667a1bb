//! Session: one run's time between SESSION_OPEN and COMMIT.

use std::collections::BTreeSet;

use firn_format::log::{Commit, Head, Rescue, SessionEnd, SessionOpen};
use firn_format::manifest::Manifest;
use firn_format::{
    Class, LineageId, ObjectName, Payload, PointId, RunId, SessionId, SigningKey, State, WriterKeys, clock, seal_box,
};
use firn_store::Store;

use crate::error::RepoError;
use crate::keyring::Keyring;
use crate::lane::Lane;
use crate::load;
use crate::open::Repository;
use crate::part::{Assignment, Contribution, Part};
use crate::presence::Presence;
use crate::summary::Summary;
use crate::writer::{NAMES_MAX, WriteStats};

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
    keys: WriterKeys,
    assignment: Assignment,
    part: Part,
    admitted: Contribution,
    /// Shows others on this machine that the process lives.
    presence: Option<Presence>,
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
    /// Opens a session and reads what may be referred to: all that live points need. Sessions of the same lineage whose
    /// processes on this machine are gone are ended, once what they left was found. That is known with a cache folder only.
    ///
    /// # Errors
    /// `Refused` if the lineage is fenced; whatever reading the index runs of live points meets.
    pub fn open(repository: &mut Repository, keyring: &Keyring, plan: SessionPlan) -> Result<Self, RepoError> {
        let keys = repository.writer_keys(keyring, &plan.cluster)?;
        let entropy = repository.context().entropy.clone();
        let (id, run) = (SessionId(random(entropy.as_ref())?), RunId(random(entropy.as_ref())?));
        let key = keyring.signing_key()?;
        // Before the log knows of it, so that nobody meets it without its process.
        let folder = repository.sessions_dir();
        let presence = folder.as_deref().and_then(|folder| Presence::take(folder, id));
        // Whoever goes after this has perhaps stored more than is found now.
        let gone = folder.as_deref().map(Presence::gone).unwrap_or_default();
        let opened = Self::begin(repository, keys, key, plan, id, run)?;
        end_gone(repository, key, gone, opened.plan.lineage)?;
        Ok(Self { presence, ..opened })
    }

    /// As [`Session::open`] for a session and an attempt that have names already: one that is open goes on.
    ///
    /// # Errors
    /// As [`Session::open`]; `Refused` if the session has ended.
    pub fn open_named(
        repository: &mut Repository,
        keyring: &Keyring,
        plan: SessionPlan,
        id: SessionId,
        run: RunId,
    ) -> Result<Self, RepoError> {
        let keys = repository.writer_keys(keyring, &plan.cluster)?;
        Self::begin(repository, keys, keyring.signing_key()?, plan, id, run)
    }

    fn begin(
        repository: &mut Repository,
        keys: WriterKeys,
        key: &SigningKey,
        mut plan: SessionPlan,
        id: SessionId,
        run: RunId,
    ) -> Result<Self, RepoError> {
        let mut epoch = 0;
        let opened = repository.append_with(key, |state| {
            if let Some(open) = state.sessions().get(&id) {
                // What it builds on was said when it was opened, and is held since.
                (epoch, plan.parent) = (open.epoch, open.parent);
                return Ok(None);
            }
            epoch = state.epoch(&plan.lineage);
            let (lineage, parent) = (plan.lineage, plan.parent);
            Ok(Some(Payload::SessionOpen(SessionOpen { session: id, run, lineage, epoch, parent })))
        })?;
        // One of another lineage reads other volumes, and is perhaps at work.
        let mut sessions = repository.state().sessions().iter();
        let is_resumed = opened.is_none() || sessions.any(|(other, open)| *other != id && open.lineage == plan.lineage);
        let leftovers = if is_resumed { adopt(repository, key)? } else { BTreeSet::new() };
        let (state, store) = (repository.state(), repository.store().clone());
        let assignment = Assignment { leftovers, ..Assignment::of_live_points(state, id) };
        let entropy = repository.context().entropy.clone();
        let part = Part::begin(store, entropy, keys.clone(), &assignment)?;
        let collected_to = state.moved_to();
        let admitted = Contribution::default();
        Ok(Self { id, run, plan, epoch, collected_to, keys, assignment, part, admitted, presence: None })
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

    /// What a part of another process may refer to.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// This process's part.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// A new lane of this process's part. All must be finished and dropped before the commit.
    pub fn lane(&self) -> Result<Lane, RepoError> {
        self.part.lane()
    }

    /// Takes what another process stored for this session into the point.
    ///
    /// # Errors
    /// `Foreign` if it refers to what it was not given; `Missing` if something of it is not there.
    pub fn admit(&mut self, store: &dyn Store, contribution: &Contribution) -> Result<(), RepoError> {
        let given = |name: &ObjectName| self.assignment.runs.contains(name) || self.assignment.packs.contains(name);
        let own = |name: &ObjectName| match name.class {
            Class::Index(session) => session == self.id,
            _ => true,
        };
        let stranger = contribution
            .adds
            .iter()
            .find(|name| !own(name))
            .or_else(|| contribution.needs.iter().find(|name| !contribution.adds.contains(name) && !given(name)));
        if let Some(name) = stranger {
            return Err(RepoError::Foreign { name: *name });
        }
        for name in &contribution.adds {
            match store.head(&name.path()) {
                Ok(_) => {}
                Err(error) if error.is_not_found() => return Err(RepoError::Missing { count: 1, name: *name }),
                Err(source) => return Err(RepoError::store("look for an object", source)),
            }
        }
        self.admitted.join(contribution);
        Ok(())
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
        let Self { id, run, plan, epoch, collected_to, keys, part, mut admitted, presence, .. } = self;
        admitted.join(&part.finish()?);
        let Contribution { adds, needs, stats } = admitted;
        let summary = seal_box(&summary(&stats).encode()?, &keys, repository.context().entropy.as_ref())?;
        let key = keys.key_ref();
        let appended = repository.append_with(keyring.signing_key()?, |state| {
            let before: BTreeSet<ObjectName> =
                plan.parent.map(|parent| state.needs(&parent).into_iter().collect()).unwrap_or_default();
            let added: Vec<ObjectName> =
                needs.iter().filter(|name| !before.contains(name) && !adds.contains(name)).copied().collect();
            let rescues: Vec<ObjectName> = needs.iter().filter(|name| state.is_candidate(name)).copied().collect();
            // What is too much to be said now is needed a while longer: the next commit drops it.
            let room = NAMES_MAX.saturating_sub(adds.len() + added.len() + rescues.len());
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
                needs_added: added,
                needs_dropped: before.difference(&needs).take(room).copied().collect(),
                peers: peers.clone(),
                summary: summary.clone(),
                rescues,
                collected_to,
            }))))
        })?;
        let appended = appended.ok_or(RepoError::ThreadDied { name: "commit" })?;
        presence.into_iter().for_each(Presence::end);
        Ok(Committed { point: appended.hash.into(), seq: appended.seq, stats })
    }

    /// Stops without a point: waits until every pack that lanes handed over is stored, and leaves the session open, so that
    /// no collection takes them and the next session goes on from them. One that stored nothing is ended.
    ///
    /// # Errors
    /// A pack could not be stored; `LanesOpen`.
    pub fn leave(self, repository: &mut Repository, keyring: &Keyring) -> Result<WriteStats, RepoError> {
        let stats = self.part.leave()?;
        if stats.packs == 0 {
            repository.append(&Payload::Abort(SessionEnd { session: self.id }), keyring.signing_key()?)?;
            self.presence.into_iter().for_each(Presence::end);
        }
        Ok(stats)
    }

    /// Ends the session without a point. What it stored will be collected.
    pub fn abort(self, repository: &mut Repository, keyring: &Keyring) -> Result<(), RepoError> {
        let end = SessionEnd { session: self.id };
        repository.append(&Payload::Abort(end), keyring.signing_key()?)?;
        self.presence.into_iter().for_each(Presence::end);
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

/// Packs in the store that no entry of the log mentions: what sessions that did not end left. Those that are about to go
/// are rescued, for a collection does not wait for a session that was opened after its mark.
fn adopt(repository: &mut Repository, key: &SigningKey) -> Result<BTreeSet<ObjectName>, RepoError> {
    let mut names = load::listed(repository.store().as_ref(), &["data/", "meta/"])?;
    names.retain(|name| !repository.state().listed(name));
    repository.append_with(key, |state| {
        let names: Vec<_> = names.iter().filter(|name| state.is_candidate(name)).copied().collect();
        Ok((!names.is_empty()).then_some(Payload::Rescue(Rescue { names })))
    })?;
    names.retain(|name| !repository.state().dead(name));
    Ok(names)
}

/// Ends the sessions of the lineage whose processes on this machine are gone. Of another lineage they wait for its next run:
/// only that goes on from what they left.
fn end_gone(
    repository: &mut Repository,
    key: &SigningKey,
    gone: Vec<Presence>,
    lineage: LineageId,
) -> Result<(), RepoError> {
    for gone in gone {
        let session = gone.session();
        let is_open = |state: &State| state.sessions().get(&session).map(|open| open.lineage == lineage);
        if is_open(repository.state()) == Some(false) {
            continue;
        }
        repository.append_with(key, |state| {
            Ok((is_open(state) == Some(true)).then_some(Payload::Kill(SessionEnd { session })))
        })?;
        gone.end();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
