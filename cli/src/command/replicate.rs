//! `firn replicate`: new recovery points to another repository, verified.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytesize::ByteSize;
use firn_format::{Clock as _, LineageId, SystemClock, TimeMs};
use firn_replicate::{LineageReport, ReplicateOptions, Report, replicate};
use firn_repo::{Class, CreateOptions, Keyring, PointInfo, RepoError, Repository, create, list_points, unlock};
use firn_store::{Store, Throttled};
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::{Outcome, Stop, failed, usage};
use crate::secret::Given;
use crate::table::{Column, Table};
use crate::terminal::Terminal;
use crate::{interrupt, output, repository, secret};

#[derive(Serialize)]
struct Replicated {
    from: String,
    to: String,
    /// Whether the replica was made by this run.
    made: bool,
    points: Vec<String>,
    /// Those of them that the source had imported from another repository itself.
    points_carried: Vec<String>,
    objects_copied: u64,
    bytes_copied: u64,
    objects_there: u64,
    bytes_there: u64,
    entries_mirrored: u64,
    keys_copied: usize,
    fences: Vec<String>,
    /// Fences that the source took back, and that hold here no more.
    unfences: Vec<String>,
    /// Objects that were lost here and are there again.
    found: Vec<String>,
    /// Points that are whole again because of that.
    mended: Vec<String>,
    lineages: Vec<Line>,
    left_aside: Vec<String>,
    problems: Vec<String>,
}

/// How a lineage stands in the replica.
#[derive(Serialize)]
struct Line {
    lineage: String,
    cluster: Option<String>,
    policy: Option<String>,
    newest: Option<String>,
    /// When the newest point that is there, verified, was cut.
    time: Option<String>,
    /// What would be lost if the source were gone now.
    lag_seconds: Option<i64>,
    points_behind: usize,
    #[serde(skip)]
    cut_ms: Option<TimeMs>,
}

/// Replicates until the replica has what the source has.
pub fn run(args: &args::Replicate, global: &Global) -> anyhow::Result<Outcome> {
    let limit = args.bandwidth.as_deref().map(bandwidth).transpose()?;
    let given = secret::required(global)?;
    let terminal = Arc::new(Terminal::new(global.quiet));
    let mut source = repository::open(&args.from, global, terminal.clone())?;
    let mut store = repository::store(&args.to)?;
    if let Some(limit) = limit {
        store = Arc::new(Throttled::new(store, limit));
    }
    let context = repository::context(&args.to, global, terminal.clone());
    let (mut target, keyring, made) = match Repository::open(store.clone(), context.clone()) {
        Ok(target) => {
            let keyring = unlock(&target, &given.secret())?;
            (target, keyring, false)
        }
        Err(RepoError::NotARepository { .. }) => {
            let (target, keyring) = make(store, context, &source, &given)?;
            (target, keyring, true)
        }
        Err(error) => return Err(error.into()),
    };
    let _in_order = interrupt::in_order();
    let report = replicate(&mut source, &mut target, keyring.signing_key()?, &ReplicateOptions::default())?;
    terminal.clear();
    let done = replicated(&source, &target, &keyring, &report, made);
    output::print(global, &done, || text(&done))?;
    match report.class() {
        None | Some(Class::Usage) => Ok(Outcome::Done),
        Some(Class::Damaged) => Ok(Outcome::Damaged),
        Some(Class::Security) => Err(Stop::Security("a lineage was fenced twice; see above".to_owned()).into()),
        Some(Class::Failed) => Err(failed("not everything arrived; see above; nothing was lost")),
    }
}

fn make(
    store: Arc<dyn Store>,
    context: firn_repo::Context,
    source: &Repository,
    given: &Given,
) -> anyhow::Result<(Repository, Keyring)> {
    let keyring = unlock(source, &given.secret())?;
    let options = CreateOptions { replica_of: Some((source, &keyring)), ..CreateOptions::default() };
    let created = create(store, context, &given.secret(), &options)?;
    Ok((created.repository, created.keyring))
}

