//! One request to the API server: limits, time-outs, retries, errors with names.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;

use crate::connect::Cluster;
use crate::error::ClusterError;

/// An answer larger than this is refused: 500 objects of the size that etcd allows fit only in smaller pages.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Of a refusal, at most so much is read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// For one try. The API server's own limit for a request is 60 s.
const TRY_SECONDS_MAX: u64 = 65;
/// Tries of one request, the first included: with the pauses below they span about 10 s, an API server's restart.
pub(crate) const TRIES_MAX: u32 = 8;
/// Tries of a first question: whether a server is there at all must be known soon.
pub(crate) const FIRST_TRIES_MAX: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// A server may ask for a pause; for no longer than this.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Characters of a server's message that are kept.
const MESSAGE_CHARS_MAX: usize = 600;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// An answer of status 2xx.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    /// Texts of `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// A refusal or failure of one try, and the pause that the server asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ClusterError,
    pub(crate) asked_pause: Option<Duration>,
}

/// What Kubernetes says when it says no.
#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Call {
    /// A read of JSON.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            accept: "application/json",
            content_type: "",
            body: Bytes::new(),
        }
    }

    /// A write of JSON.
    pub(crate) fn write(method: Method, path: String, content_type: &'static str, body: &Value) -> Self {
        Self {
            method,
            path,
            accept: "application/json",
            content_type,
            // A JSON value always has a text.
            body: Bytes::from(body.to_string()),
        }
    }

    /// Verb and path, for errors.
    pub(crate) fn operation(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

impl Cluster {
    /// Sends a request that may be sent again without harm, until it is answered or tried often enough.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, ClusterError> {
        self.call_within(call, TRIES_MAX).await
    }

    /// As [`call`](Self::call), with another number of tries.
    pub(crate) async fn call_within(&self, call: &Call, tries_max: u32) -> Result<Answer, ClusterError> {
        let mut tries = 1;
        loop {
            match self.call_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if tries < tries_max && is_passing(&failure.error) => {
                    tokio::time::sleep(pause(tries, failure.asked_pause)).await;
                    tries += 1;
                }
                Err(failure) => return Err(failure.error),
            }
        }
    }

    /// As [`call`](Self::call), and parses the answer.
    pub(crate) async fn call_json<T: for<'de> Deserialize<'de>>(&self, call: &Call) -> Result<T, ClusterError> {
        parse(call, &self.call(call).await?.body)
    }

    /// Sends a request once.
    pub(crate) async fn call_once(&self, call: &Call) -> Result<Answer, Failure> {
        match tokio::time::timeout(Duration::from_secs(TRY_SECONDS_MAX), self.exchange(call)).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                error: ClusterError::Timeout { operation: call.operation(), seconds: TRY_SECONDS_MAX },
                asked_pause: None,
            }),
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, Failure> {
        let transport = |source: Box<dyn std::error::Error + Send + Sync>| Failure {
            error: ClusterError::Transport { operation: call.operation(), source },
            asked_pause: None,
        };
        let mut request = Request::builder().method(&call.method).uri(&call.path).header(header::ACCEPT, call.accept);
        if !call.content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, call.content_type);
        }
        let request = request.body(Body::from(call.body.to_vec())).map_err(|error| transport(error.into()))?;
        let response = self.client.send(request).await.map_err(|error| transport(error.into()))?;
        let (head, body) = response.into_parts();
        let bytes_max = if head.status.is_success() { ANSWER_BYTES_MAX } else { REFUSAL_BYTES_MAX };
        match Limited::new(body, bytes_max).collect().await {
            Ok(collected) if head.status.is_success() => {
                Ok(Answer { body: collected.to_bytes(), warnings: warnings(&head.headers) })
            }
            Ok(collected) => Err(refusal(call, head.status, &head.headers, &collected.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() && head.status.is_success() => Err(Failure {
                error: ClusterError::AnswerTooLarge { operation: call.operation(), bytes_max },
                asked_pause: None,
            }),
            Err(error) if error.is::<LengthLimitError>() => Err(refusal(call, head.status, &head.headers, b"")),
            Err(error) => Err(transport(error)),
        }
    }
}

/// Parses an answer.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(call: &Call, body: &[u8]) -> Result<T, ClusterError> {
    serde_json::from_slice(body)
        .map_err(|error| ClusterError::Answer { operation: call.operation(), fault: error.to_string() })
}

/// Whether the error may pass by itself, soon.
pub(crate) fn is_passing(error: &ClusterError) -> bool {
    match error {
        ClusterError::Transport { .. } | ClusterError::Timeout { .. } => true,
        ClusterError::Refused { code, .. } => matches!(code, 429 | 500 | 502..=504),
        _ => false,
    }
}

/// How long to wait after the try of this number, which failed.
pub(crate) fn pause(tries: u32, asked: Option<Duration>) -> Duration {
    let own = PAUSE_MIN.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(PAUSE_MAX);
    asked.map_or(own, |asked| asked.min(ASKED_PAUSE_MAX).max(PAUSE_MIN))
}

fn refusal(call: &Call, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let said: Status = serde_json::from_slice(body)
        .unwrap_or_else(|_| Status { reason: String::new(), message: String::from_utf8_lossy(body).into_owned() });
    let asked = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Failure {
        error: ClusterError::Refused {
            operation: call.operation(),
            code: status.as_u16(),
            reason: said.reason,
            message: said.message.chars().take(MESSAGE_CHARS_MAX).collect(),
        },
        asked_pause: asked.map(Duration::from_secs),
    }
}

/// The texts of `Warning: 299 - "text"` headers.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::WARNING).iter().filter_map(|value| value.to_str().ok());
    values
        .filter_map(|value| value.split_once('"').map(|(_, text)| text))
        .map(|text| text.strip_suffix('"').unwrap_or(text).replace("\\\"", "\""))
        .collect()
}
