//! Orders on their way to one agent: a queue with limits, and an end that overtakes it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{Stream, stream};
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::generated::messages::FromCoordinator;
use crate::limits::MESSAGE_BYTES_MAX;

/// Orders that wait: an agent does a few tasks at a time, and each is assigned, cancelled and forgotten once.
const ORDERS_MAX: usize = 64;

/// Bytes that wait: the largest order, and small ones beside it.
const ORDERS_BYTES_MAX: usize = MESSAGE_BYTES_MAX + (4 << 20);

/// What an agent hears.
pub type Outgoing = Pin<Box<dyn Stream<Item = Result<FromCoordinator, Status>> + Send>>;

/// The end of a queue where orders go in.
#[derive(Debug)]
pub(crate) struct Orders {
    queue: mpsc::Sender<FromCoordinator>,
    bytes: Arc<AtomicUsize>,
    end: watch::Sender<Option<Status>>,
}

/// Learns that a stream was ended from this side.
#[derive(Debug, Clone)]
pub(crate) struct Ended(watch::Receiver<Option<Status>>);

impl Orders {
    /// A queue, and the stream that empties it.
    pub(crate) fn new() -> (Self, Outgoing) {
        let (queue, waiting) = mpsc::channel(ORDERS_MAX);
        let (end, ended) = watch::channel(None);
        let bytes = Arc::new(AtomicUsize::new(0));
        let state = Some((waiting, Ended(ended), bytes.clone()));
        let outgoing = stream::unfold(state, |state| async {
            let (mut waiting, mut ended, bytes) = state?;
            tokio::select! {
                biased;
                () = ended.wait() => Some((Err(ended.status()), None)),
                order = waiting.recv() => {
                    let order: FromCoordinator = order?;
                    bytes.fetch_sub(order.encoded_len(), Ordering::Relaxed);
                    Some((Ok(order), Some((waiting, ended, bytes))))
                }
            }
        });
        (Self { queue, bytes, end }, Box::pin(outgoing))
    }

    /// Puts an order at the end of the queue. `false` if there is no room or nobody takes them any more.
    pub(crate) fn put(&self, order: FromCoordinator) -> bool {
        let bytes = order.encoded_len();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_put = before.saturating_add(bytes) <= ORDERS_BYTES_MAX && self.queue.try_send(order).is_ok();
        if !is_put {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_put
    }

    /// Ends the stream with a status, before all that waits. The first to end it is heard.
    pub(crate) fn end(&self, status: Status) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert(status);
            is_first
        });
    }

    pub(crate) fn ended(&self) -> Ended {
        Ended(self.end.subscribe())
    }
}

impl Ended {
    /// Waits for the end. Never comes back if the queue is dropped without one.
    pub(crate) async fn wait(&mut self) {
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn status(&self) -> Status {
        self.0.borrow().clone().unwrap_or_else(|| Status::unavailable("ended"))
    }
}
