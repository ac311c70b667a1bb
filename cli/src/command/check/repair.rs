//! `firn check --repair`: mends what can be mended without guessing, and says what cannot.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use firn_format::{Class, ObjectName};
use firn_repo::{
    Keyring, LogRepair, LogStep, Loss, Mirrors, Remedy, Report, Repository, check, named_links, rebuild_runs,
    renew_checkpoints,
};
use serde::Serialize;

use crate::args::{self, Global};
use crate::outcome::{Outcome, usage};
use crate::terminal::Terminal;
use crate::{output, repository};

/// So many lost objects are shown to people; programs see all.
const LOST_SHOWN: usize = 10;

/// What was done, or would be.
#[derive(Debug, Default, Serialize)]
struct Repaired {
    /// Whether anything was changed; else it is what would be done.
    done: bool,
    log: Vec<Slot>,
    /// Slots of the log that stay damaged, with why.
    unmended: Vec<String>,
    /// Index runs in whose place a new one was put, or would be.
    runs: Vec<String>,
    /// Whether checkpoints were made anew, or would be.
    checkpoints: bool,
    /// Objects that only a replica can give back.
    lost: Vec<String>,
    /// What a check finds in the end.
    findings: u64,
    sound: bool,
}

/// One damaged slot of the log.
#[derive(Debug, Serialize)]
struct Slot {
    seq: u64,
    fault: String,
    /// `put-back`, `void-with-entry`, `void`.
    remedy: &'static str,
    /// The mirror.
    from: Option<String>,
    /// What is given up, in words.
    loss: Option<String>,
    /// The points that do not hold any more.
    points: Vec<String>,
}

/// Mends.
pub(super) fn run(
    args: &args::Check,
    global: &Global,
    terminal: &Terminal,
    repository: &mut Repository,
    keyring: &Keyring,
) -> anyhow::Result<Outcome> {
    let mut repaired = Repaired::default();
    let plan = LogRepair::plan(repository, keyring.signing_key().ok(), &mirrors(args, global, repository)?)?;
    repaired.log = plan.steps.iter().map(slot).collect();
    repaired.unmended =
        plan.unmended.iter().map(|slot| format!("{}: {}", firn_format::name::log_path(slot.seq), slot.why)).collect();
    terminal.clear();
    if !plan.steps.is_empty() && confirmed(args, &repaired)? {
        plan.apply(repository)?;
        repaired.done = true;
    }
    if repository.damage().is_none() {
        let report = check(repository, keyring, args.read_data)?;
        terminal.clear();
        let report = mend_objects(args, repository, keyring, report, &mut repaired)?;
        terminal.clear();
        repaired.findings = report.findings.len() as u64 + report.findings_left_out;
        repaired.sound = report.is_sound();
    }
    output::print(global, &repaired, || text(&repaired))?;
    Ok(if repaired.sound { Outcome::Done } else { Outcome::Damaged })
}

/// Mends what a check found, and checks again.
fn mend_objects(
    args: &args::Check,
    repository: &mut Repository,
    keyring: &Keyring,
    report: Report,
    repaired: &mut Repaired,
) -> anyhow::Result<Report> {
    let is_run = |name: &&ObjectName| matches!(name.class, Class::Index(_));
    let runs: BTreeSet<ObjectName> = report.wrong.iter().filter(is_run).copied().collect();
    repaired.runs = runs.iter().map(ObjectName::path).collect();
    repaired.checkpoints = report.checkpoints_wrong > 0;
    repaired.lost = report.wrong.iter().filter(|name| !is_run(name)).map(ObjectName::path).collect();
    if runs.is_empty() && !repaired.checkpoints || !confirmed(args, repaired)? {
        return Ok(report);
    }
    if !runs.is_empty() {
        let rebuilt = rebuild_runs(repository, keyring, &runs)?;
        let unmended = rebuilt.unmended.iter().map(|(run, why)| format!("{run}: {why}"));
        repaired.unmended.extend(unmended);
        repaired.runs = rebuilt.moved.iter().map(|(old, _)| old.path()).collect();
    }
    if repaired.checkpoints {
        renew_checkpoints(repository, keyring.signing_key()?)?;
    }
    repaired.done = true;
    Ok(check(repository, keyring, args.read_data)?)
}

