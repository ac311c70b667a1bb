//! Retention: which points of one lineage are kept, and which go.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use period::Period;

mod period;

/// Of all points of a lineage, at most this part goes in one run without a confirmation: a wrong clock or a mistyped
/// rule must not empty a repository.
const UNCONFIRMED_DROP_DIVISOR: usize = 4;

/// One may always go: else the rule to keep the last two could never drop the third.
const UNCONFIRMED_DROP_MIN: usize = 1;

/// Clocks may differ by this much: beyond, retention refuses.
const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// How long points are kept. A point that any rule keeps is kept. No rule at all keeps everything.
///
/// Hours, days, weeks (from Monday), months and years are those of UTC, and only those that have points count. Of each,
/// the newest whole point is kept, or the newest if none is whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Retention {
    /// Keep the newest so many points.
    pub keep_last: Option<usize>,
    /// Keep one point of each of the newest so many hours.
    pub keep_hourly: Option<usize>,
    /// Keep one point of each of the newest so many days.
    pub keep_daily: Option<usize>,
    /// Keep one point of each of the newest so many weeks.
    pub keep_weekly: Option<usize>,
    /// Keep one point of each of the newest so many months.
    pub keep_monthly: Option<usize>,
    /// Keep one point of each of the newest so many years.
    pub keep_yearly: Option<usize>,
    /// Keep the points that are no older than this.
    pub keep_within: Option<SignedDuration>,
    /// Keep the points with any of these tags, besides. Tags alone drop nothing.
    pub keep_tags: Vec<String>,
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
    /// Whether what it needs was verified, to any depth.
    pub verified: bool,
    /// Whether a running backup or a reader holds it.
    pub held: bool,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What time it is, by two clocks. Ages are told by the store's: points carry its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The store's clock; the own one if the store tells no time.
    pub store: Timestamp,
    /// The clock of whoever decides.
    pub own: Timestamp,
}

/// What becomes of one point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The point's id.
    pub id: String,
    /// Whether it stays.
    pub kept: bool,
    /// Why it stays, every rule that keeps it, or why it goes.
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
    /// The store's clock and the own one do not agree.
    #[error(
        "the store's clock and this machine's differ by {difference_s} s: nothing is dropped while clocks disagree"
    )]
    Clocks {
        /// By how much, in seconds.
        difference_s: i64,
    },
}

impl RetentionError {
    /// Whether trying again, without anything changed, must fail again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::TooMany { .. })
    }
}

impl Retention {
    /// Whether no rule drops anything.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.keep_last.is_none()
            && self.keep_within.is_none()
            && self.periods().iter().all(|(_, count)| count.is_none())
    }

    fn periods(&self) -> [(Period, Option<usize>); 5] {
        [
            (Period::Hour, self.keep_hourly),
            (Period::Day, self.keep_daily),
            (Period::Week, self.keep_weekly),
            (Period::Month, self.keep_monthly),
            (Period::Year, self.keep_yearly),
        ]
    }
}

/// The rules of a policy. Numbers that its schema forbids keep everything.
impl From<&firn_api::Retention> for Retention {
    fn from(rules: &firn_api::Retention) -> Self {
        let count = |count: Option<i32>| count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let within = |seconds: i64| if seconds < 0 { SignedDuration::MAX } else { SignedDuration::from_secs(seconds) };
        Self {
            keep_last: count(rules.last),
            keep_hourly: count(rules.hourly),
            keep_daily: count(rules.daily),
            keep_weekly: count(rules.weekly),
            keep_monthly: count(rules.monthly),
            keep_yearly: count(rules.yearly),
            keep_within: rules.within_seconds.map(within),
            keep_tags: rules.tags.clone(),
        }
    }
}

