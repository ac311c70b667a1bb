//! Writing: many objects at once, each with its own result.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use firn_format::object::ObjectKey;
use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};

use crate::call::{Answer, Call, TRIES_MAX, is_passing, pause};
use crate::connect::Cluster;
use crate::error::ClusterError;
use crate::path::{collection_path, object_path};

/// Writes in flight: an API server takes no more with 100 than with this.
const IN_FLIGHT: usize = 32;
/// Tries of a write that the server refuses for a reason that seldom passes (a type just defined, a webhook's backend
/// just started): few, since thousands of objects may be refused for the same reason.
const SHORT_TRIES_MAX: u32 = 4;
/// Tries of a create whose place is taken by an object that is being deleted: about two minutes, as the deletion of a
/// full namespace takes.
const DELETION_TRIES_MAX: u32 = 36;
/// After so many writes in a row that found no server through all their tries, the others are not tried.
const UNREACHABLE_MAX: usize = 8;
/// Who owns the fields that Firn writes.
const FIELD_MANAGER: &str = "firn";
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// An object to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Its name; decides where it is written.
    pub key: ObjectKey,
    /// Its contents; for a patch, the patch.
    pub object: Value,
}

/// An object that gets owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The object.
    pub key: ObjectKey,
    /// All its owners.
    pub owners: Vec<AdoptiveOwner>,
}

/// One owner of an [`Adoption`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptiveOwner {
    /// The owner's name.
    pub key: ObjectKey,
    /// Its kind.
    pub kind: String,
    /// Left away if none.
    pub controller: Option<bool>,
    /// Left away if none.
    pub block_owner_deletion: Option<bool>,
}

/// Called after each object, by the task that writes.
pub type WriteProgress = Arc<dyn Fn(&Written) + Send + Sync>;

/// Whether somebody has asked to stop.
pub type WriteStop = Arc<dyn Fn() -> bool + Send + Sync>;

/// How objects are written.
#[derive(Clone)]
pub struct WriteOptions {
    /// Writes in flight; at least 1.
    pub in_flight: usize,
    /// The server does all but store.
    pub dry_run: bool,
    /// Called after each object.
    pub progress: Option<WriteProgress>,
    /// Asked before each object; once it says `true`, no more are begun, and the results end there.
    pub stop: Option<WriteStop>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { in_flight: IN_FLIGHT, dry_run: false, progress: None, stop: None }
    }
}

/// What became of one object.
#[derive(Debug)]
pub struct Written {
    /// Its name.
    pub key: ObjectKey,
    /// What happened.
    pub outcome: Outcome,
    /// What the server warned of, such as fields that it does not know.
    pub warnings: Vec<String>,
}

/// What happened to one object.
#[derive(Debug)]
pub enum Outcome {
    /// It was created.
    Created {
        /// Its uid; empty for a dry run.
        uid: String,
    },
    /// It existed and was changed.
    Patched {
        /// Its uid.
        uid: String,
    },
    /// It existed and was left as it is.
    AlreadyExists,
    /// Nothing was written, or nobody knows.
    Failed(ClusterError),
}

/// What one try said about trying again.
enum Again {
    /// The server or the way to it is at fault; it will be back.
    Long,
    /// Something that this write needs may appear.
    Short,
    /// What is in the way is being deleted.
    AfterDeletion,
    No,
}

/// Tells when the server is gone, so that not every single object waits for it.
#[derive(Default)]
struct Outage {
    in_a_row: AtomicUsize,
}

impl Outage {
    fn is_on(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= UNREACHABLE_MAX
    }

    fn note(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Failed(ClusterError::Transport { .. } | ClusterError::Timeout { .. }) => {
                self.in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Failed(ClusterError::GivenUp) => {}
            _ => self.in_a_row.store(0, Ordering::Relaxed),
        }
    }
}

impl Cluster {
    /// Creates objects; one that exists is left as it is. Results come in the order of the objects.
    pub async fn create_all(&self, objects: Vec<Create>, options: &WriteOptions) -> Vec<Written> {
        self.each(objects, options, |item| self.create(item, options.dry_run)).await
    }

    /// Creates objects, or lays them over what exists as JSON merge patches.
    pub async fn merge_all(&self, objects: Vec<Create>, options: &WriteOptions) -> Vec<Written> {
        self.each(objects, options, |item| self.merge(item, options.dry_run)).await
    }

