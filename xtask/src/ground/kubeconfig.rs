//! The kubeconfig files: one with all contexts for people and tests, one for each component that calls its API server.

use std::path::Path;

use serde_json::{Value, json};

/// One context: a server, the certificate it is known by, and who calls.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) name: &'a str,
    pub(crate) server: String,
    pub(crate) certificate: &'a Path,
    pub(crate) token: &'a str,
}

/// The text of a kubeconfig with these contexts, the first one current. It is JSON, which is YAML.
pub(crate) fn render(contexts: &[Context<'_>]) -> String {
    let named = |make: &dyn Fn(&Context<'_>) -> Value| contexts.iter().map(make).collect::<Vec<_>>();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": contexts.first().map_or("", |context| context.name),
        "clusters": named(&|context| json!({
            "name": context.name,
            "cluster": {"server": context.server, "certificate-authority": context.certificate},
        })),
        "users": named(&|context| json!({"name": context.name, "user": {"token": context.token}})),
        "contexts": named(&|context| json!({
            "name": context.name,
            "context": {"cluster": context.name, "user": context.name},
        })),
    });
    format!("{config:#}\n")
}
