//! Pool: work for a few threads, its results in the order of the items, with a limit to what is under way.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender};

use crate::error::RepoError;

/// How much work may be under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many threads work.
    pub(crate) threads: usize,
    /// How many items are under way or wait for their turn.
    pub(crate) items_max: usize,
    /// How many bytes these may weigh together; one item may weigh more if it is alone.
    pub(crate) bytes_max: u64,
}

/// Runs `work` over `items` on a few threads and hands the results to `each`, in the order of the items, on the calling
/// thread. `weigh` says how many bytes an item will hold in memory. Ends when `each` breaks or fails.
pub(crate) fn in_order<T, R>(
    limits: Limits,
    items: impl IntoIterator<Item = T>,
    weigh: impl Fn(&T) -> u64,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R) -> Result<ControlFlow<()>, RepoError>,
) -> Result<(), RepoError>
where
    T: Send,
    R: Send,
{
    let mut items = items.into_iter().peekable();
    std::thread::scope(|scope| {
        let (jobs, todo) = crossbeam_channel::bounded::<(u64, T)>(limits.items_max);
        let (results, done) = crossbeam_channel::bounded::<(u64, R)>(limits.items_max);
        for _ in 0..limits.threads.max(1) {
            let (todo, results, work) = (todo.clone(), results.clone(), &work);
            std::thread::Builder::new()
                .name("firn-pool".into())
                .spawn_scoped(scope, move || run(&todo, &results, work))
                .map_err(|source| RepoError::Thread { source })?;
        }
        drop((todo, results));
        let mut window = Window::default();
        loop {
            while let Some(item) = items.peek() {
                let bytes = weigh(item);
                if !window.fits(bytes, limits) {
                    break;
                }
                let Some(item) = items.next() else { break };
                let number = window.begin(bytes);
                jobs.send((number, item)).map_err(|_| RepoError::ThreadDied { name: "firn-pool" })?;
            }
            if window.is_empty() {
                return Ok(());
            }
            let (number, result) = done.recv().map_err(|_| RepoError::ThreadDied { name: "firn-pool" })?;
            window.finished.insert(number, result);
            while let Some(result) = window.next() {
                if each(result)?.is_break() {
                    return Ok(());
                }
            }
        }
    })
}

fn run<T, R>(todo: &Receiver<(u64, T)>, results: &Sender<(u64, R)>, work: &impl Fn(T) -> R) {
    for (number, item) in todo {
        if results.send((number, work(item))).is_err() {
            // The caller has stopped.
            return;
        }
    }
}

/// Items from the first that is not handed over to the last that was begun.
struct Window<R> {
    next: u64,
    weights: BTreeMap<u64, u64>,
    bytes: u64,
    begun: u64,
    finished: BTreeMap<u64, R>,
}

impl<R> Default for Window<R> {
    fn default() -> Self {
        Self { next: 0, weights: BTreeMap::new(), bytes: 0, begun: 0, finished: BTreeMap::new() }
    }
}

impl<R> Window<R> {
    fn is_empty(&self) -> bool {
        self.next == self.begun
    }

    fn fits(&self, bytes: u64, limits: Limits) -> bool {
        self.is_empty()
            || (self.begun - self.next < limits.items_max as u64
                && self.bytes.saturating_add(bytes) <= limits.bytes_max)
    }

    fn begin(&mut self, bytes: u64) -> u64 {
        let number = self.begun;
        self.begun += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.weights.insert(number, bytes);
        number
    }

    fn next(&mut self) -> Option<R> {
        let result = self.finished.remove(&self.next)?;
        self.bytes -= self.weights.remove(&self.next).unwrap_or_default();
        self.next += 1;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_memory_is_bounded() {
        let limits = Limits { threads: 8, items_max: 16, bytes_max: 100 };
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut seen = Vec::new();
        in_order(
            limits,
            0..1000u64,
            |_| 30,
            |n| {
                let now = held.fetch_add(30, Ordering::SeqCst) + 30;
                most.fetch_max(now, Ordering::SeqCst);
                if n % 7 == 0 {
                    std::thread::yield_now();
                }
                n * 2
            },
            |n| {
                held.fetch_sub(30, Ordering::SeqCst);
                seen.push(n);
                Ok(ControlFlow::Continue(()))
            },
        )
        .unwrap();
        assert_eq!(seen, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
        assert!(most.into_inner() <= 100);
    }

    #[test]
    fn an_item_above_the_limit_goes_alone_and_an_error_ends_it() {
        let limits = Limits { threads: 3, items_max: 4, bytes_max: 10 };
        let mut seen = 0;
        let result = in_order(
            limits,
            0..100,
            |_| 50,
            |n| n,
            |n| {
                seen += 1;
                match n {
                    9 => Err(RepoError::NoContentKey),
                    _ => Ok(ControlFlow::Continue(())),
                }
            },
        );
        assert!(matches!(result, Err(RepoError::NoContentKey)));
        assert_eq!(seen, 10);
        in_order(
            limits,
            0..100,
            |_| 1,
            |n| n,
            |n| {
                seen = n;
                Ok(if n == 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        )
        .unwrap();
        assert_eq!(seen, 20);
    }
}
