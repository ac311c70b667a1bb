//! Claims, volumes and their contents: nothing of the old storage is ever named on the target.

use firn_format::object::ObjectKey;
use serde_json::{Value, json};

use super::draft::{Draft, settle};
use super::facts::PointFacts;
use super::waves::{FILL_RANK, VOLUME_RANK};
use super::{RestoreOptions, target_namespace};
use crate::object::{set, text};
use crate::step::{Action, VolumeFill, Wave};
use crate::target::Target;
use crate::transform::adapt::Context;
use crate::transform::strip::strip;
use crate::volumes::{ClaimFate, VolumeTarget};

fn core_key(resource: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        group: String::new(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

/// The steps that fill volumes and make volume objects: for every claim with contents, and for contents of no claim.
pub(super) fn volume_drafts(facts: &PointFacts, context: &Context<'_>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for ((namespace, claim), fate) in &facts.claims {
        let (path, volume) = match fate {
            ClaimFate::Unbound | ClaimFate::NotRestored(_) => continue,
            ClaimFate::Beside(path) => (path, None),
            ClaimFate::Local { path, volume } => (path, Some(volume)),
        };
        let home = target_namespace(context.options, namespace);
        let key = core_key("persistentvolumeclaims", Some(&home), claim);
        if is_claim_there(namespace, claim, context.target, context.options) {
            // Its data is somebody's already. The claim's own step says what that means.
            if let Some(volume) = volume {
                let reason = "its claim is on the target; the data there is left alone";
                drafts.push(Draft::new(volume_key(volume), "PersistentVolume", Wave::Storage, Action::Skip, reason));
            }
            continue;
        }
        let mut fill = Draft::new(key, "PersistentVolumeClaim", Wave::Storage, Action::Fill, "contents in the point");
        fill.volume = Some(VolumeFill { namespace: namespace.clone(), claim: claim.clone(), path: path.clone() });
        drafts.push(fill.ranked(FILL_RANK));
        if let Some(volume) = volume {
            drafts.push(volume_draft(volume.clone(), context));
        }
    }
    drafts.extend(contents_without_claim(facts, context));
    drafts
}

/// Whether the target has the claim, and will keep it. Its data is somebody's already.
pub(super) fn is_claim_there(namespace: &str, claim: &str, target: &Target, options: &RestoreOptions) -> bool {
    let home = target_namespace(options, namespace);
    target.has(&core_key("persistentvolumeclaims", Some(&home), claim)) && !target.is_terminating(&home)
}

fn volume_key(volume: &Value) -> ObjectKey {
    core_key("persistentvolumes", None, text(volume, "/metadata/name").unwrap_or_default())
}

fn volume_draft(volume: Value, context: &Context<'_>) -> Draft {
    let key = volume_key(&volume);
    let reason = "a new local volume for its claim; no handle of the old storage";
    let mut draft =
        Draft::new(key, "PersistentVolume", Wave::Storage, Action::Create, reason).ranked(VOLUME_RANK).with(volume);
    settle(&mut draft, context);
    draft
}

/// Fits a new volume object to the target: the class mapped, and a name that no other volume has there.
pub(super) fn fit_volume(
    volume: &mut Value,
    namespace: &str,
    claim: &str,
    target: &Target,
    options: &RestoreOptions,
) -> Result<(), String> {
    let class = text(volume, "/spec/storageClassName");
    if let Some(mapped) = class.and_then(|class| options.storage_class_map.get(class)) {
        set(volume, &["spec", "storageClassName"], json!(mapped));
    }
    if !is_taken(volume, target) {
        return Ok(());
    }
    let own_name = format!("firn-{}-{claim}", target_namespace(options, namespace));
    set(volume, &["metadata", "name"], json!(own_name));
    if is_taken(volume, target) { Err(format!("another volume is named {own_name} on the target")) } else { Ok(()) }
}

/// Whether the target has another volume of this name. The same volume, not bound yet, is one that an earlier run made.
fn is_taken(volume: &Value, target: &Target) -> bool {
    let key = volume_key(volume);
    let is_same = |existing: &Value| {
        // Once bound, a volume takes no other claim, even when its own is gone.
        let was_bound = text(existing, "/spec/claimRef/uid").is_some();
        let mut existing = existing.clone();
        strip(&key, &mut existing);
        !was_bound && existing == *volume
    };
    target.has(&key) && !target.object(&key).is_some_and(is_same)
}

/// Volumes that were captured by path, without a cluster around them.
fn contents_without_claim<'a>(facts: &'a PointFacts, context: &'a Context<'_>) -> impl Iterator<Item = Draft> + 'a {
    let contents = context.options.volumes_in_point.iter().filter(|name| !facts.claims.contains_key(*name));
    contents.map(|(namespace, claim)| {
        let home = target_namespace(context.options, namespace);
        let key = core_key("persistentvolumeclaims", Some(&home), claim);
        let dir = match &context.options.volumes {
            VolumeTarget::Nowhere => None,
            VolumeTarget::Beside { dir } => Some(dir),
            VolumeTarget::Local(local) => Some(&local.dir),
        };
        let Some(dir) = dir.filter(|_| key.is_valid()) else {
            let reason = "no place for its contents is given (--local-volumes DIR)";
            return Draft::new(key, "PersistentVolumeClaim", Wave::Storage, Action::NotRestored, reason)
                .ranked(FILL_RANK);
        };
        if let Some(reason) = context.options.volumes_in_the_way.get(&(namespace.clone(), claim.clone())) {
            let action = context.options.in_the_way();
            return Draft::new(key, "PersistentVolumeClaim", Wave::Storage, action, reason).ranked(FILL_RANK);
        }
        let path = dir.join(&home).join(claim);
        let mut fill =
            Draft::new(key, "PersistentVolumeClaim", Wave::Storage, Action::Fill, "contents without a claim");
        fill.volume = Some(VolumeFill { namespace: namespace.clone(), claim: claim.clone(), path });
        fill.ranked(FILL_RANK)
    })
}

