//! Starting a ground: in stages, each process remembered before the next is started.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use super::binaries::{Binaries, Plan};
use super::cluster::{Cluster, Role};
use super::control_group::Hierarchies;
use super::control_plane::ControlPlane;
use super::machine::Machine;
use super::state::{Ground, make_dir, write_private};
use super::{Ready, images, kernel, kubeconfig, plane};

/// More clusters than anyone compares; each has its own range of Service addresses.
const CLUSTERS_MAX: usize = 8;

/// Starts what does not run of these clusters, and waits until all of it is ready.
pub(crate) fn up(dir: &Path, names: &[String], with_nodes: bool) -> Result<Ready> {
    names.iter().try_for_each(|name| check_name(name))?;
    let binaries = provide(dir, names, with_nodes)?;
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
    start_all(&mut ground, names, &binaries)?;
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("ready in {seconds:.1} s");
    let contexts = ground.clusters.keys().map(|name| Ok((name.clone(), plane(&ground, name, &binaries)?.describe())));
    let contexts = contexts.collect::<Result<_>>()?;
    Ok(Ready { kubeconfig: ground.kubeconfig(), kubectl: binaries.kubectl, contexts, seconds })
}

/// Says what will be done, then installs and builds what is missing.
fn provide(dir: &Path, names: &[String], with_nodes: bool) -> Result<Binaries> {
    let plan = Plan::new(with_nodes)?;
    let machine = if with_nodes { Some(Machine::look()?) } else { None };
    eprintln!("ground {}: this will", dir.display());
    for line in machine.iter().flat_map(Machine::describe).chain(plan.describe()) {
        eprintln!("  {line}");
    }
    let size = if with_nodes { "700 MB" } else { "500 MB" };
    eprintln!("  start what does not run yet of: {} ({size} of memory each)", names.join(", "));
    machine.map_or(Ok(()), |machine| machine.ensure())?;
    plan.ensure()
}

/// Starts in stages over all clusters, so that they start beside each other.
fn start_all(ground: &mut Ground, names: &[String], binaries: &Binaries) -> Result<()> {
    for name in names {
        prepare(ground, name, binaries)?;
        start_missing(ground, name, binaries, &[Role::Etcd, Role::KubeApiserver, Role::Containerd])?;
    }
    import_images(ground, names, binaries)?;
    let mut heartbeats = BTreeMap::new();
    for name in names {
        let plane = plane(ground, name, binaries)?;
        plane.wait_api_ready()?;
        if !plane.cluster.processes.contains_key(&Role::Kubelet) {
            heartbeats.insert(name, plane.node().and_then(|node| node.heartbeat()));
        }
        let last = [Role::KubeControllerManager, Role::KubeScheduler, Role::Kubelet];
        start_missing(ground, name, binaries, &last)?;
    }
    for name in names {
        let plane = plane(ground, name, binaries)?;
        plane.wait_ready()?;
        if let Some(node) = plane.node() {
            node.wait_ready(heartbeats.get(name).and_then(|time| time.as_deref()))?;
        }
    }
    Ok(())
}

/// Gives the nodes the images that every one has.
fn import_images(ground: &Ground, names: &[String], binaries: &Binaries) -> Result<()> {
    let mut archives = None;
    for name in names {
        let plane = plane(ground, name, binaries)?;
        let Some(node) = plane.node() else { continue };
        let archives = match &archives {
            Some(archives) => archives,
            None => archives.insert(images::pack(&ground.images_dir())?),
        };
        node.wait_containerd()?;
        archives.iter().try_for_each(|archive| node.import(archive))?;
    }
    Ok(())
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

/// A name is also a folder and a context.
fn check_name(name: &str) -> Result<()> {
    const NAME_BYTES_MAX: usize = 32;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        bail!("{name:?} is no name for a cluster: a-z, 0-9 and -, at most {NAME_BYTES_MAX}");
    }
    Ok(())
}
