//! The coordinator's half of TLS. Certificate and trust can be changed while it runs.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::Clock;
use crate::credentials::{Credentials, Leaf};
use crate::error::ProtoError;
use crate::tls::verify::{Purpose, possession, provider, schemes, verify};
use crate::tls::{Peer, Trust};

/// What a listener shows and believes. Connections that are open keep what they began with.
#[derive(Debug)]
pub struct ServerTls {
    state: RwLock<Arc<State>>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    leaf: Leaf,
    trust: Trust,
}

impl ServerTls {
    /// A listener's TLS.
    ///
    /// # Errors
    /// `Setup`.
    pub fn new(credentials: &Credentials, trust: Trust, clock: Clock) -> Result<Self, ProtoError> {
        let state = State::new(credentials, trust, &clock)?;
        Ok(Self { state: RwLock::new(Arc::new(state)), clock })
    }

    /// For all connections from now on.
    ///
    /// # Errors
    /// `Setup`; then everything stays as it was.
    pub fn reload(&self, credentials: &Credentials, trust: Trust) -> Result<(), ProtoError> {
        let state = State::new(credentials, trust, &self.clock)?;
        *self.state.write() = Arc::new(state);
        Ok(())
    }

    /// What the certificate says that is shown now.
    pub fn leaf(&self) -> Leaf {
        self.state.read().leaf.clone()
    }

    /// The clock that certificates are held against.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The server's half of a handshake. Has no time limit of its own.
    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, Peer)> {
        let state = self.state.read().clone();
        let stream = TlsAcceptor::from(state.config.clone()).accept(stream).await?;
        let peer = state.peer(stream.get_ref().1.peer_certificates(), &self.clock);
        Ok((stream, peer))
    }
}

impl State {
    fn new(credentials: &Credentials, trust: Trust, clock: &Clock) -> Result<Self, ProtoError> {
        let setup = |source| ProtoError::Setup { source };
        let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(setup)?
            .with_client_cert_verifier(Arc::new(Possession))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified())));
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would bring back a certificate that nobody looked at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), leaf: credentials.leaf().clone(), trust })
    }

    fn peer(&self, shown: Option<&[CertificateDer<'_>]>, clock: &Clock) -> Peer {
        let Some((end, chain)) = shown.and_then(<[_]>::split_first) else { return Peer::Unknown };
        match verify(end, chain, &self.trust, Purpose::Client, clock) {
            Ok(leaf) => Peer::Known(leaf),
            Err(error) => Peer::Refused(Arc::new(error)),
        }
    }
}

/// Asks for a certificate and for the proof that its key is at hand, and leaves to [`State::peer`] what it is worth.
#[derive(Debug)]
struct Possession;

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::SupportedVersionsExtensionRequired.into())
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
