//! Domain: the keys that a cluster's captures are made with, announced in the log before they are used.

use firn_format::log::{KeyAction, KeyChange};
use firn_format::{DomainId, Payload, State, WriterKeys};

use crate::error::RepoError;
use crate::keyring::Keyring;
use crate::open::Repository;

/// The domain's newest generation; 1 if the log has none yet.
pub fn generation(state: &State, domain: DomainId) -> u32 {
    let of_domain = state.domains().keys().filter(|(id, _)| *id == domain);
    of_domain.map(|(_, generation)| *generation).max().unwrap_or(1)
}

impl Repository {
    /// The keys for writing for a cluster. A domain that the log does not know is announced first.
    ///
    /// # Errors
    /// `NotAllowed` without the owner's key, if the domain must be announced.
    pub fn writer_keys(&mut self, keyring: &Keyring, cluster: &str) -> Result<WriterKeys, RepoError> {
        let domain = keyring.domain(cluster);
        let keys = keyring.writer_keys(domain, generation(self.state(), domain))?;
        self.append_unless_known(keyring, &keys)?;
        Ok(keys)
    }

    fn append_unless_known(&mut self, keyring: &Keyring, keys: &WriterKeys) -> Result<(), RepoError> {
        let key = keys.key_ref();
        if self.state().domain_public(&key.domain, key.generation).is_some() {
            return Ok(());
        }
        self.append_with(keyring.signing_key()?, |state| {
            let known = state.domain_public(&key.domain, key.generation).is_some();
            Ok((!known).then(|| {
                Payload::Key(KeyChange {
                    action: KeyAction::Domain,
                    signer: None,
                    roles: None,
                    label: None,
                    domain: Some(key.domain),
                    generation: Some(key.generation),
                    domain_public: Some(*keys.public()),
                })
            }))
        })?;
        Ok(())
    }
}
