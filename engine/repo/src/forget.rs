//! Forget: points end, within the limits that protect a person from a wrong rule or a wrong clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use firn_format::log::Delete;
use firn_format::{LineageId, Payload, Point, PointId, State, TimeMs};

use crate::append::Appended;
use crate::error::RepoError;
use crate::keyring::Keyring;
use crate::open::Repository;
use crate::points::{lost_by_point, open_summary};

/// More than one in so many points of a lineage is not forgotten without a confirmation.
const UNCONFIRMED_PART: usize = 4;

/// Ends the life of `points`. Their objects stay until a collection.
///
/// # Errors
/// `Kept` for a point that is held, younger than the repository's minimum retention, or the last good one of its lineage;
/// `Unconfirmed` if more than a quarter of a lineage would go and `confirmed` is false; `NoSuchPoint`. Nothing is changed then.
pub fn forget(
    repository: &mut Repository,
    keyring: &Keyring,
    points: &[PointId],
    reason: &str,
    confirmed: bool,
) -> Result<Option<Appended>, RepoError> {
    if points.is_empty() {
        return Ok(None);
    }
    let now_ms = match repository.store().time() {
        Ok(time) => time.as_millisecond(),
        Err(_) => repository.context().clock.now_ms(),
    };
    let points: BTreeSet<PointId> = points.iter().copied().collect();
    repository.append_with(keyring.signing_key()?, |state| {
        check(state, keyring, &points, now_ms, confirmed)?;
        let points = points.iter().copied().collect();
        Ok(Some(Payload::Delete(Delete { points, reason: reason.to_owned() })))
    })
}

fn check(
    state: &State,
    keyring: &Keyring,
    points: &BTreeSet<PointId>,
    now_ms: TimeMs,
    confirmed: bool,
) -> Result<(), RepoError> {
    let kept = |point: &PointId, why: &str| Err(RepoError::Kept { point: *point, why: why.to_owned() });
    let young_ms = i64::try_from(state.retention_seconds_min()).unwrap_or(i64::MAX).saturating_mul(1000);
    let mut lineages: BTreeMap<LineageId, usize> = BTreeMap::new();
    for id in points {
        let Some(point) = state.point(id) else {
            return Err(RepoError::NoSuchPoint(format!("there is no point {}", id.short())));
        };
        if state.is_held(id) {
            return kept(id, "a running backup builds on it, or a reader holds it");
        }
        if young_ms > 0 && now_ms.saturating_sub(point.arrived_ms) < young_ms {
            return kept(id, "it is younger than the repository's minimum retention");
        }
        *lineages.entry(point.lineage).or_default() += 1;
    }
    let lost = lost_by_point(state);
    for (lineage, forgotten) in lineages {
        let live = state.points_of(&lineage).count();
        if let Some(last) = last_good(state, keyring, &lineage, points, &lost) {
            return kept(&last, "it is the last good point of its cluster and policy");
        }
        if !confirmed && forgotten * UNCONFIRMED_PART > live {
            return Err(RepoError::Unconfirmed { forgotten, live });
        }
    }
    Ok(())
}

/// The newest good point of the lineage, if it and all other good ones would go. A point is good if it is complete and
/// nothing of it is lost; where none is, any that is no branch.
fn last_good(
    state: &State,
    keyring: &Keyring,
    lineage: &LineageId,
    going: &BTreeSet<PointId>,
    lost: &HashMap<PointId, usize>,
) -> Option<PointId> {
    let mut keys = BTreeMap::new();
    let mut is_good = |point: &Point| {
        !lost.contains_key(&point.id) && open_summary(point, keyring, &mut keys).is_ok_and(|s| s.complete)
    };
    let mut newest_good_going = None;
    for point in state.points_of(lineage).rev().filter(|point| !point.branch) {
        // Looks back only as far as it must.
        if is_good(point) {
            if !going.contains(&point.id) {
                return None;
            }
            newest_good_going.get_or_insert(point.id);
        }
    }
    if newest_good_going.is_some() {
        return newest_good_going;
    }
    let mut rest = state.points_of(lineage).filter(|point| !point.branch).peekable();
    let first = rest.peek().map(|point| point.id);
    if rest.all(|point| going.contains(&point.id)) { first } else { None }
}

#[cfg(test)]
mod tests;
