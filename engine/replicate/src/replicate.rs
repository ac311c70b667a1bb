//! Replicate: everything that is live in the source, whoever committed it, into the target, until nothing is left.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use firn_format::{Counter, Hash, LineageId, ObjectName, RunId, SessionId, SigningKey, StoreId, VoidReason};
use firn_repo::{Repository, copy_keys};

use crate::copy::{Copied, Pair, copy};
use crate::error::ReplicateError;
use crate::evidence::Evidence;
use crate::fences::is_overtaken;
use crate::import::{self, Outcome, Subject};
use crate::lanes;
use crate::link;
use crate::mirror::{self, Mirror};
use crate::queue::{self, Item, ItemKind, Queue};
use crate::report::{LineageReport, Problem, Report};
use crate::session;

/// The most lanes: each holds one object of up to 64 MiB while it is copied.
pub const LANES_MAX: usize = 64;

/// So many objects of a point are copied before the other lineages have their turn: at most 8 GiB of packs, so that a large
/// first point keeps nobody waiting for long.
const TURN_OBJECTS: usize = 256;

/// How to replicate. A limit of the bandwidth is the store's: see [`firn_store::Throttled`].
#[derive(Debug, Clone, Copy)]
pub struct ReplicateOptions {
    /// How many objects are copied at once, from 1 to [`LANES_MAX`].
    pub lanes: usize,
}

impl Default for ReplicateOptions {
    /// Four lanes: they fill most links, and hold 128 MiB of packs.
    fn default() -> Self {
        Self { lanes: 4 }
    }
}

/// Brings all live points and fences of `source` into `target`, in the order of its log within each lineage, and returns
/// when nothing is left to bring: those that it committed, and those that it imported from third stores, whose evidence
/// goes with them. What `target` committed itself does not come back. Before that, objects that the target lost are brought again, if the
/// source has them. A point that cannot be brought is passed over and tried again by the next run. A point becomes live in
/// the target by an IMPORT signed with `key`, appended after all that it needs was read back from the target and hashed.
/// Progress goes to the target's context.
///
/// May be interrupted at any moment and run again: what was copied is verified and not sent again. The source is only
/// read, except that the link is recorded in its log if `key` may do that.
///
/// # Errors
/// `Itself`, `OtherFamily`, `NotAllowed` before anything is done; `RolledBack`, `Forked`, `NoEvidence` if the source's log
/// is not the one that the target has seen; `Stopped` if the target's progress asked for that; failures of the stores. What only concerns single points is in the report.
pub fn replicate(
    source: &mut Repository,
    target: &mut Repository,
    key: &SigningKey,
    options: &ReplicateOptions,
) -> Result<Report, ReplicateError> {
    target.refresh()?;
    link::check(source, target, key)?;
    let mut mirror = Mirror::open(source, target)?;
    let mut report = Report { entries_mirrored: mirror.catch_up(source, target)?, ..Report::default() };
    link::record(source, target, key)?;
    report.keys_copied = copy_keys(source.store().as_ref(), target.store().as_ref(), source.format().family)?;
    target.context().progress.phase("replicating");
    let run = session::run_of(source.format().store, target.format().store);
    let lanes = options.lanes.clamp(1, LANES_MAX);
    let mut work = Work {
        source,
        target,
        key,
        lanes,
        run,
        session: None,
        verified: HashSet::new(),
        passed: BTreeSet::new(),
        evidence: BTreeMap::new(),
        report,
    };
    work.mend()?;
    work.until_done(&mut mirror)?;
    session::end(work.target, key, run, work.session)?;
    work.finish()
}

/// A run.
pub(crate) struct Work<'a> {
    pub(crate) source: &'a mut Repository,
    pub(crate) target: &'a mut Repository,
    pub(crate) key: &'a SigningKey,
    pub(crate) lanes: usize,
    run: RunId,
    /// Open in the target from the first object on.
    session: Option<SessionId>,
    /// Objects in the target that this run has hashed and no point needs yet.
    pub(crate) verified: HashSet<ObjectName>,
    /// Entries that this run does not try again.
    passed: BTreeSet<Hash>,
    /// What is known of the logs of third stores whose entries are queued.
    evidence: BTreeMap<StoreId, Evidence>,
    pub(crate) report: Report,
}

