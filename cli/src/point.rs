//! Point: a recovery point opened for reading.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use firn_format::manifest::{Manifest, Mount};
use firn_format::{DomainId, PointId};
use firn_repo::{Keyring, PointInfo, ReadKeys, Reader, RepoError, Repository, Selection, list_points, resolve};

use crate::args;
use crate::outcome::usage;

/// A point with all that is needed to read it.
pub struct Opened {
    /// Its id.
    pub id: PointId,
    /// What it consists of.
    pub manifest: Manifest,
    readers: Vec<((DomainId, u32), Arc<Reader>)>,
}

/// The point that the arguments name.
pub fn resolve_one(
    repository: &Repository,
    keyring: &Keyring,
    text: &str,
    lineage: Option<&str>,
) -> anyhow::Result<PointId> {
    let found = named(repository, keyring, text, lineage, false);
    let found = found.map_err(|error| advise(error, "--lineage CLUSTER/POLICY says which"))?;
    found.first().copied().context("there is no such point")
}

/// The points that the arguments name: one, but with `--all-lineages` the latest of every lineage.
pub fn resolve_all(repository: &Repository, keyring: &Keyring, asked: &args::Point) -> anyhow::Result<Vec<PointId>> {
    let found = named(repository, keyring, &asked.point, asked.lineage.as_deref(), asked.all_lineages);
    found.map_err(|error| advise(error, "--lineage CLUSTER/POLICY says which, --all-lineages takes all of them"))
}

/// Of an ambiguous request what would be right.
fn advise(error: anyhow::Error, advice: &str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(RepoError::Ambiguous { text, .. }) if text == "latest" => usage(format!("{error}\n{advice}")),
        _ => error,
    }
}

fn named(
    repository: &Repository,
    keyring: &Keyring,
    text: &str,
    lineage: Option<&str>,
    all_lineages: bool,
) -> anyhow::Result<Vec<PointId>> {
    let points = list_points(repository, keyring);
    let named = lineage.and_then(|lineage| lineage.split_once('/'));
    let selection = Selection {
        lineage: lineage.filter(|_| named.is_none()),
        cluster: named.map(|(cluster, _)| cluster),
        policy: named.map(|(_, policy)| policy),
        all_lineages,
    };
    if let (Some(wanted), Some(_)) = (lineage, points.first())
        && resolve(&points, "latest", &Selection { all_lineages: true, ..selection }).is_err()
    {
        let of = |point: &PointInfo| point.summary.as_ref().map(|one| format!("{}/{}", one.cluster_name, one.policy));
        let known: BTreeSet<String> = points.iter().filter_map(of).collect();
        let known: Vec<_> = known.into_iter().collect();
        return Err(usage(format!("no point is of lineage {wanted}; there are: {}", known.join(", "))));
    }
    Ok(resolve(&points, text, &selection)?.iter().map(|point| point.id).collect())
}

impl Opened {
    /// Opens a point: its index and manifest are read, its trees on demand.
    pub fn open(repository: &Repository, keyring: &Keyring, id: PointId) -> anyhow::Result<Self> {
        let point = repository.state().point(&id).cloned().context("there is no such point")?;
        let first = (point.domain, point.generation);
        let reader = reader(repository, keyring, first)?;
        let plain = reader
            .get(&point.manifest)
            .with_context(|| format!("the manifest of point {} cannot be read", id.short()))?;
        let manifest = Manifest::decode(&plain)?;
        let mut readers = vec![(first, reader)];
        for mount in &manifest.mounts {
            let key = (mount.domain, mount.generation);
            if !readers.iter().any(|(known, _)| *known == key) {
                readers.push((key, self::reader(repository, keyring, key)?));
            }
        }
        Ok(Self { id, manifest, readers })
    }

    /// Reads what is mounted there.
    pub fn reader(&self, mount: &Mount) -> anyhow::Result<&Arc<Reader>> {
        let key = (mount.domain, mount.generation);
        let found = self.readers.iter().find(|(known, _)| *known == key);
        found.map(|(_, reader)| reader).context("the keys of this mount are not known")
    }
}

fn reader(repository: &Repository, keyring: &Keyring, key: (DomainId, u32)) -> anyhow::Result<Arc<Reader>> {
    let keys = keyring.domain_keys(key.0, key.1)?;
    Ok(Arc::new(Reader::open(repository, ReadKeys::All(keys))?))
}
