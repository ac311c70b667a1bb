//! The checks, one promise each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{RACE_WRITERS, Scale};
use crate::{Check, Kind, Listed, Put, Result, Store, StoreError, probe_create_race, put_new_resolved, race};

/// A broken promise, before the name of its check is known.
pub(super) struct Broken {
    pub(super) detail: String,
    pub(super) source: Option<StoreError>,
}

impl From<StoreError> for Broken {
    fn from(source: StoreError) -> Self {
        Self { detail: "an operation failed".to_owned(), source: Some(source) }
    }
}

type Run = fn(&dyn Store, Scale) -> Outcome;
type Outcome = std::result::Result<(), Broken>;

/// Every check with its name.
pub(super) const ALL: [(&str, Run); 10] = [
    ("create", create),
    ("sizes", sizes),
    ("ranges", ranges),
    ("missing", missing),
    ("names", names),
    ("list", list),
    ("delete", delete),
    ("time", time),
    ("resolve", resolve),
    ("race", races),
];

/// The largest object that Firn puts.
const PACK_BYTES_MAX: usize = 32 << 20;
/// Threads that fill a store for the list check; remote stores answer slowly, not seldom.
const FILLERS: usize = 8;

fn expect(holds: bool, detail: impl FnOnce() -> String) -> Outcome {
    match holds {
        true => Ok(()),
        false => Err(Broken { detail: detail(), source: None }),
    }
}

fn expect_kind<T>(result: Result<T>, kind: Kind, what: &str) -> Outcome {
    match result {
        Ok(_) => expect(false, || format!("{what}: expected `{kind}`, and it succeeded")),
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => {
            Err(Broken { detail: format!("{what}: expected `{kind}`, got `{}`", error.kind), source: Some(error) })
        }
    }
}

fn lines(store: &dyn Store, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
    let mut lines = Vec::new();
    store.list(prefix, after, &mut |listed| {
        lines.push(listed);
        ControlFlow::Continue(())
    })?;
    Ok(lines)
}

/// Bytes that differ from place to place.
fn pattern(len: usize) -> Bytes {
    let words = (0..len as u64 / 8 + 1).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    Bytes::from(bytes)
}

fn create(store: &dyn Store, _: Scale) -> Outcome {
    let first = store.put_new("data/ab/x", Bytes::from_static(b"first"))?;
    expect(first == Put::Created, || "the first put did not create".to_owned())?;
    for bytes in [&b"first"[..], b"second", b""] {
        let again = store.put_new("data/ab/x", Bytes::copy_from_slice(bytes))?;
        expect(again == Put::Exists, || "a second put created again".to_owned())?;
    }
    let stored = store.get("data/ab/x", 100)?;
    expect(stored == "first", || "a second put changed the object".to_owned())?;
    expect(!store.describe().is_empty(), || "it has no description".to_owned())
}

fn sizes(store: &dyn Store, _: Scale) -> Outcome {
    for len in [0, 1, 4_096, 1 << 20, PACK_BYTES_MAX] {
        let name = format!("data/00/{len}");
        let bytes = pattern(len);
        let len = len as u64;
        let put = store.put_new(&name, bytes.clone())?;
        expect(put == Put::Created, || format!("{name} was not created"))?;
        expect(store.head(&name)?.bytes == len, || format!("head tells a wrong length of {name}"))?;
        expect(store.get(&name, len)? == bytes, || format!("{name} came back changed"))?;
        if len > 0 {
            expect_kind(store.get(&name, len - 1), Kind::TooLarge, "get with a limit one below the length")?;
        }
    }
    Ok(())
}

