//! One node: containerd and kubelet, with root, state and sockets of their own, so that several run on one machine.
//! Pods use the machine's network: everything stays on the loopback device.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::cluster::{Node, Role};
use super::control_group::Hierarchies;
use super::control_plane::ControlPlane;
use super::process::{self, Identity};
use super::state::{make_dir, write_private};
use super::{address, images, kubeconfig, machine, mounts};

/// Where shims listen, whatever containerd is told.
const SHIM_SOCKETS: &str = "/run/containerd/s";

/// Where the last kubelet that was started listens for device plugins, whatever it is told, and what it notes there.
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";
const DEVICE_SOCKET: &str = "kubelet.sock";
const DEVICE_NOTES: &str = "kubelet_internal_checkpoint";

/// A node together with its control plane.
#[derive(Debug)]
pub(crate) struct NodeOf<'a> {
    pub(crate) plane: &'a ControlPlane<'a>,
    pub(crate) node: &'a Node,
}

impl NodeOf<'_> {
    /// Under which the node registers, also its label `kubernetes.io/hostname`.
    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.plane.name)
    }

    /// The folder that is elsewhere `/var/lib/kubelet`: the volumes of pods lie in its `pods`.
    pub(crate) fn kubelet_dir(&self) -> PathBuf {
        self.plane.dir.join("kubelet")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.plane.dir.join("containerd.sock")
    }

    fn containerd_dir(&self) -> PathBuf {
        self.plane.dir.join("containerd")
    }

    fn config(&self, of: &str) -> PathBuf {
        self.plane.dir.join(of)
    }

    /// Writes what containerd and the kubelet read at start, and what the API server shows the kubelet.
    pub(crate) fn write_files(&self) -> Result<()> {
        // The longest name that a socket below the cluster's folder gets, and what the kernel allows.
        const SOCKET_BYTES_MAX: usize = 107;
        let longest = self.kubelet_dir().join("pod-resources/kubelet.sock");
        ensure!(
            longest.as_os_str().len() <= SOCKET_BYTES_MAX,
            "{} is longer than the {SOCKET_BYTES_MAX} bytes that a socket's name may have: choose a shorter --dir",
            longest.display()
        );
        make_dir(&self.plane.dir.join("logs"))?;
        make_dir(&self.containerd_dir().join("cni"))?;
        make_dir(&self.kubelet_dir())?;
        let network = json!({"cniVersion": "0.4.0", "name": "loopback", "plugins": [{"type": "loopback"}]});
        write_private(&self.containerd_dir().join("cni/10-loopback.conflist"), &network.to_string())?;
        write_private(&self.config("containerd.toml"), &self.containerd_config()?)?;
        write_private(&self.config("kubelet.json"), &format!("{:#}\n", self.kubelet_config()))?;
        let context = kubeconfig::Context {
            name: "kubelet",
            server: self.plane.cluster.server(),
            certificate: &self.plane.certificate(),
            token: &self.node.token,
        };
        write_private(&self.config("kubelet.kubeconfig"), &kubeconfig::render(&[context]))?;
        make_client_certificate(&self.plane.kubelet_client("crt"), &self.plane.kubelet_client("key"))
    }

    /// Makes the node's control group and its address.
    pub(crate) fn prepare(&self, hierarchies: &Hierarchies) -> Result<()> {
        hierarchies.make(&self.node.control_group)?;
        address::add(self.node.address)
    }

    pub(crate) fn start(&self, role: Role, log: &Path) -> Result<Identity> {
        let (program, arguments) = match role {
            Role::Containerd => {
                let config = self.config("containerd.toml").display().to_string();
                (machine::needed("containerd")?, vec!["--config".to_owned(), config])
            }
            Role::Kubelet => (self.plane.binaries.kubelet.clone(), self.kubelet_arguments()),
            other => bail!("{} is no part of a node", other.name()),
        };
        let (mut child, identity) = process::start(&program, &arguments, log)?;
        if let Err(error) = Hierarchies::look()?.enter(&self.node.control_group, identity.pid()) {
            // Outside its group it could not be found again with all its children.
            child.kill().and_then(|()| child.wait()).context("end a daemon that did not enter its control group")?;
            return Err(error);
        }
        Ok(identity)
    }

    fn kubelet_arguments(&self) -> Vec<String> {
        vec![
            format!("--config={}", self.config("kubelet.json").display()),
            format!("--kubeconfig={}", self.config("kubelet.kubeconfig").display()),
            format!("--root-dir={}", self.kubelet_dir().display()),
            format!("--cert-dir={}", self.kubelet_dir().join("pki").display()),
            format!("--hostname-override={}", self.name()),
            format!("--node-ip={}", self.node.address),
        ]
    }

    fn containerd_config(&self) -> Result<String> {
        let quoted = |path: &Path| json!(path).to_string();
        let folder = self.containerd_dir();
        let runc = machine::needed("runc")?;
        let plugins = machine::plugins().context("no network plugins")?;
        Ok(format!(
            "version = 2\n\
             root = {root}\n\
             state = {state}\n\
             [grpc]\n\
             address = {socket}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"{pause}\"\n\
             # Some machines forbid negative scores even to root; no sandbox would start.\n\
             restrict_oom_score_adj = true\n\
             netns_mounts_under_state_dir = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
             bin_dir = {plugins}\n\
             conf_dir = {cni}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n\
             BinaryName = {runc}\n\
             Root = {runc_root}\n",
            root = quoted(&folder.join("root")),
            state = quoted(&folder.join("state")),
            socket = quoted(&self.containerd_socket()),
            pause = images::PAUSE,
            plugins = quoted(plugins),
            cni = quoted(&folder.join("cni")),
            runc = quoted(&runc),
            runc_root = quoted(&folder.join("runc")),
        ))
    }

    fn kubelet_config(&self) -> serde_json::Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.node.address,
            "port": self.node.kubelet_port,
            "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.plane.kubelet_client("crt")},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": format!("unix://{}", self.containerd_socket().display()),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.node.control_group),
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "oomScoreAdj": 0,
            "podLogsDir": self.plane.dir.join("pod-logs"),
            "volumePluginDir": self.kubelet_dir().join("volume-plugins"),
            // The machine's own firewall is not the ground's to change.
            "makeIPTablesUtilChains": false,
            // Pods ask no name server: what they send stays here.
            "resolvConf": "",
            // Images cannot be fetched again, and a full disk of the machine is no reason to evict.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
            "maxPods": 250,
        })
    }

    /// Waits until containerd answers.
    pub(crate) fn wait_containerd(&self) -> Result<()> {
        self.plane.wait("containerd", &|| {
            self.ctr().is_ok_and(|mut ctr| {
                ctr.arg("version")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .is_ok_and(|status| status.success())
            })
        })
    }

    /// Gives the node the image that lies in an archive.
    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        let output =
            self.ctr()?.args(["--namespace=k8s.io", "images", "import"]).arg(archive).output().context("start ctr")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("import {} into {}: {}", archive.display(), self.name(), said.trim());
        }
        Ok(())
    }

    fn ctr(&self) -> Result<Command> {
        let mut ctr = Command::new(machine::needed("ctr")?);
        ctr.arg("--address").arg(self.containerd_socket()).stdin(Stdio::null());
        Ok(ctr)
    }

    /// When the node last said how it is; none of a new one. A kubelet that starts says it anew.
    pub(crate) fn heartbeat(&self) -> Option<String> {
        self.look("{.status.conditions[?(@.type==\"Ready\")].lastHeartbeatTime}").filter(|time| !time.is_empty())
    }

    /// Waits until pods can be run, and the API server reaches the kubelet, which `exec` and `logs` need. What the
    /// node said at `last_heartbeat`, before it was killed, does not count.
    pub(crate) fn wait_ready(&self, last_heartbeat: Option<&str>) -> Result<()> {
        let health = format!("/api/v1/nodes/{}/proxy/healthz", self.name());
        self.plane.wait("kubelet", &|| self.plane.get(&health))?;
        self.plane.wait("node", &|| {
            let is_said_anew = last_heartbeat.is_none() || self.heartbeat().as_deref() != last_heartbeat;
            is_said_anew && self.is_ready() && self.is_untainted()
        })
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.look("{.status.conditions[?(@.type==\"Ready\")].status}").is_some_and(|status| status == "True")
    }

    /// A new node is kept free of pods until the controllers have seen it ready.
    fn is_untainted(&self) -> bool {
        self.look("{.spec.taints}").is_some_and(|taints| taints.is_empty())
    }

    fn look(&self, path: &str) -> Option<String> {
        self.plane.read(&["get", "node", &self.name(), "-o", &format!("jsonpath={path}")])
    }

    /// How many pods are in each phase, such as `3 Running`.
    pub(crate) fn pods(&self) -> Option<String> {
        let text = self.plane.read(&["get", "pods", "-A", "-o", "jsonpath={.items[*].status.phase}"])?;
        let mut phases: Vec<&str> = text.split_whitespace().collect();
        phases.sort_unstable();
        let counted: Vec<_> =
            phases.chunk_by(|one, other| one == other).map(|same| format!("{} {}", same.len(), same[0])).collect();
        Some(if counted.is_empty() { "none".to_owned() } else { counted.join(", ") })
    }

    /// Ends what outlived containerd and the kubelet, shims and pods, and takes away mounts, sockets, control group
    /// and address; what pods wrote stays. Gives how many processes there were.
    pub(crate) fn clear(&self) -> Result<usize> {
        let hierarchies = Hierarchies::look()?;
        let killed = hierarchies.kill_all(&self.node.control_group)?;
        mounts::unmount_below(&self.plane.dir)?;
        self.remove_shim_sockets()?;
        // As after a boot: without this, containerd would take the dead for running.
        for folder in ["state", "runc"] {
            remove_folder(&self.containerd_dir().join(folder))?;
        }
        hierarchies.remove(&self.node.control_group)?;
        address::remove(self.node.address)?;
        remove_device_socket()?;
        for folder in [SHIM_SOCKETS, DEVICE_PLUGINS] {
            remove_if_empty(Path::new(folder));
        }
        Ok(killed)
    }

    /// Each shim noted the name of its socket in its container's folder.
    fn remove_shim_sockets(&self) -> Result<()> {
        let tasks = self.containerd_dir().join("state/io.containerd.runtime.v2.task/k8s.io");
        let Ok(containers) = fs::read_dir(&tasks) else { return Ok(()) };
        for container in containers.flatten() {
            let Ok(address) = fs::read_to_string(container.path().join("address")) else { continue };
            let Some(socket) = address.trim().strip_prefix("unix://").map(Path::new) else { continue };
            if socket.parent() != Some(Path::new(SHIM_SOCKETS)) {
                continue;
            }
            remove_file(socket)?;
        }
        Ok(())
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    gone(fs::remove_dir_all(folder), folder)
}

