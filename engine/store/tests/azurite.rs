//! `az://` against Azurite. The emulator must be there: a run without it fails, it does not pass.

#[cfg(test)]
#[path = "azurite/server.rs"]
mod server;

use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use firn_store::conformance::{self, Scale};
use firn_store::{AzureStore, Kind, Put, Store, open, probe_create_race};
use server::{ACCOUNTS, Azurite, account_key};

#[test]
fn the_contract_is_kept() {
    let azurite = Azurite::start();
    azurite.create_container("east", "firn");
    let count = Cell::new(0);
    let fresh = || -> Arc<dyn Store> {
        count.set(count.get() + 1);
        Arc::new(azurite.store(&format!("az://east/firn/run/{}", count.get())))
    };
    // More objects than the 5 000 of one page.
    let scale = Scale { objects: 5_100, ..Scale::default() };
    match conformance::run(&fresh, scale) {
        Ok(passed) => assert_eq!(passed.len(), 10),
        Err(violation) => panic!("{violation}: {:?}", violation.source),
    }
}

#[test]
fn accounts_containers_and_prefixes_are_apart() {
    let azurite = Azurite::start();
    for account in ACCOUNTS {
        azurite.create_container(account, "firn");
    }
    let urls = ["az://east/firn", "az://west/firn", "az://west/firn/a", "az://west/firn/a/b"];
    for url in urls {
        let put = azurite.store(url).put_new("FORMAT", Bytes::from_static(url.as_bytes()));
        assert_eq!(put.unwrap(), Put::Created, "{url}");
    }
    for url in urls {
        assert_eq!(azurite.store(url).get("FORMAT", 100).unwrap(), url);
        assert_eq!(azurite.store(url).describe(), url);
    }
}

#[test]
fn refusals_are_typed_and_keep_the_key() {
    let azurite = Azurite::start();
    azurite.create_container("east", "firn");
    let wrong_key = "d3Jvbmcga2V5";
    let wrong = AzureStore::with_account_key("az://east/firn", &azurite.endpoint(), wrong_key).unwrap();
    for (store, kind) in [(wrong, Kind::PermissionDenied), (azurite.store("az://east/missing"), Kind::NotFound)] {
        let put = store.put_new("a", Bytes::new()).unwrap_err();
        let get = store.get("a", 1).unwrap_err();
        let list = store.list("", None, &mut |_| std::ops::ControlFlow::Continue(())).unwrap_err();
        for error in [put, get, list] {
            assert_eq!(error.kind, kind, "{error}");
            let text = format!("{error:?}");
            assert!(!text.contains(wrong_key) && !text.contains(&account_key()), "{text}");
        }
        assert_eq!(probe_create_race(&store).unwrap_err().kind, kind);
    }
}

#[test]
fn calls_work_inside_other_runtimes() {
    let azurite = Azurite::start();
    azurite.create_container("east", "firn");
    let store = azurite.store("az://east/firn");
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for (name, runtime) in [("a", current), ("b", many)] {
        let put = runtime.block_on(async { store.put_new(name, Bytes::from_static(b"x")) });
        assert_eq!(put.unwrap(), Put::Created);
        assert_eq!(runtime.block_on(async { store.get(name, 1) }).unwrap(), "x");
    }
}

/// Runs in a process of its own, below, because the environment is the process's.
#[test]
#[ignore = "started by `the_environment_names_key_and_endpoint`"]
fn opens_from_the_environment() {
    let store = open("az://west/firn/env").unwrap();
    assert_eq!(store.put_new("a", Bytes::new()).unwrap(), Put::Created);
}

#[test]
fn the_environment_names_key_and_endpoint() {
    let azurite = Azurite::start();
    azurite.create_container("west", "firn");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opens_from_the_environment", "--ignored"])
        .env("AZURE_STORAGE_ENDPOINT", azurite.endpoint())
        .env("AZURE_STORAGE_ACCOUNT_KEY", account_key())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(azurite.store("az://west/firn").head("env/a").is_ok());
}
