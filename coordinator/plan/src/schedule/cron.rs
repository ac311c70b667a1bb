//! A cron line in its time zone.

use std::sync::LazyLock;

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Direction};
use jiff::civil::{DateTime, date};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::ScheduleError;

/// The time zones that come with this program: the same on every machine, and no file is read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// From when on a line is tried that may never match. croner searches up to the year 5000, and anybody may write such a
/// line; in fifty years every day and weekday of a leap year comes.
const TRIED_FROM: DateTime = date(4950, 1, 1).at(0, 0, 0, 0);

/// How many days are skipped, try by try, where a search finds no way on.
const DAYS_SKIPPED: [i64; 5] = [0, 1, 8, 40, 400];

/// A cron line of five fields in its time zone.
///
/// When clocks go forward, a line that names one time of day is due right after the gap if that swallows its time; of
/// others, the times in the gap do not exist. When clocks go back, a line that names one time of day is due the first
/// time; others are due both times.
#[derive(Debug, Clone)]
pub struct CronLine {
    cron: Box<Cron>,
    zone: TimeZone,
}

impl CronLine {
    /// Reads a line of five fields, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, and the name of a
    /// time zone; without one, UTC.
    ///
    /// # Errors
    /// `Cron`, `Never`, `TimeZone`.
    pub fn parse(line: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(line).map_err(|source| ScheduleError::Cron { line: line.to_owned(), source })?;
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => ZONES.get(name).map_err(|_| ScheduleError::TimeZone { name: name.to_owned() })?,
        };
        match cron.find_next_occurrence(&TRIED_FROM, true) {
            Ok(_) => Ok(Self { cron: Box::new(cron), zone }),
            Err(_) => Err(ScheduleError::Never { line: line.to_owned() }),
        }
    }

    /// The first time after this one.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.search(whole_second(time)?, Direction::Forward)
    }

    /// The last time that is not after this one.
    #[must_use]
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        self.search(whole_second(time)?, Direction::Backward)
    }

    /// croner's search ends with an error at a day that a zone left out; what lies behind is found from there.
    fn search(&self, from: Timestamp, direction: Direction) -> Option<Timestamp> {
        DAYS_SKIPPED.into_iter().find_map(|days| {
            let skipped = SignedDuration::from_hours(24 * days);
            let found = match direction {
                Direction::Forward => {
                    let start = from.checked_add(skipped).ok()?.to_zoned(self.zone.clone());
                    self.cron.find_next_occurrence(&start, days > 0)
                }
                Direction::Backward => {
                    let start = from.checked_sub(skipped).ok()?.to_zoned(self.zone.clone());
                    self.cron.find_previous_occurrence(&start, true)
                }
            };
            found.ok().map(|found| found.timestamp())
        })
    }
}

/// The second that this instant lies in.
fn whole_second(time: Timestamp) -> Option<Timestamp> {
    let nanoseconds = time.as_nanosecond().rem_euclid(1_000_000_000);
    Timestamp::from_nanosecond(time.as_nanosecond() - nanoseconds).ok()
}
