//! Room: how many threads this machine gives.

/// Lanes for reading, cutting and sealing: one per CPU, but not above 8, since each holds a pack and a store takes no more.
const LANES_MAX: usize = 8;

/// How many lanes a capture or restore uses here.
pub fn lanes() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX)
}
