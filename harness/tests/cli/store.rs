//! `store`: listing, verifying and pruning what was fetched, and folders that cannot be one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use assay_content::store::{Blob, Store};

use crate::env::{Said, TestEnv};

fn folder(env: &TestEnv) -> PathBuf {
    env.path("../cache/assay/content")
}

fn put(env: &TestEnv, bytes: &[u8], days: u32) -> Blob {
    let store = Store::open(folder(env)).expect("a store");
    let blob = store.put_bytes(bytes).expect("stored");
    let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let used = used - days * Duration::from_secs(24 * 3600);
    let file = File::open(&blob.path).expect("there");
    file.set_modified(used).expect("dated");
    blob
}

/// A recipe that names a sha256 and is otherwise wrong in every way.
fn names(blob: &Blob) -> String {
    format!("nonsense = \"{}\"\n[[", blob.digest)
}

/// Overwrites a blob as a bad disk would.
fn damage(blob: &Blob) {
    fs::remove_file(&blob.path).expect("removed");
    fs::write(&blob.path, "hellO").expect("written");
}

#[test]
fn what_nobody_names_or_uses_goes() {
    let env = TestEnv::project();
    insta::assert_snapshot!("empty", env.run("store list").whole());
    let named = put(&env, b"named by a recipe", 0);
    let locked = put(&env, b"named by the lock", 0);
    let nobodys = put(&env, b"named by nobody", 0);
    env.write("recipes/broken.toml", names(&named));
    let entry =
        |digest| format!("{{ url = \"https://a.test/x\", sha256 = \"{digest}\", size = 18 }}");
    let lock = |text: &str| format!("version = 1\nanswers = [\n  {text}\n]\n");
    // What is named is not known as long as the lock cannot be read: then nothing goes.
    env.write(
        "assay.lock",
        lock(&format!("<<<<<<<\n{},", entry(&locked.digest))),
    );
    assert_eq!(env.run("store prune --older-than 0m").code, Some(2));
    assert!(nobodys.path.exists() && locked.path.exists());
    env.write("assay.lock", lock(&entry(&locked.digest)));
    insta::assert_snapshot!("list", env.run("store list").whole());
    let list = env.run("store list --format json").json();
    assert_eq!(list["bytes"], 49);
    insta::assert_snapshot!("dry-run", env.run("store prune --dry-run").whole());
    assert!(nobodys.path.exists());
    let pruned = env.run("store prune --format json").json();
    assert_eq!(pruned["needed"], 2);
    assert_eq!(
        pruned["items"][0]["sha256"].as_str(),
        Some(nobodys.digest.to_string().as_str())
    );
    assert_eq!(pruned["items"].as_array().map(Vec::len), Some(1));
    assert!(!nobodys.path.exists() && named.path.exists() && locked.path.exists());
    insta::assert_snapshot!("again", env.run("store prune --older-than 0m").whole());
    // Outside the project nothing is known to be needed but by its use.
    let outside = env.path("../home");
    let output = env
        .command(&["store", "prune"])
        .current_dir(outside)
        .output();
    let said = env.said(output.expect("assay starts"));
    assert_eq!(said.code, Some(0));
    assert!(said.stdout.contains("2 items removed"), "{}", said.stdout);
}

#[test]
fn nothing_goes_if_it_is_not_known_what_is_named() {
    let env = TestEnv::project();
    let blob = put(&env, b"hello", 0);
    env.write("recipes/long.toml", vec![b'x'; 1_100_000]);
    let said = env.run("store prune");
    assert_eq!(said.code, Some(2));
    insta::assert_snapshot!(said.whole());
    assert!(blob.path.exists());
    assert_eq!(env.run("store prune --older-than 30").code, Some(2));
}

#[test]
fn a_damaged_blob_is_exit_4_and_set_aside() {
    let env = TestEnv::project();
    let good = put(&env, b"good", 0);
    insta::assert_snapshot!("verified", env.run("store verify").whole());
    damage(&put(&env, b"hello", 0));
    let said = env.run("store verify");
    assert_eq!(said.code, Some(4));
    insta::assert_snapshot!("damaged", said.whole());
    assert_eq!(env.run("store verify").code, Some(0), "it was set aside");
    assert!(good.path.exists());
    damage(&good);
    let said = env.run("store verify --format json");
    assert_eq!(said.code, Some(4));
    assert_eq!(said.json()["items"][0]["verdict"], "damaged");
    insta::assert_snapshot!("list-damaged", without_days(&env.run("store list")));
}

/// The days of today are no matter.
fn without_days(said: &Said) -> String {
    let text = said.whole();
    let day = |word: &str| word.len() == 10 && word.as_bytes()[4] == b'-' && word.starts_with("20");
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| if day(word) { "YYYY-MM-DD" } else { word })
            .collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_assay_did_not_write_is_named_and_stays() {
    let env = TestEnv::project();
    let blob = put(&env, b"hello", 0);
    fs::remove_file(&blob.path).expect("removed");
    let made = Command::new("mkfifo").arg(&blob.path).status();
    assert!(made.expect("mkfifo(1)").success());
    let said = env.run("store verify");
    assert_eq!(said.code, Some(8));
    insta::assert_snapshot!("foreign", said.whole());
    assert_eq!(env.run("store prune --older-than 0m").code, Some(0));
    assert!(
        fs::symlink_metadata(&blob.path).is_ok(),
        "it is still there"
    );
}

#[test]
fn a_folder_that_cannot_be_one_is_named_with_what_to_do() {
    let env = TestEnv::project();
    env.write("../cache/assay/content", "a file");
    for line in ["store list", "store verify", "store prune"] {
        let said = env.run(line);
        assert_eq!(said.code, Some(8), "{line}");
        insta::assert_snapshot!("a-file", said.whole());
    }
    fs::remove_file(folder(&env)).expect("removed");
    fs::remove_dir(env.path("../cache/assay")).expect("removed");
    env.write("../cache/assay", "a file");
    let said = env.run("store list");
    assert_eq!(said.code, Some(8));
    insta::assert_snapshot!("a-file-above", said.whole());
}

/// A user for whom the folder is another's, where this one may do everything.
const NOBODY: u32 = 65_534;

#[test]
fn a_read_only_folder_can_be_read_and_not_written() {
    let env = TestEnv::project();
    let blob = put(&env, b"hello", 0);
    for path in ["..", "../cache", "../cache/assay"] {
        fs::set_permissions(env.path(path), Permissions::from_mode(0o755)).expect("set");
    }
    let closed = [blob.path.parent().expect("a folder"), &folder(&env)];
    let close = |mode| {
        for folder in closed {
            fs::set_permissions(folder, Permissions::from_mode(mode)).expect("set");
        }
    };
    close(0o555);
    let run = |words: &[&str]| {
        let mut command = env.command(words);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        env.said(command.output().expect("assay starts"))
    };
    assert_eq!(run(&["store", "verify"]).code, Some(0));
    let said = run(&["store", "prune"]);
    assert_eq!(said.code, Some(8));
    assert!(blob.path.exists());
    insta::assert_snapshot!(said.whole());
    close(0o755);
    assert!(is_whole(&blob.path));
}

fn is_whole(path: &Path) -> bool {
    fs::read(path).expect("there") == b"hello"
}
