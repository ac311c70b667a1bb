use std::collections::BTreeMap;

use super::*;

/// Both trees in full, compared path by path.
fn naive(before: &[Entry], after: &[Entry]) -> Vec<Change> {
    let mut pairs: Vec<(Option<&Entry>, Option<&Entry>)> = Vec::new();
    let old: BTreeMap<_, _> = before.iter().map(|entry| (entry.path.as_slice(), entry)).collect();
    let new: BTreeMap<_, _> = after.iter().map(|entry| (entry.path.as_slice(), entry)).collect();
    pairs.extend(old.iter().map(|(path, entry)| (Some(*entry), new.get(path).copied())));
    pairs.extend(new.iter().filter(|(path, _)| !old.contains_key(*path)).map(|(_, entry)| (None, Some(*entry))));
    let mut changes: Vec<Change> = pairs
        .into_iter()
        .filter_map(|pair| match pair {
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) => {
                Some(Change::Changed { before: Box::new(before.clone()), after: Box::new(after.clone()) })
            }
            (Some(before), None) => Some(Change::Removed(before.clone())),
            (None, after) => after.cloned().map(Change::Added),
        })
        .collect();
    changes.sort_by(|a, b| path_cmp(path_of(a), path_of(b)));
    changes
}

fn path_of(change: &Change) -> &[u8] {
    match change {
        Change::Added(entry) | Change::Removed(entry) => &entry.path,
        Change::Changed { after, .. } => &after.path,
    }
}

fn diff(before: &[Entry], after: &[Entry]) -> (Vec<Change>, usize) {
    let (mut old, mut new) = (Nodes::default(), Nodes::default());
    let (a, b) = (build(before, &mut old), build(after, &mut new));
    let mut diff = Diff::new((a.id, &mut old), (b.id, &mut new));
    let mut changes = Vec::new();
    while let Some(change) = diff.next_change().unwrap() {
        changes.push(change);
    }
    (changes, old.reads + new.reads)
}

proptest! {
    #[test]
    fn small_trees_differ_as_maps_do(before in entries(), after in entries()) {
        prop_assert_eq!(diff(&before, &after).0, naive(&before, &after));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn large_trees_differ_as_maps_do(
        edits in prop::collection::vec((0_usize..8000, 0_u8..4, 1_usize..2500), 0..6),
    ) {
        let before = source_tree(8000);
        let mut after = before.clone();
        for (at, kind, len) in edits {
            let at = at.min(after.len() - 1);
            match kind {
                0 => drop(after.drain(at..(at + len).min(after.len()))),
                1 if after[at].kind == EntryKind::File => {
                    let path = String::from_utf8(after[at].path.clone()).unwrap();
                    let new = (0..len).map(|number| file(&format!("{path}.{number:05}"), number as u64));
                    let new: Vec<_> = new.collect();
                    let sorted = after.get(at + 1).is_none_or(|next| path_cmp(&new[len - 1].path, &next.path).is_lt());
                    if sorted {
                        after.splice(at + 1..at + 1, new);
                    }
                }
                _ => after[at].meta.mode = 0o600,
            }
            if after.is_empty() {
                break;
            }
        }
        prop_assert_eq!(diff(&before, &after).0, naive(&before, &after));
        prop_assert_eq!(diff(&after, &before).0, naive(&after, &before));
    }
}

#[test]
fn equal_nodes_are_not_read() {
    let before = source_tree(60_000);
    assert_eq!(diff(&before, &before), (Vec::new(), 0));
    let mut after = before.clone();
    after[33_333].meta.mode = 0o600;
    let (changes, reads) = diff(&before, &after);
    assert_eq!(changes.len(), 1);
    // Root, perhaps a node between, and the leaf, on both sides.
    assert!(reads <= 6, "{reads} nodes read for one change");
    after.drain(10_000..10_003);
    let (changes, reads) = diff(&before, &after);
    assert_eq!(changes.len(), 4);
    assert!(reads <= 16, "{reads} nodes read for two places");
}
