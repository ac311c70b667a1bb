//! `az://account/container/prefix` stores: Azure Blob Storage, and emulators of it on this machine.

use std::ops::{ControlFlow, Range};

use bytes::{Bytes, BytesMut};
use futures::{Future, StreamExt};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::name::{check_name, check_prefix, is_name};
use crate::{Head, Kind, Listed, Operation, Put, Result, Store, StoreError};

mod runtime;
mod settings;
mod verdict;
mod wire;

use settings::Place;
use verdict::PutVerdict;
use wire::Wire;

/// Tries of a put that a busy or unreachable service certainly did not carry out: some six seconds of waiting.
const PUT_TRIES_MAX: u32 = 6;
/// Pages in a row that may bring nothing new, before a list is given up.
const EMPTY_PAGES_MAX: u32 = 1_000;
/// Above the largest blob that Azure stores (190 TiB); no range goes that far.
const BLOB_BYTES_MAX: u64 = 1 << 48;

/// A store below a prefix of a container, which must exist.
///
/// Credentials come from the environment: `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_KEY`, workload identity
/// (`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_FEDERATED_TOKEN_FILE`), a service principal, else the machine's
/// managed identity. `AZURE_STORAGE_ENDPOINT` names another service.
///
/// A put is one conditional request (`If-None-Match: *`). It is repeated only when the service certainly did not
/// carry it out, so `Exists` never speaks of this call's own object. Reads are repeated for two minutes.
pub struct AzureStore {
    place: Place,
    reader: MicrosoftAzure,
    writer: MicrosoftAzure,
}

impl AzureStore {
    /// The store that the URL names, with credentials and endpoint from the environment. Contacts nothing yet.
    ///
    /// # Errors
    /// `BadUrl` for a malformed URL, endpoint or credential.
    pub fn new(url: &str) -> Result<Self> {
        let place = settings::parse(url)?;
        let builder = settings::from_environment(url, &place)?;
        Self::connect(url, place, builder)
    }

    /// The same at an explicit endpoint with an account key (base64), whatever the environment says.
    ///
    /// # Errors
    /// `BadUrl` for a malformed URL, endpoint or key.
    pub fn with_account_key(url: &str, endpoint: &str, account_key: &str) -> Result<Self> {
        let place = settings::parse(url)?;
        let builder = MicrosoftAzureBuilder::new().with_access_key(account_key);
        let builder = settings::with_endpoint(builder, url, &place, endpoint)?;
        Self::connect(url, place, builder)
    }

    fn connect(url: &str, place: Place, builder: MicrosoftAzureBuilder) -> Result<Self> {
        let (reader, writer) = settings::connect(url, &place, builder)?;
        Ok(Self { place, reader, writer })
    }

    fn error(&self, operation: Operation, name: &str, kind: Kind) -> StoreError {
        StoreError::new(operation, name, self.describe(), kind)
    }

    fn path(&self, operation: Operation, name: &str) -> Result<Path> {
        check_name(operation, name, || self.describe())?;
        Path::parse(format!("{}{name}", self.place.prefix))
            .map_err(|source| self.error(operation, name, Kind::BadName).because(source))
    }

