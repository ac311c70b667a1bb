//! Process: what this process lets others see of it, and how much it may open.

use std::path::Path;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Keeps keys out of core dumps and other processes' reach, and allows as many open files as the system does.
///
/// Each is a help and no condition of safety: where the system refuses, the work goes on.
pub fn harden() {
    let _dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    let _files = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}

/// Whether this is run as `kubectl firn`.
pub fn is_plugin() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|first| Path::new(&first).file_stem().is_some_and(|stem| stem == "kubectl-firn"))
}
