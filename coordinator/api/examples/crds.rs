//! Prints the chart of the definitions, as a JSON object of file names and texts: `cargo xtask crds` writes it.
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = BTreeMap::from([("Chart.yaml".to_owned(), chart())]);
    for definition in firn_api::definitions() {
        let mut definition = serde_json::to_value(definition)?;
        // A removed definition takes all its objects with it.
        definition["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
        definition["metadata"]["labels"] =
            json!({"app.kubernetes.io/name": "firn-crds", "app.kubernetes.io/part-of": "firn"});
        whole_numbers(&mut definition);
        let name = format!("templates/{}.yaml", definition["spec"]["names"]["plural"].as_str().unwrap_or_default());
        files.insert(name, serde_saphyr::to_string(&definition)?);
    }
    println!("{}", serde_json::to_string(&files)?);
    Ok(())
}

fn chart() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "apiVersion: v2
name: firn-crds
description: The kinds of Firn. A chart of their own, since Helm does not upgrade what lies in crds/.
type: application
version: {version}
appVersion: {version:?}
kubeVersion: \">=1.30.0-0\"
"
    )
}

/// Limits of integers are numbers with a fraction in the type of a schema; in the file they are to look like integers.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
                let whole = whole as i64;
                *value = whole.into();
            }
        }
        _ => {}
    }
}
