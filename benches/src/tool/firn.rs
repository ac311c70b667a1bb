//! Firn.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Home, PASSWORD, Tool};

/// What the tree is called in the repository.
const VOLUME: &str = "bench/tree";

#[derive(Debug)]
pub(super) struct Firn {
    pub(super) program: PathBuf,
}

impl Firn {
    fn command(&self, home: &Home, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(verb)
            .arg("--quiet")
            .env("FIRN_REPO", format!("file://{}", home.repository.display()))
            .env("FIRN_PASSWORD", PASSWORD)
            .env("FIRN_CACHE_DIR", &home.cache);
        command
    }
}

impl Tool for Firn {
    fn name(&self) -> &'static str {
        "firn"
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn init(&self, home: &Home) -> Command {
        self.command(home, "init")
    }

    fn backup(&self, home: &Home, source: &Path, _: usize) -> Command {
        let mut command = self.command(home, "backup");
        command.arg("--volume").arg(format!("{VOLUME}={}", source.display()));
        command
    }

    fn restore(&self, home: &Home, into: &Path) -> Command {
        let mut command = self.command(home, "restore");
        command.arg("--to-dir").arg(into);
        command
    }

    fn restored(&self, _: &Path, into: &Path) -> PathBuf {
        into.join("volumes").join(VOLUME)
    }

    fn check(&self, home: &Home) -> Command {
        let mut command = self.command(home, "check");
        command.arg("--read-data");
        command
    }
}
