//! Checkpoints made anew, so that the damaged ones are old, and go.

use firn_format::SigningKey;

use crate::collect::drop_old_checkpoints;
use crate::error::RepoError;
use crate::open::Repository;

/// Stores two checkpoints of the log as it is, and ends all before them. Returns how many objects went.
///
/// # Errors
/// `LogDamaged`; `Refused`.
pub fn renew_checkpoints(repository: &mut Repository, key: &SigningKey) -> Result<u64, RepoError> {
    repository.refresh()?;
    repository.refuse_halted()?;
    for _ in 0..2 {
        repository.store_checkpoint(key)?;
    }
    drop_old_checkpoints(repository, key)
}
