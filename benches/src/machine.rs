//! The machine that was measured on, as far as a reader of results needs to know it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Processor, cores, memory, kernel, where the repositories lie, and how busy it was.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) repository_file_system: String,
    /// The load average of the last minute before: what else the machine had to do.
    pub(crate) load_before: String,
}

impl Machine {
    /// The machine that this runs on, before anything is measured; `work` is where repositories lie.
    pub(crate) fn look(work: &Path) -> Result<Self> {
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism().context("count the cores")?.get(),
            memory_gib: field("/proc/meminfo", "MemTotal")?
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .map_or(0, |kib| kib.div_ceil(1 << 20)),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            repository_file_system: file_system(work)?,
            load_before: read("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    /// The processor and its cores as part of a file's name.
    pub(crate) fn slug(&self) -> String {
        let words: Vec<String> = self
            .processor
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty() && !["R", "TM", "CPU", "Processor"].contains(word))
            .map(str::to_ascii_lowercase)
            .collect();
        format!("{}-{}-cores", words.join("-"), self.cores)
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let Self { processor, cores, memory_gib, kernel, repository_file_system, load_before } = self;
        format!(
            "{processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}, repositories on {repository_file_system}, \
             load before {load_before}"
        )
    }
}

/// The name of the file system that `path` lies on.
pub(crate) fn file_system(path: &Path) -> Result<String> {
    let found = rustix::fs::statfs(path).with_context(|| format!("look at the file system of {}", path.display()))?;
    // The numbers of statfs(2).
    Ok(match found.f_type {
        0xef53 => "ext4".to_owned(),
        0x0102_1994 => "tmpfs".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x794c_7630 => "overlayfs".to_owned(),
        other => format!("file system {other:#x}"),
    })
}

fn field(file: &str, name: &str) -> Result<String> {
    let text = read(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.split_once(':')).map(|(_, value)| value.trim().to_owned());
    // Not every architecture names its processor.
    Ok(value.unwrap_or_else(|| std::env::consts::ARCH.to_owned()))
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("read {file}"))
}
