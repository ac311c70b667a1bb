//! When something is due: a cron line with a time zone, or the age that the newest point may reach.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rules;

/// Five fields, or one of the names. What the fields say is checked by whoever reads them.
const CRON: &str = r"^(@(hourly|daily|weekly|monthly|yearly)|[0-9A-Za-z*/,?#L-]+( +[0-9A-Za-z*/,?#L-]+){4})$";

/// When points are made: give either `cron` or `rpoSeconds`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules([
    ("has(self.cron) != has(self.rpoSeconds)", "give either cron or rpoSeconds"),
    ("!has(self.timeZone) || has(self.cron)", "timeZone belongs to cron"),
])))]
pub struct Schedule {
    /// When runs start, as a cron line of five fields (minute, hour, day of month, month, day of week), such as
    /// "*/15 * * * *", or @hourly, @daily, @weekly, @monthly, @yearly. After a downtime one run starts, not all that
    /// were missed; a run that is due while another runs starts when that one ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = CRON))]
    pub cron: Option<String>,
    /// The time zone of the cron line, as the IANA names it, such as Europe/Berlin. Without it, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+/-]*$"))]
    pub time_zone: Option<String>,
    /// The age, in seconds, that the newest point is not to exceed: the recovery point objective. Runs start early
    /// enough for that, judged by how long the last ones took. At least 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub rpo_seconds: Option<i64>,
}

/// A cron line with a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// A cron line of five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly,
    /// @monthly, @yearly.
    #[schemars(length(min = 1, max = 128), regex(pattern = CRON))]
    pub cron: String,
    /// Its time zone, as the IANA names it, such as Europe/Berlin. Without it, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+/-]*$"))]
    pub time_zone: Option<String>,
}