/// The stores that may hold a mirror of this log.
fn mirrors(args: &args::Check, global: &Global, repository: &Repository) -> anyhow::Result<Mirrors> {
    let mut mirrors = Mirrors::default();
    for url in &args.from {
        let peer = repository::open(url, global, Arc::new(firn_format::Silent))?;
        if peer.format().family != repository.format().family {
            return Err(usage(format!("{url} is no replica of this repository; nothing was changed")));
        }
        mirrors.stores.push(peer.store().clone());
    }
    if args.from.is_empty() {
        let mut known = BTreeSet::from([repository.format().store]);
        for link in named_links(repository)?.iter().filter(|link| known.insert(link.store)) {
            match repository::open_quietly(&link.url, global).filter(|peer| peer.fingerprint() == link.fingerprint) {
                Some(peer) => mirrors.stores.push(peer.store().clone()),
                None => mirrors.unread.push(link.url.clone()),
            }
        }
    }
    Ok(mirrors)
}

/// Whether it is to be done. On a terminal that is asked.
fn confirmed(args: &args::Check, repaired: &Repaired) -> anyhow::Result<bool> {
    if args.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    output::tell(&text(repaired));
    anstream::eprint!("Type yes to do this: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

fn slot(step: &LogStep) -> Slot {
    let (remedy, from, loss) = match &step.remedy {
        Remedy::PutBack { from } => ("put-back", Some(from.clone()), None),
        Remedy::VoidWithEntry { from } => ("void-with-entry", Some(from.clone()), None),
        Remedy::Void(loss) => ("void", None, Some(loss)),
    };
    Slot {
        seq: step.seq,
        fault: step.fault.to_string(),
        remedy,
        from,
        loss: loss.map(in_words),
        points: loss.map(|loss| loss.points.iter().map(|id| id.hex()).collect()).unwrap_or_default(),
    }
}

/// Which entry is given up, and what that means.
fn in_words(loss: &Loss) -> String {
    let kind = loss.kind.map_or_else(|| "an entry of unknown kind".to_owned(), |kind| format!("a {kind}"));
    let which = loss.hash.map_or_else(String::new, |hash| format!(" with hash {}", hash.short()));
    let points = match (loss.points.len(), loss.may_matter) {
        (0, false) => "no point is lost".to_owned(),
        (0, true) => "no point that a later entry names is lost; it may have been one itself".to_owned(),
        (1, _) => "one point is lost with it".to_owned(),
        (count, _) => format!("{count} points are lost with it"),
    };
    format!("{kind}{which}: {points}")
}

fn text(repaired: &Repaired) -> String {
    let mut out = String::new();
    for slot in &repaired.log {
        let from = output::clean(slot.from.as_deref().unwrap_or_default());
        out += &match slot.remedy {
            "put-back" => format!("log entry {}: {}; put back from the mirror in {from}\n", slot.seq, slot.fault),
            "void-with-entry" => {
                format!(
                    "log entry {}: {}; the owner says what lay there, from the mirror in {from}\n",
                    slot.seq, slot.fault
                )
            }
            _ => format!("log entry {}: {}; no mirror has it, the owner gives it up\n", slot.seq, slot.fault),
        };
        if let Some(loss) = &slot.loss {
            out += &format!("    {loss}\n");
        }
        for point in &slot.points {
            out += &format!("    point {point}\n");
        }
    }
    for run in &repaired.runs {
        out += &format!("{run}: made anew from its packs\n");
    }
    if repaired.checkpoints {
        out += "checkpoints: made anew from the log\n";
    }
    for line in &repaired.unmended {
        out += &format!("✗ {}\n", output::clean(line));
    }
    for object in repaired.lost.iter().take(LOST_SHOWN) {
        out += &format!("✗ {object}: lost here\n");
    }
    if !repaired.lost.is_empty() {
        let count = repaired.lost.len();
        out += &format!("{count} lost objects: `firn replicate` from a replica to here brings back what it holds\n");
    }
    let is_something = !repaired.log.is_empty() || !repaired.runs.is_empty() || repaired.checkpoints;
    let is_plan = is_something && !repaired.done;
    out += match (is_plan, repaired.sound) {
        (true, _) => "nothing was changed; --yes does this\n",
        (false, true) => "nothing is damaged\n",
        (false, false) => "damage remains; `firn check` names it\n",
    };
    out
}
