//! One captured object becomes one draft of a step.

use firn_format::object::ObjectKey;
use serde_json::{Value, json};

use super::facts::PointFacts;
use super::storage::StorageFate;
use super::waves::wave_of;
use super::{Existing, storage, target_namespace};
use crate::object::{self, items, set, text};
use crate::step::{Action, Owner, Standing, VolumeFill, Wave};
use crate::target::Target;
use crate::transform::adapt::{Context, adapt};
use crate::transform::strip::strip;

/// Why a plain object is created.
pub(crate) const NEW: &str = "not on the target";

/// A step before it has its place and number.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) wave: Wave,
    pub(super) rank: u32,
    pub(super) action: Action,
    /// The name on the target.
    pub(super) key: ObjectKey,
    /// The captured name.
    pub(super) source: ObjectKey,
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) notes: Vec<String>,
    pub(super) standing: Option<Standing>,
    pub(super) object: Option<Value>,
    /// As captured.
    pub(super) owner_references: Vec<Value>,
    pub(super) owners: Vec<Owner>,
    pub(super) hold: Option<(String, Value)>,
    pub(super) volume: Option<VolumeFill>,
    /// A namespace that is going away on the target.
    pub(super) terminating: bool,
}

impl Draft {
    pub(super) fn new(key: ObjectKey, kind: &str, wave: Wave, action: Action, reason: impl Into<String>) -> Self {
        Self {
            wave,
            rank: 0,
            action,
            source: key.clone(),
            key,
            kind: kind.to_owned(),
            reason: reason.into(),
            notes: Vec::new(),
            standing: None,
            object: None,
            owner_references: Vec::new(),
            owners: Vec::new(),
            hold: None,
            volume: None,
            terminating: false,
        }
    }

    pub(super) fn with(mut self, object: Value) -> Self {
        self.object = Some(object);
        self
    }

    pub(super) fn ranked(mut self, rank: u32) -> Self {
        self.rank = rank;
        self
    }
}

/// Drafts what becomes of one captured object; none if the drafts of volumes speak for it already.
pub(super) fn draft(
    source: ObjectKey,
    captured: Value,
    facts: &PointFacts,
    context: &mut Context<'_>,
) -> Option<Draft> {
    let (wave, rank) = wave_of(&source);
    let key = target_key(&source, context);
    let mut draft = Draft::new(key, object::kind(&captured), wave, Action::Create, NEW).ranked(rank);
    draft.source = source;
    let settled = match storage::fate_of(&draft.source, facts) {
        StorageFate::Drafted => return None,
        StorageFate::Settled(_, reason) if storage::is_in_the_way(&draft.source, &reason, context.options) => {
            Some((context.options.in_the_way(), reason))
        }
        StorageFate::Settled(action, reason) => Some((action, reason)),
        StorageFate::Open => stays_behind(&draft.source, &draft.key, &captured, facts, context),
    };
    if let Some((action, reason)) = settled {
        (draft.action, draft.reason) = (action, reason);
    } else {
        transform(&mut draft, captured, facts, context);
        settle(&mut draft, context);
    }
    Some(draft)
}

/// The name on the target: the namespace mapped, and a Namespace's own name.
fn target_key(source: &ObjectKey, context: &Context<'_>) -> ObjectKey {
    let mut key = source.clone();
    if source.group.is_empty() && source.resource == "namespaces" {
        key.name = target_namespace(context.options, &source.name);
    }
    key.namespace = source.namespace.as_deref().map(|namespace| target_namespace(context.options, namespace));
    key
}

/// Objects that are not created whatever the target has.
fn stays_behind(
    source: &ObjectKey,
    key: &ObjectKey,
    captured: &Value,
    facts: &PointFacts,
    context: &Context<'_>,
) -> Option<(Action, String)> {
    if !key.is_valid() || !captured.is_object() {
        return Some((Action::NotRestored, "no valid object of a cluster".to_owned()));
    }
    if let Some(reason) = derived(source, captured, facts) {
        return Some((Action::Skip, reason.to_owned()));
    }
    if source.group == "storage.k8s.io" && source.resource == "storageclasses" {
        let mapped = context.options.storage_class_map.get(&source.name).filter(|to| **to != source.name);
        if let Some(class) = mapped {
            return Some((Action::Skip, format!("{class} takes its place")));
        }
    }
    unserved(source, facts, context.target).map(|reason| (Action::NotRestored, reason))
}

