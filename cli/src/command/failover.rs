//! `firn failover`: a lost cluster, brought back on another one from the replica that is left.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use firn_cluster::Cluster;
use firn_format::log::{Fence, Head, Unfence};
use firn_format::{LineageId, Payload, PointId, Progress as _};
use firn_plan::failover::{
    Check, CheckResult, Consistency, FailoverFacts, LineageFact, PrimaryFacts, RestoreFacts, VolumeFact,
};
use firn_plan::{Action, FailoverPlan, Target, failover, render};
use firn_repo::{Keyring, PointInfo, Repository, list_points};
use jiff::Timestamp;
use serde::Serialize;

use crate::args;
use crate::bring_back::{self, Executor, Planned, Restored, Scope};
use crate::command::restore::{lines, outcome};
use crate::destination::{Destination, options};
use crate::outcome::{Outcome, Stop, failed, is_stop, usage};
use crate::point::Opened;
use crate::terminal::{Terminal, duration};
use crate::volume_spec::of_mount;
use crate::{interrupt, output, peers, repository, runtime};

/// How long workloads are waited for. What is not ready then is named in the report.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

/// What is printed at the end.
#[derive(Serialize)]
struct Report {
    cluster: String,
    destination: String,
    points: Vec<String>,
    epochs: Vec<u64>,
    primary_fenced: Option<bool>,
    rpo_seconds: i64,
    rto_seconds: f64,
    held: Vec<String>,
    #[serde(flatten)]
    restored: Restored,
}

/// Plans, shows, asks, executes.
pub fn run(args: &args::Failover, global: &args::Global) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let terminal = Terminal::new(global.quiet);
    let (repository, keyring) = repository::open_unlocked(&args.repo.repo, global, Arc::new(terminal.clone()))?;
    if args.abort {
        return abort(args, repository, &keyring, global);
    }
    let runtime = runtime::new()?;
    let primary = primary(args, &repository, global)?;
    let destination = Destination::open(&args.cluster, args.to_dir.as_deref(), &[], &runtime)?;
    let mut failover =
        Failover { args, terminal: &terminal, runtime: &runtime, repository, keyring, primary, destination };
    let cluster = failover.cluster()?;
    let target = failover.destination.look(&[], &runtime)?;
    let (points, judged) = failover.newest_whole(&cluster);
    let facts = failover.facts(&cluster, &points, judged, &target)?;
    let plan = failover::plan(&facts);
    terminal.clear();
    if args.dry_run {
        output::print(global, &plan, || render::failover_plan(&plan))?;
        return Ok(if plan.refusals.is_empty() { Outcome::Done } else { Outcome::Exceptions });
    }
    anstream::eprintln!("{}", render::failover_plan(&plan));
    if !plan.refusals.is_empty() {
        return Err(failed(format!("the failover may not begin: {}; nothing was changed", plan.refusals.join("; "))));
    }
    confirm(args, &cluster.name)?;
    let _in_order = interrupt::in_order();
    let mut stands = Stands::default();
    let report = match failover.execute(&cluster, &plan, target, began, &mut stands) {
        Err(error) if is_stop(&error) => return Err(stands.stop()),
        ran => ran?,
    };
    terminal.clear();
    output::print(global, &report, || text(&report))?;
    Ok(outcome(&report.restored))
}

/// The cluster that is replaced.
struct Lost {
    uid: String,
    name: String,
}

/// How far a failover is, in case somebody asks to stop.
#[derive(Default)]
struct Stands {
    /// The epochs of the fence, once it is written.
    epochs: Option<Vec<u64>>,
    primary_fenced: Option<bool>,
    restored: Restored,
}

impl Stands {
    fn stop(&self) -> anyhow::Error {
        let Some(epochs) = &self.epochs else {
            return Stop::Interrupted("stopped before the fence; nothing was changed; run it again".to_owned()).into();
        };
        let epochs: Vec<_> = epochs.iter().map(u64::to_string).collect();
        let told = match self.primary_fenced {
            Some(true) => "the primary was told and writes no more",
            _ => "the primary was not told",
        };
        let so_far = self.restored.so_far();
        Stop::Interrupted(format!(
            "stopped after the fence: this side has the right to write (epoch {}), {told}; {so_far}; nothing was lost; \
             the same command goes on from there, `firn failover --abort` gives the right back",
            epochs.join(", ")
        ))
        .into()
    }
}

struct Failover<'a> {
    args: &'a args::Failover,
    terminal: &'a Terminal,
    runtime: &'a tokio::runtime::Runtime,
    repository: Repository,
    keyring: Keyring,
    primary: Primary,
    destination: Destination,
}

