//! Waiting: for definitions, namespaces, and whatever can become ready.

use std::time::Duration;

use firn_format::object::ObjectKey;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::call::Call;
use crate::connect::Cluster;
use crate::error::{ClusterError, chain};
use crate::path::{collection_path, encoded};
use crate::write::{Create, WriteOptions};

/// Between two looks at the same object.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(100);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Rounds of hastening claims, and the pause before each.
const HASTEN_ROUNDS: usize = 3;
const HASTEN_PAUSE: Duration = Duration::from_millis(300);
/// The annotation that a claim carries while it is hastened.
const HASTEN_ANNOTATION: &str = "firn.io/hasten";
/// The label by which an endpoint slice names its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Objects looked at together.
const LOOKS_IN_FLIGHT: usize = 16;

/// Something that is not ready when the waiting ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// What.
    pub key: ObjectKey,
    /// Why it is not ready, as far as the cluster says.
    pub reason: String,
}

/// What one look at an object said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Ready,
    /// Not yet.
    Pending(String),
    /// It will not become ready by waiting.
    Never(String),
}

impl Cluster {
    /// Waits until the definitions of these names are Established and their names accepted. Gives those that are not,
    /// when `timeout` has passed or none can change any more.
    pub async fn wait_established(&self, names: &[String], timeout: Duration) -> Vec<Unready> {
        let keys = names.iter().map(|name| cluster_key("apiextensions.k8s.io", "customresourcedefinitions", name));
        self.wait_for(keys.collect(), timeout, |_, found| match found {
            None => Look::Pending("not there".to_owned()),
            Some(definition) if condition(definition, "NamesAccepted") == Some("False") => {
                Look::Never(said(definition, "NamesAccepted").unwrap_or_else(|| "names not accepted".to_owned()))
            }
            Some(definition) if condition(definition, "Established") == Some("True") => Look::Ready,
            Some(_) => Look::Pending("not Established".to_owned()),
        })
        .await
    }

    /// Waits until none of these namespaces is Terminating. One that is not there is not waited for.
    pub async fn wait_namespaces_active(&self, names: &[String], timeout: Duration) -> Vec<Unready> {
        let keys = names.iter().map(|name| cluster_key("", "namespaces", name)).collect();
        self.wait_for(keys, timeout, |_, found| {
            let phase = found.and_then(|namespace| namespace.pointer("/status/phase")?.as_str());
            if phase == Some("Terminating") { Look::Pending("Terminating".to_owned()) } else { Look::Ready }
        })
        .await
    }

    /// Waits until the cluster's controllers have seen these persistent volumes. A claim that they see before its volume
    /// stays unbound until their next round, a quarter of a minute later.
    pub async fn wait_volumes_seen(&self, names: &[String], timeout: Duration) -> Vec<Unready> {
        let keys = names.iter().map(|name| cluster_key("", "persistentvolumes", name)).collect();
        self.wait_for(keys, timeout, |_, found| {
            match found.and_then(|volume| volume.pointer("/status/phase")?.as_str()) {
                None | Some("Pending") => Look::Pending("not seen by the volume controller".to_owned()),
                Some(_) => Look::Ready,
            }
        })
        .await
    }

    /// Makes the controllers look at claims again that are not bound to the volumes made for them. The controller that
    /// binds them can lose a race with itself, and looks again only a quarter of a minute later, or when the claim
    /// changes: so the claim is changed, and changed back. Whoever may not do that waits.
    pub async fn hasten_binding(&self, claims: &[ObjectKey]) {
        let mut touched: Vec<ObjectKey> = Vec::new();
        for round in 0..HASTEN_ROUNDS {
            tokio::time::sleep(HASTEN_PAUSE).await;
            let looks = futures::stream::iter(claims.iter().map(|key| async move {
                let found = self.get(key).await.ok().flatten()?;
                let look = look(key, &found);
                matches!(look, Look::Pending(_)).then(|| key.clone())
            }));
            let open: Vec<ObjectKey> = looks.buffered(LOOKS_IN_FLIGHT).filter_map(|key| async { key }).collect().await;
            if open.is_empty() {
                break;
            }
            self.annotate(&open, &json!(round.to_string())).await;
            touched.extend(open);
        }
        touched.sort();
        touched.dedup();
        self.annotate(&touched, &Value::Null).await;
    }

