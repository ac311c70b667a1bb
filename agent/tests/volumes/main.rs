//! Captures and restores of directories against a repository in memory, where a single fault would cost data.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capture;
mod ground;
mod live;
mod objects;
mod restore;
