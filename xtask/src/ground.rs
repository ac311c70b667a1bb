//! `cargo xtask ground`: real clusters on loopback, each with one node or as a control plane alone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::places;
use binaries::{Binaries, Plan};
pub(crate) use cluster::free_ports;
use cluster::{Cluster, Role};
use control_plane::ControlPlane;
pub(crate) use start::up;
use state::Ground;

mod address;
pub(crate) mod binaries;
mod cluster;
mod control_group;
mod control_plane;
pub(crate) mod images;
mod kernel;
mod kubeconfig;
pub(crate) mod machine;
mod mounts;
mod node;
mod process;
mod start;
mod state;

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
    /// Start every cluster that does not run; build or install the programs first if need be
    Up {
        /// The clusters, which are also the contexts of the kubeconfig
        #[arg(long, value_delimiter = ',', default_value = "a,b")]
        names: Vec<String>,
        /// Control planes alone, on which no pod runs: faster, smaller, and possible without root
        #[arg(long)]
        no_nodes: bool,
        /// What to print on standard output when all is ready
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Stop every process that was started, pods too, and remove everything
    Down,
    /// Show what runs; fails unless everything does
    Status,
    /// Give an image to every node, from an archive such as `cargo xtask image` writes
    Import {
        /// The archive
        archive: PathBuf,
    },
    /// Kill every process of one cluster, pods too, with SIGKILL: the disaster. Its data stays; `up` revives it
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
        Command::Up { names, no_nodes, output } => {
            let ready = up(&dir, &names, !no_nodes)?;
            ready.print(output);
            Ok(())
        }
        Command::Down => down(&dir),
        Command::Status => status(&dir),
        Command::Import { archive } => {
            for node in import(&dir, &archive)? {
                println!("{node} has the image of {}", archive.display());
            }
            Ok(())
        }
        Command::Kill { name } => kill(&dir, &name),
    }
}

/// A ground that answers.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) kubectl: PathBuf,
    /// What is to be known of each context.
    contexts: BTreeMap<String, Value>,
    seconds: f64,
}

impl Ready {
    /// The address of a cluster's node.
    pub(crate) fn node_address(&self, name: &str) -> Option<Ipv4Addr> {
        self.contexts.get(name)?.pointer("/node/address")?.as_str()?.parse().ok()
    }

    fn print(&self, output: Output) {
        let (kubeconfig, kubectl) = (self.kubeconfig.display(), self.kubectl.display());
        match output {
            Output::Text => {
                println!("kubeconfig: {kubeconfig}");
                for (name, context) in &self.contexts {
                    let word = |pointer: &str| context.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                    let words = [word("/server"), word("/node/name"), word("/node/address")].join(" ");
                    println!("  context {name}: {}", words.trim_end());
                }
                if self.contexts.values().any(|context| !context["node"].is_null()) {
                    println!(
                        "pods need hostNetwork: true and imagePullPolicy: Never; the nodes have the image {}, \
                         `cargo xtask ground import` gives them more",
                        images::BUSYBOX
                    );
                }
                println!("try: {kubectl} --kubeconfig {kubeconfig} get namespaces");
            }
            Output::Json => {
                let ready = json!({
                    "kubeconfig": self.kubeconfig,
                    "contexts": self.contexts,
                    "kubectl": self.kubectl,
                    "ready_seconds": self.seconds,
                });
                println!("{ready:#}");
            }
        }
    }
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
    kernel::restore(&ground.kernel)?;
    eprintln!("stopped {killed} processes of {}", names.join(", "));
    ground.remove()
}

/// Gives an image to every node; their names.
pub(crate) fn import(dir: &Path, archive: &Path) -> Result<Vec<String>> {
    let ground = existing(dir)?;
    let binaries = Plan::new(true)?.binaries();
    let mut nodes = Vec::new();
    for name in ground.clusters.keys() {
        if let Some(node) = plane(&ground, name, &binaries)?.node() {
            node.import(archive)?;
            nodes.push(node.name());
        }
    }
    if nodes.is_empty() { bail!("no node in {}", ground.dir().display()) } else { Ok(nodes) }
}

/// Kills every process of one cluster.
pub(crate) fn kill(dir: &Path, name: &str) -> Result<()> {
    let ground = existing(dir)?;
    let killed = kill_cluster(&ground, name)?;
    eprintln!("killed {killed} processes of {name}; its data stays in {}", ground.cluster_dir(name).display());
    Ok(())
}

fn existing(dir: &Path) -> Result<Ground> {
    Ground::open_existing(dir)?.with_context(|| format!("no ground in {}", dir.display()))
}

/// Kills every process of a cluster at once, then waits until all are gone, and takes away what its node leaves behind;
/// how many processes there were.
fn kill_cluster(ground: &Ground, name: &str) -> Result<usize> {
    let binaries = Plan::new(true)?.binaries();
    let plane = plane(ground, name, &binaries)?;
    let processes = &plane.cluster.processes;
    let mut killed = 0;
    for process in processes.values() {
        killed += usize::from(process.kill(&plane.dir)?);
    }
    for process in processes.values() {
        process.wait_gone(&plane.dir)?;
    }
    if let Some(node) = plane.node() {
        killed += node.clear()?;
    }
    Ok(killed)
}

fn status(dir: &Path) -> Result<()> {
    let ground = existing(dir)?;
    let binaries = Plan::new(true)?.binaries();
    println!("kubeconfig: {}", ground.kubeconfig().display());
    let mut missing = 0;
    for name in ground.clusters.keys() {
        missing += status_of(&plane(&ground, name, &binaries)?);
    }
    if missing > 0 { bail!("{missing} parts do not run") } else { Ok(()) }
}

/// Prints what runs of one cluster; how many parts do not.
fn status_of(plane: &ControlPlane<'_>) -> usize {
    let ready = |is_ready: bool| if is_ready { "ready" } else { "NOT READY" };
    let is_ready = plane.is_api_ready();
    println!("{}: {} {}", plane.name, plane.cluster.server(), ready(is_ready));
    let mut missing = usize::from(!is_ready);
    let of_node = if plane.cluster.node.is_some() { &Role::NODE[..] } else { &[] };
    for role in Role::PLANE.iter().chain(of_node) {
        let process = plane.cluster.processes.get(role).filter(|process| process.is_alive(&plane.dir));
        match process {
            Some(process) => {
                let mebibytes = process.resident_bytes().unwrap_or_default() >> 20;
                println!("  {:<24} pid {:<8} {mebibytes} MiB", role.name(), process.pid());
            }
            None => {
                println!("  {:<24} not running", role.name());
                missing += 1;
            }
        }
    }
    if let Some(node) = plane.node() {
        let is_ready = node.is_ready();
        let pods = node.pods().unwrap_or_else(|| "unknown".to_owned());
        println!("  {:<24} {}, {}; pods: {pods}", node.name(), ready(is_ready), node.node.address);
        missing += usize::from(!is_ready);
    }
    missing
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
