//! Who is connected. Of several streams of one identity the newest counts.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::Status;

use crate::error::ProtoError;
use crate::generated::messages::{Assign, Cancel, Forget, FromCoordinator, Ping, Task, Welcome, from_coordinator};
use crate::identity::Identity;
use crate::limits::{Exceeded, fits};
use crate::reception::outgoing::{Ended, Orders, Outgoing};

/// All open streams.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Streams>);

#[derive(Debug, Default)]
struct Streams {
    open: HashMap<Identity, (u64, Arc<Orders>)>,
    last: u64,
}

/// An order that was not given. Nothing is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The agent has no stream.
    #[error("{0} is not connected")]
    NotConnected(Identity),
    /// The agent does not take what it was sent before.
    #[error("too many orders wait for {0}")]
    Busy(Identity),
    /// The task is for another node than this agent's.
    #[error("a task for node {node:?} is not for {identity}")]
    OtherNode {
        /// Whose the task is.
        node: String,
        /// To whom it would have gone.
        identity: Identity,
    },
    /// The agent would not take a message like this.
    #[error("an order cannot be sent")]
    Unfit(#[from] Exceeded),
}

impl Registry {
    /// Hands a task to the agent. It must be for the agent's own node.
    ///
    /// # Errors
    /// Any of [`Undelivered`].
    pub fn assign(&self, identity: &Identity, task: Task) -> Result<(), Undelivered> {
        if task.node != identity.node() {
            return Err(Undelivered::OtherNode { node: task.node, identity: identity.clone() });
        }
        self.send(identity, from_coordinator::Content::Assign(Assign { task: Some(Box::new(task)) }))
    }

    /// Has the agent stop a task.
    ///
    /// # Errors
    /// `NotConnected`, `Busy`, `Unfit`.
    pub fn cancel(&self, identity: &Identity, task: &str) -> Result<(), Undelivered> {
        self.send(identity, from_coordinator::Content::Cancel(Cancel { task: task.to_owned() }))
    }

    /// Lets the agent forget a finished task.
    ///
    /// # Errors
    /// `NotConnected`, `Busy`, `Unfit`.
    pub fn forget(&self, identity: &Identity, task: &str) -> Result<(), Undelivered> {
        self.send(identity, from_coordinator::Content::Forget(Forget { task: task.to_owned() }))
    }

    /// Asks for a sign of life of the agent itself; of its connection there are signs anyway.
    ///
    /// # Errors
    /// `NotConnected`, `Busy`.
    pub fn ping(&self, identity: &Identity, nonce: u64) -> Result<(), Undelivered> {
        self.send(identity, from_coordinator::Content::Ping(Ping { nonce }))
    }

    /// Who is connected, in order.
    pub fn connected(&self) -> Vec<Identity> {
        let mut all: Vec<_> = self.0.lock().open.keys().cloned().collect();
        all.sort();
        all
    }

    /// Ends all streams that are open now: this process no longer leads, say. Agents look for the leader and come back.
    pub fn dismiss_all(&self, why: &str) {
        let open = std::mem::take(&mut self.0.lock().open);
        for (_, orders) in open.values() {
            orders.end(Status::unavailable(why));
        }
    }

    fn send(&self, identity: &Identity, content: from_coordinator::Content) -> Result<(), Undelivered> {
        let message = FromCoordinator { content: Some(content) };
        fits(&message)?;
        let orders = self.0.lock().open.get(identity).map(|(_, orders)| orders.clone());
        let orders = orders.ok_or_else(|| Undelivered::NotConnected(identity.clone()))?;
        if orders.put(message) { Ok(()) } else { Err(Undelivered::Busy(identity.clone())) }
    }

    /// Takes a stream in; an older one of the same identity is told and ended.
    pub(crate) fn join(self: &Arc<Self>, identity: &Identity, welcome: Welcome) -> (Seat, Outgoing) {
        let (orders, outgoing) = Orders::new();
        // A new queue has room for one.
        orders.put(FromCoordinator { content: Some(from_coordinator::Content::Welcome(welcome)) });
        let orders = Arc::new(orders);
        let mut streams = self.0.lock();
        streams.last += 1;
        let number = streams.last;
        if let Some((_, older)) = streams.open.insert(identity.clone(), (number, orders.clone())) {
            tracing::info!(%identity, "a newer stream takes the place of the older");
            older.end(ProtoError::replaced());
        }
        drop(streams);
        let ended = orders.ended();
        (Seat { registry: self.clone(), identity: identity.clone(), number, orders: Some(orders), ended }, outgoing)
    }
}

/// A stream's place in the registry; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    registry: Arc<Registry>,
    identity: Identity,
    number: u64,
    orders: Option<Arc<Orders>>,
    ended: Ended,
}

impl Seat {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Learns that the stream was ended from this side.
    pub(crate) fn ended(&self) -> Ended {
        self.ended.clone()
    }

    /// Ends the stream with a status.
    pub(crate) fn end(&self, status: Status) {
        if let Some(orders) = &self.orders {
            orders.end(status);
        }
    }

    /// Gives the place up. `false` if a newer stream has it.
    pub(crate) fn leave(&mut self) -> bool {
        self.orders = None;
        let open = &mut self.registry.0.lock().open;
        match open.get(&self.identity) {
            Some((number, _)) if *number != self.number => false,
            // Dismissed streams are not there any more; they have left all the same.
            _ => {
                open.remove(&self.identity);
                true
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.orders.is_some() {
            self.leave();
        }
    }
}
