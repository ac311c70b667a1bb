use serde_json::json;

use super::*;

#[test]
fn references_are_mapped_and_contents_are_not() {
    let map = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let mut object = json!({
        "metadata": {"name": "x", "namespace": "a"},
        "data": {"name": "x", "namespace": "a"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "bot", "namespace": "a"},
            {"kind": "User", "name": "system:serviceaccount:a:bot"},
            {"kind": "Group", "name": "system:serviceaccounts:a"},
            {"kind": "User", "name": "a"}],
        "webhooks": [{"clientConfig": {"service": {"name": "s", "namespace": "a"}},
            "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "c"]}]}}],
        "spec": {
            "claimRef": {"name": "c", "namespace": "a"},
            "from": [{"group": "g", "kind": "HTTPRoute", "namespace": "a"}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}},
            "other": {"name": "x", "namespace": "c"},
            "free": {"namespace": "a"}},
    });
    map_references(&mut object, &map);
    assert_eq!(
        object,
        json!({
            "metadata": {"name": "x", "namespace": "a"},
            "data": {"name": "x", "namespace": "a"},
            "subjects": [
                {"kind": "ServiceAccount", "name": "bot", "namespace": "b"},
                {"kind": "User", "name": "system:serviceaccount:b:bot"},
                {"kind": "Group", "name": "system:serviceaccounts:b"},
                {"kind": "User", "name": "a"}],
            "webhooks": [{"clientConfig": {"service": {"name": "s", "namespace": "b"}},
                "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["b", "c"]}]}}],
            "spec": {
                "claimRef": {"name": "c", "namespace": "b"},
                "from": [{"group": "g", "kind": "HTTPRoute", "namespace": "b"}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}},
                "other": {"name": "x", "namespace": "c"},
                "free": {"namespace": "a"}},
        })
    );
}
