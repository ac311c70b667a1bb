//! `cargo xtask ground`: real control planes on loopback.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::places;
use binaries::{Binaries, Plan};
use control_plane::{Cluster, ControlPlane, Role};
use state::{Ground, make_dir, write_private};

pub(crate) mod binaries;
mod control_plane;
mod kubeconfig;
mod process;
mod state;

/// More clusters than anyone compares; each has its own range of Service addresses.
const CLUSTERS_MAX: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder of the ground [default: $FIRN_GROUND_DIR, else ~/.local/state/firn/ground]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start every control plane that does not run; build the programs first if need be
    Up {
        /// The clusters, which are also the contexts of the kubeconfig
        #[arg(long, value_delimiter = ',', default_value = "a,b")]
        names: Vec<String>,
        /// What to print on standard output when all is ready
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Stop every process that was started and remove everything
    Down,
    /// Show what runs; fails unless everything does
    Status,
    /// Kill every process of one cluster with SIGKILL: the disaster. Its data stays; `up` revives it
    Kill {
        /// The cluster
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Runs one of the ground's commands.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let dir = match arguments.dir {
        Some(dir) => dir,
        None => places::ground_dir()?,
    };
    match arguments.command {
        Command::Up { names, output } => {
            let ready = up(&dir, &names)?;
            ready.print(output);
            Ok(())
        }
        Command::Down => down(&dir),
        Command::Status => status(&dir),
        Command::Kill { name } => kill(&dir, &name),
    }
}

/// A ground that answers.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
    /// The API server of each context.
    servers: BTreeMap<String, String>,
    seconds: f64,
}

