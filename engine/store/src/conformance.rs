//! The contract of `Store` as a program: every store that Firn writes to passes it.
//!
//! It cannot show durability. That rests on each implementation: `file://` syncs the file and every folder above
//! it before it answers, Azure answers after its replicas have it, `memory:` lasts as long as the process.

use std::sync::Arc;

use crate::{Store, StoreError};

mod check_then_write;
mod checks;

pub use check_then_write::CheckThenWrite;

/// How much work the suite does where the amount matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Objects in the list that must come back exactly.
    pub objects: usize,
    /// Names that 16 writers race for.
    pub races: usize,
}

impl Default for Scale {
    fn default() -> Self {
        Self { objects: 1_200, races: 50 }
    }
}

/// Writers in each race.
pub const RACE_WRITERS: usize = 16;

/// A promise of the contract that a store did not keep.
#[derive(Debug, thiserror::Error)]
#[error("store breaks its contract in `{check}`: {detail}")]
pub struct Violation {
    /// The check that found it.
    pub check: &'static str,
    /// What was expected and what came.
    pub detail: String,
    /// The store's own error, where one was unexpected.
    #[source]
    pub source: Option<StoreError>,
}

/// Runs the whole suite; `fresh` makes an empty store each time. Returns the names of the checks that passed.
///
/// # Errors
/// The first broken promise.
pub fn run(fresh: &dyn Fn() -> Arc<dyn Store>, scale: Scale) -> Result<Vec<&'static str>, Violation> {
    let mut passed = Vec::new();
    for (check, run) in checks::ALL {
        run(&*fresh(), scale).map_err(|broken| Violation { check, detail: broken.detail, source: broken.source })?;
        passed.push(check);
    }
    Ok(passed)
}

#[cfg(test)]
mod tests;
