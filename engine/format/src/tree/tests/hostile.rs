use super::*;
use crate::tree::cbor::{put_array, put_field_bytes, put_field_uint, put_map_of, put_uint};
use crate::tree::node::{Child, inner_bytes, leaf_bytes, map_bytes};
use crate::tree::wire::{IdTable, put_entry};

/// Reads a tree in every way; errors are fine, panics and endless loops are not. Gives the entries of a plain scan.
fn read_in_every_way(root: BlobId, nodes: &mut Nodes) -> Result<Vec<Entry>, FormatError> {
    let mut scanned = Vec::new();
    let mut reader = TreeReader::new(root, &mut *nodes);
    let scan = (|| {
        while let Some(entry) = reader.next_entry()? {
            scanned.push(entry.clone());
        }
        Ok(())
    })();
    let _ = reader.lookup(b"b/c");
    if let Ok(mut listing) = reader.list(b"") {
        while let Ok(Some(_)) = listing.next_child() {}
    }
    let _ = walk_nodes(root, nodes, |_| true);
    let mut other = nodes.clone();
    let empty = build(&[], &mut other);
    let mut diff = Diff::new((root, &mut *nodes), (empty.id, &mut other));
    while let Ok(Some(_)) = diff.next_change() {}
    for entry in &scanned {
        assert_eq!(entry.fault(), None);
        let mut pieces = FilePieces::new(entry, &mut *nodes);
        while let Ok(Some(_)) = pieces.next_piece() {}
    }
    assert!(scanned.windows(2).all(|pair| path_cmp(&pair[0].path, &pair[1].path).is_lt()));
    let sound = |pair: &[Entry]| pair[0].kind == EntryKind::Directory || !is_below(&pair[1].path, &pair[0].path);
    assert!(scanned.windows(2).all(sound));
    scan.map(|()| scanned)
}

/// A leaf as no builder would write it: each entry is given the path before it.
fn leaf(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut table) = (Vec::new(), IdTable::default());
    let mut before = Vec::new();
    for entry in entries {
        put_entry(&mut out, &mut table, &before, entry);
        before.clone_from(&entry.path);
    }
    leaf_bytes(&table.joined, entries.len(), &out)
}

fn refused(plain: Vec<u8>, why: &str) {
    let mut nodes = Nodes::default();
    let root = nodes.put_node(plain).unwrap();
    let error = read_in_every_way(root, &mut nodes).unwrap_err();
    assert!(error.to_string().contains(why), "{error} instead of {why}");
}

#[test]
fn leaves_that_break_a_rule_are_damage() {
    let dir = |path: &str| Entry::new(path, EntryKind::Directory);
    refused(leaf(&[file("b", 1), file("a", 1)]), "out of order");
    refused(leaf(&[file("a", 1), file("a", 1)]), "out of order");
    refused(leaf(&[dir("a.b"), dir("a/b")]), "out of order");
    refused(leaf(&[file("a", 1), file("a/b", 1)]), "no directory");
    refused(leaf(&[file("", 1), file("b", 1)]), "no directory");
    for (path, why) in [("../x", "`..`"), ("/x", "empty name"), ("a//b", "empty name"), ("a\0", "zero byte")] {
        refused(leaf(&[dir("A"), file(path, 1)]), if path == "/x" || path == "../x" { "" } else { why });
        refused(leaf(&[file(path, 1)]), why);
    }
    refused(leaf(&[dir("a"), file("a/..", 1)]), "`..`");
    refused(leaf(&[file(&"x".repeat(1025), 1)]), "1024");
    let mut short = file("a", 1);
    short.size += 1;
    refused(leaf(&[short]), "add up");
    let mut odd = dir("a");
    odd.content = vec![Piece::Hole { len: 3 }];
    refused(leaf(&[odd]), "content");
    let mut vast = file("a", 1);
    vast.content = vec![Piece::Hole { len: u64::MAX }, Piece::Hole { len: 2 }];
    vast.size = 1;
    refused(leaf(&[vast]), "size");
    for content in [vec![Piece::Hole { len: 1 << 62 }], vec![chunk_of(1), chunk_of(1)]] {
        let mut text = Entry::new("a", EntryKind::Object);
        text.size = content.iter().map(Piece::len).sum();
        text.content = content;
        refused(leaf(&[text]), "one piece");
    }
    let mut trailing = leaf(&[file("a", 1)]);
    trailing.push(0);
    refused(trailing, "after the end");
}

fn chunk_of(len: u32) -> Piece {
    Piece::Chunk { id: blob(1), len }
}

#[test]
fn shared_bytes_must_be_there() {
    let raw = |first_shared: u64, shared: u64| {
        let mut out = Vec::new();
        for shared in [first_shared, shared] {
            put_map_of(&mut out, |out| {
                put_field_uint(out, 0, shared) + put_field_bytes(out, 1, b"zz") + put_field_uint(out, 2, 2)
            });
        }
        leaf_bytes(&[], 2, &out)
    };
    refused(raw(1, 0), "shared bytes");
    refused(raw(0, 3), "shared bytes");
    refused(raw(0, u64::MAX), "shared bytes");
}

