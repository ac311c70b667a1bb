//! Closure: everything below a point's manifest, held against what its entry in the log says that it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use firn_format::manifest::Manifest;
use firn_format::tree::{Reference, walk_nodes};
use firn_format::{BlobId, BlobKind, Counter, FormatError, KeyRef, ObjectName, Point};

use super::domain::Domain;
use super::needs::{self, Needs};
use super::{Problem, Work};
use crate::error::RepoError;
use crate::open::Repository;
use crate::reader::Nodes;

/// Deeper than any tree: sixteen levels, a leaf, and file maps within file maps.
const DEPTH_MAX: usize = 32;

/// What lies at and below a node.
#[derive(Debug, Default)]
pub(super) struct Closure {
    /// Packs that the index names for its blobs, by number, sorted.
    packs: Vec<u32>,
    /// Blobs that lie in several packs: any of them will do. Sorted.
    choices: Vec<BlobId>,
    /// Blobs that cannot be had, with the reason. Sorted.
    broken: Vec<(BlobId, String)>,
}

/// Walks every live point.
pub(super) fn check(
    repository: &Repository,
    domains: &mut BTreeMap<KeyRef, Domain>,
    work: &mut Work,
) -> Result<(), RepoError> {
    let progress = repository.context().progress.as_ref();
    progress.total(Counter::Entries, repository.state().points().len() as u64);
    needs::walk(repository.state(), &mut (domains, work), &mut |_, _, _| {}, &mut |(domains, work), point, needs| {
        work.refuse_stopped(progress)?;
        check_point(point, needs, domains, work)?;
        progress.add(Counter::Entries, 1);
        Ok(())
    })
}

fn check_point(
    point: &Point,
    needs: &Needs<'_>,
    domains: &mut BTreeMap<KeyRef, Domain>,
    work: &mut Work,
) -> Result<(), RepoError> {
    let key = KeyRef { domain: point.domain, generation: point.generation };
    let mut roots = BTreeSet::from([(key, point.manifest)]);
    if let Some(domain) = domains.get(&key)
        && let Some(plain) = read(domain, &point.manifest)?.ok()
    {
        match Manifest::decode(&plain) {
            Ok(manifest) => {
                roots.extend(manifest.exceptions_node.map(|id| (key, id)));
                for mount in &manifest.mounts {
                    let key = KeyRef { domain: mount.domain, generation: mount.generation };
                    roots.insert((key, mount.root));
                    walk_order(mount.root, key, domains, point, work)?;
                }
            }
            Err(error) => {
                let what = format!("manifest {}", point.manifest.short());
                work.other(what, Problem::Damaged(error.to_string()), Some(point.id));
            }
        }
    }
    for (key, root) in roots {
        match domains.get_mut(&key) {
            Some(domain) => {
                let closure = close(domain, root, 0)?;
                hold_against(&closure, domain, needs, point, work);
            }
            None => {
                let detail = format!("no index of {key} can be read");
                work.other(format!("blob {root}"), Problem::Damaged(detail), Some(point.id));
            }
        }
    }
    Ok(())
}

/// Order and form of a tree, node by node; what was walked for another point is passed over.
fn walk_order(
    root: BlobId,
    key: KeyRef,
    domains: &mut BTreeMap<KeyRef, Domain>,
    point: &Point,
    work: &mut Work,
) -> Result<(), RepoError> {
    let Some(domain) = domains.get_mut(&key) else { return Ok(()) };
    let mut nodes = Nodes(domain.reader.clone());
    let walked = &mut domain.walked;
    let result = walk_nodes(root, &mut nodes, |reference| match reference {
        Reference::Node(id) => walked.insert(id),
        Reference::Chunk(_) => false,
    });
    match result.map_err(judge) {
        Ok(()) => Ok(()),
        Err(Ok(detail)) => {
            work.other(format!("tree {}", root.short()), Problem::Damaged(detail), Some(point.id));
            Ok(())
        }
        Err(Err(error)) => Err(error),
    }
}

/// The closure of a node; what is below a node is found out once.
fn close(domain: &mut Domain, id: BlobId, depth: usize) -> Result<Arc<Closure>, RepoError> {
    if let Some(known) = domain.closures.get(&id) {
        return Ok(known.clone());
    }
    let mut packs = BTreeSet::new();
    let mut choices = BTreeSet::new();
    let mut broken = BTreeSet::new();
    let below = match place(domain, &id, &mut packs, &mut choices) {
        None => Err("no index knows it".to_owned()),
        Some(BlobKind::Data) => Ok(Vec::new()),
        Some(BlobKind::Meta) if depth > DEPTH_MAX => Err("the tree is deeper than any tree can be".to_owned()),
        Some(BlobKind::Meta) => read(domain, &id)?.and_then(|plain| ids_in(&plain).map_err(|error| error.to_string())),
    };
    match below {
        Err(detail) => _ = broken.insert((id, detail)),
        Ok(ids) => {
            for id in ids {
                match place(domain, &id, &mut packs, &mut choices) {
                    None => _ = broken.insert((id, "no index knows it".to_owned())),
                    Some(BlobKind::Data) => {}
                    Some(BlobKind::Meta) => {
                        let child = close(domain, id, depth + 1)?;
                        packs.extend(&child.packs);
                        choices.extend(&child.choices);
                        broken.extend(child.broken.iter().cloned());
                    }
                }
            }
        }
    }
    let closure = Arc::new(Closure {
        packs: packs.into_iter().collect(),
        choices: choices.into_iter().collect(),
        broken: broken.into_iter().collect(),
    });
    domain.closures.insert(id, closure.clone());
    Ok(closure)
}

