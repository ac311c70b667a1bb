use super::*;
use crate::clock::SeededEntropy;
use crate::keys::tests::{FAMILY, domain};

#[test]
fn a_wrapped_key_opens_with_its_domain_alone() {
    let keys = domain("a", 1);
    let session = SessionKey::new(keys.writer(), &SeededEntropy::new(1)).unwrap();
    assert_eq!(keys.unwrap_session(session.wrapped()).unwrap().0, session.secret().0);
    let root = crate::keys::Root::from_bytes([7; 32]);
    let other_family = root.domain_keys(FamilyId([1; 16]), root.domain_id("a"), 1).unwrap();
    assert_ne!(FAMILY, FamilyId([1; 16]));
    for other in [domain("b", 1), domain("a", 2), other_family] {
        assert!(other.unwrap_session(session.wrapped()).is_err());
    }
}

#[test]
fn every_flipped_bit_of_a_wrapped_key_is_found() {
    let keys = domain("a", 1);
    let session = SessionKey::new(keys.writer(), &SeededEntropy::new(2)).unwrap();
    for bit in 0..WrappedSession::LEN * 8 {
        let mut wrapped = *session.wrapped();
        wrapped.0[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(keys.unwrap_session(&wrapped), Err(FormatError::Damaged { .. })), "bit {bit}");
    }
    // A point of small order would make the shared secret known to all.
    let mut wrapped = *session.wrapped();
    wrapped.0[..32].fill(0);
    assert!(keys.unwrap_session(&wrapped).is_err());
}

#[test]
fn the_cache_is_bounded_and_answers_as_unwrapping_does() {
    let keys = domain("a", 1);
    let entropy = SeededEntropy::new(3);
    let mut cache = SessionCache::default();
    for _ in 0..SESSIONS_CACHED_MAX + 10 {
        let session = SessionKey::new(keys.writer(), &entropy).unwrap();
        for _ in 0..2 {
            assert_eq!(cache.unwrap(&keys, session.wrapped()).unwrap().0, session.secret().0);
        }
        assert!(cache.0.len() <= SESSIONS_CACHED_MAX);
    }
    let bad = WrappedSession([9; WrappedSession::LEN]);
    assert!(cache.unwrap(&keys, &bad).is_err() && cache.unwrap(&keys, &bad).is_err());
}
