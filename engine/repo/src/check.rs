//! Check: whether every point can be restored, without stopping at the first thing that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use firn_format::log::{Found, Level, Lost, Verified};
use firn_format::{Class, KeyRef, ObjectName, Payload, PointId, Progress, SigningKey, State, name};

use crate::error::RepoError;
use crate::keyring::{Keyring, list_keys};
use crate::open::Repository;

mod closure;
mod domain;
mod found;
mod history;
mod inventory;
mod mirrors;
pub(crate) mod needs;
mod packs;
mod paths;
mod report;

use domain::Domain;
use inventory::Inventory;
pub use report::{Finding, Problem, Report, Stray, StrayKind};

/// So many findings are kept; more are counted. A store that lost a disk would fill memory with what nobody reads.
const FINDINGS_MAX: usize = 1_000;

/// So many points are named with each finding; more are counted.
const POINTS_MAX: usize = 100;

/// So many lost objects, or found ones, are named in one entry of the log.
const LOST_MAX: usize = 100_000;

/// Checks the keys, the log from its first entry and every checkpoint of it, the mirrors of other logs, the objects that points
/// need, their index, and every tree; with `read_data` also the hash of every object and the content of every blob. Points that
/// are sound are marked VERIFIED, objects of which some content is nowhere else LOST, so that the next backup stores it again,
/// and lost objects that lie there again FOUND, once all their bytes were hashed: if the keys, the log and the store allow it.
///
/// # Errors
/// `Stopped` if that was asked for: nothing is recorded then. Else only what keeps it from looking: a store that cannot be
/// reached, keys that only read names.
pub fn check(repository: &mut Repository, keyring: &Keyring, read_data: bool) -> Result<Report, RepoError> {
    repository.refresh_by_list()?;
    let mut work = Work::default();
    let inventory = Inventory::take(repository, &mut work)?;
    history::check(repository, &inventory, &mut work)?;
    mirrors::check(repository, &inventory, &mut work)?;
    check_keys(repository, &mut work)?;
    let listing = &inventory.objects;
    inventory.name_strays(repository.state(), &mut work);
    check_presence(repository, listing, &mut work)?;
    repository.context().progress.phase("reading indexes");
    let mut domains = domain::load(repository, keyring, &mut work)?;
    check_lengths(&domains, listing, &mut work);
    match read_data {
        true => packs::read_all(repository, &domains, listing, &mut work)?,
        false => found::hash_lost(repository, listing, &mut work)?,
    }
    work.excuse_copied(&domains);
    repository.context().progress.phase("walking trees");
    closure::check(repository, &mut domains, &mut work)?;
    let looked_to = repository.head().seq;
    repository.refresh()?;
    work.settle(repository, looked_to)?;
    let changes = Changes {
        found: found::there(repository.state(), listing, &work),
        lost: work.lost.iter().copied().collect(),
        level: if read_data { Level::AllData } else { Level::Structure },
    };
    let report = Report { found: changes.found.len() as u64, ..work.finish(repository, &domains, looked_to) };
    if repository.damage().is_none()
        && let Ok(key) = keyring.signing_key()
        && let Err(error) = changes.record(repository, key, &report.sound)
    {
        repository.context().progress.note(&format!("the result could not be recorded in the log: {error}"));
    }
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

/// What a check has to say in the log. A check of a store that cannot be written to is a check all the same.
struct Changes {
    /// Lost objects that are whole.
    found: Vec<ObjectName>,
    /// Objects of which some content is gone.
    lost: Vec<ObjectName>,
    /// How deep it looked.
    level: Level,
}

impl Changes {
    /// Appends it, as far as it is news at the place that each entry takes.
    fn record(&self, repository: &mut Repository, key: &SigningKey, sound: &[PointId]) -> Result<(), RepoError> {
        let is_lost = |state: &State, name: &ObjectName| state.is_lost(name);
        append_names(repository, key, &self.found, is_lost, |names| {
            Payload::Found(Found { names, moved: Vec::new(), rescues: Vec::new() })
        })?;
        repository.append_with(key, |state| {
            let points: Vec<_> = sound.iter().copied().filter(|id| state.point(id).is_some()).collect();
            Ok((!points.is_empty()).then_some(Payload::Verified(Verified { points, level: self.level })))
        })?;
        let is_news = |state: &State, name: &ObjectName| state.needed_by_any(name) && !state.is_lost(name);
        append_names(repository, key, &self.lost, is_news, |names| {
            Payload::Lost(Lost { names, reason: "found missing or damaged by a check".to_owned() })
        })
    }
}

/// Appends an entry about those of `names` that are news: several, if there are more than one can name.
fn append_names(
    repository: &mut Repository,
    key: &SigningKey,
    names: &[ObjectName],
    is_news: impl Fn(&State, &ObjectName) -> bool,
    say: impl Fn(Vec<ObjectName>) -> Payload,
) -> Result<(), RepoError> {
    names.chunks(LOST_MAX).try_for_each(|names| {
        let appended = repository.append_with(key, |state| {
            let names: Vec<_> = names.iter().copied().filter(|name| is_news(state, name)).collect();
            Ok((!names.is_empty()).then(|| say(names)))
        });
        appended.map(|_| ())
    })
}

/// Findings as they come, before it is known whom they concern.
#[derive(Default)]
struct Work {
    /// By object, so that each is told once.
    objects_wrong: BTreeMap<ObjectName, Problem>,
    /// Everything else, with the points that it concerns.
    others: BTreeMap<String, (Problem, BTreeSet<PointId>)>,
    /// Objects of which some content is gone.
    lost: BTreeSet<ObjectName>,
    strays: Vec<Stray>,
    strays_left_out: u64,
    checkpoints: history::Checkpoints,
    checkpoints_wrong: u64,
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

    /// Something belongs to nothing.
    fn stray(&mut self, object: String, bytes: u64, kind: StrayKind) {
        if self.strays.len() < FINDINGS_MAX {
            self.strays.push(Stray { object, bytes, kind });
        } else {
            self.strays_left_out += 1;
        }
    }

    /// A wrong pack is no loss if every blob in it lies in a whole pack, too. (Whether a point needs that one is found out
    /// when its tree is walked.)
    fn excuse_copied(&mut self, domains: &BTreeMap<KeyRef, Domain>) {
        let is_pack = |name: &ObjectName| !matches!(name.class, Class::Index(_));
        if !self.objects_wrong.keys().any(is_pack) {
            return;
        }
        let (mut told, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for index in domains.values().map(Domain::index) {
            for blob in index.iter() {
                let wrong = |name: &ObjectName| self.objects_wrong.contains_key(name);
                let packs = || index.places(&blob.blob.record.id).map(|at| at.pack.name);
                told.extend(packs().filter(wrong));
                if packs().all(|name| wrong(&name)) {
                    gone.extend(packs());
                }
            }
        }
        self.lost.retain(|name| !told.contains(name) || gone.contains(name));
    }

    /// Takes back what is no finding any more: while this check looked, others may have ended points and collected what only
    /// those needed. Call it with a state as new as can be; up to `looked_to` the log was looked at.
    fn settle(&mut self, repository: &Repository, looked_to: u64) -> Result<(), RepoError> {
        history::settle(repository, looked_to, self)?;
        if let Some(damage) = repository.damage() {
            // What is behind the damage is not gone.
            self.other(name::log_path(damage.seq), Problem::Damaged(damage.fault.to_string()), None);
            return Ok(());
        }
        let state = repository.state();
        self.objects_wrong.retain(|name, _| state.needed_by_any(name));
        self.lost.retain(|name| state.needed_by_any(name));
        self.others.retain(|_, (_, points)| {
            let is_for_all = points.is_empty();
            points.retain(|id| state.point(id).is_some());
            is_for_all || !points.is_empty()
        });
        Ok(())
    }

    /// What it comes to. Points that were committed behind `looked_to` were not looked at.
    fn finish(self, repository: &Repository, domains: &BTreeMap<KeyRef, Domain>, looked_to: u64) -> Report {
        let state = repository.state();
        let mut unsound: BTreeSet<PointId> = self.others.values().flat_map(|(_, points)| points).copied().collect();
        let (for_all, for_some): (Vec<_>, Vec<_>) =
            self.others.into_iter().partition(|(_, (_, points))| points.is_empty());
        let total = for_all.len() + self.objects_wrong.len() + for_some.len();
        let wrong = self.objects_wrong.keys().copied().take(LOST_MAX).collect();
        let told = self.objects_wrong.keys().copied().take(FINDINGS_MAX).collect();
        let mut concerned = Concerned::find(state, &self.lost, told);
        unsound.append(&mut concerned.unsound);
        let mut paths = paths::concerned(repository, domains, &self.objects_wrong, &unsound);
        let other = |(object, (problem, points)): (String, (Problem, BTreeSet<PointId>))| {
            finding(object, problem, points.len() as u64, points)
        };
        // What concerns everything comes first, so that it is never left out.
        let mut findings: Vec<Finding> = for_all.into_iter().map(other).take(FINDINGS_MAX).collect();
        for (name, problem) in self.objects_wrong.into_iter().take(FINDINGS_MAX - findings.len()) {
            let (paths, examples) = paths.remove(&name).unwrap_or_default();
            let (points, count) = concerned.by_object.remove(&name).unwrap_or_default();
            findings.push(Finding { paths, examples, ..finding(name.path(), problem, count, points) });
        }
        findings.extend(for_some.into_iter().map(other).take(FINDINGS_MAX - findings.len()));
        let looked_at = state.points().filter(|point| point.seq <= looked_to).map(|point| point.id);
        let sound = looked_at.filter(|id| !unsound.contains(id)).collect();
        Report {
            findings_left_out: (total - findings.len()) as u64,
            findings,
            wrong,
            checkpoints_wrong: self.checkpoints_wrong,
            strays: self.strays,
            strays_left_out: self.strays_left_out,
            sound,
            unsound: unsound.into_iter().collect(),
            found: 0,
            objects: self.objects,
            bytes_read: self.bytes_read,
            blobs: self.blobs,
        }
    }
}

fn finding(object: String, problem: Problem, count: u64, points: impl IntoIterator<Item = PointId>) -> Finding {
    let points: Vec<_> = points.into_iter().take(POINTS_MAX).collect();
    let points_left_out = count - points.len() as u64;
    Finding { object, problem, points, points_left_out, paths: 0, examples: Vec::new() }
}

/// Whom lost objects concern.
#[derive(Default)]
struct Concerned {
    unsound: BTreeSet<PointId>,
    /// For each object that is told: the first points that need it, and how many do.
    by_object: BTreeMap<ObjectName, (Vec<PointId>, u64)>,
}

impl Concerned {
    fn find(state: &State, lost: &BTreeSet<ObjectName>, told: BTreeSet<ObjectName>) -> Self {
        let mut found = Self::default();
        if lost.is_empty() {
            return found;
        }
        // How many lost objects the point needs, and those of them that are told.
        let mut here = (0u64, BTreeSet::new());
        let _always: Result<(), std::convert::Infallible> = needs::walk(
            state,
            &mut here,
            &mut |(count, here), name, is_in| {
                if lost.contains(name) {
                    *count = if is_in { *count + 1 } else { *count - 1 };
                    match is_in {
                        true if told.contains(name) => _ = here.insert(*name),
                        _ => _ = here.remove(name),
                    }
                }
            },
            &mut |(count, here), point, _| {
                if *count > 0 {
                    found.unsound.insert(point.id);
                }
                for name in here.iter() {
                    let (points, count) = found.by_object.entry(*name).or_default();
                    *count += 1;
                    if points.len() < POINTS_MAX {
                        points.push(point.id);
                    }
                }
                Ok(())
            },
        );
        found
    }
}

#[cfg(test)]
pub(crate) mod tests;
