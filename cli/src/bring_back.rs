//! Bring back: a point and a destination in, a plan out, and the plan executed, wave by wave.

mod gate;
mod place;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use firn_agent::{AgentError, ObjectText, RestoreOptions as VolumeOptions, lanes, read_objects, restore_volume};
use firn_cluster::{
    Adoption, AdoptiveOwner, Cluster, Create, Outcome as Result_, WriteOptions, WriteStop, Written, directory,
};
use firn_format::manifest::{Mount, MountKind};
use firn_format::object::ObjectKey;
use firn_format::tree::{TreeReader, is_below};
use firn_format::{Counter, Progress};
use firn_plan::{Action, RestoreOptions, RestorePlan, Standing, Step, Target, VolumeTarget, render, restore};
use firn_repo::{Class, Nodes};
use firn_volume::Privileges;
use serde::Serialize;
use serde_json::Value;

use self::place::{Folder, Place};
use crate::destination::Destination;
use crate::outcome::{Outcome, usage};
use crate::point::Opened;
use crate::terminal::Terminal;
use crate::volume_spec::of_mount;
use crate::{interrupt, output};

/// What of a point is brought back.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// A path of the point; empty for all.
    pub path: String,
    /// Only these namespaces; empty for all.
    pub namespaces: Vec<String>,
}

impl Scope {
    /// The part of a mount that is meant: the path below it, empty for all of it; `None` if nothing.
    pub fn within<'s>(&'s self, mount: &Mount) -> Option<&'s str> {
        if let Some((namespace, _)) = of_mount(&mount.path)
            && !self.namespaces.is_empty()
            && !self.namespaces.iter().any(|name| name == namespace)
        {
            return None;
        }
        if self.path.is_empty() || below(&mount.path, &self.path) {
            return Some("");
        }
        below(&self.path, &mount.path).then(|| self.path[mount.path.len()..].trim_start_matches('/'))
    }

    fn has(&self, key: &ObjectKey) -> bool {
        self.namespaces.is_empty()
            || key.namespace.as_ref().is_some_and(|namespace| self.namespaces.contains(namespace))
            || key.resource == "namespaces" && self.namespaces.contains(&key.name)
    }
}

/// Whether `path` is `above` or lies below it.
fn below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a restore came to.
#[derive(Debug, Default, Serialize)]
pub struct Restored {
    /// Objects that were created or merged.
    pub created: u64,
    /// Objects that were there.
    pub skipped: u64,
    /// Those of them that are not as in the point, by name. They were left as they are.
    pub different: Vec<String>,
    /// Volumes whose contents were written.
    pub volumes: u64,
    /// Files written.
    pub files: u64,
    /// Bytes of content in these volumes.
    pub bytes: u64,
    /// Files and objects that the repository no longer has whole.
    pub damaged: u64,
    /// How many exceptions there are, named or not.
    pub exceptions: u64,
    /// What is not as it was: (what, why).
    pub exception_list: Vec<(String, String)>,
    /// What is not ready yet, and why.
    pub unready: Vec<(String, String)>,
}

impl Restored {
    fn except(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.exceptions += 1;
        self.exception_list.push((what.into(), why.into()));
    }

    /// Names what the repository no longer has whole.
    fn lack(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.damaged += 1;
        self.except(what, why);
    }

    /// Names something that is not ready, in the place of what was said of it before.
    pub fn wait_for(&mut self, what: String, why: String) {
        self.unready.retain(|(known, _)| *known != what);
        self.unready.push((what, why));
    }

    /// What was done by the time that somebody asked to stop.
    pub fn so_far(&self) -> String {
        let Self { created, volumes, files, .. } = self;
        format!("{created} objects were created and {volumes} volumes filled whole ({files} files)")
    }
}

/// What becomes of a point, and what of it can no longer be had.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// The steps.
    #[serde(flatten)]
    pub plan: RestorePlan,
    /// Objects that the repository no longer has whole: (what, why). They have no step.
    pub damaged: Vec<(String, String)>,
    #[serde(skip)]
    volumes: VolumeTarget,
}

