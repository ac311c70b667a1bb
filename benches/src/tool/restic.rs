//! restic.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Home, PASSWORD, Tool, below};

#[derive(Debug)]
pub(super) struct Restic {
    pub(super) program: PathBuf,
}

impl Restic {
    fn command(&self, home: &Home, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(verb)
            .arg("--quiet")
            .env("RESTIC_REPOSITORY", &home.repository)
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("RESTIC_CACHE_DIR", &home.cache);
        command
    }
}

impl Tool for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn version_argument(&self) -> &'static str {
        "version"
    }

    fn init(&self, home: &Home) -> Command {
        self.command(home, "init")
    }

    fn backup(&self, home: &Home, source: &Path, _: usize) -> Command {
        let mut command = self.command(home, "backup");
        command.arg(source);
        command
    }

    fn restore(&self, home: &Home, into: &Path) -> Command {
        let mut command = self.command(home, "restore");
        command.args(["latest", "--target"]).arg(into);
        command
    }

    fn restored(&self, source: &Path, into: &Path) -> PathBuf {
        below(into, source)
    }

    fn check(&self, home: &Home) -> Command {
        let mut command = self.command(home, "check");
        command.arg("--read-data");
        command
    }
}
