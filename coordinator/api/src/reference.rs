//! References from one object to another, by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a Repository in Firn's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryRef {
    /// Name of the Repository. It lies in Firn's own namespace and decides which namespaces' policies may use it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// The name of a ProtectionPolicy in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Name of the ProtectionPolicy, in the same namespace.
    #[schemars(length(min = 1, max = 52))]
    pub name: String,
}

/// The name of a BackupRun in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRef {
    /// Name of the BackupRun, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A recovery point: its id, and the object that mirrors it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointRef {
    /// The point's id, the same in every store: 64 hexadecimal digits.
    #[serde(rename = "pointID")]
    #[schemars(length(max = 64))]
    pub point_id: String,
    /// Name of the RecoveryPoint that mirrors it, in the same namespace; absent until it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
}

/// The name of a Secret in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
