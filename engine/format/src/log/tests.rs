//! Payloads and entries keep what they say, and hostile bytes are refused.

use proptest::prelude::*;

use super::*;
use crate::ids::{BlobId, CollectionId, DomainId, Hash, HoldId, LineageId, PointId, RunId, SessionId, Signer, StoreId};
use crate::name::{Class, ObjectName};
use crate::signing::SigningKey;

fn object() -> impl Strategy<Value = ObjectName> {
    let class = prop_oneof![
        Just(Class::Data),
        Just(Class::Meta),
        any::<[u8; 16]>().prop_map(|session| Class::Index(SessionId(session)))
    ];
    (class, any::<[u8; 32]>(), any::<Option<u64>>()).prop_map(|(class, hash, reborn)| ObjectName {
        class,
        hash: Hash(hash),
        reborn,
    })
}

fn objects() -> impl Strategy<Value = Vec<ObjectName>> {
    prop::collection::vec(object(), 0..4)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..50)
}

fn points() -> impl Strategy<Value = Vec<PointId>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(PointId), 0..4)
}

fn head() -> impl Strategy<Value = Head> {
    (any::<[u8; 16]>(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(store, seq, hash)| Head {
        store: StoreId(store),
        seq,
        hash: Hash(hash),
    })
}

fn commit() -> impl Strategy<Value = Payload> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<Option<[u8; 32]>>(), any::<(u64, u32, u64)>());
    (ids, objects(), objects(), objects(), prop::collection::vec(head(), 0..3), bytes()).prop_map(
        |((id, long, parent, (epoch, generation, collected_to)), adds, needs_added, needs_dropped, peers, summary)| {
            Payload::Commit(Box::new(Commit {
                session: SessionId(id),
                run: RunId(id),
                lineage: LineageId(id),
                epoch,
                parent: parent.map(PointId),
                manifest: BlobId(long),
                domain: DomainId(id),
                generation,
                rescues: adds.clone(),
                adds,
                needs_added,
                needs_dropped,
                peers,
                summary,
                collected_to,
            }))
        },
    )
}

