//! The grounds of the tests on real clusters: two control planes that a test program starts once, or whole clusters
//! with a node for a test of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::programs;

/// Clusters on loopback.
#[derive(Debug)]
pub struct Ground {
    dir: PathBuf,
    /// What the workshop says of it.
    ready: Value,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    /// Takes the ground down when this program ends, however it ends: it waits for the end of its standard input.
    _undertaker: Child,
}

static SHARED: LazyLock<Result<Ground, String>> =
    LazyLock::new(|| Ground::start().map_err(|error| format!("{error:#}")));

impl Ground {
    /// The two control planes of this program, `a` and `b`; the first call starts them.
    ///
    /// # Errors
    /// If they did not start; every later call says the same.
    pub fn shared() -> Result<&'static Self> {
        SHARED.as_ref().map_err(|error| anyhow::anyhow!("no ground: {error}"))
    }

    fn start() -> Result<Self> {
        Self::up(&format!("firn-test-ground-{}", std::process::id()), &["--no-nodes"])
    }

    /// Whole clusters of these names, on whose nodes pods run; `what` is unique in this program. They go when this is
    /// dropped, soon, or by [`Self::down`], at once.
    ///
    /// # Errors
    /// If they did not start, or the machine can run no node.
    pub fn with_nodes(what: &str, names: &[&str]) -> Result<Self> {
        let folder = format!("firn-test-{what}-{}", std::process::id());
        Self::up(&folder, &["--names", &names.join(",")])
    }

    fn up(folder: &str, arguments: &[&str]) -> Result<Self> {
        let xtask = programs::xtask()?;
        let dir = std::env::temp_dir().join(folder);
        // It stands before the ground does: a start that fails half-way is taken down, too.
        let undertaker = Command::new("sh")
            .args(["-c", r#"cat; exec "$0" ground down --dir "$1""#])
            .args([&xtask, &dir])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start what takes the ground down")?;
        let output = Command::new(&xtask)
            .args(["ground", "up", "-o", "json"])
            .args(arguments)
            .arg("--dir")
            .arg(&dir)
            .stderr(Stdio::inherit())
            .output()
            .context("start the ground")?;
        ensure!(output.status.success(), "the ground did not start: {}", output.status);
        let ready: Value = serde_json::from_slice(&output.stdout).context("read what the ground says")?;
        let path = |name: &str| ready[name].as_str().map(PathBuf::from).with_context(|| format!("no {name}"));
        let (kubeconfig, kubectl) = (path("kubeconfig")?, path("kubectl")?);
        Ok(Self { dir, ready, kubeconfig, kubectl, _undertaker: undertaker })
    }

    /// Stops and removes everything.
    ///
    /// # Errors
    /// If something is left.
    pub fn down(self) -> Result<()> {
        self.command("down", &[])
    }

    /// Kills every process of a cluster; its data stays.
    ///
    /// # Errors
    /// If something is left.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.command("kill", &[Path::new(name)])
    }

    /// Starts a cluster again that was killed.
    ///
    /// # Errors
    /// If it does not start.
    pub fn revive(&self, name: &str) -> Result<()> {
        self.command("up", &[Path::new("--names"), Path::new(name)])
    }

    /// Gives an image to every node.
    ///
    /// # Errors
    /// If the archive is none of an image.
    pub fn import(&self, archive: &Path) -> Result<()> {
        self.command("import", &[archive])
    }

    fn command(&self, verb: &str, arguments: &[&Path]) -> Result<()> {
        let mut ground = Command::new(programs::xtask()?);
        ground.args(["ground", verb, "--dir"]).arg(&self.dir).args(arguments);
        let output = ground.output().with_context(|| format!("start ground {verb}"))?;
        ensure!(output.status.success(), "ground {verb}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known of a cluster's node: `name`, `address`, `control_group`, `kubelet_dir`, `containerd_socket`.
    #[must_use]
    pub fn node(&self, context: &str) -> &Value {
        &self.ready["contexts"][context]["node"]
    }

    /// The kubeconfig with a context for each cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// kubectl with one of the contexts.
    #[must_use]
    pub fn kubectl<'a>(&'a self, context: &'a str) -> Kubectl<'a> {
        Kubectl { ground: self, context }
    }
}

/// kubectl with a context: the tests' eyes and hands, independent of Firn.
#[derive(Debug, Clone, Copy)]
pub struct Kubectl<'a> {
    ground: &'a Ground,
    context: &'a str,
}

impl Kubectl<'_> {
    /// Runs one command; `input` becomes its standard input. Gives what it printed.
    ///
    /// # Errors
    /// If it fails, with what it said.
    pub fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
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
        // A command that does not read its input may be gone by now; its exit code tells what is to be known.
        let _written = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().context("wait for kubectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl --context {} {}: {}", self.context, arguments.join(" "), said.trim());
        }
        String::from_utf8(output.stdout).context("kubectl printed no text")
    }

    /// Creates or changes objects, given as YAML or JSON.
    ///
    /// # Errors
    /// If any is refused.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        self.run(&["apply", "-f", "-"], manifests).map(drop)
    }

    /// Creates objects without the annotation that `apply` leaves.
    ///
    /// # Errors
    /// If any is refused.
    pub fn create(&self, manifests: &str) -> Result<()> {
        self.run(&["create", "-f", "-"], manifests).map(drop)
    }

    /// Reads one object; null if it is not there.
    ///
    /// # Errors
    /// If the server does not answer, or does not know the kind.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [&["get", "-o", "json", "--ignore-not-found"], arguments].concat();
        let text = self.run(&arguments, "")?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).context("kubectl printed no JSON")
    }

    /// Reads all objects that the arguments select.
    ///
    /// # Errors
    /// If the server does not answer, or does not know the kind.
    pub fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        match self.get(arguments)? {
            Value::Null => Ok(Vec::new()),
            Value::Object(mut list) => match list.remove("items") {
                Some(Value::Array(items)) => Ok(items),
                _ => Ok(vec![Value::Object(list)]),
            },
            other => bail!("kubectl printed no object: {other}"),
        }
    }
}