    /// Runs a read on the runtime and judges its failure.
    fn read<T: Send + 'static>(
        &self,
        operation: Operation,
        name: &str,
        wire: &Wire,
        future: impl Future<Output = Result<T, ReadError>> + Send + 'static,
    ) -> Result<T> {
        let result =
            runtime::wait(future).map_err(|source| self.error(operation, name, Kind::Other).because(source))?;
        result.map_err(|error| match error {
            ReadError::Client(error) => {
                let kind = verdict::of_read(&error, &wire.answer());
                self.error(operation, name, kind).because(error)
            }
            ReadError::Kind(kind) => self.error(operation, name, kind),
        })
    }

    fn page(&self, prefix: &str, after: Option<&str>, token: Option<String>) -> Result<Page> {
        let wire = Wire::default();
        let options = PaginatedListOptions {
            offset: after.map(|after| format!("{}{after}", self.place.prefix)),
            page_token: token,
            extensions: wire.extensions(),
            ..PaginatedListOptions::default()
        };
        let reader = self.reader.clone();
        let path = format!("{}{prefix}", self.place.prefix);
        let page = self.read(Operation::List, prefix, &wire, async move {
            Ok(reader.list_paginated(Some(&path), options).await?)
        })?;
        let mut lines = Vec::with_capacity(page.result.objects.len());
        for object in page.result.objects {
            let name = object.location.as_ref().strip_prefix(&self.place.prefix);
            let Some(name) = name.filter(|name| is_name(name) && name.starts_with(prefix)) else {
                // Somebody else's object, which no name of ours can spell.
                continue;
            };
            let modified = Timestamp::from_second(object.last_modified.timestamp())
                .map_err(|source| self.error(Operation::List, prefix, Kind::Other).because(source))?;
            lines.push(Listed { name: name.to_owned(), bytes: object.size, modified });
        }
        Ok(Page { lines, token: page.page_token })
    }
}

struct Page {
    lines: Vec<Listed>,
    token: Option<String>,
}

/// How a read failed: as the client library says, or as we found ourselves.
enum ReadError {
    Client(object_store::Error),
    Kind(Kind),
}

impl From<object_store::Error> for ReadError {
    fn from(error: object_store::Error) -> Self {
        Self::Client(error)
    }
}

/// Sends one conditional put until its outcome is known or unknowable.
async fn put(writer: MicrosoftAzure, path: Path, bytes: Bytes) -> Result<Put, (Kind, object_store::Error)> {
    let mut tries = 1;
    let mut delay = settings::BACKOFF_FIRST;
    loop {
        let wire = Wire::default();
        let options = PutOptions { mode: PutMode::Create, extensions: wire.extensions(), ..PutOptions::default() };
        let result = writer.put_opts(&path, PutPayload::from(bytes.clone()), options).await;
        let Err(error) = result else {
            return Ok(Put::Created);
        };
        match verdict::of_put(&error, &wire.answer()) {
            PutVerdict::Exists => return Ok(Put::Exists),
            PutVerdict::Failed(kind) => return Err((kind, error)),
            PutVerdict::Busy if tries == PUT_TRIES_MAX => return Err((Kind::Unreachable, error)),
            PutVerdict::Busy => {
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(settings::BACKOFF_MAX);
                tries += 1;
            }
        }
    }
}