fn replicated(source: &Repository, target: &Repository, keyring: &Keyring, report: &Report, made: bool) -> Replicated {
    let points = list_points(target, keyring);
    let here = list_points(source, keyring);
    let now_ms = SystemClock.now_ms();
    let lines = report.lineages.iter().map(|(lineage, stands)| line(lineage, stands, &points, &here, now_ms));
    Replicated {
        from: source.store().describe(),
        to: target.store().describe(),
        made,
        points: report.points.iter().map(|id| id.hex()).collect(),
        points_carried: report.points_carried.iter().map(|id| id.hex()).collect(),
        objects_copied: report.objects_copied,
        bytes_copied: report.bytes_copied,
        objects_there: report.objects_there,
        bytes_there: report.bytes_there,
        entries_mirrored: report.entries_mirrored,
        keys_copied: report.keys_copied,
        fences: report.fences.iter().map(|hash| hash.hex()).collect(),
        unfences: report.unfences.iter().map(|hash| hash.hex()).collect(),
        found: report.found.iter().map(|name| name.path()).collect(),
        mended: report.mended.iter().map(|id| id.hex()).collect(),
        lineages: lines.collect(),
        left_aside: report.left_aside.iter().map(|id| id.hex()).collect(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    }
}

fn line(lineage: &LineageId, stands: &LineageReport, points: &[PointInfo], here: &[PointInfo], now_ms: TimeMs) -> Line {
    let newest = points.iter().find(|point| Some(point.id) == stands.newest);
    // Nothing may have arrived of it yet: then only the source knows its name.
    let known = newest.or_else(|| here.iter().find(|point| point.lineage == *lineage));
    let summary = known.and_then(|point| point.summary.as_ref());
    let cut_ms = newest.map(PointInfo::cut_time_ms);
    Line {
        lineage: lineage.hex(),
        cluster: summary.map(|summary| summary.cluster_name.clone()),
        policy: summary.map(|summary| summary.policy.clone()),
        newest: stands.newest.map(|id| id.hex()),
        time: cut_ms.and_then(output::time),
        lag_seconds: cut_ms.map(|cut_ms| now_ms.saturating_sub(cut_ms) / 1000),
        points_behind: stands.points_behind,
        cut_ms,
    }
}

fn text(done: &Replicated) -> String {
    let mut out = if done.made { format!("made a replica: {}\n", done.to) } else { String::new() };
    let there = match done.bytes_there {
        0 => String::new(),
        bytes => format!(", {} were there", output::bytes(bytes)),
    };
    let points = if done.points.len() == 1 { "point" } else { "points" };
    let carried = match done.points_carried.len() {
        0 => String::new(),
        count => format!(", {count} of them committed in other repositories"),
    };
    let sent = output::bytes(done.bytes_copied);
    out += &format!("{} {points} arrived{carried}; {sent} sent{there}\n", done.points.len());
    if !done.fences.is_empty() {
        out += &format!("{} fences of the source now hold here, too\n", done.fences.len());
    }
    if !done.unfences.is_empty() {
        out += &format!("{} fences that the source took back hold here no more\n", done.unfences.len());
    }
    if !done.found.is_empty() {
        let (objects, points) = (done.found.len(), done.mended.len());
        out += &format!("{objects} lost objects are there again; {points} points are whole again\n");
    }
    if !done.left_aside.is_empty() {
        out += &format!(
            "{} points that a fence left aside, or that it overtook, stay at the source\n",
            done.left_aside.len()
        );
    }
    for problem in &done.problems {
        out += &format!("✗ {}\n", output::clean(problem));
    }
    if done.lineages.is_empty() {
        return out;
    }
    let columns = [
        Column::Text("CLUSTER"),
        Column::Text("POLICY"),
        Column::Id("NEWEST"),
        Column::Id("TIME"),
        Column::Number("LAG"),
        Column::Number("BEHIND"),
    ];
    let mut table = Table::new(&columns);
    let now_ms = SystemClock.now_ms();
    for line in &done.lineages {
        table.row([
            line.cluster.clone().unwrap_or_else(|| "?".to_owned()),
            line.policy.clone().unwrap_or_else(|| "?".to_owned()),
            line.newest.as_ref().map_or_else(|| "-".to_owned(), |id| id.chars().take(12).collect()),
            line.cut_ms.map_or_else(|| "-".to_owned(), output::minute),
            line.cut_ms.map_or_else(|| "-".to_owned(), |cut_ms| output::age(cut_ms, now_ms)),
            line.points_behind.to_string(),
        ]);
    }
    out + &table.to_string()
}

/// `200MiB`, or a number of bytes; `200MiB/s` means the same.
fn bandwidth(text: &str) -> anyhow::Result<NonZeroU64> {
    let size: Option<ByteSize> = text.trim_end_matches("/s").parse().ok();
    let bytes = size.and_then(|size| NonZeroU64::new(size.as_u64()));
    bytes.ok_or_else(|| usage(format!("{text:?} is no bandwidth: give bytes per second, such as 200MiB")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidths_are_sizes_and_not_nothing() {
        let said = ["200MiB", "1 GB/s", "1000"].map(|text| bandwidth(text).unwrap().get());
        assert_eq!(said, [200 << 20, 1_000_000_000, 1000]);
        assert!(bandwidth("0").is_err() && bandwidth("fast").is_err() && bandwidth("").is_err());
    }
}
