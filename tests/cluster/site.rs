//! A site: a folder with repositories, and `firn` run as a person runs it, on the contexts of the ground.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use firn_tests::ground::{Ground, Kubectl};
use firn_tests::programs;
use serde_json::Value;
use tempfile::TempDir;

const PASSWORD: &str = "a passphrase for tests";

/// How long the controllers of a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// One test's folder, and its way to both clusters.
#[derive(Debug)]
pub struct Site {
    dir: TempDir,
    ground: &'static Ground,
}

/// What one command of Firn came to.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What it printed with `-o json`; null if nothing.
    pub out: Value,
    /// What it said.
    pub err: String,
}

impl Site {
    pub fn new() -> Result<Self> {
        Ok(Self { dir: TempDir::new()?, ground: Ground::shared()? })
    }

    pub fn a(&self) -> Kubectl<'_> {
        self.ground.kubectl("a")
    }

    pub fn b(&self) -> Kubectl<'_> {
        self.ground.kubectl("b")
    }

    pub fn kubeconfig(&self) -> &Path {
        self.ground.kubeconfig()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path as the command line takes it.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The URL of a repository in this folder.
    pub fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Runs one command of Firn.
    pub fn firn(&self, words: &[&str]) -> Result<Ran> {
        self.firn_with(self.kubeconfig(), words)
    }

    /// Runs one command of Firn with another kubeconfig.
    pub fn firn_with(&self, kubeconfig: &Path, words: &[&str]) -> Result<Ran> {
        let output = Command::new(programs::firn()?)
            .args(words)
            .args(["-o", "json", "--quiet"])
            .env("FIRN_PASSWORD", PASSWORD)
            .env("FIRN_CACHE_DIR", self.path("cache"))
            .env("KUBECONFIG", kubeconfig)
            .env_remove("FIRN_REPO")
            .output()
            .context("start firn")?;
        let out = if output.stdout.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&output.stdout)
                .with_context(|| format!("firn {} printed no JSON", words.join(" ")))?
        };
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Ran { code: output.status.code().unwrap_or(-1), out, err })
    }

    /// Runs one command of Firn that must end with `code`.
    pub fn firn_ends(&self, code: i32, words: &[&str]) -> Result<Ran> {
        let ran = self.firn(words)?;
        ensure!(
            ran.code == code,
            "firn {} ended with {}, not {code}:\n{}\n{:#}",
            words.join(" "),
            ran.code,
            ran.err,
            ran.out
        );
        Ok(ran)
    }

    /// Writes a file of this folder; its folders are made.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        let folder = path.parent().context("a file without a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        std::fs::write(&path, contents).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// Looks again and again until `look` gives something; `what` is named if it never does.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(begun.elapsed() < PATIENCE, "waited {} s in vain: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The text at a place of a JSON value; an error names the place.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer} in {value:#}"))
}

/// What a report says of the exceptions whose name holds `part`: (what, why), joined.
pub fn exceptions<'a>(report: &'a Value, part: &str) -> Vec<&'a Value> {
    let all = report["exception_list"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|exception| exception[0].as_str().is_some_and(|what| what.contains(part))).collect()
}
