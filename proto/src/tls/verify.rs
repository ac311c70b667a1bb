//! Whether a chain of certificates leads to somebody who is trusted.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::CertificateDer;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::clock::Clock;
use crate::credentials::{CERTIFICATES_MAX, Leaf};
use crate::error::ProtoError;
use crate::tls::Trust;

/// The one provider of cryptography.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// What a certificate is shown for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// To be connected to.
    Server,
    /// To connect.
    Client,
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// Whose certificate this is, if it and its chain are good now and for this purpose.
pub(crate) fn verify(
    end: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    trust: &Trust,
    purpose: Purpose,
    clock: &Clock,
) -> Result<Leaf, ProtoError> {
    let leaf = Leaf::read(end)?;
    // Its own times first: what they say is the clearest.
    leaf.check(clock.now_ms())?;
    if chain.len() > CERTIFICATES_MAX {
        return Err(ProtoError::unusable("a certificate", "its chain is too long"));
    }
    let leads = match purpose {
        Purpose::Server => leads_to_server(end, chain, trust, clock),
        Purpose::Client => WebPkiClientVerifier::builder_with_provider(trust.0.clone(), provider())
            .build()
            .map_err(|_| ProtoError::unusable("an authority", "there is none"))?
            .verify_client_cert(end, chain, clock.unix())
            .map(|_| ()),
    };
    leads.map_err(|error| ProtoError::Untrusted { whose: leaf.identity.to_string(), detail: why(&error) })?;
    Ok(leaf)
}

fn leads_to_server(
    end: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    trust: &Trust,
    clock: &Clock,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(end)?;
    let algorithms = PROVIDER.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &trust.0, chain, clock.unix(), algorithms)
}

fn why(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "none of the trusted authorities signed it".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the authority that signed it has expired".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether who shows the certificate has its key.
pub(super) fn possession(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(message, certificate, signed, &PROVIDER.signature_verification_algorithms)
}

pub(super) fn schemes() -> Vec<SignatureScheme> {
    PROVIDER.signature_verification_algorithms.supported_schemes()
}
