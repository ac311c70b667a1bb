//! Where the programs under test lie: named by the workshop, or built here.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};

static FIRN: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| find("FIRN_BIN", "firn-cli", "firn").map_err(|error| format!("{error:#}")));
static XTASK: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| find("FIRN_XTASK", "xtask", "xtask").map_err(|error| format!("{error:#}")));

/// The command line, `$FIRN_BIN` or built in debug.
///
/// # Errors
/// If it cannot be built.
pub fn firn() -> Result<PathBuf> {
    FIRN.clone().map_err(anyhow::Error::msg)
}

/// The workshop's program, `$FIRN_XTASK` or built in debug.
///
/// # Errors
/// If it cannot be built.
pub fn xtask() -> Result<PathBuf> {
    XTASK.clone().map_err(anyhow::Error::msg)
}

fn find(variable: &str, package: &str, program: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", package, "--bin", program])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .status()
        .with_context(|| format!("build {program}"))?;
    ensure!(status.success(), "{program} cannot be built: {status}");
    // The test lies in target/debug/deps.
    let test = std::env::current_exe().context("find this program")?;
    let folder = test.parent().and_then(|deps| deps.parent()).context("a test outside the target folder")?;
    Ok(folder.join(program))
}
