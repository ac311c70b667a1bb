//! Check: whether every point can be restored, without stopping at the first thing that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use firn_format::log::{Level, Lost, Verified};
use firn_format::{KeyRef, ObjectName, Payload, PointId, Progress};

use crate::collect::list_objects;
use crate::error::RepoError;
use crate::keyring::{Keyring, list_keys};
use crate::open::Repository;

mod closure;
mod domain;
mod history;
mod packs;
mod paths;

use domain::Domain;

/// So many findings are kept; more are counted. A store that lost a disk would fill memory with what nobody reads.
const FINDINGS_MAX: usize = 1_000;

/// So many lost objects are named in one entry of the log.
const LOST_MAX: usize = 100_000;

/// What is wrong with something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It has another length than the index says.
    Length {
        /// What the index says.
        expected: u64,
        /// What lies there.
        found: u64,
    },
    /// It cannot be read as what it should be.
    Damaged(String),
    /// A point refers to it, and its entry in the log does not say so: collection and replication would leave it out.
    NotNeeded,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Length { expected, found } => write!(f, "{found} bytes long instead of {expected}"),
            Self::Damaged(detail) => write!(f, "damaged: {detail}"),
            Self::NotNeeded => f.write_str("referred to by a point whose entry does not name it"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object's name in the store, or a blob's id.
    pub object: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// The points that cannot be restored whole because of it.
    pub points: Vec<PointId>,
    /// How many paths of those points' trees it concerns, each tree counted once.
    pub paths: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong, at most a thousand of them.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub findings_left_out: u64,
    /// Points in which nothing is wrong.
    pub sound: Vec<PointId>,
    /// Points in which something is.
    pub unsound: Vec<PointId>,
    /// Objects looked at.
    pub objects: u64,
    /// Bytes of objects read whole.
    pub bytes_read: u64,
    /// Blobs opened.
    pub blobs: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the keys, the log from its first entry, the objects that points need, their index, and every tree; with `read_data` also
/// the hash of every object and the content of every blob. Points that are sound are marked VERIFIED, objects that are not
/// LOST, so that the next backup stores their content again: if the keys, the log and the store allow it.
///
/// # Errors
/// `Stopped` if that was asked for: nothing is recorded then. Else only what keeps it from looking: a store that cannot be
/// reached, keys that only read names.
pub fn check(repository: &mut Repository, keyring: &Keyring, read_data: bool) -> Result<Report, RepoError> {
    repository.refresh()?;
    let mut work = Work::default();
    history::check(repository, &mut work)?;
    check_keys(repository, &mut work)?;
    let listing = list_objects(repository.store().as_ref())?;
    check_presence(repository, &listing, &mut work)?;
    repository.context().progress.phase("reading indexes");
    let mut domains = domain::load(repository, keyring, &mut work)?;
    check_lengths(&domains, &listing, &mut work);
    if read_data {
        packs::read_all(repository, &domains, &listing, &mut work)?;
    }
    repository.context().progress.phase("walking trees");
    closure::check(repository, &mut domains, &mut work)?;
    let lost = work.lost.iter().copied().take(LOST_MAX).collect();
    let report = work.finish(repository, &domains)?;
    record(repository, keyring, &report, lost, read_data);
    Ok(report)
}

/// A key that no longer opens is found on the day when it is needed, unless it is looked for.
fn check_keys(repository: &Repository, work: &mut Work) -> Result<(), RepoError> {
    for key in list_keys(repository)?.into_iter().filter(|key| key.kind.is_none()) {
        work.other(key.name, Problem::Damaged("it opens with no secret".into()), None);
    }
    Ok(())
}

/// Everything that needs an object to be there.
fn check_presence(
    repository: &Repository,
    listing: &BTreeMap<ObjectName, u64>,
    work: &mut Work,
) -> Result<(), RepoError> {
    for name in repository.state().needed() {
        work.objects += 1;
        if listing.contains_key(name) {
            continue;
        }
        match repository.store().head(&name.path()) {
            Ok(_) => return Err(RepoError::ShortList { name: name.path() }),
            Err(error) if error.is_not_found() => work.object(*name, Problem::Missing),
            Err(source) => return Err(RepoError::store("look for an object", source)),
        }
    }
    Ok(())
}

/// The index knows how long each pack is.
fn check_lengths(domains: &BTreeMap<KeyRef, Domain>, listing: &BTreeMap<ObjectName, u64>, work: &mut Work) {
    for pack in domains.values().flat_map(|domain| domain.index().packs()) {
        if let Some(found) = listing.get(&pack.name)
            && *found != pack.bytes
        {
            work.object(pack.name, Problem::Length { expected: pack.bytes, found: *found });
        }
    }
}

/// Appends what was found, if that is possible. A check of a store that cannot be written to is a check all the same.
fn record(repository: &mut Repository, keyring: &Keyring, report: &Report, lost: Vec<ObjectName>, read_data: bool) {
    let Ok(key) = keyring.signing_key() else { return };
    if repository.damage().is_some() {
        return;
    }
    let level = if read_data { Level::AllData } else { Level::Structure };
    let appended = repository
        .append_with(key, |state| {
            let points: Vec<_> = report.sound.iter().copied().filter(|id| state.point(id).is_some()).collect();
            Ok((!points.is_empty()).then_some(Payload::Verified(Verified { points, level })))
        })
        .and_then(|_| {
            repository.append_with(key, |state| {
                let is_news = |name: &ObjectName| state.needed_by_any(name) && !state.is_lost(name);
                let names: Vec<_> = lost.iter().copied().filter(is_news).collect();
                let reason = "found missing or damaged by a check".to_owned();
                Ok((!names.is_empty()).then_some(Payload::Lost(Lost { names, reason })))
            })
        });
    if let Err(error) = appended {
        repository.context().progress.note(&format!("the result could not be recorded in the log: {error}"));
    }
}

/// Findings as they come, before it is known whom they concern.
#[derive(Default)]
struct Work {
    /// By object, so that each is told once.
    objects_wrong: BTreeMap<ObjectName, Problem>,
    /// Everything else, with the points that it concerns.
    others: BTreeMap<String, (Problem, BTreeSet<PointId>)>,
    /// Objects whose content is gone.
    lost: BTreeSet<ObjectName>,
    objects: u64,
    bytes_read: u64,
    blobs: u64,
}

impl Work {
    /// An object is wrong; whoever needs it is concerned. The first word on it counts.
    fn object(&mut self, name: ObjectName, problem: Problem) {
        self.lost.insert(name);
        self.objects_wrong.entry(name).or_insert(problem);
    }

    /// Stops if that was asked for, saying what was found so far.
    fn refuse_stopped(&self, progress: &dyn Progress) -> Result<(), RepoError> {
        if !progress.stopping() {
            return Ok(());
        }
        let wrong = self.objects_wrong.len() + self.others.len();
        let (objects, bytes) = (self.objects, self.bytes_read);
        let after = format!("after {objects} objects were looked at and {bytes} bytes read, with {wrong} found wrong");
        Err(RepoError::Stopped { after })
    }

    /// Something else is wrong, for a point or for all.
    fn other(&mut self, what: String, problem: Problem, point: Option<PointId>) {
        let (_, points) = self.others.entry(what).or_insert_with(|| (problem, BTreeSet::new()));
        points.extend(point);
    }

    fn finish(self, repository: &Repository, domains: &BTreeMap<KeyRef, Domain>) -> Result<Report, RepoError> {
        let state = repository.state();
        let mut concerned: BTreeMap<ObjectName, Vec<PointId>> = BTreeMap::new();
        let mut unsound: BTreeSet<PointId> = self.others.values().flat_map(|(_, points)| points).copied().collect();
        if !self.objects_wrong.is_empty() {
            for point in state.points() {
                for name in state.needs(&point.id).iter().filter(|name| self.objects_wrong.contains_key(name)) {
                    concerned.entry(*name).or_default().push(point.id);
                    unsound.insert(point.id);
                }
            }
        }
        let mut paths = paths::concerned(repository, domains, &self.objects_wrong, &unsound);
        let mut findings = Vec::new();
        for (name, problem) in self.objects_wrong {
            let (paths, examples) = paths.remove(&name).unwrap_or_default();
            let points = concerned.remove(&name).unwrap_or_default();
            findings.push(Finding { object: name.path(), problem, points, paths, examples });
        }
        for (object, (problem, points)) in self.others {
            let points = points.into_iter().collect();
            findings.push(Finding { object, problem, points, paths: 0, examples: Vec::new() });
        }
        let findings_left_out = findings.len().saturating_sub(FINDINGS_MAX) as u64;
        findings.truncate(FINDINGS_MAX);
        let sound = state.points().map(|point| point.id).filter(|id| !unsound.contains(id)).collect();
        Ok(Report {
            findings,
            findings_left_out,
            sound,
            unsound: unsound.into_iter().collect(),
            objects: self.objects,
            bytes_read: self.bytes_read,
            blobs: self.blobs,
        })
    }
}

#[cfg(test)]
mod tests;
