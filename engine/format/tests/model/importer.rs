//! Importers: a peer's entries in the order of its log, each once all that it needs is there.

use firn_format::log::{Import, Payload};
use firn_format::state::FenceInfo;
use firn_format::{Entry, ObjectName, PointId, State, VoidReason};

use super::super::book::{REBORN_MAX, bit, bits, mask};
use super::super::world::{Late, World};
use super::{At, plain};

impl At<'_> {
    pub(super) fn importer(&mut self, from: u8, to: u8) -> Vec<World> {
        let Some((view, here)) = self.read(to) else { return Vec::new() };
        let there = self.world.state(self.book, from);
        let Some((import, required)) = self.next_import(from, to, &there, &here) else { return Vec::new() };
        let missing = required & !self.world.objects[plain(to)];
        match self.actor.step {
            0 => {
                let Some(object) = bits(missing).next() else { return vec![self.go(1, |actor| actor.view = view)] };
                // Bytes that were re-created here have another name there.
                let source = [object, object / REBORN_MAX * REBORN_MAX];
                let found = source.iter().any(|object| self.world.objects[plain(from)] & bit(*object) != 0);
                if !found {
                    return Vec::new();
                }
                let mut next = self.world.clone();
                next.objects[plain(to)] |= bit(object);
                let mut out = vec![next];
                if self.world.faults > 0 {
                    let mut late = self.world.clone();
                    late.add_late(Late::Put(to, object));
                    out.push(late);
                }
                out
            }
            _ if missing != 0 || view != self.actor.view => vec![self.go(0, |_| {})],
            _ => vec![self.create(to, import, 0, 0)],
        }
    }

    /// The first entry that took effect at the peer, its own or imported, and would here; and the objects that must be here
    /// before.
    fn next_import(&mut self, from: u8, to: u8, there: &State, here: &State) -> Option<(Payload, u64)> {
        let log = self.world.logs[plain(from)];
        let at_hand = self.world.objects[plain(from)] | self.world.objects[plain(to)];
        for seq in 1..=self.book.depth(log) {
            let (entry, bytes, hash) = self.book.entry(log, seq);
            let mut import = match &entry.payload {
                Payload::Import(import) if import.store == here.store() => continue,
                Payload::Import(import) => Import { rescues: Vec::new(), needs: None, ..(**import).clone() },
                _ => Import {
                    store: there.store(),
                    seq,
                    hash: *hash,
                    entry: bytes.clone(),
                    rescues: Vec::new(),
                    needs: None,
                    passed: Vec::new(),
                },
            };
            let Some(required) = self.complete(&mut import, there, here, at_hand) else { continue };
            let payload = Payload::Import(Box::new(import));
            if here.validate(&payload, &self.book.signer()).is_ok() {
                return Some((payload, required));
            }
        }
        None
    }

    /// Gives the import its needs; `None` if the entry has no effect at the peer, or cannot come.
    fn complete(&self, import: &mut Import, there: &State, here: &State, at_hand: u64) -> Option<u64> {
        let (hash, point) = (import.hash, PointId::from(import.hash));
        let by = |info: &FenceInfo| info.unfenced.map(|by| by.hash);
        match &Entry::open_trusted(&import.entry).ok()?.payload {
            // One that was taken back meanwhile, too: an importer may be slow.
            Payload::Fence(_) => there.fences().values().any(|info| info.hash == hash).then_some(0),
            Payload::Unfence(_) => there.fences().values().any(|info| by(info) == Some(hash)).then_some(0),
            Payload::Commit(commit) if there.point(&point).is_some() => {
                let named: Vec<ObjectName> = commit.adds.iter().chain(&commit.needs_added).copied().collect();
                import.rescues = named.iter().filter(|name| here.is_candidate(name)).copied().collect();
                let literal = Payload::Import(Box::new(import.clone()));
                // What the source has not got any more is there under another name.
                match here.validate(&literal, &self.book.signer()) {
                    Ok(()) if mask(&named) & !at_hand == 0 => Some(mask(&named)),
                    Ok(()) | Err(VoidReason::DeadName | VoidReason::NeedsMissing) => {
                        let needs = there.needs(&point);
                        let needs: Vec<_> = needs.into_iter().map(|name| here.name_to_store(name)).collect();
                        import.rescues = needs.iter().filter(|name| here.is_candidate(name)).copied().collect();
                        import.needs = Some(needs.clone());
                        Some(mask(&needs))
                    }
                    Err(_) => None,
                }
            }
            _ => None,
        }
    }
}
