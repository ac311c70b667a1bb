//! Authorities that follow one another. While one takes the other's place both are trusted, so that nobody is shut out.
//!
//! There is no phase to remember: when each was made decides. From its making, a new authority is trusted. It signs once
//! everybody has had to renew his certificate since, and so has heard of it. The former is dropped when nothing that it
//! signed is valid any more.

use zeroize::Zeroizing;

use crate::authority::{Authority, BACKDATED_MS, DAY_MS, LEAF_LIFETIME_MS};
use crate::clock::TimeMs;
use crate::error::ProtoError;
use crate::identity::{Identity, Name};
use crate::tls::Trust;

/// A new authority is made when the newest is this old: half of its life, so that an installation that sleeps for
/// months still finds a valid one.
const SUCCEEDED_AFTER_MS: i64 = 365 * DAY_MS;

/// From its making to its first signature: twice the life of a certificate.
const LEAD_MS: i64 = 2 * LEAF_LIFETIME_MS;

/// From a successor's first signature to the end of the former: the life of a certificate, and as much again for clocks.
const TAIL_MS: i64 = 2 * LEAF_LIFETIME_MS;

/// All authorities of a cluster that still matter: one, or two while one takes the other's place.
#[derive(Debug)]
pub struct Authorities {
    cluster: Name,
    /// Oldest first; never empty.
    all: Vec<Authority>,
}

/// An authority as it is kept in the Secret.
#[derive(Clone)]
pub struct Kept {
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// Its key, PEM.
    pub key_pem: Zeroizing<String>,
}

impl Authorities {
    /// The first authority of a cluster.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn create(cluster: &Name, now_ms: TimeMs) -> Result<Self, ProtoError> {
        Ok(Self { cluster: cluster.clone(), all: vec![Authority::create(cluster, now_ms)?] })
    }

    /// Those that were kept, in any order.
    ///
    /// # Errors
    /// `Unusable` if there are none or one of them is unusable.
    pub fn load(cluster: &Name, kept: &[Kept]) -> Result<Self, ProtoError> {
        let load = |kept: &Kept| Authority::load(&kept.certificate_pem, &kept.key_pem);
        let mut all = kept.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err(ProtoError::unusable("an authority", "there is none"));
        }
        all.sort_by_key(|authority| authority.from_ms);
        Ok(Self { cluster: cluster.clone(), all })
    }

    /// What is to be kept.
    pub fn kept(&self) -> Vec<Kept> {
        let keep = |authority: &Authority| Kept {
            certificate_pem: authority.certificate_pem().to_owned(),
            key_pem: authority.key_pem().clone(),
        };
        self.all.iter().map(keep).collect()
    }

    /// Does what is due: a successor in time, and dropping who is no longer needed. `true` if something changed and must
    /// be kept before it is used.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn rotate(&mut self, now_ms: TimeMs) -> Result<bool, ProtoError> {
        let before = self.all.len();
        let over = |successor: &Authority| now_ms >= signs_from(successor).saturating_add(TAIL_MS);
        while matches!(self.all.as_slice(), [_, successor, ..] if over(successor)) {
            self.all.remove(0);
        }
        let is_due = |newest: &Authority| now_ms >= made(newest).saturating_add(SUCCEEDED_AFTER_MS);
        if self.all.last().is_none_or(is_due) {
            self.succeed(now_ms)?;
            return Ok(true);
        }
        Ok(self.all.len() != before)
    }

    /// Makes a successor now; nothing if one is on its way. It signs two days later. What must happen at once, because a
    /// key is in wrong hands, needs another way: a new Secret, and everybody enrolls again.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub fn succeed(&mut self, now_ms: TimeMs) -> Result<(), ProtoError> {
        if self.all.last().is_some_and(|newest| self.all.len() > 1 && now_ms < signs_from(newest)) {
            return Ok(());
        }
        self.all.push(Authority::create(&self.cluster, now_ms)?);
        Ok(())
    }

    /// Whom everybody is to trust now; PEM, for the ConfigMap and for replies.
    pub fn trusted_pem(&self) -> String {
        self.all.iter().map(Authority::certificate_pem).collect()
    }

    /// Whom everybody is to trust now.
    ///
    /// # Errors
    /// `Setup`.
    pub fn trust(&self) -> Result<Trust, ProtoError> {
        Trust::new(self.all.iter().map(|authority| authority.certificate().clone()).collect())
    }

    /// The one that signs now: the newest of which everybody has heard, else the oldest.
    ///
    /// # Errors
    /// `Unusable` if there is none.
    pub fn signing(&self, now_ms: TimeMs) -> Result<&Authority, ProtoError> {
        let known = self.all.iter().rev().find(|authority| now_ms >= signs_from(authority));
        known.or(self.all.first()).ok_or_else(|| ProtoError::unusable("an authority", "there is none"))
    }

    /// Makes a certificate ([`Authority::issue`]) that lives as long as they all do.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue(&self, request_der: &[u8], identity: &Identity, now_ms: TimeMs) -> Result<String, ProtoError> {
        self.signing(now_ms)?.issue(request_der, identity, now_ms, LEAF_LIFETIME_MS)
    }
}

fn made(authority: &Authority) -> TimeMs {
    authority.from_ms.saturating_add(BACKDATED_MS)
}

fn signs_from(authority: &Authority) -> TimeMs {
    made(authority).saturating_add(LEAD_MS)
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
