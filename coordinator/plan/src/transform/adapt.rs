//! Applies the options and the facts about the target to a stripped object.

use std::collections::{HashMap, HashSet};

use firn_format::object::ObjectKey;
use serde_json::{Value, json};

use super::hold;
use super::namespaces::map_references;
use super::services::{NodePorts, release_taken_ports};
use crate::object::{annotation, is_true, items, items_mut, remove, set, text};
use crate::restore::{Replicas, RestoreOptions};
use crate::target::Target;

/// The annotations that make a storage class the default.
const DEFAULT_STORAGE_ANNOTATIONS: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// The annotation that makes an ingress class the default.
const DEFAULT_INGRESS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// Kinds of which at most one object may be the default.
const DEFAULT_KINDS: &[(&str, &str)] = &[
    ("storage.k8s.io", "storageclasses"),
    ("networking.k8s.io", "ingressclasses"),
    ("scheduling.k8s.io", "priorityclasses"),
];

/// A workload's namespace, kind and name.
pub(crate) type WorkloadName = (String, String, String);

/// What the whole point and the target say about single objects.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a RestoreOptions,
    pub(crate) target: &'a Target,
    /// Bounds of the autoscaler that drives a workload, by captured name.
    pub(crate) autoscalers: HashMap<WorkloadName, (u64, u64)>,
    /// Claims (captured namespace, name) that are not restored though they had a volume.
    pub(crate) unrestored_claims: HashSet<(String, String)>,
    /// Volume attributes classes of the point.
    pub(crate) attributes_classes: HashSet<String>,
    /// The node ports that services of the target hold.
    pub(crate) node_ports: NodePorts,
    /// The default that each of the default kinds has by now, by resource: of the target, or created by this plan.
    pub(crate) defaults: HashMap<&'static str, String>,
}

/// What adapting an object said.
#[derive(Default)]
pub(crate) struct Adapted {
    pub(crate) notes: Vec<String>,
    /// Reason and merge patch of a hold.
    pub(crate) hold: Option<(String, Value)>,
}

/// The defaults that the target has.
pub(crate) fn target_defaults(target: &Target) -> HashMap<&'static str, String> {
    let default_of = |(group, resource): &(&'static str, &'static str)| {
        // The smallest name, so that the plan does not depend on the order of a map.
        let names = target.objects_of(group, resource).filter(|(_, object)| is_default(resource, object));
        names.map(|(name, _)| name.to_owned()).min().map(|name| (*resource, name))
    };
    DEFAULT_KINDS.iter().filter_map(default_of).collect()
}

/// Adapts `object`, whose captured name is `source`.
pub(crate) fn adapt(source: &ObjectKey, object: &mut Value, context: &mut Context<'_>) -> Adapted {
    let mut adapted = Adapted::default();
    map_references(object, &context.options.namespace_map);
    match (source.group.as_str(), source.resource.as_str()) {
        ("", "persistentvolumeclaims") => {
            adapted.notes.extend(map_class(object, "/spec", context));
            adapted.notes.extend(drop_attributes_class(object, context));
        }
        ("", "services") => adapted.notes.extend(release_taken_ports(object, &context.node_ports)),
        ("apps", "statefulsets") => {
            for template in items_mut(object, "/spec/volumeClaimTemplates") {
                adapted.notes.extend(map_class(template, "/spec", context));
            }
        }
        _ => {}
    }
    if let Some((_, resource)) = DEFAULT_KINDS.iter().find(|kind| **kind == (&*source.group, &*source.resource)) {
        adapted.notes.extend(one_default(resource, source, object, context));
    }
    scale(source, object, context, &mut adapted);
    if context.options.hold
        && let Some((reason, release)) = hold::hold(source, object)
    {
        adapted.notes.push(format!("held: {reason}"));
        adapted.hold = Some((reason, release));
    }
    adapted
}

fn map_class(object: &mut Value, pointer: &str, context: &Context<'_>) -> Option<String> {
    let class = text(object, &format!("{pointer}/storageClassName"))?;
    let mapped = context.options.storage_class_map.get(class)?;
    let note = format!("storage class {class} -> {mapped}");
    set(object, &["spec", "storageClassName"], Value::String(mapped.clone()));
    Some(note)
}

