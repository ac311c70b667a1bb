//! The CustomResourceDefinitions of all kinds, as an API server takes them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube_core::CustomResourceExt as _;

use crate::{BackupRun, ProtectionPolicy, RecoveryPoint, Repository};

/// Runs are named by their policy and a time: what is left of 63 characters for the policy, as with CronJobs.
const POLICY_NAME_CHARS_MAX: usize = 52;
/// The name of a repository is the value of a label, too.
const REPOSITORY_NAME_CHARS_MAX: usize = 63;

/// The definitions of the four kinds, always in the same order and with the same content.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut all = vec![Repository::crd(), ProtectionPolicy::crd(), BackupRun::crd(), RecoveryPoint::crd()];
    for definition in &mut all {
        for version in &mut definition.spec.versions {
            let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
                continue;
            };
            schema.title = None;
            tidy(schema);
            limit_name(schema, &definition.spec.names.kind);
        }
    }
    all
}

/// No field takes null: an API server drops a null where none is allowed, so `has()` in a rule means what it says.
/// Descriptions lose the line breaks of this source.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.take().map(|text| text.replace('\n', " "));
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        tidy(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => tidy(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

fn limit_name(schema: &mut JSONSchemaProps, kind: &str) {
    let chars_max = match kind {
        "ProtectionPolicy" => POLICY_NAME_CHARS_MAX,
        "Repository" => REPOSITORY_NAME_CHARS_MAX,
        _ => return,
    };
    schema.x_kubernetes_validations = Some(vec![ValidationRule {
        rule: format!("self.metadata.name.size() <= {chars_max}"),
        message: Some(format!("the name of a {kind} has at most {chars_max} characters")),
        ..ValidationRule::default()
    }]);
}

#[cfg(test)]
mod tests;
