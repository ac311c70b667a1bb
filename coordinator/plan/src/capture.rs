//! What is captured: the rules that leave objects out, and the user's selection.

mod table;

use std::borrow::Cow;

use firn_format::object::ResourceType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::{annotation, controller, items, kind, labels, text};
use crate::selector::Selector;

/// One row of the table of what is left out. All conditions that are set must hold; at least one must be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Short name, shown in reports.
    pub id: Cow<'static, str>,
    /// Why the object needs no capture, for people.
    pub reason: Cow<'static, str>,
    /// API groups; empty for all. The core group is `""`.
    #[serde(default)]
    pub groups: Cow<'static, [Cow<'static, str>]>,
    /// Plural resource names, a leading or trailing `*` allowed; empty for all.
    #[serde(default)]
    pub resources: Cow<'static, [Cow<'static, str>]>,
    /// Namespaces (of the object, or the Namespace object itself), `*` as above; empty for all.
    #[serde(default)]
    pub namespaces: Cow<'static, [Cow<'static, str>]>,
    /// Object names, `*` as above; empty for all.
    #[serde(default)]
    pub names: Cow<'static, [Cow<'static, str>]>,
    /// A label: `key` (exists) or `key=value`.
    #[serde(default)]
    pub label: Option<Cow<'static, str>>,
    /// An annotation: `key` (exists) or `key=value`.
    #[serde(default)]
    pub annotation: Option<Cow<'static, str>>,
    /// The `type` field, as Secrets have it.
    #[serde(default, rename = "type")]
    pub object_type: Option<Cow<'static, str>>,
    /// Kind of the controlling owner; `*` for any controlling owner.
    #[serde(default)]
    pub controller: Option<Cow<'static, str>>,
    /// A condition that the columns cannot express.
    #[serde(default)]
    pub when: Option<When>,
    /// Whether naming the object's namespace in the selection overrules this row.
    #[serde(default)]
    pub unless_selected: bool,
}

/// Conditions of a rule that need code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The object has a deletion timestamp.
    Terminating,
    /// Endpoints whose addresses are pods: the endpoints controller made them.
    EndpointsOfPods,
    /// A service account token that the cluster made by itself: `<account>-token-<5 characters>`.
    AutomaticToken,
}

/// The table of rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    rows: Vec<Rule>,
}

/// What the user wants captured; the default is everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// These namespaces only, and the cluster-scoped objects that they stand on; empty for all.
    pub namespaces: Vec<String>,
    /// Objects with these labels only, and what they stand on (namespaces, definitions, volumes, classes).
    pub selector: Option<Selector>,
}

/// What is done with one object or type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It belongs into the point.
    Keep,
    /// A rule leaves it out.
    LeaveOut {
        /// The rule's name.
        rule: String,
        /// The rule's reason.
        reason: String,
    },
    /// The user did not ask for it.
    NotSelected,
}

impl Rules {
    /// The rules that Firn brings.
    #[must_use]
    pub fn built_in() -> Self {
        Self { rows: table::ROWS.to_vec() }
    }

    /// These rules and the user's. A user's row with the id of an earlier row takes its place.
    #[must_use]
    pub fn with(mut self, rows: impl IntoIterator<Item = Rule>) -> Self {
        for row in rows {
            self.rows.retain(|earlier| earlier.id != row.id);
            self.rows.push(row);
        }
        self
    }

    /// The table, for people to read.
    #[must_use]
    pub fn rows(&self) -> &[Rule] {
        &self.rows
    }

    /// Decides for a whole type, so that what no object of it could pass is not even listed.
    #[must_use]
    pub fn decide_type(&self, resource: &ResourceType, verbs: &[String]) -> Decision {
        if !["list", "create"].iter().all(|needed| verbs.iter().any(|verb| verb == needed)) {
            return Decision::LeaveOut {
                rule: "not-restorable".to_owned(),
                reason: "the API server does not offer both list and create".to_owned(),
            };
        }
        let row = self.rows.iter().find(|row| row.is_about_type_only() && row.matches_type(resource));
        row.map_or(Decision::Keep, Rule::leave_out)
    }

    /// Decides for one object. A rule's reason goes before the selection: "was terminating" is told even so.
    #[must_use]
    pub fn decide(&self, resource: &ResourceType, object: &Value, selection: &Selection) -> Decision {
        if !selection.has(resource, object) {
            return Decision::NotSelected;
        }
        let row = self.rows.iter().find(|row| {
            row.matches_type(resource)
                && row.matches_object(resource, object)
                && !(row.unless_selected && selection.names_namespace_of(resource, object))
        });
        row.map_or(Decision::Keep, Rule::leave_out)
    }
}

impl Rule {
    fn leave_out(&self) -> Decision {
        Decision::LeaveOut { rule: self.id.to_string(), reason: self.reason.to_string() }
    }

    fn is_about_type_only(&self) -> bool {
        self.namespaces.is_empty()
            && self.names.is_empty()
            && self.label.is_none()
            && self.annotation.is_none()
            && self.object_type.is_none()
            && self.controller.is_none()
            && self.when.is_none()
    }

