//! The verbs of a repository: create, open, write, commit, read, check, repair, collect.

mod append;
mod catalog;
mod check;
mod checkpoint;
mod collect;
mod context;
mod create;
mod domain;
mod error;
mod forget;
#[cfg(test)]
mod ground;
mod index;
mod keyring;
mod lane;
mod load;
mod open;
mod part;
mod points;
mod pool;
mod presence;
mod reader;
mod repair;
mod session;
mod signers;
mod slots;
mod summary;
mod upload;
mod writer;

pub use append::{Appended, SKEW_MS_MAX};
pub use check::{Finding, Problem, Report, Stray, StrayKind, check};
pub use collect::{Collected, collect, foresee};
pub use context::Context;
pub use create::{CreateOptions, Created, create};
pub use domain::generation;
pub use error::{Class, Diverged, LogHead, RepoError};
pub use forget::forget;
pub use index::{BlobPlace, Index, Location, PackFacts, SegmentPlace};
pub use keyring::{KeyInfo, Keyring, add_passphrase, copy_keys, export_kit, list_keys, unlock};
pub use lane::Lane;
pub use open::Repository;
pub use part::{Assignment, Contribution, Part};
pub use points::{PointInfo, Selection, each_point, list_points, resolve};
pub use reader::{Each, Nodes, ReadKeys, Reader};
pub use repair::{
    LogRepair, LogStep, Loss, Mirrors, RebuiltRuns, Remedy, Unmended, named_links, rebuild_runs, renew_checkpoints,
};
pub use session::{Committed, Session, SessionPlan};
pub use summary::Summary;
pub use writer::{WriteStats, Writer};
