//! The recovery point objective: how long runs take, what can be reached, what was reached.

use jiff::{SignedDuration, Timestamp};

/// So many of the last runs say how long the next will take.
const RUNS: usize = 10;

/// Added to the longest of them: what it takes to notice that a run is due, to start it, and to see its end.
const OVERHEAD: SignedDuration = SignedDuration::from_secs(2);

/// How long the next run will take, at the most: the longest of the last ones, and a quarter; of a target, if none is
/// known, a quarter.
pub(super) fn expected(durations: &[SignedDuration], target: SignedDuration) -> SignedDuration {
    longest(durations).unwrap_or(target / 4)
}

fn longest(durations: &[SignedDuration]) -> Option<SignedDuration> {
    let longest = durations.iter().rev().take(RUNS).max()?.max(&SignedDuration::ZERO);
    Some(longest.saturating_add(*longest / 4).saturating_add(OVERHEAD))
}

/// The least target that runs as long as the last ones can reach, if each starts when the one before ends: the age of a
/// point when the next one is there. `None` if nothing is known yet.
#[must_use]
pub fn attainable(durations: &[SignedDuration]) -> Option<SignedDuration> {
    longest(durations).map(|longest| longest.saturating_add(longest))
}

/// The greatest age that the newest point reached since `from`, before the next one was there. `points` are pairs of
/// cut and commit, in the order of their commits. `None` if there was no point.
#[must_use]
pub fn observed(points: &[(Timestamp, Timestamp)], from: Timestamp, now: Timestamp) -> Option<SignedDuration> {
    let mut newest_cut: Option<Timestamp> = None;
    let mut greatest: Option<SignedDuration> = None;
    for (cut, commit) in points {
        if let Some(before) = newest_cut.filter(|_| *commit >= from) {
            greatest = greatest.max(Some(commit.duration_since(before)));
        }
        newest_cut = newest_cut.max(Some(*cut));
    }
    greatest.max(newest_cut.map(|cut| now.duration_since(cut)))
}
