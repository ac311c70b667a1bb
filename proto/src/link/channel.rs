//! One connection to a coordinator, and the one question that needs no certificate.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;
use tower::Service;

use crate::error::ProtoError;
use crate::generated::messages::enrollment_client::EnrollmentClient;
use crate::generated::messages::{EnrollReply, EnrollRequest};
use crate::limits::{ENROLLMENT_BYTES_MAX, fits};
use crate::link::keep_alive::KeepAlive;
use crate::secret::Secret;
use crate::tls::client::ClientTls;

/// For a connection, and again for the handshake.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A certificate needs the coordinator to ask its API server.
const ENROLL_TIME: Duration = Duration::from_secs(30);

/// A connection. It ends when this and all streams on it are dropped.
pub(crate) struct Channel(SendRequest<Body>);

impl Channel {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr, tls: &ClientTls, keep_alive: KeepAlive) -> Result<Self, ProtoError> {
        let connect = |source| ProtoError::Connect { address, source };
        let silent = |what| move |_| ProtoError::Silent { address, what };
        let stream = timeout(CONNECT_TIME, TcpStream::connect(address)).await.map_err(silent("a connection"))?;
        let stream = stream.map_err(connect)?;
        // Messages are small and wait for nothing that would fill a packet.
        stream.set_nodelay(true).map_err(connect)?;
        let handshake = async {
            let stream = tls.connect(address, stream).await?;
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(keep_alive.interval)
                .keep_alive_timeout(keep_alive.timeout)
                .keep_alive_while_idle(true)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|source| ProtoError::Http { address, source })
        };
        let (sender, connection) = timeout(CONNECT_TIME, handshake).await.map_err(silent("a handshake"))??;
        // Ends by itself with the last stream; what it ends with, the streams say.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "a connection ended");
            }
        });
        Ok(Self(sender))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// What stands in requests for the server. Nothing looks at it.
pub(crate) fn origin() -> Uri {
    Uri::from_static("https://coordinator.firn.invalid")
}

/// Asks the coordinator for a certificate: `request_der` from [`crate::Applicant`], `token` of the own service account.
///
/// # Errors
/// `Limit`; what connecting meets; `Ended` with the coordinator's reason if it refuses.
pub async fn enroll(
    address: SocketAddr,
    tls: &ClientTls,
    keep_alive: KeepAlive,
    request_der: &[u8],
    token: Secret,
) -> Result<EnrollReply, ProtoError> {
    let request = EnrollRequest { certificate_request: request_der.to_vec(), token: Some(token) };
    fits(&request)?;
    let channel = Channel::open(address, tls, keep_alive).await?;
    let mut client = EnrollmentClient::with_origin(channel, origin())
        .max_decoding_message_size(ENROLLMENT_BYTES_MAX)
        .max_encoding_message_size(ENROLLMENT_BYTES_MAX);
    let what = "the request for a certificate";
    let reply = timeout(ENROLL_TIME, client.enroll(request)).await;
    let reply = reply.map_err(|_| ProtoError::Silent { address, what })?;
    Ok(reply.map_err(|status| ProtoError::ended(address, what, &status))?.into_inner())
}
