//! One file's text becomes objects with names.

use std::path::Path;

use firn_format::object::{ObjectKey, ResourceType, canonical_json};
use serde_json::{Value, json};

use super::kinds::Kinds;

/// Deeper documents are refused: as JSON they could not be read again.
const DEPTH_MAX: usize = 120;
/// A bound on what a small file may expand to.
const NODES_MAX: usize = 4_000_000;
const DOCUMENTS_MAX: usize = 100_000;

/// The objects in a file's text: documents without content are left away, lists are taken apart.
pub(super) fn documents(file: &Path, text: &str) -> Result<Vec<Value>, String> {
    let is_json = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let documents: Vec<Value> = if is_json {
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(|e| e.to_string())?
    } else {
        let mut budget = serde_saphyr::Budget::default();
        budget.max_depth = DEPTH_MAX;
        budget.max_nodes = NODES_MAX;
        budget.max_events = 2 * NODES_MAX;
        budget.max_documents = DOCUMENTS_MAX;
        let mut options = serde_saphyr::Options::default();
        options.budget = Some(budget);
        // `defaultMode: 0644` is octal for kubectl.
        options.legacy_octal_numbers = true;
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| first_line(&error.to_string()))?
    };
    let mut objects = Vec::new();
    for document in documents {
        flatten(document, &mut objects)?;
    }
    Ok(objects)
}

/// Takes a list apart; an item without kind gets the list's.
fn flatten(document: Value, objects: &mut Vec<Value>) -> Result<(), String> {
    if document.is_null() {
        return Ok(());
    }
    let kind = document.get("kind").and_then(Value::as_str).ok_or("a document has no kind")?;
    let api_version = document.get("apiVersion").and_then(Value::as_str).ok_or("a document has no apiVersion")?;
    let item_kind = kind.strip_suffix("List").filter(|_| document.get("items").is_some_and(Value::is_array));
    let Some(item_kind) = item_kind else {
        objects.push(document);
        return Ok(());
    };
    let (item_kind, api_version) = (item_kind.to_owned(), api_version.to_owned());
    let Some(Value::Array(items)) = document.get("items").cloned() else { return Ok(()) };
    for mut item in items {
        if let Some(map) = item.as_object_mut()
            && !item_kind.is_empty()
        {
            map.entry("kind").or_insert_with(|| json!(item_kind));
            map.entry("apiVersion").or_insert_with(|| json!(api_version));
        }
        // A list in a list is not Kubernetes'; it is refused as a kind that nobody defines.
        if item.get("kind").and_then(Value::as_str).is_none() {
            return Err("an item of a list has no kind".to_owned());
        }
        objects.push(item);
    }
    Ok(())
}

/// Finds out an object's type and name. `placed` is what the file's place says; it decides only if it agrees.
pub(super) fn identify(
    mut object: Value,
    placed: Option<&ObjectKey>,
    kinds: &Kinds,
) -> Result<(ResourceType, ObjectKey, Value), String> {
    let field = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = field("/kind").ok_or("an object has no kind")?;
    let api_version = field("/apiVersion").ok_or("an object has no apiVersion")?;
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let name = field("/metadata/name").ok_or_else(|| format!("a {kind} has no name"))?;
    let namespace = field("/metadata/namespace").filter(|namespace| !namespace.is_empty());
    let agrees = |placed: &&ObjectKey| placed.group == group && placed.version == version && placed.name == name;
    let resource = kinds.find(group, version, &kind).or_else(|| {
        placed.filter(agrees).map(|placed| ResourceType {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: placed.resource.clone(),
            kind: kind.clone(),
            namespaced: placed.namespace.is_some(),
        })
    });
    let resource =
        resource.ok_or_else(|| format!("kind {kind} of {api_version} is not known, and nothing here defines it"))?;
    if !resource.namespaced && namespace.is_some() {
        return Err(format!("{kind} {name} names a namespace, but is not namespaced"));
    }
    let namespace = resource.namespaced.then(|| namespace.unwrap_or_else(|| "default".to_owned()));
    if let Some(namespace) = &namespace
        && let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    let key = resource.key(namespace.as_deref(), &name);
    if !key.is_valid() {
        return Err(format!("{kind} {name:?} has no valid name"));
    }
    Ok((resource, key, object))
}

/// Indented JSON with sorted keys.
pub(super) fn pretty(object: &Value) -> String {
    // The canonical bytes are sorted; parsed and printed again they stay so, whichever map the build uses.
    let sorted = serde_json::from_slice(&canonical_json(object)).unwrap_or_else(|_| object.clone());
    format!("{sorted:#}")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