/// A volume attributes class that the target lacks would leave the claim pending.
fn drop_attributes_class(claim: &mut Value, context: &Context<'_>) -> Option<String> {
    let class = text(claim, "/spec/volumeAttributesClassName")?;
    let mut known = context.target.objects_of("storage.k8s.io", "volumeattributesclasses");
    if context.attributes_classes.contains(class) || known.any(|(name, _)| name == class) {
        return None;
    }
    let note = format!("volume attributes class {class} not kept: the target has none of this name");
    remove(claim, "/spec", "volumeAttributesClassName");
    Some(note)
}

/// A second default class would make the choice between them a matter of chance.
fn one_default(
    resource: &'static str,
    source: &ObjectKey,
    object: &mut Value,
    context: &mut Context<'_>,
) -> Option<String> {
    if !is_default(resource, object) {
        return None;
    }
    let default = context.defaults.entry(resource).or_insert_with(|| source.name.clone());
    if *default == source.name {
        return None;
    }
    match resource {
        "storageclasses" => {
            for name in DEFAULT_STORAGE_ANNOTATIONS {
                if annotation(object, name).is_some() {
                    set(object, &["metadata", "annotations", name], json!("false"));
                }
            }
        }
        "ingressclasses" => set(object, &["metadata", "annotations", DEFAULT_INGRESS_ANNOTATION], json!("false")),
        _ => set(object, &["globalDefault"], json!(false)),
    }
    Some(format!("no longer the default: {default} is"))
}

fn is_default(resource: &str, object: &Value) -> bool {
    let says = |name: &str| annotation(object, name) == Some("true");
    match resource {
        "storageclasses" => DEFAULT_STORAGE_ANNOTATIONS.iter().any(|name| says(name)),
        "ingressclasses" => says(DEFAULT_INGRESS_ANNOTATION),
        _ => is_true(object, "/globalDefault"),
    }
}

/// Replicas: held at zero, clamped to the autoscaler's bounds, or as captured.
fn scale(source: &ObjectKey, object: &mut Value, context: &Context<'_>, adapted: &mut Adapted) {
    let scales = matches!(
        (source.group.as_str(), source.resource.as_str()),
        ("apps", "deployments" | "statefulsets" | "replicasets") | ("", "replicationcontrollers")
    );
    if !scales {
        return;
    }
    clamp_to_autoscaler(source, object, context, adapted);
    let reason = if let Some(claim) = empty_claim(source, object, context) {
        format!("claim {claim} is not restored; the workload would make an empty one in its place")
    } else if context.options.replicas == Replicas::Zero {
        "restored at zero replicas".to_owned()
    } else {
        return;
    };
    if let Some(release) = hold::scale_to_zero(object) {
        adapted.notes.push(format!("held at zero replicas: {reason}"));
        adapted.hold = Some((reason, release));
    }
}

/// What was captured may be a peak or a moment outside the bounds. Zero stays: it was somebody's decision.
fn clamp_to_autoscaler(source: &ObjectKey, object: &mut Value, context: &Context<'_>, adapted: &mut Adapted) {
    let name =
        (source.namespace.clone().unwrap_or_default(), crate::object::kind(object).to_owned(), source.name.clone());
    let Some((min, max)) = context.autoscalers.get(&name) else { return };
    let Some(replicas) = object.pointer("/spec/replicas").and_then(Value::as_u64).filter(|count| *count > 0) else {
        return;
    };
    let clamped = replicas.max(*min).min((*max).max(*min));
    if clamped != replicas {
        set(object, &["spec", "replicas"], json!(clamped));
        adapted.notes.push(format!("replicas {replicas} -> {clamped}, within its autoscaler's bounds"));
    }
}

/// The first claim of a StatefulSet's templates that had contents and is not restored.
fn empty_claim(source: &ObjectKey, object: &Value, context: &Context<'_>) -> Option<String> {
    if source.resource != "statefulsets" || context.unrestored_claims.is_empty() {
        return None;
    }
    let namespace = source.namespace.as_deref()?;
    let prefixes: Vec<String> = items(object, "/spec/volumeClaimTemplates")
        .filter_map(|template| Some(format!("{}-{}-", text(template, "/metadata/name")?, source.name)))
        .collect();
    let is_of_template = |claim: &str| {
        prefixes
            .iter()
            .filter_map(|prefix| claim.strip_prefix(prefix.as_str()))
            .any(|ordinal| !ordinal.is_empty() && ordinal.bytes().all(|b| b.is_ascii_digit()))
    };
    let claims = context.unrestored_claims.iter().filter(|(home, claim)| home == namespace && is_of_template(claim));
    claims.map(|(_, claim)| claim.clone()).min()
}
