//! Outcome: how a command ends, as an exit code and as words.

use std::fmt;
use std::process::ExitCode;

use firn_agent::AgentError;
use firn_format::FormatError;
use firn_replicate::ReplicateError;
use firn_repo::{Class, RepoError};
use firn_store::StoreError;
use serde::Serialize;

use crate::args::Output;
use crate::output;

/// Exit code: it could not be done; nothing was lost.
pub const FAILED: u8 = 1;
/// Exit code: done, with exceptions.
pub const EXCEPTIONS: u8 = 2;
/// Exit code: damaged data was found.
pub const DAMAGED: u8 = 3;
/// Exit code: a security stop.
pub const SECURITY: u8 = 4;
/// Exit code: the request is wrong.
pub const USAGE: u8 = 64;
/// Exit code: interrupted a second time, before it had stopped in order. A shell's code for SIGINT.
pub const INTERRUPTED_TWICE: u8 = 130;

/// How a command ended, when it did end its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// Done, but for what was named.
    Exceptions,
    /// Damaged data was found.
    Damaged,
}

impl Outcome {
    /// `Exceptions` if there were any.
    pub fn of_exceptions(count: u64) -> Self {
        if count == 0 { Self::Done } else { Self::Exceptions }
    }

    /// The exit code.
    pub fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Exceptions => ExitCode::from(EXCEPTIONS),
            Self::Damaged => ExitCode::from(DAMAGED),
        }
    }
}

/// Why a command did not do its work, where no room of the engine says so itself.
#[derive(Debug)]
pub enum Stop {
    /// The request is wrong.
    Usage(String),
    /// It could not be done; nothing was lost.
    Failed(String),
    /// A security stop.
    Security(String),
    /// Somebody asked to stop, and it stopped in order.
    Interrupted(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(text) | Self::Failed(text) | Self::Security(text) | Self::Interrupted(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Stop {}

/// Shorthand for a usage error.
pub fn usage(text: impl Into<String>) -> anyhow::Error {
    Stop::Usage(text.into()).into()
}

/// Shorthand for a failure without another source.
pub fn failed(text: impl Into<String>) -> anyhow::Error {
    Stop::Failed(text.into()).into()
}

/// Whether an error says that somebody asked to stop.
pub fn is_stop(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(Stop::Interrupted(_)))
            || matches!(cause.downcast_ref(), Some(RepoError::Stopped { .. }))
            || matches!(cause.downcast_ref(), Some(ReplicateError::Stopped { .. }))
            || matches!(cause.downcast_ref(), Some(AgentError::Stopped))
    })
}

/// An error as it is reported: what happened, why, and what it means.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What happened.
    error: String,
    /// Why, from the outermost cause to the innermost. A cause that repeats what was said is left out.
    causes: Vec<String>,
    /// `failed`, `stopped`, `damaged`, `security` or `usage`.
    class: &'static str,
    /// The exit code.
    exit_code: u8,
}

impl Report {
    /// The report of an error.
    pub fn of(error: &anyhow::Error) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for cause in error.chain() {
            let text = cause.to_string();
            if !lines.iter().any(|line| line.contains(&text)) {
                lines.push(text);
            }
        }
        let causes = lines.split_off(lines.len().min(1));
        let exit_code = error.chain().find_map(code_of).unwrap_or(FAILED);
        let class = match exit_code {
            DAMAGED => "damaged",
            SECURITY => "security",
            USAGE => "usage",
            _ if is_stop(error) => "stopped",
            _ => "failed",
        };
        Self { error: lines.pop().unwrap_or_default(), causes, class, exit_code }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Prints it on standard error, as an object if that is how results are printed, and gives the exit code.
    pub fn print(&self, output: Output) -> ExitCode {
        match output {
            Output::Json => output::tell(&serde_json::to_string(self).unwrap_or_else(|_| self.error.clone())),
            Output::Table | Output::Yaml => {
                let lead = if self.class == "stopped" { "" } else { "error: " };
                output::tell(&format!("{lead}{}", self.error));
                for cause in &self.causes {
                    output::tell(&format!("  because: {cause}"));
                }
            }
        }
        ExitCode::from(self.exit_code)
    }
}

/// The exit code that one error of a chain stands for, if it knows.
fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Some(match stop {
            Stop::Usage(_) => USAGE,
            Stop::Security(_) => SECURITY,
            Stop::Failed(_) | Stop::Interrupted(_) => FAILED,
        });
    }
    if let Some(error) = error.downcast_ref::<RepoError>() {
        return Some(code_of_class(error.class()));
    }
    if let Some(error) = error.downcast_ref::<ReplicateError>() {
        return Some(code_of_class(error.class()));
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return Some(if error.kind == firn_store::Kind::BadUrl { USAGE } else { FAILED });
    }
    match error.downcast_ref::<FormatError>()? {
        FormatError::WrongKey { .. } => Some(SECURITY),
        FormatError::Damaged { .. } => Some(DAMAGED),
        _ => Some(FAILED),
    }
}

fn code_of_class(class: Class) -> u8 {
    match class {
        Class::Failed => FAILED,
        Class::Damaged => DAMAGED,
        Class::Security => SECURITY,
        Class::Usage => USAGE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_that_knows_decides_and_nothing_is_said_twice() {
        let damaged = FormatError::damaged("a pack", "it is cut");
        let error = anyhow::Error::from(RepoError::Format(damaged)).context("cannot read the manifest");
        let report = Report::of(&error);
        assert_eq!((report.class, report.exit_code), ("damaged", DAMAGED));
        assert_eq!(report.error, "cannot read the manifest");
        assert_eq!(report.causes, ["a pack is damaged: it is cut"]);
        assert_eq!(Report::of(&anyhow::anyhow!("x")).exit_code, FAILED);
        assert_eq!(Report::of(&usage("x").context("y")).exit_code, USAGE);
        let stopped = Report::of(&anyhow::Error::from(AgentError::Stopped).context("a volume"));
        assert_eq!((stopped.class, stopped.exit_code), ("stopped", FAILED));
    }
}
