//! A small HTTP service in place of an API server, for tests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use crate::connect::Cluster;

/// A request, read whole.
pub(crate) struct Asked {
    pub(crate) head: http::request::Parts,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(crate) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An answer.
pub(crate) enum Reply {
    Json {
        status: StatusCode,
        body: Value,
        headers: Vec<(&'static str, &'static str)>,
    },
    Text(String),
    /// The connection breaks.
    Broken,
}

impl Reply {
    pub(crate) fn json(body: Value) -> Self {
        Self::Json { status: StatusCode::OK, body, headers: Vec::new() }
    }

    pub(crate) fn refusal(status: StatusCode, reason: &str, message: &str) -> Self {
        let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message});
        Self::Json { status, body, headers: Vec::new() }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        if let Self::Json { headers, .. } = &mut self {
            headers.push((name, value));
        }
        self
    }
}

type Answers = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

/// The service. Its answers are given the request, and how often this verb and path with this query came before.
#[derive(Clone)]
pub(crate) struct Mock {
    answers: Arc<Answers>,
    log: Arc<Mutex<Vec<String>>>,
    counts: Arc<Mutex<HashMap<String, usize>>>,
}

impl Mock {
    pub(crate) fn new(answers: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self { answers: Arc::new(answers), log: Arc::default(), counts: Arc::default() }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        let mock = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| mock.clone().answer(request));
        Cluster::from_client(kube::Client::new(service, "default"))
    }

    /// Verb and path of each request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let asked = Asked { head, body };
        self.log.lock().unwrap().push(format!("{} {}", asked.head.method, asked.path()));
        let name = format!("{} {}", asked.head.method, asked.head.uri);
        let count = {
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry(name).or_default();
            *count += 1;
            *count - 1
        };
        let reply = (self.answers)(&asked, count);
        let answer = |status: StatusCode, body: String, headers: Vec<(&str, &str)>| {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Body::from(body.into_bytes())).unwrap())
        };
        match reply {
            Reply::Json { status, body, headers } => Ok(answer(status, body.to_string(), headers).unwrap()),
            Reply::Text(body) => Ok(answer(StatusCode::OK, body, Vec::new()).unwrap()),
            Reply::Broken => Err(std::io::Error::other("connection reset")),
        }
    }
}
