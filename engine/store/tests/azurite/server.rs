//! An Azurite of one's own: the Azure Blob emulator on a free loopback port, ended when dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use aws_lc_rs::hmac;
use firn_store::AzureStore;

/// Storage accounts of the emulator; two, as two regions have.
pub(crate) const ACCOUNTS: [&str; 2] = ["east", "west"];
/// The key of both accounts. It opens nothing but this process's emulator.
const KEY: [u8; 32] = *b"firn test key, opens no real one";

/// A running emulator.
pub(crate) struct Azurite {
    child: Child,
    port: u16,
}

impl Azurite {
    /// Starts one with empty accounts.
    pub(crate) fn start() -> Self {
        let program = program();
        assert!(
            program.exists(),
            "Azurite is missing: no {}. `cargo xtask test` installs it; FIRN_AZURITE names another folder",
            program.display()
        );
        let accounts = ACCOUNTS.map(|account| format!("{account}:{}", account_key()));
        let mut child = Command::new(program)
            .args(["--inMemoryPersistence", "--disableTelemetry", "--silent"])
            .args(["--blobHost", "127.0.0.1", "--blobPort", "0"])
            .env("AZURITE_ACCOUNTS", accounts.join(";"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Azurite starts (it needs Node)");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.rsplit_once("listens on http://127.0.0.1:")?.1.trim().parse().ok());
        // Keep reading, or the emulator stops when the pipe is full.
        thread::spawn(move || lines.for_each(drop));
        let port = port.expect("Azurite says where it listens");
        Self { child, port }
    }

    /// What `AZURE_STORAGE_ENDPOINT` takes.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The store of that URL, held by this emulator.
    pub(crate) fn store(&self, url: &str) -> AzureStore {
        AzureStore::with_account_key(url, &self.endpoint(), &account_key()).unwrap()
    }

    /// Makes a container, for which neither the engine nor its client library has a verb.
    pub(crate) fn create_container(&self, account: &str, container: &str) {
        let date =
            jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap();
        let version = "2021-12-02";
        let path = format!("/{account}/{container}");
        let to_sign = format!(
            "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n/{account}{path}\nrestype:container"
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
        let signature = base64(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        let request = format!(
            "PUT {path}?restype=container HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nx-ms-date: {date}\r\n\
             x-ms-version: {version}\r\nAuthorization: SharedKey {account}:{signature}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `AZURE_STORAGE_ACCOUNT_KEY` takes, for both accounts.
pub(crate) fn account_key() -> String {
    base64(&KEY)
}

/// The emulator's program, below `FIRN_AZURITE` or the user's cache.
fn program() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    folder("FIRN_AZURITE")
        .or_else(|| Some(cache()?.join("firn/azurite")))
        .unwrap_or_default()
        .join("node_modules/.bin/azurite-blob")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, index| word << 8 | u32::from(*chunk.get(index).unwrap_or(&0)));
        for index in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
            text.push(if index > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}
