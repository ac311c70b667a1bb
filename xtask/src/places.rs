//! The folders outside the source tree that the workshop uses.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// `$XDG_CACHE_HOME/firn` (`~/.cache/firn`): what can be built or downloaded again.
pub(crate) fn cache() -> Result<PathBuf> {
    Ok(base("XDG_CACHE_HOME", ".cache")?.join("firn"))
}

/// The root of the cache of control plane binaries: `$FIRN_GROUND_CACHE`, else [`cache`].
pub(crate) fn ground_cache() -> Result<PathBuf> {
    set("FIRN_GROUND_CACHE").map_or_else(cache, |path| Ok(PathBuf::from(path)))
}

/// Where a ground lives unless `--dir` says otherwise: `$FIRN_GROUND_DIR`, else
/// `$XDG_STATE_HOME/firn/ground` (`~/.local/state/firn/ground`).
pub(crate) fn ground_dir() -> Result<PathBuf> {
    match set("FIRN_GROUND_DIR") {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(state()?.join("ground")),
    }
}

/// `$XDG_STATE_HOME/firn` (`~/.local/state/firn`): what runs and what was left to look at.
pub(crate) fn state() -> Result<PathBuf> {
    Ok(base("XDG_STATE_HOME", ".local/state")?.join("firn"))
}

/// The first program of this name on the PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

/// The value of a variable that is set and not empty.
pub(crate) fn set(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    // The XDG rules say that a relative path is to be ignored.
    if let Some(path) = set(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    let home = set("HOME").with_context(|| format!("neither {variable} nor HOME is set"))?;
    Ok(PathBuf::from(home).join(below_home))
}
