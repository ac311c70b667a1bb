//! Comes back to the coordinator again and again, with a pause between.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::ProtoError;
use crate::generated::messages::Hello;
use crate::link::Link;
use crate::link::backoff::Backoff;
use crate::link::channel::Channel;
use crate::link::keep_alive::KeepAlive;
use crate::tls::client::ClientTls;
use crate::tls::provider;

/// The versions of the protocol that this code speaks.
pub const PROTOCOL: RangeInclusive<u32> = 1..=1;

/// Makes one link after the other. Dropped while it waits, it loses nothing.
#[derive(Debug)]
pub struct Connector {
    tls: Arc<ClientTls>,
    keep_alive: KeepAlive,
    backoff: Backoff,
    failures: u32,
}

impl Connector {
    /// A connector that has not tried anything yet.
    pub fn new(tls: Arc<ClientTls>, keep_alive: KeepAlive, backoff: Backoff) -> Self {
        Self { tls, keep_alive, backoff, failures: 0 }
    }

    /// Waits as long as is due after the attempts before. To be called before the address is looked up and the hello is
    /// made, so that both are of now.
    pub async fn pause(&self) {
        let mut random = [0; 8];
        // Without randomness all wait equally long, which is no reason to fail.
        let _filled = provider().secure_random.fill(&mut random);
        tokio::time::sleep(self.backoff.delay(self.failures, u64::from_le_bytes(random))).await;
    }

    /// Tries once to open a stream.
    ///
    /// # Errors
    /// What connecting meets, and the coordinator's reason if it refuses. [`ProtoError::asks_for_certificate`] tells
    /// whether to enroll before the next attempt.
    pub async fn link(&mut self, address: SocketAddr, mut hello: Hello) -> Result<Link, ProtoError> {
        (hello.protocol_min, hello.protocol_max) = (*PROTOCOL.start(), *PROTOCOL.end());
        self.failed();
        let channel = Channel::open(address, &self.tls, self.keep_alive).await?;
        let link = Link::open(address, channel, hello).await?;
        // Not 0: a coordinator that welcomes everybody and dies of it is not asked without a pause.
        self.failures = 1;
        Ok(link)
    }

    /// To be told how a link ended. Who was replaced lets the other have its way for as long as may be: two that replace
    /// each other in turn would both do nothing.
    pub fn ended(&mut self, error: &ProtoError) {
        if matches!(error, ProtoError::Replaced { .. }) {
            self.failures = u32::MAX;
        }
    }

    /// Counts an attempt as failed that never came to [`Connector::link`]: there was no address.
    pub fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }
}