fn ranges(store: &dyn Store, _: Scale) -> Outcome {
    let bytes = pattern(100_000);
    let _ = store.put_new("data/00/ranged", bytes.clone())?;
    for range in [0..1, 0..100_000, 99_999..100_000, 17..4_711, 50_000..50_000] {
        let got = store.get_range("data/00/ranged", range.clone())?;
        let wanted = &bytes[range.start as usize..range.end as usize];
        expect(got == wanted, || format!("range {range:?} came back wrong"))?;
    }
    for range in [99_999..100_001, 100_000..100_001, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
        let what = format!("range {range:?} of 100 000 bytes");
        expect_kind(store.get_range("data/00/ranged", range), Kind::Short, &what)?;
    }
    let _ = store.put_new("data/00/empty", Bytes::new())?;
    expect_kind(store.get_range("data/00/empty", 0..1), Kind::Short, "a range of an empty object")
}

fn missing(store: &dyn Store, _: Scale) -> Outcome {
    // A neighbour, so that the store itself exists.
    let _ = store.put_new("data/00/here", Bytes::new())?;
    for name in ["data/00/gone", "gone/gone", "gone"] {
        expect_kind(store.get(name, 1), Kind::NotFound, "get of a missing object")?;
        expect_kind(store.get_range(name, 0..1), Kind::NotFound, "range of a missing object")?;
        expect_kind(store.head(name), Kind::NotFound, "head of a missing object")?;
        store.delete(name)?;
    }
    Ok(())
}

fn names(store: &dyn Store, _: Scale) -> Outcome {
    let long = ["s".repeat(200), "t".repeat(200), "u".repeat(110)].join("/");
    let good = ["FORMAT", "data/ab/cd.17", "A/b", "a/B", "a/b", "x/-_.y", "log/00000000000000000001", &long];
    for name in good {
        let put = store.put_new(name, Bytes::copy_from_slice(name.as_bytes()))?;
        expect(put == Put::Created, || format!("{name} was not created"))?;
    }
    for name in good {
        expect(store.get(name, 1_000)? == name, || format!("{name} holds another's bytes"))?;
    }
    let mut sorted = good.to_vec();
    sorted.sort_unstable();
    let listed: Vec<_> = lines(store, "", None)?.into_iter().map(|listed| listed.name).collect();
    expect(listed == sorted, || format!("listed {listed:?}"))?;
    for name in ["", "/abs", "a//b", "../up", "a/..", ".hidden", "a/", "a\\b", "a b", "a%2fb", "ü", "a?b", "a."] {
        let what = format!("the name {name:?}");
        expect_kind(store.put_new(name, Bytes::new()), Kind::BadName, &what)?;
        expect_kind(store.get(name, 1), Kind::BadName, &what)?;
        expect_kind(store.get_range(name, 0..1), Kind::BadName, &what)?;
        expect_kind(store.head(name), Kind::BadName, &what)?;
        expect_kind(store.delete(name), Kind::BadName, &what)?;
    }
    for prefix in ["a", "/", "../", "a//"] {
        expect_kind(lines(store, prefix, None), Kind::BadName, "a bad prefix")?;
    }
    Ok(())
}

/// Puts numbered objects of different lengths below `many/`, by several threads; returns names and lengths.
fn fill(store: &dyn Store, count: usize) -> Result<BTreeMap<String, u64>> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..FILLERS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || failed.lock().is_some() {
                        return;
                    }
                    if let Err(error) = store.put_new(&many(index), pattern(index % 7)) {
                        *failed.lock() = Some(error);
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok((0..count).map(|index| (many(index), (index % 7) as u64)).collect()),
    }
}

fn many(index: usize) -> String {
    format!("many/{:02x}/{index:06}", index % 5)
}

