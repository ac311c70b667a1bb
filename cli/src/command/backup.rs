//! `firn backup`: one recovery point of objects and volumes.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use firn_agent::{CaptureOptions, CapturedVolume, ObjectCapture, ParentTree, capture_volume, carry_tree, lanes};
use firn_cluster::Cluster;
use firn_format::manifest::{Consistency, Exception, Manifest, Mount, MountKind, encode_exceptions};
use firn_format::{Clock as _, Counter, Progress as _, SystemClock};
use firn_plan::{Selection, volumes};
use firn_repo::{Committed, Keyring, Part, Repository, Session, SessionPlan, Summary, WriteStats};
use serde::Serialize;
use serde_json::json;

use crate::args;
use crate::cluster_objects::{Objects, Seen};
use crate::outcome::{Outcome, Stop, failed, is_stop, usage};
use crate::path_text::shorten;
use crate::terminal::{Terminal, duration};
use crate::volume_size::{Measuring, measure};
use crate::volume_spec::{VolumeSpec, mount, of_mount};
use crate::{hooks, interrupt, output, peers, repository, runtime};

/// What a backup came to.
#[derive(Serialize)]
struct Done {
    point: String,
    exceptions: u64,
    files: u64,
    bytes_read: u64,
    bytes_stored: u64,
    seconds: f64,
    bytes: u64,
    objects: u64,
    volumes: u64,
    carried: u64,
    complete: bool,
    exception_list: Vec<Told>,
}

/// An exception as it is printed.
#[derive(Serialize)]
struct Told {
    mount: String,
    path: String,
    reason: String,
    detail: String,
}

/// Exceptions after which the point still has all content that there was to be had: a socket has none, what is mounted below is another volume, what vanished is gone, a file
/// that changed is there as it was read.
const HARMLESS: &[&str] = &["socket", "other-filesystem", "vanished", "changed", "link-split", "device", "privilege"];

/// Whether the point lacks something that the volume has. Then it is no whole point, and does not end the life of one.
fn lacks_content(exception: &Exception) -> bool {
    !HARMLESS.contains(&exception.reason.as_str())
}

/// So many exceptions are printed for people.
const SHOWN_MAX: usize = 20;

/// Captures, and commits one point.
pub fn run(args: &args::Backup, global: &args::Global) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let specs = VolumeSpec::parse_all(&args.volumes)?;
    if let Some(spec) = specs.iter().find(|spec| spec.holds(&args.repo.repo)) {
        let path = spec.path.display();
        return Err(usage(format!(
            "the repository lies in the volume {path}, or the volume in it: each backup would store the ones before it; \
             nothing was captured; keep the repository somewhere else"
        )));
    }
    let selection = selection(args)?;
    let terminal = Terminal::new(global.quiet);
    let (mut repository, keyring) = repository::open_unlocked(&args.repo.repo, global, Arc::new(terminal.clone()))?;
    let runtime = runtime::new()?;
    let objects = source(args, &runtime, !specs.is_empty())?;
    let mut heads = peers::catch_up(&mut repository, &keyring, global)?;
    let (uid, name) = objects.identity(&args.cluster_name);
    let own = keyring.lineage(&uid, &args.policy);
    let lineage = repository.state().continued(&own);
    let (uid, name) = identity_of(&repository, &keyring, &lineage).filter(|_| lineage != own).unwrap_or((uid, name));
    refuse_fenced(&repository, &lineage)?;
    let parent = repository.state().latest(&lineage).map(|point| (point.id, point.manifest));
    let plan = SessionPlan { cluster: uid.clone(), lineage, parent: parent.map(|(id, _)| id) };
    let session = Session::open(&mut repository, &keyring, plan)?;
    let _in_order = interrupt::in_order();
    if session.part().packs_found() > 0 {
        terminal.note(&format!("going on from {} packs of a backup that did not end", session.part().packs_found()));
    }
    let before = parent.and_then(|(_, manifest)| read_manifest(session.part(), &manifest, &terminal));
    let manifest = Manifest {
        cluster_uid: uid,
        cluster_name: name,
        policy: args.policy.clone(),
        cut_ms: SystemClock.now_ms(),
        writer_version: env!("CARGO_PKG_VERSION").to_owned(),
        complete: true,
        ..Manifest::default()
    };
    let capture = Capture::new(session.part(), before, &terminal, manifest);
    let taken = match capture.run(args, specs, &objects, &runtime, &selection) {
        Ok(taken) => taken,
        Err(error) if is_stop(&error) => return Err(leave(session, &mut repository, &keyring)?),
        Err(error) => {
            // Also then what was stored is kept for the next one. If not even that is possible, what counts is why.
            let _left = session.leave(&mut repository, &keyring);
            return Err(error);
        }
    };
    let newer = peers::catch_up(&mut repository, &keyring, global)?;
    if !newer.is_empty() {
        heads = newer;
    }
    refuse_fenced(&repository, &lineage)?;
    terminal.phase("committing");
    let summary = |stats: &WriteStats| summary(&taken.manifest, taken.files, stats.bytes_stored, began);
    let committed = session.commit(&mut repository, &keyring, &taken.manifest, &summary, heads)?;
    terminal.clear();
    let done = Done::new(&committed, &taken, began);
    output::print(global, &done, || text(&done))?;
    Ok(Outcome::of_exceptions(done.exceptions))
}

