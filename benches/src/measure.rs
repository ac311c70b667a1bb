//! What one run of a program used: wall time, processor time, peak memory.
//!
//! Every program is started by a second, small copy of this one, so that the system's sums over "all children so far"
//! are those of one child alone. Peak memory is that of the largest process, at least that small copy's own few MiB.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

/// What a run used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) wall_seconds: f64,
    /// User and system time, all threads.
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
}

/// The hidden subcommand that runs one program.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    report: PathBuf,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs `command` and says what it used. Its output goes into a file of `logs`, named `name`, and its end into the error
/// if it fails.
pub(crate) fn run(command: &Command, logs: &Path, name: &str) -> Result<Usage> {
    fs::create_dir_all(logs).with_context(|| format!("make {}", logs.display()))?;
    let report = logs.join(format!("{name}.json"));
    let log = logs.join(format!("{name}.log"));
    let output = File::create(&log).with_context(|| format!("make {}", log.display()))?;
    let mut measured = Command::new(std::env::current_exe().context("find this program")?);
    measured.arg("measure").arg(&report).arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => measured.env(variable, value),
            None => measured.env_remove(variable),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        measured.current_dir(dir);
    }
    measured.stdin(Stdio::null()).stdout(output.try_clone().context("share the log")?).stderr(output);
    let status = measured.status().with_context(|| format!("start {name}"))?;
    if !status.success() {
        bail!("{name}: {status}; {} ends with:\n{}", log.display(), end_of(&log));
    }
    let text = fs::read(&report).with_context(|| format!("read {}", report.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("understand {}", report.display()))
}

/// The inner copy: runs the program, writes the report, ends as the program ended.
pub(crate) fn run_child(arguments: &Arguments) -> ExitCode {
    match measure(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("measure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<u8> {
    let begun = Instant::now();
    let mut child = Command::new(&arguments.program)
        .args(&arguments.arguments)
        .spawn()
        .with_context(|| format!("start {:?}", arguments.program))?;
    let status = child.wait().context("wait")?;
    let wall_seconds = begun.elapsed().as_secs_f64();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask what it used")?;
    let usage = Usage {
        wall_seconds,
        cpu_seconds: seconds(used.user_time()) + seconds(used.system_time()),
        peak_mib: used.max_rss() as f64 / 1024.0,
    };
    fs::write(&arguments.report, serde_json::to_vec(&usage)?).context("write the report")?;
    // A program that a signal ended has no code.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// The last lines of a log.
fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
