//! Small readings of an object: what every rule and transformation asks of its JSON.

use serde_json::{Map, Value};

/// The string at a JSON pointer.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

/// Whether the pointer leads to `true`.
pub(crate) fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

/// The object's kind, empty if it has none.
pub(crate) fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.labels`, if any.
pub(crate) fn labels(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/labels")?.as_object()
}

/// One annotation.
pub(crate) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// The owner reference that says `controller: true`, if any.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    owners.iter().find(|owner| is_true(owner, "/controller"))
}

/// The API group of an `apiVersion`: empty for the core group.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Items of the array at a pointer; none if it is no array.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Items of the array at a pointer, to change; none if it is no array.
pub(crate) fn items_mut<'a>(object: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> {
    object.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Takes a member away from the object at a pointer; says whether there was one.
pub(crate) fn remove(object: &mut Value, pointer: &str, member: &str) -> Option<Value> {
    object.pointer_mut(pointer)?.as_object_mut()?.remove(member)
}

/// Takes the object at a pointer away from its parent if nothing is left in it.
pub(crate) fn remove_if_empty(object: &mut Value, pointer: &str, member: &str) {
    let empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if let Some(parent) = object.pointer_mut(pointer).and_then(Value::as_object_mut)
        && parent.get(member).is_some_and(empty)
    {
        parent.remove(member);
    }
}

/// Sets a member of the object at a pointer, making the objects on the way. Does nothing if something else than an
/// object stands on the way: the server will say what is wrong with it.
pub(crate) fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut place = object;
    for name in parents {
        let Some(map) = place.as_object_mut() else { return };
        place = map.entry(*name).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(map) = place.as_object_mut() {
        map.insert((*last).to_owned(), value);
    }
}