    async fn annotate(&self, claims: &[ObjectKey], value: &Value) {
        let object = json!({"metadata": {"annotations": {HASTEN_ANNOTATION: value}}});
        let patches = claims.iter().map(|key| Create { key: key.clone(), object: object.clone() });
        for written in self.patch_all(patches.collect(), &WriteOptions::default()).await {
            tracing::debug!(claim = %written.key, outcome = ?written.outcome, "claim hastened");
        }
    }

    /// Waits until what can become ready is ready: workloads, claims, API services; other kinds are ready by being
    /// there. Workloads on a cluster without nodes, and claims that wait for their first pod, are told at once.
    pub async fn wait_ready(&self, keys: &[ObjectKey], timeout: Duration) -> Vec<Unready> {
        let watched: Vec<ObjectKey> = keys.iter().filter(|key| can_be_unready(key)).cloned().collect();
        if watched.is_empty() {
            return Vec::new();
        }
        let has_nodes = self.has_nodes().await;
        self.wait_for(watched, timeout, |key, found| {
            let look = found.map_or_else(|| Look::Pending("not there".to_owned()), |object| look(key, object));
            match look {
                Look::Pending(reason) if !has_nodes && (needs_pods(key) || is_served_by_pods(found)) => {
                    Look::Never(format!("{reason}; the cluster has no nodes"))
                }
                other => other,
            }
        })
        .await
    }

    /// Waits until each of these services has an endpoint that is ready. Gives those that have none when `timeout` has
    /// passed; at once those that are not there, and all if the cluster has no nodes.
    pub async fn wait_backends(&self, services: &[ObjectKey], timeout: Duration) -> Vec<Unready> {
        if services.is_empty() {
            return Vec::new();
        }
        let has_nodes = self.has_nodes().await;
        self.wait_while(services.to_vec(), timeout, |key| async move {
            match self.look_for_backend(&key).await {
                Ok(Look::Pending(reason)) if !has_nodes => Look::Never(format!("{reason}; the cluster has no nodes")),
                Ok(look) => look,
                Err(error) if error.is_permanent() => Look::Never(chain(&error)),
                Err(error) => Look::Pending(chain(&error)),
            }
        })
        .await
    }

    async fn look_for_backend(&self, key: &ObjectKey) -> Result<Look, ClusterError> {
        let Some(service) = self.get(key).await? else { return Ok(Look::Never("not there".to_owned())) };
        if service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName") {
            return Ok(Look::Ready);
        }
        let slices = collection_path("discovery.k8s.io", "v1", "endpointslices", key.namespace.as_deref());
        let selector = encoded(&format!("{SERVICE_LABEL}={}", key.name));
        let slices: Value = self.call_json(&Call::get(format!("{slices}?labelSelector={selector}"))).await?;
        let items = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        // An endpoint that says nothing of itself is ready.
        let is_ready = |endpoint: &Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool) != Some(false);
        let ready = items(&slices, "items").iter().any(|slice| items(slice, "endpoints").iter().any(is_ready));
        Ok(if ready { Look::Ready } else { Look::Pending("no endpoint is ready".to_owned()) })
    }

    /// Whether pods can run at all. If nobody may ask, they are assumed to.
    async fn has_nodes(&self) -> bool {
        let list: Result<Value, _> = self.call_json(&Call::get("/api/v1/nodes?limit=1")).await;
        list.ok().and_then(|list| Some(list.get("items")?.as_array()?.is_empty())) != Some(true)
    }

    /// Looks at objects until each is ready, by what they are.
    async fn wait_for(
        &self,
        keys: Vec<ObjectKey>,
        timeout: Duration,
        judge: impl Fn(&ObjectKey, Option<&Value>) -> Look,
    ) -> Vec<Unready> {
        let judge = &judge;
        self.wait_while(keys, timeout, |key| async move {
            match self.get(&key).await {
                Ok(found) => judge(&key, found.as_ref()),
                Err(error) if error.is_permanent() => Look::Never(chain(&error)),
                Err(error) => Look::Pending(chain(&error)),
            }
        })
        .await
    }

    /// Looks until nothing is pending, or `timeout` has passed.
    async fn wait_while<F: Future<Output = Look>>(
        &self,
        keys: Vec<ObjectKey>,
        timeout: Duration,
        look: impl Fn(ObjectKey) -> F,
    ) -> Vec<Unready> {
        let end = Instant::now() + timeout;
        let (mut open, mut never, mut pause) = (keys, Vec::new(), LOOK_PAUSE_MIN);
        let look = &look;
        loop {
            let looks = futures::stream::iter(open.into_iter().map(|key| async move {
                let look = look(key.clone()).await;
                (key, look)
            }));
            let looks: Vec<_> = looks.buffered(LOOKS_IN_FLIGHT).collect().await;
            let mut pending = Vec::new();
            for (key, look) in looks {
                match look {
                    Look::Ready => {}
                    Look::Pending(reason) => pending.push(Unready { key, reason }),
                    Look::Never(reason) => never.push(Unready { key, reason }),
                }
            }
            if pending.is_empty() || Instant::now() >= end {
                never.extend(pending);
                never.sort_by(|a, b| a.key.cmp(&b.key));
                return never;
            }
            tokio::time::sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(LOOK_PAUSE_MAX);
            open = pending.into_iter().map(|unready| unready.key).collect();
        }
    }
}

