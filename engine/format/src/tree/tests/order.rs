use super::*;

proptest! {
    #[test]
    fn paths_compare_as_their_parts(a in path(), b in path()) {
        let parts = |path: &[u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        prop_assert_eq!(path_cmp(&a, &b), parts(&a).cmp(&parts(&b)));
        prop_assert_eq!(path_cmp(&a, &a), std::cmp::Ordering::Equal);
        prop_assert!(path_cmp(b"", &a).is_lt());
    }

    #[test]
    fn the_successor_divides_what_is_below_from_what_follows(dir in path(), other in path()) {
        let key = successor(&dir).unwrap();
        let before = path_cmp(&other, &dir).is_le() || is_below(&other, &dir);
        prop_assert_eq!(path_cmp(&other, &key).is_lt(), before);
    }

    #[test]
    fn what_is_below_begins_with_the_parts(a in path(), b in path()) {
        let parts = |path: &[u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (x, y) = (parts(&a), parts(&b));
        prop_assert_eq!(is_below(&a, &b), x.len() > y.len() && x.starts_with(&y));
        prop_assert!(is_below(&a, b""));
    }
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    let long_name = "x".repeat(1025);
    let long = "ab/".repeat(30_000);
    for (path, fault) in [
        ("/a", PathFault::EmptyName),
        ("a/", PathFault::EmptyName),
        ("a//b", PathFault::EmptyName),
        ("/", PathFault::EmptyName),
        ("..", PathFault::Dots),
        (".", PathFault::Dots),
        ("a/../b", PathFault::Dots),
        ("a/.", PathFault::Dots),
        ("a\0b", PathFault::Nul),
        (long_name.as_str(), PathFault::LongName),
        (long.as_str(), PathFault::Long),
    ] {
        assert_eq!(check_path(path.as_bytes()), Err(fault), "{path:.20}");
    }
    for path in ["", "a", "...", "..a", "a/b", &"x".repeat(1024), &vec!["d"; 10_000].join("/")] {
        assert_eq!(check_path(path.as_bytes()), Ok(()), "{path:.20}");
    }
    assert_eq!(check_path(b"\xff\xfe/\x01"), Ok(()));
}
