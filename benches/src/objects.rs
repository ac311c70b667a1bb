//! Many objects: captured from one cluster, restored onto another, each by one command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;

use crate::machine::Machine;
use crate::measure;
use crate::report::{Report, Run};
use crate::scratch::Scratch;

mod cluster;

use cluster::Ground;

const PASSWORD: &str = "benchmark";

/// `objects`
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The firn program
    #[arg(long, value_name = "FILE")]
    firn: PathBuf,
    /// The kubeconfig that has both contexts
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// The cluster that gets the objects; its `firn-bench-…` namespaces are removed
    #[arg(long, value_name = "NAME")]
    context: String,
    /// The cluster that they are restored onto; its `firn-bench-…` namespaces are removed
    #[arg(long, value_name = "NAME")]
    to: String,
    /// How many ConfigMaps of 1 KB
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: usize,
    /// In how many namespaces
    #[arg(long, value_name = "N", default_value_t = 20)]
    namespaces: usize,
    /// How often they are captured and restored
    #[arg(long, value_name = "N", default_value_t = 3)]
    repetitions: usize,
    /// Where the repository lies; emptied
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Where to write the results
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

/// Runs `objects`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // Somebody else may have installed the same one already.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Runtime::new().context("start tokio")?;
    let work = Scratch::new(arguments.work.join("objects"))?;
    let from = runtime.block_on(Ground::connect(&arguments.kubeconfig, &arguments.context))?;
    let to = runtime.block_on(Ground::connect(&arguments.kubeconfig, &arguments.to))?;
    runtime.block_on(from.clean())?;
    let machine = Machine::look(work.path())?;
    let begun = Instant::now();
    let namespaces = runtime.block_on(from.fill(arguments.namespaces, arguments.count))?;
    let fill_seconds = begun.elapsed().as_secs_f64();
    let mut report = Report {
        benchmark: "objects",
        machine,
        tools: vec![
            ("firn".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("kubernetes".to_owned(), from.version()),
        ],
        data: vec![format!(
            "{} ConfigMaps of 1 KB in {} namespaces; a bare client made them at {:.0} a second",
            arguments.count,
            arguments.namespaces,
            arguments.count as f64 / fill_seconds,
        )],
        rows: Vec::new(),
    };
    for repetition in 0..arguments.repetitions {
        runtime.block_on(to.clean())?;
        let dir = work.path().join(repetition.to_string());
        capture_and_restore(arguments, &namespaces, &dir, &mut report)?;
        let restored = runtime.block_on(to.count())?;
        ensure!(restored == arguments.count, "{restored} of {} ConfigMaps were restored", arguments.count);
    }
    runtime.block_on(to.clean())?;
    runtime.block_on(from.clean())?;
    report.print();
    arguments.results.as_ref().map_or(Ok(()), |dir| report.save(dir))
}

/// One capture into a new repository in `dir`, and one restore out of it.
fn capture_and_restore(arguments: &Arguments, namespaces: &[String], dir: &Path, report: &mut Report) -> Result<()> {
    let logs = dir.join("logs");
    measure::run(&firn(arguments, dir, "init"), &logs, "init")?;
    let works = [("capture objects", "backup", &arguments.context), ("restore objects", "restore", &arguments.to)];
    for (work, verb, context) in works {
        let mut command = firn(arguments, dir, verb);
        command.arg("--kubeconfig").arg(&arguments.kubeconfig).arg("--context").arg(context);
        for namespace in namespaces {
            command.arg("--namespace").arg(namespace);
        }
        let usage = measure::run(&command, &logs, verb)?;
        let note = format!("{:.0} objects a second", arguments.count as f64 / usage.wall_seconds);
        eprintln!("{work:<20} {:>7.2} s", usage.wall_seconds);
        report.add(work, "firn", Run { usage, stored_bytes: None, note });
    }
    Ok(())
}

fn firn(arguments: &Arguments, dir: &Path, verb: &str) -> Command {
    let mut command = Command::new(&arguments.firn);
    command
        .arg(verb)
        .arg("--quiet")
        .env("FIRN_REPO", format!("file://{}", dir.join("repository").display()))
        .env("FIRN_PASSWORD", PASSWORD)
        .env("FIRN_CACHE_DIR", dir.join("cache"));
    command
}
