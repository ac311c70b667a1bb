//! Forest: source trees with files of all kinds, and random changes of them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags, mkfifoat, setxattr, utimensat};

use crate::dice::Dice;

/// How large a tree is.
#[derive(Debug, Clone, Copy)]
pub struct Forest {
    /// Small files, which share bundles.
    pub small_files: u64,
    /// Bytes of one large file that nothing compresses.
    pub large_bytes: usize,
}

impl Forest {
    /// About 3 MiB: a little of everything.
    pub const SMALL: Self = Self { small_files: 120, large_bytes: 400_000 };
    /// About 60 MiB: several packs for each of two lanes.
    pub const PACKS: Self = Self { small_files: 300, large_bytes: 28 << 20 };
}

/// Makes a tree of every kind of file that comes back from a restore, with every way of cutting. Needs root.
pub fn plant(dir: &Path, dice: &mut Dice, forest: Forest) {
    fs::create_dir_all(dir.join("small/deeper")).unwrap();
    for n in 0..forest.small_files {
        let len = [0, 1, 37, 4095, 4096, 4097, 20_000, 128 << 10][dice.index(8)];
        let len = if len > 4097 && n > 20 { dice.index(3000) } else { len };
        let content = if n % 2 == 0 { dice.bytes(len) } else { dice.text(len) };
        let folder = if n % 3 == 0 { "small/deeper" } else { "small" };
        fs::write(dir.join(folder).join(format!("file-{n}")), content).unwrap();
    }
    let one_more_than_bundled = dice.bytes((128 << 10) + 1);
    fs::write(dir.join("not-bundled"), one_more_than_bundled).unwrap();
    fs::write(dir.join("large"), dice.bytes(forest.large_bytes)).unwrap();
    fs::write(dir.join("large-too"), dice.bytes(forest.large_bytes + 4099)).unwrap();
    fs::write(dir.join("text.log"), dice.text(700_000)).unwrap();
    fs::write(dir.join("rewritten.db"), dice.bytes((1 << 20) + 777)).unwrap();
    sparse(dir, dice);
    links(dir);
    names(dir);
    properties(dir);
    times(dir, dice);
}

fn sparse(dir: &Path, dice: &mut Dice) {
    let file = File::create(dir.join("holes")).unwrap();
    for n in 0..40 {
        file.write_all_at(&dice.bytes(4096), n * 65_536 + 8192).unwrap();
    }
    file.set_len(41 * 65_536).unwrap();
    File::create(dir.join("one-hole")).unwrap().set_len(200 << 20).unwrap();
    let far = File::create(dir.join("far.img")).unwrap();
    far.write_all_at(b"far away", 3 << 30).unwrap();
}

fn links(dir: &Path) {
    symlink("large", dir.join("link")).unwrap();
    symlink("/nowhere/at/all", dir.join("dangling")).unwrap();
    symlink("../outside", dir.join("small/up")).unwrap();
    fs::hard_link(dir.join("not-bundled"), dir.join("small/another-name")).unwrap();
    fs::hard_link(dir.join("small/file-1"), dir.join("zz-hard")).unwrap();
    mkfifoat(CWD, dir.join("fifo"), Mode::from_raw_mode(0o640)).unwrap();
}

