//! Maps, existing objects, and plans that change nothing.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

use crate::site::{Site, exceptions, text, wait_for};

const OBJECTS: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: mapping}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: mapping}, data: {mode: fast}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: more, namespace: mapping}, data: {mode: slow}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: robot, namespace: mapping}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot, namespace: mapping}
subjects: [{kind: ServiceAccount, name: robot, namespace: mapping}]
roleRef: {kind: ClusterRole, name: view, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: mapping}
spec: {accessModes: [ReadWriteOnce], storageClassName: mapping-of-a, resources: {requests: {storage: 1Gi}}}
"#;

const CLASS_OF_B: &str = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: mapping-of-b}, \
    provisioner: kubernetes.io/no-provisioner, volumeBindingMode: WaitForFirstConsumer}";

/// The names of everything in a cluster that a restore of this test could make.
fn names(site: &Site) -> Result<BTreeSet<String>> {
    let kinds = "namespaces,configmaps,serviceaccounts,rolebindings,persistentvolumeclaims,persistentvolumes";
    let listed = site.b().run(&["get", kinds, "-A", "-o", "name"], "")?;
    Ok(listed.lines().filter(|line| line.contains("mapping") || line.contains("mapped")).map(str::to_owned).collect())
}

#[test]
fn names_are_mapped_and_existing_objects_are_left_alone() -> Result<()> {
    let site = Site::new()?;
    site.a().apply(OBJECTS)?;
    site.b().apply(CLASS_OF_B)?;
    site.write("data/file", "contents")?;
    let repo = site.url("repo");
    site.firn_ends(0, &["init", "--repo", &repo])?;
    let volume = format!("mapping/data={}", site.text("data"));
    site.firn_ends(0, &["backup", "--repo", &repo, "--context", "a", "-n", "mapping", "--volume", &volume])?;

    let place = site.text("volumes");
    let restore = [
        &["restore", "--repo", &repo, "--context", "b", "--namespace-map", "mapping=mapped"][..],
        &["--storage-class-map", "mapping-of-a=mapping-of-b", "--local-volumes", &place, "-n", "mapping"],
    ]
    .concat();
    let before = names(&site)?;
    let plan = site.firn_ends(0, &[&restore[..], &["--dry-run"]].concat())?.out;
    ensure!(plan["steps"].as_array().is_some_and(|steps| steps.len() > 5), "{plan:#}");
    ensure!(names(&site)? == before && !site.path("volumes").exists(), "a dry run changed something");

    site.firn_ends(0, &restore)?;
    let binding = site.b().get(&["-n", "mapped", "rolebinding", "robot"])?;
    ensure!(text(&binding, "/subjects/0/namespace")? == "mapped", "{binding:#}");
    let claim = wait_for("the claim is bound", || {
        let claim = site.b().get(&["-n", "mapped", "pvc", "data"])?;
        Ok((claim["status"]["phase"] == "Bound").then_some(claim))
    })?;
    ensure!(text(&claim, "/spec/storageClassName")? == "mapping-of-b", "{claim:#}");
    ensure!(std::fs::read_to_string(site.path("volumes/mapped/data/file"))? == "contents");
    ensure!(site.b().get(&["namespace", "mapping"])?.is_null(), "the old name was made, too");

    existing_objects_are_left_alone(&site, &restore)
}

fn existing_objects_are_left_alone(site: &Site, restore: &[&str]) -> Result<()> {
    // All there and the same: nothing to do, whatever is to happen with what exists.
    let fail = [restore, &["--existing", "fail"]].concat();
    site.b().run(&["-n", "mapped", "delete", "configmap", "more"], "")?;
    site.b().run(&["-n", "mapped", "patch", "configmap", "settings", "-p", r#"{"data":{"mode":"mine"}}"#], "")?;
    let before = names(site)?;
    let refused = site.firn_ends(1, &fail)?;
    ensure!(refused.err.contains("nothing was restored") && refused.err.contains("settings"), "{}", refused.err);
    ensure!(names(site)? == before, "--existing fail wrote something");

    let skipped = site.firn_ends(0, restore)?.out;
    ensure!(exceptions(&skipped, "settings").is_empty() && skipped["created"] == 1, "{skipped:#}");
    let settings = site.b().get(&["-n", "mapped", "configmap", "settings"])?;
    ensure!(settings["data"]["mode"] == "mine", "what exists was overwritten: {settings:#}");
    let more = site.b().get(&["-n", "mapped", "configmap", "more"])?;
    ensure!(more["data"]["mode"] == "slow", "{more:#}");
    let plan = site.firn_ends(0, &[restore, &["--dry-run"]].concat())?.out;
    let steps = plan["steps"].as_array().context("no steps")?;
    let told = steps.iter().find(|step| step["key"].to_string().contains("settings")).context("not in the plan")?;
    ensure!(text(told, "/reason")?.contains("left as it is"), "{told:#}");
    Ok(())
}
