//! The coordinator's end of all streams: lets agents in, passes on what they say, and decides nothing about it.

pub(crate) mod outgoing;
pub(crate) mod registry;

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use crate::clock::Clock;
use crate::credentials::Leaf;
use crate::error::ProtoError;
use crate::generated::messages::coordinator_server::Coordinator;
use crate::generated::messages::{Finished, FromAgent, Hello, Progress, Welcome, from_agent};
use crate::identity::Identity;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::link::connector::PROTOCOL;
use crate::reception::outgoing::Outgoing;
use crate::reception::registry::{Registry, Seat};

/// From the opening of a stream to its hello.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// Events that wait to be looked at.
const EVENTS_MAX: usize = 256;

/// Memory of events that wait: three of the largest. Streams are not read while there is no room.
const EVENTS_BYTES_MAX: usize = 3 * MESSAGE_BYTES_MAX;

/// Room is given out in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// Implements the service `Coordinator`: one per process.
pub struct Reception {
    registry: Arc<Registry>,
    events: mpsc::Sender<Event>,
    room: Arc<Semaphore>,
    clock: Clock,
    version: String,
}

/// Something happened on a stream.
#[derive(Debug)]
pub struct Event {
    /// Whose stream it is, by its certificate.
    pub identity: Identity,
    /// Which of its streams: a newer one has a higher number. What an older one still says may be passed over.
    pub stream: u64,
    /// What happened.
    pub news: News,
    /// Memory that the event takes; given back when it is dropped.
    _room: OwnedSemaphorePermit,
}

/// What an agent said or did.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It is here.
    Joined(Hello),
    /// It got so far.
    Progress(Progress),
    /// It is done with a task.
    Finished(Finished),
    /// It answered [`Registry::ping`].
    Pong(u64),
    /// It is gone. Not said of a stream that a newer one replaced.
    Left,
}

impl Reception {
    /// A reception and what it hands events to. `version` is told to agents.
    pub fn new(clock: Clock, version: &str) -> (Self, Arc<Registry>, mpsc::Receiver<Event>) {
        let (events, received) = mpsc::channel(EVENTS_MAX);
        let registry = Arc::new(Registry::default());
        let room = Arc::new(Semaphore::new(EVENTS_BYTES_MAX / PIECE_BYTES));
        let reception = Self { registry: registry.clone(), events, room, clock, version: version.to_owned() };
        (reception, registry, received)
    }

    fn welcome(&self, hello: &Hello, leaf: &Leaf) -> Result<Welcome, Status> {
        if hello.node != leaf.identity.node() {
            let found = format!("{} (hello of node {:?})", leaf.identity, hello.node);
            return Err(ProtoError::Stranger { expected: "the certificate's own node".into(), found }.status());
        }
        let protocol = hello.protocol_max.min(*PROTOCOL.end());
        if protocol < hello.protocol_min.max(*PROTOCOL.start()) {
            return Err(Status::failed_precondition(format!(
                "the agent (version {}) speaks protocols {} to {}, this coordinator (version {}) {} to {}; upgrade the older",
                hello.agent_version,
                hello.protocol_min,
                hello.protocol_max,
                self.version,
                PROTOCOL.start(),
                PROTOCOL.end()
            )));
        }
        Ok(Welcome { coordinator_version: self.version.clone(), protocol })
    }
}

#[tonic::async_trait]
impl Coordinator for Reception {
    type WorkStream = Outgoing;

    async fn work(&self, request: Request<Streaming<FromAgent>>) -> Result<Response<Outgoing>, Status> {
        let leaf = request.extensions().get::<Leaf>().cloned();
        let leaf = leaf.ok_or_else(|| ProtoError::NoCertificate.status())?;
        let mut said = request.into_inner();
        let first = timeout(HELLO_TIME, said.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(from_agent::Content::Hello(hello)) = first.and_then(|message| message.content) else {
            return Err(Status::failed_precondition("the first message is no hello"));
        };
        let welcome = self.welcome(&hello, &leaf)?;
        let (seat, outgoing) = self.registry.join(&leaf.identity, welcome);
        let listener = Listener { leaf, seat, events: self.events.clone(), room: self.room.clone() };
        tokio::spawn(listener.run(hello, said, self.clock.clone()));
        Ok(Response::new(outgoing))
    }
}

/// Passes on what comes on one stream.
struct Listener {
    leaf: Leaf,
    seat: Seat,
    events: mpsc::Sender<Event>,
    room: Arc<Semaphore>,
}

impl Listener {
    async fn run(mut self, hello: Hello, said: Streaming<FromAgent>, clock: Clock) {
        let left_ms = self.leaf.to_ms.saturating_sub(clock.now_ms()).max(0).unsigned_abs();
        let mut ended = self.seat.ended();
        let status = tokio::select! {
            // Replaced, or sent away: whoever did that said why.
            () = ended.wait() => None,
            status = self.pass_on(hello, said) => status,
            () = tokio::time::sleep(Duration::from_millis(left_ms)) => {
                Some(ProtoError::Expired { whose: self.leaf.identity.to_string(), at_ms: self.leaf.to_ms }.status())
            }
        };
        if let Some(status) = status {
            self.seat.end(status);
        }
        if self.seat.leave() {
            self.tell(News::Left).await;
        }
    }

    /// Until the stream ends; returns what to say to that.
    async fn pass_on(&self, hello: Hello, mut said: Streaming<FromAgent>) -> Option<Status> {
        use from_agent::Content;
        self.tell(News::Joined(hello)).await;
        loop {
            let message = match said.message().await {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                Err(status) => return Some(status),
            };
            self.tell(match message.content {
                Some(Content::Progress(progress)) => News::Progress(progress),
                Some(Content::Finished(finished)) => News::Finished(finished),
                Some(Content::Pong(pong)) => News::Pong(pong.nonce),
                Some(Content::Hello(_)) => return Some(Status::failed_precondition("a second hello")),
                // A later version's.
                None => continue,
            })
            .await;
        }
    }

    /// Waits for room. If nobody listens any more, the process is about to end.
    async fn tell(&self, news: News) {
        let pieces = u32::try_from(news.bytes() / PIECE_BYTES + 1).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().acquire_many_owned(pieces).await else { return };
        let (identity, stream) = (self.leaf.identity.clone(), self.seat.number());
        let _told = self.events.send(Event { identity, stream, news, _room: room }).await;
    }
}

impl News {
    fn bytes(&self) -> usize {
        match self {
            Self::Joined(hello) => hello.encoded_len(),
            Self::Progress(progress) => progress.encoded_len(),
            Self::Finished(finished) => finished.encoded_len(),
            Self::Pong(_) | Self::Left => 0,
        }
    }
}

impl std::fmt::Debug for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reception").field("registry", &self.registry).finish_non_exhaustive()
    }
}
