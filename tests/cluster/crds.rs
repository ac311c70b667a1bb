//! The kinds on a real API server: every rule both ways, columns, short names, explanations.

use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail, ensure};
use firn_tests::ground::{Ground, Kubectl};
use serde_json::{Value, json};

/// The definitions as the chart has them; they hold no template.
const DEFINITIONS: [&str; 4] = [
    include_str!("../../deploy/charts/firn-crds/templates/repositories.yaml"),
    include_str!("../../deploy/charts/firn-crds/templates/protectionpolicies.yaml"),
    include_str!("../../deploy/charts/firn-crds/templates/backupruns.yaml"),
    include_str!("../../deploy/charts/firn-crds/templates/recoverypoints.yaml"),
];

/// The namespace of these tests.
const NAMESPACE: &str = "crds";

static INSTALLED: LazyLock<Result<(), String>> = LazyLock::new(|| install().map_err(|error| format!("{error:#}")));

/// B's API server, with the kinds in it.
fn server() -> Result<Kubectl<'static>> {
    INSTALLED.clone().map_err(|error| anyhow::anyhow!("no kinds: {error}"))?;
    Ok(Ground::shared()?.kubectl("b"))
}

fn install() -> Result<()> {
    let kubectl = Ground::shared()?.kubectl("b");
    kubectl.apply(&DEFINITIONS.join("\n---\n"))?;
    kubectl.run(
        &[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd/repositories.firn.io",
            "crd/protectionpolicies.firn.io",
            "crd/backupruns.firn.io",
            "crd/recoverypoints.firn.io",
        ],
        "",
    )?;
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string())
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "firn.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}

fn repository(name: &str) -> Value {
    object("Repository", name, json!({"url": "file:///backup", "keys": {"secretRef": {"name": "firn-keys"}}}))
}

fn policy(name: &str) -> Value {
    object("ProtectionPolicy", name, json!({"repositoryRef": {"name": "main"}}))
}

fn run(name: &str) -> Value {
    object("BackupRun", name, json!({"policyRef": {"name": "shop"}, "tags": ["before-upgrade"]}))
}

fn point(name: &str) -> Value {
    let spec = json!({
        "repositoryRef": {"name": "main"},
        "pointID": "3f".repeat(32),
        "lineageID": "77".repeat(16),
        "policy": "shop",
        "clusterName": "a",
        "clusterUID": "3c0f0f4e-0000-4000-8000-000000000000",
    });
    object("RecoveryPoint", name, spec)
}

/// The object with something else in one place of its spec; null takes it away.
fn with(mut object: Value, path: &str, value: Value) -> Value {
    let mut place = &mut object["spec"];
    for step in path.split('.') {
        place = &mut place[step];
    }
    *place = value;
    object
}

/// Whether the server takes it, as a dry run.
fn check_takes(kubectl: &Kubectl<'_>, object: &Value) -> Result<()> {
    kubectl.run(&["create", "--dry-run=server", "-f", "-"], &object.to_string()).map(drop)
}

/// Whether the server refuses it, with these words.
fn check_refuses(kubectl: &Kubectl<'_>, object: &Value, words: &str) -> Result<()> {
    let Err(error) = check_takes(kubectl, object) else { bail!("taken: {object}") };
    ensure!(format!("{error:#}").contains(words), "not refused with {words:?}: {error:#}");
    Ok(())
}

