//! What an entry does that was judged to take effect.

use super::judge::Plan;
use super::points::Arrival;
use crate::format_file::{FEATURES, VERSION};
use crate::ids::{Hash, SessionId};
use crate::log::{Entry, Head, Import, KeyAction, KeyChange, Link, Payload, SessionOpen, Upgrade, Verified};
use crate::state::{HoldInfo, Session, SignerInfo, State, Verification};

impl State {
    pub(super) fn change(&mut self, entry: &Entry, hash: Hash, bytes: &[u8], plan: Plan) {
        let time_ms = entry.store_time_ms.unwrap_or(entry.time_ms);
        match (&entry.payload, plan) {
            (Payload::Commit(commit), Plan::Commit(new)) => {
                self.rescue(&commit.rescues);
                self.end_session(&commit.session);
                for head in &commit.peers {
                    let known = self.peers.entry(head.store).or_insert(*head);
                    if head.seq > known.seq {
                        *known = *head;
                    }
                }
                self.change_point(entry, commit, hash, new, Arrival { time_ms, was_hashed: false });
            }
            (Payload::Unfence(_), Plan::Unfence(lifted)) => {
                self.change_unfence(&lifted, Head { store: entry.store, seq: entry.seq, hash });
            }
            (Payload::Import(import), plan) => self.change_import(import, plan, time_ms),
            (Payload::Fence(fence), Plan::Fence(effects)) => self.change_fence(entry, fence, hash, effects),
            (payload, _) => self.change_plain(entry, payload, bytes, time_ms),
        }
    }

    fn change_import(&mut self, import: &Import, plan: Plan, time_ms: i64) {
        match plan {
            Plan::ImportCommit(entry, new) => {
                let Payload::Commit(commit) = &entry.payload else { return };
                self.rescue(&import.rescues);
                self.change_point(&entry, commit, import.hash, new, Arrival { time_ms, was_hashed: true });
                self.change_order(commit.lineage, import);
            }
            Plan::ImportFence(entry, effects) => {
                let Payload::Fence(fence) = &entry.payload else { return };
                self.change_fence(&entry, fence, import.hash, effects);
            }
            Plan::Unfence(lifted) => {
                self.change_unfence(&lifted, Head { store: import.store, seq: import.seq, hash: import.hash });
            }
            _ => {}
        }
    }

    fn change_plain(&mut self, entry: &Entry, payload: &Payload, bytes: &[u8], time_ms: i64) {
        match payload {
            Payload::Key(key) => self.change_key(key, bytes),
            Payload::SessionOpen(open) => self.change_open(entry, open, time_ms),
            Payload::Abort(end) | Payload::Kill(end) => self.end_session(&end.session),
            Payload::GcMark(mark) => self.change_mark(mark, time_ms),
            Payload::Rescue(rescue) => self.rescue(&rescue.names),
            Payload::GcCommit(collected) => self.change_collected(collected),
            Payload::Hold(hold) => {
                let info = HoldInfo {
                    points: hold.points.clone(),
                    reason: hold.reason.clone(),
                    until_ms: hold.until_ms,
                    time_ms,
                    signer: entry.signer,
                };
                self.holds.insert(hold.hold, info);
            }
            Payload::Release(release) => _ = self.holds.remove(&release.hold),
            Payload::Delete(delete) => {
                for point in &delete.points {
                    self.end_point(point);
                }
            }
            Payload::Upgrade(upgrade) => self.change_upgrade(upgrade),
            Payload::Lost(lost) => self.change_lost(lost),
            Payload::Found(found) => self.change_found(found),
            Payload::Verified(verified) => self.change_verified(verified, time_ms),
            Payload::Link(link) => self.change_link(link),
            Payload::Retention(retention) => self.retention_seconds_min = retention.seconds_min,
            Payload::Commit(_) | Payload::Import(_) | Payload::Fence(_) | Payload::Unfence(_) => {}
            Payload::Void(_) | Payload::Checkpoint(_) | Payload::Opaque(_) => {}
        }
    }

    /// The part of KEY that a checkpoint's reader replays from the stored entries.
    pub(crate) fn change_key(&mut self, key: &KeyChange, bytes: &[u8]) {
        self.key_entries.push(bytes.to_vec());
        match (key.action, key.signer) {
            (KeyAction::Admit, Some(signer)) => {
                let info =
                    SignerInfo { roles: key.roles.unwrap_or_default(), label: key.label.clone().unwrap_or_default() };
                self.signers.insert(signer, info);
            }
            (KeyAction::Revoke, Some(signer)) => _ = self.signers.remove(&signer),
            _ => {
                if let (Some(domain), Some(generation), Some(public)) = (key.domain, key.generation, key.domain_public)
                {
                    self.domains.insert((domain, generation), public);
                }
            }
        }
    }

    fn change_open(&mut self, entry: &Entry, open: &SessionOpen, time_ms: i64) {
        let session = Session {
            run: open.run,
            lineage: open.lineage,
            epoch: open.epoch,
            parent: open.parent,
            seq: entry.seq,
            time_ms,
            signer: entry.signer,
        };
        self.sessions.insert(open.session, session);
        self.sessions_used.insert(open.session);
        self.lineages.entry(open.lineage).or_default();
    }

    fn end_session(&mut self, session: &SessionId) {
        self.sessions.remove(session);
        if let Some(open) = &mut self.collection {
            open.barrier.remove(session);
        }
    }

    fn end_point(&mut self, point: &crate::ids::PointId) {
        let Some(seq) = self.points.seq_of(point) else { return };
        if let Some((lineage, place)) = self.point(point).map(|point| (point.lineage, point.place()))
            && let Some(lineage) = self.lineages.get_mut(&lineage)
        {
            lineage.points.remove(&place);
        }
        self.points.remove(seq, &mut self.objects);
    }

    fn change_upgrade(&mut self, upgrade: &Upgrade) {
        (self.reader_min, self.writer_min) = (upgrade.reader_min, upgrade.writer_min);
        self.features.extend(upgrade.features.iter().cloned());
        if self.reader_min > VERSION {
            self.newer = Some(format!("reader version {}", self.reader_min));
        }
        if let Some(unknown) = self.features.iter().find(|feature| !FEATURES.contains(&feature.as_str())) {
            self.newer = Some(unknown.chars().take(80).collect());
        }
    }

    /// A shallower check does not replace a deeper one.
    fn change_verified(&mut self, verified: &Verified, time_ms: i64) {
        let now = Verification { level: verified.level, seq: self.next, time_ms };
        for seq in verified.points.iter().filter_map(|point| self.points.seq_of(point)).collect::<Vec<_>>() {
            if let Some(point) = self.points.point_mut(seq)
                && point.verified.is_none_or(|before| before.level <= now.level)
            {
                point.verified = Some(now);
            }
        }
    }

    fn change_link(&mut self, link: &Link) {
        self.links.retain(|known| (known.store, known.direction) != (link.store, link.direction));
        self.links.push(link.clone());
    }
}