/// Ends the session of a backup that was stopped: what it has read is stored, for the next one. Returns what to say.
fn leave(session: Session, repository: &mut Repository, keyring: &Keyring) -> anyhow::Result<anyhow::Error> {
    let stats = session.leave(repository, keyring).context("stopped; nothing was lost, but the last packs")?;
    let kept = match stats.packs {
        0 => "nothing new was stored".to_owned(),
        packs => {
            format!("{packs} packs ({}) are stored, and the next backup uses them", output::bytes(stats.bytes_stored))
        }
    };
    Ok(Stop::Interrupted(format!("stopped before the point was whole; {kept}; nothing was lost; run it again")).into())
}

impl Done {
    fn new(committed: &Committed, taken: &Taken, began: Instant) -> Self {
        let mounts = &taken.manifest.mounts;
        let objects = mounts.iter().filter(|mount| mount.kind == MountKind::Objects);
        Self {
            point: committed.point.hex(),
            exceptions: taken.manifest.exceptions,
            files: taken.files,
            bytes_read: taken.bytes_read,
            bytes_stored: committed.stats.bytes_stored,
            seconds: began.elapsed().as_secs_f64(),
            bytes: mounts.iter().fold(0, |sum: u64, mount| sum.saturating_add(mount.bytes)),
            objects: objects.map(|mount| mount.entries).sum(),
            volumes: mounts.iter().filter(|mount| mount.kind != MountKind::Objects).count() as u64,
            carried: taken.carried,
            complete: taken.manifest.complete,
            exception_list: taken.named.iter().map(told).collect(),
        }
    }
}

fn told(exception: &Exception) -> Told {
    let Exception { path, reason, detail, mount } = exception.clone();
    Told { mount, path, reason, detail }
}

fn text(done: &Done) -> String {
    let mut out = format!("point {}", &done.point[..12]);
    out += &format!(
        "  {}, {} in {}, {}; {} new in the repository; {}\n",
        output::count(done.objects, "object"),
        output::count(done.files, "file"),
        output::count(done.volumes, "volume"),
        output::bytes(done.bytes),
        output::bytes(done.bytes_stored),
        duration(done.seconds)
    );
    if done.exceptions > 0 {
        out += &format!("{}; what else there is was captured:\n", output::count(done.exceptions, "exception"));
        for told in done.exception_list.iter().take(SHOWN_MAX) {
            let path = [told.mount.as_str(), &told.path].join("/");
            let place = shorten(path.trim_matches('/'));
            out += &format!("  {}: {place}{}{}\n", told.reason, if place.is_empty() { "" } else { " " }, told.detail);
        }
        let shown = done.exception_list.len().min(SHOWN_MAX) as u64;
        if done.exceptions > shown {
            out += &format!("  and {} more; -o json and the point name them\n", done.exceptions - shown);
        }
    }
    out
}

fn summary(manifest: &Manifest, files: u64, bytes_stored: u64, began: Instant) -> Summary {
    let volumes = manifest.mounts.iter().filter(|mount| mount.kind != MountKind::Objects);
    Summary {
        cluster: manifest.cluster_uid.clone(),
        cluster_name: manifest.cluster_name.clone(),
        policy: manifest.policy.clone(),
        cut_time_ms: manifest.mounts.iter().map(|mount| mount.cut_ms).min().unwrap_or(manifest.cut_ms),
        complete: manifest.complete,
        exceptions: manifest.exceptions,
        files,
        bytes: manifest.mounts.iter().fold(0, |sum: u64, mount| sum.saturating_add(mount.bytes)),
        bytes_stored,
        namespaces: manifest.namespaces.clone(),
        consistency: volumes.map(|mount| mount.consistency).min().unwrap_or_default() as u8,
        mounts: manifest.mounts.len() as u64,
        duration_ms: began.elapsed().as_millis() as u64,
    }
}