#[test]
fn repositories_are_validated() -> Result<()> {
    let kubectl = server()?;
    check_takes(&kubectl, &repository("plain"))?;
    for url in ["az://account/container/prefix", "s3://bucket/prefix", "gs://bucket"] {
        check_takes(&kubectl, &with(repository("plain"), "url", json!(url)))?;
    }
    for (url, words) in [
        ("ftp://host/path", "url must begin with"),
        ("file://relative", "url must begin with"),
        ("s3:///prefix", "url must begin with"),
        ("s3://key:secret@bucket/prefix", "url must not hold credentials"),
        ("az://account/container?sig=abc", "url must not hold credentials"),
    ] {
        check_refuses(&kubectl, &with(repository("plain"), "url", json!(url)), words)?;
    }
    let selector = |operator: &str, values: Value| {
        let expression = json!({"key": "tenant", "operator": operator, "values": values});
        with(repository("plain"), "policyNamespaces", json!({"matchExpressions": [expression]}))
    };
    check_takes(&kubectl, &selector("In", json!(["yes"])))?;
    check_takes(&kubectl, &selector("Exists", Value::Null))?;
    check_refuses(&kubectl, &selector("In", Value::Null), "In and NotIn need values")?;
    check_refuses(&kubectl, &selector("Exists", json!(["yes"])), "In and NotIn need values")?;
    let full = json!({"prune": {"schedule": {"cron": "17 3 * * *", "timeZone": "Europe/Berlin"}, "suspend": true},
        "check": {"level": "Structure", "percentPerDay": 100}});
    check_takes(&kubectl, &with(repository("plain"), "maintenance", full))?;
    check_refuses(&kubectl, &with(repository("plain"), "maintenance.check", json!({"percentPerDay": 101})), "100")?;
    check_refuses(&kubectl, &with(repository("plain"), "deletionPolicy", json!("Burn")), "Unsupported value")?;
    check_refuses(&kubectl, &with(repository("plain"), "keys", Value::Null), "keys: Required value")?;
    check_takes(&kubectl, &repository(&"n".repeat(63)))?;
    check_refuses(&kubectl, &repository(&"n".repeat(64)), "at most 63 characters")
}

#[test]
fn policies_are_validated() -> Result<()> {
    let kubectl = server()?;
    let spec = |path: &str, value: Value| with(policy("shop"), path, value);
    check_takes(&kubectl, &policy("shop"))?;
    check_takes(&kubectl, &policy(&"n".repeat(52)))?;
    check_refuses(&kubectl, &policy(&"n".repeat(53)), "at most 52 characters")?;

    check_takes(&kubectl, &spec("schedule", json!({"cron": "*/15 * * * *"})))?;
    check_takes(
        &kubectl,
        &spec("schedule", json!({"cron": "0 8 L * MON-FRI", "timeZone": "America/Argentina/Ushuaia"})),
    )?;
    check_takes(&kubectl, &spec("schedule", json!({"cron": "@daily"})))?;
    check_takes(&kubectl, &spec("schedule", json!({"rpoSeconds": 60})))?;
    for (schedule, words) in [
        (json!({"cron": "@daily", "rpoSeconds": 60}), "give either cron or rpoSeconds"),
        (json!({}), "give either cron or rpoSeconds"),
        (json!({"timeZone": "Europe/Berlin", "rpoSeconds": 60}), "timeZone belongs to cron"),
        (json!({"rpoSeconds": 59}), "greater than or equal to 60"),
        (json!({"cron": "* * * *"}), "should match"),
        (json!({"cron": "0 * * * * *"}), "should match"),
        (json!({"cron": "@often"}), "should match"),
    ] {
        check_refuses(&kubectl, &spec("schedule", schedule), words)?;
    }

    for rule in ["last", "hourly", "daily", "weekly", "monthly", "yearly"] {
        check_takes(&kubectl, &spec("retention", json!({rule: 1})))?;
        check_refuses(&kubectl, &spec("retention", json!({rule: 0})), "greater than or equal to 1")?;
    }
    check_takes(&kubectl, &spec("retention", json!({"withinSeconds": 3600, "tags": ["kept"]})))?;
    check_refuses(&kubectl, &spec("retention", json!({"withinSeconds": 3599})), "greater than or equal to 3600")?;
    check_refuses(&kubectl, &spec("retention", json!({})), "retention needs at least one of")?;
    check_refuses(&kubectl, &spec("retention", json!({"tags": ["kept"]})), "retention needs at least one of")?;

    let rules = json!([{"claims": ["cache-*"], "method": "Skip"}, {"labelSelector": {"matchLabels": {"a": "b"}}}]);
    check_takes(
        &kubectl,
        &spec("volumes", json!({"emptyDirs": "Capture", "rules": rules, "excludeFiles": ["*.tmp"]})),
    )?;
    check_refuses(&kubectl, &spec("volumes", json!({"method": "Magic"})), "Unsupported value")?;
    check_refuses(&kubectl, &spec("namespaces", json!({"include": ["a", "a"]})), "Duplicate value")?;
    check_refuses(&kubectl, &spec("namespaces", json!({"include": vec!["a"; 257]})), "Too many")?;
    check_refuses(&kubectl, &spec("priority", json!(1001)), "less than or equal to 1000")?;
    check_refuses(&kubectl, &spec("repositoryRef", json!({"name": ""})), "at least 1")?;
    check_refuses(&kubectl, &spec("repositoryRef", Value::Null), "repositoryRef: Required value")
}

