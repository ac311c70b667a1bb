//! Repair: what is damaged and can be mended without guessing: slots of the log, index runs, checkpoints.
//!
//! Nothing is overwritten. A missing slot is put back from a mirror, a damaged one is settled by the owner's VOID, which
//! holds the mirrored entry if there is one. An index run is made anew from its packs, a checkpoint from the log. What
//! cannot be made from what is there is named, for a replica to give back.

mod aftermath;
mod checkpoints;
mod log;
mod runs;

pub use aftermath::Loss;
pub use checkpoints::renew_checkpoints;
pub use log::{LogRepair, LogStep, Mirrors, Remedy, Unmended, named_links};
pub use runs::{RebuiltRuns, rebuild_runs};

#[cfg(test)]
mod tests;
