//! Owner references: a second pass, since an owner's uid is known only when it exists.

use std::collections::HashMap;

use serde_json::Value;

use super::draft::Draft;
use crate::object::{group_of, text};
use crate::step::{Action, Owner, Wave};
use crate::target::Target;

/// Adoptions inside the admission wave come after all of its objects.
const ADMISSION_ADOPTION_RANK: u32 = u32::MAX;

/// Group, kind, namespace, name.
type Name = (String, String, Option<String>, String);

/// The steps that set owner references. Notes on `drafts` the references that are dropped, since their owner is
/// neither in the plan nor on the target.
pub(super) fn adoptions(drafts: &mut [Draft], target: &Target) -> Vec<Draft> {
    if drafts.iter().all(|draft| draft.owner_references.is_empty()) {
        return Vec::new();
    }
    let mut index: HashMap<Name, usize> = HashMap::new();
    for (position, draft) in drafts.iter().enumerate() {
        let lives = matches!(draft.action, Action::Create | Action::Merge) || target.has(&draft.key);
        if lives && draft.action != Action::Fill {
            let source = &draft.source;
            let name = (source.group.clone(), draft.kind.clone(), source.namespace.clone(), source.name.clone());
            index.insert(name, position);
        }
    }
    let mut adoptions = Vec::new();
    for position in 0..drafts.len() {
        let (owners, dropped) = owners_of(&drafts[position], drafts, &index, target);
        let child = &mut drafts[position];
        child
            .notes
            .extend(dropped.into_iter().map(|owner| format!("owner {owner} is not restored; reference dropped")));
        if owners.is_empty() {
            continue;
        }
        let (wave, rank) =
            if child.wave > Wave::Adoption { (Wave::Admission, ADMISSION_ADOPTION_RANK) } else { (Wave::Adoption, 0) };
        let reason = format!("owned by {}", owners[0].key);
        let mut adoption = Draft::new(child.key.clone(), &child.kind, wave, Action::Adopt, reason).ranked(rank);
        adoption.owners = owners;
        adoptions.push(adoption);
    }
    adoptions
}

/// The owners that will exist, and the names of those that will not.
fn owners_of(
    child: &Draft,
    drafts: &[Draft],
    index: &HashMap<Name, usize>,
    target: &Target,
) -> (Vec<Owner>, Vec<String>) {
    let (mut owners, mut dropped) = (Vec::new(), Vec::new());
    for reference in &child.owner_references {
        let api_version = text(reference, "/apiVersion").unwrap_or_default();
        let kind = text(reference, "/kind").unwrap_or_default();
        let name = text(reference, "/name").unwrap_or_default();
        let group = group_of(api_version);
        let named = |namespace: Option<String>| {
            index.get(&(group.to_owned(), kind.to_owned(), namespace, name.to_owned())).map(|i| drafts[*i].key.clone())
        };
        let key = named(child.source.namespace.clone())
            .or_else(|| named(None))
            .or_else(|| target.find(group, kind, child.key.namespace.as_deref(), name));
        let flag = |field: &str| reference.get(field).and_then(Value::as_bool);
        match key {
            Some(key) => owners.push(Owner {
                key,
                kind: kind.to_owned(),
                controller: flag("controller"),
                block_owner_deletion: flag("blockOwnerDeletion"),
            }),
            None => dropped.push(format!("{kind} {name}")),
        }
    }
    (owners, dropped)
}
