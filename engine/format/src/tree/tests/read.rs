use super::*;

proptest! {
    #[test]
    fn entries_come_back_as_they_were(entries in entries()) {
        let mut nodes = Nodes::default();
        let root = build(&entries, &mut nodes);
        prop_assert_eq!(read_all(root.id, &mut nodes), entries);
    }

    #[test]
    fn seeking_finds_what_a_scan_finds(picks in prop::collection::vec((0_usize..6200, 0_u8..4), 1..30)) {
        let (entries, root, mut nodes) = sample();
        let mut reader = TreeReader::new(root.id, &mut nodes);
        for (pick, variant) in picks {
            let mut key = entries[pick % entries.len()].path.clone();
            match variant {
                0 => key.push(b'z'),
                1 => drop(key.pop()),
                2 => key.extend_from_slice(b"/x"),
                _ => {}
            }
            let expected = entries.partition_point(|entry| path_cmp(&entry.path, &key).is_lt());
            reader.seek(&key).unwrap();
            prop_assert_eq!(reader.peek().unwrap(), entries.get(expected));
            prop_assert_eq!(reader.next_entry().unwrap(), entries.get(expected));
            prop_assert_eq!(reader.next_entry().unwrap(), entries.get(expected + 1));
            let found = reader.lookup(&key).unwrap();
            prop_assert_eq!(found.as_ref(), entries.get(expected).filter(|entry| entry.path == key));
        }
    }

    #[test]
    fn listing_gives_the_direct_children(entries in entries(), dir in prop_oneof![Just(Vec::new()), name(), path()]) {
        let mut nodes = Nodes::default();
        let root = build(&entries, &mut nodes);
        let mut expected: Vec<DirChild> = Vec::new();
        for entry in entries.iter().filter(|entry| is_below(&entry.path, &dir)) {
            let rest = &entry.path[if dir.is_empty() { 0 } else { dir.len() + 1 }..];
            let name = rest.split(|byte| *byte == b'/').next().unwrap();
            if expected.last().is_none_or(|last| last.name != name) {
                let entry = (rest == name).then(|| entry.clone());
                expected.push(DirChild { name: name.to_vec(), entry });
            }
        }
        let mut reader = TreeReader::new(root.id, &mut nodes);
        prop_assert_eq!(&children(&mut reader, &dir), &expected);
        // Again, from wherever the reader stands now.
        prop_assert_eq!(&children(&mut reader, &dir), &expected);
    }
}

fn children<S: NodeSource<Error = FormatError>>(reader: &mut TreeReader<S>, dir: &[u8]) -> Vec<DirChild> {
    let mut listing = reader.list(dir).unwrap();
    let mut found = Vec::new();
    while let Some(child) = listing.next_child().unwrap() {
        found.push(child);
    }
    found
}

fn sample() -> (Vec<Entry>, TreeRoot, Nodes) {
    static SAMPLE: std::sync::OnceLock<(Vec<Entry>, TreeRoot, Nodes)> = std::sync::OnceLock::new();
    let made = SAMPLE.get_or_init(|| {
        let (entries, mut nodes) = (source_tree(6000), Nodes::default());
        let root = build(&entries, &mut nodes);
        (entries, root, nodes)
    });
    made.clone()
}

#[test]
fn peeking_does_not_move() {
    let (entries, root, mut nodes) = sample();
    let mut reader = TreeReader::new(root.id, &mut nodes);
    for entry in &entries {
        assert_eq!(reader.peek().unwrap(), Some(entry));
        assert_eq!(reader.peek().unwrap(), Some(entry));
        assert_eq!(reader.next_entry().unwrap(), Some(entry));
    }
    assert_eq!(reader.peek().unwrap(), None);
    assert_eq!(reader.next_entry().unwrap(), None);
    reader.seek(b"").unwrap();
    assert_eq!(reader.peek().unwrap(), entries.first());
}

#[test]
fn listing_reads_few_nodes() {
    let mut entries = vec![Entry::new("", EntryKind::Directory)];
    for dir in ["a", "b", "c"] {
        entries.push(Entry::new(dir, EntryKind::Directory));
        entries.extend((0..30_000).map(|number| file(&format!("{dir}/{number:06}"), number)));
    }
    let mut nodes = Nodes::default();
    let root = build(&entries, &mut nodes);
    let all = nodes.stored.len();
    let mut reader = TreeReader::new(root.id, &mut nodes);
    let names: Vec<_> = children(&mut reader, b"").into_iter().map(|child| child.name).collect();
    assert_eq!(names, [b"a", b"b", b"c"]);
    assert!(all > 60 && nodes.reads <= 12, "{} of {all} nodes read", nodes.reads);
}

#[test]
fn walking_names_everything_once() {
    let (mut entries, mut nodes) = (source_tree(6000), Nodes::default());
    let mut maps = FileMapBuilder::default();
    for number in 0..2000 {
        maps.push(Piece::Chunk { id: blob(1_000_000 + number), len: 65_536 }, &mut nodes).unwrap();
    }
    let mut long = Entry::new("zz", EntryKind::File);
    long.content = maps.finish(&mut nodes).unwrap();
    long.size = 2000 * 65_536;
    entries.push(long);
    let root = build(&entries, &mut nodes);
    let mut seen = std::collections::HashSet::new();
    walk_nodes(root.id, &mut nodes, |reference| seen.insert(reference)).unwrap();
    let all: std::collections::HashSet<_> = nodes.stored.keys().map(|id| Reference::Node(*id)).collect();
    let chunks = (0..200).map(blob).chain((1_000_000..1_002_000).map(blob)).map(Reference::Chunk);
    assert_eq!(seen, all.into_iter().chain(chunks).collect());
    assert_eq!(nodes.reads, nodes.stored.len());
    // A second walk with what is seen reads nothing.
    nodes.reads = 0;
    walk_nodes(root.id, &mut nodes, |reference| seen.insert(reference)).unwrap();
    assert_eq!(nodes.reads, 0);
}
