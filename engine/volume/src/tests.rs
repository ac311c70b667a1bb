//! Whole walks and restores on real file systems. They need root, a kernel with `openat2`, and the right to mount.

mod capture;
mod capture_limits;
mod existing;
mod faithful;
mod hostile_tree;
mod live_attacker;
mod refused;
mod support;
