//! Paths of the Kubernetes API.

use std::fmt::Write;

use firn_format::object::ObjectKey;

/// `/api/v1` or `/apis/<group>/<version>`.
pub(crate) fn version_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{}", encoded(version))
    } else {
        format!("/apis/{}/{}", encoded(group), encoded(version))
    }
}

/// Where objects of a type are listed and created, in one namespace or all.
pub(crate) fn collection_path(group: &str, version: &str, resource: &str, namespace: Option<&str>) -> String {
    let base = version_path(group, version);
    match namespace {
        Some(namespace) => format!("{base}/namespaces/{}/{}", encoded(namespace), encoded(resource)),
        None => format!("{base}/{}", encoded(resource)),
    }
}

/// Where one object is.
pub(crate) fn object_path(key: &ObjectKey) -> String {
    let collection = collection_path(&key.group, &key.version, &key.resource, key.namespace.as_deref());
    format!("{collection}/{}", encoded(&key.name))
}

/// A path segment or query value: all but unreserved characters and the colon escaped. Names may come from a hostile
/// repository.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