fn selection(args: &args::Backup) -> anyhow::Result<Selection> {
    let selector = match &args.selector {
        Some(text) => Some(text.parse().map_err(|error| usage(format!("--selector {text}: {error}")))?),
        None => None,
    };
    Ok(Selection { namespaces: args.namespaces.clone(), selector })
}

fn source(args: &args::Backup, runtime: &tokio::runtime::Runtime, volumes: bool) -> anyhow::Result<Objects> {
    if let Some(dir) = &args.from_dir {
        return Ok(Objects::Directory(dir.clone()));
    }
    let Some(context) = &args.cluster.context else {
        if args.cluster.kubeconfig.is_none() && volumes {
            return Ok(Objects::None);
        }
        return Err(usage("nothing to capture: give --context NAME, --from-dir DIR or --volume NAME=PATH"));
    };
    let kubeconfig = args.cluster.kubeconfig.as_deref();
    let (cluster, facts) = runtime
        .block_on(async {
            let cluster = Cluster::connect(Some(context), kubeconfig).await?;
            let facts = cluster.facts(&args.namespaces).await?;
            Ok::<_, firn_cluster::ClusterError>((cluster, facts))
        })
        .with_context(|| format!("the API server of context {context} cannot be used; nothing was captured"))?;
    Ok(Objects::Live { cluster, facts, name: context.clone() })
}

/// The cluster that a lineage is of: after a failover its captures go on under the name of the one that was replaced.
fn identity_of(
    repository: &Repository,
    keyring: &Keyring,
    lineage: &firn_format::LineageId,
) -> Option<(String, String)> {
    let latest = repository.state().latest(lineage)?.id;
    let points = firn_repo::list_points(repository, keyring);
    let summary = points.into_iter().find(|point| point.id == latest)?.summary?;
    Some((summary.cluster, summary.cluster_name))
}

/// Says it in plain words before the log refuses.
fn refuse_fenced(repository: &Repository, lineage: &firn_format::LineageId) -> anyhow::Result<()> {
    let state = repository.state();
    if state.may_commit(lineage) {
        return Ok(());
    }
    let epoch = state.epoch(lineage);
    Err(failed(format!(
        "this side was fenced: a failover gave the right to write to another store (epoch {epoch}); nothing was \
         captured and nothing was lost; bring the newer points here with `firn replicate` and fail over back first"
    )))
}

fn read_manifest(part: &Part, id: &firn_format::BlobId, terminal: &Terminal) -> Option<Manifest> {
    let read = part.reader().get(id).map_err(anyhow::Error::from);
    match read.and_then(|plain| Ok(Manifest::decode(&plain)?)) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            terminal.note(&format!("the point before cannot be read ({error:#}); everything is read again"));
            None
        }
    }
}

/// A capture under way.
struct Capture<'a> {
    part: &'a Part,
    before: Option<Manifest>,
    terminal: &'a Terminal,
    manifest: Manifest,
    named: Vec<Exception>,
    files: u64,
    bytes_read: u64,
    carried: u64,
}

/// What a capture came to.
struct Taken {
    manifest: Manifest,
    named: Vec<Exception>,
    files: u64,
    bytes_read: u64,
    carried: u64,
}

impl<'a> Capture<'a> {
    fn new(part: &'a Part, before: Option<Manifest>, terminal: &'a Terminal, manifest: Manifest) -> Self {
        Self { part, before, terminal, manifest, named: Vec::new(), files: 0, bytes_read: 0, carried: 0 }
    }

    /// Reads everything.
    fn run(
        mut self,
        args: &args::Backup,
        specs: Vec<VolumeSpec>,
        objects: &Objects,
        runtime: &tokio::runtime::Runtime,
        selection: &Selection,
    ) -> anyhow::Result<Taken> {
        let seen = self.objects(objects, runtime, selection)?;
        let specs = self.volumes_to_read(specs, &seen);
        self.volumes(&specs, args)?;
        interrupt::refuse_stopped()?;
        let mut facts = objects.facts();
        facts["replicas"] = json!(seen.replicas);
        facts["left_out"] = json!(seen.left_out);
        facts["unseen"] = json!(seen.unseen);
        self.manifest.facts = facts.to_string();
        self.finish(&seen)
    }

    fn parent_mount(&self, path: &str) -> Option<&Mount> {
        let key = self.part.writer().keys().key_ref();
        let mounts = &self.before.as_ref()?.mounts;
        mounts
            .iter()
            .find(|mount| mount.path == path && (mount.domain, mount.generation) == (key.domain, key.generation))
    }

