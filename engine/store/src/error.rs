//! What can go wrong between Firn and a store, sorted by what a caller may do about it.

use std::error::Error;
use std::fmt;

/// Shorthand of this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The verbs of the contract, as they appear in errors, counts and traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A URL was turned into a store.
    Open,
    /// `Store::put_new`.
    Put,
    /// `Store::get`.
    Get,
    /// `Store::get_range`.
    GetRange,
    /// `Store::head`.
    Head,
    /// `Store::list`.
    List,
    /// `Store::delete`.
    Delete,
    /// `Store::time`.
    Time,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Put => "put",
            Self::Get => "get",
            Self::GetRange => "read a range of",
            Self::Head => "look up",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Time => "ask the time with",
        })
    }
}

/// What an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// There is no object, folder or container of that name.
    NotFound,
    /// The request may or may not have taken effect, now or later. Read back to know.
    Ambiguous,
    /// The store refused these credentials or this user.
    PermissionDenied,
    /// The store did not answer, or only with "try later". The request had no effect, or was a read.
    Unreachable,
    /// No space or quota is left.
    Full,
    /// The store takes no writes.
    ReadOnly,
    /// The object is larger than the caller's limit.
    TooLarge,
    /// Fewer bytes came than were asked for, or than the object has.
    Short,
    /// An object of that name exists and its content is not the expected one.
    Differs,
    /// The store cannot create an object only if it is absent, so Firn must not write to it.
    NoConditionalPut,
    /// The object name breaks the rules of `check_name`.
    BadName,
    /// The URL, or the settings that go with it, name no store that Firn can open.
    BadUrl,
    /// Anything else; the source says what.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Ambiguous => "outcome unknown",
            Self::PermissionDenied => "permission denied",
            Self::Unreachable => "store unreachable",
            Self::Full => "no space or quota left",
            Self::ReadOnly => "store is read-only",
            Self::TooLarge => "larger than allowed",
            Self::Short => "fewer bytes than expected",
            Self::Differs => "exists with other content",
            Self::NoConditionalPut => "store cannot create an object only if it is absent",
            Self::BadName => "bad object name",
            Self::BadUrl => "bad store URL or settings",
            Self::Other => "failed",
        })
    }
}

/// A failed store operation: what was tried, on which object, where, and what it means.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{name}` at {url}: {kind}")]
pub struct StoreError {
    /// What was tried.
    pub operation: Operation,
    /// The object's name, or the prefix of a list; empty for the whole store.
    pub name: String,
    /// The store, as `Store::describe` names it; never holds a secret.
    pub url: String,
    /// What it means for the caller.
    pub kind: Kind,
    /// What the layer below said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a cause below it.
    pub fn new(operation: Operation, name: &str, url: impl Into<String>, kind: Kind) -> Self {
        Self { operation, name: name.to_owned(), url: url.into(), kind, source: None }
    }

    /// The same error with its cause: an error of the layer below, or a sentence.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether trying again, unchanged, is pointless until somebody mends something.
    pub fn is_permanent(&self) -> bool {
        !matches!(self.kind, Kind::Ambiguous | Kind::Unreachable | Kind::Short)
    }

    /// Whether the object (or folder, or container) is simply not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }
}
