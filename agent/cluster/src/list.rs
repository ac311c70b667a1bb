//! Listing: every object of many types, in pages, several types at once.

use std::sync::Arc;

use firn_format::object::{ObjectKey, ResourceType};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::call::{Call, parse};
use crate::connect::Cluster;
use crate::error::{ClusterError, chain};
use crate::path::{collection_path, encoded, object_path};

/// Objects in a page. Larger pages save little and hold the API server's memory.
const PAGE_OBJECTS: usize = 500;
/// Objects in a page after a page was too large: as many of etcd's largest as an answer may hold.
const SMALL_PAGE_OBJECTS: usize = 50;
/// Types listed at once: more gain nothing, one API server is the limit by then.
const TYPES_IN_FLIGHT: usize = 8;
/// A list whose snapshot is gone in the middle begins again, so often.
const RESTARTS_MAX: u32 = 3;
/// Of one type, so many bytes are held until its list is whole.
const TYPE_BYTES_MAX: usize = 1024 * 1024 * 1024;

const ACCEPT_METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";

/// How much of each object is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Full,
    /// `metadata` only.
    Metadata,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its type.
    pub resource: Arc<ResourceType>,
    /// Its name.
    pub key: ObjectKey,
    /// Its contents, `apiVersion` and `kind` filled in.
    pub object: Value,
}

/// Objects of one type that are unknown: not absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unlisted {
    /// The type.
    pub resource: Arc<ResourceType>,
    /// The namespace in which they are unknown; none if anywhere.
    pub namespace: Option<String>,
    /// What is the matter.
    pub fault: Fault,
    /// In words.
    pub reason: String,
}

/// Why objects are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The user may not list them.
    Forbidden,
    /// The namespace asked for does not exist.
    Missing,
    /// The list could not be had.
    Failed,
    /// The list came, but one object in it has no valid name.
    OneObject,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    /// Null where there is none.
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

impl Cluster {
    /// Lists every object of `types` into `sink`; with `namespaces`, of namespaced types only those in these, each list for
    /// itself, so that who may read one namespace only may do this, and of the namespaces themselves only these. The
    /// objects of a list are sent only once it is whole, so what was sent is never taken back. Gives what could not be
    /// listed: it is unknown, not empty.
    ///
    /// # Errors
    /// [`ClusterError::Abandoned`] if the receiver went away, or a listing ended without a result.
    pub async fn list_all(
        &self,
        types: &[ResourceType],
        namespaces: &[String],
        detail: Detail,
        sink: mpsc::Sender<Listed>,
    ) -> Result<Vec<Unlisted>, ClusterError> {
        let slots = Arc::new(Semaphore::new(TYPES_IN_FLIGHT));
        let mut listings = JoinSet::new();
        for resource in types {
            let resource = Arc::new(resource.clone());
            let places: Vec<Option<String>> = match namespaces {
                [] => vec![None],
                _ if resource.namespaced || is_namespace(&resource) => namespaces.iter().cloned().map(Some).collect(),
                _ => vec![None],
            };
            for place in places {
                let (cluster, slots, sink) = (self.clone(), Arc::clone(&slots), sink.clone());
                let resource = Arc::clone(&resource);
                listings.spawn(async move {
                    let _slot = slots.acquire_owned().await;
                    let result = cluster.list_type(&resource, place.as_deref(), detail, &sink).await;
                    (resource, place, result)
                });
            }
        }
        drop(sink);
        let mut unlisted = Vec::new();
        while let Some(listing) = listings.join_next().await {
            let (resource, namespace, error) = match listing {
                Ok((_, _, Ok(odd))) => {
                    unlisted.extend(odd);
                    continue;
                }
                Ok((_, _, Err(ClusterError::Abandoned))) | Err(_) => return Err(ClusterError::Abandoned),
                Ok((resource, namespace, Err(error))) => (resource, namespace, error),
            };
            let fault = match &error {
                error if error.is_forbidden() => Fault::Forbidden,
                ClusterError::Refused { code: 404, .. } if is_namespace(&resource) && namespace.is_some() => {
                    Fault::Missing
                }
                _ => Fault::Failed,
            };
            unlisted.push(Unlisted { resource, namespace, fault, reason: chain(&error) });
        }
        unlisted.sort();
        Ok(unlisted)
    }

