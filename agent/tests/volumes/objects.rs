//! Objects: what Kubernetes allows comes back, what cannot be kept is an exception, and a kind may be carried half way.

use firn_agent::{AgentError, CapturedObjects, ObjectCapture, ParentTree, read_objects};
use firn_format::Silent;
use firn_format::object::ObjectKey;

use crate::ground::Ground;

/// The cut of every parent.
const PARENT_CUT_MS: i64 = 77;

fn key(name: &str) -> ObjectKey {
    let (version, resource) = ("v1".to_owned(), "configmaps".to_owned());
    ObjectKey { group: String::new(), version, resource, namespace: Some("shop".into()), name: name.to_owned() }
}

fn back_up(ground: &mut Ground, take: impl FnOnce(&mut ObjectCapture<'_>)) -> CapturedObjects {
    let session = ground.session();
    let reader = session.part().reader().clone();
    let parent = ground.root.map(|root| ParentTree { reader, root, cut_ms: PARENT_CUT_MS });
    let mut capture = ObjectCapture::new(session.part(), parent, &Silent).unwrap();
    take(&mut capture);
    let captured = capture.finish().unwrap();
    ground.commit(session, captured.root.id).unwrap();
    captured
}

fn texts(ground: &Ground, below: &str) -> Result<Vec<(String, String)>, AgentError> {
    let (reader, root) = (ground.reader(), ground.root.unwrap());
    let mut texts = Vec::new();
    read_objects(&reader, root, below, 2, |key, text| {
        texts.push((key.name, String::from_utf8(text.unwrap()).unwrap()));
        Ok(())
    })?;
    Ok(texts)
}

#[test]
fn a_kind_that_was_taken_in_part_is_carried_for_the_rest() {
    let mut ground = Ground::new();
    let first = back_up(&mut ground, |capture| {
        for name in ["a", "b", "c"] {
            capture.push(&key(name), br#""old""#).unwrap();
        }
    });
    assert_eq!(first.carried_cut_ms, None);
    let second = back_up(&mut ground, |capture| {
        capture.push(&key("a"), br#""old""#).unwrap();
        capture.push(&key("b"), br#""new""#).unwrap();
        assert_eq!(capture.carry("core/v1/configmaps/"), 1);
        // A list that began again.
        capture.push(&key("b"), br#""newer""#).unwrap();
        capture.push(&key("c"), br#""new""#).unwrap();
    });
    assert_eq!((second.objects, second.carried_cut_ms), (3, Some(PARENT_CUT_MS)));
    let expected = [("a", r#""old""#), ("b", r#""newer""#), ("c", r#""new""#)];
    assert_eq!(texts(&ground, "").unwrap(), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    assert!(ground.entries().iter().all(|entry| !entry.flags.carried));
    back_up(&mut ground, |capture| assert_eq!(capture.carry("core/v1/configmaps/"), 3));
    assert!(ground.entries().iter().all(|entry| entry.flags.carried));
    let fresh = back_up(&mut ground, |capture| capture.push(&key("a"), br#""old""#).unwrap());
    assert_eq!(fresh.carried_cut_ms, None);
    assert!(ground.entries().iter().all(|entry| !entry.flags.carried), "what is taken unchanged is not carried");
}

#[test]
fn names_beyond_those_of_files_come_back_and_what_no_point_can_hold_is_an_exception() {
    let mut ground = Ground::new();
    let long = "n".repeat(1000);
    let captured = back_up(&mut ground, |capture| {
        capture.push(&key(&long), b"1").unwrap();
        capture.push(&key(&"n".repeat(1025)), b"2").unwrap();
        capture.push(&key("vast"), &vec![b'3'; (8 << 20) + 1]).unwrap();
        capture.push(&key("small"), b"4").unwrap();
    });
    let named: Vec<_> = captured.exceptions.iter().map(|named| (&*named.reason, &*named.mount)).collect();
    assert_eq!((captured.objects, named), (2, vec![("invalid", "objects"); 2]));
    assert_eq!(texts(&ground, "").unwrap(), [(long, "1".to_owned()), ("small".to_owned(), "4".to_owned())]);
}

#[test]
fn what_is_not_there_is_not_restored() {
    let mut ground = Ground::new();
    back_up(&mut ground, |capture| capture.push(&key("a"), b"1").unwrap());
    assert_eq!(texts(&ground, "core/v1").unwrap().len(), 1);
    for below in ["core/v2", "core/v1/configmaps/shop/b", "core/v1/config", "zzz"] {
        assert!(matches!(texts(&ground, below), Err(AgentError::NoSuchPath { .. })), "{below}");
    }
}
