//! The kind table: which wave a kind belongs to, and its rank in it.

use firn_format::object::ObjectKey;

use crate::step::Wave;

/// API groups that the API server itself serves. Every other group is an extension's.
const BUILT_IN_GROUPS: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Ranks in the storage wave: a claim comes after its volume, a volume after its contents.
pub(super) const CLASS_RANK: u32 = 0;
pub(super) const FILL_RANK: u32 = 1;
pub(super) const VOLUME_RANK: u32 = 2;
pub(super) const CLAIM_RANK: u32 = 3;

/// The wave and the rank within it of an object of this name.
pub(super) fn wave_of(key: &ObjectKey) -> (Wave, u32) {
    match (key.group.as_str(), key.resource.as_str()) {
        ("apiextensions.k8s.io", _) => (Wave::Definitions, 0),
        ("", "namespaces") => (Wave::Namespaces, 0),
        ("", "persistentvolumes") => (Wave::Storage, VOLUME_RANK),
        ("", "persistentvolumeclaims") => (Wave::Storage, CLAIM_RANK),
        ("storage.k8s.io", _) => (Wave::Storage, CLASS_RANK),
        (
            "" | "scheduling.k8s.io" | "node.k8s.io",
            "priorityclasses" | "runtimeclasses" | "limitranges" | "configmaps",
        ) => (Wave::Configuration, 0),
        ("networking.k8s.io", "ingressclasses") => (Wave::Configuration, 0),
        // A token Secret is refused, or removed again, before its account exists.
        ("", "serviceaccounts") => (Wave::Configuration, 0),
        ("", "secrets") => (Wave::Configuration, 1),
        ("rbac.authorization.k8s.io", "clusterroles" | "roles") => (Wave::Access, 0),
        ("rbac.authorization.k8s.io", _) => (Wave::Access, 1),
        ("", "services") => (Wave::Services, 0),
        ("", "endpoints") | ("discovery.k8s.io", _) | ("networking.k8s.io", _) => (Wave::Services, 1),
        ("", "pods" | "replicationcontrollers" | "podtemplates") | ("apps" | "batch", _) => (Wave::Workloads, 0),
        ("", "resourcequotas") | ("policy" | "autoscaling", _) => (Wave::Limits, 0),
        ("apiregistration.k8s.io", _) => (Wave::ApiServices, 0),
        // Bindings come first: a policy without binding does nothing, so the policy arms the binding.
        ("admissionregistration.k8s.io", resource) if resource.ends_with("bindings") => (Wave::Admission, 0),
        ("admissionregistration.k8s.io", _) => (Wave::Admission, 1),
        ("templates.gatekeeper.sh", _) => (Wave::Admission, 0),
        ("constraints.gatekeeper.sh", _)
        | ("kyverno.io", "clusterpolicies" | "policies")
        | ("policies.kyverno.io", _) => (Wave::Admission, 1),
        (group, _) if BUILT_IN_GROUPS.contains(&group) => (Wave::Rest, 0),
        _ => (Wave::CustomResources, 0),
    }
}