impl Planned {
    /// How a dry run ends.
    pub fn outcome(&self) -> Outcome {
        if self.damaged.is_empty() {
            Outcome::of_exceptions(self.plan.exceptions().count() as u64)
        } else {
            Outcome::Damaged
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let damaged = self.damaged.iter().map(|(what, why)| format!("damaged: {what}: {why}\n"));
        damaged.chain([render::restore_plan(&self.plan, false)]).collect()
    }
}

/// Reads the objects of the point and plans what becomes of each.
pub fn plan(
    point: &Opened,
    scope: &Scope,
    target: &Target,
    mut options: RestoreOptions,
    progress: &dyn Progress,
) -> anyhow::Result<Planned> {
    progress.phase("reading the point's objects");
    let mut found = Found { scope, captured: Vec::new(), damaged: Vec::new() };
    for mount in &point.manifest.mounts {
        let Some(within) = scope.within(mount) else { continue };
        if mount.kind != MountKind::Objects {
            must_exist(point, mount, within)?;
            if let Some((namespace, claim)) = of_mount(&mount.path) {
                let name = (namespace.to_owned(), claim.to_owned());
                let place = place(&options.volumes, &options.target_namespace(namespace), claim);
                let in_the_way = place.map(|place| place.in_the_way(point, mount, within)).transpose()?;
                if let Some(why) = in_the_way.flatten() {
                    options.volumes_in_the_way.insert(name.clone(), why);
                }
                options.volumes_in_point.insert(name);
            }
            continue;
        }
        progress.total(Counter::Entries, mount.entries);
        let read = read_objects(point.reader(mount)?, mount.root, within, lanes(), |key, text| {
            progress.add(Counter::Entries, 1);
            found.take(key, text);
            Ok(())
        });
        match read {
            Err(AgentError::Repo(error)) if error.class() == Class::Damaged => {
                found.damaged.push((mount.path.clone(), format!("not all that it lists can be read: {error}")));
            }
            read => read?,
        }
    }
    Ok(Planned {
        plan: restore::plan(found.captured, target, &options),
        damaged: found.damaged,
        volumes: options.volumes,
    })
}

/// Refuses a path that a volume does not have, before anything is planned. A tree that cannot be read is named later.
fn must_exist(point: &Opened, mount: &Mount, within: &str) -> anyhow::Result<()> {
    let mut tree = TreeReader::new(mount.root, Nodes(point.reader(mount)?.clone()));
    let path = within.as_bytes();
    if path.is_empty() || tree.seek(path).is_err() {
        return Ok(());
    }
    match tree.peek() {
        Err(_) => Ok(()),
        Ok(Some(entry)) if entry.path == path || is_below(&entry.path, path) => Ok(()),
        Ok(_) => {
            Err(usage(format!("the point holds nothing at `{}/{within}`; `firn ls` shows what it holds", mount.path)))
        }
    }
}

/// Where a volume's contents go, by the names on the target.
fn place(volumes: &VolumeTarget, namespace: &str, claim: &str) -> Option<Place> {
    match volumes {
        VolumeTarget::Nowhere => None,
        VolumeTarget::Beside { dir } => {
            let base = dir.parent().unwrap_or(dir);
            Some(Place::new(base.to_owned(), "volumes", namespace, claim))
        }
        VolumeTarget::Local(local) => Some(Place::new(local.dir.clone(), "", namespace, claim)),
    }
}

/// The objects of a point, as they are read.
struct Found<'a> {
    scope: &'a Scope,
    captured: Vec<(ObjectKey, Value)>,
    damaged: Vec<(String, String)>,
}

impl Found<'_> {
    fn take(&mut self, key: ObjectKey, text: ObjectText) {
        if !self.scope.has(&key) {
            return;
        }
        match text.and_then(|text| serde_json::from_slice(&text).map_err(|error| format!("it is not JSON: {error}"))) {
            Ok(object) => self.captured.push((key, object)),
            Err(why) => self.damaged.push((key.to_string(), why)),
        }
    }
}

/// Executes plans.
pub struct Executor<'a> {
    /// Where to.
    pub destination: &'a Destination,
    /// From what.
    pub point: &'a Opened,
    /// Which part of it.
    pub scope: &'a Scope,
    /// Waits for the API server.
    pub runtime: &'a tokio::runtime::Runtime,
    /// Who is told.
    pub terminal: &'a Terminal,
}