    /// Lays JSON merge patches over objects that exist.
    pub async fn patch_all(&self, patches: Vec<Create>, options: &WriteOptions) -> Vec<Written> {
        self.each(patches, options, |item| self.patch(item, options.dry_run)).await
    }

    /// Sets `metadata.ownerReferences`. Owners' uids are taken from `uids`, or asked for.
    pub async fn adopt_all(
        &self,
        adoptions: Vec<Adoption>,
        uids: &HashMap<ObjectKey, String>,
        options: &WriteOptions,
    ) -> Vec<Written> {
        let mut uids = uids.clone();
        let owners = adoptions.iter().flat_map(|adoption| adoption.owners.iter().map(|owner| &owner.key));
        let unknown: HashSet<ObjectKey> = owners.filter(|key| !uids.contains_key(*key)).cloned().collect();
        let asked = futures::stream::iter(unknown.into_iter().map(|key| async move {
            let object = self.get(&key).await.ok().flatten();
            (key, object.and_then(|object| uid_of(&object)))
        }));
        let mut answers = asked.buffer_unordered(options.in_flight.max(1));
        while let Some((key, uid)) = answers.next().await {
            uids.extend(uid.map(|uid| (key, uid)));
        }
        drop(answers);
        let uids = &uids;
        self.each(adoptions, options, |adoption| async move {
            match owner_references(&adoption, uids) {
                Ok(patch) => self.patch(Create { key: adoption.key, object: patch }, options.dry_run).await,
                Err(error) => Written { key: adoption.key, outcome: Outcome::Failed(error), warnings: Vec::new() },
            }
        })
        .await
    }

    /// Runs `write` for each item, many at once, results in order; stops trying when the server is gone.
    async fn each<I: Keyed, F: Future<Output = Written>>(
        &self,
        items: Vec<I>,
        options: &WriteOptions,
        write: impl Fn(I) -> F,
    ) -> Vec<Written> {
        let outage = Outage::default();
        let (write, outage) = (&write, &outage);
        let goes_on = |_: &I| !options.stop.as_ref().is_some_and(|stop| stop());
        let writes = futures::stream::iter(items.into_iter().take_while(goes_on).map(|item| async move {
            let written = if outage.is_on() {
                let outcome = Outcome::Failed(ClusterError::GivenUp);
                Written { key: item.into_key(), outcome, warnings: Vec::new() }
            } else {
                write(item).await
            };
            outage.note(&written.outcome);
            if let Some(progress) = &options.progress {
                progress(&written);
            }
            written
        }));
        writes.buffered(options.in_flight.max(1)).collect().await
    }

    async fn create(&self, item: Create, dry_run: bool) -> Written {
        let Create { key, object } = item;
        let collection = collection_path(&key.group, &key.version, &key.resource, key.namespace.as_deref());
        let call = Call::write(Method::POST, write_path(&collection, dry_run), JSON, &object);
        let mut unclear = false;
        let result = self.write(&call, &mut unclear).await;
        let (outcome, warnings) = match result {
            Ok(answer) => (Outcome::Created { uid: uid_in(&answer, dry_run) }, answer.warnings),
            Err(error) if is_already_there(&error) => {
                // A try without an answer may have been the one that created it.
                let own = if unclear { self.get(&key).await.ok().flatten() } else { None };
                let own = own.filter(|existing| contains(existing, &object)).and_then(|own| uid_of(&own));
                (own.map_or(Outcome::AlreadyExists, |uid| Outcome::Created { uid }), Vec::new())
            }
            Err(error) => (Outcome::Failed(error), Vec::new()),
        };
        Written { key, outcome, warnings }
    }

    async fn merge(&self, item: Create, dry_run: bool) -> Written {
        let created = self.create(item.clone(), dry_run).await;
        match created.outcome {
            Outcome::AlreadyExists => self.patch(item, dry_run).await,
            _ => created,
        }
    }

    async fn patch(&self, item: Create, dry_run: bool) -> Written {
        let path = write_path(&object_path(&item.key), dry_run);
        let call = Call::write(Method::PATCH, path, MERGE_PATCH, &item.object);
        let (outcome, warnings) = match self.write(&call, &mut false).await {
            Ok(answer) => (Outcome::Patched { uid: uid_in(&answer, false) }, answer.warnings),
            Err(error) => (Outcome::Failed(error), Vec::new()),
        };
        Written { key: item.key, outcome, warnings }
    }

