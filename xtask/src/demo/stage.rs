//! The stage of a demo: its folder, the two clusters, and firn and kubectl to run on them.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo;
use crate::ground::{self, Ready};

/// The demo's repositories open with this: there is nothing in them to hide.
const PASSWORD: &str = "demo";

/// Where the demo is played.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
    firn: PathBuf,
    ground: Ready,
    web_port: u16,
}

/// One of the clusters, seen through kubectl.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    ground: &'a Ready,
    context: &'static str,
}

/// Where the ground of a demo in this folder lies.
pub(super) fn ground_of(dir: &Path) -> PathBuf {
    dir.join("ground")
}

/// Builds firn and gives its path.
pub(super) fn build_firn(release: bool) -> Result<PathBuf> {
    let metadata = cargo::metadata()?;
    let mut build = Command::new(cargo::program());
    build.current_dir(&metadata.workspace_root).args(["build", "--package", "firn-cli", "--bin", "firn"]);
    if release {
        build.arg("--release");
    }
    let status = build.status().context("start cargo build")?;
    if !status.success() {
        bail!("firn cannot be built: {status}");
    }
    let profile = if release { "release" } else { "debug" };
    Ok(Path::new(&metadata.target_directory).join(profile).join("firn"))
}

impl Stage {
    pub(super) fn new(dir: &Path, firn: PathBuf, ground: Ready) -> Result<Self> {
        let [web_port] = ground::free_ports(&[])?;
        Ok(Self { dir: dir.to_owned(), firn, ground, web_port })
    }

    /// Where the web server of either cluster listens, on the address of its node.
    pub(super) fn web_port(&self) -> u16 {
        self.web_port
    }

    pub(super) fn ground_dir(&self) -> PathBuf {
        ground_of(&self.dir)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path of the stage as text.
    pub(super) fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// The URL of a repository on the stage.
    pub(super) fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name))
    }

    pub(super) fn cluster(&self, context: &'static str) -> Cluster<'_> {
        Cluster { ground: &self.ground, context }
    }

    /// The program under show.
    pub(super) fn program(&self) -> &Path {
        &self.firn
    }

    /// Shows and runs one command of firn; gives what it printed. It must end with one of `codes`.
    pub(super) fn firn(&self, words: &[&str], codes: &[i32]) -> Result<Value> {
        println!("\n$ firn {}", shown(words));
        let output = Command::new(&self.firn)
            .args(words)
            .args(["-o", "json", "--quiet"])
            .env("FIRN_PASSWORD", PASSWORD)
            .env("FIRN_CACHE_DIR", self.dir.join("cache"))
            .env("KUBECONFIG", &self.ground.kubeconfig)
            .env_remove("FIRN_REPO")
            .output()
            .context("start firn")?;
        if !output.status.code().is_some_and(|code| codes.contains(&code)) {
            let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
            bail!("firn {} ended with {}:\n{said}{printed}", words.join(" "), output.status);
        }
        if output.stdout.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).context("read what firn printed")
    }
}

/// The words as a person would read them: a hook's script is long and the same twice.
fn shown(words: &[&str]) -> String {
    let word = |word: &&str| if word.contains(' ') { "'…'".to_owned() } else { (*word).to_owned() };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

impl Cluster<'_> {
    /// kubectl with this context, as a shell takes it.
    pub(super) fn command(&self) -> String {
        let (kubectl, kubeconfig) = (self.ground.kubectl.display(), self.ground.kubeconfig.display());
        format!("{kubectl} --kubeconfig {kubeconfig} --context {}", self.context)
    }

    /// The address of the node, and of every pod that uses its network.
    pub(super) fn node_address(&self) -> Result<Ipv4Addr> {
        self.ground.node_address(self.context).with_context(|| format!("{} has no node", self.context))
    }

    /// Runs kubectl; `input` becomes its standard input.
    pub(super) fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.ground.kubectl)
            .arg("--kubeconfig")
            .arg(&self.ground.kubeconfig)
            .args(["--context", self.context])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start kubectl")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes()).context("write to kubectl")?;
        drop(stdin);
        let output = child.wait_with_output().context("wait for kubectl")?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).context("kubectl printed no text")
    }

    /// Creates or changes the objects of a manifest.
    pub(super) fn apply(&self, manifest: &str) -> Result<()> {
        self.kubectl(&["apply", "-f", "-"], manifest).map(drop)
    }

    /// The objects that the arguments of `kubectl get` select; one that is not there is left out.
    pub(super) fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let arguments = [&["get", "-o", "json", "--ignore-not-found"], arguments].concat();
        let text = self.kubectl(&arguments, "")?;
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let mut found: Value = serde_json::from_str(&text).context("read what kubectl printed")?;
        match found.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(vec![found]),
        }
    }
}

/// A number of bytes for people.
pub(super) fn bytes(value: &Value) -> String {
    let bytes = value.as_f64().unwrap_or_default();
    match bytes {
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b if b >= 1e3 => format!("{:.1} kB", b / 1e3),
        b => format!("{b:.0} B"),
    }
}
