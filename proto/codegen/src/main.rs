//! Makes `proto/src/generated` from `proto/firn.proto`; with `--check`, says whether it is fresh.
#![expect(clippy::print_stdout, reason = "a workshop tool: its terminal is its only output")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use protox::Compiler;

mod shapes;

/// What is made. Each text ends with a newline.
struct Made {
    name: &'static str,
    text: String,
}

fn main() -> Result<()> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("{other}: unknown; the only option is --check"),
    };
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = proto.join("src/generated");
    let mut stale = Vec::new();
    for made in make(&proto)? {
        let path = folder.join(made.name);
        if check {
            if fs::read_to_string(&path).ok().as_ref() != Some(&made.text) {
                stale.push(made.name);
            }
            continue;
        }
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        fs::write(&path, &made.text).with_context(|| format!("write {}", path.display()))?;
    }
    if !stale.is_empty() {
        bail!("proto/src/generated/{{{}}} is not what firn.proto says; run `cargo xtask proto`", stale.join(","));
    }
    println!("proto: {}", if check { "what is checked in is fresh" } else { "made" });
    Ok(())
}

fn make(proto: &Path) -> Result<[Made; 2]> {
    let mut compiler = Compiler::new([proto])?;
    compiler.include_source_info(true).include_imports(true).open_file("firn.proto")?;
    let messages = messages(&compiler)?;
    let shapes = shapes::text(&compiler.descriptor_pool())?;
    Ok([Made { name: "messages.rs", text: messages }, Made { name: "shapes.rs", text: shapes }])
}

fn messages(compiler: &Compiler) -> Result<String> {
    let folder = Folder::new()?;
    let mut descriptors = compiler.file_descriptor_set();
    // The package of the options is for this program alone.
    descriptors.file.retain(|file| file.package() == shapes::PACKAGE);
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::BoundedCodec")
        .extern_path(".firn.v1.Secret", "crate::secret::Secret")
        // Far larger than what else may stand in their place.
        .boxed(".firn.v1.Assign.task")
        .boxed(".firn.v1.Finished.outcome.contribution")
        .emit_rerun_if_changed(false)
        .out_dir(&folder.0)
        .compile_fds(descriptors)?;
    let text = fs::read_to_string(folder.0.join("firn.v1.rs")).context("read what was generated")?;
    Ok(format!("// Made from firn.proto by `cargo xtask proto`.\n{}", text.trim_start()))
}

/// A folder for what the generator can only write to files.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("firn-codegen-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in a temporary folder does no harm.
        let _cleaned = fs::remove_dir_all(&self.0);
    }
}