    /// Sends a write until it is answered for good or tried often enough. `unclear` tells whether some try ended
    /// without an answer, and may have been carried out.
    async fn write(&self, call: &Call, unclear: &mut bool) -> Result<Answer, ClusterError> {
        let mut tries = 1;
        loop {
            let failure = match self.call_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            *unclear |= matches!(
                failure.error,
                ClusterError::Transport { .. }
                    | ClusterError::Timeout { .. }
                    | ClusterError::Refused { code: 500.., .. }
            );
            let tries_max = match again(&failure.error, call) {
                Again::Long => TRIES_MAX,
                Again::Short => SHORT_TRIES_MAX,
                Again::AfterDeletion => DELETION_TRIES_MAX,
                Again::No => 1,
            };
            if tries >= tries_max {
                return Err(failure.error);
            }
            tracing::debug!(operation = call.operation(), tries, error = %failure.error, "write is tried again");
            tokio::time::sleep(pause(tries, failure.asked_pause)).await;
            tries += 1;
        }
    }
}

/// What a result is named by.
trait Keyed {
    fn into_key(self) -> ObjectKey;
}

impl Keyed for Create {
    fn into_key(self) -> ObjectKey {
        self.key
    }
}

impl Keyed for Adoption {
    fn into_key(self) -> ObjectKey {
        self.key
    }
}

/// Whether a refused write is worth another try.
fn again(error: &ClusterError, call: &Call) -> Again {
    let ClusterError::Refused { code, reason, message, .. } = error else {
        return if is_passing(error) { Again::Long } else { Again::No };
    };
    let is_create = call.method == Method::POST;
    match code {
        // A webhook or conversion whose backend does not answer (yet).
        500 if message.contains("webhook") => Again::Short,
        409 if is_create && message.starts_with("object is being deleted") => Again::AfterDeletion,
        // Two writers at one quota, or one object.
        409 if reason != "AlreadyExists" => Again::Long,
        // The account of a new namespace is made a moment after it.
        403 if message.contains("error looking up service account") => Again::Long,
        403 if message.contains("is being terminated") => Again::Long,
        // A type just defined, a namespace just made.
        404 if is_create => Again::Short,
        _ if is_passing(error) => Again::Long,
        _ => Again::No,
    }
}

fn is_already_there(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Refused { code: 409, reason, .. } if reason == "AlreadyExists")
}

fn write_path(path: &str, dry_run: bool) -> String {
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    format!("{path}?fieldManager={FIELD_MANAGER}&fieldValidation=Warn{dry_run}")
}

fn uid_of(object: &Value) -> Option<String> {
    Some(object.pointer("/metadata/uid")?.as_str()?.to_owned())
}

/// The uid in an answer; a dry run's means nothing.
fn uid_in(answer: &Answer, dry_run: bool) -> String {
    #[derive(serde::Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(serde::Deserialize)]
    struct Metadata {
        #[serde(default)]
        uid: String,
    }
    let object = serde_json::from_slice::<Object>(&answer.body).ok().filter(|_| !dry_run);
    object.map(|object| object.metadata.uid).unwrap_or_default()
}

/// Whether all that `wanted` says stands in `existing`, which may say more. Items of lists are compared in order.
fn contains(existing: &Value, wanted: &Value) -> bool {
    match (existing, wanted) {
        (Value::Object(existing), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| wanted.is_null() || existing.get(name).is_some_and(|found| contains(found, wanted))),
        (Value::Array(existing), Value::Array(wanted)) => {
            existing.len() >= wanted.len() && existing.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        _ => existing == wanted,
    }
}

fn owner_references(adoption: &Adoption, uids: &HashMap<ObjectKey, String>) -> Result<Value, ClusterError> {
    let mut references = Vec::with_capacity(adoption.owners.len());
    for owner in &adoption.owners {
        let uid = uids.get(&owner.key).filter(|uid| !uid.is_empty());
        let uid = uid.ok_or_else(|| ClusterError::OwnerMissing { owner: owner.key.clone() })?;
        let mut reference = json!({
            "apiVersion": owner.key.api_version(), "kind": owner.kind, "name": owner.key.name, "uid": uid,
        });
        for (field, value) in [("controller", owner.controller), ("blockOwnerDeletion", owner.block_owner_deletion)] {
            if let Some(value) = value {
                reference[field] = json!(value);
            }
        }
        references.push(reference);
    }
    Ok(json!({"metadata": {"ownerReferences": references}}))
}

#[cfg(test)]
mod tests;