fn payload() -> impl Strategy<Value = Payload> {
    let id = any::<[u8; 16]>;
    let long = any::<[u8; 32]>;
    let text = || "[a-zé]{0,8}";
    let action = prop_oneof![Just(KeyAction::Admit), Just(KeyAction::Revoke), Just(KeyAction::Domain)];
    let level = prop_oneof![Just(Level::Structure), Just(Level::StoredHashes), Just(Level::AllData)];
    let key =
        (action, any::<Option<[u8; 32]>>(), any::<Option<u32>>(), prop::option::of(text()), any::<Option<[u8; 32]>>());
    prop_oneof![
        key.prop_map(|(action, signer, number, label, domain_public)| Payload::Key(KeyChange {
            action,
            signer: signer.map(Signer),
            roles: number.map(Roles),
            label,
            domain: signer.map(|_| DomainId([4; 16])),
            generation: number,
            domain_public,
        })),
        (id(), any::<u64>(), any::<Option<[u8; 32]>>()).prop_map(|(id, epoch, parent)| Payload::SessionOpen(
            SessionOpen {
                session: SessionId(id),
                run: RunId(id),
                lineage: LineageId(id),
                epoch,
                parent: parent.map(PointId),
            }
        )),
        commit(),
        id().prop_map(|id| Payload::Abort(SessionEnd { session: SessionId(id) })),
        id().prop_map(|id| Payload::Kill(SessionEnd { session: SessionId(id) })),
        (head(), bytes(), objects(), prop::option::of(objects())).prop_map(|(head, entry, rescues, needs)| {
            Payload::Import(Box::new(Import {
                store: head.store,
                seq: head.seq,
                hash: head.hash,
                entry,
                rescues,
                needs,
                passed: (0..head.seq % 3).collect(),
            }))
        }),
        (prop::collection::vec((id(), any::<u64>(), any::<Option<[u8; 32]>>()), 0..3), head(), text()).prop_map(
            |(rows, basis, reason)| Payload::Fence(Fence {
                lineages: rows.iter().map(|row| LineageId(row.0)).collect(),
                epochs: rows.iter().map(|row| row.1).collect(),
                tips: rows.iter().map(|row| row.2.map(PointId)).collect(),
                basis: vec![basis],
                reason,
                successors: rows.iter().map(|row| LineageId(row.0)).collect(),
            })
        ),
        long().prop_map(|hash| Payload::Unfence(Unfence { fence: Hash(hash) })),
        (id(), objects())
            .prop_map(|(id, candidates)| Payload::GcMark(GcMark { collection: CollectionId(id), candidates })),
        objects().prop_map(|names| Payload::Rescue(Rescue { names })),
        (id(), objects(), object(), object()).prop_map(|(id, dropped, from, to)| Payload::GcCommit(GcCommit {
            collection: CollectionId(id),
            dropped,
            moved: vec![Moved { from, to }],
        })),
        (id(), points(), text(), any::<Option<i64>>()).prop_map(|(id, points, reason, until_ms)| Payload::Hold(Hold {
            hold: HoldId(id),
            points,
            reason,
            until_ms
        })),
        id().prop_map(|id| Payload::Release(Release { hold: HoldId(id) })),
        (points(), text()).prop_map(|(points, reason)| Payload::Delete(Delete { points, reason })),
        (any::<(u32, u32)>(), prop::collection::vec(text(), 0..3)).prop_map(|((reader_min, writer_min), features)| {
            Payload::Upgrade(Upgrade { reader_min, writer_min, features })
        }),
        (objects(), text()).prop_map(|(names, reason)| Payload::Lost(Lost { names, reason })),
        (objects(), object(), object(), objects()).prop_map(|(names, from, to, rescues)| Payload::Found(Found {
            names,
            moved: vec![Moved { from, to }],
            rescues,
        })),
        (any::<u64>(), long(), text(), prop::option::of(bytes()))
            .prop_map(|(seq, hash, reason, entry)| Payload::Void(Void { seq, hash: Hash(hash), reason, entry })),
        (points(), level).prop_map(|(points, level)| Payload::Verified(Verified { points, level })),
        (id(), long(), text(), any::<bool>()).prop_map(|(id, hash, url, to)| Payload::Link(Link {
            store: StoreId(id),
            fingerprint: Hash(hash),
            url,
            direction: if to { Direction::To } else { Direction::From },
        })),
        long().prop_map(|hash| Payload::Checkpoint(Checkpoint { hash: Hash(hash) })),
        any::<u64>().prop_map(|seconds_min| Payload::Retention(Retention { seconds_min })),
        bytes().prop_map(|bytes| Payload::Opaque(Opaque { kind: 400, bytes })),
    ]
}

proptest! {
    #[test]
    fn a_payload_round_trips(payload in payload()) {
        prop_assert_eq!(Payload::decode(payload.kind_number(), &payload.encode()), payload);
    }

    #[test]
    fn an_entry_round_trips(payload in payload(), seq: u64, term: u64, critical: bool, time_ms: i64, store_time_ms: Option<i64>) {
        let key = SigningKey::from_seed(&[5; 32]).unwrap();
        let (store, prev, signer) = (StoreId([1; 16]), Hash([2; 32]), key.signer());
        let entry = Entry { store, seq, prev, critical, term, payload, time_ms, store_time_ms, signer };
        let bytes = entry.sign(&key).unwrap();
        prop_assert_eq!(Entry::open(&bytes).unwrap(), (entry, Hash::of(&bytes)));
    }

    #[test]
    fn any_bytes_decode_or_are_refused(kind: u16, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _payload = Payload::decode(kind % 24, &bytes);
        prop_assert!(Entry::open(&bytes).is_err());
        prop_assert!(crate::format_file::FormatFile::open(&bytes).is_err());
    }

    #[test]
    fn spoilt_payloads_decode_or_are_opaque(payload in payload(), at: prop::sample::Index, with: u8) {
        let mut bytes = payload.encode();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        let _payload = Payload::decode(payload.kind_number(), &bytes);
    }
}

#[test]
fn kinds_have_their_numbers() {
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!((usize::from(kind.number()), Kind::from_number(kind.number())), (index + 1, Some(kind)));
    }
    assert_eq!((Kind::from_number(0), Kind::from_number(23)), (None, None));
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    // An array that claims 2^60 names, and one that is nested without end.
    let huge =
        [0xa2, 0x00, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0];
    assert!(matches!(Payload::decode(Kind::GcMark.number(), &huge), Payload::Opaque(_)));
    let deep = [vec![0xa1, 0x18, 0x63], vec![0x81; 1 << 20]].concat();
    assert!(matches!(Payload::decode(Kind::GcMark.number(), &deep), Payload::Opaque(_)));
}
