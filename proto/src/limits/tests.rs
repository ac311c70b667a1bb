//! Every limit in the table, hostile bytes, and what may never be printed.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::generated::messages::*;
use crate::secret::Secret;

const SECRET: &str = "xyzzy-this-must-not-be-seen";

/// All shapes below the four messages that are ever decoded, by name.
fn shapes() -> BTreeMap<&'static str, &'static Shape> {
    let mut todo = vec![EnrollRequest::SHAPE, EnrollReply::SHAPE, FromAgent::SHAPE, FromCoordinator::SHAPE];
    let mut all = BTreeMap::new();
    while let Some(shape) = todo.pop() {
        if all.insert(shape.name, shape).is_none() {
            todo.extend(shape.fields.iter().filter_map(|field| field.shape));
        }
    }
    all
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A field with a length.
fn put(field: u32, value: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, out);
    put_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn task() -> Task {
    Task {
        id: "r1/volumes/shop/db".into(),
        node: "n1".into(),
        repository: Some(Repository {
            url: "az://account/container".into(),
            credentials: vec![Setting { name: "AZURE_KEY".into(), value: Some(Secret::new(SECRET)) }],
            family: vec![1; 16],
            store: vec![2; 16],
        }),
        work: Some(task::Work::CaptureVolume(CaptureVolume {
            session: Some(Session {
                id: vec![3; 16],
                run: vec![4; 16],
                writer_keys: Some(Secret::new(SECRET)),
                index_runs: vec![vec![5; 49]; 3],
                avoid: vec![vec![6; 33]; 2],
                leftovers: vec![vec![8; 33]],
            }),
            parent: Some(Parent { root: vec![7; 32], cut_ms: 1 }),
            mount: "volumes/shop/db".into(),
            exclude: vec!["tmp".into()],
            consistency: Consistency::Live.into(),
            limits: Some(FileLimits { entries_max: 10, bytes_max: 0 }),
            source: Some(capture_volume::Source::PodVolume(PodVolume {
                pod_uid: "1b4e28ba".into(),
                plugin: "kubernetes.io~csi".into(),
                name: "pvc-1".into(),
            })),
        })),
    }
}

fn assign() -> FromCoordinator {
    let assign = Assign { task: Some(Box::new(task())) };
    FromCoordinator { content: Some(from_coordinator::Content::Assign(assign)) }
}

#[test]
fn an_ordinary_task_fits_and_comes_back_the_same() {
    let message = assign();
    fits(&message).expect("fits");
    let bytes = message.encode_to_vec();
    check(FromCoordinator::SHAPE, &bytes).expect("fits");
    assert_eq!(FromCoordinator::decode(bytes.as_slice()).expect("decodes"), message);
}

#[test]
fn every_list_ends_at_its_limit() {
    let mut lists = 0;
    for shape in shapes().values() {
        for field in shape.fields {
            // Numbers are scanned by their own wire type; the count is the same for all.
            let mut bytes = Vec::new();
            for _ in 0..field.count_max {
                put(field.number, &[], &mut bytes);
            }
            assert_eq!(check(shape, &bytes), Ok(()), "{}.{}", shape.name, field.name);
            put(field.number, &[], &mut bytes);
            let expected = Exceeded::Count { message: shape.name, field: field.name, count_max: field.count_max };
            assert_eq!(check(shape, &bytes), Err(expected));
            lists += usize::from(field.count_max > 1);
        }
    }
    assert!(lists >= 9, "only {lists} lists were tried");
}

#[test]
fn every_value_ends_at_its_limit() {
    let mut values = 0;
    for shape in shapes().values() {
        for field in shape.fields.iter().filter(|field| field.bytes_max < u32::MAX) {
            let mut bytes = Vec::new();
            if field.shape.is_none() {
                put(field.number, &vec![b'a'; field.bytes_max as usize], &mut bytes);
                assert_eq!(check(shape, &bytes), Ok(()), "{}.{}", shape.name, field.name);
                bytes.clear();
            }
            put(field.number, &vec![b'a'; field.bytes_max as usize + 1], &mut bytes);
            let (length, bytes_max) = (u64::from(field.bytes_max) + 1, field.bytes_max);
            let expected = Exceeded::Bytes { message: shape.name, field: field.name, bytes: length, bytes_max };
            assert_eq!(check(shape, &bytes), Err(expected));
            values += 1;
        }
    }
    assert!(values >= 40, "only {values} values were tried");
}

#[test]
fn limits_hold_within_messages_within_messages() {
    let mut message = assign();
    let Some(from_coordinator::Content::Assign(assign)) = &mut message.content else { unreachable!() };
    let Some(task::Work::CaptureVolume(capture)) = assign.task.as_mut().and_then(|task| task.work.as_mut()) else {
        unreachable!()
    };
    capture.session.as_mut().expect("session").index_runs.push(vec![0; 65]);
    assert_eq!(
        fits(&message),
        Err(Exceeded::Bytes { message: "Session", field: "index_runs", bytes: 65, bytes_max: 64 })
    );
}

#[test]
fn a_parent_in_two_parts_does_not_double_a_limit() {
    let hello = |number: u8| {
        let mut list = Vec::new();
        for _ in 0..200 {
            put(6, &[number], &mut list);
        }
        list
    };
    let mut bytes = Vec::new();
    put(1, &hello(1), &mut bytes);
    assert_eq!(check(FromAgent::SHAPE, &bytes), Ok(()));
    put(1, &hello(2), &mut bytes);
    let expected = Exceeded::Count { message: "FromAgent", field: "hello", count_max: 1 };
    assert_eq!(check(FromAgent::SHAPE, &bytes), Err(expected));
}

#[test]
fn a_message_of_all_limits_at_once_is_too_long() {
    let contribution =
        Contribution { adds: vec![vec![0; 64]; 262_144], needs: vec![vec![0; 64]; 262_144], ..Default::default() };
    let finished =
        Finished { task: "t".into(), outcome: Some(finished::Outcome::Contribution(Box::new(contribution))) };
    let message = FromAgent { content: Some(from_agent::Content::Finished(finished)) };
    assert!(matches!(fits(&message), Err(Exceeded::Message { .. })));
}

#[test]
fn malformed_bytes_are_refused() {
    let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for bytes in [
        &[0x0a][..],                                                   // a length is missing
        &[0x0a, 0x05, 0x00],                                           // longer than what follows
        &huge,                                                         // a length of 2^64 - 1
        &[0x80; 11],                                                   // a number without an end
        &[0x0b, 0x0c],                                                 // a group
        &[0x0f],                                                       // no wire type
        &[0x00],                                                       // field 0
        &[0x09, 0x00, 0x00],                                           // eight bytes of which two are there
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], // more than 64 bits
    ] {
        assert!(matches!(check(FromAgent::SHAPE, bytes), Err(Exceeded::Malformed { .. })), "{bytes:?}");
    }
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let mut bytes = assign().encode_to_vec();
    put(2047, &[1; 100_000], &mut bytes);
    assert_eq!(check(FromCoordinator::SHAPE, &bytes), Ok(()));
    assert_eq!(FromCoordinator::decode(bytes.as_slice()).expect("decodes"), assign());
}

