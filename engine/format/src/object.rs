//! Kubernetes objects as data: their names, their places in a point's tree, their canonical bytes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first component of every object's path in a point's tree.
pub const OBJECTS_ROOT: &str = "objects";
/// What stands in a path for the empty (core) API group.
pub const CORE_GROUP: &str = "core";
/// What stands in a path for the missing namespace of a cluster-scoped object.
/// No namespace can have this name: an underscore is not allowed in one.
pub const CLUSTER_SCOPE: &str = "_cluster";

/// The longest component accepted in a path: Kubernetes allows 253 bytes for a name; RBAC names
/// are path segments without that limit, so there is room, but not without end.
const COMPONENT_BYTES_MAX: usize = 1024;

/// One resource type that an API server serves, in one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceType {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group, such as `v1`.
    pub version: String,
    /// Plural name in lower case, such as `deployments`.
    pub resource: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl ResourceType {
    /// `v1` or `group/v1`, as in an object's `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// `resource` or `resource.group`, as kubectl takes it.
    #[must_use]
    pub fn full_name(&self) -> String {
        match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        }
    }

    /// The key of the object `namespace`/`name` of this type. The namespace is left away for a
    /// type that is not namespaced.
    #[must_use]
    pub fn key(&self, namespace: Option<&str>, name: &str) -> ObjectKey {
        ObjectKey {
            group: self.group.clone(),
            version: self.version.clone(),
            resource: self.resource.clone(),
            namespace: namespace.filter(|_| self.namespaced).map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

/// The full name of one object. Its kind stands in the object itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Plural name in lower case.
    pub resource: String,
    /// Namespace; none for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// `v1` or `group/v1`, as in an object's `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The object's place in a point's tree:
    /// `objects/<group>/<version>/<resource>/<namespace>/<name>`.
    #[must_use]
    pub fn path(&self) -> String {
        format!(
            "{OBJECTS_ROOT}/{}/{}/{}/{}/{}",
            if self.group.is_empty() { CORE_GROUP } else { &self.group },
            self.version,
            self.resource,
            self.namespace.as_deref().unwrap_or(CLUSTER_SCOPE),
            self.name
        )
    }

    /// The key that stands at `path`. Whatever [`path`](Self::path) would not write is refused:
    /// a repository may be hostile and its paths end up in file systems and URLs.
    ///
    /// # Errors
    /// [`ObjectPathError`] names the path and what is wrong with it.
    pub fn from_path(path: &str) -> Result<Self, ObjectPathError> {
        let refuse = |fault| ObjectPathError { path: path.chars().take(200).collect(), fault };
        let mut components = path.split('/');
        let mut next = || components.next().ok_or_else(|| refuse("has too few components"));
        if next()? != OBJECTS_ROOT {
            return Err(refuse("does not begin with `objects/`"));
        }
        let [group, version, resource, namespace, name] = [next()?, next()?, next()?, next()?, next()?];
        if components.next().is_some() {
            return Err(refuse("has too many components"));
        }
        if [group, version, resource, namespace, name].iter().any(|part| !is_component(part)) {
            return Err(refuse("has a component that is no Kubernetes name"));
        }
        Ok(Self {
            group: if group == CORE_GROUP { String::new() } else { group.to_owned() },
            version: version.to_owned(),
            resource: resource.to_owned(),
            namespace: (namespace != CLUSTER_SCOPE).then(|| namespace.to_owned()),
            name: name.to_owned(),
        })
    }

    /// Whether this object can be written at its path and read back as the same key.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.group != CORE_GROUP
            && self.namespace.as_deref() != Some(CLUSTER_SCOPE)
            && (self.group.is_empty() || is_component(&self.group))
            && [self.version.as_str(), &self.resource, &self.name]
                .into_iter()
                .chain(self.namespace.as_deref())
                .all(is_component)
    }
}

/// `resource.group/namespace/name`, without the group when it is the core group and without the
/// namespace when there is none.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "/{namespace}")?;
        }
        write!(f, "/{}", self.name)
    }
}

/// A path that is no object's place in a point's tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object path {path:?} {fault}")]
pub struct ObjectPathError {
    /// The path, cut off after 200 characters.
    pub path: String,
    /// What is wrong with it.
    pub fault: &'static str,
}

/// The canonical bytes of an object: object keys sorted as bytes, no white space, numbers and
/// strings as `serde_json` writes them. Equal values give equal bytes.
#[must_use]
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    write_canonical(value, &mut bytes);
    bytes
}

/// Recursion is as deep as the value, which its parser has bounded.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            // The map may keep the order of insertion, if any crate in the build asks for that.
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write_canonical(member, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::String(text) => write_string(text, out),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

/// A JSON string: quotes, backslashes and control characters escaped, all else as it is.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut done = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..index]);
        done = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// A path segment as Kubernetes allows it in a name: not empty, no dot name, no slash, no percent
/// sign, no control character.
fn is_component(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= COMPONENT_BYTES_MAX
        && part != "."
        && part != ".."
        && !part.chars().any(|c| c == '/' || c == '%' || c.is_control())
}

#[cfg(test)]
mod tests;
