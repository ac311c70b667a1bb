use super::*;

#[test]
fn what_is_out_of_order_is_refused_and_does_no_harm() {
    let mut nodes = Nodes::default();
    let mut builder = TreeBuilder::new(&KEY);
    let mut push = |entry: &Entry| builder.push(entry, &mut nodes).is_ok();
    assert!(push(&Entry::new("a", EntryKind::Directory)));
    assert!(push(&file("a/b", 1)));
    for path in ["a/b", "a", "a/a", "a/b/c", "", "../x", "a//c"] {
        assert!(!push(&file(path, 1)), "{path}");
    }
    let mut torn = file("a/c", 1);
    torn.size += 1;
    assert!(!push(&torn));
    assert!(push(&file("a/c", 2)));
    assert!(push(&file("a.b", 3)));
    let root = builder.finish(&mut nodes).unwrap();
    assert_eq!((root.entries, root.bytes), (4, 2 + 3 + 4));
    let paths: Vec<_> = read_all(root.id, &mut nodes).into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, [&b"a"[..], b"a/b", b"a/c", b"a.b"]);
}

#[test]
fn nothing_lies_in_the_root_unless_it_is_a_directory() {
    let mut nodes = Nodes::default();
    let mut builder = TreeBuilder::new(&KEY);
    builder.push(&Entry::new("", EntryKind::BlockVolume), &mut nodes).unwrap();
    assert!(builder.push(&file("a", 1), &mut nodes).is_err());
    assert_eq!(builder.finish(&mut nodes).unwrap().entries, 1);
}

#[test]
fn an_empty_tree_is_one_empty_leaf() {
    let mut nodes = Nodes::default();
    let root = build(&[], &mut nodes);
    assert_eq!((root.entries, root.bytes, nodes.stored.len()), (0, 0, 1));
    assert!(read_all(root.id, &mut nodes).is_empty());
}

/// How many nodes of `b` are not in `a`.
fn new_nodes(a: &Nodes, b: &Nodes) -> usize {
    b.stored.keys().filter(|id| !a.stored.contains_key(id)).count()
}

#[test]
fn one_new_name_changes_only_nodes_near_it() {
    let entries = source_tree(40_000);
    let mut before = Nodes::default();
    let root = build(&entries, &mut before);
    assert!(before.stored.len() > 25, "{} nodes", before.stored.len());
    assert_eq!(root.entries, entries.len() as u64);
    for number in (3..40_000).step_by(3777) {
        let mut changed = entries.clone();
        let path = format!("dir{:06}/source_{:06}.b", number / 50, number);
        let at = changed.iter().position(|entry| path_cmp(&entry.path, path.as_bytes()).is_gt()).unwrap();
        changed.insert(at, file(&path, 5));
        let mut after = Nodes::default();
        build(&changed, &mut after);
        // The leaf, or its two halves, and one node a level; a forced border may move into a second leaf.
        let fresh = new_nodes(&before, &after);
        assert!(fresh <= 5, "{fresh} new nodes for one name at {number}");
    }
}

#[test]
fn contents_never_move_borders() {
    let mut entries = source_tree(20_000);
    let mut before = Nodes::default();
    build(&entries, &mut before);
    for (number, entry) in entries.iter_mut().enumerate() {
        if entry.kind == EntryKind::File {
            *entry = file(std::str::from_utf8(&entry.path).unwrap(), number as u64 * 7919);
            entry.content.insert(0, Piece::Chunk { id: blob(number as u64), len: 100_000 });
            entry.size += 100_000;
        }
    }
    let mut after = Nodes::default();
    build(&entries, &mut after);
    assert_eq!(first_paths(&before), first_paths(&after));
}

fn first_paths(nodes: &Nodes) -> std::collections::BTreeSet<Vec<u8>> {
    let mut firsts = std::collections::BTreeSet::new();
    for (id, plain) in &nodes.stored {
        if let node::Node::Inner { children, .. } = node::open_node(id, plain.clone()).unwrap() {
            firsts.extend(children.into_iter().map(|child| child.first));
        }
    }
    firsts
}

#[test]
fn large_entries_close_a_leaf_by_its_bytes() {
    let mut entries = Vec::new();
    for number in 0..40 {
        let mut entry = file(&format!("f{number:03}"), number);
        entry.xattrs = vec![Xattr { name: b"user.big".to_vec(), value: vec![number as u8; 1_000_000] }];
        entries.push(entry);
    }
    let mut nodes = Nodes::default();
    let root = build(&entries, &mut nodes);
    assert!(nodes.stored.len() >= 10);
    assert!(nodes.stored.values().all(|plain| plain.len() <= 4 * 1024 * 1024 + 64));
    assert!(read_all(root.id, &mut nodes) == entries);
}

