//! What the golden points hold.

use firn_format::object::{ObjectKey, ResourceType, canonical_json};
use firn_tests::{Dice, Object};
use serde_json::json;

/// A file, a directory, a link.
pub(super) struct Item {
    pub(super) path: &'static str,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, u32),
    pub(super) body: Body,
}

pub(super) enum Body {
    Directory,
    Symlink(&'static str),
    HardLink(&'static str),
    Fifo,
    /// Shares a bundle with its neighbours.
    Small(Vec<u8>),
    /// Cut by content.
    Cut(Vec<u8>),
    /// Cut by the grid: data and holes.
    Grid(Vec<Run>),
}

/// A part of a file on the grid.
pub(super) enum Run {
    Data(Vec<u8>),
    Hole(u64),
}

/// Text that compresses well and never repeats a chunk.
fn text(seed: u64, len: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let word = dice.bytes(24).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut out = Vec::with_capacity(len + 64);
    while out.len() < len {
        out.extend_from_slice(format!("{:08} {word}\n", out.len()).as_bytes());
    }
    out.truncate(len);
    out
}

fn item(path: &'static str, mode: u32, body: Body) -> Item {
    let number = path.len() as u32;
    let mtime = (1_700_000_000 + i64::from(number), 1_000 * number + 7);
    Item { path, mode, owner: (1000 + number % 3, 100), mtime, body }
}

/// The volume of the first point, or of the second. In tree order.
pub(super) fn volume(second: bool) -> Vec<Item> {
    let grid = |first: Vec<u8>| {
        let mut runs = vec![Run::Data(first), Run::Hole(512 << 10)];
        runs.extend((1..3).map(|n| Run::Data(text(100 + n, 64 << 10))));
        // 21 pieces: more than an entry holds, so they stand in a file map.
        runs.push(Run::Data((3..20).flat_map(|n| text(100 + n, 64 << 10)).collect()));
        runs.push(Run::Data(text(99, 1234)));
        runs
    };
    let mut items = vec![
        item("", 0o755, Body::Directory),
        item("app.db", 0o640, Body::Grid(grid(text(if second { 200 } else { 100 }, 64 << 10)))),
        item("conf", 0o750, Body::Directory),
        item("conf/app.yaml", 0o644, Body::Small(text(1, 700))),
        item("conf/empty", 0o600, Body::Small(Vec::new())),
        item("conf/größe", 0o444, Body::Small("a name in UTF-8\n".into())),
        item("fifo", 0o622, Body::Fifo),
        item("journal", 0o600, Body::Cut(text(2, 300_000))),
        item("link", 0o777, Body::Symlink("conf/app.yaml")),
        item("sparse.img", 0o600, Body::Grid(vec![Run::Hole(1 << 20), Run::Data(b"behind a hole".to_vec())])),
        item("zz-journal", 0o600, Body::HardLink("journal")),
    ];
    if second {
        items.retain(|item| item.path != "conf/empty");
        items.insert(5, item("conf/new", 0o640, Body::Small(text(3, 90))));
    }
    items
}

/// The objects of the first point, or of the second. In tree order.
pub(super) fn objects(second: bool) -> Vec<Object> {
    let kind = |group: &str, resource: &str, kind: &str, namespaced| ResourceType {
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
    };
    let object = |kind: &ResourceType, name: &str, spec: serde_json::Value| -> (ObjectKey, Vec<u8>) {
        let key = kind.key(Some("shop"), name);
        let meta = json!({"name": name, "namespace": key.namespace});
        let text = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": meta, "spec": spec});
        (key, canonical_json(&text))
    };
    let deployment = kind("apps", "deployments", "Deployment", true);
    let config = kind("", "configmaps", "ConfigMap", true);
    let class = kind("storage.k8s.io", "storageclasses", "StorageClass", false);
    let mut objects = vec![
        object(&deployment, "web", json!({"replicas": if second { 3 } else { 2 }})),
        object(&config, "settings", json!({"color": "white"})),
        object(&class, "fast", json!({"kind": "ssd"})),
    ];
    if second {
        objects.insert(2, object(&config, "zone", json!({"zone": "b"})));
    }
    objects
}
