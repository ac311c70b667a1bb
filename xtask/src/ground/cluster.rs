//! What a cluster keeps over its life: ports, tokens, its node's address, and the processes started last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::address;
use super::process::Identity;

/// A part of a cluster; the order is the order of starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Containerd,
    Kubelet,
}

impl Role {
    pub(crate) const PLANE: [Self; 4] =
        [Self::Etcd, Self::KubeApiserver, Self::KubeControllerManager, Self::KubeScheduler];
    pub(crate) const NODE: [Self; 2] = [Self::Containerd, Self::Kubelet];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
        }
    }
}

/// What stays the same over the life of one cluster, whether its processes run or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// The how-manieth cluster of its ground: each has its own range of Service addresses, so that
    /// an address carried from one to the other is seen to be wrong.
    pub(crate) index: u8,
    pub(crate) ports: Ports,
    pub(crate) tokens: Tokens,
    /// None for a control plane alone.
    #[serde(default)]
    pub(crate) node: Option<Node>,
    /// The processes started last; each may be gone since.
    pub(crate) processes: BTreeMap<Role, Identity>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) etcd_client: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) admin: String,
    pub(crate) controller_manager: String,
    pub(crate) scheduler: String,
}

/// What stays the same over the life of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Node {
    /// An address of the loopback device that this node alone has: the kubelet listens on it, and pods on the node's
    /// network may, so that the same port can be taken in two clusters. The kubelet refuses 127.0.0.0/8.
    pub(crate) address: Ipv4Addr,
    pub(crate) kubelet_port: u16,
    pub(crate) token: String,
    /// The control group, of the same path in every hierarchy, in which all processes of the node run. Two kubelets
    /// on one would delete each other's pods.
    pub(crate) control_group: String,
}

impl Node {
    /// A node that has not started yet, on an address that is free now and that no `others` has.
    fn new(others: &BTreeMap<String, Cluster>) -> Result<Self> {
        let taken: Vec<_> =
            others.values().filter_map(|cluster| cluster.node.as_ref()).map(|node| node.address).collect();
        let address = free_address(&taken)?;
        let [kubelet_port] = free_ports(&[])?;
        let name: [u8; 6] = random()?;
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { address, kubelet_port, token: random_token()?, control_group: format!("firn-{name}") })
    }
}

impl Cluster {
    /// A cluster that has not started yet, on ports that are free now and that no `others` has.
    pub(crate) fn new(others: &BTreeMap<String, Self>, with_node: bool) -> Result<Self> {
        let taken: Vec<u16> = others.values().flat_map(|cluster| cluster.ports.all()).collect();
        let [etcd_client, etcd_peer, api_server, controller_manager, scheduler] = free_ports(&taken)?;
        Ok(Self {
            index: u8::try_from(others.len()).context("too many clusters")?,
            ports: Ports { etcd_client, etcd_peer, api_server, controller_manager, scheduler },
            tokens: Tokens { admin: random_token()?, controller_manager: random_token()?, scheduler: random_token()? },
            node: if with_node { Some(Node::new(others)?) } else { None },
            processes: BTreeMap::new(),
        })
    }

    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    pub(crate) fn admin_token(&self) -> &str {
        &self.tokens.admin
    }
}

impl Ports {
    fn all(&self) -> [u16; 5] {
        [self.etcd_client, self.etcd_peer, self.api_server, self.controller_manager, self.scheduler]
    }
}

/// Ports of loopback that nobody holds. Not from the range that the kernel gives to outgoing
/// connections (32768 and up): one of those could take the port before its server does.
pub(crate) fn free_ports<const N: usize>(taken: &[u16]) -> Result<[u16; N]> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    const ATTEMPTS_MAX: usize = 1_000;
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        let port = FIRST + u16::from_le_bytes(random()?) % COUNT;
        if taken.contains(&port) {
            continue;
        }
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push(listener);
            ports.push(port);
        }
        if let Ok(ports) = <[u16; N]>::try_from(ports.as_slice()) {
            return Ok(ports);
        }
    }
    bail!("no {N} free ports from {FIRST} on, after {ATTEMPTS_MAX} attempts")
}

/// An address that no device of this machine has, from the range set apart for tests of networks (198.18.0.0/15).
fn free_address(taken: &[Ipv4Addr]) -> Result<Ipv4Addr> {
    const ATTEMPTS_MAX: usize = 100;
    for _ in 0..ATTEMPTS_MAX {
        let [second, third, fourth]: [u8; 3] = random()?;
        let address = Ipv4Addr::new(198, 18 + second % 2, third, fourth);
        if !taken.contains(&address) && !address::is_here(address) {
            return Ok(address);
        }
    }
    bail!("no free address, after {ATTEMPTS_MAX} attempts")
}

fn random_token() -> Result<String> {
    let bytes: [u8; 24] = random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("read /dev/urandom")?;
    Ok(bytes)
}
