//! What can go wrong between a coordinator and an agent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tonic::{Code, Status};

use crate::clock::{TimeMs, text};
use crate::limits::Exceeded;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ProtoError {
    /// A text is no name or identity.
    #[error("{text:?} is not {what}")]
    Name {
        /// What it should be.
        what: &'static str,
        /// The text, cut.
        text: String,
    },
    /// A certificate, a key or a request cannot be read, or is not what it should be.
    #[error("{what} cannot be used: {detail}")]
    Unusable {
        /// Which.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// A key could not be made, or something not signed.
    #[error("cannot {operation}")]
    Sign {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Setup {
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A certificate's time is over.
    #[error("the certificate of {whose} expired at {}", text(*.at_ms))]
    Expired {
        /// Whom it names.
        whose: String,
        /// When, milliseconds since 1970.
        at_ms: TimeMs,
    },
    /// A certificate's time is still to come: a clock is wrong.
    #[error("the certificate of {whose} is not valid before {}; is a clock wrong?", text(*.from_ms))]
    NotYetValid {
        /// Whom it names.
        whose: String,
        /// From when, milliseconds since 1970.
        from_ms: TimeMs,
    },
    /// A certificate is signed by nobody who is trusted, or not for this use.
    #[error("the certificate of {whose} is not one that is trusted: {detail}")]
    Untrusted {
        /// Whom it names.
        whose: String,
        /// Why.
        detail: String,
    },
    /// A good certificate, of somebody else.
    #[error("{found} was found where {expected} was expected")]
    Stranger {
        /// Who should be there.
        expected: String,
        /// Who is there.
        found: String,
    },
    /// Somebody without a certificate asked for what needs one.
    #[error("a certificate is needed for this, and none was shown")]
    NoCertificate,
    /// No connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The one who listens there is not to be trusted.
    #[error("the coordinator at {address} is not trusted")]
    Peer {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: Arc<ProtoError>,
    },
    /// HTTP/2 failed before a stream was open.
    #[error("the connection to {address} failed")]
    Http {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// No answer within the time.
    #[error("no answer from {address} to {what}")]
    Silent {
        /// Where.
        address: SocketAddr,
        /// To what.
        what: &'static str,
    },
    /// The other side said no, or the stream broke.
    #[error("{what} with {address} ended: {message} ({code:?})")]
    Ended {
        /// Where.
        address: SocketAddr,
        /// What ended.
        what: &'static str,
        /// The kind.
        code: Code,
        /// In words.
        message: String,
    },
    /// A newer stream of the same identity took this one's place.
    #[error("a newer stream of the same identity took the place of this one at {address}")]
    Replaced {
        /// Where.
        address: SocketAddr,
    },
    /// The stream is gone, and what was to be said was not.
    #[error("the stream is closed")]
    Closed,
    /// A message is too large to be sent.
    #[error("a message cannot be sent")]
    Limit(#[from] Exceeded),
}

/// What a replaced stream ends with.
const REPLACED: &str = "replaced: a newer stream of the same identity is open";

/// Most bytes of a foreign text in a message of ours.
const SHOWN_BYTES_MAX: usize = 300;

impl ProtoError {
    pub(crate) fn name(what: &'static str, text: &str) -> Self {
        Self::Name { what, text: text.chars().take(SHOWN_BYTES_MAX / 4).collect() }
    }

    pub(crate) fn unusable(what: &'static str, detail: impl ToString) -> Self {
        Self::Unusable { what, detail: detail.to_string() }
    }

    /// What the end of a stream means.
    pub(crate) fn ended(address: SocketAddr, what: &'static str, status: &Status) -> Self {
        if status.code() == Code::Aborted && status.message() == REPLACED {
            return Self::Replaced { address };
        }
        let plain = status.message().chars().filter(|letter| !letter.is_control());
        let message = plain.take(SHOWN_BYTES_MAX).collect();
        Self::Ended { address, what, code: status.code(), message }
    }

    /// How the older of two streams is told.
    pub(crate) fn replaced() -> Status {
        Status::aborted(REPLACED)
    }

    /// What a caller is told.
    pub(crate) fn status(&self) -> Status {
        let text = self.to_string();
        match self {
            Self::NoCertificate | Self::Expired { .. } | Self::NotYetValid { .. } | Self::Untrusted { .. } => {
                Status::unauthenticated(text)
            }
            Self::Stranger { .. } => Status::permission_denied(text),
            Self::Name { .. } | Self::Unusable { .. } => Status::unauthenticated(text),
            _ => Status::internal(text),
        }
    }

    /// Whether trying again, unchanged, is pointless.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Name { .. } | Self::Unusable { .. } | Self::Setup { .. } | Self::Limit(_) => true,
            Self::Expired { .. } | Self::Untrusted { .. } | Self::Stranger { .. } | Self::NoCertificate => true,
            Self::Ended { code, .. } => {
                matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition)
            }
            Self::Peer { source, .. } => source.is_permanent(),
            _ => false,
        }
    }

    /// Whether a new certificate of one's own may help: the coordinator took none, or did not take the one that was shown.
    pub fn asks_for_certificate(&self) -> bool {
        matches!(self, Self::Ended { code: Code::Unauthenticated, .. } | Self::NoCertificate)
    }
}
