//! Tenants: which policies may use a repository, and which namespaces they may protect.
//!
//! A Repository lies in Firn's own namespace. A policy there may select any namespace; a policy in any other namespace
//! protects that namespace and no other, whatever it says.

use std::collections::BTreeMap;

use kube_core::labels::{Selector, SelectorExt as _};

use crate::condition::Reason;
use crate::policy::NamespaceSelection;
use crate::reasons;
use crate::repository::RepositorySpec;

/// The namespaces that a policy may protect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Any.
    All,
    /// Its own, and of the cluster's objects only what that namespace stands on.
    Own(String),
}

/// How far a policy reaches that lies in `policy_namespace`; `firn_namespace` is Firn's own.
#[must_use]
pub fn reach(policy_namespace: &str, firn_namespace: &str) -> Reach {
    // An empty name is no namespace: whoever asks with two of them has not found out where Firn runs.
    if policy_namespace == firn_namespace && !firn_namespace.is_empty() {
        Reach::All
    } else {
        Reach::Own(policy_namespace.to_owned())
    }
}

impl Reach {
    /// Whether a namespace may be protected.
    #[must_use]
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own(own) => own == namespace,
        }
    }
}

/// Whether a policy may use a repository and say what it says. `namespace_labels` are those of the policy's namespace.
///
/// A policy that names another's namespace is refused as a whole, so that its owner does not believe that namespace
/// protected; the excluded ones may be any. What [`reach`] says holds even so.
///
/// # Errors
/// The reason for the policy's condition.
pub fn admit(
    repository: &RepositorySpec,
    policy_namespace: &str,
    namespace_labels: &BTreeMap<String, String>,
    namespaces: &NamespaceSelection,
    firn_namespace: &str,
) -> Result<Reach, Reason> {
    let reach = reach(policy_namespace, firn_namespace);
    if let Reach::Own(own) = &reach {
        if !admits_namespace(repository, namespace_labels) {
            return Err(reasons::policy::REPOSITORY_NOT_ALLOWED);
        }
        if namespaces.include.iter().any(|name| name != own) {
            return Err(reasons::policy::NAMESPACES_NOT_ALLOWED);
        }
    }
    Ok(reach)
}

/// Whether policies of a namespace with these labels may use the repository. A selector that cannot be understood
/// admits nobody.
fn admits_namespace(repository: &RepositorySpec, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = &repository.policy_namespaces else { return false };
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

    use super::*;
    use crate::reasons::policy::{NAMESPACES_NOT_ALLOWED, REPOSITORY_NOT_ALLOWED};
    use crate::repository::Keys;

    fn repository(selector: Option<LabelSelector>) -> RepositorySpec {
        RepositorySpec {
            url: "file:///backup".into(),
            credentials: None,
            keys: Keys::default(),
            cluster: None,
            policy_namespaces: selector,
            maintenance: crate::Maintenance::default(),
            deletion_policy: crate::DeletionPolicy::default(),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn tenant_selector() -> LabelSelector {
        LabelSelector { match_labels: Some(labels(&[("tenant", "yes")])), match_expressions: None }
    }

    fn including(names: &[&str]) -> NamespaceSelection {
        NamespaceSelection { include: names.iter().map(|name| (*name).to_owned()).collect(), ..Default::default() }
    }

    /// A policy in namespace `shop`, whose labels are `tenant=yes`.
    fn shop(selector: Option<LabelSelector>, names: &[&str]) -> Result<Reach, Reason> {
        admit(&repository(selector), "shop", &labels(&[("tenant", "yes")]), &including(names), "firn-system")
    }

    #[test]
    fn a_policy_beside_firn_reaches_everything_without_any_label() {
        let admitted = admit(&repository(None), "firn-system", &labels(&[]), &including(&["*"]), "firn-system");
        assert_eq!(admitted, Ok(Reach::All));
        assert!(Reach::All.includes("kube-system"));
    }

    #[test]
    fn a_tenant_needs_the_repository_s_consent() {
        assert_eq!(shop(None, &[]), Err(REPOSITORY_NOT_ALLOWED));
        assert_eq!(shop(Some(tenant_selector()), &[]), Ok(Reach::Own("shop".into())));
        assert_eq!(shop(Some(LabelSelector::default()), &[]), Ok(Reach::Own("shop".into())));
        let other = LabelSelector { match_labels: Some(labels(&[("tenant", "no")])), match_expressions: None };
        assert_eq!(shop(Some(other), &[]), Err(REPOSITORY_NOT_ALLOWED));
    }

    #[test]
    fn a_tenant_protects_its_own_namespace_and_no_other() {
        let reach = shop(Some(tenant_selector()), &["shop"]).unwrap();
        assert!(reach.includes("shop"));
        assert!(!reach.includes("bank") && !reach.includes("shop2") && !reach.includes("firn-system"));
        for names in [&["bank"][..], &["*"], &["shop*"], &["shop", "bank"]] {
            assert_eq!(shop(Some(tenant_selector()), names), Err(NAMESPACES_NOT_ALLOWED), "{names:?}");
        }
    }

    #[test]
    fn a_selector_that_is_not_understood_admits_nobody() {
        let odd = LabelSelectorRequirement { key: "tenant".into(), operator: "Near".into(), values: None };
        let selector = LabelSelector { match_labels: None, match_expressions: Some(vec![odd]) };
        assert_eq!(shop(Some(selector), &[]), Err(REPOSITORY_NOT_ALLOWED));
    }

    #[test]
    fn whoever_does_not_know_where_firn_runs_reaches_nothing_by_that() {
        assert_eq!(reach("", ""), Reach::Own(String::new()));
    }
}
