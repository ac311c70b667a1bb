//! What the whole point says about single objects: definitions, services, claims, autoscalers.

use std::collections::{BTreeMap, HashMap, HashSet};

use firn_format::object::ObjectKey;
use serde_json::Value;

use super::{RestoreOptions, storage, target_namespace};
use crate::object::{is_true, items, text};
use crate::target::Target;
use crate::transform::adapt::WorkloadName;
use crate::volumes::{ClaimFate, capacity, claim_fates};

/// A claim's namespace and name, as captured.
pub(super) type ClaimName = (String, String);

/// Facts read from the captured objects once, before any of them is moved.
pub(super) struct PointFacts {
    /// Versions that the plan's own definitions will serve, by (group, plural).
    defined: HashMap<(String, String), HashSet<String>>,
    /// Services with a selector, by (namespace, name).
    selecting_services: HashSet<(String, String)>,
    /// What becomes of each captured claim; ordered, since drafts are made from it.
    pub(super) claims: BTreeMap<ClaimName, ClaimFate>,
    /// The size that each claim's volume had, if larger than what the claim asks for.
    pub(super) larger: HashMap<ClaimName, String>,
    /// The claim that each captured volume is bound to, by the volume's name.
    pub(super) claim_of_volume: HashMap<String, ClaimName>,
    /// Names of captured volume attributes classes.
    pub(super) attributes_classes: HashSet<String>,
}

impl PointFacts {
    pub(super) fn of(captured: &[(ObjectKey, Value)], target: &Target, options: &RestoreOptions) -> Self {
        let mut facts = Self {
            defined: HashMap::new(),
            selecting_services: HashSet::new(),
            claims: BTreeMap::new(),
            larger: HashMap::new(),
            claim_of_volume: HashMap::new(),
            attributes_classes: HashSet::new(),
        };
        let mut claims: HashMap<(&str, &str), &Value> = HashMap::new();
        let mut volumes: HashMap<&str, &Value> = HashMap::new();
        for (key, object) in captured {
            let namespace = key.namespace.as_deref().unwrap_or_default();
            match (key.group.as_str(), key.resource.as_str()) {
                ("", "persistentvolumeclaims") => {
                    claims.insert((namespace, &key.name), object);
                }
                ("", "persistentvolumes") => {
                    volumes.insert(&key.name, object);
                }
                ("", "services") if has_selector(object) => {
                    facts.selecting_services.insert((namespace.to_owned(), key.name.clone()));
                }
                ("storage.k8s.io", "volumeattributesclasses") => {
                    facts.attributes_classes.insert(key.name.clone());
                }
                ("apiextensions.k8s.io", "customresourcedefinitions")
                    if target.accepts_everything() || !target.has(key) =>
                {
                    facts.define(object);
                }
                _ => {}
            }
        }
        facts.read_claims(&claims, &volumes, target, options);
        facts
    }

    fn read_claims(
        &mut self,
        claims: &HashMap<(&str, &str), &Value>,
        volumes: &HashMap<&str, &Value>,
        target: &Target,
        options: &RestoreOptions,
    ) {
        for ((namespace, name), claim) in claims {
            let claim_name = ((*namespace).to_owned(), (*name).to_owned());
            let volume = text(claim, "/spec/volumeName");
            if let Some(volume) = volume.filter(|volume| !volume.is_empty()) {
                self.claim_of_volume.insert(volume.to_owned(), claim_name.clone());
            }
            let size = capacity(claim, volume.and_then(|volume| volumes.get(volume)).copied());
            if text(claim, "/spec/resources/requests/storage").is_some_and(|asked| asked != size) {
                self.larger.insert(claim_name, size);
            }
        }
        let has_contents =
            |namespace: &str, name: &str| options.volumes_in_point.contains(&(namespace.to_owned(), name.to_owned()));
        let fates = claim_fates(claims, volumes, has_contents, &options.volumes, |namespace| {
            target_namespace(options, namespace)
        });
        self.claims = fates.into_iter().collect();
        for (claim, fate) in &mut self.claims {
            let (namespace, name) = claim;
            if let (ClaimFate::Local { .. } | ClaimFate::Beside(_), Some(reason)) =
                (&*fate, options.volumes_in_the_way.get(claim))
                && !storage::is_claim_there(namespace, name, target, options)
            {
                *fate = ClaimFate::NotRestored(reason.clone());
            }
            if let ClaimFate::Local { volume, .. } = fate
                // A claim that is there keeps the volume that it has; no new one needs a name.
                && !storage::is_claim_there(namespace, name, target, options)
                && let Err(reason) = storage::fit_volume(volume, namespace, name, target, options)
            {
                *fate = ClaimFate::NotRestored(reason);
            }
        }
    }

    fn define(&mut self, definition: &Value) {
        let (Some(group), Some(plural)) = (text(definition, "/spec/group"), text(definition, "/spec/names/plural"))
        else {
            return;
        };
        let served = items(definition, "/spec/versions").filter(|version| is_true(version, "/served"));
        self.defined
            .entry((group.to_owned(), plural.to_owned()))
            .or_default()
            .extend(served.filter_map(|version| text(version, "/name").map(str::to_owned)));
    }

    /// Whether a definition of the plan will serve this version.
    pub(super) fn defines(&self, key: &ObjectKey) -> bool {
        let versions = self.defined.get(&(key.group.clone(), key.resource.clone()));
        versions.is_some_and(|versions| versions.contains(&key.version))
    }

    /// Whether the endpoints controller makes the endpoints of this service.
    pub(super) fn service_selects(&self, namespace: &str, service: &str) -> bool {
        self.selecting_services.contains(&(namespace.to_owned(), service.to_owned()))
    }

    /// Claims that had a volume and are not restored.
    pub(super) fn unrestored_claims(&self) -> HashSet<ClaimName> {
        let lost = self.claims.iter().filter(|(_, fate)| matches!(fate, ClaimFate::NotRestored(_)));
        lost.map(|(name, _)| name.clone()).collect()
    }

    /// The bounds of each autoscaler, by the workload that it drives.
    pub(super) fn autoscalers(&self, captured: &[(ObjectKey, Value)]) -> HashMap<WorkloadName, (u64, u64)> {
        captured
            .iter()
            .filter(|(key, _)| key.group == "autoscaling" && key.resource == "horizontalpodautoscalers")
            .filter_map(|(key, scaler)| {
                let workload = (
                    key.namespace.clone()?,
                    text(scaler, "/spec/scaleTargetRef/kind")?.to_owned(),
                    text(scaler, "/spec/scaleTargetRef/name")?.to_owned(),
                );
                let min = scaler.pointer("/spec/minReplicas").and_then(Value::as_u64).unwrap_or(1);
                let max = scaler.pointer("/spec/maxReplicas").and_then(Value::as_u64)?;
                Some((workload, (min, max)))
            })
            .collect()
    }
}

fn has_selector(service: &Value) -> bool {
    service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|selector| !selector.is_empty())
}
