use super::*;

fn content(pieces: &[Piece], nodes: &mut Nodes) -> Entry {
    let mut maps = FileMapBuilder::default();
    for piece in pieces {
        maps.push(*piece, nodes).unwrap();
    }
    let mut entry = Entry::new("f", EntryKind::File);
    entry.content = maps.finish(nodes).unwrap();
    entry.size = pieces.iter().map(Piece::len).sum();
    entry
}

fn flat(entry: &Entry, nodes: &mut Nodes) -> Vec<Piece> {
    let mut reader = FilePieces::new(entry, nodes);
    let (mut pieces, mut at) = (Vec::new(), 0);
    while let Some((offset, piece)) = reader.next_piece().unwrap() {
        assert_eq!(offset, at);
        at += piece.len();
        pieces.push(piece);
    }
    assert_eq!(at, entry.size);
    pieces
}

/// Neighbouring holes made one.
fn merged(pieces: &[Piece]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Hole { len }), Piece::Hole { len: more }) => *len += more,
            _ => out.push(*piece),
        }
    }
    out
}

fn chunk(number: u64, len: u64) -> Piece {
    Piece::Chunk { id: blob(number), len: len as u32 }
}

/// Full chunks of 4 MiB from `from` to `to`.
fn chunks(from: u64, to: u64) -> impl Iterator<Item = Piece> {
    (from..to).map(|number| chunk(number, MAP_BYTES / 16))
}

#[test]
fn a_sparse_file_costs_nothing() {
    let mut nodes = Nodes::default();
    for len in [1, MAP_BYTES, MAP_BYTES + 1, 1 << 40, (1 << 40) + 12_345, u64::MAX] {
        let entry = content(&[Piece::Hole { len }], &mut nodes);
        assert_eq!(flat(&entry, &mut nodes), [Piece::Hole { len }]);
        assert!(entry.content.len() <= 4, "{len}: {:?}", entry.content);
        assert_eq!(nodes.stored.len(), 0);
    }
    // One chunk in the middle of a tebibyte: a map a level.
    let pieces = [Piece::Hole { len: 1 << 39 }, chunk(1, 5000), Piece::Hole { len: (1 << 39) - 5000 }];
    let entry = content(&pieces, &mut nodes);
    assert_eq!(flat(&entry, &mut nodes), pieces);
    assert!(nodes.stored.len() <= 2 && entry.content.len() <= 4, "{:?}", entry.content);
}

#[test]
fn short_lists_stay_in_the_entry() {
    let mut nodes = Nodes::default();
    let entry = content(&chunks(0, 16).collect::<Vec<_>>(), &mut nodes);
    assert_eq!((entry.content.len(), nodes.stored.len()), (16, 0));
    let entry = content(&(0..17).map(|number| chunk(number, 100)).collect::<Vec<_>>(), &mut nodes);
    assert!(matches!(entry.content[..], [Piece::Map { len: 1700, .. }]));
    assert_eq!(nodes.stored.len(), 1);
}

#[test]
fn one_changed_chunk_writes_one_map_a_level() {
    let mut before = Nodes::default();
    let mut pieces: Vec<_> = chunks(0, 16 * 40).collect();
    let entry = content(&pieces, &mut before);
    assert!(matches!(entry.content[..], [Piece::Map { .. }]), "{:?}", entry.content);
    assert_eq!(before.stored.len(), 41);
    pieces[16 * 20 + 3] = chunk(99_999, MAP_BYTES / 16);
    let mut after = Nodes::default();
    let changed = content(&pieces, &mut after);
    assert_eq!(after.stored.keys().filter(|id| !before.stored.contains_key(id)).count(), 2);
    assert_eq!(flat(&changed, &mut after), pieces);
}

#[test]
fn pieces_that_break_a_rule_are_refused() {
    let mut nodes = Nodes::default();
    let mut maps = FileMapBuilder::default();
    assert!(maps.push(Piece::Hole { len: 0 }, &mut nodes).is_err());
    assert!(maps.push(Piece::Map { id: blob(1), len: 5 }, &mut nodes).is_err());
    maps.push(Piece::Hole { len: MAP_BYTES - 5 }, &mut nodes).unwrap();
    assert!(maps.push(chunk(1, 6), &mut nodes).is_err());
    assert!(maps.push(chunk(1, 5), &mut nodes).is_ok());
    let mut maps = FileMapBuilder::default();
    for number in 0..65_536 {
        maps.push(chunk(number, 1), &mut nodes).unwrap();
    }
    assert!(maps.push(chunk(1, 1), &mut nodes).is_err());
    assert!(maps.push(Piece::Hole { len: 1 }, &mut nodes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn contents_come_back_whatever_the_shape(
        parts in prop::collection::vec(prop_oneof![
            (1_u64..200).prop_map(|len| Piece::Hole { len: len << 20 }),
            (1_u64..2000).prop_map(|len| Piece::Hole { len: len << 30 }),
            Just(Piece::Hole { len: MAP_BYTES }),
            (1_u64..1000, 1_u64..6).prop_map(|(number, len)| chunk(number, len << 20)),
        ], 0..120),
    ) {
        let (mut pieces, mut at) = (Vec::new(), 0);
        for part in parts {
            let left = MAP_BYTES - at % MAP_BYTES;
            if !matches!(part, Piece::Hole { .. }) && part.len() > left {
                pieces.push(Piece::Hole { len: left });
                at += left;
            }
            pieces.push(part);
            at += part.len();
        }
        let mut nodes = Nodes::default();
        let entry = content(&pieces, &mut nodes);
        prop_assert_eq!(entry.fault(), None);
        prop_assert_eq!(flat(&entry, &mut nodes), merged(&pieces));
        // How the holes were given does not show.
        let again = content(&merged(&pieces), &mut nodes);
        prop_assert_eq!(again, entry);
    }
}
