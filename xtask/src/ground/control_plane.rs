//! One control plane: etcd, API server, controller manager and scheduler, all on loopback.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::binaries::Binaries;
use super::kubeconfig;
use super::process::{self, Identity};
use super::state::{make_dir, write_private};

/// The user of the contexts that people and tests use.
const ADMIN: &str = "admin";

/// A part of a control plane; the order is the order of starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
}

impl Role {
    pub(crate) const ALL: [Self; 4] =
        [Self::Etcd, Self::KubeApiserver, Self::KubeControllerManager, Self::KubeScheduler];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
        }
    }
}

/// What stays the same over the life of one cluster, whether its processes run or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// The how-manieth cluster of its ground: each has its own range of Service addresses, so that
    /// an address carried from one to the other is seen to be wrong.
    index: u8,
    ports: Ports,
    tokens: Tokens,
    /// The processes started last; each may be gone since.
    pub(crate) processes: BTreeMap<Role, Identity>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ports {
    etcd_client: u16,
    etcd_peer: u16,
    api_server: u16,
    controller_manager: u16,
    scheduler: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tokens {
    admin: String,
    controller_manager: String,
    scheduler: String,
}

impl Cluster {
    /// A cluster that has not started yet, on ports that are free now and that no `others` has.
    pub(crate) fn new(others: &BTreeMap<String, Self>) -> Result<Self> {
        let taken: Vec<u16> = others.values().flat_map(|cluster| cluster.ports.all()).collect();
        let [etcd_client, etcd_peer, api_server, controller_manager, scheduler] = free_ports(&taken)?;
        Ok(Self {
            index: u8::try_from(others.len()).context("too many clusters")?,
            ports: Ports { etcd_client, etcd_peer, api_server, controller_manager, scheduler },
            tokens: Tokens { admin: random_token()?, controller_manager: random_token()?, scheduler: random_token()? },
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

/// A cluster together with its place on disk and its programs.
#[derive(Debug)]
pub(crate) struct ControlPlane<'a> {
    pub(crate) name: &'a str,
    pub(crate) dir: PathBuf,
    pub(crate) cluster: &'a Cluster,
    pub(crate) binaries: &'a Binaries,
}

impl ControlPlane<'_> {
    /// Makes the cluster's folders and writes what the components read at start: tokens with their
    /// users, and a kubeconfig for each that calls the API server.
    pub(crate) fn write_files(&self) -> Result<()> {
        // etcd refuses a data folder that others may read.
        for folder in ["logs", "certs", "etcd"] {
            make_dir(&self.dir.join(folder))?;
        }
        let tokens = &self.cluster.tokens;
        let users = format!(
            "{},admin,admin,\"system:masters\"\n{},system:kube-controller-manager,controller-manager\n\
             {},system:kube-scheduler,scheduler\n",
            tokens.admin, tokens.controller_manager, tokens.scheduler
        );
        write_private(&self.dir.join("tokens.csv"), &users)?;
        let certificate = self.certificate();
        for (name, token) in [
            (ADMIN, &tokens.admin),
            (Role::KubeControllerManager.name(), &tokens.controller_manager),
            (Role::KubeScheduler.name(), &tokens.scheduler),
        ] {
            let server = self.cluster.server();
            let context = kubeconfig::Context { name, server, certificate: &certificate, token };
            write_private(&self.kubeconfig(name), &kubeconfig::render(&[context]))?;
        }
        Ok(())
    }

    /// Starts one part.
    pub(crate) fn start(&self, role: Role) -> Result<Identity> {
        let (program, arguments) = match role {
            Role::Etcd => (&self.binaries.etcd, self.etcd_arguments()),
            Role::KubeApiserver => (&self.binaries.kube_apiserver, self.apiserver_arguments()),
            Role::KubeControllerManager => (&self.binaries.kube_controller_manager, self.manager_arguments()),
            Role::KubeScheduler => (&self.binaries.kube_scheduler, self.scheduler_arguments()),
        };
        // The child is not waited for: it outlives this program, and the init process reaps it.
        let (_child, identity) = process::start(program, &arguments, &self.log(role))?;
        Ok(identity)
    }

    pub(crate) fn log(&self, role: Role) -> PathBuf {
        self.dir.join("logs").join(format!("{}.log", role.name()))
    }

    /// What the API server is known by; it makes the certificate itself at its first start.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("certs/apiserver.crt")
    }

    /// The API server's own key also signs service account tokens: a ground needs no second one.
    fn key(&self) -> PathBuf {
        self.dir.join("certs/apiserver.key")
    }

    fn kubeconfig(&self, of: &str) -> PathBuf {
        self.dir.join(format!("{of}.kubeconfig"))
    }

    fn etcd_arguments(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.cluster.ports.etcd_client);
        let peer = format!("http://127.0.0.1:{}", self.cluster.ports.etcd_peer);
        vec![
            format!("--name={}", self.name),
            format!("--data-dir={}", self.dir.join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}={peer}", self.name),
            // A ground need not survive a power cut, only killed processes; and two clusters that
            // flush every write would measure the disk instead of Firn.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    fn apiserver_arguments(&self) -> Vec<String> {
        vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.cluster.ports.etcd_client),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            // Endpoints may not be loopback addresses: nobody is to publish this one.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--secure-port={}", self.cluster.ports.api_server),
            format!("--cert-dir={}", self.dir.join("certs").display()),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-signing-key-file={}", self.key().display()),
            format!("--service-account-key-file={}", self.key().display()),
            format!("--token-auth-file={}", self.dir.join("tokens.csv").display()),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--service-cluster-ip-range=10.{}.0.0/16", 96 + u16::from(self.cluster.index)),
            "--profiling=false".to_owned(),
        ]
    }

    fn manager_arguments(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.kubeconfig(Role::KubeControllerManager.name()).display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.cluster.ports.controller_manager),
            format!("--service-account-private-key-file={}", self.key().display()),
            format!("--root-ca-file={}", self.certificate().display()),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--profiling=false".to_owned(),
        ]
    }

    fn scheduler_arguments(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.kubeconfig(Role::KubeScheduler.name()).display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.cluster.ports.scheduler),
            "--leader-elect=false".to_owned(),
            "--profiling=false".to_owned(),
        ]
    }

    /// Waits until the API server says that it is ready.
    pub(crate) fn wait_api_ready(&self) -> Result<()> {
        self.wait("API server", &|| self.is_api_ready())
    }

    /// Waits until the controllers have done their first work and the scheduler is well.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        let ports = &self.cluster.ports;
        self.wait("controller manager", &|| self.get_health(ports.controller_manager))?;
        self.wait("scheduler", &|| self.get_health(ports.scheduler))?;
        // The token controller makes this account: from here on pods can be created.
        self.wait("default service account", &|| self.get("/api/v1/namespaces/default/serviceaccounts/default"))
    }

    pub(crate) fn is_api_ready(&self) -> bool {
        self.get("/readyz")
    }

    /// Whether every process that was started so far still runs; else the name of one that does not.
    fn dead(&self) -> Option<Role> {
        self.cluster.processes.iter().find(|(_, process)| !process.is_alive(&self.dir)).map(|(role, _)| *role)
    }

    fn wait(&self, what: &str, is_ready: &dyn Fn() -> bool) -> Result<()> {
        // Alone on two cores everything takes 5 s; beside a busy build it has taken ten times that.
        let patience = Duration::from_secs(180);
        let begun = Instant::now();
        while !is_ready() {
            if let Some(role) = self.dead() {
                let log = self.log(role);
                bail!("{} of {} ended:\n{}\n({})", role.name(), self.name, process::tail(&log), log.display());
            }
            if begun.elapsed() > patience {
                bail!("{what} of {}: not ready after {} s; logs in {}", self.name, patience.as_secs(), self.logs());
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn logs(&self) -> String {
        self.dir.join("logs").display().to_string()
    }

    /// GET as admin; kubectl is the TLS client, so that the workshop needs none of its own.
    fn get(&self, path: &str) -> bool {
        let config = self.kubeconfig(ADMIN);
        self.kubectl_succeeds(&["--kubeconfig", &config.to_string_lossy(), "get", "--raw", path])
    }

    /// GET /healthz of a component, which answers everyone, with a certificate nobody signed.
    fn get_health(&self, port: u16) -> bool {
        let server = format!("https://127.0.0.1:{port}");
        self.kubectl_succeeds(&[
            "--kubeconfig=/dev/null",
            // Without any credential kubectl would ask for a user name.
            "--token=none",
            "--server",
            &server,
            "--insecure-skip-tls-verify",
            "get",
            "--raw",
            "/healthz",
        ])
    }

    fn kubectl_succeeds(&self, arguments: &[&str]) -> bool {
        Command::new(&self.binaries.kubectl)
            .env_remove("KUBECONFIG")
            .arg("--request-timeout=5s")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// Ports of loopback that nobody holds. Not from the range that the kernel gives to outgoing
/// connections (32768 and up): one of those could take the port before its server does.
fn free_ports<const N: usize>(taken: &[u16]) -> Result<[u16; N]> {
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

fn random_token() -> Result<String> {
    let bytes: [u8; 24] = random()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("read /dev/urandom")?;
    Ok(bytes)
}
