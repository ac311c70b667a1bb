//! BackupRun: one run of a policy.
#![expect(clippy::duplicated_attributes, reason = "printer columns have types and priorities in common")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::reference::{PointRef, PolicyRef};
use crate::schema::{self, rules};

/// What is to be run. It never changes.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "firn.io",
    version = "v1alpha1",
    kind = "BackupRun",
    plural = "backupruns",
    namespaced,
    category = "firn",
    shortname = "frun",
    status = "BackupRunStatus",
    derive = "PartialEq",
    selectable = ".spec.policyRef.name",
    crates(kube_core = "::kube_core"),
    doc = "A BackupRun makes one recovery point of what a policy protects. The schedule makes them; so may you. Deleting \
           one that is active cancels it; deleting one that is done deletes nothing but the object.",
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].status"#,
        description = "True or False when it is done, Unknown while it is active."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#,
        description = "What it does, or how it ended."
    ),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policyRef.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Objects", type_ = "integer", json_path = ".status.numbers.objects", priority = 1),
    printcolumn(name = "Volumes", type_ = "integer", json_path = ".status.numbers.volumes", priority = 1),
    printcolumn(name = "Exceptions", type_ = "integer", json_path = ".status.numbers.exceptions", priority = 1),
    printcolumn(name = "Read-Bytes", type_ = "integer", json_path = ".status.numbers.readBytes", priority = 1),
    printcolumn(name = "Stored-Bytes", type_ = "integer", json_path = ".status.numbers.storedBytes", priority = 1),
    printcolumn(name = "Done", type_ = "date", json_path = ".status.completionTime", priority = 1),
    printcolumn(name = "Point", type_ = "string", json_path = ".status.point.name", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules([(
    "self == oldSelf",
    "the spec of a run cannot change: delete it and create another",
)])))]
pub struct BackupRunSpec {
    /// The policy to run, in the same namespace.
    pub policy_ref: PolicyRef,
    /// The due time for which the schedule made this run; absent if it was made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub scheduled_time: Option<Time>,
    /// Tags of the point that it makes, such as before-upgrade; a policy's retention may keep points by tag.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub tags: Vec<String>,
}

/// What Firn says of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRunStatus {
    /// The metadata.generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Succeeded: Unknown while the run is active (Pending, Running), then True (Completed, CompletedWithExceptions) or
    /// False (Failed and others).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// When it began to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub start_time: Option<Time>,
    /// When it ended, however it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub completion_time: Option<Time>,
    /// The session in the repository's log: whoever goes on with this run finds what is done there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub session: Option<String>,
    /// The point that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<PointRef>,
    /// What was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Numbers>,
}

/// What a run or point holds, in numbers. Lists are in the repository: `firn ls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Kubernetes objects.
    pub objects: i64,
    /// Volumes.
    pub volumes: i64,
    /// Files in volumes.
    pub files: i64,
    /// Bytes that were read.
    pub read_bytes: i64,
    /// Bytes that this added to the store.
    pub stored_bytes: i64,
    /// What could not be captured as it is: named in the point.
    pub exceptions: i64,
}
