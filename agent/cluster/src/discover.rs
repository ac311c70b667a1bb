//! Discovery: which types the API server serves.

use std::collections::HashSet;

use firn_format::object::ResourceType;
use futures::StreamExt;
use serde::Deserialize;

use crate::call::{Call, parse};
use crate::connect::Cluster;
use crate::error::{ClusterError, Exception, chain};
use crate::path::version_path;

/// Aggregated discovery (stable since 1.30); servers without it answer with the plain form.
const ACCEPT_AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// Groups that are asked at once where discovery is not aggregated.
const GROUPS_IN_FLIGHT: usize = 8;

/// A type that is served, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedType {
    /// The type.
    pub resource: ResourceType,
    /// What can be done with it: `list`, `create`, …
    pub verbs: Vec<String>,
    /// Whether this is the version that the server prefers among those in which it serves the resource. Captures list
    /// the preferred versions only.
    pub preferred: bool,
}

/// What a server serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovery {
    /// Every type in every version, in the server's order.
    pub types: Vec<ServedType>,
    /// Groups that did not answer. Their objects are unknown, not absent.
    pub exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct Aggregated {
    #[serde(default)]
    items: Vec<AggregatedGroup>,
}

#[derive(Deserialize)]
struct AggregatedGroup {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<AggregatedVersion>,
}

#[derive(Deserialize, Default)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct AggregatedVersion {
    version: String,
    #[serde(default)]
    resources: Vec<AggregatedResource>,
    #[serde(default)]
    freshness: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: String,
    response_kind: Option<Kind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct CoreVersions {
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Deserialize, Clone, PartialEq)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

impl Cluster {
    /// Asks which types the server serves. A group that does not answer is an exception, and the rest goes on.
    ///
    /// # Errors
    /// Any of [`ClusterError`]'s errors of a request, if the server does not say which groups there are.
    pub async fn discover(&self) -> Result<Discovery, ClusterError> {
        let mut discovery = Discovery::default();
        for root in ["/api", "/apis"] {
            let call = Call { accept: ACCEPT_AGGREGATED, ..Call::get(root) };
            let body = self.call(&call).await?.body;
            match parse::<Kind>(&call, &body)?.kind.as_str() {
                "APIGroupDiscoveryList" => discovery.add_aggregated(parse(&call, &body)?),
                "APIVersions" => {
                    let core: CoreVersions = parse(&call, &body)?;
                    let versions = core.versions.into_iter().map(|version| (String::new(), version)).collect();
                    self.discover_versions(versions, &mut discovery).await;
                }
                "APIGroupList" => {
                    let groups: Groups = parse(&call, &body)?;
                    let versions = groups.groups.into_iter().flat_map(ordered_versions).collect();
                    self.discover_versions(versions, &mut discovery).await;
                }
                other => {
                    let fault = format!("kind {other:?} is no discovery");
                    return Err(ClusterError::Answer { operation: call.operation(), fault });
                }
            }
        }
        discovery.mark_preferred();
        Ok(discovery)
    }

    /// Asks for each version of each group in turn, several at once; results stay in the order asked for.
    async fn discover_versions(&self, versions: Vec<(String, String)>, discovery: &mut Discovery) {
        let asked = futures::stream::iter(versions.into_iter().map(|(group, version)| async move {
            let call = Call::get(version_path(&group, &version));
            let answer: Result<Resources, ClusterError> = self.call_json(&call).await;
            (group, version, answer)
        }));
        let mut answers = asked.buffered(GROUPS_IN_FLIGHT);
        while let Some((group, version, answer)) = answers.next().await {
            match answer {
                Ok(list) => discovery.add(&group, &version, list.resources),
                Err(error) => discovery
                    .exceptions
                    .push(Exception { what: format!("API {group}/{version}"), reason: chain(&error) }),
            }
        }
    }
}

/// A group's versions, the preferred one first.
fn ordered_versions(group: Group) -> Vec<(String, String)> {
    let mut versions = group.versions;
    versions.sort_by_key(|version| Some(version) != group.preferred_version.as_ref());
    versions.into_iter().map(|version| (group.name.clone(), version.version)).collect()
}

impl Discovery {
    fn add_aggregated(&mut self, list: Aggregated) {
        for group in list.items {
            for version in group.versions {
                let group = &group.metadata.name;
                if version.freshness == "Stale" {
                    self.exceptions.push(Exception {
                        what: format!("API {group}/{}", version.version),
                        reason: "its server does not answer".to_owned(),
                    });
                    continue;
                }
                let resources = version.resources.into_iter().map(|resource| Resource {
                    name: resource.resource,
                    kind: resource.response_kind.map(|kind| kind.kind).unwrap_or_default(),
                    namespaced: resource.scope == "Namespaced",
                    verbs: resource.verbs,
                });
                self.add(group, &version.version, resources.collect());
            }
        }
    }

    fn add(&mut self, group: &str, version: &str, resources: Vec<Resource>) {
        // A name with a slash is a subresource.
        for found in resources.into_iter().filter(|found| !found.name.contains('/') && !found.name.is_empty()) {
            self.types.push(ServedType {
                resource: ResourceType {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    resource: found.name,
                    kind: found.kind,
                    namespaced: found.namespaced,
                },
                verbs: found.verbs,
                preferred: false,
            });
        }
    }

    /// The first version in the server's order is the one it prefers.
    fn mark_preferred(&mut self) {
        let mut seen = HashSet::new();
        for found in &mut self.types {
            found.preferred = seen.insert((found.resource.group.clone(), found.resource.resource.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
