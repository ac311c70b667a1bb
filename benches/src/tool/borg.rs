//! borg.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Home, PASSWORD, Tool, below};

#[derive(Debug)]
pub(super) struct Borg {
    pub(super) program: PathBuf,
}

impl Borg {
    fn command(&self, home: &Home, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(verb)
            .env("BORG_REPO", &home.repository)
            .env("BORG_PASSPHRASE", PASSWORD)
            .env("BORG_BASE_DIR", &home.cache);
        command
    }
}

impl Tool for Borg {
    fn name(&self) -> &'static str {
        "borg"
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn init(&self, home: &Home) -> Command {
        let mut command = self.command(home, "init");
        command.args(["--encryption", "repokey"]);
        command
    }

    fn backup(&self, home: &Home, source: &Path, run: usize) -> Command {
        let mut command = self.command(home, "create");
        command.arg(format!("::run-{run}")).arg(source);
        command
    }

    /// borg restores into the folder that it runs in, and by name only; the first capture is as good as the newest.
    fn restore(&self, home: &Home, into: &Path) -> Command {
        let mut command = self.command(home, "extract");
        command.arg("::run-0").current_dir(into);
        command
    }

    fn restored(&self, source: &Path, into: &Path) -> PathBuf {
        below(into, source)
    }

    fn check(&self, home: &Home) -> Command {
        let mut command = self.command(home, "check");
        command.arg("--verify-data");
        command
    }
}
