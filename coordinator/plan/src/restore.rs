//! Restore: a point and a target in, a numbered list of steps out.

mod adoption;
mod draft;
mod facts;
mod order;
mod storage;
mod waves;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use firn_format::object::ObjectKey;
use serde_json::{Value, json};

use crate::step::{Action, Hold, RestorePlan, Step, Wave};
use crate::target::{Place, Target};
use crate::transform::adapt::{Context, target_defaults};
use crate::transform::services::NodePorts;
use crate::volumes::VolumeTarget;
use draft::Draft;
pub(crate) use draft::NEW;
use facts::PointFacts;

/// Annotation of a held object: the JSON merge patch that releases it.
pub const RELEASE_ANNOTATION: &str = "firn.io/release";

/// What happens when an object of the point exists on the target and differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// The restore fails before it writes anything.
    #[default]
    Fail,
    /// The object on the target is left as it is.
    Skip,
}

/// Replica counts of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replicas {
    /// As captured.
    #[default]
    Keep,
    /// Zero; the captured count stands in the hold.
    Zero,
}

/// What the user chose.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// What happens to objects that exist.
    pub existing: Existing,
    /// Old namespace to new namespace; the others keep their names.
    pub namespace_map: BTreeMap<String, String>,
    /// Old storage class to new storage class.
    pub storage_class_map: BTreeMap<String, String>,
    /// Replica counts.
    pub replicas: Replicas,
    /// Whether schedules, running Jobs, GitOps syncs and external DNS are restored held, until they are released.
    pub hold: bool,
    /// Where the contents of volumes go.
    pub volumes: VolumeTarget,
    /// The volumes whose contents the point holds, as (namespace, claim).
    pub volumes_in_point: BTreeSet<(String, String)>,
    /// Those of them whose place holds other data, and what it is: nothing is written there.
    pub volumes_in_the_way: BTreeMap<(String, String), String>,
}

impl RestoreOptions {
    /// Where a namespace of the point goes.
    #[must_use]
    pub fn target_namespace(&self, namespace: &str) -> String {
        self.namespace_map.get(namespace).map_or(namespace, String::as_str).to_owned()
    }

    /// What a volume comes to whose place holds other data.
    fn in_the_way(&self) -> Action {
        if self.existing == Existing::Fail { Action::Conflict } else { Action::NotRestored }
    }
}

/// Plans the restore of `captured` onto `target`. Every captured object and every volume stands in exactly one step that
/// says what becomes of it; owner references and synthesised namespaces come as further steps. The plan depends on
/// nothing but its inputs, and not on the order of `captured`.
#[must_use]
pub fn plan(
    captured: impl IntoIterator<Item = (ObjectKey, Value)>,
    target: &Target,
    options: &RestoreOptions,
) -> RestorePlan {
    let mut captured: Vec<(ObjectKey, Value)> = captured.into_iter().collect();
    captured.sort_by(|a, b| a.0.cmp(&b.0));
    let facts = PointFacts::of(&captured, target, options);
    let mut context = Context {
        options,
        target,
        autoscalers: facts.autoscalers(&captured),
        unrestored_claims: facts.unrestored_claims(),
        attributes_classes: facts.attributes_classes.clone(),
        node_ports: NodePorts::of(target),
        defaults: target_defaults(target),
    };
    let mut drafts: Vec<Draft> = storage::volume_drafts(&facts, &context);
    for (key, object) in captured {
        drafts.extend(draft::draft(key, object, &facts, &mut context));
    }
    add_namespaces(&mut drafts, target);
    refuse_duplicates(&mut drafts);
    order::rank_by_references(&mut drafts);
    let adoptions = adoption::adoptions(&mut drafts, target);
    drafts.extend(adoptions);
    let warnings = warnings(&drafts, target, options);
    number(drafts, warnings, options)
}

/// Where a namespace goes.
fn target_namespace(options: &RestoreOptions, namespace: &str) -> String {
    options.target_namespace(namespace)
}

