//! The reader in Python, which knows `docs/FORMAT.md` and nothing of Firn's code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::{golden, golden_dir, recorded, spec};

/// The Python that has the published libraries. Its absence is a failure: the document would be unproven.
fn python() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let python = set("FIRN_PYTHON").or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        cache.map(|cache| cache.join("firn/python/bin/python"))
    });
    let python = python.expect("FIRN_PYTHON or HOME");
    assert!(python.exists(), "{} IS MISSING: `cargo xtask test` makes it, or set FIRN_PYTHON", python.display());
    python
}

fn read(repository: &Path, password: &str, words: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/reader/firn_reader.py");
    Command::new(python()).arg("-B").arg(script).arg(repository).arg(password).args(words).output().unwrap()
}

fn good(words: &[&str]) -> Vec<u8> {
    let output = read(&golden_dir(), "golden", words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn lines(words: &[&str]) -> Vec<Value> {
    let text = String::from_utf8(good(words)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_reader_written_from_the_document_reads_the_golden_repository() {
    let recorded = recorded();
    let points = lines(&["points"]);
    let expected = recorded["points"].as_array().unwrap();
    assert_eq!(points.len(), expected.len());
    let (mut listed, mut extracted) = (0, 0);
    for ((point, expected), second) in points.iter().zip(expected).zip([false, true]) {
        for field in ["id", "cluster", "policy", "cut_time_ms"] {
            assert_eq!(point[field], expected[field]);
        }
        let id = point["id"].as_str().unwrap();
        let entries = lines(&["ls", id]);
        let objects = expected["objects"].as_object().unwrap();
        let files = expected["entries"].as_object().unwrap();
        assert_eq!(entries.len(), objects.len() + files.len());
        for entry in &entries {
            listed += 1;
            let path = entry["path"].as_str().unwrap();
            let hash = match path.strip_prefix("volumes/shop/data") {
                None => &objects[path],
                Some(below) => {
                    let expected = &files[below.trim_start_matches('/')];
                    for field in ["mode", "owner", "mtime"] {
                        assert_eq!(entry[field], expected[field], "{path}: {field}");
                    }
                    &expected["blake3"]
                }
            };
            let has_content = matches!(entry["kind"].as_u64(), Some(1 | 9));
            if let Some(hash) = hash.as_str().filter(|_| has_content) {
                extracted += 1;
                assert_eq!(blake3::hash(&good(&["cat", id, path])).to_hex().as_str(), hash, "{path}");
            }
        }
        let (key, text) = &spec::objects(second)[0];
        assert_eq!(good(&["cat", id, &key.path()]), *text);
    }
    println!("reader: {} points, {listed} entries listed, {extracted} contents extracted", points.len());
    assert!(extracted > 15, "{extracted}");
}

#[test]
fn the_reader_finds_packs_under_later_names() {
    let dir = firn_tests::scratch();
    for (name, bytes) in golden() {
        let is_pack = name.starts_with("data/") || name.starts_with("meta/");
        let path = dir.path().join(if is_pack { format!("{name}.7") } else { name });
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let id = recorded()["points"][1]["id"].as_str().unwrap().to_owned();
    let (key, text) = &spec::objects(true)[0];
    let output = read(dir.path(), "golden", &["cat", &id, &key.path()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, *text);
}

#[test]
fn the_reader_tells_a_wrong_password_from_damage() {
    assert_eq!(read(&golden_dir(), "olden", &["points"]).status.code(), Some(4));
    let id = recorded()["points"][1]["id"].as_str().unwrap().to_owned();
    let mut harmed = 0;
    for name in golden().into_keys() {
        let dir = firn_tests::scratch();
        for (other, bytes) in golden() {
            let path = dir.path().join(&other);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut bytes = bytes.to_vec();
            if other == name {
                // Far from the padding, which no reader needs.
                let at = if other.starts_with("data/") || other.starts_with("meta/") { 900 } else { bytes.len() / 2 };
                bytes[at] ^= 1;
            }
            std::fs::write(path, bytes).unwrap();
        }
        let output = read(dir.path(), "golden", &["ls", &id]);
        if !name.starts_with("data/") && !output.status.success() {
            assert_eq!(output.status.code(), Some(3), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            harmed += 1;
        }
    }
    println!("reader: {harmed} harmed objects refused");
    // FORMAT, the key, both runs, five entries, and the nodes of the point.
    assert!(harmed >= 11, "{harmed}");
}
