//! Objects to capture: from an API server or from a directory of manifests, as the rules and the user's selection decide.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use firn_agent::ObjectCapture;
use firn_cluster::{Cluster, Facts, Fault, Unlisted, directory};
use firn_format::object::{ObjectKey, ResourceType, canonical_json};
use firn_plan::{Decision, Rules, Selection};
use serde_json::{Value, json};

use crate::{interrupt, listing};

/// Where objects come from.
pub enum Objects {
    /// An API server.
    Live { cluster: Cluster, facts: Facts, name: String },
    /// A directory of manifests.
    Directory(std::path::PathBuf),
    /// Volumes only.
    None,
}

/// What was seen besides the objects themselves.
#[derive(Default)]
pub struct Seen {
    /// Claims and volumes: where their contents lie.
    pub storage: Vec<(ObjectKey, Value)>,
    /// Namespaces with objects in the point.
    pub namespaces: BTreeSet<String>,
    /// Replica counts by object.
    pub replicas: BTreeMap<String, i64>,
    /// How many objects each rule left out.
    pub left_out: BTreeMap<String, u64>,
    /// What could not be captured: (what, a word, why).
    pub exceptions: Vec<(String, &'static str, String)>,
    /// Kinds taken over from the parent.
    pub carried: u64,
    /// Cluster-scoped kinds that who asked for single namespaces may not list.
    pub unseen: Vec<String>,
}

impl Seen {
    /// Decides about one object and notes what others want to know of it. `true`: it belongs into the point.
    fn keep(
        &mut self,
        rules: &Rules,
        selection: &Selection,
        resource: &ResourceType,
        key: &ObjectKey,
        object: &Value,
    ) -> bool {
        match rules.decide(resource, object, selection) {
            Decision::Keep => {}
            Decision::LeaveOut { rule, .. } => {
                *self.left_out.entry(rule).or_default() += 1;
                return false;
            }
            Decision::NotSelected => return false,
        }
        self.namespaces.extend(key.namespace.clone());
        if key.group.is_empty() && matches!(key.resource.as_str(), "persistentvolumes" | "persistentvolumeclaims") {
            self.storage.push((key.clone(), object.clone()));
        }
        if key.group == "apps"
            && let Some(count) = object.pointer("/spec/replicas").and_then(Value::as_i64)
        {
            self.replicas.insert(key.path(), count);
        }
        true
    }
}

impl Objects {
    /// UID and name of the cluster that they are of.
    pub fn identity(&self, fallback: &str) -> (String, String) {
        match self {
            Self::Live { facts, name, .. } => (facts.uid.clone(), name.clone()),
            Self::Directory(_) | Self::None => (format!("local:{fallback}"), fallback.to_owned()),
        }
    }

    /// The Kubernetes version, if there is one.
    pub fn facts(&self) -> Value {
        match self {
            Self::Live { facts, .. } => json!({ "kubernetes": facts.server_version }),
            Self::Directory(_) | Self::None => json!({}),
        }
    }

    /// Hands all that belong into the point to `capture`.
    pub fn capture(
        &self,
        runtime: &tokio::runtime::Runtime,
        selection: &Selection,
        capture: &mut ObjectCapture<'_>,
    ) -> anyhow::Result<Seen> {
        let rules = Rules::built_in();
        let mut seen = Seen::default();
        match self {
            Self::None => {}
            Self::Directory(dir) => {
                let manifests = directory::read(dir).context("the manifests cannot be had; nothing was captured")?;
                for manifest in manifests.objects {
                    if seen.keep(&rules, selection, &manifest.resource, &manifest.key, &manifest.object) {
                        capture.push(&manifest.key, &canonical_json(&manifest.object))?;
                    }
                }
                let told = manifests.exceptions.into_iter();
                seen.exceptions.extend(told.map(|exception| (exception.what, "unreadable", exception.reason)));
            }
            Self::Live { cluster, .. } => {
                runtime.block_on(interrupt::or_stopped(live(cluster, &rules, selection, capture, &mut seen)))??;
            }
        }
        Ok(seen)
    }
}

async fn live(
    cluster: &Cluster,
    rules: &Rules,
    selection: &Selection,
    capture: &mut ObjectCapture<'_>,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let discovery = cluster.discover().await.context("cannot find out what the API server has")?;
    let told = discovery.exceptions.into_iter();
    seen.exceptions.extend(told.map(|exception| (exception.what, "not-discovered", exception.reason)));
    let types: Vec<ResourceType> = discovery
        .types
        .into_iter()
        .filter(|served| served.preferred && rules.decide_type(&served.resource, &served.verbs) == Decision::Keep)
        .map(|served| served.resource)
        .collect();
    let namespaces = &selection.namespaces;
    let unlisted = listing::each(cluster, types, namespaces, |listed| {
        if seen.keep(rules, selection, &listed.resource, &listed.key, &listed.object) {
            capture.push(&listed.key, &canonical_json(&listed.object))?;
        }
        Ok(())
    })
    .await?;
    for unlisted in unlisted {
        let Unlisted { resource, namespace, fault, reason } = unlisted;
        // Who asks for namespaces asks for what is in them; what they stand on belongs to somebody else.
        if fault == Fault::Forbidden && namespace.is_none() && !namespaces.is_empty() {
            seen.unseen.push(resource.full_name());
            continue;
        }
        if matches!(fault, Fault::Forbidden | Fault::Failed) {
            let group = if resource.group.is_empty() { "core" } else { &resource.group };
            let below =
                namespace.as_ref().filter(|_| resource.namespaced).map_or(String::new(), |name| format!("{name}/"));
            seen.carried += capture.carry(&format!("{group}/{}/{}/{below}", resource.version, resource.resource));
        }
        let word = match fault {
            Fault::Forbidden => "forbidden",
            Fault::Missing => "missing",
            Fault::Failed => "not-listed",
            Fault::OneObject => "no-name",
        };
        let what = resource.full_name();
        let what = namespace.filter(|_| namespaces.len() > 1).map_or(what.clone(), |name| format!("{what} in {name}"));
        seen.exceptions.push((what, word, reason));
    }
    Ok(())
}
