//! `firn check`: proof that every recovery point can be restored.

use std::ops::ControlFlow;
use std::sync::Arc;

use firn_format::{Entry, Payload, PointId, name};
use firn_repo::{Finding, Problem, Report, Repository, Stray, StrayKind, check};
use serde::Serialize;

use crate::args;
use crate::outcome::Outcome;
use crate::terminal::Terminal;
use crate::{interrupt, output, repository};

mod repair;

/// So many objects that belong to nothing are shown to people; programs see up to a thousand.
const STRAYS_SHOWN: usize = 10;

#[derive(Serialize)]
struct Checked {
    read_data: bool,
    sound: Vec<String>,
    unsound: Vec<String>,
    objects: u64,
    bytes_read: u64,
    blobs: u64,
    findings: Vec<Line>,
    findings_left_out: u64,
    /// Objects that were lost and are there again.
    found: u64,
    /// What belongs to nothing; no damage.
    strays: Vec<StrayLine>,
    strays_left_out: u64,
    /// What a damaged entry of the log hides.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
}

/// What lies behind the damaged entry of a log: as long as that is not mended, nobody can tell what of it counts.
#[derive(Serialize)]
struct Behind {
    /// The position of the damaged entry.
    seq: u64,
    /// Entries of this store's that are whole, each for itself.
    entries: u64,
    /// Recovery points that were committed there.
    points: Vec<String>,
}

/// An object that belongs to nothing.
#[derive(Serialize)]
struct StrayLine {
    object: String,
    bytes: u64,
    /// `unlisted`, `ended`, `checkpoint`, `mirror`, `foreign`.
    kind: &'static str,
}

/// One thing that is wrong.
#[derive(Serialize)]
struct Line {
    object: String,
    /// `missing`, `length`, `damaged`, `not-needed`.
    problem: &'static str,
    detail: String,
    points: Vec<String>,
    points_left_out: u64,
    paths: u64,
    examples: Vec<String>,
}

/// Checks.
pub fn run(args: &args::Check, global: &args::Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (mut repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let _in_order = interrupt::in_order();
    if args.repair {
        return repair::run(args, global, &terminal, &mut repository, &keyring);
    }
    let report = check(&mut repository, &keyring, args.read_data)?;
    terminal.clear();
    let checked = Checked { behind: behind(&repository)?, ..checked(&report, args.read_data) };
    output::print(global, &checked, || text(&checked))?;
    Ok(if report.is_sound() { Outcome::Done } else { Outcome::Damaged })
}

fn checked(report: &Report, read_data: bool) -> Checked {
    Checked {
        read_data,
        sound: report.sound.iter().map(|id| id.hex()).collect(),
        unsound: report.unsound.iter().map(|id| id.hex()).collect(),
        objects: report.objects,
        bytes_read: report.bytes_read,
        blobs: report.blobs,
        findings: report.findings.iter().map(line).collect(),
        findings_left_out: report.findings_left_out,
        found: report.found,
        strays: report.strays.iter().map(stray).collect(),
        strays_left_out: report.strays_left_out,
        behind: None,
    }
}

/// Reads on behind the first damaged entry.
fn behind(repository: &Repository) -> anyhow::Result<Option<Behind>> {
    let Some(damage) = repository.damage() else { return Ok(None) };
    let mut behind = Behind { seq: damage.seq, entries: 0, points: Vec::new() };
    let mut seqs = Vec::new();
    repository.store().list("log/", Some(&name::log_path(damage.seq)), &mut |listed| {
        seqs.extend(name::parse_log_path(&listed.name));
        ControlFlow::Continue(())
    })?;
    for seq in seqs {
        let Some((entry, hash)) = repository.raw_entry(seq)?.and_then(|bytes| Entry::open(&bytes).ok()) else {
            continue;
        };
        if entry.store != repository.state().store() {
            continue;
        }
        behind.entries += 1;
        match entry.payload {
            Payload::Commit(_) => behind.points.push(PointId::from(hash).hex()),
            Payload::Import(import) if Entry::open(&import.entry).is_ok_and(|(of, _)| is_commit(&of)) => {
                behind.points.push(PointId::from(import.hash).hex());
            }
            _ => {}
        }
    }
    Ok(Some(behind))
}

fn is_commit(entry: &Entry) -> bool {
    matches!(entry.payload, Payload::Commit(_))
}

fn line(finding: &Finding) -> Line {
    let problem = match finding.problem {
        Problem::Missing => "missing",
        Problem::Length { .. } => "length",
        Problem::Damaged(_) => "damaged",
        Problem::NotNeeded => "not-needed",
    };
    Line {
        object: finding.object.clone(),
        problem,
        detail: finding.problem.to_string(),
        points: finding.points.iter().map(|id| id.hex()).collect(),
        points_left_out: finding.points_left_out,
        paths: finding.paths,
        examples: finding.examples.clone(),
    }
}

fn stray(stray: &Stray) -> StrayLine {
    let kind = match stray.kind {
        StrayKind::Unlisted => "unlisted",
        StrayKind::Ended => "ended",
        StrayKind::Checkpoint => "checkpoint",
        StrayKind::Mirror => "mirror",
        StrayKind::Foreign => "foreign",
    };
    StrayLine { object: stray.object.clone(), bytes: stray.bytes, kind }
}

/// In words, for people who see the name for the first time.
fn why_stray(kind: &str) -> &'static str {
    match kind {
        "unlisted" => "of a backup that runs or never ended; prune deletes it when no backup runs",
        "ended" => "a collection ended it; prune deletes it",
        "checkpoint" => "no entry of the log names it; prune deletes it in time",
        "mirror" => "of a log that this repository does not know",
        _ => "not a name of a repository's; firn leaves it alone",
    }
}

