//! Cron lines against an oracle that looks at every single minute, through changes of clocks.

use std::collections::BTreeSet;

use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _, Zoned};
use proptest::collection::btree_set;
use proptest::prelude::*;

use super::cron::CronLine;

/// Zones and days around which their clocks change, or a day is left out.
const CHANGES: &[(&str, &str)] = &[
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Asia/Kathmandu", "2026-06-01"),
    ("UTC", "2024-02-29"),
];

/// The five fields; an empty set is a `*`.
#[derive(Debug, Clone)]
struct Fields {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: BTreeSet<i8>,
    months: BTreeSet<i8>,
    weekdays: BTreeSet<i8>,
}

impl Fields {
    fn line(&self) -> String {
        let all = [&self.minutes, &self.hours, &self.days, &self.months, &self.weekdays];
        let field = |set: &BTreeSet<i8>| match set.len() {
            0 => "*".to_owned(),
            _ => set.iter().map(i8::to_string).collect::<Vec<_>>().join(","),
        };
        all.map(field).join(" ")
    }

    fn has_day(&self, time: &Zoned) -> bool {
        let day = self.days.contains(&time.day());
        let weekday = self.weekdays.contains(&time.weekday().to_sunday_zero_offset());
        let is_day = match (self.days.is_empty(), self.weekdays.is_empty()) {
            (true, true) => true,
            (false, true) => day,
            (true, false) => weekday,
            (false, false) => day || weekday,
        };
        is_day && has(&self.months, time.month())
    }

    /// The one time of day that the line names, if it names one.
    fn time_of_day(&self) -> Option<(i8, i8)> {
        match (self.hours.len(), self.minutes.len()) {
            (1, 1) => Some((*self.hours.first()?, *self.minutes.first()?)),
            _ => None,
        }
    }
}

fn has(set: &BTreeSet<i8>, value: i8) -> bool {
    set.is_empty() || set.contains(&value)
}

/// All due times from `start` on, for so many minutes, by looking at each minute.
fn oracle(fields: &Fields, zone: &TimeZone, start: Timestamp, minutes: i64) -> Vec<Timestamp> {
    let mut due = Vec::new();
    let mut before: Option<Zoned> = None;
    for minute in 0..minutes {
        let time = (start + (minute * 60).seconds()).to_zoned(zone.clone());
        let is_due = match fields.time_of_day() {
            None => fields.has_day(&time) && has(&fields.hours, time.hour()) && has(&fields.minutes, time.minute()),
            Some((hour, minute)) => is_first_reached(fields, before.as_ref(), &time, hour, minute),
        };
        if is_due {
            due.push(time.timestamp());
        }
        before = Some(time);
    }
    due
}

/// Whether the wall clock is at a time of day, or has jumped over it, for the first time on a day that fits.
fn is_first_reached(fields: &Fields, before: Option<&Zoned>, time: &Zoned, hour: i8, minute: i8) -> bool {
    let Some(before) = before else { return false };
    let wanted = |day: jiff::civil::Date| day.at(hour, minute, 0, 0);
    let mut day = before.date();
    while day <= time.date() {
        let noon = day.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        let reached = before.datetime() < wanted(day) && wanted(day) <= time.datetime();
        // A clock that is put back reaches the time again: it counts where it is the earlier of the two.
        let is_again = || {
            let both = time.time_zone().to_ambiguous_zoned(wanted(day));
            matches!(both.offset(), AmbiguousOffset::Fold { .. })
                && both.earlier().unwrap().timestamp() < before.timestamp()
        };
        if fields.has_day(&noon) && reached && !is_again() {
            return true;
        }
        day = day.tomorrow().unwrap();
    }
    false
}

fn fields() -> impl Strategy<Value = Fields> {
    let rarely = |range: std::ops::Range<i8>| prop_oneof![3 => Just(BTreeSet::new()), 2 => btree_set(range, 1..4)];
    // Times of day near the change are what it is about.
    let minutes = prop_oneof![Just(BTreeSet::new()), btree_set(0..60_i8, 1..2), btree_set(0..60_i8, 1..6)];
    let hours = prop_oneof![Just(BTreeSet::new()), btree_set(0..5_i8, 1..2), btree_set(0..24_i8, 1..6)];
    (minutes, hours, rarely(1..29), rarely(1..13), rarely(0..7))
        .prop_map(|(minutes, hours, days, months, weekdays)| Fields { minutes, hours, days, months, weekdays })
}

/// Five days around a change of clocks.
const MINUTES: i64 = 5 * 24 * 60;

/// Samoa left out 2011-12-30.
#[test]
fn a_day_that_is_left_out_does_not_end_a_line() {
    let line = CronLine::parse("0 0 * * *", Some("Pacific/Apia")).unwrap();
    let mut at: Timestamp = "2011-12-28T00:00:00Z".parse().unwrap();
    let mut found = Vec::new();
    for _ in 0..4 {
        at = line.next_after(at).unwrap();
        found.push(at.to_string());
    }
    let expected = ["2011-12-28T10:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"];
    assert_eq!(found, expected);
}

/// Compares all due times of five days around a change of clocks, and what lies before one minute of them.
fn compare(fields: &Fields, change: usize, look: i64) {
    let (name, day) = CHANGES[change];
    let line = CronLine::parse(&fields.line(), Some(name)).unwrap();
    let zone = TimeZone::get(name).unwrap();
    let day: jiff::civil::Date = day.parse().unwrap();
    let start = (day - 2.days()).to_zoned(TimeZone::UTC).unwrap().timestamp();
    let end = start + (MINUTES * 60).seconds();
    let mut found = Vec::new();
    let mut at = start;
    while let Some(next) = line.next_after(at).filter(|next| *next < end) {
        found.push(next);
        at = next;
    }
    // The oracle cannot say of its first minute whether the wall clock just reached it.
    let expected: Vec<Timestamp> =
        oracle(fields, &zone, start, MINUTES).into_iter().filter(|time| *time > start).collect();
    assert_eq!(found, expected, "{} in {name}", fields.line());

    let now = start + (look * 60 + 17).seconds();
    if let Some(last) = expected.iter().rev().find(|time| **time <= now) {
        assert_eq!(line.last_until(now), Some(*last), "{} in {name} at {now}", fields.line());
    }
}

#[test]
fn a_time_of_day_is_due_once_a_day_through_every_change() {
    for change in 0..CHANGES.len() {
        for (hour, minute) in [(0, 0), (0, 30), (1, 0), (1, 30), (2, 0), (2, 15), (2, 30), (3, 0)] {
            let only = |value: i8| BTreeSet::from([value]);
            let any = BTreeSet::new;
            let fields =
                Fields { minutes: only(minute), hours: only(hour), days: any(), months: any(), weekdays: any() };
            compare(&fields, change, 3 * 24 * 60);
        }
    }
}

proptest! {
    // Each case looks at 7200 minutes.
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn due_times_are_those_of_the_oracle(fields in fields(), change in 0..CHANGES.len(), look in 0..MINUTES) {
        compare(&fields, change, look);
    }
}
