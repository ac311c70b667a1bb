//! One certificate authority: makes certificates for Firn's own processes, and for nothing else.

pub(crate) mod rotation;

use std::fmt;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SanType,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::clock::TimeMs;
use crate::credentials::{Applicant, Credentials, certificates};
use crate::error::ProtoError;
use crate::identity::{Identity, Name};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long the certificates of agents and coordinators live: short, since none is ever taken back.
pub const LEAF_LIFETIME_MS: i64 = DAY_MS;

/// How long an authority lives. Another takes its place long before.
const AUTHORITY_LIFETIME_MS: i64 = 730 * DAY_MS;

/// Certificates are valid from this long before they are made: clocks differ.
const BACKDATED_MS: i64 = 5 * 60_000;

/// An authority: its certificate and its key. The key is wiped when it is dropped.
pub struct Authority {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    key: Zeroizing<String>,
    from_ms: TimeMs,
    to_ms: TimeMs,
}

impl Authority {
    /// A new authority for a cluster, valid for two years.
    ///
    /// # Errors
    /// `Sign`: no randomness.
    pub fn create(cluster: &Name, now_ms: TimeMs) -> Result<Self, ProtoError> {
        let sign = |source| ProtoError::Sign { operation: "make an authority", source };
        let pair = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign)?);
        let mut params = CertificateParams::default();
        // Two of one cluster follow one another: the time tells them apart.
        params.distinguished_name = called(&format!("Firn {cluster} {}", crate::clock::text(now_ms)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date(now_ms.saturating_sub(BACKDATED_MS))?;
        params.not_after = date(now_ms.saturating_add(AUTHORITY_LIFETIME_MS))?;
        let certificate = params.self_signed(&*pair).map_err(sign)?;
        Self::new(certificate.pem(), Zeroizing::new(pair.serialize_pem()))
    }

    /// The authority that these two texts hold.
    ///
    /// # Errors
    /// `Unusable` if they do not belong together or are no authority.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, ProtoError> {
        Self::new(certificate_pem.to_owned(), Zeroizing::new(key_pem.to_owned()))
    }

    fn new(certificate_pem: String, key: Zeroizing<String>) -> Result<Self, ProtoError> {
        let unusable = |detail: &str| ProtoError::unusable("an authority", detail);
        let mut all = certificates(&certificate_pem)?;
        let (Some(certificate), true) = (all.pop(), all.is_empty()) else {
            return Err(unusable("there is more than one certificate"));
        };
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| unusable("it is not X.509"))?;
        if !parsed.is_ca() {
            return Err(unusable("its certificate may not sign others"));
        }
        let pair = pair(&key)?;
        if rcgen::PublicKeyData::subject_public_key_info(&*pair) != parsed.public_key().raw {
            return Err(unusable("certificate and key do not belong together"));
        }
        let ms = |time: x509_parser::time::ASN1Time| time.timestamp().saturating_mul(1000);
        let (from_ms, to_ms) = (ms(parsed.validity().not_before), ms(parsed.validity().not_after));
        Ok(Self { certificate_pem, certificate, key, from_ms, to_ms })
    }

    /// Its certificate: what others need to trust it.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its key. For the Secret that keeps it, and for nothing else.
    pub fn key_pem(&self) -> &Zeroizing<String> {
        &self.key
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Makes a certificate for the key in `request_der` (PKCS#10, signed with that key). Names and wishes in the request
    /// count for nothing. It never outlives the authority. Returns PEM.
    ///
    /// # Errors
    /// `Unusable` for a request that cannot be used; `Expired` if the authority's own time is over.
    pub fn issue(
        &self,
        request_der: &[u8],
        identity: &Identity,
        now_ms: TimeMs,
        lifetime_ms: i64,
    ) -> Result<String, ProtoError> {
        let unusable = |detail: &str| ProtoError::unusable("a certificate request", detail);
        if now_ms >= self.to_ms {
            return Err(ProtoError::Expired { whose: "the authority".into(), at_ms: self.to_ms });
        }
        let wish = CertificateSigningRequestParams::from_der(&request_der.into())
            .map_err(|source| unusable(&source.to_string()))?;
        let algorithm = wish.public_key.algorithm();
        if ![&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519].contains(&algorithm) {
            return Err(unusable("its key is none of P-256, P-384, Ed25519"));
        }
        let request = CertificateSigningRequestParams {
            params: self.terms(identity, now_ms, lifetime_ms)?,
            public_key: wish.public_key,
        };
        let sign = |source| ProtoError::Sign { operation: "sign a certificate", source };
        let pair = pair(&self.key)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*pair).map_err(sign)?;
        Ok(request.signed_by(&issuer).map_err(sign)?.pem())
    }

    /// A key and a certificate for a process of one's own: the coordinator's.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn credentials(
        &self,
        identity: &Identity,
        now_ms: TimeMs,
        lifetime_ms: i64,
    ) -> Result<Credentials, ProtoError> {
        let applicant = Applicant::new()?;
        applicant.credentials(&self.issue(applicant.request_der(), identity, now_ms, lifetime_ms)?)
    }

    /// All that a certificate says.
    fn terms(&self, identity: &Identity, now_ms: TimeMs, lifetime_ms: i64) -> Result<CertificateParams, ProtoError> {
        let uri = Ia5String::try_from(identity.to_string())
            .map_err(|source| ProtoError::Sign { operation: "name a certificate", source })?;
        let mut params = CertificateParams::default();
        params.distinguished_name = called("Firn");
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match identity {
            Identity::Coordinator { .. } => ExtendedKeyUsagePurpose::ServerAuth,
            Identity::Objects { .. } | Identity::Agent { .. } => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date(now_ms.saturating_sub(BACKDATED_MS).max(self.from_ms))?;
        params.not_after = date(now_ms.saturating_add(lifetime_ms.max(0)).min(self.to_ms))?;
        Ok(params)
    }
}

fn pair(pem: &str) -> Result<Zeroizing<KeyPair>, ProtoError> {
    // What the parser says might repeat the text.
    KeyPair::from_pem(pem)
        .map(Zeroizing::new)
        .map_err(|_| ProtoError::unusable("an authority", "its key is not PKCS#8"))
}

fn called(name: &str) -> DistinguishedName {
    let mut out = DistinguishedName::new();
    out.push(DnType::CommonName, name);
    out
}

fn date(time_ms: TimeMs) -> Result<OffsetDateTime, ProtoError> {
    OffsetDateTime::from_unix_timestamp(time_ms.div_euclid(1000))
        .map_err(|source| ProtoError::unusable("a time", source))
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("from_ms", &self.from_ms).field("to_ms", &self.to_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