    fn parent_tree(&self, path: &str) -> Option<ParentTree> {
        let mount = self.parent_mount(path)?;
        Some(ParentTree { reader: self.part.reader().clone(), root: mount.root, cut_ms: mount.cut_ms })
    }

    fn except(&mut self, mount: &str, path: &str, reason: &str, detail: String) {
        self.manifest.exceptions += 1;
        self.named.push(Exception {
            path: path.to_owned(),
            reason: reason.to_owned(),
            detail,
            mount: mount.to_owned(),
        });
    }

    fn mount(&self, path: &str, kind: MountKind) -> Mount {
        let key = self.part.writer().keys().key_ref();
        Mount {
            path: path.to_owned(),
            root: firn_format::BlobId([0; 32]),
            domain: key.domain,
            generation: key.generation,
            kind,
            consistency: Consistency::None,
            cut_ms: SystemClock.now_ms(),
            stale: false,
            entries: 0,
            bytes: 0,
            exceptions: 0,
            method: String::new(),
        }
    }

    fn objects(
        &mut self,
        objects: &Objects,
        runtime: &tokio::runtime::Runtime,
        selection: &Selection,
    ) -> anyhow::Result<Seen> {
        if matches!(objects, Objects::None) {
            return Ok(Seen::default());
        }
        self.terminal.phase("reading objects");
        let mut mount = self.mount("objects", MountKind::Objects);
        let mut capture = ObjectCapture::new(self.part, self.parent_tree("objects"), self.terminal)?;
        let seen = objects.capture(runtime, selection, &mut capture)?;
        let captured = capture.finish()?;
        mount.root = captured.root.id;
        mount.entries = captured.objects;
        mount.bytes = captured.bytes;
        mount.exceptions = (seen.exceptions.len() + captured.exceptions.len()) as u64;
        // What was carried is as old as it is.
        mount.cut_ms = captured.carried_cut_ms.unwrap_or(mount.cut_ms).min(mount.cut_ms);
        mount.method = "list".to_owned();
        mount.stale = seen.carried > 0;
        self.carried += u64::from(seen.carried > 0);
        self.bytes_read += captured.bytes;
        self.manifest.complete &= mount.exceptions == 0;
        if !seen.unseen.is_empty() {
            let namespaces = selection.namespaces.join(", ");
            self.terminal.note(&format!(
                "left out, since this user may not list them outside of {namespaces}: {}",
                seen.unseen.join(", ")
            ));
        }
        for (what, word, why) in &seen.exceptions {
            self.except("objects", what, word, why.clone());
        }
        self.manifest.exceptions += captured.exceptions.len() as u64;
        self.named.extend(captured.exceptions);
        self.manifest.mounts.push(mount);
        Ok(seen)
    }

    /// The volumes to read: those named, and those of captured claims whose path this host has. The others are exceptions.
    fn volumes_to_read(&mut self, mut specs: Vec<VolumeSpec>, seen: &Seen) -> Vec<VolumeSpec> {
        let named = |specs: &[VolumeSpec], namespace: &str, claim: &str| {
            specs.iter().any(|spec| spec.namespace == namespace && spec.claim == claim)
        };
        let pairs = seen.storage.iter().map(|(key, object)| (key, object));
        for volume in volumes::live_volumes(pairs) {
            if !named(&specs, &volume.namespace, &volume.claim) && !volume.block && volume.path.is_dir() {
                specs.push(VolumeSpec { namespace: volume.namespace, claim: volume.claim, path: volume.path });
            }
        }
        for (key, _) in seen.storage.iter().filter(|(key, _)| key.resource == "persistentvolumeclaims") {
            let namespace = key.namespace.clone().unwrap_or_default();
            if !named(&specs, &namespace, &key.name) {
                let path = mount(&namespace, &key.name);
                let why = "its contents cannot be read from here: it is bound to no local or hostPath volume that this host has";
                self.leave_behind(&path, "not-readable-here", why.to_owned());
            }
        }
        self.carry_unlisted(&specs, seen);
        specs.sort_by_key(VolumeSpec::mount);
        specs
    }

    /// Where claims could not be listed, nobody knows which volumes there are: those of the point before stand for them.
    fn carry_unlisted(&mut self, specs: &[VolumeSpec], seen: &Seen) {
        let of_claims =
            |(what, word, _): &(String, &str, String)| what.contains("persistentvolumeclaims") && *word != "no-name";
        if !seen.exceptions.iter().any(of_claims) {
            return;
        }
        let before =
            self.before.iter().flat_map(|before| &before.mounts).filter(|mount| mount.kind != MountKind::Objects);
        let mut unlisted: Vec<String> = before.map(|mount| mount.path.clone()).collect();
        unlisted.retain(|path| !specs.iter().any(|spec| spec.mount() == *path));
        unlisted.retain(|path| !self.manifest.mounts.iter().any(|mount| mount.path == *path));
        for path in unlisted {
            self.leave_behind(&path, "unlisted", "its claim could not be listed".to_owned());
        }
    }

