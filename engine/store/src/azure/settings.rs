//! Where an `az://` URL points, and how the client behaves.

use std::time::Duration;

use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::wire::Observing;
use crate::name::{NAME_BYTES_MAX, is_name};
use crate::open::without_secrets;
use crate::{Kind, Operation, Result, StoreError};

/// Names another service than Azure's own: a sovereign cloud, or an emulator on this machine.
const ENDPOINT_VARIABLE: &str = "AZURE_STORAGE_ENDPOINT";

/// A connection in the paired region is made in well under a second; ten say that it is not there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// One request with its body: 32 MiB over a link of half a megabit a second.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(600);
/// A download that brings no byte for a minute is dead, however large it is.
const READ_GAP_MAX: Duration = Duration::from_secs(60);
/// Retries of reads: with the waits below they bridge two minutes, in which a store fails over inside its region.
const READ_RETRIES_MAX: usize = 12;
/// After this no read is tried again; longer outages are the caller's to wait for.
const READ_RETRY_TIME_MAX: Duration = Duration::from_secs(120);
/// First wait before a retry, doubled each time.
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest wait before a retry.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// A parsed `az://account/container/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) account: String,
    pub(super) container: String,
    /// Empty, or a name followed by `/`.
    pub(super) prefix: String,
}

impl Place {
    pub(super) fn url(&self) -> String {
        let Self { account, container, prefix } = self;
        format!("az://{account}/{container}/{prefix}").trim_end_matches('/').to_owned()
    }
}

pub(super) fn bad(url: &str, reason: impl Into<String>) -> StoreError {
    StoreError::new(Operation::Open, "", without_secrets(url), Kind::BadUrl).because(reason.into())
}

/// Takes the URL apart by Azure's own naming rules.
pub(super) fn parse(url: &str) -> Result<Place> {
    let rest = url.strip_prefix("az://").unwrap_or_default();
    let mut parts = rest.splitn(3, '/');
    let account = parts.next().unwrap_or_default();
    let Some(container) = parts.next().filter(|container| !container.is_empty()) else {
        return Err(bad(url, "write az://account/container or az://account/container/prefix"));
    };
    let is_word = |word: &str, dash: bool| {
        word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || (dash && byte == b'-'))
    };
    if !(3..=24).contains(&account.len()) || !is_word(account, false) {
        return Err(bad(url, "a storage account is 3 to 24 lower-case letters and digits"));
    }
    if !(3..=63).contains(&container.len()) || !is_word(container, true) {
        return Err(bad(url, "a container is 3 to 63 lower-case letters, digits and dashes"));
    }
    let prefix = parts.next().unwrap_or_default().trim_end_matches('/');
    // Prefix, slash and name together stay below Azure's 1 024.
    if !prefix.is_empty() && (!is_name(prefix) || prefix.len() >= NAME_BYTES_MAX) {
        return Err(bad(url, "the prefix keeps the rules of object names"));
    }
    let prefix = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    Ok(Place { account: account.to_owned(), container: container.to_owned(), prefix })
}

/// A builder with credentials from the environment, under the names that Azure's own tools use, and with the
/// endpoint from there.
pub(super) fn from_environment(url: &str, place: &Place) -> Result<MicrosoftAzureBuilder> {
    let builder = MicrosoftAzureBuilder::from_env();
    match std::env::var(ENDPOINT_VARIABLE) {
        Ok(endpoint) => with_endpoint(builder, url, place, &endpoint),
        Err(_) => Ok(builder),
    }
}

/// Points the builder to another service. On this machine the account is the first segment of the path, as
/// emulators have it; elsewhere the endpoint is the account's own. Plain HTTP stays on this machine.
pub(super) fn with_endpoint(
    builder: MicrosoftAzureBuilder,
    url: &str,
    place: &Place,
    endpoint: &str,
) -> Result<MicrosoftAzureBuilder> {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some(("http" | "https", rest)) if is_loopback(rest) => {
            Ok(builder.with_endpoint(format!("{endpoint}/{}", place.account)))
        }
        Some(("https", _)) => Ok(builder.with_endpoint(endpoint.to_owned())),
        Some(("http", _)) => Err(bad(url, format!("{ENDPOINT_VARIABLE} is plain http and not on this machine"))),
        _ => Err(bad(url, format!("{ENDPOINT_VARIABLE} is not an https URL"))),
    }
}

/// Whether what follows `://` is a loopback address, with or without a port, and nothing else.
fn is_loopback(authority: &str) -> bool {
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    if let Some(rest) = authority.strip_prefix("[::1]") {
        return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let is_v4 = host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    (is_v4 || host == "localhost") && is_port(port)
}

/// Two clients of one container: `reader` repeats what failed, `writer` sends each request once.
pub(super) fn connect(
    url: &str,
    place: &Place,
    builder: MicrosoftAzureBuilder,
) -> Result<(MicrosoftAzure, MicrosoftAzure)> {
    // Plain HTTP is on only because `with_endpoint` let none pass that leaves this machine.
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIME_MAX)
        .with_timeout(REQUEST_TIME_MAX)
        .with_allow_http(true);
    let backoff = BackoffConfig { init_backoff: BACKOFF_FIRST, max_backoff: BACKOFF_MAX, base: 2.0 };
    let builder = builder
        .with_account(&place.account)
        .with_container_name(&place.container)
        .with_use_emulator(false)
        .with_http_connector(Observing);
    let reader = builder
        .clone()
        // Not for the writer: there the gap would span the whole upload.
        .with_client_options(options.clone().with_read_timeout(READ_GAP_MAX))
        .with_retry(RetryConfig {
            backoff: backoff.clone(),
            max_retries: READ_RETRIES_MAX,
            retry_timeout: READ_RETRY_TIME_MAX,
        });
    let writer = builder.with_client_options(options).with_retry(RetryConfig {
        backoff,
        // The library would repeat a put whose connection broke after the body was sent, and then take its own
        // object for somebody else's.
        max_retries: 0,
        retry_timeout: Duration::ZERO,
    });
    let refuse = |source| StoreError::new(Operation::Open, "", without_secrets(url), Kind::BadUrl).because(source);
    Ok((
        reader.build().map_err(|error| refuse(Box::new(error)))?,
        writer.build().map_err(|error| refuse(Box::new(error)))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart_and_together() {
        for (url, prefix) in [
            ("az://east/firn", ""),
            ("az://east/firn/", ""),
            ("az://east/firn/a", "a/"),
            ("az://east/firn/a/b/", "a/b/"),
        ] {
            let place = parse(url).unwrap();
            assert_eq!((place.account.as_str(), place.container.as_str()), ("east", "firn"));
            assert_eq!(place.prefix, prefix);
            assert_eq!(place.url(), url.trim_end_matches('/'));
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        let place = parse("az://east/firn").unwrap();
        let accepted =
            |endpoint: &str| with_endpoint(MicrosoftAzureBuilder::new(), "az://east/firn", &place, endpoint).is_ok();
        for endpoint in ["http://127.0.0.1:10000", "http://localhost:1/", "http://[::1]:9", "https://x.example"] {
            assert!(accepted(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://127.0.0.1@example.org",
            "http://localhost:1@example.org",
            "http://[::1]@example.org",
            "http://10.0.0.1:80",
            "ftp://127.0.0.1",
            "127.0.0.1:80",
            "",
        ] {
            assert!(!accepted(endpoint), "{endpoint}");
        }
    }
}
