//! Failover: facts about both regions in, numbered steps and warnings out.

use jiff::Timestamp;
use serde::Serialize;

/// Points of one cluster that lie further apart than this are worth a warning: an order taken in one lineage may be
/// missing in the other.
const SKEW_WARNING_SECONDS: i64 = 60;

/// The outcome of one preflight check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckResult {
    /// As it must be.
    Pass,
    /// The failover can go on, and will not be whole.
    Warn,
    /// The failover cannot go on.
    Fail,
}

/// One preflight check, made by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, such as `repository` or `API server`.
    pub name: String,
    /// The outcome.
    pub result: CheckResult,
    /// What was found; one clause.
    pub detail: String,
}

/// What is known of the old primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PrimaryFacts {
    /// Whether its store answers; none if no store of it is known.
    pub store_reachable: Option<bool>,
    /// Whether its API server answers and is healthy; none if it cannot be asked.
    pub healthy: Option<bool>,
}

/// How a volume was read; its worth. Ordered from the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Read while it was written.
    Live,
    /// As a power cut leaves it.
    Crash,
    /// While a hook or a freeze held it.
    Frozen,
    /// Confirmed by the application's hook.
    Application,
}

/// One volume of the point to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeFact {
    /// Namespace of its claim.
    pub namespace: String,
    /// Name of its claim.
    pub claim: String,
    /// What its contents are worth.
    pub consistency: Consistency,
    /// When it was cut.
    pub cut: Timestamp,
    /// Whether it was carried over from an earlier point.
    pub stale: bool,
}

/// The newest verified point of one lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineageFact {
    /// The policy that the lineage belongs to.
    pub policy: String,
    /// The point's id, as text.
    pub point: String,
    /// When it was cut.
    pub cut: Timestamp,
    /// Whether nothing was left out of it.
    pub whole: bool,
    /// The lineage's epoch now; the fence takes the next, unless one holds it already.
    pub epoch: u64,
    /// Since when a fence of this store, on which nothing was built yet, holds it: an earlier run's. It is not fenced again.
    pub held_since: Option<Timestamp>,
    /// Points that the primary's store has and this one lacks; none if it cannot be asked.
    pub unreplicated: Option<u64>,
    /// Its volumes.
    pub volumes: Vec<VolumeFact>,
}

/// How much the restore has to do, by its own plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RestoreFacts {
    /// Objects to create.
    pub creates: usize,
    /// Volumes to fill.
    pub fills: usize,
    /// Objects and volumes that stay behind or are in the way.
    pub exceptions: usize,
    /// Objects that are restored held.
    pub holds: usize,
}

/// All that a failover is decided by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailoverFacts {
    /// The cluster that is replaced.
    pub cluster: String,
    /// The time of the decision.
    pub now: Timestamp,
    /// What is known of the old primary.
    pub primary: PrimaryFacts,
    /// Preflight checks, in the order in which they were made.
    pub checks: Vec<Check>,
    /// Every lineage of the cluster that has a verified point.
    pub lineages: Vec<LineageFact>,
    /// What the restore plan says.
    pub restore: RestoreFacts,
    /// Whether the user said that a living primary is no obstacle (`--yes-primary-is-alive`).
    pub primary_may_live: bool,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailoverAction {
    /// The checks; done when the plan is shown.
    Preflight,
    /// Import what the primary's store still holds. Before the fence: it voids later imports of the old epoch.
    FinalSync,
    /// End the primary's right to write.
    Fence,
    /// Execute the restore plan.
    Restore,
    /// Wait until what can become ready is ready.
    Wait,
    /// Tell what was measured. What is held stays held until traffic is switched.
    Report,
}

/// One step of a failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailoverStep {
    /// Position, from 1.
    pub number: u32,
    /// What is done.
    pub action: FailoverAction,
    /// For people; one clause.
    pub detail: String,
}

/// What a failover will do, what it will lose, and whether it may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailoverPlan {
    /// The cluster that is replaced.
    pub cluster: String,
    /// The checks, as given.
    pub checks: Vec<Check>,
    /// The points, oldest cut first.
    pub lineages: Vec<LineageFact>,
    /// The steps, in order.
    pub steps: Vec<FailoverStep>,
    /// What the operator must know before saying yes.
    pub warnings: Vec<String>,
    /// Why it may not begin; empty if it may.
    pub refusals: Vec<String>,
    /// Age of the oldest cut that is restored, in seconds: what is lost if region A is gone.
    pub rpo_seconds: i64,
    /// Between the oldest and the newest cut, in seconds.
    pub skew_seconds: i64,
    /// Objects and volumes that stay behind or are in the way.
    pub exceptions: usize,
}

