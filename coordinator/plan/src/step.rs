//! The restore plan: numbered steps in waves, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use firn_format::object::ObjectKey;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::object::{items, text};

/// A wave of a restore. Waves run one after another in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wave {
    /// Custom resource definitions.
    Definitions,
    /// Namespaces.
    Namespaces,
    /// Storage classes, volume contents, persistent volumes, claims.
    Storage,
    /// Service accounts, secrets, config maps, limit ranges, priority classes.
    Configuration,
    /// Roles and their bindings.
    Access,
    /// Services, endpoints of services without selector, ingresses, network policies.
    Services,
    /// Whatever runs pods.
    Workloads,
    /// Objects of kinds that a custom resource definition defines.
    CustomResources,
    /// Every other kind.
    Rest,
    /// Quotas, disruption budgets, autoscalers: they would reject or disturb what comes before.
    Limits,
    /// Second pass: owner references with the new uids.
    Adoption,
    /// Aggregated API services; their backends run by then.
    ApiServices,
    /// Admission webhooks and policies: last, since they may refuse all the others.
    Admission,
}

/// What an executor waits for before or after a wave. A wait is bounded; what does not hold by its end is told, and the
/// restore goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Every definition created is Established; discovery is then read again.
    Established,
    /// No namespace that the plan uses is Terminating.
    NamespacesActive,
    /// Every API service created is Available: its backend answers.
    ApiServicesAvailable,
    /// The services that the webhooks to be created call have ready backends. A webhook without one refuses what it guards.
    BackendsReady,
}

impl Wave {
    /// What should hold before this wave begins.
    #[must_use]
    pub fn entry_gate(self) -> Option<Gate> {
        (self == Self::Admission).then_some(Gate::BackendsReady)
    }

    /// What should hold before the next wave begins.
    #[must_use]
    pub fn gate(self) -> Option<Gate> {
        match self {
            Self::Definitions => Some(Gate::Established),
            Self::Namespaces => Some(Gate::NamespacesActive),
            Self::ApiServices => Some(Gate::ApiServicesAvailable),
            _ => None,
        }
    }

    /// The wave's name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Definitions => "custom resource definitions",
            Self::Namespaces => "namespaces",
            Self::Storage => "storage",
            Self::Configuration => "configuration",
            Self::Access => "access (RBAC)",
            Self::Services => "services",
            Self::Workloads => "workloads",
            Self::CustomResources => "custom resources",
            Self::Rest => "everything else",
            Self::Limits => "quotas, budgets, autoscalers",
            Self::Adoption => "owner references",
            Self::ApiServices => "API services",
            Self::Admission => "admission webhooks and policies",
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Create the object. One that exists by then is a conflict of that moment.
    Create,
    /// Create the object; if it exists, lay the object over it as a JSON merge patch. Only for objects that the
    /// target makes by itself (a namespace's `default` service account).
    Merge,
    /// Write a volume's contents to `volume.path` and verify them.
    Fill,
    /// Set `metadata.ownerReferences` of the object to `owners`, with the uids that they have on the target.
    Adopt,
    /// Nothing to do, and nothing is missing for it: already there, or made anew by the target.
    Skip,
    /// The object is in the way of one on the target. Nothing is overwritten.
    Conflict,
    /// The object stays behind. An exception: the restore is not whole.
    NotRestored,
}

impl Action {
    /// Whether an executor has something to do.
    #[must_use]
    pub fn is_work(self) -> bool {
        matches!(self, Self::Create | Self::Merge | Self::Fill | Self::Adopt)
    }

    /// Whether the restore is not whole because of this step.
    #[must_use]
    pub fn is_exception(self) -> bool {
        matches!(self, Self::Conflict | Self::NotRestored)
    }

    /// The word that plans show, as in the JSON form.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Merge => "merge",
            Self::Fill => "fill",
            Self::Adopt => "adopt",
            Self::Skip => "skip",
            Self::Conflict => "conflict",
            Self::NotRestored => "not-restored",
        }
    }
}

/// What the target has under an object's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// What the restore would create.
    Same,
    /// Another object.
    Different,
}

