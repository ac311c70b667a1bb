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
use crate::error::{ClusterError, Exception, chain};
use crate::path::{collection_path, encoded};

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
    /// Lists every object of `types` into `sink`. The objects of a type are sent only once its list is whole, so what
    /// was sent is never taken back. Gives the types that could not be listed: they are unknown, not empty.
    ///
    /// # Errors
    /// [`ClusterError::Abandoned`] if the receiver went away.
    pub async fn list_all(
        &self,
        types: &[ResourceType],
        detail: Detail,
        sink: mpsc::Sender<Listed>,
    ) -> Result<Vec<Exception>, ClusterError> {
        let slots = Arc::new(Semaphore::new(TYPES_IN_FLIGHT));
        let mut listings = JoinSet::new();
        for resource in types {
            let (cluster, slots, sink) = (self.clone(), Arc::clone(&slots), sink.clone());
            let resource = Arc::new(resource.clone());
            listings.spawn(async move {
                let _slot = slots.acquire_owned().await;
                let result = cluster.list_type(&resource, detail, &sink).await;
                (resource, result)
            });
        }
        drop(sink);
        let mut exceptions = Vec::new();
        while let Some(listing) = listings.join_next().await {
            match listing {
                Ok((_, Ok(odd))) => exceptions.extend(odd),
                Ok((_, Err(ClusterError::Abandoned))) => return Err(ClusterError::Abandoned),
                Ok((resource, Err(error))) => {
                    exceptions.push(Exception { what: resource.full_name(), reason: chain(&error) });
                }
                Err(panicked) => {
                    exceptions.push(Exception { what: "a listing".to_owned(), reason: panicked.to_string() });
                }
            }
        }
        exceptions.sort();
        Ok(exceptions)
    }

    /// Lists one type and sends it. Gives the objects that have no valid name.
    async fn list_type(
        &self,
        resource: &Arc<ResourceType>,
        detail: Detail,
        sink: &mpsc::Sender<Listed>,
    ) -> Result<Vec<Exception>, ClusterError> {
        let raw = self.whole_list(resource, detail).await?;
        let mut odd = Vec::new();
        for item in raw {
            // Taking each text only now keeps the memory of values to what is in the channel.
            let object: Value = serde_json::from_str(item.get()).map_err(|error| ClusterError::Answer {
                operation: format!("GET {}", resource.full_name()),
                fault: error.to_string(),
            })?;
            drop(item);
            let Some((key, object)) = named(resource, object) else {
                let reason = "an object without a valid name".to_owned();
                odd.push(Exception { what: resource.full_name(), reason });
                continue;
            };
            let listed = Listed { resource: Arc::clone(resource), key, object };
            sink.send(listed).await.map_err(|_| ClusterError::Abandoned)?;
        }
        Ok(odd)
    }

    /// All pages of one list, of one snapshot.
    async fn whole_list(&self, resource: &ResourceType, detail: Detail) -> Result<Vec<Box<RawValue>>, ClusterError> {
        let mut page_objects = PAGE_OBJECTS;
        let mut restarts = 0;
        loop {
            match self.pages(resource, detail, page_objects).await {
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
        detail: Detail,
        page_objects: usize,
    ) -> Result<Vec<Box<RawValue>>, ClusterError> {
        let path = collection_path(&resource.group, &resource.version, &resource.resource, None);
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
