//! Terminal: progress as people see it: bars with rate and time left, or a plain line every ten seconds.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use firn_format::{Counter, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::interrupt::{self, STOPPING_LINE};

/// Where no terminal is, a line is printed this often.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// Nothing is shown for work that is done before anybody wonders.
pub const QUIET_FOR: Duration = Duration::from_secs(2);

/// Shows progress on standard error. Cloning shares it.
#[derive(Clone)]
pub struct Terminal(Arc<Shared>);

struct Shared {
    quiet: bool,
    bar: Option<ProgressBar>,
    counts: [AtomicU64; 4],
    totals: [AtomicU64; 4],
    phase: Mutex<Phase>,
    /// The newest notes: who works in several steps notices the same in each.
    noted: Mutex<VecDeque<String>>,
}

/// So many notes are remembered.
const NOTED_MAX: usize = 16;

struct Phase {
    name: String,
    began: Instant,
    said: Instant,
}

fn slot(counter: Counter) -> usize {
    match counter {
        Counter::Entries => 0,
        Counter::Bytes => 1,
        Counter::StoredBytes => 2,
        Counter::Exceptions => 3,
    }
}

impl Terminal {
    /// A display that says nothing when `quiet`.
    pub fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self(Arc::new(Shared {
            quiet,
            bar,
            counts: Default::default(),
            totals: Default::default(),
            phase: Mutex::new(Phase { name: String::new(), began: now, said: now }),
            noted: Mutex::default(),
        }))
    }

    /// Whether anybody is shown anything.
    pub fn is_shown(&self) -> bool {
        !self.0.quiet
    }

    /// Removes the bar, so that results can be printed.
    pub fn clear(&self) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
    }

    fn refresh(&self) {
        let shared = &self.0;
        if shared.quiet {
            return;
        }
        // Who does not get the lock is not needed: another thread is just printing.
        let Ok(mut phase) = shared.phase.try_lock() else { return };
        let now = Instant::now();
        if now - phase.began < QUIET_FOR {
            return;
        }
        match &shared.bar {
            Some(bar) if now - phase.said >= Duration::from_millis(100) => {
                bar.set_message(line(shared, &phase, now));
                bar.tick();
                phase.said = now;
            }
            None if now - phase.said >= PLAIN_LINE_EVERY => {
                anstream::eprintln!("{}", line(shared, &phase, now));
                phase.said = now;
            }
            _ => {}
        }
    }
}

fn line(shared: &Shared, phase: &Phase, now: Instant) -> String {
    let count = |counter| shared.counts[slot(counter)].load(Ordering::Relaxed);
    let total = |counter| shared.totals[slot(counter)].load(Ordering::Relaxed);
    let seconds = (now - phase.began).as_secs_f64().max(0.001);
    let mut text = if interrupt::is_stopping() { STOPPING_LINE.to_owned() } else { phase.name.clone() };
    let (entries, bytes) = (count(Counter::Entries), count(Counter::Bytes));
    if entries > 0 {
        match total(Counter::Entries) {
            // Totals are estimates: what grew since is more than was expected.
            all if all < entries => text += &format!(" · {entries}"),
            all => text += &format!(" · {entries} of {all}"),
        }
    }
    if bytes > 0 {
        let rate = bytes as f64 / seconds;
        match total(Counter::Bytes) {
            all if all < bytes => text += &format!(" · {}", ByteSize(bytes)),
            all => text += &format!(" · {} of {}", ByteSize(bytes), ByteSize(all)),
        }
        text += &format!(" · {}/s", ByteSize(rate as u64));
    }
    if let Some(left) = time_left(shared, seconds) {
        text += &format!(" · {left} left");
    }
    match count(Counter::Exceptions) {
        0 => {}
        exceptions => text += &format!(" · {exceptions} exceptions"),
    }
    text
}

/// By bytes if their total is known, else by entries.
fn time_left(shared: &Shared, seconds: f64) -> Option<String> {
    [Counter::Bytes, Counter::Entries].into_iter().find_map(|counter| {
        let done = shared.counts[slot(counter)].load(Ordering::Relaxed);
        let total = shared.totals[slot(counter)].load(Ordering::Relaxed);
        (done > 0 && total >= done).then(|| {
            let left = (total - done) as f64 * seconds / done as f64;
            duration(left)
        })
    })
}

/// Seconds as people say them: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        7200..172_800 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

impl Progress for Terminal {
    fn phase(&self, name: &str) {
        for counter in self.0.counts.iter().chain(&self.0.totals) {
            counter.store(0, Ordering::Relaxed);
        }
        let now = Instant::now();
        let mut phase = self.0.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = Phase { name: name.to_owned(), began: now, said: now };
    }

    fn total(&self, counter: Counter, amount: u64) {
        self.0.totals[slot(counter)].store(amount, Ordering::Relaxed);
    }

    fn add(&self, counter: Counter, amount: u64) {
        self.0.counts[slot(counter)].fetch_add(amount, Ordering::Relaxed);
        self.refresh();
    }

    fn stopping(&self) -> bool {
        interrupt::is_stopping()
    }

    fn note(&self, text: &str) {
        if self.0.quiet {
            return;
        }
        let mut noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.iter().any(|known| known == text) {
            return;
        }
        noted.push_back(text.to_owned());
        if noted.len() > NOTED_MAX {
            noted.pop_front();
        }
        drop(noted);
        match &self.0.bar {
            Some(bar) => bar.suspend(|| anstream::eprintln!("{text}")),
            None => anstream::eprintln!("{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let said: Vec<_> = [0.04, 9.9, 59.6, 200.0, 7500.0, 200_000.0].into_iter().map(duration).collect();
        assert_eq!(said, ["0.0 s", "9.9 s", "60 s", "3 min 20 s", "2 h 5 min", "2 d 7 h"]);
    }
    #[test]
    fn time_left_needs_a_total_and_a_total_that_was_too_small_is_not_shown() {
        let terminal = Terminal::new(true);
        terminal.phase("reading volumes");
        let said = |terminal: &Terminal| {
            let phase = terminal.0.phase.lock().unwrap();
            line(&terminal.0, &phase, phase.began + Duration::from_secs(20))
        };
        terminal.add(Counter::Entries, 2);
        assert_eq!(said(&terminal), "reading volumes · 2");
        terminal.total(Counter::Entries, 6);
        assert_eq!(said(&terminal), "reading volumes · 2 of 6 · 40 s left");
        terminal.total(Counter::Entries, 1);
        assert_eq!(said(&terminal), "reading volumes · 2");
    }
}
