use jiff::SignedDuration;

use super::*;
use crate::render;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn lineage(policy: &str, age_s: i64) -> LineageFact {
    LineageFact {
        policy: policy.into(),
        point: "0123456789abcdef".into(),
        cut: now() - SignedDuration::from_secs(age_s),
        whole: true,
        epoch: 4,
        held_since: None,
        unreplicated: None,
        volumes: Vec::new(),
    }
}

fn facts() -> FailoverFacts {
    FailoverFacts {
        cluster: "east".into(),
        now: now(),
        primary: PrimaryFacts { store_reachable: Some(false), healthy: Some(false) },
        checks: vec![Check { name: "repository".into(), result: CheckResult::Pass, detail: "opened".into() }],
        lineages: vec![lineage("hourly", 90)],
        restore: RestoreFacts { creates: 120, fills: 2, exceptions: 0, holds: 1 },
        primary_may_live: false,
    }
}

fn actions(plan: &FailoverPlan) -> Vec<FailoverAction> {
    plan.steps.iter().map(|step| step.action).collect()
}

#[test]
fn a_lost_primary_is_replaced_without_asking_it() {
    let plan = plan(&facts());
    use FailoverAction::{Fence, Preflight, Report, Restore, Wait};
    assert_eq!(actions(&plan), [Preflight, Fence, Restore, Wait, Report]);
    assert_eq!((plan.rpo_seconds, plan.skew_seconds), (90, 0));
    assert_eq!((plan.warnings.len(), plan.refusals.len()), (0, 0));
    assert_eq!(
        render::failover_plan(&plan),
        "\
failover of cluster east
  ok    repository: opened
  point hourly: point 0123456789ab, cut 2026-11-21T11:58:30Z, 0 volumes
    1  preflight    1 checks, 0 failed
    2  fence        hourly to epoch 5
    3  restore      120 objects, 2 volumes; 0 exceptions; 1 held
    4  wait         until what can become ready is ready
    5  report       measured RPO and RTO
lost if region A is gone: the last 1 min 30 s (RPO)
"
    );
}

#[test]
fn a_reachable_store_is_emptied_before_the_fence() {
    let mut facts = facts();
    facts.primary = PrimaryFacts { store_reachable: Some(true), healthy: Some(false) };
    facts.lineages[0].unreplicated = Some(3);
    let plan = plan(&facts);
    let sync = plan.steps.iter().position(|step| step.action == FailoverAction::FinalSync).unwrap();
    let fence = plan.steps.iter().position(|step| step.action == FailoverAction::Fence).unwrap();
    assert!(sync < fence);
    assert!(plan.steps[sync].detail.starts_with("3 points"));
    assert_eq!(plan.refusals, [""; 0]);
}

#[test]
fn a_living_primary_needs_a_word() {
    let mut facts = facts();
    facts.primary.healthy = Some(true);
    assert_eq!(plan(&facts).refusals.len(), 1);
    facts.primary_may_live = true;
    let plan = plan(&facts);
    assert_eq!((plan.refusals.len(), plan.warnings.len()), (0, 1));
}

#[test]
fn failed_checks_and_missing_points_refuse() {
    let mut facts = facts();
    facts.checks.push(Check { name: "key".into(), result: CheckResult::Fail, detail: "wrong key".into() });
    facts.checks.push(Check { name: "classes".into(), result: CheckResult::Warn, detail: "fast is missing".into() });
    facts.lineages.clear();
    let plan = plan(&facts);
    assert_eq!(plan.refusals, ["key: wrong key", "no verified point of cluster east"]);
}

#[test]
fn what_may_be_torn_or_old_is_said_beforehand() {
    let mut facts = facts();
    facts.lineages.push(lineage("daily", 4_000));
    let volume = |claim: &str, consistency, stale, age_s| VolumeFact {
        namespace: "shop".into(),
        claim: claim.into(),
        consistency,
        cut: now() - SignedDuration::from_secs(age_s),
        stale,
    };
    facts.lineages[0].volumes =
        vec![volume("log", Consistency::Live, false, 90), volume("db", Consistency::Frozen, true, 90_000)];
    facts.lineages[0].whole = false;
    facts.restore.exceptions = 2;
    facts.primary.healthy = None;
    let plan = plan(&facts);
    assert_eq!(plan.rpo_seconds, 90_000, "the oldest cut counts, a carried volume's too");
    assert_eq!(plan.skew_seconds, 90_000 - 90);
    assert_eq!(plan.lineages[0].policy, "daily");
    let expected = [
        "nobody could ask",
        "hourly: the point has exceptions",
        "hourly: volume shop/log was read while",
        "hourly: volume shop/db is carried over from an earlier point, 89910 s older",
        "the points lie 3910 s apart",
        "2 objects or volumes will not",
    ];
    assert_eq!(plan.warnings.len(), expected.len(), "{:?}", plan.warnings);
    for (warning, start) in plan.warnings.iter().zip(expected) {
        assert!(warning.starts_with(start), "{warning}");
    }
    assert!(render::failover_plan(&plan).lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn one_point_does_not_lie_apart_from_itself() {
    let mut facts = facts();
    let cut = now() - SignedDuration::from_secs(90_000);
    let (namespace, claim) = ("shop".into(), "db".into());
    let consistency = Consistency::Frozen;
    facts.lineages[0].volumes = vec![VolumeFact { namespace, claim, consistency, cut, stale: true }];
    let plan = plan(&facts);
    assert_eq!((plan.warnings.len(), plan.rpo_seconds), (1, 90_000), "{:?}", plan.warnings);
}

#[test]
fn what_an_earlier_run_fenced_is_not_fenced_again() {
    let mut facts = facts();
    facts.lineages[0].held_since = Some(now());
    let plan = plan(&facts);
    let fence = plan.steps.iter().find(|step| step.action == FailoverAction::Fence).unwrap();
    assert_eq!(fence.detail, "hourly stays at epoch 4, fenced 2026-11-21T12:00:00Z");
}