/// One step of a restore.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Position in the plan, from 1, without holes.
    pub number: u32,
    /// The wave that it belongs to.
    pub wave: Wave,
    /// Order within the wave: steps of equal wave and rank need nothing of each other.
    pub rank: u32,
    /// What is done.
    pub action: Action,
    /// The object's name on the target. For `Fill`: the claim's.
    pub key: ObjectKey,
    /// Kind of the object.
    pub kind: String,
    /// Why this action; one clause.
    pub reason: String,
    /// What the transformation changed beyond the usual strip, one clause each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the target has under this name; for `Skip` and `Conflict` only, and none if it has nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// The object as it is sent; for `Create` and `Merge` only. JSON output hides the contents of Secrets.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "without_secrets")]
    pub object: Option<Value>,
    /// The owners to set; for `Adopt` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<Owner>,
    /// The contents to write; for `Fill` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeFill>,
}

/// An owner reference whose uid is known only once the owner exists on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The owner's name on the target.
    pub key: ObjectKey,
    /// The owner's kind.
    pub kind: String,
    /// As in the captured reference; none if it was not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// As in the captured reference; none if it was not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// Volume contents that are to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeFill {
    /// The claim's namespace in the point (`volumes/<namespace>/<claim>`), before any namespace map.
    pub namespace: String,
    /// The claim's name in the point.
    pub claim: String,
    /// The folder to make and fill.
    pub path: PathBuf,
}

/// Something restored so that it does not act yet, and the JSON merge patch that releases it. The patch also stands on
/// the object, as annotation [`RELEASE_ANNOTATION`](crate::restore::RELEASE_ANNOTATION).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hold {
    /// The object's name on the target.
    pub key: ObjectKey,
    /// Why it is held.
    pub reason: String,
    /// Merge patch that gives it back what it was captured with and removes the annotation.
    pub release: Value,
}

/// An immutable, numbered list of steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestorePlan {
    /// The steps, ordered by wave and rank.
    pub steps: Vec<Step>,
    /// What is held back until traffic is switched.
    pub holds: Vec<Hold>,
    /// What concerns the plan as a whole.
    pub warnings: Vec<String>,
    /// Whether any conflict forbids all writing (`--existing fail`).
    pub(crate) conflicts_refuse: bool,
}

impl RestorePlan {
    /// The steps in batches of equal wave and rank, in order. Within a batch all may run at once.
    pub fn batches(&self) -> impl Iterator<Item = &[Step]> {
        self.steps.chunk_by(|a, b| (a.wave, a.rank) == (b.wave, b.rank))
    }

    /// How many steps there are of each action.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Action, usize> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            *counts.entry(step.action).or_default() += 1;
        }
        counts
    }

    /// The steps that leave the restore not whole.
    pub fn exceptions(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action.is_exception())
    }

    /// The services that the webhooks to be created call, sorted.
    #[must_use]
    pub fn webhook_backends(&self) -> Vec<ObjectKey> {
        let made = self.steps.iter().filter(|step| step.key.group == "admissionregistration.k8s.io");
        let webhooks = made.filter_map(|step| step.object.as_ref()).flat_map(|object| items(object, "/webhooks"));
        let called = webhooks.filter_map(|webhook| {
            let service = |field: &str| text(webhook, &format!("/clientConfig/service/{field}")).map(str::to_owned);
            Some(ObjectKey {
                group: String::new(),
                version: "v1".to_owned(),
                resource: "services".to_owned(),
                namespace: Some(service("namespace")?),
                name: service("name")?,
            })
        });
        called.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Why nothing of this plan may be executed, if so: an object exists and the options say that this must fail.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let mut conflicts = self.steps.iter().filter(|step| step.action == Action::Conflict);
        let first = conflicts.next().filter(|_| self.conflicts_refuse)?;
        let others = conflicts.count();
        let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        Some(format!("{}: {}{more}", first.key, first.reason))
    }
}

/// A plan is shown and kept; what Secrets contain is neither.
fn without_secrets<S: Serializer>(object: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    let is_secret = |value: &Value| {
        value.get("kind").and_then(Value::as_str) == Some("Secret")
            && value.get("apiVersion").and_then(Value::as_str) == Some("v1")
    };
    match object {
        Some(value) if is_secret(value) => {
            let mut shown = value.clone();
            for field in ["data", "stringData"] {
                let entries = shown.get_mut(field).and_then(Value::as_object_mut);
                for (_, content) in entries.into_iter().flatten() {
                    let bytes = content.as_str().map_or(0, str::len);
                    *content = Value::String(format!("({bytes} bytes hidden)"));
                }
            }
            // The last applied configuration repeats the data in clear.
            if let Some(annotations) = shown.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
            shown.serialize(serializer)
        }
        other => other.serialize(serializer),
    }
}
