//! From a URL to a store.

use std::sync::Arc;

use crate::{FileStore, Kind, MemoryStore, Operation, Result, Store, StoreError};

/// Opens the store that a URL names: `file:///path`, `az://account/container/prefix`, `memory:` (a new one) or
/// `memory:NAME` (shared within this process). Nothing is contacted yet.
///
/// # Errors
/// `BadUrl`, with the reason as its source.
pub fn open(url: &str) -> Result<Arc<dyn Store>> {
    let bad = |reason: String| StoreError::new(Operation::Open, "", without_secrets(url), Kind::BadUrl).because(reason);
    if let Some(path) = url.strip_prefix("file://") {
        return match path.starts_with('/') {
            true => Ok(Arc::new(FileStore::new(path)?)),
            false => Err(bad(format!("a file URL has three slashes and an absolute path: file:///{path}"))),
        };
    }
    if let Some(label) = url.strip_prefix("memory:") {
        return match label {
            "" => Ok(Arc::new(MemoryStore::new())),
            label => Ok(MemoryStore::named(label)),
        };
    }
    match url.split_once(':') {
        Some(("s3" | "gs", _)) => Err(bad("S3 and Google Cloud Storage come later; use file:// or az://".to_owned())),
        Some((scheme, _)) if is_scheme(scheme) => {
            Err(bad(format!("unknown scheme `{scheme}`; known are file://, az:// and memory:")))
        }
        _ => Err(bad("not a URL; a local folder is file:///absolute/path".to_owned())),
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The URL without what people mistakenly paste into one: user, password, signature.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}