/// Notes where the blob lies and says of which kind it is.
fn place(domain: &Domain, id: &BlobId, packs: &mut BTreeSet<u32>, choices: &mut BTreeSet<BlobId>) -> Option<BlobKind> {
    let at = domain.index().get(id)?;
    if domain.index().places(id).any(|other| other.segment.pack != at.segment.pack) {
        choices.insert(*id);
    } else {
        packs.insert(at.segment.pack);
    }
    Some(at.segment.facts.kind)
}

/// Whether the point's entry names all packs of the closure, and for each an index run that tells of it.
fn hold_against(closure: &Closure, domain: &Domain, needs: &Needs<'_>, point: &Point, work: &mut Work) {
    let told =
        |pack: &ObjectName| domain.tellers.get(pack).is_some_and(|runs| runs.iter().any(|run| needs.contains(run)));
    for number in &closure.packs {
        let Some(pack) = domain.index().packs().get(*number as usize) else { continue };
        if !needs.contains(&pack.name) {
            work.other(pack.name.path(), Problem::NotNeeded, Some(point.id));
        } else if !told(&pack.name) {
            let detail = "no index run that the point needs tells of it".to_owned();
            work.other(format!("index of {}", pack.name), Problem::Damaged(detail), Some(point.id));
        }
    }
    for id in &closure.choices {
        let all = domain.index().places(id).map(|at| at.pack.name);
        let mut named = all.filter(|pack| needs.contains(pack) && told(pack)).peekable();
        if named.peek().is_none() {
            work.other(format!("blob {id}"), Problem::NotNeeded, Some(point.id));
        } else if named.all(|pack| work.objects_wrong.contains_key(&pack)) {
            let detail = "no pack that holds it and that the point needs is whole".to_owned();
            work.other(format!("blob {id}"), Problem::Damaged(detail), Some(point.id));
        }
    }
    for (id, detail) in &closure.broken {
        work.other(format!("blob {id}"), Problem::Damaged(detail.clone()), Some(point.id));
    }
}

/// A node's bytes, or what is wrong with them; fails if the store does not answer.
fn read(domain: &Domain, id: &BlobId) -> Result<Result<Vec<u8>, String>, RepoError> {
    match domain.reader.get(id).map_err(judge) {
        Ok(plain) => Ok(Ok(plain)),
        Err(Ok(detail)) => Ok(Err(detail)),
        Err(Err(error)) => Err(error),
    }
}

/// What an error says about the data; or the error, if it says nothing about them.
pub(super) fn judge(error: RepoError) -> Result<String, RepoError> {
    match error {
        RepoError::Store { source, .. } => super::domain::object_error(source).map(|problem| problem.to_string()),
        RepoError::Blob { .. }
        | RepoError::PackMissing { .. }
        | RepoError::PackShort { .. }
        | RepoError::UnknownBlob { .. }
        | RepoError::Format(_) => Ok(with_cause(&error)),
        other => Err(other),
    }
}

fn with_cause(error: &RepoError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The ids that a node names, whatever it is (FORMAT.md §7). Whether it keeps the rules of its kind is `walk_order`'s matter.
fn ids_in(plain: &[u8]) -> Result<Vec<BlobId>, FormatError> {
    let broken = |error: minicbor::decode::Error| FormatError::damaged("a node", error.to_string());
    let mut decoder = minicbor::Decoder::new(plain);
    let fields = decoder.map().map_err(broken)?.unwrap_or_default();
    let (mut kind, mut ids) = (0, Vec::new());
    for _ in 0..fields {
        let field = decoder.u64().map_err(broken)?;
        match (kind, field) {
            (_, 0) => kind = decoder.u64().map_err(broken)?,
            (1 | 3, 1) => {
                let (table, rest) = decoder.bytes().map_err(broken)?.as_chunks::<32>();
                if !rest.is_empty() {
                    return Err(FormatError::damaged("a node", "its table is cut"));
                }
                ids.extend(table.iter().map(|id| BlobId(*id)));
            }
            (2, 2) => children(&mut decoder, &mut ids).map_err(broken)?,
            _ => decoder.skip().map_err(broken)?,
        }
    }
    Ok(ids)
}

fn children(decoder: &mut minicbor::Decoder<'_>, ids: &mut Vec<BlobId>) -> Result<(), minicbor::decode::Error> {
    for _ in 0..decoder.array()?.unwrap_or_default() {
        for _ in 0..decoder.map()?.unwrap_or_default() {
            match decoder.u64()? {
                1 => ids.push(decoder.decode()?),
                _ => decoder.skip()?,
            }
        }
    }
    Ok(())
}
