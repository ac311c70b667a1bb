//! The contract between the coordinator and its agents: messages, their limits, who is who, and how they connect.
//!
//! ```text
//! v1                                    messages and services of `firn.proto`
//! fits(message)                         whether a peer will take it
//! Secret                                a value that is never printed
//!
//! Identity, Name                        firn://<cluster>/coordinator | objects | agent/<node>
//! Applicant -> Credentials              a key of one's own, and the certificate for it
//! Authority, Authorities                Firn's own certificate authority, and its rotation
//! Trust                                 the authorities that a process believes
//!
//! ServerTls, serve, Peer                the coordinator's door
//! ClientTls, enroll, Connector, Link    the agent's way to it
//! Registry, Reception, Event            the coordinator's end of all streams
//! ```
//!
//! Decides nothing: what is answered to a hello, who gets a certificate and which task goes where is the caller's.

mod authority;
mod clock;
mod codec;
mod credentials;
mod error;
mod generated;
mod identity;
mod limits;
mod link;
mod reception;
mod secret;
mod tls;

pub use authority::rotation::{Authorities, Kept};
pub use authority::{Authority, LEAF_LIFETIME_MS};
pub use clock::{Clock, TimeMs};
pub use credentials::{Applicant, Credentials, Leaf};
pub use error::ProtoError;
pub use generated::messages as v1;
pub use identity::{Identity, Name};
pub use limits::{Exceeded, MESSAGE_BYTES_MAX, fits};
pub use link::backoff::Backoff;
pub use link::channel::enroll;
pub use link::connector::{Connector, PROTOCOL};
pub use link::keep_alive::KeepAlive;
pub use link::{Link, Order, Voice};
pub use reception::outgoing::Outgoing;
pub use reception::registry::{Registry, Undelivered};
pub use reception::{Event, News, Reception};
pub use secret::Secret;
pub use tls::client::ClientTls;
pub use tls::serve::serve;
pub use tls::server::ServerTls;
pub use tls::{Peer, Trust};

#[cfg(test)]
mod tests;
