//! The table of what is left out, one row per rule. The first row that fits gives the reason.

use std::borrow::Cow::{self, Borrowed};

use super::{Rule, When};

/// A row that would fit everything; the others are made from it.
const ANY: Rule = Rule {
    id: Borrowed(""),
    reason: Borrowed(""),
    groups: Borrowed(&[]),
    resources: Borrowed(&[]),
    namespaces: Borrowed(&[]),
    names: Borrowed(&[]),
    label: None,
    annotation: None,
    object_type: None,
    controller: None,
    when: None,
    unless_selected: false,
};

const CORE: Cow<'static, [Cow<'static, str>]> = Borrowed(&[Borrowed("")]);

/// A list of names for a column of the table.
macro_rules! list {
    ($($name:literal),+) => { Borrowed(&[$(Borrowed($name)),+]) };
}

/// A row: id, reason, columns.
macro_rules! row {
    ($id:literal, $reason:literal, $($column:ident: $value:expr),+ $(,)?) => {
        Rule { id: Borrowed($id), reason: Borrowed($reason), $($column: $value,)+ ..ANY }
    };
}

/// The rules that Firn brings.
pub(super) const ROWS: &[Rule] = &[
    // What the user says.
    row!("velero-exclude", "labelled velero.io/exclude-from-backup=true",
        label: Some(Borrowed("velero.io/exclude-from-backup=true"))),
    // What is going away.
    row!("terminating", "was terminating", when: Some(When::Terminating)),
    // What tells of moments, not of intent.
    row!("events", "events tell what happened; they are not replayed",
        groups: list!("", "events.k8s.io"), resources: list!("events")),
    row!("leases", "a lease restored would name a leader that is gone",
        groups: list!("coordination.k8s.io"), resources: list!("leases", "leasecandidates")),
    row!("leader-election", "leader election: it would name a leader that is gone",
        groups: CORE, resources: list!("configmaps", "endpoints"),
        annotation: Some(Borrowed("control-plane.alpha.kubernetes.io/leader"))),
    row!("metrics", "measured by the cluster",
        groups: list!("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")),
    row!("component-status", "reported by the cluster", groups: CORE, resources: list!("componentstatuses")),
    row!("reviews", "a question to the API server, not an object", resources: list!("*reviews", "*accessreviews")),
    row!("bindings", "a decision of the scheduler", groups: CORE, resources: list!("bindings")),
    row!("certificate-requests", "signing requests are short-lived",
        groups: list!("certificates.k8s.io"), resources: list!("certificatesigningrequests")),
    // What belongs to machines.
    row!("nodes", "nodes join by themselves", groups: CORE, resources: list!("nodes")),
    row!("node-storage", "made for each node by its drivers",
        groups: list!("storage.k8s.io"), resources: list!("csinodes", "volumeattachments", "csistoragecapacities")),
    row!("node-devices", "made for each node by its drivers",
        groups: list!("resource.k8s.io"), resources: list!("resourceslices")),
    row!("mirror-pods", "a node's static pod", groups: CORE, resources: list!("pods"),
        annotation: Some(Borrowed("kubernetes.io/config.mirror"))),
    // What controllers derive.
    row!("controlled-pods", "its controller makes it again",
        groups: CORE, resources: list!("pods"), controller: Some(Borrowed("*"))),
    row!("controlled-workloads", "its controller makes it again",
        groups: list!("apps"), resources: list!("replicasets", "controllerrevisions"), controller: Some(Borrowed("*"))),
    row!("cron-runs", "its CronJob makes the next one",
        groups: list!("batch"), resources: list!("jobs"), controller: Some(Borrowed("CronJob"))),
    row!("endpoint-slices", "derived from a service and its pods",
        groups: list!("discovery.k8s.io"), resources: list!("endpointslices"),
        label: Some(Borrowed("endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io"))),
    row!("endpoint-slice-mirrors", "mirrored from Endpoints",
        groups: list!("discovery.k8s.io"), resources: list!("endpointslices"),
        label: Some(Borrowed("endpointslice.kubernetes.io/managed-by=endpointslicemirroring-controller.k8s.io"))),
    row!("kubernetes-slices", "the API server's own address",
        groups: list!("discovery.k8s.io"), resources: list!("endpointslices"),
        label: Some(Borrowed("kubernetes.io/service-name=kubernetes")), namespaces: list!("default")),
    row!("managed-endpoints", "derived from a service and its pods",
        groups: CORE, resources: list!("endpoints"),
        label: Some(Borrowed("endpoints.kubernetes.io/managed-by=endpoint-controller"))),
    row!("pod-endpoints", "derived from a service and its pods",
        groups: CORE, resources: list!("endpoints"), when: Some(When::EndpointsOfPods)),
    row!("kubernetes-service", "the API server's own service",
        groups: CORE, resources: list!("services", "endpoints"), namespaces: list!("default"),
        names: list!("kubernetes")),
    row!("service-addresses", "allocated for services by the API server",
        groups: list!("networking.k8s.io"), resources: list!("ipaddresses")),
    row!("default-service-range", "made by the API server",
        groups: list!("networking.k8s.io"), resources: list!("servicecidrs"), names: list!("kubernetes")),
    row!("root-ca", "each cluster publishes its own",
        groups: CORE, resources: list!("configmaps"), names: list!("kube-root-ca.crt", "openshift-service-ca.crt")),
    row!("automatic-tokens", "the cluster issues its own",
        groups: CORE, resources: list!("secrets"), object_type: Some(Borrowed("kubernetes.io/service-account-token")),
        when: Some(When::AutomaticToken)),
    row!("bootstrap-tokens", "admits nodes to the old cluster",
        groups: CORE, resources: list!("secrets"), object_type: Some(Borrowed("bootstrap.kubernetes.io/token"))),
    row!("automanaged-api-services", "made by the API server",
        groups: list!("apiregistration.k8s.io"), resources: list!("apiservices"),
        label: Some(Borrowed("kube-aggregator.kubernetes.io/automanaged"))),
    row!("bootstrap-rbac", "made by the API server",
        groups: list!("rbac.authorization.k8s.io"),
        label: Some(Borrowed("kubernetes.io/bootstrapping=rbac-defaults"))),
    row!("default-flow-control", "made by the API server",
        groups: list!("flowcontrol.apiserver.k8s.io"),
        annotation: Some(Borrowed("apf.kubernetes.io/autoupdate-spec=true"))),
    row!("default-flow-levels", "made by the API server",
        groups: list!("flowcontrol.apiserver.k8s.io"), names: list!("exempt", "catch-all")),
    row!("system-priorities", "made by the API server",
        groups: list!("scheduling.k8s.io"), resources: list!("priorityclasses"), names: list!("system-*")),
    row!("api-server-internals", "the API server's bookkeeping", groups: list!("internal.apiserver.k8s.io")),
    row!("storage-migrations", "the API server's bookkeeping", groups: list!("storagemigration.k8s.io")),
    row!("volume-snapshots", "handles are bound to their region",
        groups: list!("snapshot.storage.k8s.io", "groupsnapshot.storage.k8s.io"),
        resources: list!("volumesnapshots", "volumesnapshotcontents", "volumegroupsnapshots",
            "volumegroupsnapshotcontents")),
    row!("certificate-issuing", "steps of issuing a certificate; the Certificate begins anew",
        groups: list!("cert-manager.io"), resources: list!("certificaterequests")),
    row!("certificate-orders", "steps of issuing a certificate; the Certificate begins anew",
        groups: list!("acme.cert-manager.io"), resources: list!("orders", "challenges")),
    // What the platform manages.
    row!("aks-addons", "managed by AKS", label: Some(Borrowed("addonmanager.kubernetes.io/mode"))),
    row!("aks-managed", "managed by AKS", label: Some(Borrowed("kubernetes.azure.com/managedby=aks"))),
    row!("system-namespaces", "belongs to the cluster itself",
        namespaces: list!("kube-system", "kube-public", "kube-node-lease"), unless_selected: true),
];
