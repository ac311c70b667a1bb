//! How many connections each identity has: one node that was taken over must not shut the others out.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::identity::Identity;

/// Connections of one identity at a time: the one that works, one that renews, and some that died without a word and are
/// not yet known to be dead.
pub(crate) const CONNECTIONS_EACH_MAX: usize = 6;

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<HashMap<Identity, usize>>);

/// Stands for one connection; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    crowd: Arc<Crowd>,
    identity: Identity,
}

impl Crowd {
    /// Lets one more in, if there is room for it.
    pub(crate) fn enter(self: &Arc<Self>, identity: &Identity) -> Option<Pass> {
        let mut counts = self.0.lock();
        let count = counts.entry(identity.clone()).or_default();
        if *count >= CONNECTIONS_EACH_MAX {
            return None;
        }
        *count += 1;
        Some(Pass { crowd: self.clone(), identity: identity.clone() })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock();
        if let Some(count) = counts.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.identity);
            }
        }
    }
}
