//! One folder, many processes: writers of the same and of other bytes, readers, and collectors that
//! want everything. Nobody gets an error or wrong bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command};

use super::*;

/// A test starts its own binary again for that one test: with these it is not the test but a process
/// of it. The store's folder, and what is done there.
const FOLDER: &str = "ASSAY_TEST_STORE";
const ROLE: &str = "ASSAY_TEST_ROLE";

/// How many blobs are written and read.
const BLOBS: u8 = 12;

fn bytes(number: u8) -> Vec<u8> {
    vec![number; 20_000 + usize::from(number)]
}

/// What this process is to do, if it is not the test itself.
fn role() -> Option<(PathBuf, String)> {
    let folder = std::env::var_os(FOLDER)?;
    Some((folder.into(), std::env::var(ROLE).expect("a role")))
}

/// A command, or one behind `before`, that runs this test alone as a process of it.
fn process(before: &[&str], test: &str, role: &str, folder: &Path) -> Command {
    let binary = std::env::current_exe().expect("this test's binary");
    let mut command = match before {
        [] => Command::new(binary),
        [program, words @ ..] => {
            let mut command = Command::new(program);
            command.args(words).arg(binary);
            command
        }
    };
    command
        .args(["--exact", "--nocapture"])
        .arg(format!("store::parallel_tests::{test}"))
        .env(FOLDER, folder)
        .env(ROLE, role);
    command
}

#[test]
fn writers_readers_and_collectors_share_a_folder() {
    if let Some((folder, role)) = role() {
        return one_process_of_many(folder, &role);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    // What nobody collects, for its age does not count: it must survive all of this.
    let root = store.put_bytes(b"a root").expect("stored");
    let roles = ["write", "write", "read", "damage", "collect", "collect"];
    let start = |role: &&str| -> Child {
        let test = "writers_readers_and_collectors_share_a_folder";
        let mut command = process(&[], test, role, folder.path());
        command.spawn().expect("a process")
    };
    let mut processes: Vec<Child> = roles.iter().map(start).collect();
    for (process, role) in processes.iter_mut().zip(roles) {
        assert!(process.wait().expect("it ends").success(), "{role}");
    }
    assert_eq!(signed(folder.path()), roles.len());
    assert_eq!(
        store.get(&root.digest).expect("readable"),
        Some(b"a root".to_vec())
    );
    assert_eq!(
        fs::read_dir(store.temporary()).expect("readable").count(),
        0,
        "nothing half-written stays"
    );
    for number in 0..BLOBS {
        let blob = store.put_bytes(&bytes(number)).expect("stored");
        assert_eq!(store.get(&blob.digest).expect("there"), Some(bytes(number)));
    }
}

/// Tells the test that it was this process, and not a run of no test at all.
fn sign(folder: &Path, role: &str) {
    fs::write(folder.join(format!("{role}-{}", std::process::id())), "").expect("signed");
}

fn signed(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("readable");
    let files = entries.filter(|entry| entry.as_ref().is_ok_and(|one| one.path().is_file()));
    files.count()
}

fn one_process_of_many(folder: PathBuf, role: &str) {
    let store = Store::open(&folder).expect("the shared store");
    let until = Instant::now() + Duration::from_millis(1500);
    let roots = BTreeSet::from([Digest::of(b"a root")]);
    let (mut rounds, mut found) = (0_u32, 0_u32);
    while Instant::now() < until {
        for number in 0..BLOBS {
            let (bytes, digest) = (bytes(number), Digest::of(&bytes(number)));
            match role {
                "write" => assert_eq!(store.put_bytes(&bytes).expect("stored").digest, digest),
                "read" => {
                    let blob = store.path(&digest).expect("bytes or nothing");
                    let read = store.get(&digest).expect("bytes or nothing");
                    assert!(read.as_ref().is_none_or(|read| *read == bytes));
                    found += u32::from(read.is_some() || blob.is_some());
                }
                "damage" => {
                    let name = store.name_of(&digest);
                    let other = store.temporary().join(format!("damage-{number}"));
                    fs::write(&other, "damaged").expect("written");
                    // It stands for a bad disk: whether it finds a folder is no matter.
                    if fs::rename(&other, name).is_err() {
                        fs::remove_file(&other).expect("removed");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                "collect" => {
                    let everything = Pruning {
                        roots: &roots,
                        older_than: Duration::ZERO,
                        now: SystemTime::now(),
                        dry_run: false,
                    };
                    let pruned = store.prune(&everything).expect("collected");
                    let kept: Vec<_> = pruned.iter().filter_map(|one| one.kept.as_ref()).collect();
                    assert_eq!(kept, [] as [&String; 0]);
                }
                other => panic!("{other}"),
            }
        }
        rounds += 1;
    }
    assert!(rounds > 0, "it has done something");
    assert!(
        role != "read" || found > 0,
        "the reader has found something"
    );
    sign(&folder, role);
}

/// `ulimit -f` counts in blocks of 512 bytes; the signal that comes with it is ignored, as a disk that
/// is full sends none.
const SMALL_DISK: &str = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";

#[test]
fn a_disk_that_fills_is_named_with_what_to_do_and_loses_nothing() {
    if let Some((folder, role)) = role() {
        return one_process_on_a_small_disk(folder, &role);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let blob = store.put_bytes(b"hello").expect("stored");
    let test = "a_disk_that_fills_is_named_with_what_to_do_and_loses_nothing";
    let ended = process(&["sh", "-c", SMALL_DISK], test, "fill", folder.path()).status();
    assert!(ended.expect("sh(1)").success());
    assert_eq!(signed(folder.path()), 1);
    let kept = store.get(&blob.digest).expect("readable");
    assert_eq!(kept, Some(b"hello".to_vec()));
    assert_eq!(store.list().expect("listed").len(), 1);
}

fn one_process_on_a_small_disk(folder: PathBuf, role: &str) {
    let store = Store::open(&folder).expect("the store");
    let error = store.put_bytes(&vec![7; 1 << 20]).expect_err("too much");
    let said = error.to_string();
    assert!(said.starts_with("cannot write `"), "{said}");
    let hint = error.hint().expect("what to do");
    assert!(hint.contains("assay store prune"), "{hint}");
    store.put_bytes(b"small").expect("what fits is stored");
    store.get(&Digest::of(b"hello")).expect("readable");
    fs::remove_file(store.name_of(&Digest::of(b"small"))).expect("removed");
    sign(&folder, role);
}

#[test]
fn a_blob_that_is_used_while_a_collector_looks_at_it_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let blob = store.put_bytes(b"hello").expect("stored");
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    let age = |to: SystemTime| {
        let file = File::open(&blob.path).expect("there");
        file.set_modified(to).expect("dated");
    };
    let none = BTreeSet::new();
    let pruning = Pruning {
        roots: &none,
        older_than: Duration::from_secs(1000),
        now: SystemTime::now(),
        dry_run: false,
    };
    // A reader holds the folder's lock while it opens the blob: the collector, which has seen that it
    // is old, waits, and then sees that it is not.
    age(long_ago);
    let reader = store.lock_together().expect("a lock");
    let collecting = std::thread::scope(|scope| {
        let collector = scope.spawn(|| store.prune(&pruning));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!collector.is_finished(), "it waits for the reader");
        age(SystemTime::now());
        drop(reader);
        collector.join().expect("it ends")
    });
    assert_eq!(collecting.expect("collected"), []);
    assert!(store.contains(&blob.digest));
    age(long_ago);
    assert_eq!(store.prune(&pruning).expect("collected").len(), 1);
    assert!(!store.contains(&blob.digest));
}
