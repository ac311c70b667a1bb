//! Destination: where a restore goes, a cluster or a directory, and what is there already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use firn_cluster::{Cluster, Facts, Fault, Listed, directory};
use firn_format::object::ResourceType;
use firn_plan::{LocalVolumes, RestoreOptions, Served, Target, VolumeTarget};

use crate::args;
use crate::listing;
use crate::outcome::usage;

/// Where a restore goes.
pub enum Destination {
    /// An API server.
    Cluster { cluster: Cluster, facts: Facts, context: String },
    /// A directory: `objects/…` and `volumes/…`.
    Directory(PathBuf),
}

impl Destination {
    /// Connects, or takes the directory. With `namespaces`, no others need to be seen.
    pub fn open(
        cluster: &args::Cluster,
        to_dir: Option<&Path>,
        namespaces: &[String],
        runtime: &tokio::runtime::Runtime,
    ) -> anyhow::Result<Self> {
        if let Some(dir) = to_dir {
            let dir = std::path::absolute(dir).with_context(|| format!("cannot use {}", dir.display()))?;
            return Ok(Self::Directory(dir));
        }
        let Some(context) = &cluster.context else {
            return Err(usage("restore to where? give --context NAME or --to-dir DIR"));
        };
        let kubeconfig = cluster.kubeconfig.as_deref();
        let connected = runtime.block_on(async {
            let cluster = Cluster::connect(Some(context), kubeconfig).await?;
            let facts = cluster.facts(namespaces).await?;
            Ok::<_, firn_cluster::ClusterError>((cluster, facts))
        });
        let (cluster, facts) = connected
            .with_context(|| format!("the API server of context {context} cannot be used; nothing was changed"))?;
        Ok(Self::Cluster { cluster, facts, context: context.clone() })
    }

    /// What it serves and what it has; where only `namespaces` may be seen, what these have.
    pub fn look(&self, namespaces: &[String], runtime: &tokio::runtime::Runtime) -> anyhow::Result<Target> {
        match self {
            Self::Directory(dir) => {
                let mut target = Target::new(Served::Everything);
                if dir.is_dir() {
                    let found = directory::read(dir).with_context(|| format!("cannot read {}", dir.display()))?;
                    for manifest in found.objects {
                        target.add(manifest.key, Some(manifest.object));
                    }
                }
                Ok(target)
            }
            Self::Cluster { cluster, .. } => runtime.block_on(look(cluster, namespaces)),
        }
    }

    /// Where the contents of volumes go, as the flags say.
    pub fn volumes(&self, mapping: &args::Mapping) -> anyhow::Result<VolumeTarget> {
        if let Self::Directory(dir) = self {
            return Ok(VolumeTarget::Beside { dir: dir.join("volumes") });
        }
        let Some(dir) = &mapping.local_volumes else { return Ok(VolumeTarget::Nowhere) };
        let dir = std::path::absolute(dir).with_context(|| format!("cannot use {}", dir.display()))?;
        let node_affinity = match &mapping.node_affinity {
            Some(text) => pair(text, "--node-affinity")?,
            None => ("kubernetes.io/hostname".to_owned(), hostname()?),
        };
        Ok(VolumeTarget::Local(LocalVolumes { dir, node_affinity }))
    }

    /// For people.
    pub fn name(&self) -> String {
        match self {
            Self::Cluster { context, .. } => format!("context {context}"),
            Self::Directory(dir) => dir.display().to_string(),
        }
    }
}

async fn look(cluster: &Cluster, namespaces: &[String]) -> anyhow::Result<Target> {
    let discovery = cluster.discover().await.context("cannot find out what the API server has")?;
    let served: Vec<ResourceType> = discovery.types.iter().map(|served| served.resource.clone()).collect();
    let can_list = |verbs: &[String]| ["list", "create"].iter().all(|verb| verbs.iter().any(|has| has == verb));
    let types: Vec<ResourceType> = discovery
        .types
        .into_iter()
        .filter(|served| served.preferred && can_list(&served.verbs) && !is_fleeting(&served.resource))
        .map(|served| served.resource)
        .collect();
    let mut target = Target::new(Served::Types(served));
    let mut add = |listed: Listed| {
        target.add(listed.key, Some(listed.object));
        Ok(())
    };
    let unlisted = listing::each(cluster, types, &[], &mut add).await?;
    let forbidden = unlisted.into_iter().filter(|unlisted| unlisted.fault == Fault::Forbidden);
    let in_namespaces = |resource: &ResourceType| resource.namespaced || resource.full_name() == "namespaces";
    let forbidden: Vec<ResourceType> =
        forbidden.map(|unlisted| unlisted.resource.as_ref().clone()).filter(in_namespaces).collect();
    if !namespaces.is_empty() && !forbidden.is_empty() {
        listing::each(cluster, forbidden, namespaces, &mut add).await?;
    }
    // What cannot be listed is found out when it is created: that never overwrites.
    Ok(target)
}

/// Kinds that no restore creates.
fn is_fleeting(resource: &ResourceType) -> bool {
    matches!(resource.resource.as_str(), "events" | "leases")
}

fn hostname() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot find out this host's name")?;
    Ok(text.trim().to_owned())
}

/// `a=b`.
pub fn pair(text: &str, flag: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((a, b)) if !a.is_empty() && !b.is_empty() => Ok((a.to_owned(), b.to_owned())),
        _ => Err(usage(format!("{flag} {text}: give A=B"))),
    }
}

fn pairs(texts: &[String], flag: &str) -> anyhow::Result<BTreeMap<String, String>> {
    texts.iter().map(|text| pair(text, flag)).collect()
}

/// Old namespaces and new ones.
pub fn namespace_map(mapping: &args::Mapping) -> anyhow::Result<BTreeMap<String, String>> {
    pairs(&mapping.namespace_map, "--namespace-map")
}

/// What the flags say about objects.
pub fn options(mapping: &args::Mapping, volumes: VolumeTarget, hold: bool) -> anyhow::Result<RestoreOptions> {
    Ok(RestoreOptions {
        existing: match mapping.existing {
            args::Existing::Skip => firn_plan::Existing::Skip,
            args::Existing::Fail => firn_plan::Existing::Fail,
        },
        namespace_map: namespace_map(mapping)?,
        storage_class_map: pairs(&mapping.storage_class_map, "--storage-class-map")?,
        hold,
        volumes,
        ..RestoreOptions::default()
    })
}