/// The old primary's repository, as far as it can be had.
struct Primary {
    url: Option<String>,
    repository: Option<Repository>,
}

fn primary(args: &args::Failover, here: &Repository, global: &args::Global) -> anyhow::Result<Primary> {
    use firn_format::log::Direction;
    let linked = here.state().links().iter().rev().find(|link| link.direction == Direction::From);
    let url = args.primary.clone().or_else(|| linked.map(|link| link.url.clone()));
    let opened = url.as_deref().and_then(|url| repository::open_quietly(url, global));
    let repository = match opened {
        Some(found)
            if found.format().family != here.format().family || found.state().store() == here.state().store() =>
        {
            return Err(usage("--primary is not the repository that this one is a replica of"));
        }
        other => other,
    };
    Ok(Primary { url, repository })
}

impl Failover<'_> {
    /// Which cluster is meant.
    fn cluster(&self) -> anyhow::Result<Lost> {
        let mut found: Vec<Lost> = Vec::new();
        for point in list_points(&self.repository, &self.keyring) {
            let Some(summary) = point.summary else { continue };
            let (uid, name) = (summary.cluster, summary.cluster_name);
            let asked = self.args.cluster_name.as_ref().is_none_or(|asked| *asked == name || *asked == uid);
            if asked && !found.iter().any(|lost| lost.uid == uid) {
                found.push(Lost { uid, name });
            }
        }
        if found.len() > 1 {
            let names: Vec<_> = found.iter().map(|lost| lost.name.as_str()).collect();
            return Err(usage(format!(
                "the repository has several clusters; give --cluster-name, one of: {}",
                names.join(", ")
            )));
        }
        found.pop().ok_or_else(|| failed("the repository has no point of such a cluster; nothing was changed"))
    }

    /// The newest point of each lineage of which nothing is lost, oldest cut first; and what there is to say about those
    /// that are passed over. What was imported was hashed here; what was committed here was read back.
    fn newest_whole(&self, cluster: &Lost) -> (Vec<PointInfo>, Vec<Check>) {
        let mut lineages: BTreeMap<LineageId, Vec<PointInfo>> = BTreeMap::new();
        for point in list_points(&self.repository, &self.keyring) {
            if !point.branch && point.summary.as_ref().is_some_and(|summary| summary.cluster == cluster.uid) {
                lineages.entry(point.lineage).or_default().push(point);
            }
        }
        let (mut newest, mut checks) = (Vec::new(), Vec::new());
        for (lineage, mut points) in lineages {
            let latest = self.repository.state().latest(&lineage).map(|latest| latest.id);
            points.sort_by_key(|point| (latest == Some(point.id), point.seq));
            let policy = points.last().and_then(|point| point.summary.as_ref()).map_or("?", |summary| &summary.policy);
            let policy = policy.to_owned();
            let damaged = points.iter().rev().take_while(|point| point.lost > 0).count();
            points.truncate(points.len() - damaged);
            let Some(point) = points.pop() else {
                let why =
                    format!("none of {damaged} points of policy {policy} is whole; `firn check` names what is lost");
                checks.push(check("points", CheckResult::Fail, why));
                continue;
            };
            if damaged > 0 {
                let why = format!(
                    "policy {policy}: the newest {damaged} points have lost objects; {}, the newest whole one, is taken",
                    point.id.short()
                );
                checks.push(check("points", CheckResult::Warn, why));
            }
            newest.push(point);
        }
        newest.sort_by_key(PointInfo::cut_time_ms);
        (newest, checks)
    }

    fn facts(
        &self,
        cluster: &Lost,
        points: &[PointInfo],
        judged: Vec<Check>,
        target: &Target,
    ) -> anyhow::Result<FailoverFacts> {
        let mut restore = RestoreFacts::default();
        let mut lineages = Vec::new();
        let mut checks = self.checks(cluster);
        checks.extend(judged);
        for point in points {
            let opened = Opened::open(&self.repository, &self.keyring, point.id)?;
            let Planned { plan, damaged, .. } = self.plan(&opened, target)?;
            if let Some((what, why)) = damaged.first() {
                let why = format!("{} damaged, such as {what}: {why}", output::count(damaged.len() as u64, "object"));
                checks.push(check("objects", CheckResult::Warn, why));
            }
            let counts = plan.counts();
            let count = |action| counts.get(&action).copied().unwrap_or_default();
            restore.creates += count(Action::Create) + count(Action::Merge);
            restore.fills += count(Action::Fill);
            restore.exceptions += plan.exceptions().count() + damaged.len();
            restore.holds += plan.holds.len();
            if let Some(why) = plan.refusal() {
                checks.push(check("existing objects", CheckResult::Fail, why));
            }
            for warning in &plan.warnings {
                checks.push(check("restore", CheckResult::Warn, warning.clone()));
            }
            lineages.push(self.lineage_fact(point, &opened));
        }
        let healthy = self.primary_is_healthy(cluster);
        let store_reachable = self.primary.url.as_ref().map(|_| self.primary.repository.is_some());
        Ok(FailoverFacts {
            cluster: cluster.name.clone(),
            now: Timestamp::now(),
            primary: PrimaryFacts { store_reachable, healthy },
            checks,
            lineages,
            restore,
            primary_may_live: self.args.yes_primary_is_alive,
        })
    }

    fn checks(&self, cluster: &Lost) -> Vec<Check> {
        let mut checks = Vec::new();
        checks.push(match self.repository.damage() {
            None => check("repository", CheckResult::Pass, "its log is sound".to_owned()),
            Some(damage) => check("repository", CheckResult::Fail, format!("its log is damaged: {damage:?}")),
        });
        checks.push(match self.keyring.signing_key() {
            Ok(_) => check("key", CheckResult::Pass, "opens contents and may fence".to_owned()),
            Err(_) => check("key", CheckResult::Fail, "may not fence; use the owner's passphrase or kit".to_owned()),
        });
        match &self.destination {
            Destination::Cluster { facts, context, .. } if facts.uid == cluster.uid => checks.push(check(
                "destination",
                CheckResult::Fail,
                format!("context {context} is the very cluster that is to be replaced"),
            )),
            Destination::Cluster { facts, context, .. } => checks.push(check(
                "API server",
                CheckResult::Pass,
                format!("{context} answers, Kubernetes {}", facts.server_version),
            )),
            Destination::Directory(dir) => {
                checks.push(check("destination", CheckResult::Pass, dir.display().to_string()));
            }
        }
        checks
    }

    fn lineage_fact(&self, point: &PointInfo, opened: &Opened) -> LineageFact {
        let manifest = &opened.manifest;
        let volumes = manifest.mounts.iter().filter_map(|mount| {
            let (namespace, claim) = of_mount(&mount.path)?;
            use firn_format::Consistency as Found;
            Some(VolumeFact {
                namespace: namespace.to_owned(),
                claim: claim.to_owned(),
                consistency: match mount.consistency {
                    Found::None | Found::Live => Consistency::Live,
                    Found::Crash => Consistency::Crash,
                    Found::Frozen => Consistency::Frozen,
                    Found::Application => Consistency::Application,
                },
                cut: timestamp(mount.cut_ms),
                stale: mount.stale,
            })
        });
        let unreplicated = self.primary.repository.as_ref().map(|primary| {
            let here = self.repository.state();
            primary.state().points_of(&point.lineage).filter(|theirs| here.point(&theirs.id).is_none()).count() as u64
        });
        LineageFact {
            policy: manifest.policy.clone(),
            point: point.id.short(),
            cut: timestamp(manifest.cut_ms),
            whole: manifest.complete && manifest.exceptions == 0,
            epoch: self.repository.state().epoch(&point.lineage),
            unreplicated,
            volumes: volumes.collect(),
        }
    }

    /// Asks the context that has the lost cluster's name, if the kubeconfig has one and it is that cluster.
    fn primary_is_healthy(&self, cluster: &Lost) -> Option<bool> {
        if !matches!(self.destination, Destination::Cluster { .. }) {
            return None;
        }
        let kubeconfig = self.args.cluster.kubeconfig.as_deref();
        self.runtime.block_on(async {
            let primary = Cluster::connect(Some(&cluster.name), kubeconfig).await.ok()?;
            let asked = tokio::time::timeout(Duration::from_secs(10), primary.facts(&[])).await;
            Some(matches!(asked, Ok(Ok(facts)) if facts.uid == cluster.uid))
        })
    }

    fn plan(&self, opened: &Opened, target: &Target) -> anyhow::Result<Planned> {
        let volumes = self.destination.volumes(&self.args.mapping)?;
        let options = options(&self.args.mapping, volumes, true)?;
        bring_back::plan(opened, &Scope::default(), target, options, self.terminal)
    }

    /// Everything behind the question.
    fn execute(
        &mut self,
        cluster: &Lost,
        plan: &FailoverPlan,
        target: Target,
        began: Instant,
        stands: &mut Stands,
    ) -> anyhow::Result<Report> {
        self.final_sync();
        interrupt::refuse_stopped()?;
        self.repository.refresh()?;
        let (points, _) = self.newest_whole(cluster);
        let epochs = self.fence(cluster, &points)?;
        stands.epochs = Some(epochs.clone());
        let primary_fenced = self.fence_primary();
        stands.primary_fenced = primary_fenced;
        let mut held = Vec::new();
        let mut target = target;
        let mut keys = Vec::new();
        for point in &points {
            let opened = Opened::open(&self.repository, &self.keyring, point.id)?;
            let planned = self.plan(&opened, &target)?;
            let plan = &planned.plan;
            held.extend(plan.holds.iter().map(|hold| format!("{}: {}", hold.key, hold.reason)));
            let made = plan.steps.iter().filter(|step| matches!(step.action, Action::Create | Action::Merge));
            keys.extend(made.clone().map(|step| step.key.clone()));
            for step in made {
                target.add(step.key.clone(), step.object.clone());
            }
            let scope = Scope::default();
            let executor = Executor {
                destination: &self.destination,
                point: &opened,
                scope: &scope,
                runtime: self.runtime,
                terminal: self.terminal,
            };
            executor.run(planned, &mut stands.restored)?;
        }
        if let Destination::Cluster { cluster, .. } = &self.destination {
            self.terminal.phase("waiting until workloads are ready");
            let claims: Vec<_> = keys.iter().filter(|key| key.resource == "persistentvolumeclaims").cloned().collect();
            let unready = self.runtime.block_on(interrupt::or_stopped(async {
                if !claims.is_empty() {
                    cluster.hasten_binding(&claims).await;
                }
                cluster.wait_ready(&keys, READY_TIMEOUT).await
            }))?;
            for one in unready {
                stands.restored.wait_for(one.key.to_string(), one.reason);
            }
        }
        let oldest = points.iter().map(PointInfo::cut_time_ms).min();
        let rpo = oldest.map_or(plan.rpo_s, |cut| {
            (Timestamp::now().as_millisecond() - cut) / 1000 - began.elapsed().as_secs() as i64
        });
        Ok(Report {
            cluster: cluster.name.clone(),
            destination: self.destination.name(),
            points: points.iter().map(|point| point.id.hex()).collect(),
            epochs,
            primary_fenced,
            rpo_seconds: rpo.max(0),
            rto_seconds: began.elapsed().as_secs_f64(),
            held,
            restored: std::mem::take(&mut stands.restored),
        })
    }

    /// Fetches what the primary's store still has. What does not come is said; the failover goes on with what is here.
    fn final_sync(&mut self) {
        let Some(primary) = &mut self.primary.repository else { return };
        let Ok(key) = self.keyring.signing_key() else { return };
        self.terminal.phase("fetching what the primary still has");
        match firn_replicate::replicate(
            primary,
            &mut self.repository,
            key,
            &firn_replicate::ReplicateOptions::default(),
        ) {
            Ok(report) => {
                for problem in &report.problems {
                    self.terminal.note(&format!("{problem}"));
                }
            }
            Err(error) => self.terminal.note(&format!("the final sync ended early: {:#}", anyhow::Error::from(error))),
        }
    }

    /// Ends the primary's right to write: from here on this store's epoch is the higher one.
    fn fence(&mut self, cluster: &Lost, points: &[PointInfo]) -> anyhow::Result<Vec<u64>> {
        let lineages: Vec<LineageId> = points.iter().map(|point| point.lineage).collect();
        let successors = self.successors(points);
        let basis: Vec<Head> = match &self.primary.repository {
            Some(primary) => {
                let head = primary.head();
                vec![Head { store: primary.state().store(), seq: head.seq, hash: head.hash }]
            }
            None => peers::mirror_heads(&self.repository)?,
        };
        let primary = self.primary.repository.as_ref().map(Repository::state);
        // One that the primary's store has given, and this one never heard of, is not given again.
        let primary_epoch = |lineage: &LineageId| primary.map_or(0, |state| state.next_epoch(lineage));
        let mut epochs = Vec::new();
        let reason = format!("failover of {} to {}", cluster.name, self.destination.name());
        self.repository.append_with(self.keyring.signing_key()?, |state| {
            let next = |lineage| state.next_epoch(lineage).max(primary_epoch(lineage));
            epochs = lineages.iter().map(next).collect();
            let tips: Vec<Option<PointId>> =
                lineages.iter().map(|lineage| state.latest(lineage).map(|point| point.id)).collect();
            Ok(Some(Payload::Fence(Fence {
                lineages: lineages.clone(),
                epochs: epochs.clone(),
                basis: basis.clone(),
                reason: reason.clone(),
                tips,
                successors: successors.clone(),
            })))
        })?;
        Ok(epochs)
    }

    /// The lineages that the destination would begin by itself: they continue the fenced ones.
    fn successors(&self, points: &[PointInfo]) -> Vec<LineageId> {
        let Destination::Cluster { facts, .. } = &self.destination else { return Vec::new() };
        let policies = points.iter().filter_map(|point| point.summary.as_ref()).map(|summary| &summary.policy);
        policies.map(|policy| self.keyring.lineage(&facts.uid, policy)).collect()
    }

    /// Tells the primary's store, if it answers. `None`: nobody knows of one.
    fn fence_primary(&mut self) -> Option<bool> {
        self.primary.url.as_ref()?;
        let Some(primary) = &mut self.primary.repository else { return Some(false) };
        let key = self.keyring.signing_key().ok()?;
        match firn_replicate::import_fences(&mut self.repository, primary, key) {
            Ok(_) => Some(true),
            Err(error) => {
                self.terminal.note(&format!("the primary could not be fenced: {:#}", anyhow::Error::from(error)));
                Some(false)
            }
        }
    }
}

