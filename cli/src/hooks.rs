//! Hooks: commands that quiet an application before volumes are read, and release it afterwards.

use std::process::Command;

use crate::outcome::failed;

/// The application stands still until this is released or dropped.
pub struct Held<'a> {
    after: Option<&'a str>,
}

/// Runs `before`. Whatever happens afterwards, `after` runs once.
pub fn hold<'a>(before: Option<&str>, after: Option<&'a str>) -> anyhow::Result<Held<'a>> {
    if let Some(command) = before {
        run("--before", command).inspect_err(|_| {
            // It may have quieted a part.
            let _told = after.map(|after| run("--after", after));
        })?;
    }
    Ok(Held { after })
}

impl Held<'_> {
    /// Runs `after` now.
    pub fn release(mut self) -> anyhow::Result<()> {
        self.after.take().map_or(Ok(()), |command| run("--after", command))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(command) = self.after.take()
            && let Err(error) = run("--after", command)
        {
            anstream::eprintln!("error: {error}");
        }
    }
}

fn run(flag: &str, command: &str) -> anyhow::Result<()> {
    let status = Command::new("sh").arg("-c").arg(command).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("the {flag} command failed ({status}): {command}; nothing was lost"))),
        Err(error) => Err(failed(format!("the {flag} command cannot be started: {error}; nothing was lost"))),
    }
}
