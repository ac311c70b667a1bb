//! The contract: the few verbs that all of Firn's safety stands on.

use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use jiff::Timestamp;

use crate::{Kind, Result};

/// What `Store::put_new` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// This call created the object.
    Created,
    /// An object of that name was there already and was left as it was.
    Exists,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its length.
    pub bytes: u64,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The object's whole name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was created, by the store's own clock.
    pub modified: Timestamp,
}

/// A place where objects rest under names.
///
/// # Contract
/// - **Names** keep the rules of `check_name`; any other is `Kind::BadName`. A prefix is empty or ends with `/`.
///   Callers never use one name as the folder of another (`a` and `a/b`).
/// - **Objects are created once**, whole, and never changed. A reader sees all of an object or none of it.
/// - **`put_new` is atomic against every other writer of the store**: of any number of concurrent calls with one
///   name exactly one returns `Created`; all others return `Exists` or an error. What `Created` or `Exists` speaks
///   of survives a power cut. An error of kind `Ambiguous` means that the object may be there, now or later; any
///   other error means that this call created nothing. No implementation repeats a put whose outcome it does not
///   know: that is `put_new_resolved`'s work.
/// - **Reads are of what was put**: after `Created` or `Exists`, every `get`, `head` and `list` of every client
///   sees the object until it is deleted. Content is not verified here: names and seals above do that.
/// - **Lengths are exact**: `get` returns all of the object or fails; `get_range` exactly the range or fails.
/// - **A list is sorted by name (bytes) and whole.** One that cannot be finished is an error, even when lines
///   were already delivered; callers discard those. An empty folder is an empty list; a missing store is an error.
/// - **`delete` of a missing object succeeds.** Its durability is not promised. Only the collector deletes.
/// - **Calls block**, may come from any number of threads, with or without an async runtime around them, and end:
///   each implementation bounds its retries and waiting times.
/// - **Errors never hold secrets.**
pub trait Store: Send + Sync {
    /// Creates the object if no object of that name exists; durable when it returns.
    ///
    /// # Errors
    /// See the contract; `Ambiguous` where the outcome is not known.
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put>;

    /// The whole object, if it has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// `NotFound`; `TooLarge` before anything is read; `Short` when the body ends early.
    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes>;

    /// Exactly the bytes of `range`. An empty range is empty without asking the store.
    ///
    /// # Errors
    /// `NotFound`; `Short` when the object ends before the range does, or the body ends early.
    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes>;

    /// The object's length.
    ///
    /// # Errors
    /// `NotFound`.
    fn head(&self, name: &str) -> Result<Head>;

    /// Hands every object whose name begins with `prefix` and is greater than `after` to `each`, in order of name,
    /// until `each` breaks. Objects created or deleted meanwhile may or may not appear.
    ///
    /// # Errors
    /// Any failure, also in the middle; a list that returns `Ok` without a break was whole.
    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()>;

    /// Deletes the object; a missing one is success.
    ///
    /// # Errors
    /// The object may still be there, or may vanish later.
    fn delete(&self, name: &str) -> Result<()>;

    /// The store's URL, without secrets, for people.
    fn describe(&self) -> String;

    /// What the store's own clock says. It orders nothing; it is evidence beside the writer's clock.
    ///
    /// # Errors
    /// Stores that cannot be written to may be unable to tell.
    fn time(&self) -> Result<Timestamp>;
}

/// How much `put_new_resolved` wants to see of an object that it did not certainly create itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The length: enough where the name is the hash of the bytes and readers verify it.
    Length,
    /// Every byte.
    Bytes,
}

/// How often a put of unknown outcome is tried before the caller hears of it: each try already waited as long as
/// the store allows.
const PUT_TRIES_MAX: u32 = 3;

/// Creates an object whose name follows from its content, and resolves every unclear outcome by reading back.
///
/// `Created` means that this call certainly created it; `Exists` that it is there, by whomever. Not for log
/// entries: there it matters whose object it is.
///
/// # Errors
/// `Differs` if an object of that name holds something else; `Ambiguous` if the outcome stays unknown.
pub fn put_new_resolved(store: &dyn Store, name: &str, bytes: Bytes, check: Check) -> Result<Put> {
    let mut tries = 1;
    loop {
        let ambiguous = match store.put_new(name, bytes.clone()) {
            Ok(Put::Created) => return Ok(Put::Created),
            Ok(Put::Exists) => None,
            Err(error) if error.kind == Kind::Ambiguous => Some(error),
            Err(error) => return Err(error),
        };
        match (verify(store, name, &bytes, check), ambiguous) {
            (Ok(()), _) => return Ok(Put::Exists),
            (Err(error), Some(_)) if error.is_not_found() && tries < PUT_TRIES_MAX => tries += 1,
            (Err(error), Some(ambiguous)) if error.is_not_found() => return Err(ambiguous),
            (Err(error), _) => return Err(error),
        }
    }
}

/// Whether the object holds `bytes`, as far as `check` looks.
fn verify(store: &dyn Store, name: &str, bytes: &Bytes, check: Check) -> Result<()> {
    let differs = || {
        let error = crate::StoreError::new(crate::Operation::Put, name, store.describe(), Kind::Differs);
        Err(error)
    };
    let bytes_expected = bytes.len() as u64;
    if store.head(name)?.bytes != bytes_expected {
        return differs();
    }
    if check == Check::Bytes && store.get(name, bytes_expected)? != bytes {
        return differs();
    }
    Ok(())
}
