//! Test harness: the programs under test, and real control planes for them.

pub mod ground;
pub mod programs;