    /// A volume that could not be captured: carried from the parent if that has it, and an exception either way.
    fn leave_behind(&mut self, path: &str, reason: &str, why: String) {
        self.manifest.complete = false;
        let carried = self.parent_mount(path).cloned();
        if let Some(mut mount) = carried
            && matches!(carry_tree(self.part, mount.root), Ok(true))
        {
            mount.stale = true;
            self.carried += 1;
            self.except(path, "", "carried", format!("{why}; the state of the point before stands for it"));
            self.manifest.mounts.push(mount);
            return;
        }
        self.except(path, "", reason, why);
    }

    fn volumes(&mut self, specs: &[VolumeSpec], args: &args::Backup) -> anyhow::Result<()> {
        if specs.is_empty() {
            return Ok(());
        }
        self.terminal.phase("reading volumes");
        let held = hooks::hold(args.before.as_deref(), args.after.as_deref())?;
        let consistency = if args.before.is_some() { Consistency::Frozen } else { Consistency::Live };
        let _measuring = self.expect(specs);
        for spec in specs {
            if spec.holds(&args.repo.repo) {
                self.leave_behind(&spec.mount(), "holds-repository", "the repository itself lies in it".to_owned());
                continue;
            }
            self.volume(spec, consistency)?;
        }
        if let Err(why) = held.release() {
            self.except("", "", "after-hook", why);
        }
        Ok(())
    }

    /// Tells how much is to come: about as much as there was before; what was not there before is counted.
    fn expect(&self, specs: &[VolumeSpec]) -> Option<Measuring> {
        let before: Option<u64> = specs.iter().map(|spec| Some(self.parent_mount(&spec.mount())?.entries)).sum();
        match before {
            Some(entries) => {
                self.terminal.total(Counter::Entries, entries);
                None
            }
            None => {
                let folders = specs.iter().map(|spec| spec.path.clone()).collect();
                self.terminal.is_shown().then(|| measure(folders, self.terminal))
            }
        }
    }

    fn volume(&mut self, spec: &VolumeSpec, consistency: Consistency) -> anyhow::Result<()> {
        let path = spec.mount();
        let mut mount = self.mount(&path, MountKind::Files);
        let parent = self.parent_tree(&path);
        let options = CaptureOptions { mount: &path, parent, lanes: lanes(), progress: self.terminal };
        let captured = match capture_volume(self.part, &spec.path, options) {
            Ok(captured) => captured,
            Err(firn_agent::AgentError::Volume { source, .. }) => {
                let source = anyhow::Error::from(source);
                self.leave_behind(&path, "unreadable", format!("{}: {source:#}", spec.path.display()));
                return Ok(());
            }
            Err(other) => return Err(other.into()),
        };
        let CapturedVolume { root, bytes_read, exceptions, named } = captured;
        mount.root = root.id;
        mount.entries = root.entries;
        mount.bytes = root.bytes;
        mount.consistency = consistency;
        mount.exceptions = exceptions;
        mount.method = "walk".to_owned();
        self.files += root.entries;
        self.bytes_read += bytes_read;
        self.manifest.exceptions += exceptions;
        self.manifest.complete &= exceptions == named.len() as u64 && !named.iter().any(lacks_content);
        self.named.extend(named);
        self.manifest.mounts.push(mount);
        Ok(())
    }

    /// The whole manifest, its exceptions stored beside it.
    fn finish(mut self, seen: &Seen) -> anyhow::Result<Taken> {
        let mut manifest = std::mem::take(&mut self.manifest);
        manifest.end_ms = SystemClock.now_ms();
        manifest.mounts.sort_by(|a, b| firn_format::tree::path_cmp(a.path.as_bytes(), b.path.as_bytes()));
        let of_volumes = manifest.mounts.iter().filter_map(|mount| Some(of_mount(&mount.path)?.0.to_owned()));
        let mut namespaces = seen.namespaces.clone();
        namespaces.extend(of_volumes);
        manifest.namespaces = namespaces.into_iter().collect();
        if !self.named.is_empty() {
            let mut lane = self.part.lane()?;
            manifest.exceptions_node = Some(lane.put_metadata(&encode_exceptions(&self.named).0)?);
            lane.finish()?;
        }
        let Self { named, files, bytes_read, carried, .. } = self;
        Ok(Taken { manifest, named, files, bytes_read, carried })
    }
}
