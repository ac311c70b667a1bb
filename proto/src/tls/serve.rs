//! The coordinator's door: takes connections in, finds out who is there, and lets each only where it may go.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tower::Service as _;

use crate::generated::messages::coordinator_server::{Coordinator, CoordinatorServer};
use crate::generated::messages::enrollment_server::{Enrollment, EnrollmentServer};
use crate::limits::{ENROLLMENT_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::link::keep_alive::KeepAlive;
use crate::tls::Peer;
use crate::tls::crowd::Crowd;
use crate::tls::server::ServerTls;

/// Connections at a time: agents of the largest clusters, and old ones that are not yet known to be dead.
const CONNECTIONS_MAX: usize = 16_384;

/// Connections at a time of whom nothing is known yet. More wait to be accepted.
const UNPROVEN_MAX: usize = 256;

/// A handshake takes two round trips.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A connection without a good certificate may only ask for one.
const UNPROVEN_TIME: Duration = Duration::from_secs(60);

/// An agent needs one stream, and one more to renew its certificate. Each may hold a message of the largest size.
const STREAMS_MAX: u32 = 2;

/// Names of methods and a few headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// After the listener failed (no file descriptors left, say) it is asked again.
const LISTENER_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop`, then closes all connections. Refused are: `Coordinator` without a good certificate of an agent of
/// this cluster, and every other name of a service. Handlers find the [`Peer`] among a request's extensions, and those of
/// `Coordinator` a [`crate::Leaf`] too.
pub async fn serve<E: Enrollment, W: Coordinator>(
    listener: TcpListener,
    tls: Arc<ServerTls>,
    keep_alive: KeepAlive,
    enrollment: E,
    coordinator: W,
    stop: impl Future<Output = ()>,
) {
    let door = Door {
        tls,
        crowd: Arc::default(),
        enrollment: EnrollmentServer::new(enrollment)
            .max_decoding_message_size(ENROLLMENT_BYTES_MAX)
            .max_encoding_message_size(ENROLLMENT_BYTES_MAX),
        coordinator: CoordinatorServer::new(coordinator)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX),
    };
    let unproven = Arc::new(Semaphore::new(UNPROVEN_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = accept(&listener, &unproven) => accepted,
        };
        match accepted {
            Ok(_) if connections.len() >= CONNECTIONS_MAX => {
                tracing::warn!(connections = CONNECTIONS_MAX, "a connection was refused: there are too many");
            }
            Ok((stream, permit)) => {
                connections.spawn(converse(stream, door.clone(), keep_alive, permit));
            }
            // Who left before he was let in says nothing about the listener.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(LISTENER_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &TcpListener, unproven: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = unproven.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// One connection, from the handshake to its end.
async fn converse<E: Enrollment, W: Coordinator>(
    stream: TcpStream,
    door: Door<E, W>,
    keep_alive: KeepAlive,
    unproven: OwnedSemaphorePermit,
) {
    let address = stream.peer_addr().ok();
    // Messages are small and wait for nothing that would fill a packet. Where that cannot be set they are only slower.
    let _set = stream.set_nodelay(true);
    let (stream, peer) = match timeout(HANDSHAKE_TIME, door.tls.accept(stream)).await {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => return tracing::debug!(?address, %error, "a handshake failed"),
        Err(_) => return tracing::debug!(?address, "a handshake took too long"),
    };
    if let Peer::Refused(error) = &peer {
        tracing::warn!(?address, %error, "a certificate is not good");
    }
    let pass = match &peer {
        Peer::Known(leaf) => match door.crowd.enter(&leaf.identity) {
            Some(pass) => Some(pass),
            None => return tracing::warn!(identity = %leaf.identity, "a connection was refused: it has too many"),
        },
        Peer::Unknown | Peer::Refused(_) => None,
    };
    let service = service_fn(move |request| door.clone().answer(peer.clone(), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(keep_alive.interval)
        .keep_alive_timeout(keep_alive.timeout)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let ended = match pass {
        Some(_pass) => {
            drop(unproven);
            connection.await
        }
        None => {
            let ended = timeout(UNPROVEN_TIME, connection).await;
            drop(unproven);
            ended.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?address, %error, "a connection ended");
    }
}

struct Door<E, W> {
    tls: Arc<ServerTls>,
    crowd: Arc<Crowd>,
    enrollment: EnrollmentServer<E>,
    coordinator: CoordinatorServer<W>,
}

impl<E: Enrollment, W: Coordinator> Door<E, W> {
    async fn answer(
        mut self,
        peer: Peer,
        mut request: http::Request<Incoming>,
    ) -> Result<http::Response<Body>, Infallible> {
        let service = request.uri().path().split('/').nth(1);
        match service {
            Some("firn.v1.Enrollment") => {
                request.extensions_mut().insert(peer);
                self.enrollment.call(request).await
            }
            Some("firn.v1.Coordinator") => {
                match peer.agent_of(&self.tls.leaf().identity, self.tls.clock().now_ms()) {
                    Ok(leaf) => request.extensions_mut().insert(leaf.clone()),
                    Err(error) => return Ok(error.status().into_http()),
                };
                request.extensions_mut().insert(peer);
                self.coordinator.call(request).await
            }
            _ => Ok(Status::unimplemented("there is no such service").into_http()),
        }
    }
}

impl<E, W> Clone for Door<E, W> {
    fn clone(&self) -> Self {
        Self {
            tls: self.tls.clone(),
            crowd: self.crowd.clone(),
            enrollment: self.enrollment.clone(),
            coordinator: self.coordinator.clone(),
        }
    }
}
