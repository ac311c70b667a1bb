//! Order by references within a wave, where the kind table knows none.

use std::collections::HashMap;

use serde_json::Value;

use super::draft::Draft;
use crate::object::text;
use crate::step::Wave;

/// An object as references name it: kind, namespace, name.
type Name<'a> = (&'a str, Option<&'a str>, &'a str);

/// Ranks custom resources and the kinds of the last wave so that an object comes after those that it names in a
/// `…Ref`, `…Refs` or owner reference. Objects that name each other in a circle stay at one rank.
pub(super) fn rank_by_references(drafts: &mut [Draft]) {
    for wave in [Wave::CustomResources, Wave::Rest] {
        let members: Vec<usize> =
            (0..drafts.len()).filter(|i| drafts[*i].wave == wave && drafts[*i].object.is_some()).collect();
        let ranks = ranks(drafts, &members);
        for (member, rank) in members.into_iter().zip(ranks) {
            drafts[member].rank = rank;
        }
    }
}

/// The length of the longest chain of references below each member.
fn ranks(drafts: &[Draft], members: &[usize]) -> Vec<u32> {
    let mut index: HashMap<Name<'_>, usize> = HashMap::new();
    for (position, member) in members.iter().enumerate() {
        let draft = &drafts[*member];
        index.insert((&draft.kind, draft.key.namespace.as_deref(), &draft.key.name), position);
    }
    let needs: Vec<Vec<usize>> = members
        .iter()
        .enumerate()
        .map(|(position, member)| {
            let mut found = Vec::new();
            needs_of(&drafts[*member], &index, &mut found);
            found.retain(|need| *need != position);
            found.sort_unstable();
            found.dedup();
            found
        })
        .collect();
    // Kahn's algorithm, counting ranks upwards. What remains is in a circle or needs one: it comes last, together.
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (position, needs) in needs.iter().enumerate() {
        for need in needs {
            needed_by[*need].push(position);
        }
    }
    let mut ranks = vec![None; members.len()];
    let mut ready: Vec<usize> = (0..members.len()).filter(|position| open[*position] == 0).collect();
    let mut rank = 0;
    while !ready.is_empty() {
        let mut next = Vec::new();
        for position in ready {
            ranks[position] = Some(rank);
            for dependent in &needed_by[position] {
                open[*dependent] -= 1;
                if open[*dependent] == 0 {
                    next.push(*dependent);
                }
            }
        }
        ready = next;
        rank += 1;
    }
    ranks.into_iter().map(|found| found.unwrap_or(rank)).collect()
}

/// Positions of the members that this draft's object names.
fn needs_of(draft: &Draft, index: &HashMap<Name<'_>, usize>, found: &mut Vec<usize>) {
    let home = draft.key.namespace.as_deref();
    for owner in &draft.owner_references {
        look_up(owner, home, index, found);
    }
    let members = draft.object.as_ref().and_then(Value::as_object);
    for (name, member) in members.into_iter().flatten().filter(|(name, _)| *name != "metadata") {
        walk(name, member, home, index, found);
    }
}

fn walk(name: &str, value: &Value, home: Option<&str>, index: &HashMap<Name<'_>, usize>, found: &mut Vec<usize>) {
    match value {
        Value::Object(members) => {
            if ["Ref", "Refs", "Reference", "References"].iter().any(|end| name.ends_with(end)) {
                look_up(value, home, index, found);
            }
            for (name, member) in members {
                walk(name, member, home, index, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(name, item, home, index, found)),
        _ => {}
    }
}

fn look_up(reference: &Value, home: Option<&str>, index: &HashMap<Name<'_>, usize>, found: &mut Vec<usize>) {
    let (Some(kind), Some(name)) = (text(reference, "/kind"), text(reference, "/name")) else { return };
    let namespace = text(reference, "/namespace").or(home);
    found.extend(index.get(&(kind, namespace, name)).or_else(|| index.get(&(kind, None, name))));
}
