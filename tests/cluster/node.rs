//! A node of the ground: pods run on it, and nothing is left of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use firn_tests::ground::{Ground, Kubectl};
use firn_tests::programs;
use serde_json::{Value, json};

use crate::site::{text, wait_for};

/// Where shims listen: the one place outside its own folder that containerd uses.
const SHIM_SOCKETS: &str = "/run/containerd/s";
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
const PLUGIN_STATE: &str = "/var/lib/cni";

#[test]
fn a_pod_runs_on_a_node_and_nothing_is_left_of_it() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let before = (shim_sockets(), Path::new(PLUGIN_STATE).exists());
    let ground = Ground::with_nodes("node", &["n"])?;
    let (dir, node) = (ground.dir().to_owned(), ground.node("n").clone());

    let archive = scratch.path().join("sleep.tar");
    image_of("sleep", &archive)?;
    ground.import(&archive)?;
    let n = ground.kubectl("n");
    n.apply(&pod(&scratch.path().join("volume")).to_string())?;
    n.run(&["wait", "--for=condition=Ready", "pod/worker", "--timeout=90s"], "")?;
    let worker = n.get(&["pod", "worker"])?;
    ensure!(worker["status"]["hostIP"] == node["address"], "{worker:#}");
    volume_is_shared(n, &scratch.path().join("volume"))?;

    // There is something to be left, or the rest would prove nothing.
    let group = text(&node, "/control_group")?;
    ensure!(mounts_below(&dir)? > 0 && !groups(group)?.is_empty(), "the node is not where it is looked for");
    ensure!(processes_of(&dir, group)?.len() >= 9, "{:?}", processes_of(&dir, group)?);
    ensure!(shim_sockets().len() > before.0.len(), "no shim listens in {SHIM_SOCKETS}");

    ground.kill("n")?;
    nothing_runs(&dir, &node)?;
    ground.revive("n")?;
    wait_for("the pod comes back", || {
        let restarts = "/status/containerStatuses/0/restartCount";
        let worker = n.get(&["pod", "worker"])?;
        let is_back = worker.pointer(restarts).and_then(Value::as_u64) > Some(0) && is_ready(&worker);
        Ok(is_back.then_some(()))
    })?;

    ground.down()?;
    nothing_runs(&dir, &node)?;
    ensure!(!dir.exists(), "{} is left", dir.display());
    let dead: Vec<_> =
        shim_sockets().difference(&before.0).filter(|path| UnixStream::connect(path).is_err()).cloned().collect();
    ensure!(dead.is_empty(), "sockets of dead shims: {dead:?}");
    ensure!(Path::new(PLUGIN_STATE).exists() == before.1, "{PLUGIN_STATE} is left");
    ensure!(fs::read_to_string(scratch.path().join("volume/from-pod"))?.contains("order 1"), "the volume is harmed");
    Ok(())
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// An error if a process, a mount, a control group or the address of the node is there.
fn nothing_runs(dir: &Path, node: &Value) -> Result<()> {
    let group = text(node, "/control_group")?;
    ensure!(processes_of(dir, group)?.is_empty(), "{:?}", processes_of(dir, group)?);
    ensure!(mounts_below(dir)? == 0, "mounts are left");
    ensure!(groups(group)?.is_empty(), "{:?}", groups(group)?);
    let address: IpAddr = text(node, "/address")?.parse()?;
    ensure!(TcpListener::bind((address, 0)).is_err(), "{address} is still an address of this machine");
    Ok(())
}

/// An image of a program of this machine, with its libraries.
fn image_of(program: &str, archive: &Path) -> Result<()> {
    let found = std::env::split_paths(&std::env::var_os("PATH").context("no PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("no {program}"))?;
    let name = format!("firn.invalid/{program}:1");
    let output = Command::new(programs::xtask()?).arg("image").args([&found, Path::new(&name), archive]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// One container with a volume and a process that leaves its session, one of the image made here.
fn pod(volume: &Path) -> Value {
    let script = "(setsid sleep 98765 &); echo order 1 > /data/from-pod; exec sleep 98765";
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "worker"},
        "spec": {
            "hostNetwork": true,
            "containers": [
                {"name": "shell", "image": "firn.invalid/busybox:1", "imagePullPolicy": "Never",
                    "command": ["/bin/sh", "-c", script],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                {"name": "sleep", "image": "firn.invalid/sleep:1", "imagePullPolicy": "Never", "args": ["98765"]},
            ],
            "volumes": [{"name": "data", "hostPath": {"path": volume, "type": "DirectoryOrCreate"}}],
        },
    })
}

/// What the pod writes is in the folder, and what is put into the folder the pod reads.
fn volume_is_shared(n: Kubectl<'_>, volume: &Path) -> Result<()> {
    let in_pod = |words: &[&str]| n.run(&[&["exec", "worker", "-c", "shell", "--"], words].concat(), "");
    wait_for("the pod writes", || {
        Ok(fs::read_to_string(volume.join("from-pod")).ok().filter(|text| text == "order 1\n"))
    })?;
    fs::write(volume.join("from-outside"), "order 2\n")?;
    let read = in_pod(&["cat", "/data/from-outside"])?;
    ensure!(read == "order 2\n", "{read:?}");
    in_pod(&["sh", "-c", "echo order 3 >> /data/from-pod"])?;
    let written = fs::read_to_string(volume.join("from-pod"))?;
    ensure!(written == "order 1\norder 3\n", "{written:?}");
    Ok(())
}

fn shim_sockets() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(SHIM_SOCKETS).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn mounts_below(dir: &Path) -> Result<usize> {
    let below = format!(" {}/", dir.display());
    Ok(fs::read_to_string("/proc/self/mountinfo")?.lines().filter(|line| line.contains(&below)).count())
}

/// The node's control groups, one in each hierarchy.
fn groups(group: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for hierarchy in fs::read_dir(CONTROL_GROUPS)? {
        let path = hierarchy?.path().join(group);
        if path.exists() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The processes that speak of the ground's folder or run in the node's control group.
fn processes_of(dir: &Path, group: &str) -> Result<Vec<String>> {
    let (dir, group) = (dir.display().to_string(), format!("/{group}"));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let (words, groups) = (read("cmdline"), read("cgroup"));
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        // The shell that takes the ground down, should this test fail, waits for the end of its input, and then looks once
        // more. One that ended and was not yet reaped has no command line.
        let guards = line.starts_with("sh -c cat;") || line.contains(" ground down --dir ");
        let counts = !line.is_empty() && !guards;
        if counts && (line.contains(&dir) || String::from_utf8_lossy(&groups).contains(&group)) {
            found.push(line);
        }
    }
    Ok(found)
}
