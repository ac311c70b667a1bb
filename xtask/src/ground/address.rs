//! An address of the loopback device, for as long as a node runs: what is sent to it never leaves the machine.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Whether some device of this machine has the address.
pub(crate) fn is_here(address: Ipv4Addr) -> bool {
    // Only an address of this machine can be listened on.
    TcpListener::bind((address, 0)).is_ok()
}

/// Gives the address to the loopback device, unless it is there.
pub(crate) fn add(address: Ipv4Addr) -> Result<()> {
    if is_here(address) { Ok(()) } else { change("add", address) }
}

/// Takes the address away, if it is there.
pub(crate) fn remove(address: Ipv4Addr) -> Result<()> {
    if is_here(address) { change("del", address) } else { Ok(()) }
}

fn change(verb: &str, address: Ipv4Addr) -> Result<()> {
    let output = Command::new("busybox")
        // Of scope host: it is never the sender of what leaves the machine.
        .args(["ip", "addr", verb, &format!("{address}/32"), "dev", "lo", "scope", "host"])
        .output()
        .context("start busybox ip")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ip addr {verb} {address}/32 dev lo: {}", said.trim());
    }
    Ok(())
}