fn list(store: &dyn Store, scale: Scale) -> Outcome {
    // Neighbours that a careless prefix would catch.
    for name in ["man", "many-x/y", "many.z", "manz/a"] {
        let _ = store.put_new(name, Bytes::new())?;
    }
    let filled = fill(store, scale.objects)?;
    let now = store.time()?;
    let listed = lines(store, "many/", None)?;
    let is_exact = listed.len() == filled.len()
        && listed.iter().zip(&filled).all(|(line, (name, bytes))| line.name == *name && line.bytes == *bytes);
    expect(is_exact, || format!("{} lines for {} objects, or out of order", listed.len(), filled.len()))?;
    let is_recent = listed.iter().all(|line| (now - line.modified).get_hours().abs() < 1);
    expect(is_recent, || "creation times differ from the store's clock by hours".to_owned())?;
    expect(lines(store, "", None)?.len() == filled.len() + 4, || "the whole list is not whole".to_owned())?;
    expect(
        lines(store, "many/03/", None)?.len() == filled.keys().filter(|name| name.starts_with("many/03/")).count(),
        || "the list of a folder is not that folder".to_owned(),
    )?;
    expect(lines(store, "none/", None)?.is_empty(), || "an empty folder has lines".to_owned())?;
    list_after(store, &filled)?;
    let mut seen = 0;
    store.list("many/", None, &mut |_| {
        seen += 1;
        match seen {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    expect(seen == 3, || format!("a list went on after the break: {seen}"))
}

fn list_after(store: &dyn Store, filled: &BTreeMap<String, u64>) -> Outcome {
    let names: Vec<_> = filled.keys().collect();
    let count = names.len();
    for index in [0, 1, count / 2, count - 2, count - 1] {
        let rest = lines(store, "many/", Some(names[index]))?;
        let is_exact = rest.iter().map(|line| &line.name).eq(names[index + 1..].iter().copied());
        expect(is_exact, || format!("the list after {} is wrong", names[index]))?;
    }
    // `after` need not exist, nor lie below the prefix.
    for (after, lines_expected) in [("many/00/", count), ("a", count), ("many/ff", 0), ("z", 0)] {
        let rest = lines(store, "many/", Some(after))?.len();
        expect(rest == lines_expected, || format!("{rest} lines after {after}, expected {lines_expected}"))?;
    }
    Ok(())
}

fn delete(store: &dyn Store, _: Scale) -> Outcome {
    for name in ["data/a", "data/b", "data/c"] {
        let _ = store.put_new(name, Bytes::from_static(b"old"))?;
    }
    store.delete("data/b")?;
    store.delete("data/b")?;
    expect_kind(store.head("data/b"), Kind::NotFound, "head of a deleted object")?;
    expect_kind(store.get("data/b", 10), Kind::NotFound, "get of a deleted object")?;
    let listed: Vec<_> = lines(store, "data/", None)?.into_iter().map(|line| line.name).collect();
    expect(listed == ["data/a", "data/c"], || format!("after a delete: {listed:?}"))?;
    let put = store.put_new("data/b", Bytes::from_static(b"new"))?;
    expect(put == Put::Created, || "a deleted name could not be created".to_owned())?;
    expect(store.get("data/b", 10)? == "new", || "a deleted object came back".to_owned())
}

fn time(store: &dyn Store, _: Scale) -> Outcome {
    let first = store.time()?;
    let second = store.time()?;
    // A second's grace: remote clocks tell whole seconds, and several machines answer.
    let is_forward = second + jiff::SignedDuration::from_secs(1) >= first;
    expect(is_forward, || format!("the clock went from {first} back to {second}"))
}

fn resolve(store: &dyn Store, _: Scale) -> Outcome {
    let put = |bytes: &'static [u8], check| put_new_resolved(store, "meta/aa/x", Bytes::from_static(bytes), check);
    expect(put(b"bytes", Check::Bytes)? == Put::Created, || "a new object was not created".to_owned())?;
    expect(put(b"bytes", Check::Bytes)? == Put::Exists, || "an equal object was not recognised".to_owned())?;
    expect_kind(put(b"other", Check::Bytes), Kind::Differs, "other bytes of equal length")?;
    expect_kind(put(b"longer", Check::Length), Kind::Differs, "other length")
}

fn races(store: &dyn Store, scale: Scale) -> Outcome {
    for index in 0..scale.races {
        race::race(store, &format!("log/{index:020}"), RACE_WRITERS)?;
    }
    probe_create_race(store)?;
    expect(lines(store, "doctor/", None)?.is_empty(), || "the probe left something behind".to_owned())
}
