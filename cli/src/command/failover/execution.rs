//! Execution: everything behind the question: final sync, fence, restore, wait.

use std::time::{Duration, Instant};

use firn_format::object::ObjectKey;
use firn_format::{Progress as _, TimeMs};
use firn_plan::{Action, RestorePlan, Target};
use jiff::Timestamp;

use super::fence::Fenced;
use super::{Failover, Lost, Report, Stands};
use crate::bring_back::{Executor, Restored, Scope};
use crate::destination::Destination;
use crate::point::Opened;
use crate::volume_spec::of_mount;
use crate::{interrupt, output};

/// How long workloads are waited for. What is not ready then is named in the report.
const READY_TIMEOUT: Duration = Duration::from_secs(300);

impl Failover<'_> {
    /// Everything behind the question.
    pub(super) fn execute(
        &mut self,
        cluster: &Lost,
        target: Target,
        began: Instant,
        stands: &mut Stands,
    ) -> anyhow::Result<Report> {
        self.final_sync();
        interrupt::refuse_stopped()?;
        self.repository.refresh()?;
        let (points, _) = self.newest_whole(cluster);
        let Fenced { epochs, since_ms } = self.fence(cluster, &points)?;
        stands.epochs = Some(epochs.clone());
        let primary_fenced = self.fence_primary();
        stands.primary_fenced = primary_fenced;
        let mut held = Vec::new();
        let mut target = target;
        let mut keys = Vec::new();
        let mut cuts = Vec::new();
        for point in &points {
            let opened = Opened::open(&self.repository, &self.keyring, point.id)?;
            cuts.push(opened.manifest.cut_ms);
            cuts.extend(
                opened.manifest.mounts.iter().filter(|mount| of_mount(&mount.path).is_some()).map(|m| m.cut_ms),
            );
            let planned = self.plan(&opened, &target)?;
            let plan = &planned.plan;
            held.extend(plan.holds.iter().map(|hold| format!("{}: {}", hold.key, hold.reason)));
            let made = plan.steps.iter().filter(|step| matches!(step.action, Action::Create | Action::Merge));
            keys.extend(awaited(plan));
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
        self.wait(&keys, &mut stands.restored)?;
        let (now_ms, oldest_ms) = (self.now_ms(), cuts.into_iter().min().unwrap_or_default());
        let took_ms = began.elapsed().as_millis() as i64;
        let from_ms = since_ms.unwrap_or(now_ms - took_ms);
        Ok(Report {
            cluster: cluster.name.clone(),
            destination: self.destination.name(),
            points: points.iter().map(|point| point.id.hex()).collect(),
            epochs,
            primary_fenced,
            fenced_at: since_ms.and_then(output::time),
            rpo_seconds: ((from_ms - oldest_ms) / 1000).max(0),
            rto_seconds: (now_ms - from_ms).max(took_ms) as f64 / 1000.0,
            held,
            restored: std::mem::take(&mut stands.restored),
        })
    }

    /// Waits until what can become ready is ready, and names what does not.
    fn wait(&self, keys: &[ObjectKey], restored: &mut Restored) -> anyhow::Result<()> {
        if let Destination::Cluster { cluster, .. } = &self.destination {
            self.terminal.phase("waiting until workloads are ready");
            let claims: Vec<_> = keys.iter().filter(|key| key.resource == "persistentvolumeclaims").cloned().collect();
            let unready = self.runtime.block_on(interrupt::or_stopped(async {
                if !claims.is_empty() {
                    cluster.hasten_binding(&claims).await;
                }
                cluster.wait_ready(keys, READY_TIMEOUT).await
            }))?;
            for one in unready {
                restored.wait_for(one.key.to_string(), one.reason);
            }
        }
        Ok(())
    }

    /// The time of this store, in which fences are dated.
    fn now_ms(&self) -> TimeMs {
        let time = self.repository.store().time().ok();
        time.map_or_else(|| Timestamp::now().as_millisecond(), |time| time.as_millisecond())
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
}

/// The objects that are there once the plan is carried out: what it makes, and what stands there already, since an earlier run
/// may have made that and not have seen it ready.
fn awaited(plan: &RestorePlan) -> impl Iterator<Item = ObjectKey> {
    let is_there = |action| matches!(action, Action::Create | Action::Merge);
    let steps = plan.steps.iter().filter(move |step| is_there(step.action) || step.standing.is_some());
    steps.map(|step| step.key.clone())
}

#[cfg(test)]
mod tests {
    use firn_plan::{RestoreOptions, Served, restore};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_earlier_run_made_is_waited_for_again() {
        let key = ObjectKey::from_path("objects/apps/v1/deployments/shop/web").unwrap();
        let object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        let mut target = Target::new(Served::Everything);
        let plan = |target: &Target| restore::plan([(key.clone(), object.clone())], target, &RestoreOptions::default());
        assert_eq!(awaited(&plan(&target)).collect::<Vec<_>>(), std::slice::from_ref(&key));
        target.add(key.clone(), Some(object.clone()));
        let again = plan(&target);
        assert_eq!(again.steps[0].action, Action::Skip);
        assert_eq!(awaited(&again).collect::<Vec<_>>(), [key]);
    }
}
