//! ProtectionPolicy: what is protected, when, and how long points are kept.
#![expect(clippy::duplicated_attributes, reason = "printer columns have types and priorities in common")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::point::Consistency;
use crate::reference::{PointRef, RepositoryRef, RunRef};
use crate::schedule::Schedule;
use crate::schema::{self, rules};
use crate::volumes::VolumeSelection;

/// What a user wants protected. A policy and its cluster are one lineage of points.
#[derive(CustomResource, Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "firn.io",
    version = "v1alpha1",
    kind = "ProtectionPolicy",
    plural = "protectionpolicies",
    namespaced,
    category = "firn",
    shortname = "fpol",
    status = "ProtectionPolicyStatus",
    derive = "PartialEq",
    selectable = ".spec.repositoryRef.name",
    crates(kube_core = "::kube_core"),
    doc = "A ProtectionPolicy says what is protected, when recovery points are made, and how long they are kept. In \
           Firn's own namespace it may select any namespace; in any other it protects that namespace and no other.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the policy can be carried out."
    ),
    printcolumn(
        name = "Protected",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Protected")].status"#,
        description = "Whether there is a point that is young enough and whole."
    ),
    printcolumn(name = "Repository", type_ = "string", json_path = ".spec.repositoryRef.name"),
    printcolumn(
        name = "Last-Point",
        type_ = "date",
        json_path = ".status.lastPoint.cutTime",
        description = "The age of the newest point: what would be lost now."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Protected")].reason"#,
        description = "Why it is protected or not.",
        priority = 1
    ),
    printcolumn(name = "Cron", type_ = "string", json_path = ".spec.schedule.cron", priority = 1),
    printcolumn(name = "RPO-Seconds", type_ = "integer", json_path = ".spec.schedule.rpoSeconds", priority = 1),
    printcolumn(name = "Next-Run", type_ = "string", json_path = ".status.nextRunTime", priority = 1),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules([(
    "self.repositoryRef.name == oldSelf.repositoryRef.name",
    "repositoryRef cannot change: another repository is another policy",
)])))]
pub struct ProtectionPolicySpec {
    /// Where the points go. It cannot change.
    pub repository_ref: RepositoryRef,
    /// Which namespaces are protected. Without it, all that this policy may protect.
    #[serde(default)]
    pub namespaces: NamespaceSelection,
    /// Which objects are protected, in those namespaces and of the cluster.
    #[serde(default)]
    pub objects: ObjectSelection,
    /// Which volumes are captured, and how.
    #[serde(default)]
    pub volumes: VolumeSelection,
    /// When points are made. Without it, only by hand, with a BackupRun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How long points are kept. Without it, all points are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// How consistent a volume is to be.
    #[serde(default)]
    pub consistency: ConsistencyGoal,
    /// Which policy goes first when several are due; the higher.
    #[serde(default)]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
    /// Whether no run starts by schedule for now. Runs that go on are not stopped; retention goes on.
    #[serde(default)]
    pub suspend: bool,
    /// How many BackupRuns that succeeded are kept to look at. Points are kept by retention, not by this.
    #[serde(default = "successful_runs")]
    #[schemars(range(min = 0, max = 100))]
    pub successful_runs_history_limit: i32,
    /// How many BackupRuns that failed are kept to look at.
    #[serde(default = "failed_runs")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_runs_history_limit: i32,
}

/// As CronJobs have it.
fn successful_runs() -> i32 {
    3
}

/// More than CronJobs keep: a night of failures is to be seen in the morning.
fn failed_runs() -> i32 {
    5
}

/// Which namespaces are protected.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelection {
    /// These namespaces, by name; * stands for any text. Empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub include: Vec<String>,
    /// But not these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub exclude: Vec<String>,
    /// And only with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
}

/// Which objects are protected.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectSelection {
    /// Only objects with these labels, and what they stand on (namespaces, definitions, volumes, classes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// These resources, as plural and group, such as deployments.apps or configmaps; * stands for any text. Empty for
    /// all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 317)), extend("x-kubernetes-list-type" = "set"))]
    pub include_resources: Vec<String>,
    /// But not these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 317)), extend("x-kubernetes-list-type" = "set"))]
    pub exclude_resources: Vec<String>,
}

/// How long points are kept. A point that any rule keeps is kept, so is the newest that is whole, and so is one that is
/// held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules([(
    "has(self.last) || has(self.hourly) || has(self.daily) || has(self.weekly) || has(self.monthly) || \
     has(self.yearly) || has(self.withinSeconds)",
    "retention needs at least one of last, hourly, daily, weekly, monthly, yearly, withinSeconds; without retention \
     everything is kept",
)])))]
pub struct Retention {
    /// The newest so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub last: Option<i32>,
    /// The newest of each of the last so many hours that have points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub hourly: Option<i32>,
    /// The newest of each of the last so many days that have points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub daily: Option<i32>,
    /// The newest of each of the last so many weeks (from Monday) that have points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub weekly: Option<i32>,
    /// The newest of each of the last so many months that have points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub monthly: Option<i32>,
    /// The newest of each of the last so many years that have points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub yearly: Option<i32>,
    /// All that are no older than so many seconds. At least an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3600, max = 3_153_600_000_i64))]
    pub within_seconds: Option<i64>,
    /// All that have any of these tags, besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
}

/// How consistent a volume is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsistencyGoal {
    /// The least that every volume is to reach: Live (read while being written: files may be torn), Crash (as after a
    /// power cut), Frozen (writers stand still), or Application (the application prepares it). A volume that is captured
    /// with less is an exception of the point.
    #[serde(default)]
    pub at_least: Consistency,
}

/// What Firn says of a policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProtectionPolicyStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: the policy can be carried out. Protected: there is a whole point that is young enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The newest point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_point: Option<LastPoint>,
    /// The newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_ref: Option<RunRef>,
    /// The due time of the newest run that was started by schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub last_schedule_time: Option<Time>,
    /// When the next run starts by schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub next_run_time: Option<Time>,
    /// The greatest age, in seconds, that the newest point reached in the last 24 hours before the next one was there:
    /// the recovery point objective as it was kept.
    #[serde(default, rename = "observedRPOSeconds", skip_serializing_if = "Option::is_none")]
    pub observed_rpo_seconds: Option<i64>,
    /// What the newest point covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// The newest point of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastPoint {
    /// Which it is.
    #[serde(flatten)]
    pub point: PointRef,
    /// Start of its capture: changes after that are not in it.
    #[schemars(schema_with = "schema::time")]
    pub cut_time: Time,
    /// Whether nothing is missing in it.
    pub complete: bool,
}

/// What a point covers, in numbers. `firn status --coverage` lists what is not protected, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Namespaces that the policy selects.
    pub namespaces: i64,
    /// Objects captured.
    pub objects: i64,
    /// Volumes captured.
    pub volumes: i64,
    /// Volumes that the policy leaves out.
    pub volumes_skipped: i64,
    /// Volumes that could not be captured.
    pub volumes_failed: i64,
    /// Volumes that were read while they were being written.
    pub volumes_live: i64,
}
