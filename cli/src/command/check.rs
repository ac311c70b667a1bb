//! `firn check`: proof that every recovery point can be restored.

use std::sync::Arc;

use firn_repo::{Finding, Problem, Report, check};
use serde::Serialize;

use crate::args;
use crate::outcome::Outcome;
use crate::terminal::Terminal;
use crate::{output, repository};

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
}

/// One thing that is wrong.
#[derive(Serialize)]
struct Line {
    object: String,
    /// `missing`, `length`, `damaged`, `not-needed`.
    problem: &'static str,
    detail: String,
    points: Vec<String>,
    paths: u64,
    examples: Vec<String>,
}

/// Checks.
pub fn run(args: &args::Check, global: &args::Global) -> anyhow::Result<Outcome> {
    let terminal = Arc::new(Terminal::new(global.quiet));
    let (mut repository, keyring) = repository::open_unlocked(&args.repo.repo, global, terminal.clone())?;
    let report = check(&mut repository, &keyring, args.read_data)?;
    terminal.clear();
    let checked = checked(&report, args.read_data);
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
    }
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
        paths: finding.paths,
        examples: finding.examples.clone(),
    }
}

fn text(checked: &Checked) -> String {
    let mut out = String::new();
    for line in &checked.findings {
        out += &format!("✗ {}\n    {}\n", output::clean(&line.object), output::clean(&line.detail));
        if !line.points.is_empty() {
            let short: Vec<_> = line.points.iter().take(5).map(|id| id.get(..12).unwrap_or(id)).collect();
            let more =
                if line.points.len() > 5 { format!(" and {} more", line.points.len() - 5) } else { String::new() };
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
    let Checked { objects, bytes_read, blobs, .. } = checked;
    out += &match checked.read_data {
        true => format!("{objects} objects looked at, {} read, {blobs} blobs opened\n", output::bytes(*bytes_read)),
        false => format!("{objects} objects looked at; their contents were not read (--read-data reads them)\n"),
    };
    let (sound, unsound) = (checked.sound.len(), checked.unsound.len());
    out += &match (checked.findings.len(), unsound) {
        (0, _) => format!("all {sound} points are whole\n"),
        (_, 0) => format!("{sound} points are whole; what was found touches none of them\n"),
        _ => format!(
            "{unsound} points are damaged, {sound} are whole; back up again to store anew what the source still has,\n\
             or restore what is damaged from a replica\n"
        ),
    };
    out
}