/// Plans a failover. Nothing is decided by a clock: `now` only measures ages.
#[must_use]
pub fn plan(facts: &FailoverFacts) -> FailoverPlan {
    let mut lineages = facts.lineages.clone();
    lineages.sort_by(|a, b| (a.cut, &a.policy).cmp(&(b.cut, &b.policy)));
    let cuts = || {
        let volumes = lineages.iter().flat_map(|lineage| lineage.volumes.iter().map(|volume| volume.cut));
        lineages.iter().map(|lineage| lineage.cut).chain(volumes)
    };
    let oldest = cuts().min();
    let rpo_seconds = oldest.map_or(0, |cut| facts.now.duration_since(cut).as_secs());
    let skew_seconds = oldest.zip(cuts().max()).map_or(0, |(oldest, newest)| newest.duration_since(oldest).as_secs());
    FailoverPlan {
        cluster: facts.cluster.clone(),
        checks: facts.checks.clone(),
        steps: steps(facts),
        warnings: warnings(facts),
        refusals: refusals(facts),
        lineages,
        rpo_seconds,
        skew_seconds,
        exceptions: facts.restore.exceptions,
    }
}

fn steps(facts: &FailoverFacts) -> Vec<FailoverStep> {
    let failed = facts.checks.iter().filter(|check| check.result == CheckResult::Fail).count();
    let RestoreFacts { creates, fills, exceptions, holds } = facts.restore;
    let mut steps = vec![(FailoverAction::Preflight, format!("{} checks, {failed} failed", facts.checks.len()))];
    if facts.primary.store_reachable == Some(true) {
        let points: u64 = facts.lineages.iter().filter_map(|lineage| lineage.unreplicated).sum();
        steps.push((FailoverAction::FinalSync, format!("{points} points of the primary's store are not here yet")));
    }
    let epoch = |lineage: &LineageFact| match lineage.held_since {
        Some(since) => format!("{} stays at epoch {}, fenced {since}", lineage.policy, lineage.epoch),
        None => format!("{} to epoch {}", lineage.policy, lineage.epoch + 1),
    };
    let epochs: Vec<String> = facts.lineages.iter().map(epoch).collect();
    steps.push((FailoverAction::Fence, epochs.join(", ")));
    steps.push((
        FailoverAction::Restore,
        format!("{creates} objects, {fills} volumes; {exceptions} exceptions; {holds} held"),
    ));
    steps.push((FailoverAction::Wait, "until what can become ready is ready".to_owned()));
    steps.push((FailoverAction::Report, "measured RPO and RTO".to_owned()));
    steps.into_iter().zip(1..).map(|((action, detail), number)| FailoverStep { number, action, detail }).collect()
}

fn warnings(facts: &FailoverFacts) -> Vec<String> {
    let mut warnings = Vec::new();
    match facts.primary.healthy {
        Some(true) => warnings.push("the primary is alive: both would serve until it is stopped".to_owned()),
        None => warnings.push("nobody could ask whether the primary is alive".to_owned()),
        Some(false) => {}
    }
    for lineage in &facts.lineages {
        let policy = &lineage.policy;
        if !lineage.whole {
            warnings.push(format!("{policy}: the point has exceptions; something was left out of it"));
        }
        if lineage.cut > facts.now {
            warnings.push(format!("{policy}: the point's cut is in the future; clocks disagree"));
        }
        if lineage.unreplicated.is_some_and(|points| points > 0) && facts.primary.store_reachable != Some(true) {
            warnings.push(format!("{policy}: the primary holds points that never arrived"));
        }
        for volume in &lineage.volumes {
            let name = format!("{policy}: volume {}/{}", volume.namespace, volume.claim);
            if volume.consistency == Consistency::Live {
                warnings.push(format!("{name} was read while it was written; a database in it may be torn"));
            }
            if volume.stale {
                let age = lineage.cut.duration_since(volume.cut).as_secs();
                warnings.push(format!("{name} is carried over from an earlier point, {age} s older than this one"));
            }
        }
    }
    let (first, last) = (facts.lineages.iter().map(|l| l.cut).min(), facts.lineages.iter().map(|l| l.cut).max());
    let apart = first.zip(last).map_or(0, |(first, last)| last.duration_since(first).as_secs());
    if apart > SKEW_WARNING_SECONDS {
        warnings.push(format!("the points lie {apart} s apart: what spans them may not fit together"));
    }
    if facts.restore.exceptions > 0 {
        warnings.push(format!("{} objects or volumes will not be restored", facts.restore.exceptions));
    }
    warnings
}

fn refusals(facts: &FailoverFacts) -> Vec<String> {
    let mut refusals: Vec<String> = facts
        .checks
        .iter()
        .filter(|check| check.result == CheckResult::Fail)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    if facts.lineages.is_empty() {
        refusals.push(format!("no verified point of cluster {}", facts.cluster));
    }
    if facts.primary.healthy == Some(true) && !facts.primary_may_live {
        refusals.push("the primary is reachable and healthy (--yes-primary-is-alive to go on)".to_owned());
    }
    refusals
}

#[cfg(test)]
mod tests;
