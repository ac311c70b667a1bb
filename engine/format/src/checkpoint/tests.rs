//! A checkpoint says what the log says, or is refused.

use super::*;
use crate::fold::tests::{Bench, name};
use crate::ids::{LineageId, PointId, SessionId, Signer};
use crate::log::{Checkpoint, KeyAction, KeyChange, Roles};
use crate::signing::SigningKey;
use crate::state::Point;

fn with_checkpoint(bench: &mut Bench) -> (Vec<u8>, Vec<u8>) {
    let bytes = bench.state.to_checkpoint().unwrap();
    let verdict = bench.put(Payload::Checkpoint(Checkpoint { hash: Hash::of(&bytes) }));
    assert_eq!(verdict, Verdict::Applied);
    (bytes, bench.slots.last().unwrap().clone().unwrap())
}

fn admit(signer: Signer) -> Payload {
    let (action, signer, roles) = (KeyAction::Admit, Some(signer), Some(Roles::COMMIT));
    Payload::Key(KeyChange { action, signer, roles, label: None, domain: None, generation: None, domain_public: None })
}

#[test]
fn signers_are_proved_from_the_owner_on() {
    let mut bench = Bench::new(1);
    let stranger = SigningKey::from_seed(&[50; 32]).unwrap();
    bench.put(admit(stranger.signer()));
    bench.point(1, &[1, 2], &[]);
    let (bytes, entry) = with_checkpoint(&mut bench);
    let read = |bytes: &[u8], entry: &[u8]| State::from_checkpoint(bytes, entry, &bench.format, bench.fingerprint);
    let state = read(&bytes, &entry).unwrap();
    assert_eq!(state.signers(), bench.state.signers());
    // A state that admits somebody without a KEY entry of the owner.
    let mut forged = Bench::new(1);
    let mut lie = forged.entry(admit(stranger.signer()));
    lie.signer = stranger.signer();
    forged.state.key_entries.push(lie.sign(&stranger).unwrap());
    let (bytes, entry) = with_checkpoint(&mut forged);
    assert!(read(&bytes, &entry).is_err());
}

#[test]
fn spoilt_checkpoints_are_refused() {
    let mut bench = Bench::new(1);
    bench.point(1, &[1, 2], &[]);
    let (bytes, entry) = with_checkpoint(&mut bench);
    let read = |bytes: &[u8]| {
        // The entry names these very bytes, so only what they say can be wrong.
        let payload = Payload::Checkpoint(Checkpoint { hash: Hash::of(bytes) });
        let (opened, _) = Entry::open(&entry).unwrap();
        let entry = Entry { payload, ..opened }.sign(&bench.key).unwrap();
        State::from_checkpoint(bytes, &entry, &bench.format, bench.fingerprint)
    };
    assert!(read(&bytes).is_ok());
    for at in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 0x41;
        // Not every byte is checked by anything but the hash; none may panic.
        let _state = read(&spoilt);
        assert!(read(&bytes[..at]).is_err());
    }
    let mut bomb = bytes.clone();
    bomb[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(read(&bomb).is_err());
    assert!(State::from_checkpoint(&bytes, &entry, &Bench::new(2).format, bench.fingerprint).is_err());
}

/// 100 000 points, each with five objects of its own, as the documents promise to open.
#[test]
fn a_hundred_thousand_points_are_small_and_quick() {
    let bench = Bench::new(1);
    let mut state = bench.state.clone();
    let (points, lineages) = (100_000u64, 50u8);
    let mut last = [None; 50];
    for seq in 1..=points {
        let lineage = (seq % u64::from(lineages)) as u8;
        let id = LineageId([lineage; 16]);
        let added: Vec<ObjectNo> = (0..5)
            .map(|n| {
                let name = crate::name::ObjectName::of(crate::name::Class::Data, &[seq.to_le_bytes(), [n; 8]].concat());
                state.objects.intern(&name)
            })
            .collect();
        let hash = Hash::of(&seq.to_le_bytes());
        let point = Point {
            id: PointId::from(hash),
            lineage: id,
            epoch: 0,
            seq,
            store: bench.format.store,
            store_seq: seq,
            session: SessionId([1; 16]),
            run: crate::ids::RunId([1; 16]),
            parent: None,
            manifest: crate::ids::BlobId(hash.0),
            domain: crate::ids::DomainId([1; 16]),
            generation: 1,
            time_ms: 1,
            store_time_ms: None,
            arrived_ms: 1,
            summary: vec![7; 300],
            branch: false,
            verified: None,
            collected: false,
        };
        let base = last[usize::from(lineage)].replace(seq);
        state.lineages.entry(id).or_default().points.insert(point.place());
        // Each keeps the newest objects of its base and drops one.
        let dropped = base.and_then(|base| state.points.node(base)).map(|node| vec![node.added[0]]).unwrap_or_default();
        state.points.insert(point, base, added, dropped, &mut state.objects);
        state.next = seq + 1;
    }
    let bytes = state.to_checkpoint().unwrap();
    let mut bench = Bench { state, ..bench };
    let (again, entry) = with_checkpoint(&mut bench);
    assert_eq!(bytes, again);
    let read = State::from_checkpoint(&bytes, &entry, &bench.format, bench.fingerprint).unwrap();
    assert_eq!(read.points().len(), 100_000);
    assert_eq!(read.to_checkpoint().unwrap(), bench.state.to_checkpoint().unwrap());
    let newest = read.latest(&LineageId([3; 16])).unwrap().id;
    assert_eq!(read.needs(&newest).len(), 4 * 2000 + 1);
    assert!(!read.needed_by_any(&name(1)));
}

#[test]
fn a_checkpoint_is_compared_with_what_the_log_comes_to() {
    let mut bench = Bench::new(1);
    bench.point(1, &[1, 2], &[]);
    let bytes = bench.state.to_checkpoint().unwrap();
    assert!(bench.state.compare_checkpoint(&bytes).is_ok());
    // Another compressor says the same in other bytes.
    let frame = zstd::bulk::compress(&plain(&bytes).unwrap(), 19).unwrap();
    let other = [&bytes[..HEAD_BYTES], &frame].concat();
    assert_ne!(other, bytes);
    assert!(bench.state.compare_checkpoint(&other).is_ok());
    assert!(bench.state.compare_checkpoint(&bytes[..bytes.len() - 1]).is_err());
    let longer = zstd::bulk::compress(&[&plain(&bytes).unwrap()[..], b"x"].concat(), 3).unwrap();
    assert!(bench.state.compare_checkpoint(&[&bytes[..HEAD_BYTES], &longer].concat()).is_err());
    bench.point(2, &[3], &[]);
    assert!(bench.state.compare_checkpoint(&bytes).is_err());
}
