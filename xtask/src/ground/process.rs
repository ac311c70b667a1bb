//! A process that outlives the workshop: started in the background, known again later, killed for certain.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Who a process is: its id and when it started, in clock ticks since the machine booted. Ids are
/// used again by the kernel; the two together are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: i32,
    start_ticks: u64,
}

/// By these a user sends requests through a proxy. A cluster's go to this machine only.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// Starts `program` in a process group of its own (so that Ctrl-C does not reach it), its output
/// appended to `log`.
pub(crate) fn start(program: &Path, arguments: &[String], log: &Path) -> Result<(Child, Identity)> {
    let output =
        OpenOptions::new().create(true).append(true).open(log).with_context(|| format!("open {}", log.display()))?;
    let mut command = Command::new(program);
    for variable in PROXIES {
        command.env_remove(variable);
    }
    let child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("share the log file")?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let pid = i32::try_from(child.id()).context("a process id that is no i32")?;
    Ok((child, identify(pid)?))
}

/// Reads who a process is that was just started. The kernel lets the parent go on a moment before
/// the child has its command line: wait for that, since later checks compare it.
fn identify(pid: i32) -> Result<Identity> {
    let patience = Duration::from_secs(10);
    let begun = Instant::now();
    let found = stat(pid).context("read the start time of the process just started")?;
    while command_line(pid).is_empty() && stat(pid).is_some_and(|found| !found.is_dead) {
        if begun.elapsed() > patience {
            bail!("process {pid} has no command line after {} s", patience.as_secs());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(Identity { pid, start_ticks: found.start_ticks })
}

impl Identity {
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether this very process runs (a dead one that nobody reaped does not) and speaks of `folder` in its command line.
    pub(crate) fn is_alive(&self, folder: &Path) -> bool {
        stat(self.pid).is_some_and(|found| found.start_ticks == self.start_ticks && !found.is_dead)
            && command_line(self.pid).contains(&folder.to_string_lossy().into_owned())
    }

    /// Resident memory in bytes; none when the process is gone.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Kills the process with SIGKILL if it is still this one; true when there was one to kill.
    ///
    /// The descriptor is opened before the check, so the signal cannot reach a later process that
    /// was given the same id in between.
    pub(crate) fn kill(&self, folder: &Path) -> Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { bail!("{} is no process id", self.pid) };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(false) };
        if !self.is_alive(folder) {
            return Ok(false);
        }
        pidfd_send_signal(&descriptor, Signal::KILL).with_context(|| format!("kill process {}", self.pid))?;
        Ok(true)
    }

    /// Waits until the process is gone; a killed process that is not gone after 20 s is an error.
    pub(crate) fn wait_gone(&self, folder: &Path) -> Result<()> {
        let patience = Duration::from_secs(20);
        let begun = Instant::now();
        while self.is_alive(folder) {
            if begun.elapsed() > patience {
                bail!("process {} is still there {} s after SIGKILL", self.pid, patience.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

struct Stat {
    start_ticks: u64,
    is_dead: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&text)
}

/// Reads fields 3 (state), 20 (threads) and 22 (start time) of /proc/PID/stat. Field 2 is the
/// program's name in brackets and may itself hold blanks and brackets: count from the last bracket.
///
/// A zombie whose other threads still end holds its files and ports: only one with no threads is dead.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u64 = fields.nth(16)?.parse().ok()?;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    Some(Stat { start_ticks, is_dead: matches!(state, "Z" | "X" | "x") && threads <= 1 })
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// The last lines of a log, at most 8 KiB, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    const TAIL_BYTES_MAX: u64 = 8 * 1024;
    const TAIL_LINES_MAX: usize = 15;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES_MAX)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_blanks_and_brackets() {
        let text = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 9 18 98765 20 21";
        let found = parse_stat(text).expect("a stat line");
        assert_eq!(found.start_ticks, 98765);
        assert!(!found.is_dead);
        let zombie = |threads: &str| {
            let text = format!("42 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 18 7");
            parse_stat(&text).expect("a stat line").is_dead
        };
        assert!(zombie("1"));
        assert!(!zombie("9"));
        assert!(parse_stat("").is_none());
        assert!(parse_stat("42 (a) S 1").is_none());
    }

    #[test]
    fn only_the_process_that_was_started_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        fs::write(&log, "").expect("a file");
        // Sleeps for ever, and has the folder in its command line.
        let arguments = ["-f".to_owned(), log.display().to_string()];
        let (mut child, identity) = start(Path::new("tail"), &arguments, &log).expect("a process");
        let elsewhere = Path::new("/nowhere/at/all");
        let stranger = Identity { pid: identity.pid, start_ticks: identity.start_ticks + 1 };

        assert!(identity.is_alive(folder.path()));
        assert!(!stranger.is_alive(folder.path()));
        assert!(!stranger.kill(folder.path()).expect("nothing to kill"));
        assert!(!identity.kill(elsewhere).expect("nothing to kill"));
        assert!(identity.is_alive(folder.path()));
        assert!(identity.resident_bytes().expect("memory") > 0);

        assert!(identity.kill(folder.path()).expect("killed"));
        identity.wait_gone(folder.path()).expect("gone");
        // A zombie until it is reaped: gone all the same, and not killed twice.
        assert!(!identity.kill(folder.path()).expect("nothing to kill"));
        child.wait().expect("reaped");
    }
}