#[test]
fn null_is_the_same_as_nothing() -> Result<()> {
    let kubectl = server()?;
    let nulls = json!({"cron": null, "rpoSeconds": 60, "timeZone": null});
    check_takes(&kubectl, &with(policy("shop"), "schedule", nulls))?;
    let nothing = json!({"last": null, "withinSeconds": null});
    check_refuses(&kubectl, &with(policy("shop"), "retention", nothing), "retention needs at least one of")
}

#[test]
fn what_must_not_change_does_not() -> Result<()> {
    let kubectl = server()?;
    let mut cluster = repository("fixed");
    cluster["spec"]["cluster"] = json!({"name": "a"});
    for object in [cluster, repository("fixed-plain"), policy("fixed"), run("fixed"), point("fixed")] {
        kubectl.create(&object.to_string())?;
    }
    let patch = |resource: &str, name: &str, spec: Value| {
        let body = json!({"spec": spec}).to_string();
        kubectl.run(&["patch", resource, name, "-n", NAMESPACE, "--type=merge", "-p", &body], "")
    };
    let refused = [
        ("frepo", "fixed", json!({"url": "file:///other"}), "url cannot change"),
        ("frepo", "fixed", json!({"cluster": {"name": "b"}}), "cluster cannot change"),
        ("frepo", "fixed", json!({"cluster": null}), "cluster cannot change"),
        ("frepo", "fixed-plain", json!({"cluster": {"name": "b"}}), "cluster cannot change"),
        ("fpol", "fixed", json!({"repositoryRef": {"name": "other"}}), "repositoryRef cannot change"),
        ("frun", "fixed", json!({"policyRef": {"name": "other"}}), "the spec of a run cannot change"),
        ("frun", "fixed", json!({"tags": ["other"]}), "the spec of a run cannot change"),
        ("frun", "fixed", json!({"scheduledTime": "2026-01-01T00:00:00Z"}), "the spec of a run cannot change"),
        ("fpoint", "fixed", json!({"pointID": "00".repeat(32)}), "only deletionPolicy can change"),
        ("fpoint", "fixed", json!({"repositoryRef": {"name": "other"}}), "only deletionPolicy can change"),
    ];
    for (resource, name, spec, words) in refused {
        let Err(error) = patch(resource, name, spec.clone()) else { bail!("{resource} took {spec}") };
        ensure!(format!("{error:#}").contains(words), "not refused with {words:?}: {error:#}");
    }
    for (resource, name, spec) in [
        ("frepo", "fixed", json!({"policyNamespaces": {}, "deletionPolicy": "Delete"})),
        ("fpol", "fixed", json!({"suspend": true, "priority": 7, "retention": {"last": 3}})),
        ("fpoint", "fixed", json!({"deletionPolicy": "Delete"})),
    ] {
        patch(resource, name, spec)?;
    }
    check_refuses(&kubectl, &with(point("odd"), "pointID", json!("3F2A")), "should match")?;
    check_refuses(&kubectl, &with(run("odd"), "tags", json!(["a b"])), "should match")
}

