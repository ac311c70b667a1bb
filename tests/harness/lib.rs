//! Harness: worlds, source trees and portraits for the scenarios, all from seeds; the programs under test, and real
//! control planes for them.
//!
//! ```text
//! Dice        seeded numbers; FIRN_TEST_SEED plays one run again
//! scratch     a folder in memory, where fsync costs nothing
//! Disk        a small file system, to be filled or made read-only
//! forest      source trees with files of all kinds; random changes of them
//! objects     made-up Kubernetes objects
//! Portrait    what a tree looks like from outside; same_tree compares two
//! World       a repository in memory with its keys and clock
//! point       a backup and a restore, joined as the command line joins them
//! programs    the programs under test
//! ground      real control planes
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails a test, and should say where")]
#![expect(clippy::print_stdout, reason = "a failure is replayed from its seed")]

mod dice;
mod disk;
mod forest;
pub mod ground;
mod objects;
mod point;
mod portrait;
pub mod programs;
mod scratch;
mod world;

pub use dice::Dice;
pub use disk::Disk;
pub use forest::{Forest, change, plant};
pub use objects::{Object, objects};
pub use point::{Restored, Shot, Taken, backup, content, restore};
pub use portrait::{Portrait, same_tree};
pub use scratch::{root, scratch};
pub use world::{CLUSTER, NOW_MS, World, passphrase};