    fn matches_type(&self, resource: &ResourceType) -> bool {
        // A row without any condition would leave out everything: it leaves out nothing.
        let is_empty = self.is_about_type_only() && self.groups.is_empty() && self.resources.is_empty();
        !is_empty
            && (self.groups.is_empty() || self.groups.iter().any(|group| *group == resource.group))
            && any_glob(&self.resources, &resource.resource)
    }

    fn matches_object(&self, resource: &ResourceType, object: &Value) -> bool {
        let name = text(object, "/metadata/name").unwrap_or_default();
        let namespace = home(resource, object);
        let pair = |wanted: &str, found: &dyn Fn(&str) -> Option<String>| match wanted.split_once('=') {
            Some((key, value)) => found(key).as_deref() == Some(value),
            None => found(wanted).is_some(),
        };
        let label = |key: &str| Some(labels(object)?.get(key)?.as_str()?.to_owned());
        let note = |key: &str| annotation(object, key).map(str::to_owned);
        (self.namespaces.is_empty() || namespace.is_some_and(|home| any_glob(&self.namespaces, home)))
            && any_glob(&self.names, name)
            && self.label.as_deref().is_none_or(|wanted| pair(wanted, &label))
            && self.annotation.as_deref().is_none_or(|wanted| pair(wanted, &note))
            && self.object_type.as_deref().is_none_or(|wanted| text(object, "/type") == Some(wanted))
            && self
                .controller
                .as_deref()
                .is_none_or(|wanted| controller(object).is_some_and(|owner| wanted == "*" || kind(owner) == wanted))
            && self.when.is_none_or(|when| when.holds(object, name))
    }
}

impl When {
    fn holds(self, object: &Value, name: &str) -> bool {
        match self {
            Self::Terminating => object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null()),
            Self::EndpointsOfPods => items(object, "/subsets")
                .flat_map(|subset| items(subset, "/addresses").chain(items(subset, "/notReadyAddresses")))
                .any(|address| text(address, "/targetRef/kind") == Some("Pod")),
            Self::AutomaticToken => annotation(object, "kubernetes.io/service-account.name")
                .and_then(|account| name.strip_prefix(account)?.strip_prefix("-token-"))
                .is_some_and(|tail| tail.len() == 5 && tail.bytes().all(|b| b.is_ascii_alphanumeric())),
        }
    }
}

impl Selection {
    fn names_namespace_of(&self, resource: &ResourceType, object: &Value) -> bool {
        home(resource, object).is_some_and(|home| self.namespaces.iter().any(|name| name == home))
    }

    fn has(&self, resource: &ResourceType, object: &Value) -> bool {
        let of_namespace =
            self.namespaces.is_empty() || self.names_namespace_of(resource, object) || self.stands_on(resource, object);
        let stands_under = matches!(
            (resource.group.as_str(), resource.resource.as_str()),
            ("", "namespaces" | "persistentvolumes")
                | ("apiextensions.k8s.io", "customresourcedefinitions")
                | ("storage.k8s.io", "storageclasses")
        );
        let of_selector = self.selector.as_ref().is_none_or(|s| stands_under || s.matches(labels(object)));
        of_namespace && of_selector
    }

    /// Whether a cluster-scoped object belongs to what the selected namespaces stand on.
    fn stands_on(&self, resource: &ResourceType, object: &Value) -> bool {
        let selected = |name: Option<&str>| name.is_some_and(|name| self.namespaces.iter().any(|n| n == name));
        match (resource.group.as_str(), resource.resource.as_str()) {
            ("apiextensions.k8s.io", "customresourcedefinitions")
            | ("storage.k8s.io", "storageclasses")
            | ("scheduling.k8s.io", "priorityclasses")
            | ("networking.k8s.io", "ingressclasses")
            | ("node.k8s.io", "runtimeclasses")
            | ("rbac.authorization.k8s.io", "clusterroles") => true,
            ("", "persistentvolumes") => selected(text(object, "/spec/claimRef/namespace")),
            ("rbac.authorization.k8s.io", "clusterrolebindings") => {
                items(object, "/subjects").any(|subject| selected(text(subject, "/namespace")))
            }
            ("admissionregistration.k8s.io", _) => {
                items(object, "/webhooks").any(|hook| selected(text(hook, "/clientConfig/service/namespace")))
            }
            ("apiregistration.k8s.io", "apiservices") => selected(text(object, "/spec/service/namespace")),
            _ => false,
        }
    }
}

/// The namespace that an object lives in or, for a Namespace, is.
fn home<'a>(resource: &ResourceType, object: &'a Value) -> Option<&'a str> {
    if resource.group.is_empty() && resource.resource == "namespaces" {
        text(object, "/metadata/name")
    } else if resource.namespaced {
        text(object, "/metadata/namespace")
    } else {
        None
    }
}

/// Whether any pattern fits; no pattern at all fits everything.
fn any_glob(patterns: &[Cow<'static, str>], name: &str) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(tail), _) => name.ends_with(tail),
            (None, Some(head)) => name.starts_with(head),
            (None, None) => pattern == name,
        })
}

#[cfg(test)]
mod tests;
