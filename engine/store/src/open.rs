//! From a URL to a store.

use std::sync::Arc;

use crate::{AzureStore, FileStore, Kind, MemoryStore, Operation, Result, Store, StoreError};

/// Opens the store that a URL names: `file:///path`, `az://account/container/prefix`, `memory:` (a new one) or
/// `memory:NAME` (shared within this process). Nothing is contacted yet.
///
/// # Errors
/// `BadUrl`, with the reason as its source.
pub fn open(url: &str) -> Result<Arc<dyn Store>> {
    let bad = |reason: String| StoreError::new(Operation::Open, "", without_secrets(url), Kind::BadUrl).because(reason);
    if let Some(path) = url.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or("");
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
    if url.starts_with("az://") {
        return Ok(Arc::new(AzureStore::new(url)?));
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
pub(crate) fn without_secrets(url: &str) -> String {
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use bytes::Bytes;

    use super::*;

    fn refused(url: &str) -> (StoreError, String) {
        let error = open(url).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, Kind::BadUrl, "{url}");
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        (error, source)
    }

    #[test]
    fn good_urls_open_and_describe_themselves() {
        for url in ["file:///some/folder", "memory:", "memory:one"] {
            assert_eq!(open(url).unwrap().describe(), url);
        }
    }

    #[test]
    fn bad_urls_say_what_to_write_instead() {
        for (url, reason) in [
            ("/plain/path", "file:///absolute/path"),
            ("plain", "file:///absolute/path"),
            ("file://relative", "three slashes"),
            ("file:/one", "three slashes"),
            ("s3://bucket/x", "later"),
            ("gs://bucket/x", "later"),
            ("ftp://host/x", "unknown scheme `ftp`"),
            ("az://account", "az://account/container"),
            ("az://account/container/../x", "prefix"),
            ("az://Account/container", "account"),
            ("az://account/con_tainer", "container"),
            ("", "not a URL"),
        ] {
            let (_, source) = refused(url);
            assert!(source.contains(reason), "{url}: {source}");
        }
    }

    #[test]
    fn errors_keep_secrets() {
        for url in ["az://user:secret@a/b?sig=secret", "x://secret@h", "az://a/B?sv=1&sig=secret#secret"] {
            let (error, source) = refused(url);
            assert!(!format!("{error} {source}").contains("secret"), "{error} {source}");
        }
    }

    #[test]
    fn named_memory_is_shared_and_unnamed_is_not() {
        let _ = open("memory:shared").unwrap().put_new("a", Bytes::new()).unwrap();
        assert!(open("memory:shared").unwrap().head("a").is_ok());
        let _ = open("memory:").unwrap().put_new("a", Bytes::new()).unwrap();
        assert!(open("memory:").unwrap().head("a").is_err());
    }
}
