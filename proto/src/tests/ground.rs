//! A coordinator and agents for tests. Time stands still unless a test moves it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

use crate::v1::enrollment_server::Enrollment;
use crate::v1::{EnrollReply, EnrollRequest, Hello, Task};
use crate::*;

/// When the tests take place.
pub(super) const NOW_MS: TimeMs = 1_800_000_000_000;

/// The token that the ground gives certificates for.
pub(super) const TOKEN: &str = "xyzzy-token-of-n1";

/// So short that tests need not wait.
pub(super) const SHORT: Backoff = Backoff { first: Duration::from_millis(20), most: Duration::from_millis(100) };

pub(super) struct Ground {
    now_ms: Arc<AtomicI64>,
    pub(super) authority: Arc<Authority>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<ServerTls>,
    pub(super) registry: Arc<Registry>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) enrolled: Arc<Mutex<Vec<Peer>>>,
    task: JoinHandle<()>,
}

impl Ground {
    pub(super) fn new() -> Self {
        Self { now_ms: Arc::new(AtomicI64::new(NOW_MS)), authority: Arc::new(authority()) }
    }

    pub(super) fn clock(&self) -> Clock {
        let now_ms = self.now_ms.clone();
        Clock::new(move || now_ms.load(Ordering::SeqCst))
    }

    pub(super) fn set_ms(&self, now_ms: TimeMs) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    pub(super) fn credentials(&self, identity: &str) -> Credentials {
        credentials(&self.authority, identity)
    }

    pub(super) fn trust(&self) -> Trust {
        trust(&[&self.authority])
    }

    pub(super) fn client(&self, identity: &str) -> Arc<ClientTls> {
        self.client_with(self.trust(), Some(&self.credentials(identity)))
    }

    pub(super) fn client_with(&self, trust: Trust, credentials: Option<&Credentials>) -> Arc<ClientTls> {
        let cluster = "c1".parse().expect("a name");
        Arc::new(ClientTls::new(cluster, trust, credentials, self.clock()).expect("TLS"))
    }

    pub(super) async fn server(&self) -> Server {
        self.server_with("127.0.0.1:0", &self.credentials("firn://c1/coordinator"), KeepAlive::default()).await
    }

    pub(super) async fn server_with(&self, at: &str, credentials: &Credentials, keep_alive: KeepAlive) -> Server {
        let listener = TcpListener::bind(at).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let tls = Arc::new(ServerTls::new(credentials, self.trust(), self.clock()).expect("TLS"));
        let (reception, registry, events) = Reception::new(self.clock(), "1.2.3");
        let enrolled = Arc::new(Mutex::new(Vec::new()));
        let desk = Desk { authority: self.authority.clone(), enrolled: enrolled.clone() };
        let task = tokio::spawn(serve(listener, tls.clone(), keep_alive, desk, reception, std::future::pending()));
        Server { address, tls, registry, events, enrolled, task }
    }
}

impl Server {
    /// The next thing that happens.
    pub(super) async fn event(&mut self) -> Event {
        let event = within(self.events.recv()).await;
        event.expect("somebody serves")
    }

    /// Dies, with all connections, as in a crash.
    pub(super) async fn kill(self) -> SocketAddr {
        self.task.abort();
        let _ended = self.task.await;
        self.address
    }
}

/// Gives certificates for node n1 to who has the token, and notes who asked.
struct Desk {
    authority: Arc<Authority>,
    enrolled: Arc<Mutex<Vec<Peer>>>,
}

#[tonic::async_trait]
impl Enrollment for Desk {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollReply>, Status> {
        self.enrolled.lock().extend(request.extensions().get::<Peer>().cloned());
        let EnrollRequest { certificate_request, token } = request.into_inner();
        if token.is_none_or(|token| token.value != TOKEN.as_bytes()) {
            return Err(Status::permission_denied("the token is nobody's"));
        }
        let identity = "firn://c1/agent/n1".parse().expect("an identity");
        let issued = self.authority.issue(&certificate_request, &identity, NOW_MS, LEAF_LIFETIME_MS);
        let certificate_chain = issued.map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(EnrollReply { certificate_chain, authorities: self.authority.certificate_pem().to_owned() }))
    }
}

pub(super) fn authority() -> Authority {
    Authority::create(&"c1".parse().expect("a name"), NOW_MS).expect("an authority")
}

pub(super) fn credentials(authority: &Authority, identity: &str) -> Credentials {
    let identity = identity.parse().expect("an identity");
    authority.credentials(&identity, NOW_MS, LEAF_LIFETIME_MS).expect("credentials")
}

pub(super) fn trust(authorities: &[&Authority]) -> Trust {
    Trust::from_pem(&authorities.iter().map(|authority| authority.certificate_pem()).collect::<String>())
        .expect("trust")
}

pub(super) fn hello(node: &str) -> Hello {
    Hello { agent_version: "1.2.3".into(), node: node.into(), slots: 2, ..Hello::default() }
}

pub(super) fn task(id: &str, node: &str) -> Task {
    Task { id: id.into(), node: node.into(), ..Task::default() }
}

/// One attempt, as an agent makes it.
pub(super) async fn link(tls: &Arc<ClientTls>, address: SocketAddr, node: &str) -> Result<Link, ProtoError> {
    let mut connector = Connector::new(tls.clone(), KeepAlive::default(), SHORT);
    within(connector.link(address, hello(node))).await
}

/// Ends a test that waits for what never comes.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it comes")
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        out += &format!(": {error}");
        source = error.source();
    }
    out
}
