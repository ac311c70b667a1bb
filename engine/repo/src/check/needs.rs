//! Needs: what each live point needs, walked from base to base, so that very many points cost no more than their differences.

use std::collections::{BTreeMap, HashSet};

use firn_format::{Difference, ObjectName, Point, State};

/// What the point at which a walk stands needs.
pub(crate) type Needs<'s> = HashSet<&'s ObjectName>;

enum Step {
    Enter(usize),
    Leave(usize),
}

/// Hands every live point with all that it needs to `each`, until that fails. `changed` hears of every name that comes into
/// the needs (`true`) or goes out of them on the way.
pub(crate) fn walk<'s, T, E>(
    state: &'s State,
    context: &mut T,
    changed: &mut dyn FnMut(&mut T, &ObjectName, bool),
    each: &mut dyn FnMut(&mut T, &'s Point, &Needs<'s>) -> Result<(), E>,
) -> Result<(), E> {
    let nodes: Vec<Difference<'s>> = state.needs_by_difference().collect();
    let mut children: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, node) in nodes.iter().enumerate() {
        // No point lies at 0: that stands for "nothing".
        children.entry(node.base.unwrap_or(0)).or_default().push(number);
    }
    let mut needs = Needs::new();
    let mut change = |context: &mut T, needs: &mut Needs<'s>, name: &'s ObjectName, is_in: bool| {
        let is_news = if is_in { needs.insert(name) } else { needs.remove(name) };
        if is_news {
            changed(context, name, is_in);
        }
    };
    let below = |seq: u64| children.get(&seq).into_iter().flatten().rev().map(|number| Step::Enter(*number));
    let mut steps: Vec<Step> = below(0).collect();
    while let Some(step) = steps.pop() {
        let (number, is_in) = match step {
            Step::Enter(number) => (number, true),
            Step::Leave(number) => (number, false),
        };
        let node = &nodes[number];
        node.added().for_each(|name| change(context, &mut needs, name, is_in));
        node.dropped().for_each(|name| change(context, &mut needs, name, !is_in));
        if is_in {
            each(context, node.point, &needs)?;
            steps.push(Step::Leave(number));
            steps.extend(below(node.point.seq));
        }
    }
    Ok(())
}