/// Why an object needs no restore: finished, or made anew by a controller.
fn derived(source: &ObjectKey, captured: &Value, facts: &PointFacts) -> Option<&'static str> {
    let namespace = source.namespace.as_deref().unwrap_or_default();
    let condition = |wanted: &str| {
        items(captured, "/status/conditions")
            .any(|condition| text(condition, "/type") == Some(wanted) && text(condition, "/status") == Some("True"))
    };
    match (source.group.as_str(), source.resource.as_str()) {
        ("", "pods") if matches!(text(captured, "/status/phase"), Some("Succeeded" | "Failed")) => Some("finished"),
        ("batch", "jobs")
            if captured.pointer("/status/completionTime").is_some() || condition("Complete") || condition("Failed") =>
        {
            Some("finished")
        }
        ("", "endpoints") if facts.service_selects(namespace, &source.name) => {
            Some("derived from its service's selector")
        }
        ("discovery.k8s.io", "endpointslices") => text(captured, "/metadata/labels/kubernetes.io~1service-name")
            .filter(|service| facts.service_selects(namespace, service))
            .map(|_| "derived from its service's selector"),
        ("", "serviceaccounts") if source.name == "default" => {
            let mut stripped = captured.clone();
            strip(source, &mut stripped);
            let bare = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": source.name, "namespace": namespace}});
            (stripped == bare).then_some("every namespace has its own, and this one says no more")
        }
        _ => None,
    }
}

/// Why the target will not accept the object's type, if it will not.
fn unserved(source: &ObjectKey, facts: &PointFacts, target: &Target) -> Option<String> {
    if target.serves(&source.group, &source.version, &source.resource) || facts.defines(source) {
        return None;
    }
    let versions = target.versions(&source.group, &source.resource);
    Some(if !versions.is_empty() {
        format!("the target serves {} in {} only", source.resource, versions.join(", "))
    } else if wave_of(source).0 == Wave::CustomResources {
        format!("neither the point nor the target defines {}.{}", source.resource, source.group)
    } else {
        format!("the target does not serve {} in {}", source.resource, source.api_version())
    })
}

fn transform(draft: &mut Draft, captured: Value, facts: &PointFacts, context: &mut Context<'_>) {
    let mut object = captured;
    draft.owner_references = match object.pointer_mut("/metadata/ownerReferences").map(Value::take) {
        Some(Value::Array(references)) => references,
        _ => Vec::new(),
    };
    draft.notes = strip(&draft.source, &mut object);
    // The name in the tree decides: an object that names itself otherwise must not land elsewhere.
    set(&mut object, &["apiVersion"], json!(draft.key.api_version()));
    set(&mut object, &["metadata", "name"], json!(draft.key.name));
    if let Some(namespace) = &draft.key.namespace {
        set(&mut object, &["metadata", "namespace"], json!(namespace));
    }
    storage::complete_claim(&draft.source, &mut object, facts, &mut draft.notes);
    let adapted = adapt(&draft.source, &mut object, context);
    draft.notes.extend(adapted.notes);
    draft.hold = adapted.hold;
    draft.object = Some(object);
}

/// Looks at what the target has under this name, and chooses the action.
pub(super) fn settle(draft: &mut Draft, context: &Context<'_>) {
    let is_default_account = draft.key.resource == "serviceaccounts" && draft.key.name == "default";
    let is_merged = context.target.object(&draft.key).is_some_and(|existing| is_same(draft, existing));
    if is_default_account && !is_merged && !context.target.accepts_everything() {
        draft.action = Action::Merge;
        "every namespace has one; this one says more".clone_into(&mut draft.reason);
        return;
    }
    let is_going = draft.key.namespace.as_deref().is_some_and(|home| context.target.is_terminating(home));
    if !context.target.has(&draft.key) || is_going {
        return;
    }
    let existing = context.target.object(&draft.key);
    let is_namespace = draft.wave == Wave::Namespaces;
    let same = existing.is_some_and(|existing| is_same(draft, existing));
    draft.terminating = is_namespace && context.target.is_terminating(&draft.key.name);
    let adopted = existing.is_some_and(|existing| items(existing, "/metadata/ownerReferences").next().is_some());
    if !same || adopted {
        draft.owner_references.clear();
    }
    (draft.action, draft.reason) = if draft.terminating {
        (Action::Create, "on the target, but terminating; waits for its end".to_owned())
    } else if same {
        (Action::Skip, "already there, and the same".to_owned())
    } else if is_namespace || context.options.existing == Existing::Skip {
        (Action::Skip, "already there; left as it is".to_owned())
    } else {
        (Action::Conflict, "already there, and different".to_owned())
    };
    if draft.action != Action::Create {
        draft.standing = Some(if same { Standing::Same } else { Standing::Different });
        draft.object = None;
        draft.hold = None;
        draft.notes.clear();
    }
}

/// Whether the target's object is what this draft would create.
fn is_same(draft: &Draft, existing: &Value) -> bool {
    let mut existing = existing.clone();
    strip(&draft.key, &mut existing);
    set(&mut existing, &["apiVersion"], json!(draft.key.api_version()));
    let Some(wanted) = &draft.object else { return false };
    if draft.key.group.is_empty() && draft.key.resource == "persistentvolumeclaims" {
        // What it is bound to was stripped from the one, and is to be set in the other.
        let mut wanted = wanted.clone();
        strip(&draft.key, &mut wanted);
        return existing == wanted;
    }
    existing == *wanted
}
