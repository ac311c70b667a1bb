//! Facts: what a failover is decided by: which points, what of them comes back, whether both sides answer.

use std::collections::BTreeMap;
use std::time::Duration;

use firn_cluster::Cluster;
use firn_format::LineageId;
use firn_plan::failover::{
    Check, CheckResult, Consistency, FailoverFacts, LineageFact, PrimaryFacts, RestoreFacts, VolumeFact,
};
use firn_plan::{Action, Target};
use firn_repo::{PointInfo, list_points};
use jiff::Timestamp;

use super::{Failover, Lost};
use crate::bring_back::{self, Planned, Scope};
use crate::destination::{Destination, options};
use crate::outcome::{failed, usage};
use crate::output;
use crate::point::Opened;
use crate::volume_spec::of_mount;

impl Failover<'_> {
    /// Which cluster is meant.
    pub(super) fn cluster(&self) -> anyhow::Result<Lost> {
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
    pub(super) fn newest_whole(&self, cluster: &Lost) -> (Vec<PointInfo>, Vec<Check>) {
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

    /// All that the failover is decided by, and whether any object is damaged in the repository.
    pub(super) fn facts(
        &self,
        cluster: &Lost,
        points: &[PointInfo],
        judged: Vec<Check>,
        target: &Target,
    ) -> anyhow::Result<(FailoverFacts, bool)> {
        let mut any_damaged = false;
        let mut restore = RestoreFacts::default();
        let mut lineages = Vec::new();
        let mut checks = self.checks(cluster);
        checks.extend(judged);
        for point in points {
            let opened = Opened::open(&self.repository, &self.keyring, point.id)?;
            let Planned { plan, damaged, .. } = self.plan(&opened, target)?;
            any_damaged |= !damaged.is_empty();
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
        let facts = FailoverFacts {
            cluster: cluster.name.clone(),
            now: Timestamp::now(),
            primary: PrimaryFacts { store_reachable, healthy },
            checks,
            lineages,
            restore,
            primary_may_live: self.args.yes_primary_is_alive,
        };
        Ok((facts, any_damaged))
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
            held_since: self.held(point).map(|fence| timestamp(fence.time_ms)),
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

    /// What becomes of one point.
    pub(super) fn plan(&self, opened: &Opened, target: &Target) -> anyhow::Result<Planned> {
        let volumes = self.destination.volumes(&self.args.mapping)?;
        let options = options(&self.args.mapping, volumes, true)?;
        bring_back::plan(opened, &Scope::default(), target, options, self.terminal)
    }
}

fn check(name: &str, result: CheckResult, detail: String) -> Check {
    Check { name: name.to_owned(), result, detail }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}
