//! `cargo xtask bench`: Firn and its peers on the same data; makes first what is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{self, Metadata};
use crate::places;

/// The tree that is backed up: the contents of a Debian package.
const LINUX: &str = "linux-source-6.1";

/// Programs that are needed, with the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 4] = [("restic", "restic"), ("borg", "borgbackup"), ("tar", "tar"), ("xz", "xz-utils")];

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Back up this directory instead of the Linux source
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Where repositories, caches and data lie; `$XDG_CACHE_HOME/firn/bench` if not given
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What else the benchmark program is to be told, or another benchmark: `-- --database`, `-- points`,
    /// `-- objects --kubeconfig FILE --context A --to B`
    #[arg(last = true, value_name = "ARGUMENTS")]
    rest: Vec<String>,
}

/// Builds, installs, unpacks, measures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let metadata = cargo::metadata()?;
    let dir = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => places::cache()?.join("bench"),
    };
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let another = arguments.rest.first().filter(|first| !first.starts_with('-'));
    let (benchmark, rest) = match another {
        Some(name) => (name.as_str(), &arguments.rest[1..]),
        None => ("versus", arguments.rest.as_slice()),
    };
    build()?;
    let release = Path::new(&metadata.target_directory).join("release");
    let mut command = Command::new(release.join("firn-benches"));
    command.arg(benchmark).arg("--work").arg(dir.join("work")).arg("--results").arg(results(&metadata));
    if benchmark != "points" {
        command.arg("--firn").arg(release.join("firn"));
    }
    if benchmark == "versus" {
        let tree = provide(arguments.tree.as_deref(), &dir)?;
        command.arg("--tree").arg(tree);
    }
    run_one(command.args(rest))
}

/// Where recorded results lie in the source tree.
fn results(metadata: &Metadata) -> PathBuf {
    Path::new(&metadata.workspace_root).join("benches/results")
}

fn build() -> Result<()> {
    println!("==> build firn and the benchmark program (release)");
    let mut command = Command::new(cargo::program());
    command.args(["build", "--release", "--package", "firn-cli", "--package", "firn-benches"]);
    run_one(&mut command)
}

/// Provides the peers and the tree; says which tree.
fn provide(tree: Option<&Path>, dir: &Path) -> Result<PathBuf> {
    let unpacked = dir.join(LINUX);
    let archive = Path::new("/usr/src").join(format!("{LINUX}.tar.xz"));
    let needs_archive = tree.is_none() && !unpacked.is_dir() && !archive.is_file();
    let missing = PROGRAMS.iter().filter(|(program, _)| places::program(program).is_none());
    let mut packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    packages.extend(needs_archive.then_some(LINUX));
    if !packages.is_empty() {
        install(&packages)?;
    }
    match tree {
        Some(tree) => Ok(tree.to_owned()),
        None => unpack(&archive, &unpacked).map(|()| unpacked),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    println!("==> install with apt: {}", packages.join(" "));
    if places::program("apt-get").is_none() || !rustix::process::geteuid().is_root() {
        bail!("these Debian packages are needed, and only root can install them: {}", packages.join(" "));
    }
    run_one(Command::new("apt-get").args(["update", "--quiet"]))?;
    run_one(Command::new("apt-get").args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(packages))
}

/// Unpacks beside the final place first, so that a folder of that name is always whole.
fn unpack(archive: &Path, to: &Path) -> Result<()> {
    if to.is_dir() {
        return Ok(());
    }
    println!("==> unpack {} into {}", archive.display(), to.display());
    let partial = to.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
    run_one(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&partial))?;
    fs::rename(partial.join(LINUX), to).with_context(|| format!("move to {}", to.display()))?;
    fs::remove_dir(&partial).with_context(|| format!("remove {}", partial.display()))
}

fn run_one(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    Ok(())
}