#[test]
fn defaults_are_written_out() -> Result<()> {
    let kubectl = server()?;
    let taken = |object: &Value| -> Result<Value> {
        let text = kubectl.run(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &object.to_string())?;
        Ok(serde_json::from_str::<Value>(&text)?["spec"].take())
    };
    let spec = taken(&repository("defaults"))?;
    ensure!(spec["deletionPolicy"] == "Retain" && spec["maintenance"]["check"]["percentPerDay"] == 5, "{spec}");
    let spec = taken(&with(repository("defaults"), "maintenance", json!({"prune": {}})))?;
    ensure!(spec["maintenance"]["prune"]["suspend"] == false, "{spec}");
    ensure!(spec["maintenance"]["check"]["level"] == "StoredHashes", "{spec}");
    let spec = taken(&policy("defaults"))?;
    ensure!(spec["suspend"] == false && spec["volumes"]["emptyDirs"] == "Skip" && spec["priority"] == 0, "{spec}");
    ensure!(spec["retention"].is_null() && spec["schedule"].is_null(), "{spec}");
    Ok(())
}

#[test]
fn short_names_category_and_explanations() -> Result<()> {
    let kubectl = server()?;
    let text = kubectl.run(&["api-resources", "--api-group=firn.io", "--no-headers", "-o", "wide"], "")?;
    for (plural, short) in [
        ("repositories", "frepo"),
        ("protectionpolicies", "fpol"),
        ("backupruns", "frun"),
        ("recoverypoints", "fpoint"),
    ] {
        let line = text.lines().find(|line| line.starts_with(plural)).context("not discovered")?;
        let words: Vec<&str> = line.split_whitespace().collect();
        ensure!(words[1] == short && words[3] == "true" && words.last() == Some(&"firn"), "{line}");
    }
    let fields = [
        ("frepo.spec.url", "Where it is"),
        ("fpol.spec.schedule.rpoSeconds", "recovery point objective"),
        ("fpol.spec.volumes.rules.method", "from a CSI snapshot, or not at all"),
        ("frun.status.conditions", "Succeeded: Unknown while"),
        ("fpoint.spec.deletionPolicy", "the point is forgotten"),
    ];
    for (field, words) in fields {
        let text = kubectl.run(&["explain", field], "")?.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(text.contains(words), "{field}: {text}");
    }
    let all = kubectl.run(&["explain", "fpol.spec", "--recursive"], "")?;
    ensure!(all.contains("withinSeconds"), "{all}");
    Ok(())
}

/// Creates an object and gives it a status.
fn create_with_status(kubectl: &Kubectl<'_>, resource: &str, object: &Value, status: &Value) -> Result<()> {
    kubectl.create(&object.to_string())?;
    let name = object["metadata"]["name"].as_str().context("no name")?;
    let body = json!({"status": status}).to_string();
    let arguments = ["patch", resource, name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &body];
    kubectl.run(&arguments, "").map(drop)
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    let (message, time) = ("said in words; do this", "2026-01-01T00:00:00Z");
    json!([{"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": time}])
}

/// The table that the server makes: its header and the row of one object, at most 80 columns wide.
fn row(kubectl: &Kubectl<'_>, resource: &str, name: &str) -> Result<(Vec<String>, Vec<String>)> {
    let text = kubectl.run(&["get", resource, name, "-n", NAMESPACE], "")?;
    let mut lines = text.lines();
    let mut words = || -> Result<Vec<String>> {
        let line = lines.next().context("no line")?;
        ensure!(line.trim_end().chars().count() <= 80, "wider than a terminal: {line}");
        Ok(line.split_whitespace().map(ToOwned::to_owned).collect())
    };
    Ok((words()?, words()?))
}

