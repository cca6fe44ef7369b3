//! GnuPG says the same of every key here: of the fixtures, of the lab's and of the distribution's.
//! `gpg --show-keys --with-colons` is asked, whose fields are those of GnuPG's doc/DETAILS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::*;
use super::fixtures;

/// One key as both of them tell it: fingerprint, algorithm's bits for RSA and DSA, creation, expiry,
/// revocation, usage.
type Row = (String, Option<u16>, u64, Option<u64>, bool, String);

#[test]
fn gpg_agrees_on_every_key_here() {
    let home = tempfile::tempdir().expect("a folder");
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        fixtures(),
        here.join("../../base-images/lab/keys"),
        PathBuf::from("/usr/share/keyrings"),
    ];
    let mut compared = 0;
    for folder in folders {
        for path in files(&folder) {
            let bytes = std::fs::read(&path).expect("a file");
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.expect("after 1970").as_secs();
            let Ok(file) = read(&bytes, now) else {
                continue;
            };
            assert!(file.unreadable.is_empty(), "{}: {file:?}", path.display());
            let ours: Vec<Row> = file
                .keys
                .iter()
                .flat_map(Key::components)
                .filter_map(row)
                .collect();
            assert_eq!(ours, gpg(home.path(), &path), "{}", path.display());
            compared += ours.len();
        }
    }
    assert!(compared >= 20, "{compared} keys");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "asc" || end == "gpg")
        })
        .collect();
    files.sort();
    files
}

fn row(one: &Component) -> Option<Row> {
    let Binding::Bound {
        expires,
        revoked,
        usage,
        ..
    } = &one.binding
    else {
        // GnuPG leaves out what nothing binds.
        return None;
    };
    let bits = match one.algorithm {
        Algorithm::Rsa(bits) | Algorithm::Dsa(bits) => Some(bits),
        Algorithm::Elgamal(_)
        | Algorithm::EdDsa(_)
        | Algorithm::Ecdsa(_)
        | Algorithm::Ecdh(_)
        | Algorithm::Unknown(_) => None,
    };
    let letters = [
        (usage.authenticate, 'a'),
        (usage.certify, 'c'),
        (usage.encrypt, 'e'),
        (usage.sign, 's'),
    ];
    let usage = letters
        .into_iter()
        .filter_map(|(may, letter)| may.then_some(letter));
    Some((
        one.fingerprint.clone(),
        bits,
        one.created,
        *expires,
        *revoked,
        usage.collect(),
    ))
}

fn gpg(home: &Path, path: &Path) -> Vec<Row> {
    let output = Command::new("gpg")
        .args(["--batch", "--homedir"])
        .arg(home)
        .args(["--show-keys", "--with-colons"])
        .arg(path)
        .output()
        .expect("gpg is installed: `ci/setup` does it");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.first() {
            Some(&("pub" | "sec" | "sub" | "ssb")) => {
                let bits =
                    matches!(fields[3], "1" | "17").then(|| fields[2].parse().expect("bits"));
                let mut usage: Vec<char> = fields[11]
                    .chars()
                    .filter(char::is_ascii_lowercase)
                    .collect();
                usage.sort_unstable();
                rows.push((
                    String::new(),
                    bits,
                    fields[5].parse().expect("seconds"),
                    fields[6].parse().ok(),
                    fields[1] == "r",
                    usage.into_iter().collect(),
                ));
            }
            Some(&"fpr") => {
                let last = rows.last_mut().expect("a key before its fingerprint");
                last.0 = fields[9].to_owned();
            }
            _ => {}
        }
    }
    rows
}
