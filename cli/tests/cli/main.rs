//! The `firn` program as people and scripts meet it: exit codes, words, data.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare its ground has failed")]

mod asking;
mod bring_back;
mod damage;
mod damaged_log;
mod demo;
mod failing_over;
mod ground;
mod help;
mod hooks;
mod interrupt;
mod leftovers;
mod opening;
mod repair;
mod results;
mod trust;
