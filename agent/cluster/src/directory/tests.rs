use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn names(manifests: &Manifests) -> Vec<String> {
    manifests.objects.iter().map(|manifest| manifest.key.to_string()).collect()
}

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: oxen.farm.example}
spec: {group: farm.example, scope: Namespaced, names: {kind: Ox, plural: oxen}, versions: []}
";

#[test]
fn documents_lists_and_definitions_are_read() {
    let dir = dir_with(&[
        (
            "a/app.yaml",
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n---\n# nothing\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n",
        ),
        ("ox.yml", "apiVersion: farm.example/v1\nkind: Ox\nmetadata: {name: bessie}\n"),
        ("z/definition.yaml", DEFINITION),
        (
            "list.json",
            r#"{"apiVersion":"v1","kind":"ConfigMapList","items":[{"metadata":{"name":"one"}},{"metadata":{"name":"two","namespace":"x"}}]}"#,
        ),
        ("mixed.YAML", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n"),
        ("notes.txt", "not: read"),
        (".hidden.yaml", "not: read"),
        ("volumes/shop/data/inner.yaml", "not: read"),
    ]);
    let manifests = read(dir.path()).unwrap();
    assert_eq!(manifests.exceptions, []);
    assert_eq!(
        names(&manifests),
        [
            "configmaps/default/one",
            "configmaps/x/two",
            "namespaces/shop",
            "secrets/default/s",
            "customresourcedefinitions.apiextensions.k8s.io/oxen.farm.example",
            "deployments.apps/shop/web",
            "oxen.farm.example/default/bessie",
        ]
    );
    let bessie = &manifests.objects[6];
    assert_eq!(bessie.object["metadata"]["namespace"], "default");
    assert_eq!(bessie.resource.kind, "Ox");
    assert_eq!(manifests.objects[0].object["kind"], "ConfigMap");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let dir = dir_with(&[
        ("broken.yaml", "a: [b\n"),
        ("broken.json", "{"),
        ("kindless.yaml", "apiVersion: v1\nmetadata: {name: a}\n"),
        ("nameless.yaml", "apiVersion: v1\nkind: Secret\n"),
        ("unknown.yaml", "apiVersion: nobody.example/v1\nkind: Thing\nmetadata: {name: a}\n"),
        ("scope.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: a, namespace: b}\n"),
        ("slash.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: ../../etc/passwd}\n"),
        ("one.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: same}\n"),
        ("two.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: same, namespace: default}\n"),
        ("bomb.yaml", &"apiVersion: v1\nkind: Secret\nx: ".chars().chain("[".repeat(5000).chars()).collect::<String>()),
    ]);
    fs::write(dir.path().join("bytes.yaml"), b"\xff\xfe\x00").unwrap();
    fs::File::create(dir.path().join("huge.yaml")).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    let manifests = read(dir.path()).unwrap();
    assert_eq!(names(&manifests), ["secrets/default/same"]);
    let mut files: Vec<&str> = manifests.exceptions.iter().map(|exception| exception.what.as_str()).collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "bomb.yaml",
            "broken.json",
            "broken.yaml",
            "bytes.yaml",
            "huge.yaml",
            "kindless.yaml",
            "nameless.yaml",
            "scope.yaml",
            "slash.yaml",
            "two.yaml",
            "unknown.yaml",
        ]
    );
}

#[test]
fn an_alias_bomb_ends_in_an_exception() {
    let mut text =
        String::from("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let refs = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    let manifests = read(dir_with(&[("bomb.yaml", &text)]).path()).unwrap();
    assert!(manifests.objects.is_empty());
    assert_eq!(manifests.exceptions.len(), 1);
}

#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let dir = dir_with(&[(
        "a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nmode: 0644\nyes: 'true'\nport: 80\ntext: \"080\"\nratio: 0.5\nempty:\nlong: |\n  one\n  two\n",
    )]);
    let object = &read(dir.path()).unwrap().objects[0].object;
    assert_eq!(object["mode"], json!(0o644));
    assert_eq!(object["port"], json!(80));
    assert_eq!(object["text"], json!("080"));
    assert_eq!(object["ratio"], json!(0.5));
    assert_eq!(object["empty"], json!(null));
    assert_eq!(object["long"], json!("one\ntwo\n"));
}

#[test]
fn what_was_written_is_read_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let custom = ResourceType {
        group: "farm.example".into(),
        version: "v1".into(),
        resource: "oxen".into(),
        kind: "Ox".into(),
        namespaced: true,
    };
    let role = ResourceType {
        group: "rbac.authorization.k8s.io".into(),
        version: "v1".into(),
        resource: "clusterroles".into(),
        kind: "ClusterRole".into(),
        namespaced: false,
    };
    let long = "n".repeat(250);
    let objects = [
        (
            custom.key(Some("shop"), "bessie"),
            json!({"apiVersion": "farm.example/v1", "kind": "Ox", "metadata": {"name": "bessie", "namespace": "shop"}, "z": 1, "a": [1.5, null]}),
        ),
        (
            role.key(None, "app:reader"),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "app:reader"}}),
        ),
        (
            role.key(None, &long),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": long}}),
        ),
    ];
    for (key, object) in &objects {
        let path = write(dir.path(), key, object).unwrap();
        assert_eq!(path, dir.path().join(format!("{}.json", key.path())));
        // A second time: replaced.
        write(dir.path(), key, object).unwrap();
    }
    for root in [dir.path().to_path_buf(), dir.path().join("objects")] {
        let manifests = read(&root).unwrap();
        assert_eq!(manifests.exceptions, []);
        let back: Vec<_> = manifests.objects.into_iter().map(|m| (m.key, m.object)).collect();
        assert_eq!(back.len(), 3);
        for object in &objects {
            assert!(back.contains(object), "{} is missing", object.0);
        }
    }
    let text = fs::read_to_string(dir.path().join("objects/farm.example/v1/oxen/shop/bessie.json")).unwrap();
    assert!(text.starts_with("{\n  \"a\": [\n"), "{text}");
}

#[test]
fn hostile_names_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut key = ObjectKey {
        group: String::new(),
        version: "v1".into(),
        resource: "secrets".into(),
        namespace: Some("..".into()),
        name: "a".into(),
    };
    assert!(matches!(write(dir.path(), &key, &json!({})), Err(ClusterError::Unwritable { .. })));
    key.namespace = Some("shop".into());
    key.name = "n".repeat(300);
    assert!(matches!(write(dir.path(), &key, &json!({})), Err(ClusterError::Write { .. })));
    assert_eq!(read(dir.path()).unwrap(), Manifests::default());
}

#[test]
fn links_are_not_followed_and_a_missing_folder_is_an_error() {
    let outside = dir_with(&[("a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n")]);
    let dir = tempfile::tempdir().unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    symlink(outside.path().join("a.yaml"), dir.path().join("a.yaml")).unwrap();
    assert_eq!(read(dir.path()).unwrap(), Manifests::default());
    assert!(matches!(read(&dir.path().join("missing")), Err(ClusterError::Read { .. })));
}
