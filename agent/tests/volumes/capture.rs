//! Captures: what a point needs is in it, whatever was taken over from the point before.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use firn_agent::AgentError;

use crate::ground::{Ground, LONG_AFTER, capture, noise, scratch};

const MAP_BYTES: u64 = 64 << 20;

#[test]
fn a_vast_file_that_did_not_change_keeps_its_inner_maps() {
    let dir = scratch();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    // A little in each of so many ranges that the maps need a map of their own.
    let file = std::fs::File::create_new(source.join("disk")).unwrap();
    for range in 0..18 {
        file.write_all_at(&noise(range, 4096), range * MAP_BYTES).unwrap();
    }
    let mut ground = Ground::new();
    ground.back_up(&source, LONG_AFTER);
    file.write_all_at(&noise(99, 4096), 5 * MAP_BYTES).unwrap();
    assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 18 * 4096);
    assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 0);
    let (older, key) = (ground.points[..2].to_vec(), ground.keyring.signing_key().unwrap());
    firn_repo::forget(&mut ground.repository, &ground.keyring, &older, "old", true).unwrap();
    let collected = firn_repo::collect(&mut ground.repository, key).unwrap();
    assert!(collected.objects > 0);
    let target = dir.path().join("target");
    let restored = ground.restore("", &target).unwrap();
    assert_eq!((restored.files, restored.exceptions), (1, 0), "{:?}", restored.named);
    let restored = std::fs::File::open(target.join("disk")).unwrap();
    for range in 0..18 {
        let mut bytes = vec![0; 4096];
        restored.read_exact_at(&mut bytes, range * MAP_BYTES).unwrap();
        assert!(bytes == noise(if range == 5 { 99 } else { range }, 4096), "{range}");
    }
}

#[test]
fn what_a_volume_that_failed_stored_is_whole_for_the_next() {
    run_alone("capture::a_volume_fails_in_the_middle_and_another_goes_on");
}

/// So many that the first leaf of the tree is the same whatever follows.
const NAMES: usize = 5000;

#[test]
#[ignore = "takes descriptors away from the whole process; another test runs it in one of its own"]
fn a_volume_fails_in_the_middle_and_another_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    for number in 0..NAMES {
        std::os::unix::fs::symlink("to", source.join(format!("link{number:05}"))).unwrap();
    }
    let mut deep = source.clone();
    for _ in 0..60 {
        deep.push("z");
        std::fs::create_dir(&deep).unwrap();
    }
    let mut ground = Ground::new();
    let session = ground.session();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let few = rustix::process::Rlimit { current: Some(open + 20), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let failed = capture(session.part(), &source, None, 0);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    assert!(matches!(failed, Err(AgentError::Volume { .. })), "{failed:?}");
    let captured = capture(session.part(), &source, None, 0).unwrap();
    ground.commit(session, captured.root.id).unwrap();
    let restored = ground.restore("", &dir.path().join("target")).unwrap();
    assert_eq!(restored.exceptions, 0, "{:?}", restored.named);
    assert_eq!(std::fs::read_dir(dir.path().join("target")).unwrap().count(), NAMES + 1);
}

/// Runs an ignored test in a process of its own.
fn run_alone(name: &str) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--ignored", "--exact", name]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Writes each line it is given to the start of a file that it has mapped, and answers.
const MAPPED_WRITER: &str = "
import mmap, sys
file = open(sys.argv[1], 'r+b')
mapped = mmap.mmap(file.fileno(), 0)
for line in sys.stdin:
    mapped[0:8] = line.strip().encode()
    print(flush=True)
";

#[test]
fn what_is_written_through_a_mapping_is_seen_by_the_next_capture() {
    let dir = scratch();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let path = source.join("0001.index");
    std::fs::write(&path, vec![0; 4 << 20]).unwrap();
    std::fs::File::open(&path).unwrap().sync_all().unwrap();
    let mut writer = std::process::Command::new("python3")
        .args(["-c", MAPPED_WRITER])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = writer.stdin.take().unwrap();
    let mut answers = BufReader::new(writer.stdout.take().unwrap());
    let mut write = |text: &str| {
        writeln!(lines, "{text}").unwrap();
        answers.read_line(&mut String::new()).unwrap();
    };
    let mut ground = Ground::new();
    for text in ["AAAAAAAA", "BBBBBBBB", "CCCCCCCC"] {
        write(text);
        assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 4 << 20, "{text}");
    }
    assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 0, "unchanged");
    let target = dir.path().join("target");
    ground.restore("", &target).unwrap();
    assert_eq!(&std::fs::read(target.join("0001.index")).unwrap()[..8], b"CCCCCCCC");
    drop(lines);
    writer.wait().unwrap();
}

