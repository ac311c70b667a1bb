use super::*;
use crate::clock::SeededEntropy;
use crate::keys::tests::domain;

#[test]
fn a_box_opens_with_its_keys_alone() {
    let keys = domain("a", 1);
    for plain in [&b""[..], b"x", &[7; 5000]] {
        let sealed = seal_box(plain, keys.writer(), &SeededEntropy::new(1)).unwrap();
        assert_eq!(open_box(&sealed, keys.writer()).unwrap(), plain);
        assert_eq!(box_key(&sealed).unwrap(), keys.writer().key_ref());
        for other in [domain("b", 1), domain("a", 2)] {
            assert!(matches!(open_box(&sealed, other.writer()), Err(FormatError::WrongKey { .. })));
        }
    }
    let too_large = vec![0; BOX_BYTES_MAX + 1];
    assert!(matches!(seal_box(&too_large, keys.writer(), &SeededEntropy::new(1)), Err(FormatError::TooLarge { .. })));
}

#[test]
fn every_flip_and_every_cut_is_found() {
    let keys = domain("a", 1);
    let sealed = seal_box(b"a summary", keys.writer(), &SeededEntropy::new(2)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = open_box(&bytes, keys.writer()).unwrap_err();
        let in_head = bit / 8 < HEAD_BYTES;
        assert_eq!(matches!(error, FormatError::WrongKey { .. }), in_head, "bit {bit}: {error}");
    }
    for len in 0..sealed.len() {
        assert!(open_box(&sealed[..len], keys.writer()).is_err(), "{len}");
    }
}