/// Makes the namespaces that objects need, and that neither the point nor the target has.
fn add_namespaces(drafts: &mut Vec<Draft>, target: &Target) {
    if target.accepts_everything() {
        return;
    }
    let key_of = |name: &str| ObjectKey {
        group: String::new(),
        version: "v1".to_owned(),
        resource: "namespaces".to_owned(),
        namespace: None,
        name: name.to_owned(),
    };
    let planned: BTreeSet<String> =
        drafts.iter().filter(|d| d.wave == Wave::Namespaces).map(|d| d.key.name.clone()).collect();
    let needed: BTreeSet<String> =
        drafts.iter().filter(|d| d.action.is_work()).filter_map(|d| d.key.namespace.clone()).collect();
    for name in needed {
        if planned.contains(&name) || target.has(&key_of(&name)) {
            continue;
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let reason = "objects of the plan live in it; the point does not hold it";
        drafts.push(Draft::new(key_of(&name), "Namespace", Wave::Namespaces, Action::Create, reason).with(object));
    }
}

/// Of several captured objects that would land on one name (a namespace map can do that), the first is restored.
fn refuse_duplicates(drafts: &mut [Draft]) {
    let mut first: HashMap<Place, String> = HashMap::new();
    for draft in drafts.iter_mut().filter(|draft| matches!(draft.action, Action::Create | Action::Merge)) {
        let Some(source) = first.get(&Place::of(&draft.key)) else {
            first.insert(Place::of(&draft.key), draft.source.to_string());
            continue;
        };
        draft.object = None;
        draft.hold = None;
        draft.owner_references.clear();
        if draft.wave == Wave::Namespaces {
            draft.action = Action::Skip;
            draft.reason = format!("{source} becomes the same namespace");
        } else {
            draft.action = Action::Conflict;
            draft.reason = format!("{source} takes this name");
        }
    }
}

fn warnings(drafts: &[Draft], target: &Target, options: &RestoreOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    let created: BTreeSet<&str> = drafts
        .iter()
        .filter(|draft| draft.key.resource == "storageclasses" && draft.action == Action::Create)
        .map(|draft| draft.key.name.as_str())
        .collect();
    let known: BTreeSet<&str> = target.objects_of("storage.k8s.io", "storageclasses").map(|(name, _)| name).collect();
    if !target.accepts_everything() {
        for (from, to) in &options.storage_class_map {
            if !known.contains(to.as_str()) && !created.contains(to.as_str()) {
                warnings.push(format!("storage class map {from}={to}: the target has no class {to}"));
            }
        }
    }
    for name in drafts.iter().filter(|draft| draft.terminating).map(|draft| &draft.key.name) {
        warnings.push(format!("namespace {name} is terminating on the target: the restore waits for its end"));
    }
    warnings
}

/// Puts the drafts into their final order and gives them numbers.
fn number(mut drafts: Vec<Draft>, warnings: Vec<String>, options: &RestoreOptions) -> RestorePlan {
    drafts.sort_by(|a, b| (a.wave, a.rank, &a.key, a.action).cmp(&(b.wave, b.rank, &b.key, b.action)));
    let mut holds = Vec::new();
    let mut steps = Vec::with_capacity(drafts.len());
    for (draft, number) in drafts.into_iter().zip(1..) {
        if let Some((reason, release)) = draft.hold {
            holds.push(Hold { key: draft.key.clone(), reason, release });
        }
        steps.push(Step {
            number,
            wave: draft.wave,
            rank: draft.rank,
            action: draft.action,
            key: draft.key,
            kind: draft.kind,
            reason: draft.reason,
            notes: draft.notes,
            standing: draft.standing,
            object: draft.object,
            owners: draft.owners,
            volume: draft.volume,
        });
    }
    RestorePlan { steps, holds, warnings, conflicts_refuse: options.existing == Existing::Fail }
}

#[cfg(test)]
mod tests;
