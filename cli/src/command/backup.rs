//! `firn backup`: one recovery point of objects and volumes.

mod capture;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use firn_cluster::Cluster;
use firn_format::manifest::{Exception, Manifest, MountKind};
use firn_format::{Clock as _, Progress as _, SystemClock};
use firn_plan::Selection;
use firn_repo::{Committed, Keyring, Part, Repository, Session, SessionPlan, Summary, WriteStats};
use serde::Serialize;

use self::capture::{Capture, Taken};
use crate::args;
use crate::cluster_objects::Objects;
use crate::outcome::{Outcome, Stop, failed, is_stop, usage};
use crate::path_text::shorten;
use crate::terminal::{Terminal, duration};
use crate::volume_spec::VolumeSpec;
use crate::{interrupt, output, peers, repository, runtime};

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
