//! A repository with very many points, opened by a machine that has never seen it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use firn_format::Secret;
use firn_repo::{Context, Repository, list_points, unlock};
use firn_store::Recording;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure;
use crate::report::{Report, Run};
use crate::scratch::Scratch;

mod maker;

/// `points`
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many points, at least
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    count: u64,
    /// How often the repository is opened
    #[arg(long, value_name = "N", default_value_t = 3)]
    repetitions: usize,
    /// Where the repository is made; emptied
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Where to write the results
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

/// The hidden subcommand that opens the repository once.
#[derive(Debug, clap::Args)]
pub(crate) struct OpenArguments {
    repository: PathBuf,
    report: PathBuf,
}

/// What an opening asked of the store and found.
#[derive(Debug, Serialize, Deserialize)]
struct Opened {
    points: usize,
    /// Calls of the store; a list is one, however many pages a cloud would make of it.
    requests: u64,
    bytes_read: u64,
    open_seconds: f64,
    unlock_seconds: f64,
    list_seconds: f64,
}

/// Runs `points`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let work = Scratch::new(arguments.work.join("points"))?;
    let repository = work.path().join("repository");
    let machine = Machine::look(work.path())?;
    let begun = Instant::now();
    let made = maker::make(&repository, arguments.count)?;
    eprintln!("made {} points in {:.0} s", made.points, begun.elapsed().as_secs_f64());
    let mut report = Report {
        benchmark: "points",
        machine,
        tools: vec![("firn".to_owned(), env!("CARGO_PKG_VERSION").to_owned())],
        data: vec![format!(
            "{} points of {} lineages in {} entries, {} of them behind the newest checkpoint ({} MiB), no local cache",
            made.points,
            maker::LINEAGES,
            made.entries,
            made.entries_behind_checkpoint,
            made.checkpoint_bytes >> 20,
        )],
        rows: Vec::new(),
    };
    for _ in 0..arguments.repetitions {
        let answer = work.path().join("opened.json");
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command.arg("open-points").arg(&repository).arg(&answer);
        let usage = measure::run(&command, &work.path().join("logs"), "open")?;
        let opened: Opened = serde_json::from_slice(&fs::read(&answer).context("read the answer")?)?;
        ensure!(opened.points as u64 == made.points, "{} points were found of {}", opened.points, made.points);
        let note = format!(
            "{} requests, {:.1} MiB read; open {:.2} s, unlock {:.2} s, list {:.2} s",
            opened.requests,
            opened.bytes_read as f64 / f64::from(1 << 20),
            opened.open_seconds,
            opened.unlock_seconds,
            opened.list_seconds,
        );
        report.add("open, unlock, list", "firn", Run { usage, stored_bytes: None, note });
    }
    report.print();
    arguments.results.as_ref().map_or(Ok(()), |dir| report.save(dir))
}

/// Opens the repository as a new machine would: no cache, all points listed with what they say of themselves.
pub(crate) fn open(arguments: &OpenArguments) -> Result<()> {
    let store = Arc::new(Recording::new(firn_store::open(&format!("file://{}", arguments.repository.display()))?));
    let begun = Instant::now();
    let repository = Repository::open(store.clone(), Context::system())?;
    let open_seconds = begun.elapsed().as_secs_f64();
    ensure!(repository.damage().is_none(), "the log is damaged: {:?}", repository.damage());
    let keyring = unlock(&repository, &Secret::Passphrase(&maker::passphrase()))?;
    let unlock_seconds = begun.elapsed().as_secs_f64() - open_seconds;
    let points = list_points(&repository, &keyring);
    ensure!(points.iter().all(|point| point.summary.is_some()), "a point's summary does not open");
    let counts = store.counts();
    let opened = Opened {
        points: points.len(),
        requests: counts.values().map(|count| count.calls).sum(),
        bytes_read: counts.values().map(|count| count.bytes).sum(),
        open_seconds,
        unlock_seconds,
        list_seconds: begun.elapsed().as_secs_f64() - open_seconds - unlock_seconds,
    };
    fs::write(&arguments.report, serde_json::to_vec(&opened)?).context("write the answer")
}
