//! Asks the application's web server, as a browser would.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Fetches a file; its bytes.
pub(super) fn get(address: Ipv4Addr, port: u16, path: &Path) -> Result<Vec<u8>> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const ANSWER_BYTES_MAX: u64 = 1 << 20; // More than any picture has.
    let asked = || -> std::io::Result<Vec<u8>> {
        let mut connection = TcpStream::connect_timeout(&(address, port).into(), PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        write!(connection, "GET /{} HTTP/1.0\r\nHost: shop.example.com\r\n\r\n", path.display())?;
        let mut answer = Vec::new();
        connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = asked().with_context(|| format!("GET http://{address}:{port}/{}", path.display()))?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without a body")?;
    let (head, body) = answer.split_at(end);
    let status = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    ensure!(status.split(' ').nth(1) == Some("200"), "GET {}: {status}", path.display());
    Ok(body.get(4..).unwrap_or_default().to_vec())
}
