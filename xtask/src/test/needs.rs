//! What the tests need from outside: programs on the PATH, and what is built or installed once into the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::step::Report;
use crate::cargo::Metadata;
use crate::ground::binaries::Plan;
use crate::ground::machine::Machine;
use crate::places;

/// The stand-in for Azure's blob storage.
const AZURITE_VERSION: &str = "3.37.0";

/// What the reader of the format in Python imports; nothing of Firn.
const PYTHON_REQUIREMENTS: &str = include_str!("../../python/requirements.txt");
const PYTHON_IMPORTS: &str = "import argon2, blake3, cbor2, cryptography, zstandard";

/// What there is, and what will have to be made.
#[derive(Debug)]
pub(crate) struct Needs {
    /// None when the tests on real clusters are left out, as is the next.
    control_plane: Option<Plan>,
    machine: Option<Machine>,
    azurite: Azurite,
    python: Python,
}

/// A folder with Azurite in its `node_modules`.
#[derive(Debug)]
struct Azurite {
    dir: PathBuf,
    is_installed: bool,
}

/// A Python that has the libraries.
#[derive(Debug)]
struct Python {
    program: PathBuf,
    /// The environment to make; none when the user names a Python by `FIRN_PYTHON`.
    environment: Option<PathBuf>,
    is_installed: bool,
}

/// All needs met: where the tests find what they need.
#[derive(Debug)]
pub(crate) struct Provided {
    ground_cache: PathBuf,
    azurite: PathBuf,
    python: PathBuf,
    xtask: PathBuf,
}

impl Needs {
    /// Looks at what is there; changes nothing.
    pub(crate) fn look(fast: bool) -> Result<Self> {
        let control_plane = if fast { None } else { Some(Plan::new(true)?) };
        let machine = if fast { None } else { Some(Machine::look()?) };
        Ok(Self { control_plane, machine, azurite: Azurite::look()?, python: Python::look()? })
    }

    /// What `provide` will do, a line for each thing.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = self.control_plane.as_ref().map(Plan::describe).unwrap_or_default();
        lines.extend(self.machine.iter().flat_map(Machine::describe));
        let azurite = self.azurite.dir.display();
        lines.push(if self.azurite.is_installed {
            format!("use Azurite {AZURITE_VERSION} in {azurite}")
        } else {
            format!("install Azurite {AZURITE_VERSION} with npm into {azurite} (about 1 minute; once)")
        });
        lines.push(match &self.python.environment {
            Some(dir) if !self.python.is_installed => {
                format!("make a Python environment with pip in {} (under 1 minute; once)", dir.display())
            }
            _ => format!("use the Python {}", self.python.program.display()),
        });
        lines
    }

    /// What is needed and absent, and cannot be provided from here, each with the reason.
    pub(crate) fn missing(&self) -> Vec<String> {
        let needs_go = self.control_plane.as_ref().is_some_and(Plan::needs_go);
        let tools = [
            ("cc", true, "a C compiler, for the cryptography and the catalog"),
            ("cargo-fmt", true, "rustup component add rustfmt"),
            ("cargo-clippy", true, "rustup component add clippy"),
            ("go", needs_go, "builds Kubernetes; 1.24 or newer"),
            ("node", true, "runs Azurite"),
            ("npm", !self.azurite.is_installed, "installs Azurite"),
            ("python3", !self.python.is_installed, "makes the environment of the format's reader"),
        ];
        let tools = tools
            .into_iter()
            .filter(|(name, is_needed, _)| *is_needed && places::program(name).is_none())
            .map(|(name, _, reason)| format!("{name}: {reason}"));
        tools.chain(self.machine.iter().flat_map(Machine::obstacles).cloned()).collect()
    }

    /// Builds and installs what is missing, each as a step; none when one of them failed.
    pub(crate) fn provide(self, report: &mut Report) -> Result<Option<Provided>> {
        let provided = Provided {
            ground_cache: places::ground_cache()?,
            azurite: self.azurite.dir.clone(),
            python: self.python.program.clone(),
            xtask: std::env::current_exe().context("find this program")?,
        };
        let mut is_complete = true;
        if let Some(plan) = self.control_plane {
            is_complete &= report.call("Kubernetes", || plan.ensure().map(drop));
        }
        if let Some(machine) = self.machine {
            is_complete &= report.call("what nodes need", || machine.ensure());
        }
        is_complete &= report.call("Azurite", || self.azurite.ensure());
        is_complete &= report.call("Python", || self.python.ensure());
        Ok(is_complete.then_some(provided))
    }
}