#[test]
fn secrets_are_not_printed() {
    let numbers = format!("{:?}", SECRET.as_bytes());
    let numbers = numbers.trim_matches(['[', ']']);
    let enroll = EnrollRequest { certificate_request: vec![1], token: Some(Secret::new(SECRET)) };
    for text in [
        format!("{:?}", assign()),
        format!("{:#?}", assign()),
        format!("{enroll:?}"),
        format!("{:?}", Secret::new(SECRET)),
        format!("{:?}", tonic::Request::new(enroll.clone())),
        format!("{:?}", crate::Order::Assign(Box::new(task()))),
    ] {
        assert!(!text.contains(SECRET) && !text.contains(numbers), "{text}");
        let compact: String = text.split_whitespace().collect();
        assert!(!compact.contains(&numbers.replace(' ', "")), "{text}");
        assert!(text.contains("bytes)") || text.contains("Secret"), "{text}");
    }
}

/// What passed the check is within the limits when it is decoded, too.
fn assert_within(message: &FromCoordinator) {
    fits(message).expect("a message that was decoded fits");
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for shape in shapes().values() {
            let _either = check(shape, &bytes);
        }
        if check(FromCoordinator::SHAPE, &bytes).is_ok() && let Ok(message) = FromCoordinator::decode(bytes.as_slice()) {
            assert_within(&message);
        }
    }

    #[test]
    fn no_change_to_a_message_does_harm(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..20), cut: u16) {
        let mut bytes = assign().encode_to_vec();
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(usize::from(cut) % bytes.len() + 1);
        if check(FromCoordinator::SHAPE, &bytes).is_ok() && let Ok(message) = FromCoordinator::decode(bytes.as_slice()) {
            assert_within(&message);
        }
    }

    #[test]
    fn the_check_refuses_nothing_that_fits(
        running in proptest::collection::vec("[a-z0-9/-]{0,128}", 0..256),
        finished in proptest::collection::vec("[a-z]{0,8}", 0..50),
        node in "[a-z0-9.-]{0,253}",
        slots: u32,
    ) {
        let hello = Hello { agent_version: "1".into(), protocol_min: 1, protocol_max: 1, node, slots, running, finished };
        let message = FromAgent { content: Some(from_agent::Content::Hello(hello)) };
        prop_assert_eq!(fits(&message), Ok(()));
        let decoded = FromAgent::decode(message.encode_to_vec().as_slice());
        prop_assert_eq!(decoded.as_ref(), Ok(&message));
    }
}
