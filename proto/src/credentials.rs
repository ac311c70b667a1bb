//! A certificate with its key, and how one gets there: a key of one's own, a request, the certificate for it.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::clock::TimeMs;
use crate::error::ProtoError;
use crate::identity::Identity;

/// Most certificates in a chain or among authorities: two authorities while one takes the other's place, and some room.
pub(crate) const CERTIFICATES_MAX: usize = 4;

/// Most bytes of PEM: as many as a message may carry.
const PEM_BYTES_MAX: usize = 65_536;

/// What a certificate says: whose it is, and from when to when. Says nothing about who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Whose it is.
    pub identity: Identity,
    /// Valid from, milliseconds since 1970.
    pub from_ms: TimeMs,
    /// Valid to, milliseconds since 1970.
    pub to_ms: TimeMs,
}

/// A certificate and the key that belongs to it.
#[derive(Clone)]
pub struct Credentials {
    leaf: Leaf,
    certified: Arc<CertifiedKey>,
}

/// Somebody with a key and no certificate yet. The key never leaves; it is wiped when it is dropped.
pub struct Applicant {
    key: Zeroizing<Vec<u8>>,
    request: Vec<u8>,
}

impl Leaf {
    /// Reads a certificate. It must name one identity as its only alternative name.
    ///
    /// # Errors
    /// `Unusable`, `Name`.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, ProtoError> {
        let unusable = |detail: &str| ProtoError::unusable("a certificate", detail);
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| unusable("it is not X.509"))?;
        if !rest.is_empty() {
            return Err(unusable("there is more behind it"));
        }
        let names = parsed.subject_alternative_name().map_err(|_| unusable("its names cannot be read"))?;
        let identity = match names.as_ref().map(|names| names.value.general_names.as_slice()) {
            Some([GeneralName::URI(uri)]) => uri.parse()?,
            _ => return Err(unusable("it does not name exactly one identity")),
        };
        let validity = parsed.validity();
        let ms = |seconds: i64| seconds.saturating_mul(1000);
        Ok(Self { identity, from_ms: ms(validity.not_before.timestamp()), to_ms: ms(validity.not_after.timestamp()) })
    }

    /// When it should be renewed: after two thirds of its time.
    pub fn renew_at_ms(&self) -> TimeMs {
        self.from_ms + self.to_ms.saturating_sub(self.from_ms) / 3 * 2
    }

    /// Whether it is valid at a time.
    ///
    /// # Errors
    /// `Expired`, `NotYetValid`.
    pub fn check(&self, now_ms: TimeMs) -> Result<(), ProtoError> {
        let whose = || self.identity.to_string();
        if now_ms > self.to_ms {
            return Err(ProtoError::Expired { whose: whose(), at_ms: self.to_ms });
        }
        if now_ms < self.from_ms {
            return Err(ProtoError::NotYetValid { whose: whose(), from_ms: self.from_ms });
        }
        Ok(())
    }
}

impl Applicant {
    /// A new key (ECDSA, P-256) and a request for it.
    ///
    /// # Errors
    /// `Sign`: no randomness.
    pub fn new() -> Result<Self, ProtoError> {
        let sign = |source| ProtoError::Sign { operation: "make a key", source };
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign)?;
        let key = Zeroizing::new(pair.serialize_der());
        let pair = Zeroizing::new(pair);
        let request = CertificateParams::default().serialize_request(&*pair).map_err(sign)?.der().to_vec();
        Ok(Self { key, request })
    }

    /// What is sent to get a certificate: PKCS#10 in DER.
    pub fn request_der(&self) -> &[u8] {
        &self.request
    }

    /// The certificate that came, with the key.
    ///
    /// # Errors
    /// `Unusable` if it cannot be read or is for another key.
    pub fn credentials(&self, chain_pem: &str) -> Result<Credentials, ProtoError> {
        Credentials::new(certificates(chain_pem)?, &PrivatePkcs8KeyDer::from(self.key.as_slice()).into())
    }
}

impl Credentials {
    fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Self, ProtoError> {
        let unusable = |source: rustls::Error| ProtoError::unusable("a certificate's key", source);
        let first = chain.first().ok_or_else(|| ProtoError::unusable("a certificate", "there is none"))?;
        let leaf = Leaf::read(first)?;
        let certified = CertifiedKey::new(chain, any_supported_type(key).map_err(unusable)?);
        certified.keys_match().map_err(unusable)?;
        Ok(Self { leaf, certified: Arc::new(certified) })
    }

    /// What the certificate says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    /// Somebody else's certificate, with a key that does not belong to it.
    #[cfg(test)]
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        let forged = CertifiedKey::new(self.certified.cert.clone(), other.certified.key.clone());
        Self { leaf: self.leaf.clone(), certified: Arc::new(forged) }
    }
}

/// All certificates in a PEM text: at least one, and not too many.
pub(crate) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ProtoError> {
    let unusable = |detail: &str| ProtoError::unusable("a certificate", detail);
    if pem.len() > PEM_BYTES_MAX {
        return Err(unusable("the text is too long"));
    }
    let mut out = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        out.push(certificate.map_err(|_| unusable("it is not PEM"))?);
    }
    match out.len() {
        0 => Err(unusable("the text has none")),
        1..=CERTIFICATES_MAX => Ok(out),
        _ => Err(unusable("the text has too many")),
    }
}

impl fmt::Debug for Applicant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applicant").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}