#[test]
fn times_are_not_believed_in_a_file_system_in_memory() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    std::fs::write(dir.path().join("file"), noise(1, 5000)).unwrap();
    let mut ground = Ground::new();
    for _ in 0..2 {
        assert_eq!(ground.back_up(dir.path(), LONG_AFTER).bytes_read, 5000);
    }
}

#[test]
fn attributes_that_were_not_all_read_are_read_again() {
    let dir = scratch();
    let source = dir.path().join("source");
    std::fs::create_dir_all(source.join("dir")).unwrap();
    std::fs::write(source.join("file"), "content").unwrap();
    for name in ["dir", "file"] {
        rustix::fs::setxattr(source.join(name), "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    }
    let mut ground = Ground::new();
    ground.back_up(&source, LONG_AFTER);
    let whole = ground.entries();
    assert!(whole[1..].iter().all(|entry| entry.xattrs.len() == 1), "{whole:?}");
    let mut lacking = whole.clone();
    for entry in &mut lacking {
        entry.xattrs.clear();
        entry.flags.attributes_incomplete = true;
    }
    ground.commit_entries(&lacking);
    assert_eq!(ground.back_up(&source, LONG_AFTER).bytes_read, 0);
    assert_eq!(ground.entries(), whole);
}

#[test]
fn a_file_whose_first_bytes_cannot_be_read_is_an_exception() {
    let dir = scratch();
    let (good, image, mounted) = (dir.path().join("good"), dir.path().join("image"), dir.path().join("mounted"));
    std::fs::write(&good, noise(1, 2 << 20)).unwrap();
    std::fs::create_dir(&mounted).unwrap();
    let run = |program: &str, args: &[&str]| {
        let output = std::process::Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
    };
    let [good, image, at] = [&good, &image, &mounted].map(|path| path.to_str().unwrap());
    // The first block of the file is the last of the device, which then ends before it.
    run("mkfs.ext4", &["-q", "-b", "4096", "-O", "^extent,^64bit,^has_journal", image, "16M"]);
    for command in [&format!("write {good} bad"), &format!("write {good} good"), "sif bad block[0] 4095"] {
        run("debugfs", &["-w", "-R", command, image]);
    }
    run("mount", &["-o", "loop,ro", image, at]);
    std::fs::File::options().write(true).open(image).unwrap().set_len((16 << 20) - 4096).unwrap();
    let mut ground = Ground::new();
    let session = ground.session();
    let captured = capture(session.part(), &mounted, None, 0);
    let first = std::fs::File::open(mounted.join("bad")).unwrap().read_at(&mut [0; 64], 0);
    run("umount", &[at]);
    assert!(first.is_err(), "the device has that block");
    let captured = captured.unwrap();
    assert_eq!(captured.exceptions, 1, "{:?}", captured.named);
    assert_eq!((&*captured.named[0].path, &*captured.named[0].reason), ("bad", "unreadable"));
    ground.commit(session, captured.root.id).unwrap();
    let target = dir.path().join("target");
    let restored = ground.restore("", &target).unwrap();
    assert_eq!((restored.files, restored.exceptions), (1, 1), "{:?}", restored.named);
    assert!(std::fs::read(target.join("good")).unwrap() == noise(1, 2 << 20));
}

#[test]
fn a_disk_is_known_by_the_last_byte_that_tells() {
    let dir = scratch();
    let mut disk = noise(1, 2 << 20);
    disk[0x40..0x44].copy_from_slice(b"\x7f\x10\xda\xbe");
    std::fs::write(dir.path().join("disk"), disk).unwrap();
    let mut ground = Ground::new();
    ground.back_up(dir.path(), LONG_AFTER);
    assert_eq!(ground.entries()[1].chunker, Some(firn_format::chunk::Rule::Grid));
}
