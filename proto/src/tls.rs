//! TLS 1.3 between coordinator and agents: who is trusted, and what is made of a certificate that somebody shows.
//!
//! A listener takes anybody in and looks at the certificate afterwards, so that who is refused is told why, in words; a
//! handshake can only say "no". A session is never resumed: every connection shows its certificate anew.

pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod serve;
pub(crate) mod server;
pub(crate) mod verify;

pub(crate) use verify::provider;

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::clock::TimeMs;
use crate::credentials::{Leaf, certificates};
use crate::error::ProtoError;
use crate::identity::Identity;

/// The authorities that a process believes.
#[derive(Debug, Clone)]
pub struct Trust(Arc<RootCertStore>);

/// Who is at the other end of a connection. An extension of every request.
#[derive(Debug, Clone)]
pub enum Peer {
    /// Nobody knows: no certificate was shown.
    Unknown,
    /// Whose certificate was good when the connection began.
    Known(Leaf),
    /// Somebody with a certificate that is not good.
    Refused(Arc<ProtoError>),
}

impl Trust {
    /// The authorities in a PEM text.
    ///
    /// # Errors
    /// `Unusable` if there are none or one of them is unusable.
    pub fn from_pem(pem: &str) -> Result<Self, ProtoError> {
        Self::new(certificates(pem)?)
    }

    pub(crate) fn new(authorities: Vec<CertificateDer<'static>>) -> Result<Self, ProtoError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|source| ProtoError::Setup { source })?;
        }
        Ok(Self(Arc::new(roots)))
    }
}

impl Peer {
    /// Who it is, if the certificate is still good.
    ///
    /// # Errors
    /// `NoCertificate`, `Expired`, `NotYetValid`, `Untrusted`, `Unusable`, `Name`: worth telling to the peer.
    pub fn leaf(&self, now_ms: TimeMs) -> Result<&Leaf, Arc<ProtoError>> {
        match self {
            Self::Unknown => Err(Arc::new(ProtoError::NoCertificate)),
            Self::Known(leaf) => leaf.check(now_ms).map(|()| leaf).map_err(Arc::new),
            Self::Refused(error) => Err(error.clone()),
        }
    }

    /// Who it is, if it is an agent of this cluster.
    ///
    /// # Errors
    /// As [`Peer::leaf`], and `Stranger`.
    pub(crate) fn agent_of(&self, coordinator: &Identity, now_ms: TimeMs) -> Result<&Leaf, Arc<ProtoError>> {
        let leaf = self.leaf(now_ms)?;
        if leaf.identity.is_agent() && leaf.identity.cluster() == coordinator.cluster() {
            return Ok(leaf);
        }
        let expected = format!("an agent of cluster {}", coordinator.cluster());
        Err(Arc::new(ProtoError::Stranger { expected, found: leaf.identity.to_string() }))
    }
}