#[test]
fn tables_answer_the_operator_s_question() -> Result<()> {
    let kubectl = server()?;
    let time = "2026-01-01T00:00:00Z";
    let last = json!({"pointID": "3f".repeat(32), "cutTime": time, "complete": true});
    let numbers = json!({"objects": 1, "volumes": 2, "files": 3, "readBytes": 4, "storedBytes": 5, "exceptions": 6});
    let check = json!({"time": time, "level": "StoredHashes", "findings": 0});
    let status = json!({"conditions": condition("Ready", "False", "StoreUnreachable"), "points": 1440,
        "lastCheck": check, "lastPrune": {"time": time, "freedBytes": 7}});
    create_with_status(&kubectl, "frepo", &repository("table-production-west"), &status)?;
    let status = json!({"conditions": condition("Protected", "True", "WithinTarget"), "lastPoint": last});
    create_with_status(&kubectl, "fpol", &policy("table-shop-every-minute"), &status)?;
    let status = json!({"conditions": condition("Succeeded", "True", "CompletedWithExceptions"), "numbers": numbers});
    create_with_status(&kubectl, "frun", &run("table-shop-29334567"), &status)?;
    let status = json!({"conditions": condition("Ready", "True", "Complete"), "cutTime": time, "complete": true,
        "verified": "StoredHashes"});
    create_with_status(&kubectl, "fpoint", &point("table-shop-20260101-0000"), &status)?;

    let (header, words) = row(&kubectl, "frepo", "table-production-west")?;
    ensure!(header == ["NAME", "READY", "POINTS", "CHECKED", "PRUNED", "AGE"], "{header:?}");
    ensure!(words[1..3] == ["False", "1440"] && words[3].ends_with('d'), "{words:?}");
    let (header, words) = row(&kubectl, "fpol", "table-shop-every-minute")?;
    ensure!(header == ["NAME", "READY", "PROTECTED", "REPOSITORY", "LAST-POINT", "AGE"], "{header:?}");
    // Nothing is said of Ready, and its column is empty.
    ensure!(words[1..3] == ["True", "main"] && words[3].ends_with('d'), "{words:?}");
    let (header, words) = row(&kubectl, "frun", "table-shop-29334567")?;
    ensure!(header == ["NAME", "SUCCEEDED", "REASON", "POLICY", "AGE"], "{header:?}");
    ensure!(words[1..4] == ["True", "CompletedWithExceptions", "shop"], "{words:?}");
    let (header, words) = row(&kubectl, "fpoint", "table-shop-20260101-0000")?;
    ensure!(header == ["NAME", "READY", "POLICY", "CUT", "COMPLETE", "VERIFIED", "AGE"], "{header:?}");
    ensure!(words[1..3] == ["True", "shop"] && words[4..6] == ["true", "StoredHashes"], "{words:?}");

    let wide = kubectl.run(&["get", "frun", "table-shop-29334567", "-n", NAMESPACE, "-o", "wide"], "")?;
    ensure!(wide.contains("EXCEPTIONS") && wide.contains("said in words; do this"), "{wide}");
    let all = kubectl.run(&["get", "firn", "-n", NAMESPACE, "-o", "name"], "")?;
    for kind in ["repository", "protectionpolicy", "backuprun", "recoverypoint"] {
        ensure!(all.contains(&format!("{kind}.firn.io/table-")), "{kind} is not in the category: {all}");
    }
    Ok(())
}

#[test]
fn fields_select_and_conditions_of_two_writers_stand_side_by_side() -> Result<()> {
    let kubectl = server()?;
    for (name, of) in [("select-1", "bank"), ("select-2", "bank"), ("select-3", "mill")] {
        kubectl.create(&with(run(name), "policyRef.name", json!(of)).to_string())?;
    }
    let select = |field: &str| kubectl.list(&["frun", "-n", NAMESPACE, "--field-selector", field]);
    ensure!(select("spec.policyRef.name=bank")?.len() == 2);
    ensure!(select("spec.policyRef.name=mill")?.len() == 1);

    for (manager, kind) in [("one", "Succeeded"), ("two", "example.org/Audited")] {
        let mut object = run("select-1");
        object.as_object_mut().context("no object")?.remove("spec");
        object["status"] = json!({"conditions": condition(kind, "Unknown", "Running")});
        let manager = format!("--field-manager={manager}");
        let arguments = ["apply", "--server-side", "--subresource=status", &manager, "-f", "-"];
        kubectl.run(&arguments, &object.to_string())?;
    }
    let object = kubectl.get(&["frun", "select-1", "-n", NAMESPACE])?;
    ensure!(object["status"]["conditions"].as_array().is_some_and(|list| list.len() == 2), "{object}");
    Ok(())
}
