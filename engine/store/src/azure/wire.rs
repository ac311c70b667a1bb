//! What the wire said about one call: the client library hides status and clock, and both decide what is safe.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, Extensions};
use parking_lot::Mutex;

/// Longest header value that is kept.
const HEADER_BYTES_MAX: usize = 100;

/// The last answer to one call's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status, if an answer came.
    pub(super) status: Option<u16>,
    /// Azure's own name for what went wrong.
    pub(super) code: String,
    /// The server's clock, as sent.
    pub(super) date: String,
    /// How the transport failed, if no answer came.
    pub(super) failure: Option<HttpErrorKind>,
}

/// Collects the answers to one call. Goes with its requests as an extension.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire(Arc<Mutex<Answer>>);

impl Wire {
    /// What a call's options carry so that its requests are seen.
    pub(super) fn extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(self.clone());
        extensions
    }

    /// The last answer; all empty if no request was sent.
    pub(super) fn answer(&self) -> Answer {
        self.0.lock().clone()
    }
}

/// Makes clients that note each answer in the request's `Wire`.
#[derive(Debug)]
pub(super) struct Observing;

impl HttpConnector for Observing {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Observed(client)))
    }
}

#[derive(Debug)]
struct Observed(HttpClient);

#[async_trait]
impl HttpService for Observed {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let wire = request.extensions().get::<Wire>().cloned();
        let result = self.0.execute(request).await;
        if let Some(Wire(answer)) = wire {
            *answer.lock() = match &result {
                Ok(response) => Answer {
                    status: Some(response.status().as_u16()),
                    code: header(response, "x-ms-error-code"),
                    date: header(response, "date"),
                    failure: None,
                },
                Err(error) => Answer { failure: Some(error.kind()), ..Answer::default() },
            };
        }
        result
    }
}

fn header(response: &HttpResponse, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    value.chars().take(HEADER_BYTES_MAX).collect()
}
