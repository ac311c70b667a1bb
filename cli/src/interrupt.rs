//! Interrupt: Ctrl-C and its kin. The first asks work that looks at it to stop in order, and ends all other work; the second
//! ends everything at once. Whatever is on disk or in a store then is safe; what was registered to be run first is run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use firn_agent::AgentError;
use tokio::signal::unix::{SignalKind, signal};

use crate::outcome::{FAILED, INTERRUPTED_TWICE};

/// What people read once they have asked to stop.
pub const STOPPING_LINE: &str = "stopping; Ctrl-C again to stop at once";

/// What waits for an API server looks this often whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whether somebody has asked to stop.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// How many stretches of work look at it.
static IN_ORDER: AtomicUsize = AtomicUsize::new(0);

type Work = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// While it lives, the first interrupt only asks to stop.
#[must_use = "dropping it lets an interrupt end the process"]
pub struct InOrder(());

/// From here on the work looks at [`is_stopping`], by way of its progress, and ends by itself.
pub fn in_order() -> InOrder {
    IN_ORDER.fetch_add(1, Ordering::SeqCst);
    InOrder(())
}

impl Drop for InOrder {
    fn drop(&mut self) {
        IN_ORDER.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether somebody has asked to stop.
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::Relaxed)
}

/// Fails if somebody has asked to stop.
pub fn refuse_stopped() -> Result<(), AgentError> {
    if is_stopping() { Err(AgentError::Stopped) } else { Ok(()) }
}

/// Waits for `work`, but no longer than until somebody asks to stop. Then it is dropped where it is.
///
/// # Errors
/// `Stopped`.
pub async fn or_stopped<T>(work: impl Future<Output = T>) -> Result<T, AgentError> {
    let stopped = async {
        while !is_stopping() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        done = work => Ok(done),
        () = stopped => Err(AgentError::Stopped),
    }
}

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
    let mut signals = 0;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        signals += 1;
        match signals {
            1 if IN_ORDER.load(Ordering::SeqCst) > 0 => {
                // First the word: the work may end before this thread goes on.
                crate::output::tell(&format!("\n{STOPPING_LINE}"));
                STOPPING.store(true, Ordering::SeqCst);
            }
            1 => {
                crate::output::tell("\nstopped; nothing was lost");
                std::thread::Builder::new().name("firn-ending".to_owned()).spawn(|| end(FAILED))?;
            }
            2 => drop(std::thread::Builder::new().name("firn-ending".to_owned()).spawn(|| end(INTERRUPTED_TWICE))?),
            _ => std::process::exit(INTERRUPTED_TWICE.into()),
        }
    }
}

/// Runs what is registered and was not begun, and ends the process.
fn end(code: u8) {
    let registered = std::mem::take(&mut *REGISTERED.lock().unwrap_or_else(PoisonError::into_inner));
    // The newest first, as scopes end. What is being run already is not waited for.
    for work in registered.iter().rev() {
        let work = match work.try_lock() {
            Ok(mut work) => work.take(),
            Err(TryLockError::Poisoned(broken)) => broken.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(work) = work {
            work();
        }
    }
    std::process::exit(code.into());
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
