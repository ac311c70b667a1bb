use proptest::prelude::*;

use super::*;
use crate::clock::SeededEntropy;
use crate::keys::DomainKeys;
use crate::keys::tests::domain;
use crate::name::Class;
use crate::segment::tests::{open_all, sealed};

fn pack(keys: &DomainKeys, kind: BlobKind, segments: &[&[Vec<u8>]], entropy: &SeededEntropy) -> Pack {
    let mut builder = PackBuilder::new(kind, keys.writer());
    for blobs in segments {
        builder.push(sealed(keys, kind, blobs, entropy)).unwrap();
    }
    builder.finish(entropy).unwrap()
}

fn small(keys: &DomainKeys) -> Pack {
    pack(keys, BlobKind::Meta, &[&[b"one".to_vec()], &[b"two".to_vec(), vec![0; 100]]], &SeededEntropy::new(5))
}

/// Table, directories and blobs, without looking at the name.
fn read(keys: &DomainKeys, bytes: &[u8]) -> Result<Vec<Vec<u8>>, FormatError> {
    let table = PackTable::open(bytes, keys.writer())?;
    let mut blobs = Vec::new();
    for (offset, len) in table.segments {
        let segment = bytes.get(offset as usize..).and_then(|rest| rest.get(..len as usize));
        blobs.extend(open_all(keys, segment.ok_or_else(|| FormatError::damaged("a pack", "cut"))?)?);
    }
    Ok(blobs)
}

#[test]
fn a_pack_tells_again_what_went_into_it() {
    let keys = domain("a", 1);
    for kind in [BlobKind::Data, BlobKind::Meta] {
        let entropy = SeededEntropy::new(1);
        let pack = pack(&keys, kind, &[&[vec![1; 10]], &[], &[vec![2; 3000], vec![3; 1]]], &entropy);
        assert_eq!(pack.index.name, ObjectName::of(kind.class(), &pack.bytes));
        assert_eq!(rebuild(pack.index.name, &pack.bytes, keys.writer()).unwrap(), pack.index);
        assert_eq!(PackTable::key_of(&pack.bytes).unwrap(), keys.writer().key_ref());
        let table = PackTable::open(&pack.bytes[..PACK_HEAD_BYTES], keys.writer()).unwrap();
        assert_eq!((table.segments.len(), table.pack_len()), (3, pack.bytes.len() as u64));
        assert_eq!(read(&keys, &pack.bytes).unwrap(), [vec![1; 10], vec![2; 3000], vec![3; 1]]);
        for other in [domain("b", 1), domain("a", 2)] {
            let error = rebuild(pack.index.name, &pack.bytes, other.writer()).unwrap_err();
            assert!(matches!(error, FormatError::WrongKey { .. }), "{error}");
        }
    }
}

#[test]
fn every_flip_of_a_pack_is_found_by_its_name_and_without_it() {
    let keys = domain("a", 1);
    let pack = small(&keys);
    let padding_from = pack.index.segments.iter().map(|segment| segment.offset as usize + segment.bytes_len()).max();
    for bit in 0..pack.bytes.len() * 8 {
        let mut bytes = pack.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = rebuild(pack.index.name, &bytes, keys.writer()).unwrap_err();
        assert!(matches!(error, FormatError::Damaged { .. }), "bit {bit}: {error}");
        assert_eq!(read(&keys, &bytes).is_err(), bit / 8 < padding_from.unwrap(), "bit {bit}");
    }
}

#[test]
fn every_cut_of_a_pack_is_found() {
    let keys = domain("a", 1);
    let pack = small(&keys);
    let segments_end = pack.index.segments.iter().map(|segment| segment.offset as usize + segment.bytes_len()).max();
    for len in 0..pack.bytes.len() {
        let bytes = &pack.bytes[..len];
        assert!(rebuild(pack.index.name, bytes, keys.writer()).is_err(), "{len}");
        // Truthfully named, a cut pack is still cut.
        let renamed = rebuild(ObjectName::of(Class::Meta, bytes), bytes, keys.writer());
        assert_eq!(renamed.is_err(), len < segments_end.unwrap(), "{len}");
    }
}