impl Executor<'_> {
    /// Carries out all steps and counts them in `done`. What fails is an exception; the rest goes on.
    ///
    /// # Errors
    /// `Stopped` if somebody asked for that; a volume as a whole, unless the repository no longer has its tree.
    pub fn run(&self, planned: Planned, done: &mut Restored) -> anyhow::Result<()> {
        let Planned { plan, damaged, volumes } = planned;
        for (what, why) in damaged {
            done.lack(what, why);
        }
        self.name_stale(done);
        let mut uids = HashMap::new();
        let work = plan.steps.iter().filter(|step| step.action.is_work()).count() as u64;
        self.terminal.phase("restoring");
        self.terminal.total(Counter::Entries, work);
        let bytes = self.volumes(&plan).fold(0, |sum: u64, (_, mount)| sum.saturating_add(mount.bytes));
        self.terminal.total(Counter::Bytes, bytes);
        let mut wave = None;
        for batch in plan.batches() {
            interrupt::refuse_stopped()?;
            let next = batch.first().map(|step| step.wave);
            if wave != next {
                self.leave(wave, &plan, done)?;
                self.enter(next, &plan, done)?;
            }
            wave = next;
            self.batch(batch, &volumes, &mut uids, done)?;
            self.await_volumes(batch)?;
        }
        self.leave(wave, &plan, done)
    }

    /// What the point could not capture anew and took over from one before it is older than the point says.
    fn name_stale(&self, done: &mut Restored) {
        let mounts = self.point.manifest.mounts.iter().filter(|mount| mount.stale);
        for mount in mounts.filter(|mount| self.scope.within(mount).is_some()) {
            let age = output::age(mount.cut_ms, self.point.manifest.cut_ms);
            done.except(mount.path.clone(), format!("carried over from an earlier point, {age} older than this one"));
        }
    }

    /// The volumes that the plan fills, with their mounts.
    fn volumes<'p>(&'p self, plan: &'p RestorePlan) -> impl Iterator<Item = (&'p Step, &'p Mount)> {
        plan.steps.iter().filter(|step| step.action == Action::Fill).filter_map(|step| Some((step, self.mount(step)?)))
    }

    fn mount(&self, step: &Step) -> Option<&Mount> {
        let fill = step.volume.as_ref()?;
        self.point.manifest.mount(&crate::volume_spec::mount(&fill.namespace, &fill.claim))
    }

    fn batch(
        &self,
        steps: &[Step],
        volumes: &VolumeTarget,
        uids: &mut HashMap<ObjectKey, String>,
        done: &mut Restored,
    ) -> anyhow::Result<()> {
        let mut by_action: BTreeMap<Action, Vec<&Step>> = BTreeMap::new();
        for step in steps {
            match step.action {
                Action::Skip => {
                    done.skipped += 1;
                    if step.standing == Some(Standing::Different) && step.kind != "Namespace" {
                        done.different.push(step.key.to_string());
                    }
                }
                Action::Conflict | Action::NotRestored => done.except(step.key.to_string(), step.reason.clone()),
                _ => by_action.entry(step.action).or_default().push(step),
            }
        }
        for step in by_action.remove(&Action::Fill).unwrap_or_default() {
            self.fill(step, volumes, done)?;
        }
        for (action, steps) in by_action {
            match self.destination {
                Destination::Directory(dir) => self.write_files(dir, &steps, done),
                Destination::Cluster { cluster, .. } => self.write_objects(cluster, action, &steps, uids, done),
            }
        }
        Ok(())
    }

    fn fill(&self, step: &Step, volumes: &VolumeTarget, done: &mut Restored) -> anyhow::Result<()> {
        let (Some(fill), Some(mount)) = (&step.volume, self.mount(step)) else { return Ok(()) };
        let below = self.scope.within(mount).unwrap_or_default();
        let home = step.key.namespace.as_deref().unwrap_or_default();
        let Some(place) = place(volumes, home, &fill.claim) else { return Ok(()) };
        let cannot =
            || format!("{} could not be restored to {}; run it again to go on", mount.path, fill.path.display());
        let folder = place.begin(self.point.id, below).with_context(cannot)?;
        // Sparse files take less than their size, so only inodes can be counted beforehand.
        let room = if below.is_empty() { (0, mount.entries) } else { (0, 0) };
        let options = VolumeOptions {
            mount: &mount.path,
            below,
            privileges: Privileges::default(),
            threads: lanes(),
            room,
            progress: self.terminal,
        };
        let restored = match restore_volume(self.point.reader(mount)?, mount.root, &folder.path(), options) {
            Err(AgentError::Repo(error)) if error.class() == Class::Damaged => {
                done.lack(mount.path.as_str(), format!("not all that it lists can be read: {error}"));
                return Ok(());
            }
            restored => restored.with_context(cannot)?,
        };
        if restored.damaged == 0 {
            place.finish().with_context(cannot)?;
        }
        done.volumes += 1;
        done.files += restored.files + restored.kept;
        done.bytes += mount.bytes;
        done.damaged += restored.damaged;
        done.exceptions += restored.exceptions;
        let told = restored.named.into_iter();
        done.exception_list.extend(
            told.map(|told| (format!("{}/{}", told.mount, told.path), format!("{} {}", told.reason, told.detail))),
        );
        Ok(())
    }

    fn write_files(&self, dir: &Path, steps: &[&Step], done: &mut Restored) {
        for step in steps {
            if interrupt::is_stopping() {
                return;
            }
            let Some(object) = &step.object else { continue };
            match write_file(dir, &step.key, object) {
                Ok(()) => done.created += 1,
                Err(error) => done.except(step.key.to_string(), format!("{error:#}")),
            }
            self.terminal.add(Counter::Entries, 1);
        }
    }

    fn write_objects(
        &self,
        cluster: &Cluster,
        action: Action,
        steps: &[&Step],
        uids: &mut HashMap<ObjectKey, String>,
        done: &mut Restored,
    ) {
        let terminal = self.terminal.clone();
        let told: Arc<dyn Fn(&Written) + Send + Sync> = Arc::new(move |_| terminal.add(Counter::Entries, 1));
        let stop: WriteStop = Arc::new(interrupt::is_stopping);
        let options = WriteOptions { progress: Some(told), stop: Some(stop), ..WriteOptions::default() };
        let creates = || {
            let objects = steps.iter().filter_map(|step| Some((step.key.clone(), step.object.clone()?)));
            objects.map(|(key, object)| Create { key, object }).collect::<Vec<_>>()
        };
        let written = self.runtime.block_on(async {
            match action {
                Action::Create => cluster.create_all(creates(), &options).await,
                Action::Merge => cluster.merge_all(creates(), &options).await,
                Action::Adopt => {
                    cluster.adopt_all(steps.iter().map(|step| adoption(step)).collect(), uids, &options).await
                }
                _ => Vec::new(),
            }
        });
        for one in written {
            for warning in one.warnings {
                self.terminal.note(&format!("{}: {warning}", one.key));
            }
            match one.outcome {
                Result_::Created { uid } | Result_::Patched { uid } => {
                    if action != Action::Adopt {
                        done.created += 1;
                    }
                    uids.insert(one.key, uid);
                }
                Result_::AlreadyExists => {
                    done.except(one.key.to_string(), "it appeared meanwhile and was left as it is")
                }
                Result_::Failed(error) => done.except(one.key.to_string(), format!("{:#}", anyhow::Error::from(error))),
            }
        }
    }
}

/// Writes one manifest. Nothing below `dir` is followed on the way to it.
fn write_file(dir: &Path, key: &ObjectKey, object: &Value) -> anyhow::Result<()> {
    let path = key.path();
    let (above, _) = path.rsplit_once('/').context("an object without a folder")?;
    anyhow::ensure!(key.is_valid(), "{key} is no name that Kubernetes would take");
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let folder = Folder::make(dir, &[above]).with_context(|| format!("cannot make {above}"))?;
    directory::write_into(&folder.path(), key, object)?;
    Ok(())
}

fn adoption(step: &Step) -> Adoption {
    let owners = step.owners.iter().map(|owner| AdoptiveOwner {
        key: owner.key.clone(),
        kind: owner.kind.clone(),
        controller: owner.controller,
        block_owner_deletion: owner.block_owner_deletion,
    });
    Adoption { key: step.key.clone(), owners: owners.collect() }
}