#[test]
fn long_paths_close_an_inner_node_by_its_bytes() {
    let mut entries = Vec::new();
    let deep = vec!["d".repeat(200); 300].join("/");
    for number in 0..90 {
        let mut entry = file(&format!("{number:03}/{deep}"), number);
        entry.xattrs = vec![Xattr { name: b"user.big".to_vec(), value: vec![0; 1_000_000] }];
        entries.extend(std::iter::repeat_n(entry, 4).zip(0..).map(|(mut entry, copy)| {
            entry.path.extend_from_slice(format!("/{copy}").as_bytes());
            entry
        }));
    }
    let mut nodes = Nodes::default();
    let root = build(&entries, &mut nodes);
    let levels = nodes.stored.values().filter(|plain| plain.starts_with(&[0xa3, 0, 2])).count();
    assert!(levels >= 3, "{levels} inner nodes");
    assert!(read_all(root.id, &mut nodes) == entries);
}

/// The first 8 bytes of the hash of a path, as `docs/FORMAT.md` §7 has it.
fn h(path: &[u8]) -> u64 {
    u64::from_le_bytes(blake3::keyed_hash(&KEY, path).as_bytes()[..8].try_into().unwrap())
}

/// Where nodes begin, by the level of the node above, read from the tree.
fn firsts_of_level(nodes: &Nodes, wanted: u8) -> Vec<Vec<u8>> {
    let mut firsts = Vec::new();
    for (id, plain) in &nodes.stored {
        if let node::Node::Inner { level, children } = node::open_node(id, plain.clone()).unwrap()
            && level == wanted
        {
            firsts.extend(children.into_iter().map(|child| child.first));
        }
    }
    firsts.sort_by(|a, b| path_cmp(a, b));
    firsts
}

#[test]
fn borders_are_where_the_text_says() {
    let entries: Vec<_> = (0..400_000).map(|n| Entry::new(format!("{n:07}"), EntryKind::Fifo)).collect();
    let (mut leaves, mut in_leaf) = (Vec::new(), 0);
    for entry in &entries {
        if in_leaf == 0 || in_leaf == 4096 || h(&entry.path).is_multiple_of(1024) {
            leaves.push(entry.path.clone());
            in_leaf = 0;
        }
        in_leaf += 1;
    }
    let mut inner: Vec<_> = leaves
        .iter()
        .filter(|path| h(path).is_multiple_of(1024) && (h(path) >> 10).is_multiple_of(64))
        .cloned()
        .collect();
    if inner.first() != leaves.first() {
        inner.insert(0, leaves[0].clone());
    }
    assert!(inner.len() > 2 && leaves.len() > 300, "{} leaves in {} nodes", leaves.len(), inner.len());
    let mut nodes = Nodes::default();
    build(&entries, &mut nodes);
    assert_eq!(firsts_of_level(&nodes, 1), leaves);
    assert_eq!(firsts_of_level(&nodes, 2), inner);
}

/// A sparse file as vast as a file system allows.
fn vast(path: &str) -> Entry {
    let mut entry = Entry::new(path, EntryKind::File);
    entry.size = i64::MAX as u64;
    entry.content = vec![Piece::Hole { len: entry.size }];
    entry
}

#[test]
fn sizes_whose_sum_no_number_holds_come_back() {
    let mut nodes = Nodes::default();
    // In one leaf, in several leaves, in several inner nodes.
    for plain in [3, 5000, 90_000] {
        let mut entries: Vec<_> = (0..plain).map(|n| Entry::new(format!("{n:07}"), EntryKind::Fifo)).collect();
        for at in [0, plain / 2, plain - 1] {
            entries[at] = vast(&format!("{at:07}"));
        }
        let root = build(&entries, &mut nodes);
        assert_eq!(root.bytes, u64::MAX);
        assert!(read_all(root.id, &mut nodes) == entries, "{plain}");
    }
}

#[test]
fn sums_beyond_any_number_still_find_damage() {
    let mut nodes = Nodes::default();
    let leaf = build(&[vast("a"), vast("b"), vast("c")], &mut nodes);
    for (bytes, is_sound) in [(u64::MAX, true), (u64::MAX - 1, false), (0, false)] {
        let child = node::Child { first: b"a".to_vec(), id: leaf.id, entries: 3, bytes };
        let root = nodes.put_node(node::inner_bytes(1, &[child])).unwrap();
        let mut reader = TreeReader::new(root, &mut nodes);
        let read = std::iter::from_fn(|| reader.next_entry().map(|entry| entry.is_some().then_some(())).transpose());
        assert_eq!(read.collect::<Result<Vec<_>, _>>().is_ok(), is_sound, "{bytes}");
    }
}
