//! One cluster of the objects benchmark: filled, counted, cleaned.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use firn_cluster::{Cluster, Create, Outcome, WriteOptions};
use firn_format::object::ObjectKey;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};

/// What the benchmark's namespaces begin with, and nobody else's.
const PREFIX: &str = "firn-bench-";
/// A ConfigMap's payload.
const VALUE_BYTES: usize = 1_000;
/// A namespace of some hundred objects is gone within seconds.
const CLEANING_TIME_MAX: Duration = Duration::from_secs(300);

pub(super) struct Ground {
    client: Client,
    cluster: Cluster,
    version: String,
}

impl Ground {
    pub(super) async fn connect(kubeconfig: &Path, context: &str) -> Result<Self> {
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &options).await?;
        let client = Client::try_from(config).with_context(|| format!("use the context {context}"))?;
        let cluster = Cluster::from_client(client.clone());
        let version = cluster.facts(&[]).await?.server_version;
        Ok(Self { client, cluster, version })
    }

    /// The API server's version.
    pub(super) fn version(&self) -> String {
        self.version.clone()
    }

    /// Makes the namespaces and ConfigMaps, and says the namespaces' names.
    pub(super) async fn fill(&self, namespaces: usize, count: usize) -> Result<Vec<String>> {
        let names: Vec<String> = (0..namespaces).map(|n| format!("{PREFIX}{n:02}")).collect();
        let spaces = names.iter().map(|name| Create {
            key: key("namespaces", None, name),
            object: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        });
        self.create(spaces.collect()).await?;
        let maps = (0..count).map(|n| config_map(&names[n % namespaces], n));
        self.create(maps.collect()).await?;
        Ok(names)
    }

    async fn create(&self, objects: Vec<Create>) -> Result<()> {
        for written in self.cluster.create_all(objects, &WriteOptions::default()).await {
            match written.outcome {
                Outcome::Created { .. } => {}
                Outcome::Failed(error) => return Err(error).with_context(|| format!("make {:?}", written.key)),
                other => bail!("{:?} was {other:?}", written.key),
            }
        }
        Ok(())
    }

    /// How many ConfigMaps of the benchmark there are.
    pub(super) async fn count(&self) -> Result<usize> {
        let mut count = 0;
        for namespace in self.namespaces().await? {
            let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &namespace);
            let listed = maps.list(&ListParams::default()).await.with_context(|| format!("list {namespace}"))?;
            // Each namespace is given a `kube-root-ca.crt` by its cluster.
            count += listed.items.iter().filter(|map| map.name_any().starts_with(PREFIX)).count();
        }
        Ok(count)
    }

    /// Removes the benchmark's namespaces and waits until they are gone.
    pub(super) async fn clean(&self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        for namespace in self.namespaces().await? {
            api.delete(&namespace, &DeleteParams::background()).await.with_context(|| format!("remove {namespace}"))?;
        }
        let begun = Instant::now();
        while !self.namespaces().await?.is_empty() {
            ensure!(begun.elapsed() < CLEANING_TIME_MAX, "namespaces of an earlier run do not go away");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    async fn namespaces(&self) -> Result<Vec<String>> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let all = api.list(&ListParams::default()).await.context("list the namespaces")?;
        Ok(all.items.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(PREFIX)).collect())
    }
}

fn config_map(namespace: &str, n: usize) -> Create {
    let name = format!("{PREFIX}{n:05}");
    let value: String = format!("value {n} ").chars().cycle().take(VALUE_BYTES).collect();
    let object: Value = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"value": value},
    });
    Create { key: key("configmaps", Some(namespace), &name), object }
}

fn key(resource: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        group: String::new(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}