fn text(checked: &Checked) -> String {
    let mut out = String::new();
    for line in &checked.findings {
        out += &format!("✗ {}\n    {}\n", output::clean(&line.object), output::clean(&line.detail));
        if !line.points.is_empty() {
            let short: Vec<_> = line.points.iter().take(5).map(|id| id.get(..12).unwrap_or(id)).collect();
            let more = match (line.points.len() as u64 + line.points_left_out).saturating_sub(5) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            out += &format!("    points: {}{more}\n", short.join(" "));
        }
        if line.paths > 0 {
            out += &format!("    {} paths, such as:\n", line.paths);
            for example in &line.examples {
                out += &format!("      {}\n", output::clean(example));
            }
        }
    }
    if checked.findings_left_out > 0 {
        out += &format!("and {} more findings\n", checked.findings_left_out);
    }
    for stray in checked.strays.iter().take(STRAYS_SHOWN) {
        out += &format!("· {}: {}\n", output::clean(&stray.object), why_stray(stray.kind));
    }
    let more = checked.strays.len().saturating_sub(STRAYS_SHOWN) as u64 + checked.strays_left_out;
    if more > 0 {
        out += &format!("· and {more} more objects that belong to nothing\n");
    }
    let Checked { objects, bytes_read, blobs, .. } = checked;
    out += &match checked.read_data {
        true => format!("{objects} objects looked at, {} read, {blobs} blobs opened\n", output::bytes(*bytes_read)),
        false => format!("{objects} objects looked at; their contents were not read (--read-data reads them)\n"),
    };
    out += &match checked.found {
        0 => String::new(),
        1 => "1 object that was lost is there again\n".to_owned(),
        found => format!("{found} objects that were lost are there again\n"),
    };
    if let Some(Behind { seq, entries, points }) = &checked.behind {
        out += &format!(
            "entry {seq} of the log is damaged, and hides what lies behind it: {}",
            match entries {
                1 => "1 entry".to_owned(),
                many => format!("{many} entries"),
            }
        );
        out += &format!(", and {}", output::count(points.len() as u64, "recovery point"));
        let shown: Vec<_> = points.iter().rev().take(5).filter_map(|id| id.get(..12)).collect();
        out += &match (points.len(), shown.join(" ")) {
            (0, _) => "\n".to_owned(),
            (1..=5, shown) => format!(": {shown}\n"),
            (_, shown) => format!(", the newest {shown}\n"),
        };
        out += "`firn check --repair` shows whether it can be mended\n";
    }
    let (sound, unsound) = (checked.sound.len(), checked.unsound.len());
    out += &match (checked.findings.len(), unsound) {
        (0, _) => format!("all {sound} points are whole\n"),
        (_, 0) if checked.behind.is_some() => format!("{sound} points before the damage are whole\n"),
        (_, 0) => format!("{sound} points are whole; what was found touches none of them\n"),
        _ => format!(
            "{unsound} points are damaged, {sound} are whole; back up again to store anew what the source still has,\n\
             or restore what is damaged from a replica\n"
        ),
    };
    out
}