/// What the fate of claims says about a captured object.
pub(super) enum StorageFate {
    /// Nothing: it is drafted like any other.
    Open,
    /// The drafts of volumes speak for it already.
    Drafted,
    /// What becomes of it, and why.
    Settled(Action, String),
}

/// Whether a captured claim stays behind for this reason because its volume's place holds other data.
pub(super) fn is_in_the_way(source: &ObjectKey, reason: &str, options: &RestoreOptions) -> bool {
    let claim = (source.namespace.clone().unwrap_or_default(), source.name.clone());
    source.group.is_empty()
        && source.resource == "persistentvolumeclaims"
        && options.volumes_in_the_way.get(&claim).is_some_and(|known| known == reason)
}

/// Looks up what the fate of claims says about a captured object.
pub(super) fn fate_of(source: &ObjectKey, facts: &PointFacts) -> StorageFate {
    let settled = |action, reason: &str| StorageFate::Settled(action, reason.to_owned());
    match (source.group.as_str(), source.resource.as_str()) {
        ("", "persistentvolumes") => {
            let fate = facts.claim_of_volume.get(&source.name).and_then(|claim| facts.claims.get(claim));
            match fate {
                // The new volume has the same name.
                Some(ClaimFate::Local { .. }) => StorageFate::Drafted,
                Some(ClaimFate::Beside(_)) => {
                    settled(Action::Skip, "bound to the old storage; its contents are beside")
                }
                Some(_) => settled(Action::Skip, "bound to the old storage; see its claim"),
                None => {
                    let reason = "it names the old cluster's storage, and no captured claim uses it";
                    settled(Action::NotRestored, reason)
                }
            }
        }
        ("", "persistentvolumeclaims") => {
            let name = (source.namespace.clone().unwrap_or_default(), source.name.clone());
            match facts.claims.get(&name) {
                Some(ClaimFate::NotRestored(reason)) => settled(Action::NotRestored, reason),
                _ => StorageFate::Open,
            }
        }
        _ => StorageFate::Open,
    }
}

/// Gives a stripped claim the size that its volume had, and the volume that was made for it.
pub(super) fn complete_claim(source: &ObjectKey, claim: &mut Value, facts: &PointFacts, notes: &mut Vec<String>) {
    if !(source.group.is_empty() && source.resource == "persistentvolumeclaims") {
        return;
    }
    let name = (source.namespace.clone().unwrap_or_default(), source.name.clone());
    if let Some(size) = facts.larger.get(&name) {
        set(claim, &["spec", "resources", "requests", "storage"], json!(size));
        notes.push(format!("size {size}, as its volume had"));
    }
    if let Some(ClaimFate::Local { volume, path }) = facts.claims.get(&name) {
        set(claim, &["spec", "volumeName"], volume.pointer("/metadata/name").cloned().unwrap_or_default());
        notes.push(format!("bound to {}", path.display()));
    }
}