fn cluster_key(group: &str, resource: &str, name: &str) -> ObjectKey {
    ObjectKey {
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        namespace: None,
        name: name.to_owned(),
    }
}

fn can_be_unready(key: &ObjectKey) -> bool {
    needs_pods(key)
        || matches!(
            (key.group.as_str(), key.resource.as_str()),
            ("", "persistentvolumeclaims") | ("apiregistration.k8s.io", "apiservices")
        )
}

fn needs_pods(key: &ObjectKey) -> bool {
    matches!(
        (key.group.as_str(), key.resource.as_str()),
        ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets")
            | ("", "pods" | "replicationcontrollers")
    )
}

/// Whether an API service has its backend in the cluster.
fn is_served_by_pods(found: Option<&Value>) -> bool {
    found.and_then(|object| object.pointer("/spec/service")).is_some_and(Value::is_object)
}

/// Judges one object of the kinds that can be unready.
fn look(key: &ObjectKey, object: &Value) -> Look {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let pending_unless = |ready: bool, reason: String| if ready { Look::Ready } else { Look::Pending(reason) };
    if number("/status/observedGeneration").is_some_and(|seen| Some(seen) < number("/metadata/generation")) {
        return Look::Pending("its controller has not seen it".to_owned());
    }
    match key.resource.as_str() {
        "deployments" | "statefulsets" | "replicasets" | "replicationcontrollers" => {
            let wanted = number("/spec/replicas").unwrap_or(1);
            let field =
                if key.resource == "statefulsets" { "/status/readyReplicas" } else { "/status/availableReplicas" };
            let ready = number(field).unwrap_or(0);
            let failure = said(object, "ReplicaFailure").map(|message| format!(": {message}")).unwrap_or_default();
            pending_unless(ready >= wanted, format!("{ready} of {wanted} replicas ready{failure}"))
        }
        "daemonsets" => {
            let wanted = number("/status/desiredNumberScheduled");
            let ready = number("/status/numberAvailable").unwrap_or(0);
            match wanted {
                None => Look::Pending("its controller has not seen it".to_owned()),
                Some(wanted) => pending_unless(ready >= wanted, format!("{ready} of {wanted} pods ready")),
            }
        }
        "pods" => {
            let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
            let is_ready = condition(object, "Ready") == Some("True") || phase == "Succeeded";
            let why = said(object, "PodScheduled").map(|message| format!(": {message}")).unwrap_or_default();
            pending_unless(is_ready, format!("{phase}{why}"))
        }
        "persistentvolumeclaims" => {
            let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
            let has_volume = object.pointer("/spec/volumeName").and_then(Value::as_str).is_some_and(|v| !v.is_empty());
            match phase {
                "Bound" => Look::Ready,
                "Lost" => Look::Never("its volume is lost".to_owned()),
                _ if !has_volume => Look::Never("waits for a volume, or for its first pod".to_owned()),
                _ => Look::Pending("not bound".to_owned()),
            }
        }
        _ => {
            let why = said(object, "Available").unwrap_or_else(|| "not Available".to_owned());
            pending_unless(condition(object, "Available") == Some("True"), why)
        }
    }
}

fn find_condition<'a>(object: &'a Value, wanted: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(wanted))
}

/// The status of a condition: `True`, `False` or `Unknown`.
fn condition<'a>(object: &'a Value, wanted: &str) -> Option<&'a str> {
    find_condition(object, wanted)?.get("status")?.as_str()
}

/// The message of a condition.
fn said(object: &Value, wanted: &str) -> Option<String> {
    let message = find_condition(object, wanted)?.get("message")?.as_str()?;
    (!message.is_empty()).then(|| message.to_owned())
}

#[cfg(test)]
mod tests;