/// Decides for the points of one lineage; the verdicts come newest first. The newest point, the newest whole one, the
/// newest verified whole one, and those that are held always stay. With `confirmed`, more than a quarter may go.
///
/// # Guarantees
/// What is left after the verdicts are carried out loses nothing more to the same rules at the same time, and a rule
/// more never drops a point more.
///
/// # Errors
/// [`RetentionError`]: then nothing may be dropped.
pub fn retain(
    points: &[PointFact],
    clocks: &Clocks,
    rules: &Retention,
    confirmed: bool,
) -> Result<Vec<Verdict>, RetentionError> {
    let mut order: Vec<&PointFact> = points.iter().collect();
    order.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| b.id.cmp(&a.id)));
    check_clocks(order.first().copied(), clocks)?;
    let mut reasons = always_kept(&order);
    if rules.keeps_everything() {
        reasons.iter_mut().filter(|why| why.is_empty()).for_each(|why| why.push("no rule drops anything".to_owned()));
    } else {
        keep_by_rules(&order, clocks, rules, &mut reasons);
    }
    let dropped = reasons.iter().filter(|why| why.is_empty()).count();
    if !confirmed && dropped > UNCONFIRMED_DROP_MIN.max(points.len() / UNCONFIRMED_DROP_DIVISOR) {
        return Err(RetentionError::TooMany { dropped, points: points.len() });
    }
    let verdict = |(point, why): (&&PointFact, Vec<String>)| Verdict {
        id: point.id.clone(),
        kept: !why.is_empty(),
        reason: if why.is_empty() { "no rule keeps it".to_owned() } else { why.join(", ") },
    };
    Ok(order.iter().zip(reasons).map(verdict).collect())
}

fn check_clocks(newest: Option<&PointFact>, clocks: &Clocks) -> Result<(), RetentionError> {
    let difference = clocks.store.duration_since(clocks.own).abs();
    if difference > CLOCK_SKEW_MAX {
        return Err(RetentionError::Clocks { difference_s: difference.as_secs() });
    }
    let Some(newest) = newest else { return Ok(()) };
    let ahead = newest.time.duration_since(clocks.store);
    if ahead > CLOCK_SKEW_MAX {
        return Err(RetentionError::Clock { id: newest.id.clone(), ahead_s: ahead.as_secs() });
    }
    Ok(())
}

/// Why points stay whatever the rules say, in the order of the points.
fn always_kept(order: &[&PointFact]) -> Vec<Vec<String>> {
    let newest_whole = order.iter().position(|point| point.whole);
    let newest_verified = order.iter().position(|point| point.whole && point.verified);
    let reasons = |(rank, point): (usize, &&PointFact)| {
        let mut why = Vec::new();
        if rank == 0 {
            why.push("the newest point".to_owned());
        } else if Some(rank) == newest_whole {
            why.push("the newest whole point".to_owned());
        } else if Some(rank) == newest_verified {
            why.push("the newest verified point".to_owned());
        }
        if point.held {
            why.push("held by a running backup or a reader".to_owned());
        }
        why
    };
    order.iter().enumerate().map(reasons).collect()
}

/// Adds why the rules keep points.
fn keep_by_rules(order: &[&PointFact], clocks: &Clocks, rules: &Retention, reasons: &mut [Vec<String>]) {
    for (rank, (point, why)) in order.iter().zip(reasons.iter_mut()).enumerate() {
        if let Some(last) = rules.keep_last.filter(|last| rank < *last) {
            why.push(format!("among the last {last}"));
        }
        if let Some(within) = rules.keep_within.filter(|within| clocks.store.duration_since(point.time) <= *within) {
            why.push(format!("within {}", days_or_hours(within)));
        }
        if let Some(tag) = point.tags.iter().find(|tag| rules.keep_tags.contains(tag)) {
            why.push(format!("tag {tag}"));
        }
    }
    for (period, count) in rules.periods() {
        for rank in representatives(order, period, count.unwrap_or(0)) {
            if let (Some(point), Some(why)) = (order.get(rank), reasons.get_mut(rank)) {
                why.push(period.describe(point.time));
            }
        }
    }
}

/// The ranks of one point of each of the newest `count` periods: the newest whole one, or the newest.
fn representatives(order: &[&PointFact], period: Period, count: usize) -> BTreeSet<usize> {
    let mut ranks = BTreeSet::new();
    let mut start = 0;
    while ranks.len() < count {
        let Some(first) = order.get(start) else { break };
        let key = period.key(first.time);
        let end =
            order[start..].iter().position(|point| period.key(point.time) != key).map_or(order.len(), |n| start + n);
        let whole = order[start..end].iter().position(|point| point.whole);
        ranks.insert(start + whole.unwrap_or(0));
        start = end;
    }
    ranks
}

/// As a person gave it: `14d`, `36h`, or in seconds.
fn days_or_hours(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