fn check(name: &str, result: CheckResult, detail: String) -> Check {
    Check { name: name.to_owned(), result, detail }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Asks the person, unless they have said yes beforehand.
fn confirm(args: &args::Failover, cluster: &str) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage("there is nobody to ask: give --yes to go on; nothing was changed"));
    }
    anstream::eprint!("Type the cluster's name ({cluster}) to go on: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == cluster { Ok(()) } else { Err(failed("not confirmed; nothing was changed")) }
}

/// What is printed after a failover was taken back.
#[derive(Serialize)]
struct Aborted {
    reason: String,
    lineages: usize,
    /// Whether the former primary may write again: its store was told, or never knew of the failover. Absent: nobody knows
    /// of a primary.
    primary_released: Option<bool>,
}

/// Gives the epoch back, here and in the primary's store.
fn abort(
    args: &args::Failover,
    mut repository: Repository,
    keyring: &Keyring,
    global: &args::Global,
) -> anyhow::Result<Outcome> {
    let own = repository.state().store();
    let fences = repository.state().fences();
    let newest = fences.values().rev().find(|fence| fence.store == own && fence.unfenced.is_none()).cloned();
    let Some(fence) = newest else {
        return Err(failed("there is no failover to take back; nothing was changed"));
    };
    let primary = primary(args, &repository, global)?;
    let key = keyring.signing_key()?;
    repository.append(&Payload::Unfence(Unfence { fence: fence.hash }), key)?;
    let released = |mut found: Repository| match firn_replicate::import_fences(&mut repository, &mut found, key) {
        Ok(_) => fence.lineages.iter().all(|fenced| found.state().may_commit(&fenced.lineage)),
        Err(error) => {
            anstream::eprintln!("the primary could not be told: {:#}", anyhow::Error::from(error));
            false
        }
    };
    let told = primary.repository.is_some_and(released);
    let primary_released = primary.url.map(|_| told);
    let aborted = Aborted { lineages: fence.lineages.len(), primary_released, reason: fence.reason.clone() };
    output::print(global, &aborted, || taken_back(&aborted))?;
    Ok(Outcome::Done)
}

