//! Folders of demos: what lies in them at first, and which of them may be removed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::manifests;
use crate::outcome::Outcome;
use crate::{args, output};

/// Folders that demos make begin with this.
pub const PREFIX: &str = "firn-demo-";

/// The file that tells a demo's folder from others; locked while the demo runs.
const MARK: &str = "demo";

/// The file in the application's folder that holds its process id.
pub const PID: &str = "pid";

/// The hook that quiets the application, if it runs: name and text.
pub const FREEZE: (&str, &str) = (
    "freeze.sh",
    "# Asks the application to stand still, and waits until it does.
cd \"$(dirname \"$0\")\" || exit 1
[ -e pid ] && kill -0 \"$(cat pid)\" 2>/dev/null || { echo 'the application does not run' >&2; exit 0; }
touch freeze
while [ ! -e frozen ]; do
  kill -0 \"$(cat pid)\" 2>/dev/null || exit 1
  sleep 0.02
done
cp frozen ordered
",
);

/// The hook that releases it.
pub const THAW: (&str, &str) = ("thaw.sh", "rm -f \"$(dirname \"$0\")/freeze\"\n");

/// Marks a new folder as this process's.
pub fn mark(dir: &Path) -> io::Result<File> {
    let mut mark = File::create_new(dir.join(MARK))?;
    mark.lock()?;
    mark.write_all(b"made by `firn demo`\n")?;
    Ok(mark)
}

/// Two regions: A with its application's volumes, hooks and manifests, B empty.
pub fn lay_out(dir: &Path) -> io::Result<()> {
    for folder in ["region-a/app/data", "region-a/app/logs", "region-a/manifests", "region-b"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    for (name, text) in [FREEZE, THAW] {
        fs::write(dir.join("region-a/app").join(name), text)?;
    }
    for (name, text) in manifests::ALL {
        fs::write(dir.join("region-a/manifests").join(name), text)?;
    }
    Ok(())
}

#[derive(Debug, Default, Serialize)]
struct Cleaned {
    removed: u64,
    /// Those of demos that run now.
    running: u64,
}

/// Removes the folders that this user's demos left in the temporary directory.
pub fn clean(global: &args::Global) -> anyhow::Result<Outcome> {
    let mut cleaned = Cleaned::default();
    for entry in fs::read_dir(std::env::temp_dir())? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !is_mine(&entry.path()) {
            continue;
        }
        // A folder without the mark is not a demo's, whatever its name.
        let mark = entry.path().join(MARK);
        if !is_mine(&mark) {
            continue;
        }
        let mark = File::open(&mark).with_context(|| format!("cannot look into {}", entry.path().display()))?;
        if mark.try_lock().is_err() {
            cleaned.running += 1;
            continue;
        }
        fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        cleaned.removed += 1;
    }
    output::print(global, &cleaned, || {
        let mut out = format!("removed {} of demos\n", output::count(cleaned.removed, "folder"));
        if cleaned.running > 0 {
            out += &format!("{} of demos that run now stay\n", output::count(cleaned.running, "folder"));
        }
        out
    })?;
    Ok(Outcome::Done)
}

/// Whether it belongs to this user and is no link to something else.
fn is_mine(path: &Path) -> bool {
    let me = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() == me && !meta.is_symlink())
}