fn names(dir: &Path) {
    let odd: [&[u8]; 5] = [b"not utf-8 \xff\xfe", b"new\nline", b"-rf *", b"\x1b[31mred", "größe".as_bytes()];
    for name in odd {
        fs::write(dir.join("small").join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(dir.join("x".repeat(255)), b"a long name").unwrap();
    let mut deep = dir.join("deep");
    for n in 0..40 {
        deep.push(format!("level-{n}"));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), b"bottom").unwrap();
    fs::create_dir(dir.join("empty")).unwrap();
}

fn properties(dir: &Path) {
    let mode = |name: &str, mode| fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    chown(dir.join("large-too"), Some(1000), Some(1001)).unwrap();
    chown(dir.join("small"), Some(70), Some(80)).unwrap();
    mode("large", 0o000);
    mode("empty", 0o1777);
    mode("text.log", 0o4755);
    mode("rewritten.db", 0o600);
    let attribute = |name: &str, attribute: &str, value: &[u8]| {
        setxattr(dir.join(name), attribute, value, XattrFlags::empty()).unwrap();
    };
    attribute("text.log", "user.note", b"a note\0with a zero");
    attribute("empty", "user.empty", b"");
    attribute("small/file-2", "user.long", &[7; 3000]);
    // user::rw- user:1000:r-- group::r-- mask::rw- other::r--
    let acl: Vec<u8> =
        [(1_u16, 6_u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 4, u32::MAX)]
            .iter()
            .flat_map(|(tag, perm, id)| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat())
            .collect();
    attribute("not-bundled", "system.posix_acl_access", &[&2_u32.to_le_bytes()[..], &acl].concat());
    // cap_net_bind_service, permitted and effective.
    let capability = [0x0200_0001_u32, 1 << 10, 0, 0, 0].map(u32::to_le_bytes).concat();
    attribute("small/file-4", "security.capability", &capability);
}

fn times(dir: &Path, dice: &mut Dice) {
    for path in entries(dir) {
        set_time(&path, 1_600_000_000 + dice.below(100_000_000) as i64, dice.below(1_000_000_000) as i64);
    }
    set_time(&dir.join("one-hole"), -1, 999_999_999);
    set_time(&dir.join("link"), 5, 1);
    set_time(&dir.join("fifo"), 4_200_000_000, 7);
    set_time(&dir.join("empty"), 1, 0);
    set_time(&dir.join("small"), 1_500_000_000, 123_456_789);
    set_time(dir, 1_400_000_000, 1);
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Everything below `dir`, sorted.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            out.push(entry.path());
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
        }
    }
    out.sort();
    out
}

/// Regular files below `dir`, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    entries(dir).into_iter().filter(|path| path.symlink_metadata().unwrap().is_file()).collect()
}

/// Makes one random change somewhere below `dir`.
pub fn change(dir: &Path, dice: &mut Dice) {
    let files = files(dir);
    let fresh = dir.join(format!("new-{:x}", dice.roll()));
    if files.is_empty() || dice.below(4) == 0 {
        return grow(&fresh, dice);
    }
    let path = &files[dice.index(files.len())];
    let size = path.symlink_metadata().unwrap().len();
    match dice.below(10) {
        0 => fs::remove_file(path).unwrap(),
        1 => {
            let at = dice.below(size.min(1 << 20) + 1);
            let len = 1 + dice.index(5000);
            File::options().write(true).open(path).unwrap().write_all_at(&dice.bytes(len), at).unwrap();
        }
        2 => File::options().write(true).open(path).unwrap().set_len(size / 2).unwrap(),
        3 => File::options().write(true).open(path).unwrap().set_len(size + 1 + dice.below(100_000)).unwrap(),
        4 => fs::set_permissions(path, fs::Permissions::from_mode(0o400 | dice.below(0o100) as u32)).unwrap(),
        5 => set_time(path, dice.below(2_000_000_000) as i64, dice.below(1_000_000_000) as i64),
        6 => fs::rename(path, &fresh).unwrap(),
        7 => fs::hard_link(path, &fresh).unwrap(),
        8 => symlink(path.file_name().unwrap(), &fresh).unwrap(),
        _ => setxattr(path, "user.changed", &dice.roll().to_le_bytes(), XattrFlags::empty()).unwrap(),
    }
}

/// Something new at `path`.
fn grow(path: &Path, dice: &mut Dice) {
    let len = [10, 5000, 100_000, 150_000, 400_000][dice.index(5)];
    match dice.below(5) {
        0 => {
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), dice.bytes(len)).unwrap();
        }
        1 => fs::write(path.with_extension("db"), dice.bytes((1 << 20) + len)).unwrap(),
        2 => {
            let file = File::create(path).unwrap();
            for n in 0..dice.below(30) {
                file.write_all_at(&dice.bytes(4096), n * 12_288).unwrap();
            }
            file.set_len(30 * 12_288).unwrap();
        }
        3 => fs::write(path, dice.text(len)).unwrap(),
        _ => fs::write(path, dice.bytes(len)).unwrap(),
    }
}