#[test]
fn swapped_segments_packs_and_classes_are_found() {
    let keys = domain("a", 1);
    let entropy = SeededEntropy::new(6);
    let two = pack(&keys, BlobKind::Meta, &[&[vec![1; 10]], &[vec![2; 10]]], &entropy);
    let mut swapped = two.bytes.clone();
    let (first, len) = (two.index.segments[0].offset as usize, two.index.segments[0].bytes_len());
    swapped[first..first + len].copy_from_slice(&two.bytes[first + len..first + 2 * len]);
    swapped[first + len..first + 2 * len].copy_from_slice(&two.bytes[first..first + len]);
    assert!(rebuild(two.index.name, &swapped, keys.writer()).is_err());
    // The index names each segment by salt and commitment: the copier sees the swap as well.
    let mut copy = PackBuilder::new(BlobKind::Meta, keys.writer());
    assert!(copy.push_verbatim(&swapped[first..first + len], &two.index.segments[0]).is_err());
    let other = small(&keys);
    assert!(rebuild(two.index.name, &other.bytes, keys.writer()).is_err());
    let misplaced = ObjectName { class: Class::Data, ..two.index.name };
    assert!(rebuild(misplaced, &two.bytes, keys.writer()).is_err());
}

#[test]
fn segments_are_copied_as_they_are_without_a_data_key() {
    let keys = domain("a", 1);
    let entropy = SeededEntropy::new(7);
    let old = pack(&keys, BlobKind::Data, &[&[vec![1; 10]], &[vec![2; 3000], vec![3; 9]]], &entropy);
    let kept = &old.index.segments[1];
    let bytes = &old.bytes[kept.offset as usize..][..kept.bytes_len()];
    let mut builder = PackBuilder::new(BlobKind::Data, keys.writer());
    builder.push_verbatim(bytes, kept).unwrap();
    builder.push(sealed(&keys, BlobKind::Data, &[vec![4; 5]], &entropy)).unwrap();
    builder.push_verbatim(bytes, kept).unwrap();
    let new = builder.finish(&entropy).unwrap();
    assert_eq!(rebuild(new.index.name, &new.bytes, keys.writer()).unwrap(), new.index);
    let expected = [vec![2; 3000], vec![3; 9], vec![4; 5], vec![2; 3000], vec![3; 9]];
    assert_eq!(read(&keys, &new.bytes).unwrap(), expected);
    let mut builder = PackBuilder::new(BlobKind::Data, keys.writer());
    assert!(builder.push_verbatim(&bytes[..bytes.len() - 1], kept).is_err());
    assert!(builder.push_verbatim(bytes, &old.index.segments[0]).is_err());
}

#[test]
fn a_pack_takes_one_kind_one_domain_and_64_segments() {
    let keys = domain("a", 1);
    let entropy = SeededEntropy::new(8);
    let mut builder = PackBuilder::new(BlobKind::Meta, keys.writer());
    assert!(builder.push(sealed(&keys, BlobKind::Data, &[], &entropy)).is_err());
    for other in [domain("a", 2), domain("b", 1)] {
        assert!(builder.push(sealed(&other, BlobKind::Meta, &[], &entropy)).is_err());
    }
    for _ in 0..PACK_SEGMENTS_MAX {
        builder.push(sealed(&keys, BlobKind::Meta, &[vec![0; 4]], &entropy)).unwrap();
    }
    assert!(!builder.fits(0));
    let refused = builder.push(sealed(&keys, BlobKind::Meta, &[], &entropy));
    assert!(matches!(refused, Err(FormatError::TooLarge { .. })));
    let pack = builder.finish(&entropy).unwrap();
    assert_eq!(rebuild(pack.index.name, &pack.bytes, keys.writer()).unwrap().segments.len(), PACK_SEGMENTS_MAX);
}

#[test]
fn padding_is_small_and_never_crosses_the_limit() {
    assert_eq!(padded_len(PACK_BYTES_MAX), PACK_BYTES_MAX);
    assert_eq!(padded_len(PACK_BYTES_MAX - 1), PACK_BYTES_MAX);
    for len in (PACK_HEAD_BYTES..PACK_BYTES_MAX).step_by(997) {
        let padded = padded_len(len);
        assert!(padded >= len && padded <= PACK_BYTES_MAX && (padded - len) * 100 <= len * 12, "{len} {padded}");
        assert_eq!(padded_len(padded), padded, "{len}");
    }
    // The worked figures of the Padmé rule.
    assert_eq!(
        [padded_len(1000), padded_len(1025), padded_len(1 << 20), padded_len((1 << 20) + 1)],
        [1024, 1088, 1 << 20, (1 << 20) + (1 << 15)]
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..900), disguise: bool) {
        let keys = domain("a", 1);
        if disguise && bytes.len() > 12 {
            bytes[..12].copy_from_slice(b"FIRNPACK\x01\x02\x00\x00");
        }
        prop_assert!(PackTable::open(&bytes, keys.writer()).is_err());
        prop_assert!(rebuild(ObjectName::of(Class::Meta, &bytes), &bytes, keys.writer()).is_err());
    }
}
