//! Schedules: when the next run of a policy starts.
//!
//! A policy is due by a cron line, or so that its newest point never gets older than a target. There is never a second
//! run of a policy beside another; what was missed while nobody ran is made up for by one run; and policies that are due
//! at the same time start some seconds apart.

use jiff::{SignedDuration, Timestamp};

pub use cron::CronLine;
pub use rpo::{attainable, observed};

mod cron;
mod rpo;

/// Starts are spread over this part of the time between two of them …
const SPREAD_DIVISOR: i64 = 10;
/// … but never over more than what stays within the minute that the cron line names.
const SPREAD_SECONDS_MAX: i64 = 59;

/// Missed times are counted up to here: more says nothing more, and each costs a search.
const MISSED_MAX: u32 = 100;

/// After a failure, a policy with a target waits this long, and twice as long after each further one …
const BACK_OFF_SECONDS_MIN: i64 = 30;
/// … up to this, or half of its target.
const BACK_OFF_SECONDS_MAX: i64 = 900;

/// When a policy is due.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// At the times of a cron line.
    Cron(CronLine),
    /// Early enough that the newest point does not get older than this.
    Target(SignedDuration),
}

/// A schedule that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Neither a cron line nor a target, or both.
    #[error("a schedule needs either a cron line or a target")]
    Shape,
    /// The target is not positive.
    #[error("a target of {0} s is no target")]
    Target(i64),
    /// The cron line is none.
    #[error("cron line {line:?}")]
    Cron {
        /// The line.
        line: String,
        /// What is wrong with it.
        #[source]
        source: croner::errors::CronError,
    },
    /// No time will ever match the cron line.
    #[error("no time ever matches the cron line {line:?}")]
    Never {
        /// The line.
        line: String,
    },
    /// Nobody knows the time zone.
    #[error("time zone {name:?} is not known")]
    TimeZone {
        /// Its name.
        name: String,
    },
}

impl ScheduleError {
    /// Whether trying again, without anything changed, must fail again: always.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        true
    }
}

/// What is known of a policy and its runs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its name, with its namespace: it decides how far from the due time a run starts.
    pub name: &'a str,
    /// When the policy was made: nothing before that was missed.
    pub since: Timestamp,
    /// Whether nothing starts for now.
    pub suspended: bool,
    /// Whether a run of this policy is active, whoever made it.
    pub active: bool,
    /// The due time of the newest run that was made by schedule.
    pub last_scheduled: Option<Timestamp>,
    /// The cut of the newest point that counts.
    pub last_cut: Option<Timestamp>,
    /// How long the last runs took that made a point, from the cut to the commit; the newest last.
    pub durations: &'a [SignedDuration],
    /// How many runs have failed since then.
    pub failures: u32,
    /// When the newest run ended.
    pub last_end: Option<Timestamp>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Start a run. The same facts give the same `scheduled`, so that two who decide make the same run.
    Now {
        /// The time for which it runs.
        scheduled: Timestamp,
        /// How many times before that were missed, as far as they were counted.
        missed: u32,
    },
    /// Start a run when the one that is active has ended: ask again then.
    AfterRun {
        /// The time for which it will run, unless that is overtaken by the next.
        scheduled: Timestamp,
    },
    /// Nothing yet: ask again then.
    At(Timestamp),
    /// Nothing by schedule.
    Never,
}

impl Schedule {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn parse(schedule: &firn_api::Schedule) -> Result<Self, ScheduleError> {
        match (&schedule.cron, schedule.rpo_seconds) {
            (Some(line), None) => Ok(Self::Cron(CronLine::parse(line, schedule.time_zone.as_deref())?)),
            (None, Some(seconds)) if seconds > 0 => Ok(Self::Target(SignedDuration::from_secs(seconds))),
            (None, Some(seconds)) => Err(ScheduleError::Target(seconds)),
            _ => Err(ScheduleError::Shape),
        }
    }

    /// What is to be done now.
    #[must_use]
    pub fn due(&self, facts: &Facts<'_>, now: Timestamp) -> Due {
        if facts.suspended {
            return Due::Never;
        }
        match self {
            Self::Cron(line) => due_by_line(line, facts, now),
            Self::Target(target) => due_by_target(*target, facts, now),
        }
    }
}

fn due_by_line(line: &CronLine, facts: &Facts<'_>, now: Timestamp) -> Due {
    // A time ahead of now comes from a clock that was wrong; it is not to stop the policy until then.
    let done_until = facts.last_scheduled.map_or(facts.since, |last| last.max(facts.since)).min(now);
    let Some(scheduled) = line.last_until(now).filter(|latest| *latest > done_until) else {
        return match line.next_after(now) {
            Some(next) => Due::At(later(next, spread_of_line(line, facts, next))),
            None => Due::Never,
        };
    };
    let start = later(scheduled, spread_of_line(line, facts, scheduled));
    if now < start {
        Due::At(start)
    } else if facts.active {
        Due::AfterRun { scheduled }
    } else {
        Due::Now { scheduled, missed: missed(line, done_until, scheduled) }
    }
}

/// How many times lie between two, without them.
fn missed(line: &CronLine, done_until: Timestamp, scheduled: Timestamp) -> u32 {
    let mut count = 0;
    let mut at = done_until;
    while count < MISSED_MAX {
        match line.next_after(at) {
            Some(next) if next < scheduled => (at, count) = (next, count + 1),
            _ => break,
        }
    }
    count
}

fn due_by_target(target: SignedDuration, facts: &Facts<'_>, now: Timestamp) -> Due {
    let spread = spread(facts.name, target);
    let wanted = match facts.last_cut {
        None => later(facts.since, spread),
        // A cut ahead of now comes from a clock that was wrong.
        Some(cut) => {
            let lead = rpo::expected(facts.durations, target).saturating_add(spread);
            later(cut.min(now), target.saturating_sub(lead))
        }
    };
    let scheduled = match (facts.failures, facts.last_end) {
        (0, _) | (_, None) => wanted,
        (failures, Some(end)) => wanted.max(later(end.min(now), back_off(failures, target))),
    };
    if now < scheduled {
        Due::At(scheduled)
    } else if facts.active {
        Due::AfterRun { scheduled }
    } else {
        Due::Now { scheduled, missed: 0 }
    }
}

fn back_off(failures: u32, target: SignedDuration) -> SignedDuration {
    let doubled = BACK_OFF_SECONDS_MIN << failures.saturating_sub(1).min(16);
    SignedDuration::from_secs(doubled.min(BACK_OFF_SECONDS_MAX).min(target.as_secs() / 2))
}

fn spread_of_line(line: &CronLine, facts: &Facts<'_>, due: Timestamp) -> SignedDuration {
    let interval = line.next_after(due).map_or(SignedDuration::MAX, |next| next.duration_since(due));
    spread(facts.name, interval)
}

/// How far from its due time a policy of this name starts: always the same, and different from others.
fn spread(name: &str, interval: SignedDuration) -> SignedDuration {
    let window_ms =
        interval.as_secs().saturating_div(SPREAD_DIVISOR).clamp(0, SPREAD_SECONDS_MAX).unsigned_abs() * 1000;
    if window_ms == 0 {
        return SignedDuration::ZERO;
    }
    // FNV-1a: the same in every version of every library.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Its low bits differ little between names that differ in their last letter.
    let spread_ms = (hash >> 32).wrapping_mul(window_ms) >> 32;
    SignedDuration::from_millis(i64::try_from(spread_ms).unwrap_or(0))
}

/// A time after another, or the last one that there is.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
