//! The images that every node has: one to work with, and the one that holds a pod together.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::machine;
use super::state::make_dir;
use crate::image::{Image, Tree};

/// A shell with the usual small programs.
pub(crate) const BUSYBOX: &str = "firn.invalid/busybox:1";

/// The container that a pod's others share their namespaces with.
pub(crate) const PAUSE: &str = "firn.invalid/pause:1";

/// As long as sleep can.
const FOR_EVER: &str = "2147483647";

/// Makes both archives in a folder.
pub(crate) fn pack(dir: &Path) -> Result<Vec<PathBuf>> {
    make_dir(dir)?;
    let busybox = Image { name: BUSYBOX, entrypoint: vec!["/bin/sh".to_owned()], tree: busybox()? };
    let sleep = ["/bin/busybox", "sleep", FOR_EVER].map(str::to_owned);
    let mut tree = Tree::default();
    tree.program(Path::new("/bin/busybox"), &machine::needed("busybox")?)?;
    let pause = Image { name: PAUSE, entrypoint: sleep.to_vec(), tree };
    let archives = vec![dir.join("busybox.tar"), dir.join("pause.tar")];
    for (image, archive) in [busybox, pause].iter().zip(&archives) {
        image.pack(archive)?;
    }
    Ok(archives)
}

/// Busybox under each of its names, and a place to write.
pub(crate) fn busybox() -> Result<Tree> {
    let program = machine::needed("busybox")?;
    let mut tree = Tree::default();
    let output = Command::new(&program).arg("--list").output().context("start busybox")?;
    let names = String::from_utf8(output.stdout).context("busybox has names that are no text")?;
    for name in names.lines() {
        tree.link(&Path::new("/bin").join(name), Path::new("/bin/busybox"))?;
    }
    ensure!(names.lines().any(|name| name == "sh"), "{} has no shell", program.display());
    // After the links: busybox lists itself, too.
    tree.program(Path::new("/bin/busybox"), &program)?;
    tree.open_folder(Path::new("/tmp"))?;
    Ok(tree)
}
