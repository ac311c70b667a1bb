//! Walks a directory a few times and prints entries a second: `walk_rate DIR [ROUNDS]`.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use firn_format::tree::EntryKind;
use firn_volume::{Seen, Source, VolumeError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let root = args.next().ok_or("usage: walk_rate DIR [ROUNDS]")?;
    let rounds = args.next().and_then(|text| text.to_str()?.parse().ok()).unwrap_or(5);
    let mut out = std::io::stdout().lock();
    for _ in 0..rounds {
        let start = Instant::now();
        let (entries, exceptions) = walk(Path::new(&root))?;
        let seconds = start.elapsed().as_secs_f64();
        writeln!(
            out,
            "walk: {entries} entries, {exceptions} exceptions, {seconds:.3} s, {:.0}/s",
            entries as f64 / seconds
        )?;
    }
    let start = Instant::now();
    let (files, bytes) = read(Path::new(&root))?;
    let seconds = start.elapsed().as_secs_f64();
    writeln!(
        out,
        "walk, attributes and content: {files} files, {bytes} bytes, {seconds:.3} s, {:.0}/s",
        files as f64 / seconds
    )?;
    Ok(())
}

fn walk(root: &Path) -> Result<(u64, u64), VolumeError> {
    let (mut entries, mut exceptions) = (0, 0);
    for seen in Source::open(root)?.walk() {
        match seen? {
            Seen::Found(_) => entries += 1,
            Seen::Exception(_) => exceptions += 1,
        }
    }
    Ok((entries, exceptions))
}

fn read(root: &Path) -> Result<(u64, u64), VolumeError> {
    let source = Source::open(root)?;
    let (mut files, mut bytes, mut buffer) = (0, 0, vec![0; 1 << 20]);
    for seen in source.walk() {
        let Seen::Found(found) = seen? else { continue };
        if found.entry.kind == EntryKind::File {
            let reader = source.open_file(&found)?;
            reader.xattrs()?;
            for extent in reader.extents() {
                let extent = extent?;
                let mut at = extent.offset;
                while !extent.hole && at < extent.offset + extent.len {
                    let len = reader.read_at(&mut buffer, at)? as u64;
                    if len == 0 {
                        break;
                    }
                    at += len;
                    bytes += len;
                }
            }
            reader.finish()?;
            files += 1;
        } else {
            source.read_xattrs(&found)?;
        }
    }
    Ok((files, bytes))
}
