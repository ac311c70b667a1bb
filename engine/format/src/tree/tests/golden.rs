use super::*;

/// Frozen: a difference is a new version of the format.
const ROOT: &str = "bd0197b8a8edb5000aa120b177439daaa79791bfe349e1e3afe4015f60afcf20";

#[test]
fn the_bytes_of_a_tree_are_the_frozen_ones() {
    let mut nodes = Nodes::default();
    let mut entries = source_tree(9000);
    let mut maps = FileMapBuilder::default();
    for number in 0..1500 {
        maps.push(Piece::Chunk { id: blob(number), len: 65_536 }, &mut nodes).unwrap();
        maps.push(Piece::Hole { len: 65_536 }, &mut nodes).unwrap();
    }
    let mut long = file("long", 1);
    (long.content, long.size, long.chunker) = (maps.finish(&mut nodes).unwrap(), 3000 * 65_536, Some(Rule::Grid));
    long.flags = Flags { changed: true, carried: true, ..Flags::default() };
    long.xattrs =
        vec![Xattr { name: b"user.a".to_vec(), value: vec![] }, Xattr { name: b"user.b".to_vec(), value: vec![1] }];
    let mut link = Entry::new(&b"long.link-\xff"[..], EntryKind::Symlink);
    link.target = b"../elsewhere".to_vec();
    link.meta.mtime_s = -5;
    let mut device = Entry::new("null", EntryKind::CharDevice);
    device.device = 1 << 32 | 3;
    let mut object = file("object", 3);
    (object.kind, object.digest) = (EntryKind::Object, Some([9; 16]));
    entries.extend([long, link, device, object]);
    let root = build(&entries, &mut nodes);
    assert_eq!(read_all(root.id, &mut nodes), entries);
    assert_eq!(root.id.hex(), ROOT);
}

#[test]
fn a_small_leaf_byte_by_byte() {
    let mut nodes = Nodes::default();
    let mut entry = Entry::new("ab", EntryKind::File);
    entry.meta.mode = 0o644;
    (entry.size, entry.content) = (300, vec![Piece::Chunk { id: BlobId([5; 32]), len: 300 }]);
    let mut link = Entry::new("ac", EntryKind::Symlink);
    link.target = b"ab".to_vec();
    let root = build(&[entry, link], &mut nodes);
    let mut expected = vec![0xa3, 0x00, 0x01, 0x01, 0x58, 0x20];
    expected.extend_from_slice(&[5; 32]);
    expected.extend_from_slice(&[
        0x02, 0x82, // two entries
        0xa5, 0x01, 0x42, b'a', b'b', 0x02, 0x01, 0x03, 0x19, 0x01, 0xa4, // path, kind, mode
        0x0b, 0x19, 0x01, 0x2c, 0x0c, 0x81, 0x83, 0x01, 0x00, 0x19, 0x01, 0x2c, // size, one chunk
        0xa4, 0x00, 0x01, 0x01, 0x41, b'c', 0x02, 0x03, 0x0d, 0x42, b'a', b'b', // shares one byte
    ]);
    assert_eq!(nodes.stored[&root.id], expected);
}
