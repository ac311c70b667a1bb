//! The verbs of a repository: create, open, write, commit, read, check, collect.

mod append;
mod catalog;
mod checkpoint;
mod context;
mod create;
mod domain;
mod error;
mod index;
mod keyring;
mod lane;
mod load;
mod open;
mod pool;
mod reader;
mod session;
mod slots;
mod upload;
mod writer;

pub use append::{Appended, SKEW_MS_MAX};
pub use context::Context;
pub use create::{CreateOptions, Created, create};
pub use domain::generation;
pub use error::{Class, LogHead, RepoError};
pub use index::{BlobPlace, Index, Location, PackFacts, SegmentPlace};
pub use keyring::{KeyInfo, Keyring, add_passphrase, copy_keys, export_kit, list_keys, unlock};
pub use lane::Lane;
pub use open::Repository;
pub use reader::{Nodes, ReadKeys, Reader};
pub use session::{Committed, Session, SessionPlan};
pub use writer::{WriteStats, Writer};
