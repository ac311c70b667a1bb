//! Settings of the kernel that a kubelet changes when it starts, to be put back when a ground goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Setting, below /proc/sys, and the value that the kubelet gives it.
const CHANGED: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Settings by name, with the value that they had.
pub(crate) type Settings = BTreeMap<String, String>;

/// Remembers the settings that a kubelet is about to change, beside those that are remembered already.
pub(crate) fn remember(settings: &mut Settings) -> Result<()> {
    for (name, value) in CHANGED {
        let now = fs::read_to_string(path(name)).with_context(|| format!("read the kernel's {name}"))?;
        if now.trim() != *value {
            settings.entry((*name).to_owned()).or_insert_with(|| now.trim().to_owned());
        }
    }
    Ok(())
}

/// Puts the settings back.
pub(crate) fn restore(settings: &Settings) -> Result<()> {
    settings.iter().try_for_each(|(name, value)| {
        fs::write(path(name), value).with_context(|| format!("put the kernel's {name} back"))
    })
}

fn path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}
