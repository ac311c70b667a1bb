//! Repository: where points rest, who may use it, and how it is maintained.
#![expect(clippy::duplicated_attributes, reason = "printer columns have types and priorities in common")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::reference::SecretRef;
use crate::schedule::Cron;
use crate::schema::{self, rules};

/// What a user says of a repository. It lies in Firn's own namespace.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "firn.io",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    namespaced,
    category = "firn",
    shortname = "frepo",
    status = "RepositoryStatus",
    derive = "PartialEq",
    crates(kube_core = "::kube_core"),
    doc = "A Repository is the place under one URL where recovery points rest, encrypted and deduplicated. It lies in \
           Firn's own namespace and says which namespaces' policies may use it.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether points can be written."
    ),
    printcolumn(
        name = "Points",
        type_ = "integer",
        json_path = ".status.points",
        description = "How many recovery points there are."
    ),
    printcolumn(
        name = "Checked",
        type_ = "date",
        json_path = ".status.lastCheck.time",
        description = "How long ago stored bytes were last verified."
    ),
    printcolumn(
        name = "Pruned",
        type_ = "date",
        json_path = ".status.lastPrune.time",
        description = "How long ago what no point needs was last deleted."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not.",
        priority = 1
    ),
    printcolumn(
        name = "Bytes",
        type_ = "integer",
        json_path = ".status.storedBytes",
        description = "Stored bytes.",
        priority = 1
    ),
    printcolumn(name = "Fingerprint", type_ = "string", json_path = ".status.fingerprint", priority = 1),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules([
    ("self.url == oldSelf.url", "url cannot change: another place is another Repository"),
    (
        "has(self.cluster) == has(oldSelf.cluster) && (!has(self.cluster) || self.cluster == oldSelf.cluster)",
        "cluster cannot change: its points belong to it",
    ),
])))]
pub struct RepositorySpec {
    /// Where it is: file:///path, az://account/container/prefix, s3://bucket/prefix, or gs://bucket/prefix. No
    /// credentials; it cannot change.
    #[schemars(length(min = 6, max = 2048), extend("x-kubernetes-validations" = rules([
        (
            "self.matches('^(file:///|(az|s3|gs)://[^/]+).*')",
            "url must begin with file:///, az://, s3://, or gs:// and name a place",
        ),
        (
            "!self.contains('@') && !self.contains('?') && !self.contains('#')",
            "url must not hold credentials or a query: name a Secret in credentials.secretRef",
        ),
    ])))]
    pub url: String,
    /// How the store is reached. Without it, by the identity of the pods themselves (such as workload identity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// The keys that write: never the private half, which is not in the cluster that is backed up.
    pub keys: Keys,
    /// Whose points are written. Without it, this cluster by its own UID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterIdentity>,
    /// Labels of the namespaces whose policies may use this repository. Absent: only policies in Firn's own
    /// namespace. Empty: those of all namespaces. A policy outside Firn's own namespace protects that namespace and
    /// no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub policy_namespaces: Option<LabelSelector>,
    /// Pruning and checking.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// What becomes of the stored points of this cluster when this object is deleted: Retain (they stay) or Delete (they
    /// are forgotten).
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// How a store is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A Secret with the variables that the command line takes from its environment, such as
    /// AZURE_STORAGE_ACCOUNT_KEY or AWS_ACCESS_KEY_ID, in this namespace.
    pub secret_ref: SecretRef,
}

/// The keys that write.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// A Secret with the signing key, the domain's writer keys, and the naming key, in this namespace.
    pub secret_ref: SecretRef,
}

/// Whose points are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterIdentity {
    /// The cluster's name, shown with its points.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// The cluster's UID, if it is not that of its namespace kube-system: for a cluster that was built again and goes
    /// on with the points of its predecessor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"))]
    pub uid: Option<String>,
}

/// Pruning and checking.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Deleting what no point needs any more.
    #[serde(default)]
    pub prune: Pruning,
    /// Verifying what is stored, a share each day.
    #[serde(default)]
    pub check: RollingCheck,
}

/// When what no point needs is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pruning {
    /// When it starts. Without it, once a day, at a time of day drawn from the repository's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Cron>,
    /// Whether nothing is deleted for now.
    #[serde(default)]
    pub suspend: bool,
}

/// How what is stored is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollingCheck {
    /// How deep a check goes: Log (its chain and signatures), Structure (and all that points need is there, with the
    /// right length), StoredHashes (and the stored bytes have their hashes), or AllData (and everything opens; this needs
    /// the private half, which is not in the cluster that is backed up).
    #[serde(default)]
    pub level: CheckLevel,
    /// How much of the repository is checked each day, in percent, the longest unchecked first. 0: nothing; 100:
    /// everything, every day.
    #[serde(default = "percent_per_day")]
    #[schemars(range(min = 0, max = 100))]
    pub percent_per_day: i32,
}

impl Default for RollingCheck {
    fn default() -> Self {
        Self { level: CheckLevel::default(), percent_per_day: percent_per_day() }
    }
}

/// All of it within three weeks: before the usual four weeks of a store's own soft deletion are over.
fn percent_per_day() -> i32 {
    5
}

/// How deep a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub enum CheckLevel {
    /// The log's chain and signatures.
    Log,
    /// And all that points need is there, with the right length.
    Structure,
    /// And the stored bytes have their hashes.
    #[default]
    StoredHashes,
    /// And everything opens. This needs the private half.
    AllData,
}

/// What becomes of stored data when an object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// Its points are forgotten.
    Delete,
}

/// What Firn says of a repository.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: points can be written. Reasons say why not: KeysMissing, StoreUnreachable, NewerFormat, Fenced, Damaged, and others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The fingerprint of the family of stores, as `firn init` printed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub fingerprint: Option<String>,
    /// The id of the store under this URL.
    #[serde(default, rename = "storeID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub store_id: Option<String>,
    /// How many recovery points there are, of all clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
    /// How many bytes are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<i64>,
    /// The last check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<LastCheck>,
    /// The last pruning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_prune: Option<LastPrune>,
}

/// The last check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastCheck {
    /// When it ended.
    #[schemars(schema_with = "schema::time")]
    pub time: Time,
    /// How deep it went.
    pub level: CheckLevel,
    /// How many objects it found missing or damaged.
    pub findings: i64,
    /// When the part of the repository that is longest unchecked was last checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub all_checked_since_time: Option<Time>,
}

/// The last pruning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastPrune {
    /// When it ended.
    #[schemars(schema_with = "schema::time")]
    pub time: Time,
    /// How many bytes it freed.
    pub freed_bytes: i64,
}