/// Whether an item is through with.
#[derive(PartialEq, Eq)]
enum Turn {
    Done,
    NotYet,
}

impl Work<'_> {
    /// Gives each lineage its turn, the one with least to copy first, until all queues are empty.
    fn until_done(&mut self, mirror: &mut Mirror) -> Result<(), ReplicateError> {
        let mut queue = Queue::default();
        let mut seen = None;
        loop {
            if seen.is_some() {
                self.source.refresh()?;
                self.report.entries_mirrored += mirror.catch_up(self.source, self.target)?;
            }
            if seen != Some(self.source.head()) {
                queue = Queue::new(self.source.state(), self.target.state(), &self.passed);
                self.gather(&queue)?;
                seen = Some(self.source.head());
            }
            let mut heads = queue.heads();
            match heads.len() {
                0 => return Ok(()),
                1 => {}
                _ => heads.sort_by_cached_key(|(_, item)| self.outstanding(item)),
            }
            for (lineage, item) in heads {
                self.refuse_stopped()?;
                if self.turn(lineage, &item)? == Turn::Done {
                    queue.remove(&item);
                }
            }
        }
    }

    /// Looks at the evidence for what is to be carried on from third stores.
    fn gather(&mut self, queue: &Queue) -> Result<(), ReplicateError> {
        let here = self.source.format().store;
        // What is left aside is looked at by nobody.
        let may_come = |(_, item): &(&LineageId, &Item)| item.store != here && !self.is_outdated(item);
        let carried: Vec<(&LineageId, &Item)> = queue.items().filter(may_come).collect();
        let stores: BTreeSet<StoreId> = carried.iter().map(|(_, item)| item.store).collect();
        self.evidence.clear();
        for store in stores {
            let items = carried.iter().copied().filter(|(_, item)| item.store == store);
            let evidence = Evidence::gather(self.source, self.target, store, items)?;
            self.report.entries_mirrored += evidence.entries_mirrored;
            if let Some(seq) = evidence.broken_at {
                self.say(Problem::Mirror { store, seq });
            }
            self.evidence.insert(store, evidence);
        }
        Ok(())
    }

    /// Whether a point is of an epoch that is over in the target.
    fn is_outdated(&self, item: &Item) -> bool {
        let point = self.source.state().point(&item.point());
        point.is_some_and(|point| point.epoch < self.target.state().epoch(&point.lineage))
    }

    /// Objects under way have landed by now; the session stays open, so that no collection takes them.
    fn refuse_stopped(&self) -> Result<(), ReplicateError> {
        match self.target.context().progress.stopping() {
            true => {
                Err(ReplicateError::Stopped { points: self.report.points.len(), objects: self.report.objects_copied })
            }
            false => Ok(()),
        }
    }

    /// How many objects are still to be copied. Packs are about equally large, so this stands for the bytes.
    fn outstanding(&self, item: &Item) -> usize {
        if item.kind != ItemKind::Point {
            return 0;
        }
        let here = self.target.state();
        let pairs = import::pairs_of(self.source.state(), here, item);
        pairs.iter().filter(|pair| !import::is_there(here, &self.verified, &pair.to)).count()
    }

    /// Copies some objects of the item; imports it if nothing is missing then.
    fn turn(&mut self, lineage: LineageId, item: &Item) -> Result<Turn, ReplicateError> {
        let Item { store, seq, .. } = *item;
        if self.is_outdated(item) {
            return Ok(self.settle(item, Outcome::Refused(VoidReason::Epoch)));
        }
        let is_own = store == self.source.format().store;
        if !is_own && !self.evidence.get(&store).is_some_and(|evidence| evidence.proves(item)) {
            return Ok(self.pass(item, Some(Problem::Unproven { store, seq })));
        }
        let Some(entry) = mirror::entry_of(self.source, self.target, item)? else {
            return Ok(self.pass(item, Some(Problem::Entry { store, seq })));
        };
        if item.kind == ItemKind::Point {
            let missing = match self.missing(self.subject(item, &entry)) {
                Ok(missing) => missing,
                Err(outcome) => return Ok(self.settle(item, outcome)),
            };
            let some = &missing[..missing.len().min(TURN_OBJECTS)];
            if !some.is_empty() {
                self.open_session(lineage)?;
            }
            if !self.copy(item, some)? {
                return Ok(Turn::Done);
            }
            if some.len() < missing.len() {
                return Ok(Turn::NotYet);
            }
        }
        let subject = Subject { item, entry: &entry, evidence: self.evidence.get(&store) };
        let outcome = import::append(self.source.state(), self.target, self.key, subject, &self.verified)?;
        Ok(self.settle(item, outcome))
    }

    fn subject<'e>(&'e self, item: &'e Item, entry: &'e Bytes) -> Subject<'e> {
        Subject { item, entry, evidence: self.evidence.get(&item.store) }
    }

    /// What must be copied before the point can be imported; or why it cannot be.
    fn missing(&self, subject: Subject<'_>) -> Result<Vec<Pair>, Outcome> {
        let (there, here) = (self.source.state(), self.target.state());
        if import::is_past(there, here, subject.item) {
            return Err(Outcome::Already);
        }
        let prepared = import::prepare(there, here, subject).ok_or(Outcome::Gone)?;
        here.validate(&prepared.payload, &self.key.signer()).map_err(Outcome::Refused)?;
        let mut missing = prepared.pairs;
        missing.retain(|pair| !import::is_there(here, &self.verified, &pair.to));
        Ok(missing)
    }

    /// Opens a session in the target unless ours is still open.
    pub(crate) fn open_session(&mut self, lineage: LineageId) -> Result<(), ReplicateError> {
        let open = self.target.state().sessions();
        if !self.session.is_some_and(|session| open.contains_key(&session)) {
            self.session = Some(session::open(self.target, self.key, self.run, lineage)?);
        }
        Ok(())
    }

    /// Copies objects on all lanes, and counts what is there then.
    pub(crate) fn copy_all(&mut self, pairs: &[Pair]) -> Result<Vec<Copied>, ReplicateError> {
        let (source, target) = (self.source.store().clone(), self.target.store().clone());
        let progress = self.target.context().progress.clone();
        let copied = lanes::map(self.lanes, pairs, |pair| {
            if progress.stopping() {
                return Ok(Copied::NotBegun);
            }
            let copied = copy(source.as_ref(), target.as_ref(), pair)?;
            if let Copied::Sent(bytes) | Copied::There(bytes) = copied {
                progress.add(Counter::StoredBytes, bytes);
            }
            Ok(copied)
        })?;
        for (pair, copied) in pairs.iter().zip(&copied) {
            let (objects, sum, bytes) = match copied {
                Copied::Sent(bytes) => (&mut self.report.objects_copied, &mut self.report.bytes_copied, bytes),
                Copied::There(bytes) => (&mut self.report.objects_there, &mut self.report.bytes_there, bytes),
                _ => continue,
            };
            *objects += 1;
            *sum += bytes;
            self.verified.insert(pair.to);
        }
        Ok(copied)
    }

    /// Copies objects of a point. `false` if the point is to be passed over.
    fn copy(&mut self, item: &Item, pairs: &[Pair]) -> Result<bool, ReplicateError> {
        let copied = self.copy_all(pairs)?;
        let mut problem = None;
        let point = item.point();
        for (pair, copied) in pairs.iter().zip(copied) {
            match copied {
                Copied::Sent(_) | Copied::There(_) => {}
                // Somebody asked to stop; the point stays incomplete.
                Copied::NotBegun => {}
                // The source's collector took it meanwhile. The next turn asks for what is needed instead.
                Copied::Gone if !self.is_still_needed(item, &pair.from)? => {}
                Copied::Gone => {
                    let detail = "it is missing".to_owned();
                    problem = problem.or(Some(Problem::SourceObject { point, name: pair.from, detail }));
                }
                Copied::BadSource(detail) => {
                    problem = problem.or(Some(Problem::SourceObject { point, name: pair.from, detail }));
                }
                Copied::BadTarget(detail) => {
                    problem = problem.or(Some(Problem::TargetObject { point, name: pair.to, detail }));
                }
            }
        }
        let is_whole = problem.is_none();
        if !is_whole {
            self.pass(item, problem);
        }
        Ok(is_whole)
    }

    /// Whether the source's newest state still says that the point needs the object under this name.
    fn is_still_needed(&mut self, item: &Item, name: &ObjectName) -> Result<bool, ReplicateError> {
        self.source.refresh()?;
        Ok(self.source.state().needs(&item.point()).contains(name))
    }

    /// Draws the conclusion of an import that was tried.
    fn settle(&mut self, item: &Item, outcome: Outcome) -> Turn {
        match outcome {
            Outcome::Appended => {
                match item.kind {
                    ItemKind::Fence => self.report.fences.push(item.hash),
                    ItemKind::Unfence => self.report.unfences.push(item.hash),
                    ItemKind::Point => self.report.points.push(item.point()),
                }
                if item.kind == ItemKind::Point && item.store != self.source.format().store {
                    self.report.points_carried.push(item.point());
                }
                self.target.context().progress.add(Counter::Entries, 1);
                let here = self.target.state();
                self.verified.retain(|name| !here.needed_by_any(name));
                Turn::Done
            }
            Outcome::Incomplete => Turn::NotYet,
            Outcome::Already | Outcome::Gone => self.pass(item, None),
            Outcome::TooLong => self.pass(item, Some(Problem::TooLong { store: item.store, seq: item.seq })),
            Outcome::Refused(VoidReason::Epoch) => {
                if item.kind == ItemKind::Point {
                    self.report.left_aside.push(item.point());
                }
                self.pass(item, None)
            }
            Outcome::Refused(reason) if is_overtaken(item.kind, reason) => self.pass(item, None),
            // Another replicator was faster; and what is split is said once, in the end.
            Outcome::Refused(VoidReason::OutOfOrder | VoidReason::Split) => self.pass(item, None),
            Outcome::Refused(reason) => {
                self.pass(item, Some(Problem::Refused { store: item.store, seq: item.seq, reason }))
            }
        }
    }

    fn pass(&mut self, item: &Item, problem: Option<Problem>) -> Turn {
        self.passed.insert(item.hash);
        if let Some(problem) = problem {
            self.say(problem);
        }
        Turn::Done
    }

    fn say(&mut self, problem: Problem) {
        self.target.context().progress.note(&problem.to_string());
        self.report.problems.push(problem);
    }

    /// Says how everything stands.
    fn finish(self) -> Result<Report, ReplicateError> {
        let (there, here, mut report) = (self.source.state(), self.target.state(), self.report);
        let now_ms = self.target.context().clock.now_ms();
        for lineage in there.lineages().keys() {
            let newest = here.latest(lineage);
            let committed_ms = newest.map(|point| point.store_time_ms.unwrap_or(point.time_ms));
            let behind = queue::outstanding(there, here, lineage);
            let stands = LineageReport {
                newest: newest.map(|point| point.id),
                committed_ms,
                age_ms: committed_ms.map(|committed_ms| now_ms - committed_ms),
                points_behind: behind.filter(|point| !report.left_aside.contains(&point.id)).count(),
            };
            report.lineages.insert(*lineage, stands);
        }
        report.left_aside.extend(there.branches().map(|point| point.id));
        let split = here.lineages().iter().filter(|(_, lineage)| lineage.split);
        report.problems.extend(split.map(|(lineage, _)| Problem::Split { lineage: *lineage }));
        report.problems.extend(self.source.damage().map(|damage| Problem::SourceLog { seq: damage.seq }));
        Ok(report)
    }
}
