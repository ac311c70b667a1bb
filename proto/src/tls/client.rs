//! The agent's half of TLS. Certificate and trust can be changed while it runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, PeerIncompatible, SignatureScheme, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::Clock;
use crate::credentials::{Credentials, Leaf};
use crate::error::ProtoError;
use crate::identity::{Identity, Name};
use crate::tls::Trust;
use crate::tls::verify::{Purpose, possession, provider, schemes, verify};

/// TLS wants a name for the server. It is neither sent nor looked at: the identity in the certificate decides.
const NO_NAME: &str = "coordinator.firn.invalid";

/// What a connection shows and believes. Connections that are open keep what they began with.
#[derive(Debug)]
pub struct ClientTls {
    state: RwLock<State>,
    cluster: Name,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    config: Arc<ClientConfig>,
    leaf: Option<Leaf>,
}

impl ClientTls {
    /// For connections to this cluster's coordinator and to nobody else. Without credentials only a certificate can be
    /// asked for.
    ///
    /// # Errors
    /// `Setup`.
    pub fn new(
        cluster: Name,
        trust: Trust,
        credentials: Option<&Credentials>,
        clock: Clock,
    ) -> Result<Self, ProtoError> {
        let state = State::new(&cluster, trust, credentials, &clock)?;
        Ok(Self { state: RwLock::new(state), cluster, clock })
    }

    /// For all connections from now on.
    ///
    /// # Errors
    /// `Setup`; then everything stays as it was.
    pub fn reload(&self, trust: Trust, credentials: Option<&Credentials>) -> Result<(), ProtoError> {
        let state = State::new(&self.cluster, trust, credentials, &self.clock)?;
        *self.state.write() = state;
        Ok(())
    }

    /// What the certificate says that is shown now.
    pub fn leaf(&self) -> Option<Leaf> {
        self.state.read().leaf.clone()
    }

    /// The client's half of a handshake. Has no time limit of its own.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ProtoError> {
        let config = self.state.read().config.clone();
        let name = ServerName::try_from(NO_NAME).map_err(|error| ProtoError::unusable("a name", error))?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|source| told(address, source))
    }
}

impl State {
    fn new(cluster: &Name, trust: Trust, credentials: Option<&Credentials>, clock: &Clock) -> Result<Self, ProtoError> {
        let coordinator =
            Coordinator { identity: Identity::Coordinator { cluster: cluster.clone() }, trust, clock: clock.clone() };
        let builder = ClientConfig::builder_with_details(provider(), Arc::new(clock.clone()))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|source| ProtoError::Setup { source })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(coordinator));
        let mut config = match credentials {
            None => builder.with_no_client_auth(),
            Some(credentials) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified())))
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        let leaf = credentials.map(|credentials| credentials.leaf().clone());
        Ok(Self { config: Arc::new(config), leaf })
    }
}

/// Brings back what [`Coordinator`] found wrong.
fn told(address: SocketAddr, error: io::Error) -> ProtoError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    if let Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) = inner
        && let Some(found) = other.downcast_ref::<Found>()
    {
        return ProtoError::Peer { address, source: found.0.clone() };
    }
    ProtoError::Connect { address, source: error }
}

/// What was found wrong with a certificate, on its way through rustls.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Found(Arc<ProtoError>);

/// Takes the coordinator of one cluster, by its identity.
#[derive(Debug)]
struct Coordinator {
    identity: Identity,
    trust: Trust,
    clock: Clock,
}

impl ServerCertVerifier for Coordinator {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let stranger = |found: Leaf| ProtoError::Stranger {
            expected: self.identity.to_string(),
            found: found.identity.to_string(),
        };
        let error = match verify(end, chain, &self.trust, Purpose::Server, &self.clock) {
            Ok(leaf) if leaf.identity == self.identity => return Ok(ServerCertVerified::assertion()),
            Ok(leaf) => stranger(leaf),
            Err(error) => error,
        };
        Err(CertificateError::Other(OtherError(Arc::new(Found(Arc::new(error))))).into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        possession(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        schemes()
    }
}
