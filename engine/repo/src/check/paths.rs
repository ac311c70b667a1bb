//! Which files a wrong object concerns: what a person wants to know first.

use std::collections::{BTreeMap, BTreeSet};

use firn_format::manifest::Manifest;
use firn_format::tree::{Entry, FilePieces, Piece, TreeReader};
use firn_format::{KeyRef, ObjectName, PointId};

use super::Problem;
use super::domain::Domain;
use crate::open::Repository;
use crate::reader::Nodes;

/// So many paths are told for each object; all are counted.
const EXAMPLES_MAX: usize = 5;

type Paths = BTreeMap<ObjectName, (u64, Vec<String>)>;

/// Paths of `points` whose content lies in a wrong pack. Trees that cannot be read to their end count as far as they go:
/// the pack that is in the way is among the findings.
pub(super) fn concerned(
    repository: &Repository,
    domains: &BTreeMap<KeyRef, Domain>,
    wrong: &BTreeMap<ObjectName, Problem>,
    points: &BTreeSet<PointId>,
) -> Paths {
    let mut paths = Paths::new();
    let mut trees = BTreeSet::new();
    if wrong.is_empty() {
        return paths;
    }
    for point in points.iter().filter_map(|id| repository.state().point(id)) {
        let key = KeyRef { domain: point.domain, generation: point.generation };
        let plain = domains.get(&key).and_then(|domain| domain.reader.get(&point.manifest).ok());
        let Some(manifest) = plain.and_then(|plain| Manifest::decode(&plain).ok()) else { continue };
        for mount in &manifest.mounts {
            let key = KeyRef { domain: mount.domain, generation: mount.generation };
            if let Some(domain) = domains.get(&key)
                && trees.insert((key, mount.root))
            {
                let mut reader = TreeReader::new(mount.root, Nodes(domain.reader.clone()));
                while let Ok(Some(entry)) = reader.next_entry() {
                    note(entry, &mount.path, domain, wrong, &mut paths);
                }
            }
        }
    }
    paths
}

fn note(entry: &Entry, mount: &str, domain: &Domain, wrong: &BTreeMap<ObjectName, Problem>, paths: &mut Paths) {
    let mut packs = BTreeSet::new();
    let mut pieces = FilePieces::new(entry, Nodes(domain.reader.clone()));
    while let Ok(Some((_, piece))) = pieces.next_piece() {
        if let Piece::Chunk { id, .. } | Piece::Slice { id, .. } = piece
            && domain.index().places(&id).all(|at| wrong.contains_key(&at.pack.name))
        {
            packs.extend(domain.index().get(&id).map(|at| at.pack.name));
        }
    }
    for pack in packs {
        let (count, examples) = paths.entry(pack).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(format!("{mount}/{}", String::from_utf8_lossy(&entry.path)));
        }
    }
}
