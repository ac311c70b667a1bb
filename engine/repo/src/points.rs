//! Points: what there is to restore, and which one is meant.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use firn_format::state::Verification;
use firn_format::{LineageId, Point, PointId, State, StoreId, TimeMs, WriterKeys, open_box};

use crate::check::needs;
use crate::error::RepoError;
use crate::keyring::Keyring;
use crate::open::Repository;
use crate::summary::Summary;

/// The shortest beginning of an id that names a point: shorter ones fit too many.
const PREFIX_DIGITS_MIN: usize = 4;

/// So many choices are listed when a request is ambiguous.
const CHOICES_MAX: usize = 20;

/// A live point, as far as its entry tells.
#[derive(Debug, Clone)]
pub struct PointInfo {
    /// Its id, the same in every store.
    pub id: PointId,
    /// Its position in this store's log.
    pub seq: u64,
    /// Cluster and policy.
    pub lineage: LineageId,
    /// The lineage's epoch when it was made.
    pub epoch: u64,
    /// When it was committed, by the committer's clock.
    pub time_ms: TimeMs,
    /// When it became live in this store.
    pub arrived_ms: TimeMs,
    /// What its maker said of it; `None` if it cannot be opened.
    pub summary: Option<Summary>,
    /// The best check so far, in this store.
    pub verified: Option<Verification>,
    /// The store that it was imported from, and its position there; `None` if it was made here.
    pub imported_from: Option<(StoreId, u64)>,
    /// A fence left it aside: it can be restored, and is never the latest.
    pub branch: bool,
    /// How many of the objects that it needs are known to be lost.
    pub lost: usize,
    /// Whether a hold or an open session keeps it.
    pub held: bool,
}

impl PointInfo {
    /// Start of its capture; when it was committed, if that is not known.
    pub fn cut_time_ms(&self) -> TimeMs {
        self.summary.as_ref().map_or(self.time_ms, |summary| summary.cut_time_ms)
    }

    fn line(&self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.cut_time_ms())
            .map_or_else(|_| "?".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let (cluster, policy) = match &self.summary {
            Some(summary) => (summary.cluster_name.as_str(), summary.policy.as_str()),
            None => ("?", "?"),
        };
        format!("  {}  {time}  {cluster} {policy}  (lineage {})", self.id.short(), self.lineage.short())
    }
}

/// Which points are meant, besides the id.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Beginning of the lineage's id, at least four digits.
    pub lineage: Option<&'a str>,
    /// The cluster's UID or name.
    pub cluster: Option<&'a str>,
    /// The policy.
    pub policy: Option<&'a str>,
    /// Whether `latest` may mean one point of every lineage.
    pub all_lineages: bool,
}

/// All live points, oldest first.
pub fn list_points(repository: &Repository, keyring: &Keyring) -> Vec<PointInfo> {
    each_point(repository, keyring).collect()
}

/// As [`list_points`], one by one: of very many points only their order is in memory.
pub fn each_point<'r>(
    repository: &'r Repository,
    keyring: &'r Keyring,
) -> impl ExactSizeIterator<Item = PointInfo> + 'r {
    let mut keys = BTreeMap::new();
    let state = repository.state();
    let lost = lost_by_point(state);
    let mut order: Vec<(TimeMs, u64, &Point)> = state
        .points()
        .map(|point| {
            let summary = open_summary(point, keyring, &mut keys).ok();
            (summary.map_or(point.time_ms, |summary| summary.cut_time_ms), point.seq, point)
        })
        .collect();
    order.sort_unstable_by_key(|(cut_time_ms, seq, _)| (*cut_time_ms, *seq));
    order.into_iter().map(move |(_, _, point)| PointInfo {
        id: point.id,
        seq: point.seq,
        lineage: point.lineage,
        epoch: point.epoch,
        time_ms: point.time_ms,
        arrived_ms: point.arrived_ms,
        summary: open_summary(point, keyring, &mut keys).ok(),
        verified: point.verified,
        imported_from: point.imported_from(state.store()),
        branch: point.branch,
        lost: lost.get(&point.id).copied().unwrap_or(0),
        held: state.is_held(&point.id),
    })
}

