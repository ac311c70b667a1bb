//! One control plane: etcd, API server, controller manager and scheduler, all on loopback.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::binaries::Binaries;
use super::cluster::{Cluster, Role};
use super::kubeconfig;
use super::node::NodeOf;
use super::process::{self, Identity};
use super::state::{make_dir, write_private};

/// The user of the contexts that people and tests use.
const ADMIN: &str = "admin";

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
        let mut users = format!(
            "{},admin,admin,\"system:masters\"\n{},system:kube-controller-manager,controller-manager\n\
             {},system:kube-scheduler,scheduler\n",
            tokens.admin, tokens.controller_manager, tokens.scheduler
        );
        if let Some(node) = self.node() {
            let name = node.name();
            users += &format!("{},system:node:{name},{name},\"system:nodes\"\n", node.node.token);
            node.write_files()?;
        }
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
            Role::Containerd | Role::Kubelet => {
                let node = self.node().with_context(|| format!("{} has no node", self.name))?;
                return node.start(role, &self.log(role));
            }
        };
        // The child is not waited for: it outlives this program, and the init process reaps it.
        let (_child, identity) = process::start(program, &arguments, &self.log(role))?;
        Ok(identity)
    }

    /// What those who use the cluster want to know, beside its kubeconfig.
    pub(crate) fn describe(&self) -> Value {
        let node = self.node().map(|node| {
            json!({
                "name": node.name(),
                "address": node.node.address,
                "control_group": node.node.control_group,
                "kubelet_dir": node.kubelet_dir(),
                "containerd_socket": node.containerd_socket(),
            })
        });
        json!({"server": self.cluster.server(), "node": node})
    }

    /// The node that belongs to it; none for a control plane alone.
    pub(crate) fn node(&self) -> Option<NodeOf<'_>> {
        self.cluster.node.as_ref().map(|node| NodeOf { plane: self, node })
    }

    pub(crate) fn log(&self, role: Role) -> PathBuf {
        self.dir.join("logs").join(format!("{}.log", role.name()))
    }

    /// What the API server is known by; it makes the certificate itself at its first start.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("certs/apiserver.crt")
    }

    /// What the API server shows the kubelet: `crt` or `key`.
    pub(crate) fn kubelet_client(&self, ending: &str) -> PathBuf {
        self.dir.join("certs").join(format!("kubelet-client.{ending}"))
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
        let mut arguments = vec![
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
        ];
        if self.cluster.node.is_some() {
            arguments.extend([
                "--enable-admission-plugins=NodeRestriction".to_owned(),
                "--kubelet-preferred-address-types=InternalIP".to_owned(),
                format!("--kubelet-client-certificate={}", self.kubelet_client("crt").display()),
                format!("--kubelet-client-key={}", self.kubelet_client("key").display()),
            ]);
        }
        arguments
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

    /// Asks again and again; an error if a process of the cluster ends meanwhile.
    pub(crate) fn wait(&self, what: &str, is_ready: &dyn Fn() -> bool) -> Result<()> {
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
    pub(crate) fn get(&self, path: &str) -> bool {
        self.read(&["get", "--raw", path]).is_some()
    }

    /// What kubectl prints as admin; none if it fails.
    pub(crate) fn read(&self, arguments: &[&str]) -> Option<String> {
        let config = self.kubeconfig(ADMIN);
        self.kubectl(&[&["--kubeconfig", &config.to_string_lossy()], arguments].concat())
    }

    /// GET /healthz of a component, which answers everyone, with a certificate nobody signed.
    fn get_health(&self, port: u16) -> bool {
        let server = format!("https://127.0.0.1:{port}");
        let answer = self.kubectl(&[
            "--kubeconfig=/dev/null",
            // Without any credential kubectl would ask for a user name.
            "--token=none",
            "--server",
            &server,
            "--insecure-skip-tls-verify",
            "get",
            "--raw",
            "/healthz",
        ]);
        answer.is_some()
    }

    fn kubectl(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new(&self.binaries.kubectl)
            .env_remove("KUBECONFIG")
            .arg("--request-timeout=5s")
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
