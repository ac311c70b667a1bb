//! Gates: what is waited for between the waves of a restore, and for how long.

use std::time::Duration;

use firn_format::Progress as _;
use firn_format::object::ObjectKey;
use firn_plan::{Action, Gate, RestorePlan, Step, Wave};

use super::{Executor, Restored};
use crate::destination::Destination;
use crate::interrupt;

/// How long new definitions, namespaces and API services may take: a busy API server takes seconds.
const GATE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the backends of webhooks may take: their images are to be fetched first.
const BACKENDS_TIMEOUT: Duration = Duration::from_secs(180);

/// How long the volume controller may take to see new volumes. Claims bind later if it takes longer, and that is all.
const VOLUMES_SEEN_TIMEOUT: Duration = Duration::from_secs(10);

impl Executor<'_> {
    /// After new volumes and before their claims.
    pub(super) fn await_volumes(&self, steps: &[Step]) -> anyhow::Result<()> {
        let Destination::Cluster { cluster, .. } = self.destination else { return Ok(()) };
        let made = steps.iter().filter(|step| step.action == Action::Create && step.kind == "PersistentVolume");
        let names: Vec<String> = made.map(|step| step.key.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        for unseen in self.wait(cluster.wait_volumes_seen(&names, VOLUMES_SEEN_TIMEOUT))? {
            self.terminal.note(&format!("{}: {}; its claim may take a while", unseen.key, unseen.reason));
        }
        Ok(())
    }

    /// Before a wave.
    pub(super) fn enter(&self, wave: Option<Wave>, plan: &RestorePlan, done: &mut Restored) -> anyhow::Result<()> {
        match wave.and_then(Wave::entry_gate) {
            Some(gate) => self.pass(gate, &plan.webhook_backends(), done),
            None => Ok(()),
        }
    }

    /// After a wave.
    pub(super) fn leave(&self, wave: Option<Wave>, plan: &RestorePlan, done: &mut Restored) -> anyhow::Result<()> {
        let Some(gate) = wave.and_then(Wave::gate) else { return Ok(()) };
        let made = plan
            .steps
            .iter()
            .filter(|step| Some(step.wave) == wave && matches!(step.action, Action::Create | Action::Merge));
        let keys: Vec<ObjectKey> = made.map(|step| step.key.clone()).collect();
        self.pass(gate, &keys, done)
    }

    fn pass(&self, gate: Gate, keys: &[ObjectKey], done: &mut Restored) -> anyhow::Result<()> {
        let Destination::Cluster { cluster, .. } = self.destination else { return Ok(()) };
        if keys.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
        let unready = self.wait(async {
            match gate {
                Gate::Established => cluster.wait_established(&names, GATE_TIMEOUT).await,
                Gate::NamespacesActive => cluster.wait_namespaces_active(&names, GATE_TIMEOUT).await,
                Gate::ApiServicesAvailable => cluster.wait_ready(keys, GATE_TIMEOUT).await,
                Gate::BackendsReady => cluster.wait_backends(keys, BACKENDS_TIMEOUT).await,
            }
        })?;
        for one in unready {
            match gate {
                // What needs these cannot be restored as it was.
                Gate::Established | Gate::NamespacesActive => done.except(one.key.to_string(), one.reason),
                Gate::ApiServicesAvailable | Gate::BackendsReady => done.wait_for(one.key.to_string(), one.reason),
            }
        }
        Ok(())
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        Ok(self.runtime.block_on(interrupt::or_stopped(work))?)
    }
}
