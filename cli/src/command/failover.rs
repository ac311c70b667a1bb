//! `firn failover`: a lost cluster, brought back on another one from the replica that is left.

mod abort;
mod execution;
mod facts;
mod fence;

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;
use std::time::Instant;

use firn_plan::{FailoverPlan, failover, render};
use firn_repo::{Keyring, Repository};
use serde::Serialize;

use crate::args;
use crate::bring_back::Restored;
use crate::command::restore::{lines, outcome};
use crate::destination::Destination;
use crate::outcome::{Outcome, Stop, failed, is_stop, usage};
use crate::terminal::{Terminal, duration};
use crate::{interrupt, output, repository, runtime};

/// What is printed at the end.
#[derive(Serialize)]
struct Report {
    cluster: String,
    destination: String,
    points: Vec<String>,
    epochs: Vec<u64>,
    /// When the first run fenced, if this one went on from there: RPO and RTO are measured to and from it.
    fenced_at: Option<String>,
    primary_fenced: Option<bool>,
    rpo_seconds: i64,
    rto_seconds: f64,
    held: Vec<String>,
    #[serde(flatten)]
    restored: Restored,
}

/// Plans, shows, asks, executes.
pub fn run(args: &args::Failover, global: &args::Global) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let terminal = Terminal::new(global.quiet);
    let (repository, keyring) = repository::open_unlocked(&args.repo.repo, global, Arc::new(terminal.clone()))?;
    if args.abort {
        return abort::abort(args, repository, &keyring, global);
    }
    let runtime = runtime::new()?;
    let primary = primary(args, &repository, global)?;
    let destination = Destination::open(&args.cluster, args.to_dir.as_deref(), &[], &runtime)?;
    let mut failover =
        Failover { args, terminal: &terminal, runtime: &runtime, repository, keyring, primary, destination };
    let cluster = failover.cluster()?;
    let target = failover.destination.look(&[], &runtime)?;
    let (points, judged) = failover.newest_whole(&cluster);
    let (facts, damaged) = failover.facts(&cluster, &points, judged, &target)?;
    let plan = failover::plan(&facts);
    terminal.clear();
    if args.dry_run {
        output::print(global, &plan, || render::failover_plan(&plan))?;
        refuse(&plan)?;
        return Ok(if damaged { Outcome::Damaged } else { Outcome::of_exceptions(plan.exceptions as u64) });
    }
    anstream::eprintln!("{}", render::failover_plan(&plan));
    refuse(&plan)?;
    confirm(args, &cluster.name)?;
    let _in_order = interrupt::in_order();
    let mut stands = Stands::default();
    let report = match failover.execute(&cluster, target, began, &mut stands) {
        Err(error) if is_stop(&error) => return Err(stands.stop()),
        ran => ran?,
    };
    terminal.clear();
    output::print(global, &report, || text(&report))?;
    Ok(outcome(&report.restored))
}

/// The cluster that is replaced.
struct Lost {
    uid: String,
    name: String,
}

/// How far a failover is, in case somebody asks to stop.
#[derive(Default)]
struct Stands {
    /// The epochs of the fence, once it is written.
    epochs: Option<Vec<u64>>,
    primary_fenced: Option<bool>,
    restored: Restored,
}

impl Stands {
    fn stop(&self) -> anyhow::Error {
        let Some(epochs) = &self.epochs else {
            return Stop::Interrupted("stopped before the fence; nothing was changed; run it again".to_owned()).into();
        };
        let epochs: Vec<_> = epochs.iter().map(u64::to_string).collect();
        let told = match self.primary_fenced {
            Some(true) => "the primary was told and writes no more",
            _ => "the primary was not told",
        };
        let so_far = self.restored.so_far();
        Stop::Interrupted(format!(
            "stopped after the fence: this side has the right to write (epoch {}), {told}; {so_far}; nothing was lost; \
             the same command goes on from there, `firn failover --abort` gives the right back",
            epochs.join(", ")
        ))
        .into()
    }
}

struct Failover<'a> {
    args: &'a args::Failover,
    terminal: &'a Terminal,
    runtime: &'a tokio::runtime::Runtime,
    repository: Repository,
    keyring: Keyring,
    primary: Primary,
    destination: Destination,
}

/// The old primary's repository, as far as it can be had.
struct Primary {
    url: Option<String>,
    repository: Option<Repository>,
}

fn primary(args: &args::Failover, here: &Repository, global: &args::Global) -> anyhow::Result<Primary> {
    use firn_format::log::Direction;
    let linked = here.state().links().iter().rev().find(|link| link.direction == Direction::From);
    let url = args.primary.clone().or_else(|| linked.map(|link| link.url.clone()));
    let opened = url.as_deref().and_then(|url| repository::open_quietly(url, global));
    let repository = match opened {
        Some(found)
            if found.format().family != here.format().family || found.state().store() == here.state().store() =>
        {
            return Err(usage("--primary is not the repository that this one is a replica of"));
        }
        other => other,
    };
    Ok(Primary { url, repository })
}

fn refuse(plan: &FailoverPlan) -> anyhow::Result<()> {
    if plan.refusals.is_empty() {
        return Ok(());
    }
    Err(failed(format!("the failover may not begin: {}; nothing was changed", plan.refusals.join("; "))))
}

/// Asks the person, unless they have said yes beforehand.
fn confirm(args: &args::Failover, cluster: &str) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage("there is nobody to ask: give --yes to go on; nothing was changed"));
    }
    anstream::eprint!("Type the cluster's name ({cluster}) to go on: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == cluster { Ok(()) } else { Err(failed("not confirmed; nothing was changed")) }
}

fn text(report: &Report) -> String {
    let unready = match report.restored.unready.len() {
        0 => String::new(),
        count => format!(", but {} not ready", output::count(count as u64, "object")),
    };
    let mut out = format!("{} is back on {}{unready}\n", report.cluster, report.destination);
    out += &lines(&report.restored);
    for held in &report.held {
        out += &format!("  held: {held}\n");
    }
    match report.primary_fenced {
        Some(true) => out += "  the primary was told and writes no more\n",
        Some(false) => out += "  the primary could not be told; it learns of the fence when it comes back\n",
        None => {}
    }
    out += &format!("RPO {}  RTO {}", duration(report.rpo_seconds as f64), duration(report.rto_seconds));
    if let Some(time) = &report.fenced_at {
        out += &format!("  (measured at the fence of the first run, {time})");
    }
    out + "\n"
}