fn taken_back(aborted: &Aborted) -> String {
    let then = match aborted.primary_released {
        Some(true) => "the former primary may write again",
        Some(false) => {
            "the former primary's repository could not be told now: if it knows of the failover, it learns of its end as \
             soon as its next backup can read this one"
        }
        None => "a former primary learns of it as soon as its next backup can read this repository",
    };
    format!("taken back: {}; {then}\n", aborted.reason)
}

fn text(report: &Report) -> String {
    let mut out = format!("{} is back on {}\n", report.cluster, report.destination);
    out += &lines(&report.restored);
    for held in &report.held {
        out += &format!("  held: {held}\n");
    }
    match report.primary_fenced {
        Some(true) => out += "  the primary was told and writes no more\n",
        Some(false) => out += "  the primary could not be told; it learns of the fence when it comes back\n",
        None => {}
    }
    out += &format!("RPO {}  RTO {}\n", duration(report.rpo_seconds as f64), duration(report.rto_seconds));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_whether_the_former_primary_may_write() {
        let said = |primary_released| {
            taken_back(&Aborted { reason: "failover of a to b".into(), lineages: 1, primary_released })
        };
        assert!(said(Some(true)).ends_with("the former primary may write again\n"));
        assert!(said(Some(false)).contains("could not be told now") && said(Some(false)).contains("next backup"));
        assert!(said(None).contains("next backup"));
    }
}
