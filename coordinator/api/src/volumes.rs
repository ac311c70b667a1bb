//! Which volumes a policy captures, and how.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Which volumes are captured, and how. Without rules: every claim of the selected namespaces.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSelection {
    /// How volumes are read for which no rule says otherwise: Auto (the best that is offered), Node (by the agent of the
    /// node on which a pod uses them), Snapshot (from a CSI snapshot, or not at all), or Skip (they are left out).
    #[serde(default)]
    pub method: VolumeMethod,
    /// What is done with the emptyDir volumes of pods: Skip (they are left out) or Capture (by the agent of the pod's
    /// node).
    #[serde(default)]
    pub empty_dirs: EmptyDirs,
    /// Rules for some volumes. The first that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<VolumeRule>,
    /// Files that are left out of every volume: patterns of a path below the volume's root; * within a name, ** over
    /// folders. A pattern without a slash matches names at any depth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub exclude_files: Vec<String>,
}

/// A rule for the volumes that match all that it names. One that names nothing matches every volume.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRule {
    /// Namespaces, by name; * stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Claims, by name; * stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub claims: Vec<String>,
    /// Labels of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub label_selector: Option<LabelSelector>,
    /// How these volumes are read: Auto (the best that is offered), Node (by the agent of the node on which a pod uses
    /// them), Snapshot (from a CSI snapshot, or not at all), or Skip (they are left out).
    #[serde(default)]
    pub method: VolumeMethod,
    /// Files that are left out of these volumes, besides those that are left out of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub exclude_files: Vec<String>,
}

/// How a volume is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum VolumeMethod {
    /// The best that is offered.
    #[default]
    Auto,
    /// By the agent of the node on which a pod uses it.
    Node,
    /// From a CSI snapshot; where there is none, the volume is an exception.
    Snapshot,
    /// Not at all; the volume is listed as not protected.
    Skip,
}

/// What is done with the emptyDir volumes of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum EmptyDirs {
    /// They are left out.
    #[default]
    Skip,
    /// They are captured, through the agent of the pod's node.
    Capture,
}
