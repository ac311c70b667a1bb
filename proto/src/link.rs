//! The agent's end of its stream.

pub(crate) mod backoff;
pub(crate) mod channel;
pub(crate) mod connector;
pub(crate) mod keep_alive;

use std::net::SocketAddr;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::Streaming;

use crate::error::ProtoError;
use crate::generated::messages::coordinator_client::CoordinatorClient;
use crate::generated::messages::{
    FromAgent, FromCoordinator, Hello, Pong, Task, Welcome, from_agent, from_coordinator,
};
use crate::limits::{MESSAGE_BYTES_MAX, fits};
use crate::link::channel::{Channel, origin};

/// Messages that wait to be sent. Who says more waits; progress may be left out instead.
const WAITING_MAX: usize = 8;

/// From the hello to the welcome.
const WELCOME_TIME: Duration = Duration::from_secs(10);

/// An open stream. Ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    welcome: Welcome,
    voice: Voice,
    heard: Streaming<FromCoordinator>,
    /// Dropped with the link, it ends what is said, though others still have a voice.
    _end: oneshot::Sender<()>,
}

/// Speaks on a stream; one for everybody who has something to say.
#[derive(Debug, Clone)]
pub struct Voice(mpsc::Sender<FromAgent>);

/// What the coordinator wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Do this.
    Assign(Box<Task>),
    /// Stop this task, and report its end.
    Cancel(String),
    /// The result of this task is safe; keep it no longer.
    Forget(String),
}

impl Link {
    /// Opens the stream and waits until the coordinator has accepted the hello.
    pub(crate) async fn open(address: SocketAddr, channel: Channel, hello: Hello) -> Result<Self, ProtoError> {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let voice = Voice(sender);
        voice.say(from_agent::Content::Hello(hello)).await?;
        let (end, ended) = oneshot::channel::<()>();
        let said = stream::unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) });
        let said = said.take_until(ended);
        let mut client = CoordinatorClient::with_origin(channel, origin())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let refused = |status| ProtoError::ended(address, "the hello", &status);
        let greet = async {
            let mut heard = client.work(said).await.map_err(refused)?.into_inner();
            let first = heard.message().await.map_err(refused)?;
            Ok::<_, ProtoError>((heard, first))
        };
        let silent = |_| ProtoError::Silent { address, what: "the hello" };
        let (heard, first) = timeout(WELCOME_TIME, greet).await.map_err(silent)??;
        let Some(FromCoordinator { content: Some(from_coordinator::Content::Welcome(welcome)) }) = first else {
            return Err(refused(tonic::Status::internal("the first message is no welcome")));
        };
        Ok(Self { address, welcome, voice, heard, _end: end })
    }

    /// What the coordinator said to the hello.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// For those who have something to say.
    pub fn voice(&self) -> Voice {
        self.voice.clone()
    }

    /// The next order. May be dropped while it waits; nothing is lost then. Answers questions for a sign of life itself.
    ///
    /// # Errors
    /// The stream has ended: `Replaced`, or `Ended` with the reason.
    pub async fn hear(&mut self) -> Result<Order, ProtoError> {
        use from_coordinator::Content;
        let ended = |status| ProtoError::ended(self.address, "the stream", &status);
        loop {
            let Some(message) = self.heard.message().await.map_err(ended)? else {
                return Err(ended(tonic::Status::unavailable("the coordinator closed it")));
            };
            match message.content {
                Some(Content::Assign(assign)) => match assign.task {
                    Some(task) => return Ok(Order::Assign(task)),
                    None => return Err(ended(tonic::Status::internal("an order without a task"))),
                },
                Some(Content::Cancel(cancel)) => return Ok(Order::Cancel(cancel.task)),
                Some(Content::Forget(forget)) => return Ok(Order::Forget(forget.task)),
                // If there is no room, what waits is sign enough.
                Some(Content::Ping(ping)) => self.voice.say_if_room(Pong { nonce: ping.nonce }.into()),
                // A second welcome says nothing new; nothing at all is a later version's order.
                Some(Content::Welcome(_)) | None => {}
            }
        }
    }
}

impl Voice {
    /// Says something; waits while too much is waiting to be sent. That it was sent is not that it arrived.
    ///
    /// # Errors
    /// `Limit` if the coordinator would not take it; `Closed`.
    pub async fn say(&self, content: from_agent::Content) -> Result<(), ProtoError> {
        let message = FromAgent { content: Some(content) };
        fits(&message)?;
        self.0.send(message).await.map_err(|_| ProtoError::Closed)
    }

    /// Says something that another message will soon make old: progress. Left out if there is no room.
    pub fn say_if_room(&self, content: from_agent::Content) {
        let message = FromAgent { content: Some(content) };
        if fits(&message).is_ok() {
            // Whether the stream is still there, the next order or its absence tells.
            let _sent = self.0.try_send(message);
        }
    }
}

impl From<Pong> for from_agent::Content {
    fn from(pong: Pong) -> Self {
        Self::Pong(pong)
    }
}