/// Reads a body of exactly `bytes` bytes, never holding more.
async fn body(result: GetResult, bytes: u64) -> Result<Bytes, ReadError> {
    let mut stream = result.into_stream();
    let mut parts = Vec::new();
    let mut left = bytes;
    while let Some(part) = stream.next().await {
        let part = part?;
        let len = part.len() as u64;
        if len > left {
            return Err(ReadError::Kind(Kind::Other));
        }
        left -= len;
        parts.push(part);
    }
    if left > 0 {
        return Err(ReadError::Kind(Kind::Short));
    }
    if let [part] = parts.as_slice() {
        return Ok(part.clone());
    }
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in parts {
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

impl Store for AzureStore {
    fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put> {
        let path = self.path(Operation::Put, name)?;
        runtime::wait(put(self.writer.clone(), path, bytes))
            // The runtime lost the request; whether it was sent is not known.
            .map_err(|source| self.error(Operation::Put, name, Kind::Ambiguous).because(source))?
            .map_err(|(kind, source)| self.error(Operation::Put, name, kind).because(source))
    }

    fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes> {
        let path = self.path(Operation::Get, name)?;
        let (wire, reader) = (Wire::default(), self.reader.clone());
        let options = GetOptions { extensions: wire.extensions(), ..GetOptions::default() };
        self.read(Operation::Get, name, &wire, async move {
            let result = reader.get_opts(&path, options).await?;
            let bytes = result.meta.size;
            if bytes > bytes_max {
                return Err(ReadError::Kind(Kind::TooLarge));
            }
            body(result, bytes).await
        })
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.path(Operation::GetRange, name)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if range.end > BLOB_BYTES_MAX {
            self.head(name)?;
            return Err(self.error(Operation::GetRange, name, Kind::Short));
        }
        let (wire, reader) = (Wire::default(), self.reader.clone());
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            extensions: wire.extensions(),
            ..GetOptions::default()
        };
        let answered = wire.clone();
        self.read(Operation::GetRange, name, &wire, async move {
            let result = match reader.get_opts(&path, options).await {
                // Success, and the client library refuses the range that the answer names.
                Err(_) if matches!(answered.answer().status, Some(200..=299)) => {
                    return Err(ReadError::Kind(Kind::Short));
                }
                result => result?,
            };
            if result.range != range {
                return Err(ReadError::Kind(Kind::Short));
            }
            body(result, range.end - range.start).await
        })
    }

    fn head(&self, name: &str) -> Result<Head> {
        let path = self.path(Operation::Head, name)?;
        let (wire, reader) = (Wire::default(), self.reader.clone());
        let options = GetOptions { head: true, extensions: wire.extensions(), ..GetOptions::default() };
        self.read(Operation::Head, name, &wire, async move {
            let bytes = reader.get_opts(&path, options).await?.meta.size;
            Ok(Head { bytes })
        })
    }

    fn list(&self, prefix: &str, after: Option<&str>, each: &mut dyn FnMut(Listed) -> ControlFlow<()>) -> Result<()> {
        check_prefix(prefix, || self.describe())?;
        let refuse = |reason: &str| Err(self.error(Operation::List, prefix, Kind::Other).because(reason));
        let mut last = String::new();
        let mut token = None;
        let mut empty_pages = 0;
        loop {
            let page = self.page(prefix, after, token)?;
            empty_pages = if page.lines.is_empty() { empty_pages + 1 } else { 0 };
            for listed in page.lines {
                if listed.name <= last {
                    return refuse("the store's list is not sorted");
                }
                last.clone_from(&listed.name);
                // Emulators ignore where a list should start.
                if after.is_none_or(|after| listed.name.as_str() > after) && each(listed).is_break() {
                    return Ok(());
                }
            }
            token = match page.token {
                None => return Ok(()),
                Some(_) if empty_pages > EMPTY_PAGES_MAX => return refuse("the store's list does not end"),
                token => token,
            };
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(Operation::Delete, name)?;
        let reader = self.reader.clone();
        let result = runtime::wait(async move { reader.delete(&path).await })
            .map_err(|source| self.error(Operation::Delete, name, Kind::Ambiguous).because(source))?;
        match result {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => {
                let kind = verdict::of_delete(&error);
                Err(self.error(Operation::Delete, name, kind).because(error))
            }
        }
    }

    fn describe(&self) -> String {
        self.place.url()
    }

    fn time(&self) -> Result<Timestamp> {
        // Any answer carries the date, also that the object is missing.
        let path = self.path(Operation::Time, "FORMAT")?;
        let (wire, reader) = (Wire::default(), self.reader.clone());
        let options = GetOptions { head: true, extensions: wire.extensions(), ..GetOptions::default() };
        let looked = self
            .read(Operation::Time, "", &wire, async move { Ok(reader.get_opts(&path, options).await.map(|_| ())?) });
        let date = wire.answer().date;
        match (rfc2822::DateTimeParser::new().parse_timestamp(&date), looked) {
            (Ok(time), _) => Ok(time),
            (Err(_), Err(error)) => Err(error),
            (Err(source), Ok(())) => Err(self.error(Operation::Time, "", Kind::Other).because(source)),
        }
    }
}

#[cfg(test)]
mod tests;
