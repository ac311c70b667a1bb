//! Schemas of what the kinds take from Kubernetes, and CEL rules as a schema carries them.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// `x-kubernetes-validations`: pairs of an expression that must hold and what a user reads if it does not.
pub(crate) fn rules<const N: usize>(pairs: [(&str, &str); N]) -> Value {
    pairs.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect()
}

/// An instant, RFC 3339.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// The list of conditions: a map by type, so that several writers do not overwrite each other's.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "description": "What the condition is about, such as Ready.",
                    "type": "string",
                    "maxLength": 316,
                },
                "status": {
                    "description": "True, False, or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "Why, in one word, for machines.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 128,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Why, and what to do, for people.",
                    "type": "string",
                    "maxLength": 32768,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The metadata.generation that the condition is about.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
            },
        },
    })
}

/// A label selector. All requirements must hold; an empty one selects everything.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    let value = json!({"type": "string", "maxLength": 63});
    let key = json!({"description": "The label.", "type": "string", "minLength": 1, "maxLength": 317});
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that an object must have, with these values.",
                "type": "object",
                "maxProperties": 64,
                "additionalProperties": value,
            },
            "matchExpressions": {
                "description": "Requirements on labels.",
                "type": "array",
                "maxItems": 64,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": key,
                        "operator": {
                            "description": "How the label relates to the values.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "The values, for In and NotIn.",
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": value,
                        },
                    },
                    "x-kubernetes-validations": rules([(
                        "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : \
                         !has(self.values) || self.values.size() == 0",
                        "In and NotIn need values; Exists and DoesNotExist take none",
                    )]),
                },
            },
        },
    })
}