#[test]
fn inner_nodes_that_lie_are_damage() {
    let mut nodes = Nodes::default();
    let entries = [file("b", 1), file("c", 2)];
    let id = nodes.put_node(leaf(&entries)).unwrap();
    let good = Child { first: b"b".to_vec(), id, entries: 2, bytes: 5 };
    let mut check = |level: u8, children: &[Child], why: &str| {
        let root = nodes.put_node(inner_bytes(level, children)).unwrap();
        match read_in_every_way(root, &mut nodes) {
            Ok(read) => assert!(why.is_empty() && read == entries, "read in spite of {why:?}"),
            Err(error) => assert!(!why.is_empty() && error.to_string().contains(why), "{error} instead of {why:?}"),
        }
    };
    check(1, std::slice::from_ref(&good), "");
    check(2, std::slice::from_ref(&good), "level");
    check(17, std::slice::from_ref(&good), "level");
    check(1, &[], "children");
    check(1, &[Child { entries: 3, ..good.clone() }], "numbers");
    check(1, &[Child { bytes: 4, ..good.clone() }], "bytes");
    check(1, &[Child { bytes: 6, ..good.clone() }], "bytes");
    check(1, &[Child { first: b"a".to_vec(), ..good.clone() }], "first path");
    check(1, &[good.clone(), good.clone()], "out of order");
    check(1, &[Child { first: b"../b".to_vec(), ..good.clone() }], "`..`");
    let later = Child { first: b"bb".to_vec(), ..good.clone() };
    check(1, &[good, later], "order");
}

#[test]
fn a_node_that_contains_itself_ends() {
    let (mut nodes, id) = (Nodes::default(), blob(1));
    let own = Child { first: b"a".to_vec(), id, entries: 1, bytes: 0 };
    nodes.stored.insert(id, inner_bytes(16, &[own]));
    assert!(read_in_every_way(id, &mut nodes).is_err());
    let map = blob(2);
    nodes.stored.insert(map, map_bytes(&[Piece::Map { id: map, len: 9 }]));
    let mut entry = file("a", 1);
    (entry.size, entry.content) = (9, vec![Piece::Map { id: map, len: 9 }]);
    assert!(FilePieces::new(&entry, &mut nodes).next_piece().unwrap_err().to_string().contains("too deep"));
    let root = build(&[entry], &mut nodes);
    assert!(walk_nodes(root.id, &mut nodes, |_| true).is_err());
}

#[test]
fn unknown_fields_are_skipped() {
    let mut list = Vec::new();
    put_map_of(&mut list, |out| {
        let fields = put_field_bytes(out, 1, b"a") + put_field_uint(out, 2, 2) + put_field_uint(out, 40, 7);
        put_uint(out, 41);
        put_array(out, 2);
        put_uint(out, 1);
        put_array(out, 0);
        fields + 1
    });
    let mut plain = Vec::new();
    put_map_of(&mut plain, |out| {
        let fields = put_field_uint(out, 0, 1);
        put_uint(out, 2);
        put_array(out, 1);
        out.extend_from_slice(&list);
        fields + 1 + put_field_bytes(out, 9, b"later")
    });
    let mut nodes = Nodes::default();
    let root = nodes.put_node(plain).unwrap();
    assert_eq!(read_in_every_way(root, &mut nodes).unwrap(), [Entry::new("a", EntryKind::Directory)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_an_error_or_a_tree(plain in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut nodes = Nodes::default();
        let root = nodes.put_node(plain).unwrap();
        let _ = read_in_every_way(root, &mut nodes);
    }

    #[test]
    fn damaged_nodes_are_an_error_or_a_tree(
        entries in entries(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut nodes = Nodes::default();
        let root = build(&entries, &mut nodes).id;
        let plain = nodes.stored.get_mut(&root).unwrap();
        for (at, byte) in hits {
            let at = at.index(plain.len());
            plain[at] = byte;
        }
        if cut {
            let end = end.index(plain.len());
            plain.truncate(end);
        }
        let _ = read_in_every_way(root, &mut nodes);
    }

    #[test]
    fn damaged_inner_nodes_are_an_error_or_a_tree(at in any::<prop::sample::Index>(), byte: u8) {
        let (mut nodes, mut children) = (Nodes::default(), Vec::new());
        for number in 0..5 {
            let path = format!("{number}");
            let id = nodes.put_node(leaf(&[file(&path, 1)])).unwrap();
            children.push(Child { first: path.into_bytes(), id, entries: 1, bytes: 2 });
        }
        let root = nodes.put_node(inner_bytes(1, &children)).unwrap();
        let plain = nodes.stored.get_mut(&root).unwrap();
        let at = at.index(plain.len());
        plain[at] = byte;
        let _ = read_in_every_way(root, &mut nodes);
    }
}
