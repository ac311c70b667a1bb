//! Lanes: work over a list on a few threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::ReplicateError;

/// Runs `work` over `items` on up to `lanes` threads and returns the results in the order of the items. After a failure
/// no further item is begun. What is under way is one item per lane.
pub(crate) fn map<T, R>(
    lanes: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, ReplicateError> + Sync,
) -> Result<Vec<R>, ReplicateError>
where
    T: Sync,
    R: Send,
{
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let run = || {
        let mut done = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            match work(item) {
                Ok(result) => done.push((at, result)),
                Err(error) => {
                    stopped.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let mut done = match lanes.min(items.len()) {
        0 | 1 => run()?,
        threads => std::thread::scope(|scope| {
            let spawn = |_| std::thread::Builder::new().name("firn-replicate".into()).spawn_scoped(scope, run);
            let started: Vec<_> = (0..threads).map(spawn).collect();
            let mut done = Vec::with_capacity(items.len());
            let mut failed = None;
            for thread in started {
                let ended = match thread {
                    Ok(thread) => thread.join().unwrap_or(Err(ReplicateError::ThreadDied)),
                    Err(source) => Err(ReplicateError::Thread { source }),
                };
                match ended {
                    Ok(results) => done.extend(results),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            failed.map_or(Ok(done), Err)
        })?,
    };
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_failure_ends_it() {
        let items: Vec<u64> = (0..1000).collect();
        for lanes in [0, 1, 7] {
            assert_eq!(map(lanes, &items, |n| Ok(n * 2)).unwrap(), (0..1000).map(|n| n * 2).collect::<Vec<_>>());
            let begun = AtomicUsize::new(0);
            let result = map(lanes, &items, |n| {
                begun.fetch_add(1, Ordering::SeqCst);
                if *n == 3 { Err(ReplicateError::ThreadDied) } else { Ok(()) }
            });
            assert!(matches!(result, Err(ReplicateError::ThreadDied)));
            assert!(begun.into_inner() >= 4);
        }
    }
}
