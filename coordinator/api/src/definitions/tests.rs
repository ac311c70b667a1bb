use serde_json::json;

use super::*;
use crate::{BackupRun, BackupRunSpec, Retention, VolumeMethod, condition};

/// Calls `visit` with the path and the schema of every field.
fn walk(path: &str, schema: &JSONSchemaProps, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(&format!("{path}[]"), items, visit);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        walk(&format!("{path}{{}}"), values, visit);
    }
}

fn every_field(mut visit: impl FnMut(&str, &JSONSchemaProps)) {
    for definition in definitions() {
        let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
        walk(&definition.spec.names.kind, &schema, &mut visit);
    }
}

#[test]
fn every_field_is_explained() {
    every_field(|path, schema| {
        if !path.ends_with("[]") && !path.ends_with("{}") {
            let text = schema.description.as_deref().unwrap_or_default();
            assert!(text.ends_with('.') && !text.contains('\n'), "{path}: {text:?}");
        }
    });
}

#[test]
fn every_text_and_every_list_ends_somewhere() {
    every_field(|path, schema| match schema.type_.as_deref() {
        // What the server itself writes or reads as a time is short.
        Some("string") => {
            let is_bounded = schema.max_length.is_some() || schema.enum_.is_some() || schema.format.is_some();
            assert!(is_bounded, "{path}: no greatest length");
        }
        Some("array") => assert!(schema.max_items.is_some(), "{path}: no greatest number"),
        Some("object") if schema.additional_properties.is_some() => assert!(schema.max_properties.is_some(), "{path}"),
        Some("object" | "integer" | "boolean") => {}
        other => panic!("{path}: {other:?}"),
    });
}

#[test]
fn numbers_are_signed_and_whole_and_nothing_takes_null() {
    every_field(|path, schema| {
        assert_eq!(schema.nullable, None, "{path}");
        assert!(matches!(schema.format.as_deref(), None | Some("int32" | "int64" | "date-time")), "{path}");
    });
}

#[test]
fn lists_say_how_they_are_merged() {
    every_field(|path, schema| {
        if schema.type_.as_deref() == Some("array") {
            let kind = schema.x_kubernetes_list_type.as_deref();
            assert!(matches!(kind, Some("set" | "atomic" | "map")), "{path}: {kind:?}");
            assert_eq!(kind == Some("map"), schema.x_kubernetes_list_map_keys.is_some(), "{path}");
        }
    });
}

#[test]
fn names_and_columns_follow_one_custom() {
    for definition in definitions() {
        let names = &definition.spec.names;
        assert_eq!(names.categories.as_deref(), Some(&["firn".to_owned()][..]));
        assert!(names.short_names.as_ref().unwrap().iter().all(|name| name.starts_with('f')));
        assert_eq!(definition.metadata.name.as_deref(), Some(format!("{}.firn.io", names.plural).as_str()));
        let columns = definition.spec.versions[0].additional_printer_columns.clone().unwrap();
        assert!(columns[0].json_path.starts_with(".status.conditions["), "the verdict comes first");
        let narrow: Vec<_> = columns.iter().filter(|column| column.priority.unwrap_or(0) == 0).collect();
        assert_eq!(narrow.last().unwrap().name, "Age");
        assert!(columns.iter().all(|column| !column.name.contains(' ')));
    }
}

#[test]
fn the_same_types_give_the_same_definitions() {
    assert_eq!(definitions(), definitions());
    let text = serde_json::to_string(&definitions()).unwrap();
    assert!(!text.contains("{{"), "a chart would take it for a template");
}

#[test]
fn a_policy_is_read_as_it_is_written() {
    let text = "
apiVersion: firn.io/v1alpha1
kind: ProtectionPolicy
metadata: {name: shop, namespace: firn-system}
spec:
  repositoryRef: {name: main}
  namespaces: {include: [shop-*], exclude: [shop-test]}
  volumes:
    rules:
    - {claims: [cache-*], method: Skip}
  schedule: {cron: '*/15 * * * *', timeZone: Europe/Berlin}
  retention: {last: 24, daily: 14, withinSeconds: 86400}
";
    let policy: ProtectionPolicy = serde_saphyr::from_str(text).unwrap();
    let spec = &policy.spec;
    assert_eq!(spec.volumes.rules[0].method, VolumeMethod::Skip);
    assert_eq!(spec.volumes.method, VolumeMethod::Auto);
    assert_eq!((spec.successful_runs_history_limit, spec.failed_runs_history_limit), (3, 5));
    let expected = Retention { last: Some(24), daily: Some(14), within_seconds: Some(86_400), ..Retention::default() };
    assert_eq!(spec.retention, Some(expected));
    // What is not said is not written: a field that a newer Firn knows is not put in its place.
    let written = serde_json::to_value(&policy).unwrap();
    assert_eq!(written["spec"]["schedule"], json!({"cron": "*/15 * * * *", "timeZone": "Europe/Berlin"}));
    assert_eq!(written.get("status"), None);
}

#[test]
fn a_run_s_status_is_a_patch_with_conditions() {
    let mut run = BackupRun::new("shop-1", BackupRunSpec::default());
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH);
    let mut status = crate::BackupRunStatus::default();
    condition::merge(&mut status.conditions, crate::reasons::run::RUNNING.condition("", Some(1), &now));
    run.status = Some(status);
    let written = serde_json::to_value(&run).unwrap();
    let expected = json!([{"type": "Succeeded", "status": "Unknown", "reason": "Running", "message": "",
        "lastTransitionTime": "1970-01-01T00:00:00Z", "observedGeneration": 1}]);
    assert_eq!(written["status"], json!({"conditions": expected}));
}
