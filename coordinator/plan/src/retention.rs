//! Retention: which points of one lineage are kept, and which go.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Of all points of a lineage, at most this part goes in one run without a confirmation: a wrong clock or a mistyped
/// rule must not empty a repository.
const UNCONFIRMED_DROP_DIVISOR: usize = 4;

/// How long points are kept. A point that any rule keeps is kept. No rule at all keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Retention {
    /// Keep the newest so many points.
    pub keep_last: Option<usize>,
    /// Keep the points that are no older than this.
    pub keep_within: Option<SignedDuration>,
}

/// What retention needs to know of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PointFact {
    /// The point's id, as text.
    pub id: String,
    /// When it was captured, by the store's clock.
    pub time: Timestamp,
    /// Whether it is whole: complete, and nothing carried over or left out.
    pub whole: bool,
}

/// What becomes of one point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The point's id.
    pub id: String,
    /// Whether it stays.
    pub kept: bool,
    /// Why it stays or goes.
    pub reason: String,
}

/// Why nothing is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// Too large a part would go at once.
    #[error("dropping {dropped} of {points} points needs a confirmation: more than a quarter of them")]
    TooMany {
        /// How many would be dropped.
        dropped: usize,
        /// How many there are.
        points: usize,
    },
    /// A point comes from the future: the clocks do not agree.
    #[error("point {id} is {ahead_s} s ahead of the clock: nothing is dropped while clocks disagree")]
    Clock {
        /// The point.
        id: String,
        /// How far ahead, in seconds.
        ahead_s: i64,
    },
}

impl RetentionError {
    /// Whether trying again, without anything changed, must fail again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::TooMany { .. })
    }
}

/// Clocks may differ by this much: beyond, retention refuses.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Decides for the points of one lineage; the verdicts come newest first. The newest point and the newest whole point
/// always stay. With `confirmed`, more than a quarter may go.
///
/// # Errors
/// [`RetentionError`]: then nothing may be dropped.
pub fn retain(
    points: &[PointFact],
    now: Timestamp,
    rules: &Retention,
    confirmed: bool,
) -> Result<Vec<Verdict>, RetentionError> {
    let mut order: Vec<&PointFact> = points.iter().collect();
    order.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| b.id.cmp(&a.id)));
    if let Some(newest) = order.first() {
        let ahead = newest.time.duration_since(now);
        if ahead > CLOCK_SKEW_MAX {
            return Err(RetentionError::Clock { id: newest.id.clone(), ahead_s: ahead.as_secs() });
        }
    }
    let newest_whole = order.iter().position(|point| point.whole);
    let verdicts: Vec<Verdict> = order
        .iter()
        .enumerate()
        .map(|(rank, point)| {
            let keep = keep_reason(rank, newest_whole, now.duration_since(point.time), rules);
            Verdict {
                id: point.id.clone(),
                kept: keep.is_some(),
                reason: keep.unwrap_or_else(|| "no rule keeps it".to_owned()),
            }
        })
        .collect();
    let dropped = verdicts.iter().filter(|verdict| !verdict.kept).count();
    if !confirmed && dropped * UNCONFIRMED_DROP_DIVISOR > points.len() {
        return Err(RetentionError::TooMany { dropped, points: points.len() });
    }
    Ok(verdicts)
}

/// Why the point of this rank (0 is the newest) stays, if it does.
fn keep_reason(rank: usize, newest_whole: Option<usize>, age: SignedDuration, rules: &Retention) -> Option<String> {
    if rank == 0 {
        return Some("the newest point".to_owned());
    }
    if Some(rank) == newest_whole {
        return Some("the newest whole point".to_owned());
    }
    if rules.keep_last.is_none() && rules.keep_within.is_none() {
        return Some("no rule drops anything".to_owned());
    }
    if let Some(last) = rules.keep_last.filter(|last| rank < *last) {
        return Some(format!("among the last {last}"));
    }
    rules.keep_within.filter(|within| age <= *within).map(|within| format!("within {within:#}"))
}

#[cfg(test)]
mod tests;