    /// Lists one type, in one namespace or all, and sends it. Gives the objects that have no valid name.
    async fn list_type(
        &self,
        resource: &Arc<ResourceType>,
        namespace: Option<&str>,
        detail: Detail,
        sink: &mpsc::Sender<Listed>,
    ) -> Result<Vec<Unlisted>, ClusterError> {
        let raw = match namespace {
            Some(name) if is_namespace(resource) => {
                let call = Call::get(object_path(&resource.key(None, name)));
                vec![parse(&call, &self.call(&call).await?.body)?]
            }
            _ => self.whole_list(resource, namespace, detail).await?,
        };
        let mut odd = Vec::new();
        for item in raw {
            // Taking each text only now keeps the memory of values to what is in the channel.
            let object: Value = serde_json::from_str(item.get()).map_err(|error| ClusterError::Answer {
                operation: format!("GET {}", resource.full_name()),
                fault: error.to_string(),
            })?;
            drop(item);
            let Some((key, object)) = named(resource, object) else {
                let (resource, namespace) = (Arc::clone(resource), namespace.map(str::to_owned));
                let reason = "an object without a valid name".to_owned();
                odd.push(Unlisted { resource, namespace, fault: Fault::OneObject, reason });
                continue;
            };
            let listed = Listed { resource: Arc::clone(resource), key, object };
            sink.send(listed).await.map_err(|_| ClusterError::Abandoned)?;
        }
        Ok(odd)
    }

    /// All pages of one list, of one snapshot.
    async fn whole_list(
        &self,
        resource: &ResourceType,
        namespace: Option<&str>,
        detail: Detail,
    ) -> Result<Vec<Box<RawValue>>, ClusterError> {
        let mut page_objects = PAGE_OBJECTS;
        let mut restarts = 0;
        loop {
            match self.pages(resource, namespace, detail, page_objects).await {
                Err(ClusterError::Refused { code: 410, .. }) if restarts < RESTARTS_MAX => restarts += 1,
                Err(ClusterError::AnswerTooLarge { .. }) if page_objects > SMALL_PAGE_OBJECTS => {
                    page_objects = SMALL_PAGE_OBJECTS;
                }
                result => return result,
            }
            tracing::debug!(resource = resource.full_name(), restarts, page_objects, "list begins again");
        }
    }

    async fn pages(
        &self,
        resource: &ResourceType,
        namespace: Option<&str>,
        detail: Detail,
        page_objects: usize,
    ) -> Result<Vec<Box<RawValue>>, ClusterError> {
        let path = collection_path(&resource.group, &resource.version, &resource.resource, namespace);
        let mut items: Vec<Box<RawValue>> = Vec::new();
        let (mut bytes, mut next) = (0, String::new());
        loop {
            let mut query = format!("{path}?limit={page_objects}");
            if !next.is_empty() {
                query.push_str(&format!("&continue={}", encoded(&next)));
            }
            let mut call = Call::get(query);
            if detail == Detail::Metadata {
                call.accept = ACCEPT_METADATA;
            }
            let body = self.call(&call).await?.body;
            bytes += body.len();
            if bytes > TYPE_BYTES_MAX {
                let fault = format!("more than {TYPE_BYTES_MAX} bytes of one type");
                return Err(ClusterError::Answer { operation: call.operation(), fault });
            }
            let page: Page = parse(&call, &body)?;
            let Some(page_items) = page.items else {
                // A list says `items`, if only null; an answer without is something else.
                if !is_list(&body) {
                    let fault = "no list".to_owned();
                    return Err(ClusterError::Answer { operation: call.operation(), fault });
                }
                return Ok(items);
            };
            items.extend(page_items);
            if page.metadata.next.is_empty() {
                return Ok(items);
            }
            if page.metadata.next == next {
                let fault = "the same page again".to_owned();
                return Err(ClusterError::Answer { operation: call.operation(), fault });
            }
            next = page.metadata.next;
        }
    }
}

/// Whether the type is Namespace: no namespace holds it, but who may read one namespace may read that.
fn is_namespace(resource: &ResourceType) -> bool {
    resource.group.is_empty() && resource.resource == "namespaces"
}

/// Whether the answer says that it is a list.
fn is_list(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    serde_json::from_slice::<Kind>(body).is_ok_and(|said| said.kind.ends_with("List"))
}

/// Fills in what items of a list lack, and names the object; none if it has no valid name.
fn named(resource: &ResourceType, mut object: Value) -> Option<(ObjectKey, Value)> {
    let name = object.pointer("/metadata/name")?.as_str()?;
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
    if resource.namespaced && namespace.is_none() {
        return None;
    }
    let key = resource.key(namespace, name);
    let map = object.as_object_mut()?;
    map.insert("apiVersion".to_owned(), Value::String(resource.api_version()));
    map.insert("kind".to_owned(), Value::String(resource.kind.clone()));
    key.is_valid().then_some((key, object))
}

#[cfg(test)]
mod tests;
