//! What nodes ask of this machine: looked at before anything is started, and installed if that is possible.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::control_group::Hierarchies;
use crate::places;

/// Program and the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("busybox", "busybox-static"),
    ("openssl", "openssl"),
];

/// Where network plugins lie, and the package that has them.
const PLUGINS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin"];
const PLUGINS_PACKAGE: &str = "containernetworking-plugins";

/// What there is, and what will have to be installed.
#[derive(Debug)]
pub(crate) struct Machine {
    packages: Vec<&'static str>,
    obstacles: Vec<String>,
}

impl Machine {
    /// Looks at what is there; changes nothing.
    pub(crate) fn look() -> Result<Self> {
        let mut packages: Vec<_> =
            PROGRAMS.iter().filter(|(name, _)| program(name).is_none()).map(|(_, package)| *package).collect();
        if plugins().is_none() {
            packages.push(PLUGINS_PACKAGE);
        }
        packages.dedup();
        let obstacles = obstacles(&packages, &Hierarchies::look()?);
        Ok(Self { packages, obstacles })
    }

    /// Why no node can run here, a line for each reason; empty if one can.
    pub(crate) fn obstacles(&self) -> &[String] {
        &self.obstacles
    }

    /// What `ensure` will do, a line for each thing.
    pub(crate) fn describe(&self) -> Vec<String> {
        if self.packages.is_empty() {
            return Vec::new();
        }
        let packages = self.packages.join(", ");
        let mut lines = vec![format!("install with apt-get: {packages} (under 1 minute; once; they stay)")];
        if self.packages.contains(&"containerd") && Path::new("/run/systemd/system").is_dir() {
            lines.push("  (systemd will start that package's own containerd; nodes do not use it)".to_owned());
        }
        lines
    }

    /// Installs what is missing. An error, with every reason, if no node can run here.
    pub(crate) fn ensure(&self) -> Result<()> {
        if !self.obstacles.is_empty() {
            let reasons = self.obstacles.join("\n  ");
            bail!("this machine can run no node; `--no-nodes` starts control planes alone. Missing:\n  {reasons}");
        }
        if self.packages.is_empty() {
            return Ok(());
        }
        // The lists of packages may be there, or old, or not there at all.
        if install(&self.packages).is_err() {
            apt(&["update"])?;
            install(&self.packages)?;
        }
        let after = Self::look()?;
        if !after.packages.is_empty() {
            bail!("apt-get ended well, but there is still no {}", after.packages.join(", "));
        }
        Ok(())
    }
}

fn install(packages: &[&str]) -> Result<()> {
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

fn obstacles(packages: &[&str], hierarchies: &Hierarchies) -> Vec<String> {
    let mut found = Vec::new();
    if !rustix::process::geteuid().is_root() {
        found.push("root: nodes mount file systems and make control groups".to_owned());
    }
    let controllers = hierarchies.missing();
    if !controllers.is_empty() {
        let names = controllers.join(", ");
        found.push(format!("control groups of version 1 (also beside version 2) with the controllers: {names}"));
    }
    if !packages.is_empty() && places::program("apt-get").is_none() {
        found.push(format!("{}: absent, and there is no apt-get to install them", packages.join(", ")));
    }
    if !Path::new("/dev/kmsg").exists() {
        found.push("/dev/kmsg: the kubelet reads it".to_owned());
    }
    found
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .arg("--quiet=2")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // What goes wrong, it says on its error output.
        .stdout(Stdio::null())
        .status()
        .context("start apt-get")?;
    if !status.success() {
        bail!("apt-get {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// A program on the PATH, or where daemons lie: not every shell of root looks there.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    places::program(name).or_else(|| {
        ["/usr/sbin", "/sbin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
    })
}

/// Like [`program`]; an error if it is not there.
pub(crate) fn needed(name: &str) -> Result<PathBuf> {
    program(name).with_context(|| format!("{name} is not on the PATH"))
}

/// The folder of the network plugins.
pub(crate) fn plugins() -> Option<&'static Path> {
    PLUGINS.iter().map(|folder| Path::new(*folder)).find(|folder| folder.join("loopback").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_lacks_is_an_obstacle_and_stops_before_anything_is_installed() {
        let machine = Machine { packages: vec!["no-such-package"], obstacles: vec!["root: …".to_owned()] };
        let error = machine.ensure().expect_err("an obstacle").to_string();
        assert!(error.contains("root") && error.contains("--no-nodes"), "{error}");
    }

    #[test]
    fn without_control_groups_there_is_an_obstacle() {
        let found = obstacles(&[], &Hierarchies::default());
        assert!(found.iter().any(|line| line.contains("memory") && line.contains("pids")), "{found:?}");
    }
}
