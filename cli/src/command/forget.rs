//! `firn forget`: recovery points end, by name or by how long they are to be kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use firn_format::{Clock as _, LineageId, PointId, SystemClock};
use firn_plan::RetentionError;
use firn_plan::retention::{Clocks, PointFact, Retention, Verdict, retain};
use firn_repo::{PointInfo, Repository, Selection, list_points, resolve};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::prune;
use crate::args::{self, Global};
use crate::outcome::{Outcome, failed, usage};
use crate::table::{Column, Table};
use crate::terminal::Terminal;
use crate::{output, repository};

#[derive(Serialize)]
struct Forgotten {
    dry_run: bool,
    forgotten: u64,
    points: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned: Option<prune::Pruned>,
}

/// What becomes of one point.
#[derive(Serialize)]
struct Line {
    id: String,
    time: Option<String>,
    cluster: Option<String>,
    policy: Option<String>,
    kept: bool,
    reason: String,
    #[serde(skip)]
    point: PointId,
    #[serde(skip)]
    cut_ms: firn_format::TimeMs,
}

/// Decides, and forgets.
pub fn run(args: &args::Forget, global: &Global) -> anyhow::Result<Outcome> {
    let rules = rules(&args.keep)?;
    let by_name = !args.points.is_empty();
    if !by_name && rules.keeps_everything() {
        return Err(usage(
            "nothing to forget: name points, or say what to keep, such as --keep-last N, --keep-daily N, or \
             --keep-within DURATION",
        ));
    }
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (mut repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let points = list_points(&repository, &keyring);
    let clocks = clocks(&repository)?;
    // What would go is shown whole; what needs a confirmation is refused when it is to be done.
    let confirmed = args.yes || args.dry_run;
    let lines =
        if by_name { named(&points, &args.points)? } else { judged(&repository, &points, &clocks, &rules, confirmed)? };
    let dropped: Vec<PointId> = lines.iter().filter(|line| !line.kept).map(|line| line.point).collect();
    let mut done = Forgotten { dry_run: args.dry_run, forgotten: dropped.len() as u64, points: lines, pruned: None };
    if !args.dry_run {
        let reason = if by_name { "named by a person" } else { "retention" };
        // What rules drop was judged lineage by lineage; without --yes it is within the limit.
        firn_repo::forget(&mut repository, &keyring, &dropped, reason, args.yes || !by_name)?;
        if args.prune {
            done.pruned = Some(prune::prune(&mut repository, &keyring)?);
        }
    }
    terminal.clear();
    output::print(global, &done, || text(&done))?;
    Ok(Outcome::Done)
}

fn rules(keep: &args::Keep) -> anyhow::Result<Retention> {
    Ok(Retention {
        keep_last: keep.last,
        keep_hourly: keep.hourly,
        keep_daily: keep.daily,
        keep_weekly: keep.weekly,
        keep_monthly: keep.monthly,
        keep_yearly: keep.yearly,
        keep_within: keep.within.as_deref().map(duration).transpose()?,
        keep_tags: Vec::new(),
    })
}

/// The store's clock if it tells: points carry its times.
fn clocks(repository: &Repository) -> anyhow::Result<Clocks> {
    let own = Timestamp::from_millisecond(SystemClock.now_ms()).map_err(|_| failed("this machine's clock is wrong"))?;
    Ok(Clocks { store: repository.store().time().unwrap_or(own), own })
}

/// The points that a person named.
fn named(points: &[PointInfo], names: &[String]) -> anyhow::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for name in names {
        if name == "latest" {
            return Err(usage("`latest` is not forgotten by that name: give the digits of its id"));
        }
        for point in resolve(points, name, &Selection::default())? {
            let line = line(point, false, "named".to_owned());
            if !lines.iter().any(|known| known.id == line.id) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

/// What the rules say of every point, lineage by lineage, the newest first.
fn judged(
    repository: &Repository,
    points: &[PointInfo],
    clocks: &Clocks,
    rules: &Retention,
    confirmed: bool,
) -> anyhow::Result<Vec<Line>> {
    let mut lineages: BTreeMap<LineageId, Vec<&PointInfo>> = BTreeMap::new();
    for point in points {
        lineages.entry(point.lineage).or_default().push(point);
    }
    let mut lines = Vec::new();
    for points in lineages.values() {
        let (aside, ruled): (Vec<_>, Vec<_>) = points.iter().copied().partition(|point| point.branch);
        let facts = ruled.iter().map(|point| fact(repository, point)).collect::<anyhow::Result<Vec<_>>>()?;
        let verdicts = retain(&facts, clocks, rules, confirmed).map_err(refusal)?;
        let by_id: BTreeMap<String, &PointInfo> = ruled.iter().map(|point| (point.id.hex(), *point)).collect();
        for Verdict { id, kept, reason } in verdicts {
            let Some(point) = by_id.get(&id) else { continue };
            lines.push(line(point, kept, reason));
        }
        lines.extend(
            aside.iter().map(|point| line(point, true, "a fence left it aside: forget it by its id".to_owned())),
        );
    }
    Ok(lines)
}

fn refusal(error: RetentionError) -> anyhow::Error {
    match error {
        RetentionError::TooMany { .. } => {
            usage(format!("{error}; look with --dry-run, confirm with --yes; nothing was changed"))
        }
        RetentionError::Clock { .. } | RetentionError::Clocks { .. } => failed(format!("{error}; nothing was changed")),
    }
}

/// Its age is told by the clock of the store in which it was committed: an agent's may be wrong.
fn fact(repository: &Repository, point: &PointInfo) -> anyhow::Result<PointFact> {
    let entry = repository.state().point(&point.id);
    let time_ms = entry.and_then(|entry| entry.store_time_ms).unwrap_or(point.time_ms);
    let time = Timestamp::from_millisecond(time_ms)
        .map_err(|_| failed(format!("the time of point {} is no time; nothing was changed", point.id.short())))?;
    let whole = point.lost == 0 && point.summary.as_ref().is_some_and(|summary| summary.complete);
    Ok(PointFact {
        id: point.id.hex(),
        time,
        whole,
        verified: point.verified.is_some(),
        held: point.held,
        tags: Vec::new(),
    })
}

fn line(point: &PointInfo, kept: bool, reason: String) -> Line {
    Line {
        id: point.id.hex(),
        time: output::time(point.cut_time_ms()),
        cluster: point.summary.as_ref().map(|summary| summary.cluster_name.clone()),
        policy: point.summary.as_ref().map(|summary| summary.policy.clone()),
        kept,
        reason,
        point: point.id,
        cut_ms: point.cut_time_ms(),
    }
}

fn text(done: &Forgotten) -> String {
    let columns = [
        Column::Id("ID"),
        Column::Id("TIME"),
        Column::Text("CLUSTER"),
        Column::Text("POLICY"),
        Column::Id("VERDICT"),
        Column::Text("REASON"),
    ];
    let mut table = Table::new(&columns);
    for line in &done.points {
        table.row([
            line.id.chars().take(12).collect(),
            output::minute(line.cut_ms),
            line.cluster.clone().unwrap_or_else(|| "?".to_owned()),
            line.policy.clone().unwrap_or_else(|| "?".to_owned()),
            if line.kept { "keep" } else { "forget" }.to_owned(),
            line.reason.clone(),
        ]);
    }
    let mut out = if done.points.is_empty() { String::new() } else { table.to_string() };
    let points = if done.forgotten == 1 { "point" } else { "points" };
    out += &match (done.forgotten, done.dry_run) {
        (0, _) => "nothing to forget\n".to_owned(),
        (count, true) => format!("would forget {count} {points}\n"),
        (count, false) if done.pruned.is_some() => format!("forgot {count} {points}\n"),
        (count, false) => format!("forgot {count} {points}; `firn prune` frees what they alone needed\n"),
    };
    if let Some(pruned) = &done.pruned {
        out += &prune::text(pruned);
    }
    out
}

/// A number and a unit: `90m`, `36h`, `14d`, `8w`.
fn duration(text: &str) -> anyhow::Result<SignedDuration> {
    let wrong = || usage(format!("{text:?} is no duration: give a number and s, m, h, d or w, such as 36h or 14d"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_s: i64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    Ok(SignedDuration::from_secs(i64::from(number) * unit_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let said = ["90m", "36h", "14d", "8w", "0s"].map(|text| duration(text).unwrap().as_secs());
        assert_eq!(said, [5400, 129_600, 1_209_600, 4_838_400, 0]);
        for wrong in ["", "d", "14", "14D", "-1d", "1.5h", "1d2h", "99999999999d", "1 d", "14ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
