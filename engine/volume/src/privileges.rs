//! Which privileged properties a restore may bring back, and what it left out.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::exception::{Exception, Reason};

/// What a restored tree may hold that gives power over the machine. What is not allowed is left out and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    /// Character and block devices.
    pub devices: bool,
    /// The set-user-id and set-group-id bits of files.
    pub set_id: bool,
    /// `security.capability`.
    pub capabilities: bool,
    /// `trusted.*` and every `security.*` but capabilities: labels belong to the machine that is restored to.
    pub labels: bool,
}

impl Default for Privileges {
    /// Faithful to the application: without devices and without the labels of another machine.
    fn default() -> Self {
        Self { devices: false, set_id: true, capabilities: true, labels: false }
    }
}

/// File capabilities: like set-id bits, but for parts of root's power.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Whether the attribute means something only to the machine it was made on.
pub(crate) fn is_label(xattr: &[u8]) -> bool {
    xattr.starts_with(b"trusted.") || xattr.starts_with(b"security.") && xattr != CAPABILITY
}

/// What was left out so often that a name each would say nothing: one exception a class, with a count.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    classes: Mutex<BTreeMap<(Reason, &'static str), Class>>,
}

#[derive(Debug)]
struct Class {
    count: u64,
    first: Vec<u8>,
}

impl LeftOut {
    /// Counts `path` in a class of `what` was left out.
    pub(crate) fn count(&self, reason: Reason, what: &'static str, path: &[u8]) {
        self.classes.lock().entry((reason, what)).or_insert_with(|| Class { count: 0, first: path.to_vec() }).count +=
            1;
    }

    /// One exception a class, about its first path; counting starts anew.
    pub(crate) fn take(&self) -> Vec<Exception> {
        let classes = std::mem::take(&mut *self.classes.lock());
        classes
            .into_iter()
            .map(|((reason, what), class)| {
                Exception::new(class.first, reason, format!("{what}, {} in all", class.count))
            })
            .collect()
    }
}