impl Provided {
    /// The variables by which the tests find everything.
    pub(crate) fn variables(&self, metadata: &Metadata) -> [(&'static str, PathBuf); 5] {
        [
            ("FIRN_GROUND_CACHE", self.ground_cache.clone()),
            ("FIRN_AZURITE", self.azurite.clone()),
            ("FIRN_PYTHON", self.python.clone()),
            ("FIRN_XTASK", self.xtask.clone()),
            ("FIRN_BIN", Path::new(&metadata.target_directory).join("debug/firn")),
        ]
    }
}

impl Azurite {
    fn look() -> Result<Self> {
        let dir = match places::set("FIRN_AZURITE") {
            Some(dir) => PathBuf::from(dir),
            None => places::cache()?.join("azurite"),
        };
        let is_installed = Self::is_installed(&dir);
        Ok(Self { dir, is_installed })
    }

    /// The right version, and the file that npm writes at the end of an install.
    fn is_installed(dir: &Path) -> bool {
        let version = || -> Option<String> {
            let text = fs::read(dir.join("node_modules/azurite/package.json")).ok()?;
            let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
            Some(package.get("version")?.as_str()?.to_owned())
        };
        dir.join("node_modules/.package-lock.json").is_file() && version().as_deref() == Some(AZURITE_VERSION)
    }

    fn ensure(&self) -> Result<()> {
        if self.is_installed {
            return Ok(());
        }
        fs::create_dir_all(&self.dir).with_context(|| format!("make {}", self.dir.display()))?;
        let package = format!("azurite@{AZURITE_VERSION}");
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--save-exact", "--prefix"])
            .arg(&self.dir)
            .arg(package))?;
        if !Self::is_installed(&self.dir) {
            bail!("npm ended well, but {} holds no Azurite {AZURITE_VERSION}", self.dir.display());
        }
        Ok(())
    }
}

impl Python {
    fn look() -> Result<Self> {
        if let Some(program) = places::set("FIRN_PYTHON").map(PathBuf::from) {
            return Ok(Self { program, environment: None, is_installed: true });
        }
        let dir = places::cache()?.join("python");
        let is_installed = fs::read_to_string(Self::marker(&dir)).is_ok_and(|text| text == PYTHON_REQUIREMENTS);
        Ok(Self { program: dir.join("bin/python"), environment: Some(dir), is_installed })
    }

    /// Holds the requirements once all of them are installed.
    fn marker(dir: &Path) -> PathBuf {
        dir.join("firn-requirements.txt")
    }

    fn ensure(&self) -> Result<()> {
        if let Some(dir) = self.environment.as_ref().filter(|_| !self.is_installed) {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir))
                .context("python3 -m venv (on Debian: the package python3-venv)")?;
            let list = dir.join("requirements.txt");
            fs::write(&list, PYTHON_REQUIREMENTS).with_context(|| format!("write {}", list.display()))?;
            run(Command::new(&self.program).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&list))?;
            fs::write(Self::marker(dir), PYTHON_REQUIREMENTS).context("write the marker of a complete environment")?;
        }
        run(Command::new(&self.program).args(["-c", PYTHON_IMPORTS]))
            .with_context(|| format!("{} lacks a library of the format's reader", self.program.display()))
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!("{name}: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_counts_only_when_complete_and_of_the_right_version() {
        let dir = tempfile::tempdir().expect("a folder");
        let package = dir.path().join("node_modules/azurite");
        assert!(!Azurite::is_installed(dir.path()));
        fs::create_dir_all(&package).expect("folders");
        fs::write(package.join("package.json"), format!("{{\"version\":\"{AZURITE_VERSION}\"}}")).expect("a file");
        assert!(!Azurite::is_installed(dir.path()));
        fs::write(dir.path().join("node_modules/.package-lock.json"), "{}").expect("a file");
        assert!(Azurite::is_installed(dir.path()));
        fs::write(package.join("package.json"), "{\"version\":\"3.0.0\"}").expect("a file");
        assert!(!Azurite::is_installed(dir.path()));
    }
}
