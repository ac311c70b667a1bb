//! Hooks: commands that quiet an application before volumes are read, and release it afterwards.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use crate::interrupt::{self, OnExit};
use crate::outcome::failed;

type Released = Arc<Mutex<Option<Result<(), String>>>>;

/// The application stands still until this is released or dropped, or the process is interrupted.
pub struct Held {
    release: OnExit,
    released: Released,
}

/// What nobody but Firn needs to know: these, and all that begins like the store's settings below. A hook that talks to a
/// cloud logs in by itself.
const SECRETS: &[&str] = &["FIRN_PASSWORD", "FIRN_NEW_PASSWORD", "IDENTITY_HEADER", "MSI_SECRET"];

/// Beginnings of the names of stores' settings, credentials among them.
const STORE_PREFIXES: &[&str] = &["AZURE_", "AWS_", "GOOGLE_"];

/// Said when the release fails: somebody must look at the application.
const STILL_HELD: &str = "after hook failed: the application may still be frozen";

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
        let done = done.map_err(|error| format!("{STILL_HELD}; {error}"));
        if let Err(why) = &done {
            crate::output::tell(&format!("warning: {why}"));
        }
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    });
    if let Some(command) = before {
        let done = run("--before", &mut shell(command));
        interrupt::refuse_stopped()?;
        done.map_err(|why| failed(format!("{why}; nothing was captured and nothing was lost")))?;
    }
    Ok(Held { release, released })
}

impl Held {
    /// Runs `after` now. If it fails, that is said on standard error, and returned to be told in the point: what was read
    /// while the application stood still is whole all the same.
    pub fn release(self) -> Result<(), String> {
        drop(self.release);
        let released = self.released.lock().unwrap_or_else(PoisonError::into_inner).take();
        released.unwrap_or(Ok(()))
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if SECRETS.contains(&text.as_ref()) || STORE_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            shell.env_remove(&name);
        }
    }
    shell
}

fn run(flag: &str, shell: &mut Command) -> Result<(), String> {
    match shell.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let command = shell.get_args().last().unwrap_or_default().to_string_lossy().into_owned();
            Err(format!("the {flag} command failed ({status}): {command}"))
        }
        Err(error) => Err(format!("the {flag} command cannot be started: {error}")),
    }
}
