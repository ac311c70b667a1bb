//! Ground: a folder of its own for each test, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse";

/// A folder with repositories, volumes and a cache; gone with the test.
pub(crate) struct Ground {
    dir: TempDir,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ground {
    /// Nothing but an empty folder.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a repository at [`Ground::url`] of `a`.
    pub(crate) fn new() -> Self {
        let ground = Self::empty();
        ground.good(&["init", "--repo", &ground.url("a")]);
        ground
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The program, with nothing of the surroundings but where to find a shell.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firn"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("FIRN_PASSWORD", PASSWORD).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs what must succeed, and returns what it printed.
    pub(crate) fn good(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs what must succeed with `-o json`, and returns the value.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["-o", "json"]].concat();
        serde_json::from_str(&self.good(&args)).unwrap()
    }

    /// Captures `folder` as volume `shop/data` into repository `a`; the point's id.
    pub(crate) fn back_up(&self, folder: &str) -> String {
        let volume = format!("shop/data={}", self.path(folder).display());
        let done = self.json(&["backup", "--repo", &self.url("a"), "--volume", &volume]);
        done["point"].as_str().unwrap().to_owned()
    }

    /// The stored files of repository `name` below `folder`.
    pub(crate) fn stored(&self, name: &str, folder: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.path(name).join(folder), &mut files);
        files.sort();
        files
    }

    /// Puts other bytes in the place of a stored file.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It must have ended so, saying `word` on standard error and nothing on standard output.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, word: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(word), "{:?} says nothing of {word:?}", self.err);
        assert_eq!(self.out, "");
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
