//! Hooks: commands that quiet an application before volumes are read, and release it afterwards.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use crate::interrupt::{self, OnExit};
use crate::outcome::failed;

type Released = Arc<Mutex<Option<anyhow::Result<()>>>>;

/// The application stands still until this is released or dropped, or the process is interrupted.
pub struct Held {
    release: OnExit,
    released: Released,
}

/// Runs `before`. Whatever happens afterwards, `after` runs once, also if `before` failed: it may have quieted a part.
///
/// # Errors
/// `before` failed; `Stopped` if somebody asked to stop while it ran.
pub fn hold(before: Option<&str>, after: Option<&str>) -> anyhow::Result<Held> {
    let released = Released::default();
    let after = after.map(str::to_owned);
    let result = released.clone();
    let release = interrupt::on_exit(move || {
        // In a group of its own: Ctrl-C reaches every process of the terminal's, and this one must do its work.
        let done = after.map_or(Ok(()), |command| run("--after", shell(&command).process_group(0)));
        if let Err(error) = &done {
            crate::output::tell(&format!("error: {error}"));
        }
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    });
    if let Some(command) = before {
        let done = run("--before", &mut shell(command));
        interrupt::refuse_stopped()?;
        done?;
    }
    Ok(Held { release, released })
}

impl Held {
    /// Runs `after` now.
    pub fn release(self) -> anyhow::Result<()> {
        drop(self.release);
        let released = self.released.lock().unwrap_or_else(PoisonError::into_inner).take();
        released.unwrap_or(Ok(()))
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

fn run(flag: &str, shell: &mut Command) -> anyhow::Result<()> {
    match shell.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let command = shell.get_args().last().unwrap_or_default().to_string_lossy().into_owned();
            Err(failed(format!("the {flag} command failed ({status}): {command}; nothing was lost")))
        }
        Err(error) => Err(failed(format!("the {flag} command cannot be started: {error}; nothing was lost"))),
    }
}
