//! Plans as text for a terminal: at most 80 columns.

use std::fmt::Write;

use firn_format::object::ObjectKey;

use crate::failover::{CheckResult, FailoverPlan};
use crate::restore::NEW;
use crate::step::{Action, Gate, RestorePlan, Step};

/// Columns of every line.
const COLUMNS_MAX: usize = 80;
/// Of one wave and action, so many steps are shown one by one; the others are counted. Exceptions are all shown.
const SHOWN_MAX: usize = 10;

/// A restore plan. Long lists of equal steps are cut short unless `all`; what is an exception is always shown.
#[must_use]
pub fn restore_plan(plan: &RestorePlan, all: bool) -> String {
    let mut out = String::new();
    for wave in plan.steps.chunk_by(|a, b| a.wave == b.wave) {
        let Some(first) = wave.first() else { continue };
        line(&mut out, 0, "", first.wave.title());
        if let Some(gate) = first.wave.entry_gate().filter(|_| !plan.webhook_backends().is_empty()) {
            line(&mut out, 7, "", gate_text(gate));
        }
        let mut hidden: Vec<(Action, usize)> = Vec::new();
        let mut shown: Vec<(Action, usize)> = Vec::new();
        for step in wave {
            if all || step.action.is_exception() || bump(&mut shown, step.action) <= SHOWN_MAX {
                restore_step(&mut out, step);
            } else {
                bump(&mut hidden, step.action);
            }
        }
        for (action, count) in hidden {
            line(&mut out, 7, "", &format!("… and {count} more to {}", action.word()));
        }
        if let Some(gate) = first.wave.gate() {
            line(&mut out, 7, "", gate_text(gate));
        }
    }
    for hold in &plan.holds {
        line(&mut out, 0, "held: ", &format!("{}: {}", shown_key(&hold.key), hold.reason));
    }
    for warning in &plan.warnings {
        line(&mut out, 0, "warning: ", warning);
    }
    let counts: Vec<String> =
        plan.counts().into_iter().map(|(action, count)| format!("{count} {}", action.word())).collect();
    line(&mut out, 0, "", &if counts.is_empty() { "nothing to restore".to_owned() } else { counts.join(", ") });
    if let Some(refusal) = plan.refusal() {
        line(&mut out, 0, "refused: ", &refusal);
    }
    out
}

fn restore_step(out: &mut String, step: &Step) {
    let lead = format!("{:>5}  {:<12} ", step.number, step.action.word());
    let is_plain = step.action == Action::Create && step.reason == NEW;
    let reason = if is_plain { String::new() } else { format!(": {}", step.reason) };
    line(out, 0, &lead, &format!("{}{reason}", shown_key(&step.key)));
    for note in &step.notes {
        line(out, lead.chars().count(), "- ", note);
    }
}

fn gate_text(gate: Gate) -> &'static str {
    match gate {
        Gate::Established => "wait until every definition is Established",
        Gate::NamespacesActive => "wait until no namespace is Terminating",
        Gate::ApiServicesAvailable => "wait until every API service is Available",
        Gate::BackendsReady => "wait until the webhooks' backends are ready",
    }
}

/// Names come from repositories: no control characters reach a terminal.
fn shown_key(key: &ObjectKey) -> String {
    key.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Counts one more of `action`; gives the new count.
fn bump(counts: &mut Vec<(Action, usize)>, action: Action) -> usize {
    if let Some((_, count)) = counts.iter_mut().find(|(counted, _)| *counted == action) {
        *count += 1;
        return *count;
    }
    counts.push((action, 1));
    1
}

/// A failover plan: checks, points with their age, steps, warnings.
#[must_use]
pub fn failover_plan(plan: &FailoverPlan) -> String {
    let mut out = String::new();
    line(&mut out, 0, "", &format!("failover of cluster {}", plan.cluster));
    for check in &plan.checks {
        let word = match check.result {
            CheckResult::Pass => "ok",
            CheckResult::Warn => "warn",
            CheckResult::Fail => "FAIL",
        };
        line(&mut out, 0, &format!("  {word:<5} "), &format!("{}: {}", check.name, check.detail));
    }
    for lineage in &plan.lineages {
        let short: String = lineage.point.chars().take(12).collect();
        let facts =
            format!("{}: point {short}, cut {}, {} volumes", lineage.policy, lineage.cut, lineage.volumes.len());
        line(&mut out, 0, "  point ", &facts);
    }
    for step in &plan.steps {
        let word = serde_json::to_value(step.action).ok();
        let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        line(&mut out, 0, &format!("{:>5}  {word:<12} ", step.number), &step.detail);
    }
    line(&mut out, 0, "", &format!("lost if region A is gone: the last {} (RPO)", span(plan.rpo_seconds)));
    for warning in &plan.warnings {
        line(&mut out, 0, "warning: ", warning);
    }
    for refusal in &plan.refusals {
        line(&mut out, 0, "refused: ", refusal);
    }
    out
}

/// Seconds as people say them: the two largest units.
fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (length_s, unit) in units {
        if rest >= length_s {
            parts.push(format!("{} {unit}", rest / length_s));
            rest %= length_s;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// One entry: `lead`, then words, wrapped at the right margin and indented under the first of them. A word that is
/// longer than a line is broken.
fn line(out: &mut String, indent: usize, lead: &str, text: &str) {
    let margin = indent + lead.chars().count();
    let width = COLUMNS_MAX.saturating_sub(margin).max(20);
    let mut current = format!("{:indent$}{lead}", "");
    let mut used = 0;
    let mut flush = |current: &mut String| {
        let _ = writeln!(out, "{}", current.trim_end());
        *current = " ".repeat(margin);
    };
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        loop {
            let gap = usize::from(used > 0);
            if used + gap + word.len() <= width {
                current.extend(std::iter::repeat_n(' ', gap).chain(std::mem::take(&mut word)));
                used = current.chars().count() - margin;
                break;
            }
            if used > 0 {
                flush(&mut current);
                used = 0;
                continue;
            }
            current.extend(word.drain(..width));
            flush(&mut current);
        }
    }
    flush(&mut current);
}

#[cfg(test)]
mod tests;
