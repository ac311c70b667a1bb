//! Firn and other tools on the same data in the same run.
//!
//! Equal rules: encryption on and otherwise every tool's own defaults; before each measured command the same read of what
//! it will read, and nothing left to be written by others; repositories and caches on one disk; restores into a new folder
//! of a tmpfs. Tools take turns in going first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::database;
use crate::machine::{self, Machine};
use crate::measure;
use crate::report::{Report, Run};
use crate::scratch::Scratch;
use crate::tool::{self, Home, Tool};
use crate::tree::{self, Facts};

/// `versus`
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The firn program
    #[arg(long, value_name = "FILE")]
    firn: PathBuf,
    /// The directory to back up
    #[arg(long, value_name = "DIR")]
    tree: PathBuf,
    /// A database of 1 GiB, too
    #[arg(long)]
    database: bool,
    /// How often all of it is done
    #[arg(long, value_name = "N", default_value_t = 3)]
    repetitions: usize,
    /// Where repositories and caches lie; emptied
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Where trees are restored to
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    restore_dir: PathBuf,
    /// Where to write the results
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

/// Where one tool works in one repetition.
struct Place<'a> {
    tool: &'a dyn Tool,
    home: Home,
    logs: PathBuf,
}

/// Runs `versus`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let source = arguments.tree.canonicalize().with_context(|| format!("find {}", arguments.tree.display()))?;
    let facts = Facts::of(&source)?;
    ensure_room(&arguments.restore_dir, facts.bytes)?;
    fs::create_dir_all(&arguments.work).with_context(|| format!("make {}", arguments.work.display()))?;
    let work = arguments.work.canonicalize().context("find the work folder")?;
    let tools = tool::all(&arguments.firn)?;
    let restored_on = machine::file_system(&arguments.restore_dir)?;
    let Facts { files, folders, others, bytes } = facts;
    let mut report = Report {
        benchmark: "versus",
        machine: Machine::look(&work)?,
        tools: tools
            .iter()
            .map(|tool| Ok((tool.name().to_owned(), tool::version(tool.as_ref())?)))
            .collect::<Result<_>>()?,
        data: vec![
            format!(
                "tree: {files} files, {folders} folders, {others} links, {:.0} MiB, restored on {restored_on}",
                mib(bytes)
            ),
            format!("{} repetitions, page cache warm, encryption on, each tool's defaults", arguments.repetitions),
        ],
        rows: Vec::new(),
    };
    for repetition in 0..arguments.repetitions {
        for turn in 0..tools.len() {
            let tool = tools[(repetition + turn) % tools.len()].as_ref();
            tree_works(tool, &source, facts, &work, &arguments.restore_dir, &mut report)?;
        }
    }
    if arguments.database {
        report.data.push(database::describe());
        for repetition in 0..arguments.repetitions {
            for turn in 0..tools.len() {
                let tool = tools[(repetition + turn) % tools.len()].as_ref();
                database_works(tool, &work, &mut report)?;
            }
        }
    }
    in_order_of_tools(&mut report, &tools);
    report.print();
    arguments.results.as_ref().map_or(Ok(()), |dir| report.save(dir))
}

/// Backs a tree up twice, restores it, checks the repository.
fn tree_works(
    tool: &dyn Tool,
    source: &Path,
    facts: Facts,
    work: &Path,
    restore_dir: &Path,
    report: &mut Report,
) -> Result<()> {
    let scratch = Scratch::new(work.join(tool.name()))?;
    let place = Place::new(tool, scratch.path(), work)?;
    for (run, work) in ["first backup", "nothing changed"].into_iter().enumerate() {
        tree::warm(source)?;
        place.writing(work, &tool.backup(&place.home, source, run), report)?;
    }
    let into = Scratch::new(restore_dir.join(format!("firn-benches-{}", std::process::id())))?;
    place.reading("restore", &tool.restore(&place.home, into.path()), report)?;
    let restored = Facts::of(&tool.restored(source, into.path()))?;
    ensure!(restored == facts, "{} restored {restored:?} where {facts:?} had been", tool.name());
    drop(into);
    place.reading("check, all data", &tool.check(&place.home), report)
}

/// Backs a database up, changes some rows, backs it up again.
fn database_works(tool: &dyn Tool, work: &Path, report: &mut Report) -> Result<()> {
    let source = Scratch::new(work.join("database"))?;
    let scratch = Scratch::new(work.join(tool.name()))?;
    let place = Place::new(tool, scratch.path(), work)?;
    database::make(source.path())?;
    tree::warm(source.path())?;
    place.writing("database, first", &tool.backup(&place.home, source.path(), 0), report)?;
    database::change(source.path())?;
    tree::warm(source.path())?;
    place.writing("database, changed", &tool.backup(&place.home, source.path(), 1), report)
}

impl<'a> Place<'a> {
    /// An empty repository of the tool below `dir`.
    fn new(tool: &'a dyn Tool, dir: &Path, work: &Path) -> Result<Self> {
        let place = Self { tool, home: Home::below(dir), logs: work.join("logs") };
        fs::create_dir_all(&place.home.cache).with_context(|| format!("make {}", place.home.cache.display()))?;
        measure::run(&tool.init(&place.home), &place.logs, &format!("{}-init", tool.name()))?;
        Ok(place)
    }

    /// Measures a command that writes to the repository.
    fn writing(&self, work: &'static str, command: &Command, report: &mut Report) -> Result<()> {
        let before = Facts::of(&self.home.repository)?.bytes;
        let mut run = self.measure(work, command)?;
        run.stored_bytes = Some(Facts::of(&self.home.repository)?.bytes.saturating_sub(before));
        report.add(work, self.tool.name(), run);
        Ok(())
    }

    /// Measures a command that reads the repository.
    fn reading(&self, work: &'static str, command: &Command, report: &mut Report) -> Result<()> {
        tree::warm(&self.home.repository)?;
        report.add(work, self.tool.name(), self.measure(work, command)?);
        Ok(())
    }

    fn measure(&self, work: &str, command: &Command) -> Result<Run> {
        let name = format!("{}-{}", self.tool.name(), work.replace(", ", "-").replace(' ', "-"));
        let usage = measure::run(command, &self.logs, &name)?;
        eprintln!("{:<8} {work:<20} {:>7.2} s", self.tool.name(), usage.wall_seconds);
        Ok(Run { usage, stored_bytes: None, note: String::new() })
    }
}

/// Sorts rows of one work by tool: who went first in the first repetition must not matter.
fn in_order_of_tools(report: &mut Report, tools: &[Box<dyn Tool>]) {
    let places: BTreeMap<&str, usize> = tools.iter().enumerate().map(|(place, tool)| (tool.name(), place)).collect();
    report.rows.sort_by_key(|row| places.get(row.tool.as_str()).copied());
}

/// Refuses a folder for restores that has no room for the tree.
fn ensure_room(dir: &Path, bytes: u64) -> Result<()> {
    let found = rustix::fs::statvfs(dir).with_context(|| format!("look at {}", dir.display()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    // Small files take a page each.
    if free < bytes.saturating_mul(3) / 2 {
        bail!(
            "{} has {:.0} MiB free and a tree of {:.0} MiB is to be restored there: name another with --restore-dir",
            dir.display(),
            mib(free),
            mib(bytes)
        );
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