fn remove_file(file: &Path) -> Result<()> {
    gone(fs::remove_file(file), file)
}

fn gone(removed: std::io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes the kubelet's socket for device plugins, unless a kubelet listens there that still runs.
fn remove_device_socket() -> Result<()> {
    let folder = Path::new(DEVICE_PLUGINS);
    match UnixStream::connect(folder.join(DEVICE_SOCKET)) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            [DEVICE_SOCKET, DEVICE_NOTES].iter().try_for_each(|name| remove_file(&folder.join(name)))
        }
        _ => Ok(()),
    }
}

/// Removes a folder of the machine and the one above it, if nothing lies in them.
fn remove_if_empty(folder: &Path) {
    // It is another's if it is not empty, and nothing is lost if it stays.
    let _stays = fs::remove_dir(folder).and_then(|()| folder.parent().map_or(Ok(()), fs::remove_dir));
}

/// Makes the certificate by which the kubelet knows the API server, unless it is there. It signs itself: the kubelet
/// trusts this one certificate.
fn make_client_certificate(certificate: &Path, key: &Path) -> Result<()> {
    if certificate.is_file() && key.is_file() {
        return Ok(());
    }
    let output = Command::new(machine::needed("openssl")?)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"])
        .args(["-subj", "/O=system:masters/CN=kube-apiserver-kubelet-client"])
        .args(["-addext", "extendedKeyUsage=clientAuth", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stdin(Stdio::null())
        .output()
        .context("start openssl")?;
    if !output.status.success() {
        bail!("openssl req: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
