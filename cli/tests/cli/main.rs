//! The `firn` program as people and scripts meet it: exit codes, words, data.

mod damage;
mod ground;
mod help;
mod interrupt;
mod opening;
mod results;
