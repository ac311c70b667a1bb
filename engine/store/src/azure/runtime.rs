//! The async runtime behind remote stores, and the way into it from blocking code.

use std::future::Future;
use std::io;
use std::sync::{LazyLock, mpsc};

use tokio::runtime::{Builder, Runtime};

/// One for the process: its threads only shuffle network buffers, and two keep up with any link used here.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).thread_name("firn-store").enable_all().build());

/// Runs `future` there and waits for it. Works on any thread, also on one that runs another async runtime (which it
/// blocks, as every store call does).
pub(super) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    let runtime = RUNTIME.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Nobody listens any more only if the waiting thread is gone.
        let _ = sender.send(future.await);
    });
    receiver.recv().map_err(|_| io::Error::other("the store's runtime dropped a request"))
}
