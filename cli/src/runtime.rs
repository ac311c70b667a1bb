//! Runtime: where what talks to API servers runs.

use anyhow::Context as _;

/// A small runtime: its work is waiting for an API server and turning JSON into objects.
pub fn new() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("firn-net")
        .enable_all()
        .build()
        .context("cannot start the network runtime")
}
