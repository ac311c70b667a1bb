//! Hours, days, weeks, months and years of UTC: of each, one point is kept.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A span of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Period {
    Hour,
    Day,
    /// From Monday, as ISO 8601 counts.
    Week,
    Month,
    Year,
}

impl Period {
    /// Equal for two instants of the same period, and greater for a later period.
    pub(super) fn key(self, time: Timestamp) -> (i16, i16, i8) {
        let civil = civil(time);
        let day = civil.date().day_of_year();
        match self {
            Self::Hour => (civil.year(), day, civil.hour()),
            Self::Day => (civil.year(), day, 0),
            Self::Week => {
                let week = civil.date().iso_week_date();
                (week.year(), i16::from(week.week()), 0)
            }
            Self::Month => (civil.year(), i16::from(civil.month()), 0),
            Self::Year => (civil.year(), 0, 0),
        }
    }

    /// The period of an instant, as a reason to keep a point.
    pub(super) fn describe(self, time: Timestamp) -> String {
        let civil = civil(time);
        match self {
            Self::Hour => civil.strftime("hourly %Y-%m-%d %H:00").to_string(),
            Self::Day => civil.strftime("daily %Y-%m-%d").to_string(),
            Self::Week => civil.strftime("weekly %G-W%V").to_string(),
            Self::Month => civil.strftime("monthly %Y-%m").to_string(),
            Self::Year => civil.strftime("yearly %Y").to_string(),
        }
    }
}

fn civil(time: Timestamp) -> DateTime {
    time.to_zoned(TimeZone::UTC).datetime()
}
