//! Point: one backup and one restore, joined as the command line joins them.

use std::path::Path;
use std::sync::Arc;

use firn_agent::{
    AgentError, CaptureOptions, ObjectCapture, ParentTree, RestoreOptions, capture_volume, read_objects, restore_volume,
};
use firn_format::manifest::{Consistency, Manifest, Mount, MountKind};
use firn_format::{Clock, FormatError, PointId, Silent, SystemClock, TimeMs};
use firn_repo::{Keyring, ReadKeys, Reader, RepoError, Repository, Session, SessionPlan, Summary, WriteStats};

use crate::objects::Object;
use crate::world::CLUSTER;

/// The mount of a shot's tree.
const VOLUME: &str = "volumes/shop/data";

/// What a backup takes in.
#[derive(Debug, Clone, Copy)]
pub struct Shot<'a> {
    /// The volume.
    pub tree: &'a Path,
    /// The objects.
    pub objects: &'a [Object],
    /// The policy: with the cluster, the lineage.
    pub policy: &'a str,
    /// Lanes of the capture.
    pub lanes: usize,
    /// Believe in unchanged times however young they are. Only for trees that stand still.
    pub trusting: bool,
}

/// A point that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Its id.
    pub point: PointId,
    /// What its session wrote.
    pub stats: WriteStats,
    /// Packs of unfinished sessions that it could use.
    pub packs_found: usize,
}

/// What came back.
#[derive(Debug)]
pub struct Restored {
    /// Files that could not be had whole.
    pub damaged: u64,
    /// Exceptions, damaged files among them.
    pub exceptions: u64,
    /// What the exceptions are about.
    pub named: Vec<String>,
    /// The objects, or why they cannot be had.
    pub objects: Result<Vec<Object>, AgentError>,
}

/// Takes a point.
pub fn backup(repository: &mut Repository, keyring: &Keyring, shot: &Shot<'_>) -> Result<Taken, AgentError> {
    let lineage = keyring.lineage(CLUSTER, shot.policy);
    let parent = repository.state().latest(&lineage).map(|point| (point.id, point.manifest));
    let cut_ms = SystemClock.now_ms();
    let plan = SessionPlan { cluster: CLUSTER.into(), lineage, parent: parent.map(|parent| parent.0) };
    let session = Session::open(repository, keyring, plan)?;
    let packs_found = session.part().packs_found();
    let before = parent.and_then(|(_, manifest)| Manifest::decode(&session.part().reader().get(&manifest).ok()?).ok());
    let tree = |path: &str| {
        let mount = before.as_ref()?.mount(path)?;
        let cut_ms = if shot.trusting { TimeMs::MAX / 2 } else { mount.cut_ms };
        Some(ParentTree { reader: session.part().reader().clone(), root: mount.root, cut_ms })
    };
    let mut capture = ObjectCapture::new(session.part(), tree("objects"), &Silent)?;
    for (key, text) in shot.objects {
        capture.push(key, text)?;
    }
    let objects = capture.finish()?.root;
    let options = CaptureOptions { mount: VOLUME, parent: tree(VOLUME), lanes: shot.lanes, progress: &Silent };
    let volume = capture_volume(session.part(), shot.tree, options)?;
    let key = session.part().writer().keys().key_ref();
    let mount = |path: &str, kind, root: firn_format::tree::TreeRoot| Mount {
        path: path.to_owned(),
        root: root.id,
        domain: key.domain,
        generation: key.generation,
        kind,
        consistency: Consistency::Frozen,
        cut_ms,
        stale: false,
        entries: root.entries,
        bytes: root.bytes,
        exceptions: 0,
        method: "walk".to_owned(),
    };
    let manifest = Manifest {
        cluster_uid: CLUSTER.into(),
        cluster_name: "east".into(),
        policy: shot.policy.into(),
        cut_ms,
        end_ms: cut_ms,
        complete: volume.exceptions == 0,
        exceptions: volume.exceptions,
        mounts: vec![mount("objects", MountKind::Objects, objects), mount(VOLUME, MountKind::Files, volume.root)],
        ..Manifest::default()
    };
    let summary = |stats: &WriteStats| Summary {
        cluster: CLUSTER.into(),
        cluster_name: "east".into(),
        policy: shot.policy.into(),
        cut_time_ms: cut_ms,
        complete: manifest.complete,
        exceptions: manifest.exceptions,
        files: volume.root.entries,
        bytes: volume.root.bytes,
        bytes_stored: stats.bytes_stored,
        mounts: 2,
        ..Summary::default()
    };
    let committed = session.commit(repository, keyring, &manifest, &summary, Vec::new())?;
    Ok(Taken { point: committed.point, stats: committed.stats, packs_found })
}

/// The manifest of a point, and who reads its blobs.
pub fn content(
    repository: &Repository,
    keyring: &Keyring,
    point: &PointId,
) -> Result<(Manifest, Arc<Reader>), RepoError> {
    let Some(point) = repository.state().point(point).cloned() else {
        return Err(RepoError::NoSuchPoint(format!("no point {}", point.short())));
    };
    let keys = keyring.domain_keys(point.domain, point.generation)?;
    let reader = Arc::new(Reader::open(repository, ReadKeys::All(keys))?);
    Ok((Manifest::decode(&reader.get(&point.manifest)?)?, reader))
}

/// Restores a point's volume into `dir`, and reads its objects.
pub fn restore(
    repository: &Repository,
    keyring: &Keyring,
    point: &PointId,
    dir: &Path,
) -> Result<Restored, AgentError> {
    let (manifest, reader) = content(repository, keyring, point)?;
    let root = |path: &str| manifest.mount(path).map(|mount| mount.root).ok_or(AgentError::Stopped);
    let options = RestoreOptions {
        mount: VOLUME,
        below: "",
        privileges: firn_volume::Privileges::default(),
        threads: 2,
        room: (0, 0),
        progress: &Silent,
    };
    let mut objects = Vec::new();
    let read = read_objects(&reader, root("objects")?, "", 2, |key, text| {
        let source = |detail| RepoError::Format(FormatError::damaged(key.to_string(), detail));
        objects.push((key.clone(), text.map_err(source)?));
        Ok(())
    });
    let volume = restore_volume(&reader, root(VOLUME)?, dir, options)?;
    Ok(Restored {
        damaged: volume.damaged,
        exceptions: volume.exceptions,
        named: volume.named.into_iter().map(|exception| exception.path).collect(),
        objects: read.map(|()| objects),
    })
}
