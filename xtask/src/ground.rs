//! `cargo xtask ground`: real clusters on loopback, each with one node or as a control plane alone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::places;
use binaries::{Binaries, Plan};
pub(crate) use cluster::free_ports;
use cluster::{Cluster, Role};
use control_group::Hierarchies;
use control_plane::ControlPlane;
use machine::Machine;
use state::{Ground, make_dir, write_private};

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

/// Starts what does not run of these clusters, and waits until all of it is ready.
pub(crate) fn up(dir: &Path, names: &[String], with_nodes: bool) -> Result<Ready> {
    for name in names {
        check_name(name)?;
    }
    let plan = Plan::new(with_nodes)?;
    let machine = if with_nodes { Some(Machine::look()?) } else { None };
    eprintln!("ground {}: this will", dir.display());
    for line in machine.iter().flat_map(Machine::describe).chain(plan.describe()) {
        eprintln!("  {line}");
    }
    let size = if with_nodes { "1 GB" } else { "500 MB" };
    eprintln!("  start what does not run yet of: {} ({size} of memory each)", names.join(", "));
    if let Some(machine) = machine {
        machine.ensure()?;
    }
    let binaries = plan.ensure()?;

    let begun = Instant::now();
    let mut ground = Ground::open(dir)?;
    for name in names {
        admit(&mut ground, name, with_nodes)?;
    }
    if with_nodes {
        kernel::remember(&mut ground.kernel)?;
    }
    ground.save()?;
    write_kubeconfig(&ground, &binaries)?;
    let archives = if with_nodes { images::pack(&ground.images_dir())? } else { Vec::new() };
    // In stages over all clusters, so that they start beside each other.
    for name in names {
        prepare(&mut ground, name, &binaries)?;
        start_missing(&mut ground, name, &binaries, &[Role::Etcd, Role::KubeApiserver, Role::Containerd])?;
    }
    for name in names {
        let plane = plane(&ground, name, &binaries)?;
        if let Some(node) = plane.node() {
            node.wait_containerd()?;
            archives.iter().try_for_each(|archive| node.import(archive))?;
        }
    }
    let mut heartbeats = BTreeMap::new();
    for name in names {
        let plane = plane(&ground, name, &binaries)?;
        plane.wait_api_ready()?;
        if !plane.cluster.processes.contains_key(&Role::Kubelet) {
            heartbeats.insert(name, plane.node().and_then(|node| node.heartbeat()));
        }
        start_missing(
            &mut ground,
            name,
            &binaries,
            &[Role::KubeControllerManager, Role::KubeScheduler, Role::Kubelet],
        )?;
    }
    for name in names {
        let plane = plane(&ground, name, &binaries)?;
        plane.wait_ready()?;
        if let Some(node) = plane.node() {
            node.wait_ready(heartbeats.get(name).and_then(|time| time.as_deref()))?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("ready in {seconds:.1} s");
    let contexts = ground.clusters.keys().map(|name| Ok((name.clone(), plane(&ground, name, &binaries)?.describe())));
    let contexts = contexts.collect::<Result<_>>()?;
    Ok(Ready { kubeconfig: ground.kubeconfig(), kubectl: binaries.kubectl, contexts, seconds })
}

/// Adds a cluster to the ground, unless it is there. One that is there stays what it is.
fn admit(ground: &mut Ground, name: &str, with_node: bool) -> Result<()> {
    if let Some(cluster) = ground.clusters.get(name) {
        if with_node && cluster.node.is_none() {
            bail!(
                "{name} is a control plane alone: `--no-nodes` goes on with it, `ground down` makes way for a whole one"
            );
        }
        return Ok(());
    }
    if ground.clusters.len() >= CLUSTERS_MAX {
        bail!("a ground has at most {CLUSTERS_MAX} clusters");
    }
    let cluster = Cluster::new(&ground.clusters, with_node)?;
    ground.clusters.insert(name.to_owned(), cluster);
    Ok(())
}

/// Makes all that a cluster's processes find at their start.
fn prepare(ground: &mut Ground, name: &str, binaries: &Binaries) -> Result<()> {
    forget_dead(ground, name);
    make_dir(&ground.cluster_dir(name))?;
    let plane = plane(ground, name, binaries)?;
    plane.write_files()?;
    let Some(node) = plane.node() else { return Ok(()) };
    if !Role::NODE.iter().any(|role| plane.cluster.processes.contains_key(role)) {
        // What outlived them, or lies there from before the machine's last start, would be in the way.
        node.clear()?;
    }
    node.prepare(&Hierarchies::look()?)
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
        let is_wanted = plane.cluster.node.is_some() || !Role::NODE.contains(role);
        if !is_wanted || plane.cluster.processes.contains_key(role) {
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
                    println!("  context {name}: {}", context["server"].as_str().unwrap_or_default());
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

/// A name is also a folder and a context.
fn check_name(name: &str) -> Result<()> {
    const NAME_BYTES_MAX: usize = 32;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        bail!("{name:?} is no name for a cluster: a-z, 0-9 and -, at most {NAME_BYTES_MAX}");
    }
    Ok(())
}
