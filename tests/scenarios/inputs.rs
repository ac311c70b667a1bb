//! Bad input: stores that refuse, fill up or hurry, clocks that are wrong, databases that do not stand still. A clear
//! error, nothing lost, and the same command again finishes.

mod clock;
mod database;
mod disks;
mod errors;
mod together;
