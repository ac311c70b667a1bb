//! `firn points`: the recovery points, oldest first.

use std::sync::Arc;

use firn_format::{Clock as _, SystemClock};
use firn_repo::{PointInfo, each_point};
use serde::Serialize;

use crate::args::{self, Output};
use crate::outcome::Outcome;
use crate::output::{self, Stream};
use crate::repository;
use crate::table::{Column, Table};
use crate::terminal::Terminal;

/// So many rows are laid out at once, below a heading of their own: a table of all takes more memory than the points.
const ROWS_AT_ONCE: usize = 1000;

/// A point as it is printed. Scripts depend on the names. What is sealed in the point and cannot be opened is null.
#[derive(Serialize)]
struct Line {
    id: String,
    /// Start of the capture.
    time: Option<String>,
    cluster: Option<String>,
    cluster_uid: Option<String>,
    policy: Option<String>,
    complete: Option<bool>,
    exceptions: Option<u64>,
    namespaces: Vec<String>,
    files: Option<u64>,
    bytes: Option<u64>,
    bytes_stored: Option<u64>,
    consistency: Option<&'static str>,
    mounts: Option<u64>,
    duration_ms: Option<u64>,
    verified_at: Option<String>,
    verified: Option<&'static str>,
    lineage: String,
    epoch: u64,
    /// When it became a point of this store.
    arrived: Option<String>,
    imported_from: Option<String>,
    branch: bool,
    held: bool,
    lost_objects: usize,
}

/// Lists the points.
pub fn run(args: &args::Points, global: &args::Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let points = each_point(&repository, &keyring);
    terminal.clear();
    let all = points.len();
    let mut asked = points.filter(|point| is_asked_for(point, args)).peekable();
    match global.output {
        Output::Table if asked.peek().is_none() => output::print_text(&none(all))?,
        Output::Table => {
            while asked.peek().is_some() {
                let rows: Vec<_> = asked.by_ref().take(ROWS_AT_ONCE).collect();
                output::print_text(&text(&rows))?;
            }
        }
        Output::Json | Output::Yaml => {
            let mut stream = Stream::new(global);
            for point in asked {
                if !stream.push(&line(&point), String::new)? {
                    break;
                }
            }
            stream.finish(String::new)?;
        }
    }
    Ok(if repository.damage().is_some() { Outcome::Damaged } else { Outcome::Done })
}

fn is_asked_for(point: &PointInfo, args: &args::Points) -> bool {
    let summary = point.summary.as_ref();
    let has_cluster = |name: &String| summary.is_some_and(|s| s.cluster_name == *name || s.cluster == *name);
    let has_policy = |name: &String| summary.is_some_and(|s| s.policy == *name);
    args.cluster.as_ref().is_none_or(has_cluster) && args.policy.as_ref().is_none_or(has_policy)
}

fn line(point: &PointInfo) -> Line {
    let summary = point.summary.as_ref();
    Line {
        id: point.id.hex(),
        time: output::time(point.cut_time_ms()),
        cluster: summary.map(|s| s.cluster_name.clone()),
        cluster_uid: summary.map(|s| s.cluster.clone()),
        policy: summary.map(|s| s.policy.clone()),
        complete: summary.map(|s| s.complete),
        exceptions: summary.map(|s| s.exceptions),
        namespaces: summary.map(|s| s.namespaces.clone()).unwrap_or_default(),
        files: summary.map(|s| s.files),
        bytes: summary.map(|s| s.bytes),
        bytes_stored: summary.map(|s| s.bytes_stored),
        consistency: summary.map(|s| consistency(s.consistency)),
        mounts: summary.map(|s| s.mounts),
        duration_ms: summary.map(|s| s.duration_ms),
        verified_at: point.verified.and_then(|verified| output::time(verified.time_ms)),
        verified: point.verified.map(|verified| output::level(verified.level)),
        lineage: point.lineage.hex(),
        epoch: point.epoch,
        arrived: output::time(point.arrived_ms),
        imported_from: point.imported_from.map(|(store, _)| store.hex()),
        branch: point.branch,
        held: point.held,
        lost_objects: point.lost,
    }
}

fn consistency(number: u8) -> &'static str {
    ["none", "live", "crash", "frozen", "application"].get(usize::from(number)).copied().unwrap_or("unknown")
}

fn none(all: usize) -> String {
    match all {
        0 => "there is no recovery point yet; `firn backup` makes one\n".to_owned(),
        _ => format!("none of the {all} recovery points is of this cluster and policy\n"),
    }
}

fn text(points: &[PointInfo]) -> String {
    let columns = [
        Column::Id("ID"),
        Column::Id("TIME"),
        Column::Number("AGE"),
        Column::Text("CLUSTER"),
        Column::Text("POLICY"),
        Column::Number("SIZE"),
        Column::Text("STATE"),
    ];
    let mut table = Table::new(&columns);
    let now_ms = SystemClock.now_ms();
    for point in points {
        let summary = point.summary.as_ref();
        table.row([
            point.id.short(),
            output::minute(point.cut_time_ms()),
            output::age(point.cut_time_ms(), now_ms),
            summary.map_or_else(|| "?".to_owned(), |s| s.cluster_name.clone()),
            summary.map_or_else(|| "?".to_owned(), |s| s.policy.clone()),
            summary.map_or_else(|| "?".to_owned(), |s| output::bytes(s.bytes)),
            state(point),
        ]);
    }
    table.to_string()
}

/// The worst that is known of it first, since that is what decides.
fn state(point: &PointInfo) -> String {
    let mut words = Vec::new();
    if point.lost > 0 {
        words.push("damaged".to_owned());
    }
    if point.branch {
        words.push("branch".to_owned());
    }
    match &point.summary {
        None => words.push("unreadable".to_owned()),
        Some(summary) => {
            if !summary.complete {
                words.push("incomplete".to_owned());
            }
            match summary.exceptions {
                0 => {}
                1 => words.push("1 exception".to_owned()),
                many => words.push(format!("{many} exceptions")),
            }
        }
    }
    if point.verified.is_some() && point.lost == 0 {
        words.push("verified".to_owned());
    }
    if words.is_empty() { "ok".to_owned() } else { words.join(", ") }
}
