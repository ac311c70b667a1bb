//! The tools that are measured, each with its own defaults, encryption included.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

mod borg;
mod firn;
mod restic;

use borg::Borg;
use firn::Firn;
use restic::Restic;

/// What every repository of a benchmark is locked with.
const PASSWORD: &str = "benchmark";

/// The folders of one tool in one run.
#[derive(Debug)]
pub(crate) struct Home {
    /// Where the repository lies or will lie.
    pub(crate) repository: PathBuf,
    /// The tool's caches and settings.
    pub(crate) cache: PathBuf,
}

impl Home {
    pub(crate) fn below(dir: &Path) -> Self {
        Self { repository: dir.join("repository"), cache: dir.join("cache") }
    }
}

/// A backup tool, as commands that are run from outside.
pub(crate) trait Tool {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// The program.
    fn program(&self) -> &Path;
    /// What makes it say its version.
    fn version_argument(&self) -> &'static str {
        "--version"
    }
    /// Makes a repository.
    fn init(&self, home: &Home) -> Command;
    /// Captures the directory `source`; `run` is different for each capture into one repository.
    fn backup(&self, home: &Home, source: &Path, run: usize) -> Command;
    /// Brings the newest capture of `source` back, somewhere below the folder `into`.
    fn restore(&self, home: &Home, into: &Path) -> Command;
    /// Where in `into` what was `source` then lies.
    fn restored(&self, source: &Path, into: &Path) -> PathBuf;
    /// Reads and verifies everything.
    fn check(&self, home: &Home) -> Command;
}

/// All tools, Firn first.
pub(crate) fn all(firn: &Path) -> Result<Vec<Box<dyn Tool>>> {
    if !firn.is_file() {
        bail!("there is no program {}", firn.display());
    }
    Ok(vec![
        Box::new(Firn { program: firn.to_owned() }),
        Box::new(Restic { program: find("restic")? }),
        Box::new(Borg { program: find("borg")? }),
    ])
}

/// What a tool says about its version: its first line without its name.
pub(crate) fn version(tool: &dyn Tool) -> Result<String> {
    let output = Command::new(tool.program())
        .arg(tool.version_argument())
        .output()
        .with_context(|| format!("start {}", tool.name()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    let Some(version) = words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit())) else {
        bail!("{} does not say its version", tool.name());
    };
    Ok(version.to_owned())
}

/// Where an absolute path lies when a tool restores whole paths below `into`.
fn below(into: &Path, source: &Path) -> PathBuf {
    into.join(source.strip_prefix("/").unwrap_or(source))
}

fn find(name: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not on the PATH"))
}
