//! Facts about the cluster that a restore goes to.

use std::collections::{BTreeMap, HashMap};

use firn_format::object::{ObjectKey, ResourceType};
use serde_json::Value;

use crate::object::text;

/// What a target accepts.
#[derive(Debug, Clone)]
pub enum Served {
    /// Anything: a directory of manifests.
    Everything,
    /// These types, every served version of each.
    Types(Vec<ResourceType>),
}

/// The facts about a target: what it serves and what it already has.
#[derive(Debug, Clone)]
pub struct Target {
    /// Kind per (group, version, resource); none if anything is accepted.
    types: Option<BTreeMap<(String, String, String), ResourceType>>,
    /// By group, resource, namespace, name: one object has one place, whatever the version it is read in.
    existing: HashMap<Place, Option<Value>>,
}

/// An object's name without the version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    group: String,
    resource: String,
    namespace: Option<String>,
    name: String,
}

impl Place {
    pub(crate) fn of(key: &ObjectKey) -> Self {
        Self {
            group: key.group.clone(),
            resource: key.resource.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

impl Target {
    /// A target that serves `served` and has no objects yet.
    #[must_use]
    pub fn new(served: Served) -> Self {
        let types = match served {
            Served::Everything => None,
            Served::Types(types) => {
                Some(types.into_iter().map(|t| ((t.group.clone(), t.version.clone(), t.resource.clone()), t)).collect())
            }
        };
        Self { types, existing: HashMap::new() }
    }

    /// Records that the target has this object. With its value, an object equal to the captured one is recognised as
    /// already restored. Persistent volumes, storage, priority and ingress classes and namespaces need their values:
    /// without, a default class or a terminating namespace is not seen.
    pub fn add(&mut self, key: ObjectKey, object: Option<Value>) {
        self.existing.insert(Place::of(&key), object);
    }

    /// Whether the target has the object, in whatever version.
    #[must_use]
    pub fn has(&self, key: &ObjectKey) -> bool {
        self.existing.contains_key(&Place::of(key))
    }

    /// The object on the target, if it is there and its value was given.
    #[must_use]
    pub fn object(&self, key: &ObjectKey) -> Option<&Value> {
        self.existing.get(&Place::of(key))?.as_ref()
    }

    /// Whether the target accepts objects of this type and version.
    #[must_use]
    pub fn serves(&self, group: &str, version: &str, resource: &str) -> bool {
        match &self.types {
            None => true,
            Some(types) => types.contains_key(&(group.to_owned(), version.to_owned(), resource.to_owned())),
        }
    }

    /// Whether the target takes anything: a directory.
    #[must_use]
    pub fn accepts_everything(&self) -> bool {
        self.types.is_none()
    }

    /// Whether a namespace is on its way out; what is in it will be gone.
    pub(crate) fn is_terminating(&self, namespace: &str) -> bool {
        let place = Place {
            group: String::new(),
            resource: "namespaces".to_owned(),
            namespace: None,
            name: namespace.to_owned(),
        };
        let phase = self.existing.get(&place).and_then(Option::as_ref).and_then(|n| text(n, "/status/phase"));
        phase == Some("Terminating")
    }

    /// The existing object of this group, kind and name, in `namespace` or cluster-scoped.
    pub(crate) fn find(&self, group: &str, kind: &str, namespace: Option<&str>, name: &str) -> Option<ObjectKey> {
        let types = self.types.iter().flat_map(BTreeMap::values);
        types
            .filter(|found| found.group == group && found.kind == kind)
            .map(|found| found.key(namespace, name))
            .find(|key| self.has(key))
    }

    /// The versions in which the target serves this resource, if it is known what it serves.
    pub(crate) fn versions(&self, group: &str, resource: &str) -> Vec<&str> {
        let types = self.types.iter().flatten();
        types.filter(|((g, _, r), _)| g == group && r == resource).map(|((_, v, _), _)| v.as_str()).collect()
    }

    /// Every object of one resource whose value is known, with its name.
    pub(crate) fn objects_of<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.existing
            .iter()
            .filter(move |(place, _)| place.group == group && place.resource == resource)
            .filter_map(|(place, object)| Some((place.name.as_str(), object.as_ref()?)))
    }
}
