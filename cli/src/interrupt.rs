//! Interrupt: Ctrl-C and its kin. Whatever is on disk or in a store then is safe, so the process may end anywhere; what was
//! registered to be run first is run.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::outcome::{FAILED, INTERRUPTED_TWICE};

type Work = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// What still has to be run before the process ends.
static REGISTERED: Mutex<Vec<Work>> = Mutex::new(Vec::new());

/// Work that is done once: when this is dropped, or before an interrupt ends the process.
#[must_use = "dropping it runs the work"]
pub struct OnExit(Work);

/// Has `work` run when the result is dropped, or before the process ends by an interrupt, whichever comes first.
pub fn on_exit(work: impl FnOnce() + Send + 'static) -> OnExit {
    let work: Work = Arc::new(Mutex::new(Some(Box::new(work))));
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).push(work.clone());
    OnExit(work)
}

impl Drop for OnExit {
    fn drop(&mut self) {
        run(&self.0);
        REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).retain(|work| !Arc::ptr_eq(work, &self.0));
    }
}

/// The lock is held while it runs, so that who comes second waits until it is done.
fn run(work: &Work) {
    let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(work) = work.take() {
        work();
    }
}

/// Begins to watch for SIGINT, SIGTERM and SIGHUP.
pub fn watch() -> anyhow::Result<()> {
    let (ready, is_ready) = mpsc::channel();
    let watcher = std::thread::Builder::new().name("firn-interrupt".to_owned());
    watcher
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if let Err(error) = runtime.block_on(wait(&ready)) {
                drop(ready.send(Err(error)));
            }
        })
        .context("cannot watch for interrupts")?;
    is_ready.recv().context("cannot watch for interrupts")?.context("cannot watch for interrupts")
}

async fn wait(ready: &mpsc::Sender<std::io::Result<()>>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Nobody listens only if the process ends already.
    let _told = ready.send(Ok(()));
    let mut is_ending = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        if is_ending {
            std::process::exit(INTERRUPTED_TWICE.into());
        }
        is_ending = true;
        crate::output::tell("\nstopping; press again to end at once; nothing will be lost");
        std::thread::Builder::new().name("firn-ending".to_owned()).spawn(end)?;
    }
}

fn end() {
    let registered = std::mem::take(&mut *REGISTERED.lock().unwrap_or_else(PoisonError::into_inner));
    // The newest first, as scopes end.
    registered.iter().rev().for_each(run);
    std::process::exit(FAILED.into());
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn registered_work_runs_once() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        let guard = on_exit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        run(&guard.0);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        drop(guard);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(REGISTERED.lock().unwrap().is_empty());
    }
}