/// How many lost objects each point needs that needs any: one walk, where asking point by point takes the square of their number.
pub(crate) fn lost_by_point(state: &State) -> HashMap<PointId, usize> {
    let mut found = HashMap::new();
    if state.lost().next().is_none() {
        return found;
    }
    let _always: Result<(), std::convert::Infallible> = needs::walk(
        state,
        &mut 0usize,
        &mut |count, name, is_in| match state.is_lost(name) {
            true if is_in => *count += 1,
            true => *count -= 1,
            false => {}
        },
        &mut |count, point, _| {
            if *count > 0 {
                found.insert(point.id, *count);
            }
            Ok(())
        },
    );
    found
}

/// The points that `text` names: `latest`, or the beginning of an id. One point, unless `latest` of all lineages is asked for.
///
/// # Errors
/// `NoSuchPoint`; `Ambiguous` with the choices.
pub fn resolve<'p>(
    points: &'p [PointInfo],
    text: &str,
    selection: &Selection<'_>,
) -> Result<Vec<&'p PointInfo>, RepoError> {
    let selected: Vec<_> = points.iter().filter(|point| fits(point, selection)).collect();
    if text == "latest" {
        return latest(selected, selection);
    }
    if text.len() < PREFIX_DIGITS_MIN || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let rule = format!("{PREFIX_DIGITS_MIN} or more digits of its id");
        return Err(RepoError::NoSuchPoint(format!("{text:?} names no point: give `latest`, or {rule}")));
    }
    let text = text.to_ascii_lowercase();
    let found: Vec<_> = selected.into_iter().filter(|point| point.id.hex().starts_with(&text)).collect();
    match found.len() {
        0 => Err(RepoError::NoSuchPoint(format!("no point begins with {text}; `firn points` lists them"))),
        1 => Ok(found),
        _ => Err(ambiguous(&text, &found)),
    }
}

fn latest<'p>(selected: Vec<&'p PointInfo>, selection: &Selection<'_>) -> Result<Vec<&'p PointInfo>, RepoError> {
    let mut newest: BTreeMap<LineageId, &PointInfo> = BTreeMap::new();
    for point in selected.into_iter().filter(|point| !point.branch) {
        // Within a lineage the log's order decides, not a clock.
        let known = newest.entry(point.lineage).or_insert(point);
        if point.seq > known.seq {
            *known = point;
        }
    }
    let newest: Vec<_> = newest.into_values().collect();
    match newest.len() {
        0 => Err(RepoError::NoSuchPoint("there is no point yet".to_owned())),
        1 => Ok(newest),
        _ if selection.all_lineages => Ok(newest),
        _ => Err(ambiguous("latest", &newest)),
    }
}

fn ambiguous(text: &str, found: &[&PointInfo]) -> RepoError {
    let mut choices: Vec<_> = found.iter().take(CHOICES_MAX).map(|point| point.line()).collect();
    if found.len() > CHOICES_MAX {
        choices.push(format!("  and {} more", found.len() - CHOICES_MAX));
    }
    RepoError::Ambiguous { text: text.to_owned(), count: found.len(), choices }
}

fn fits(point: &PointInfo, selection: &Selection<'_>) -> bool {
    let summary = point.summary.as_ref();
    let lineage = selection.lineage.is_none_or(|lineage| {
        lineage.len() >= PREFIX_DIGITS_MIN && point.lineage.hex().starts_with(&lineage.to_ascii_lowercase())
    });
    let cluster = selection.cluster.is_none_or(|cluster| {
        summary.is_some_and(|summary| summary.cluster == cluster || summary.cluster_name == cluster)
    });
    let policy = selection.policy.is_none_or(|policy| summary.is_some_and(|summary| summary.policy == policy));
    lineage && cluster && policy
}

type KeysByRef = BTreeMap<(firn_format::DomainId, u32), WriterKeys>;

/// Opens a point's summary; `keys` are kept from call to call.
pub(crate) fn open_summary(point: &Point, keyring: &Keyring, keys: &mut KeysByRef) -> Result<Summary, RepoError> {
    let keys = match keys.entry((point.domain, point.generation)) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(vacant) => vacant.insert(keyring.writer_keys(point.domain, point.generation)?),
    };
    Ok(Summary::decode(&open_box(&point.summary, keys)?)?)
}

#[cfg(test)]
mod tests;
