//! Peers: what linked repositories say, read before a commit: a fence there ends the right to write here.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use firn_format::log::{Direction, Head};
use firn_format::{Hash, StoreId};
use firn_repo::{Keyring, Repository};

use crate::args::Global;
use crate::{output, repository};

/// The longest log entry (FORMAT.md §8).
const ENTRY_BYTES_MAX: u64 = 16 << 20;

/// Imports the fences of every linked repository that can be reached, and returns the heads that were read. One that cannot
/// be reached is left out, with a word: a primary that is cut off goes on.
///
/// # Errors
/// A linked repository that cannot be trusted: a fence may be hidden there. An own log that cannot be appended to.
pub fn catch_up(repository: &mut Repository, keyring: &Keyring, global: &Global) -> anyhow::Result<Vec<Head>> {
    let mut links = repository.state().links().to_vec();
    links.retain(|link| link.direction == Direction::To);
    let mut heads = Vec::new();
    for (number, link) in links.iter().enumerate() {
        // Made anew at the same place, and linked again since.
        if links[number + 1..].iter().any(|later| later.url == link.url) {
            continue;
        }
        let Some(mut peer) = repository::open_peer(link, global)? else { continue };
        if let Some(damage) = peer.damage() {
            output::tell(&format!("note: the linked repository {} was read up to a damaged place: {damage}", link.url));
            continue;
        }
        firn_replicate::import_fences(&mut peer, repository, keyring.signing_key()?)?;
        let (store, head) = (peer.state().store(), peer.head());
        heads.push(Head { store, seq: head.seq, hash: head.hash });
    }
    Ok(heads)
}

/// The newest mirrored entry of every store that points were imported from.
pub fn mirror_heads(repository: &Repository) -> anyhow::Result<Vec<Head>> {
    let state = repository.state();
    let sources: BTreeSet<StoreId> =
        state.points().filter_map(|point| point.imported_from(state.store())).map(|(store, _)| store).collect();
    let mut heads = Vec::new();
    for store in sources {
        let mut last = None;
        let prefix = format!("mirror/{store}/");
        repository.store().list(&prefix, None, &mut |line| {
            last = Some(line.name);
            ControlFlow::Continue(())
        })?;
        let Some(name) = last else { continue };
        let Some(seq) = name.rsplit('/').next().and_then(|digits| digits.parse().ok()) else { continue };
        let bytes = repository.store().get(&name, ENTRY_BYTES_MAX)?;
        heads.push(Head { store, seq, hash: Hash::of(&bytes) });
    }
    Ok(heads)
}
