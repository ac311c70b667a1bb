//! RecoveryPoint: the mirror of one point of a repository.
#![expect(clippy::duplicated_attributes, reason = "printer columns have types and priorities in common")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::reference::RepositoryRef;
use crate::repository::DeletionPolicy;
use crate::run::Numbers;
use crate::schema::{self, rules};

/// Which point it is. Only the deletion policy can change.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "firn.io",
    version = "v1alpha1",
    kind = "RecoveryPoint",
    plural = "recoverypoints",
    namespaced,
    category = "firn",
    shortname = "fpoint",
    status = "RecoveryPointStatus",
    derive = "PartialEq",
    selectable = ".spec.repositoryRef.name",
    selectable = ".spec.policy",
    selectable = ".spec.clusterName",
    crates(kube_core = "::kube_core"),
    doc = "A RecoveryPoint mirrors one point of a repository: a consistent capture that can be restored. Firn makes and \
           removes these objects; the point itself is in the repository and stays when this object is deleted, unless \
           deletionPolicy says Delete.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether it can be restored."
    ),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
    printcolumn(
        name = "Cut",
        type_ = "date",
        json_path = ".status.cutTime",
        description = "How long ago its capture started: what changed since then is not in it."
    ),
    printcolumn(
        name = "Complete",
        type_ = "boolean",
        json_path = ".status.complete",
        description = "Whether nothing is missing in it."
    ),
    printcolumn(
        name = "Verified",
        type_ = "string",
        json_path = ".status.verified",
        description = "How far what it needs was verified."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Consistency", type_ = "string", json_path = ".status.consistency", priority = 1),
    printcolumn(name = "Exceptions", type_ = "integer", json_path = ".status.numbers.exceptions", priority = 1),
    printcolumn(name = "Held", type_ = "boolean", json_path = ".status.held", priority = 1),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterName", priority = 1),
    printcolumn(name = "Repository", type_ = "string", json_path = ".spec.repositoryRef.name", priority = 1),
    printcolumn(name = "Point", type_ = "string", json_path = ".spec.pointID", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules([(
    "self.repositoryRef == oldSelf.repositoryRef && self.pointID == oldSelf.pointID && \
     self.lineageID == oldSelf.lineageID && self.policy == oldSelf.policy && \
     self.clusterName == oldSelf.clusterName && self.clusterUID == oldSelf.clusterUID",
    "a RecoveryPoint mirrors one point: only deletionPolicy can change",
)])))]
pub struct RecoveryPointSpec {
    /// The repository that holds it.
    pub repository_ref: RepositoryRef,
    /// The point's id, the same in every store: 64 hexadecimal digits.
    #[serde(rename = "pointID")]
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub point_id: String,
    /// Its lineage, of one policy of one cluster: hexadecimal digits.
    #[serde(rename = "lineageID")]
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]{16,64}$"))]
    pub lineage_id: String,
    /// The policy that made it, as the point names it.
    #[schemars(length(min = 1, max = 317))]
    pub policy: String,
    /// The name of the cluster that was captured.
    #[schemars(length(min = 1, max = 63))]
    pub cluster_name: String,
    /// The UID of the cluster that was captured.
    #[serde(rename = "clusterUID")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster_uid: String,
    /// What becomes of the point when this object is deleted: Retain (it stays, and the object comes back) or Delete
    /// (the point is forgotten).
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What Firn says of a point.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPointStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: the point can be restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Start of its capture: changes after that are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub cut_time: Option<Time>,
    /// When it was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub commit_time: Option<Time>,
    /// Whether nothing is missing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// The least consistency of its volumes: Live (read while being written: files may be torn), Crash (as after a
    /// power cut), Frozen (writers stood still), or Application (the application prepared it). Absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// How far what it needs was verified in this store: Unverified, Structure (all is there, with the right length),
    /// StoredHashes (and the stored bytes have their hashes), or AllData (and everything opens).
    #[serde(default)]
    pub verified: Verification,
    /// Whether a running backup or a reader holds it: it is not forgotten meanwhile.
    #[serde(default)]
    pub held: bool,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// How consistent the content of a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// Read while it was being written: files may be torn.
    #[default]
    Live,
    /// As after a power cut.
    Crash,
    /// Writers stood still while it was read.
    Frozen,
    /// The application itself prepared it.
    Application,
}

/// How far what a point needs was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub enum Verification {
    /// Not yet.
    #[default]
    Unverified,
    /// All that it needs is there, with the right length.
    Structure,
    /// And the stored bytes have their hashes.
    StoredHashes,
    /// And everything opens.
    AllData,
}