/// Starts what does not run of these clusters, and waits until all of it is ready.
pub(crate) fn up(dir: &Path, names: &[String]) -> Result<Ready> {
    for name in names {
        check_name(name)?;
    }
    let plan = Plan::new()?;
    eprintln!("ground {}: this will", dir.display());
    for line in plan.describe() {
        eprintln!("  {line}");
    }
    eprintln!("  start what does not run yet of: {} (500 MB of memory each)", names.join(", "));
    let binaries = plan.ensure()?;

    let begun = Instant::now();
    let mut ground = Ground::open(dir)?;
    for name in names {
        if !ground.clusters.contains_key(name) {
            if ground.clusters.len() >= CLUSTERS_MAX {
                bail!("a ground has at most {CLUSTERS_MAX} clusters");
            }
            let cluster = Cluster::new(&ground.clusters)?;
            ground.clusters.insert(name.clone(), cluster);
        }
    }
    ground.save()?;
    write_kubeconfig(&ground, &binaries)?;
    // In stages over all clusters, so that they start beside each other.
    for name in names {
        forget_dead(&mut ground, name);
        make_dir(&ground.cluster_dir(name))?;
        plane(&ground, name, &binaries)?.write_files()?;
        start_missing(&mut ground, name, &binaries, &[Role::Etcd, Role::KubeApiserver])?;
    }
    for name in names {
        plane(&ground, name, &binaries)?.wait_api_ready()?;
        start_missing(&mut ground, name, &binaries, &[Role::KubeControllerManager, Role::KubeScheduler])?;
    }
    for name in names {
        plane(&ground, name, &binaries)?.wait_ready()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("ready in {seconds:.1} s");
    let servers = ground.clusters.iter().map(|(name, cluster)| (name.clone(), cluster.server())).collect();
    Ok(Ready { kubeconfig: ground.kubeconfig(), kubectl: binaries.kubectl, servers, seconds })
}

/// Forgets the processes that are gone, so that a wait takes only those of this start for a failure.
fn forget_dead(ground: &mut Ground, name: &str) {
    let dir = ground.cluster_dir(name);
    if let Some(cluster) = ground.clusters.get_mut(name) {
        cluster.processes.retain(|_, process| process.is_alive(&dir));
    }
}

/// Starts the roles that do not run, and remembers each before the next, so that `down` finds it
/// even if this program is killed.
fn start_missing(ground: &mut Ground, name: &str, binaries: &Binaries, roles: &[Role]) -> Result<()> {
    for role in roles {
        let plane = plane(ground, name, binaries)?;
        if plane.cluster.processes.contains_key(role) {
            continue;
        }
        let process = plane.start(*role)?;
        if let Some(cluster) = ground.clusters.get_mut(name) {
            cluster.processes.insert(*role, process);
        }
        ground.save()?;
    }
    Ok(())
}

impl Ready {
    fn print(&self, output: Output) {
        let (kubeconfig, kubectl) = (self.kubeconfig.display(), self.kubectl.display());
        match output {
            Output::Text => {
                println!("kubeconfig: {kubeconfig}");
                for (name, server) in &self.servers {
                    println!("  context {name}: {server}");
                }
                println!("try: {kubectl} --kubeconfig {kubeconfig} get namespaces");
            }
            Output::Json => {
                let contexts: BTreeMap<_, _> =
                    self.servers.iter().map(|(name, server)| (name, json!({"server": server}))).collect();
                let ready = json!({
                    "kubeconfig": self.kubeconfig,
                    "contexts": contexts,
                    "kubectl": self.kubectl,
                    "ready_seconds": self.seconds,
                });
                println!("{ready:#}");
            }
        }
    }
}

fn write_kubeconfig(ground: &Ground, binaries: &Binaries) -> Result<()> {
    let planes: Vec<_> = ground.clusters.keys().map(|name| plane(ground, name, binaries)).collect::<Result<_>>()?;
    let certificates: Vec<_> = planes.iter().map(ControlPlane::certificate).collect();
    let contexts: Vec<_> = planes
        .iter()
        .zip(&certificates)
        .map(|(plane, certificate)| kubeconfig::Context {
            name: plane.name,
            server: plane.cluster.server(),
            certificate,
            token: plane.cluster.admin_token(),
        })
        .collect();
    write_private(&ground.kubeconfig(), &kubeconfig::render(&contexts))
}

/// Stops every process and removes the ground; nothing to do where there is none.
pub(crate) fn down(dir: &Path) -> Result<()> {
    let Some(ground) = Ground::open_existing(dir)? else {
        eprintln!("no ground in {}", dir.display());
        return Ok(());
    };
    let names: Vec<_> = ground.clusters.keys().cloned().collect();
    let mut killed = 0;
    for name in &names {
        killed += kill_cluster(&ground, name)?;
    }
    eprintln!("stopped {killed} processes of {}", names.join(", "));
    ground.remove()
}

/// Kills every process of one cluster.
pub(crate) fn kill(dir: &Path, name: &str) -> Result<()> {
    let ground = Ground::open_existing(dir)?.with_context(|| format!("no ground in {}", dir.display()))?;
    let killed = kill_cluster(&ground, name)?;
    eprintln!("killed {killed} processes of {name}; its data stays in {}", ground.cluster_dir(name).display());
    Ok(())
}

/// Kills every process of a cluster at once, then waits until all are gone; how many there were.
fn kill_cluster(ground: &Ground, name: &str) -> Result<usize> {
    let cluster = cluster(ground, name)?;
    let dir = ground.cluster_dir(name);
    let mut killed = 0;
    for process in cluster.processes.values() {
        killed += usize::from(process.kill(&dir)?);
    }
    for process in cluster.processes.values() {
        process.wait_gone(&dir)?;
    }
    Ok(killed)
}

fn status(dir: &Path) -> Result<()> {
    let ground = Ground::open_existing(dir)?.with_context(|| format!("no ground in {}", dir.display()))?;
    let binaries = Plan::new()?.binaries();
    println!("kubeconfig: {}", ground.kubeconfig().display());
    let mut missing = 0;
    for name in ground.clusters.keys() {
        let plane = plane(&ground, name, &binaries)?;
        let is_ready = plane.is_api_ready();
        println!("{name}: {} {}", plane.cluster.server(), if is_ready { "ready" } else { "NOT READY" });
        for role in Role::ALL {
            let process = plane.cluster.processes.get(&role).filter(|process| process.is_alive(&plane.dir));
            match process {
                Some(process) => println!(
                    "  {:<24} pid {:<8} {:>5} MB",
                    role.name(),
                    process.pid(),
                    process.resident_bytes().unwrap_or(0) / 1_000_000
                ),
                None => println!("  {:<24} gone", role.name()),
            }
            missing += usize::from(process.is_none());
        }
        missing += usize::from(!is_ready);
    }
    if missing > 0 {
        bail!("not everything of the ground in {} runs; `cargo xtask ground up` starts what is gone", dir.display());
    }
    Ok(())
}

fn plane<'a>(ground: &'a Ground, name: &'a str, binaries: &'a Binaries) -> Result<ControlPlane<'a>> {
    Ok(ControlPlane { name, dir: ground.cluster_dir(name), cluster: cluster(ground, name)?, binaries })
}

fn cluster<'a>(ground: &'a Ground, name: &str) -> Result<&'a Cluster> {
    ground.clusters.get(name).with_context(|| {
        let known: Vec<_> = ground.clusters.keys().map(String::as_str).collect();
        format!("no cluster {name:?} in {}; there are: {}", ground.dir().display(), known.join(", "))
    })
}

/// A name is also a folder and a context.
fn check_name(name: &str) -> Result<()> {
    const NAME_BYTES_MAX: usize = 32;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        bail!("{name:?} is no name for a cluster: a-z, 0-9 and -, at most {NAME_BYTES_MAX}");
    }
    Ok(())
}
