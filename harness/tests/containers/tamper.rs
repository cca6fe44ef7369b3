//! What is refused of a repository that somebody tampered with, and by whom.
//!
//! The table is [`TABLE`], and for readers in `README.md` beside this file: a row for each way to
//! tamper, a column for each manager. Every row is run against the real manager; that nobody refuses
//! something is asserted as well, because there a lock is what is missing.

mod locked;
mod spoil;

use std::fs;

use assay_lab::forge::{Forged, TestKey};
use assay_wire::digest::Digest;
use serde_json::Value;

use crate::stand::{Files, Manager, Stand, prints};
use crate::world::Ran;
use spoil::{
    by_signer, change_a_word, cut, flip, forged, genuine, is_index, is_key, is_package, is_root,
    redirected, spoiled, with_key, without,
};

/// Who refuses what a row serves, and by which words one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The package manager, in the sandbox: exit code 1, and these words in what it printed.
    Manager(&'static str),
    /// The harness, by the hash of the content: exit code 4, and no sandbox is started.
    Hash,
    /// The harness, because of what the key is: exit code 4, and no sandbox is started.
    Key,
    /// The harness, because there is no content, for this reason: exit code 1, and no sandbox is
    /// started.
    Missing(&'static str),
    /// The proxy, which answers 403 and says in the record that it is plain http: exit code 1.
    Proxy,
    /// Nobody: it is installed, and then prints this.
    Nobody(&'static str),
    /// It cannot be done to this manager.
    Never,
}

/// One way to tamper.
struct Row {
    /// The recipe's name.
    name: &'static str,
    /// How it is tampered, for the table in `README.md`.
    what: &'static str,
    /// What is served, with the key as `key.asc`.
    served: fn(Manager) -> Files,
    /// The key whose hash the recipe pins.
    pinned: fn(Manager) -> TestKey,
    /// By apt, dnf4, dnf5 and pacman.
    refused: [Refused; 4],
}

use Refused::{Hash, Key, Missing, Never, Nobody, Proxy};

const GONE: Refused = Missing("is not served");
const DOWN: Refused = Missing("which is plain http");

const NEW: Refused = Nobody("assay-hello 2.0");
const OLD: Refused = Nobody("assay-hello 1.0");

const fn by(words: &'static str) -> Refused {
    Refused::Manager(words)
}

const TABLE: [Row; 25] = [
    Row {
        name: "nothing",
        what: "nothing: the repository as it should be",
        served: genuine,
        pinned: Manager::signer,
        refused: [NEW, NEW, NEW, NEW],
    },
    Row {
        name: "package-flipped",
        what: "a bit of the package is flipped",
        served: |manager| spoiled(manager, is_package, flip),
        pinned: Manager::signer,
        refused: [
            by("Hash Sum mismatch"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted package"),
        ],
    },
    Row {
        name: "package-cut",
        what: "the package is cut off",
        served: |manager| spoiled(manager, is_package, cut),
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("checksum doesn't match"),
            by("repository metadata states file length: 2285"),
            by("invalid or corrupted package"),
        ],
    },
    Row {
        name: "package-gone",
        what: "the package is not there (404)",
        served: |manager| without(manager, is_package),
        pinned: Manager::signer,
        refused: [
            by("404"),
            by("404"),
            // It compares the length of the answer 404 before it looks at the status.
            by("Cannot download assay-hello-2.0-1.noarch.rpm"),
            by("404"),
        ],
    },
    Row {
        name: "index-flipped",
        what: "a bit of the index is flipped",
        served: |manager| spoiled(manager, is_index, flip),
        pinned: Manager::signer,
        refused: [
            by("Hash Sum mismatch"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted database"),
        ],
    },
    Row {
        name: "index-cut",
        what: "the index is cut off",
        served: |manager| spoiled(manager, is_index, cut),
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted database"),
        ],
    },
    Row {
        name: "index-gone",
        what: "the index is not there (404)",
        served: |manager| without(manager, is_index),
        pinned: Manager::signer,
        refused: [by("404"), by("404"), by("404"), by("404")],
    },
    Row {
        name: "root-changed",
        what: "a word of what vouches for the index is changed (`InRelease`, `repomd.xml`)",
        served: |manager| spoiled(manager, is_root, change_a_word),
        pinned: Manager::signer,
        refused: [by("BADSIG"), NEW, NEW, Never],
    },
    Row {
        name: "key-flipped",
        what: "a bit of the key is flipped",
        served: |manager| spoiled(manager, is_key, flip),
        pinned: Manager::signer,
        refused: [Hash, Hash, Hash, Never],
    },
    Row {
        name: "key-swapped",
        what: "another key is in the key's place",
        served: |manager| with_key(genuine(manager), TestKey::Evil),
        pinned: Manager::signer,
        refused: [Hash, Hash, Hash, Never],
    },
    Row {
        name: "key-cut",
        what: "the key is cut off",
        served: |manager| spoiled(manager, is_key, cut),
        pinned: Manager::signer,
        refused: [Hash, Hash, Hash, Never],
    },
    Row {
        name: "key-gone",
        what: "the key is not there (404)",
        served: |manager| without(manager, is_key),
        pinned: Manager::signer,
        refused: [GONE, GONE, GONE, Never],
    },
    Row {
        name: "key-of-another",
        what: "the recipe pins a key, and another one signed everything",
        served: |manager| with_key(genuine(manager), TestKey::Evil),
        pinned: |_| TestKey::Evil,
        refused: [
            by("NO_PUBKEY"),
            by("Public key for assay-hello-2.0-1.noarch.rpm is not installed"),
            by("OpenPGP check for package"),
            Never,
        ],
    },
    Row {
        name: "index-outdated",
        what: "the index is past its `Valid-Until`",
        served: |manager| {
            forged(&Forged {
                valid_until: Some("Thu, 02 Jan 2025 00:00:00 UTC"),
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [by("is expired (invalid since"), Never, Never, Never],
    },
    Row {
        name: "key-expired",
        what: "the key has expired since it signed everything",
        served: |manager| {
            let expired = Forged::genuine(manager.format(), TestKey::Expired);
            with_key(forged(&expired), TestKey::Expired)
        },
        pinned: |_| TestKey::Expired,
        refused: [Key, Key, Key, Never],
    },
    Row {
        name: "index-stale",
        what: "an old index, validly signed, hides a newer package",
        served: |manager| {
            forged(&Forged {
                only: OLD_HELLO,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [OLD, OLD, OLD, OLD],
    },
    Row {
        name: "downgrade",
        what: "an index that nobody signed hides a newer package",
        served: |manager| {
            forged(&Forged {
                only: OLD_HELLO,
                index: None,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [by("is not signed"), OLD, OLD, OLD],
    },
    Row {
        name: "package-older",
        what: "an older package, validly signed, is in the place of the newer one",
        served: |manager| {
            let mut files = genuine(manager);
            let newer = |path: &str| path.replace("assay-hello_1.0", "assay-hello_2.0");
            let newer = |path: &str| newer(path).replace("assay-hello-1.0", "assay-hello-2.0");
            let mut older = files.clone();
            older.retain(|(name, _)| newer(name) != *name);
            for (name, bytes) in older {
                files.retain(|(other, _)| *other != newer(&name));
                files.push((newer(&name), bytes));
            }
            files
        },
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("checksum doesn't match"),
            by("checksum doesn't match"),
            by("invalid or corrupted package (checksum)"),
        ],
    },
    Row {
        name: "unsigned",
        what: "nothing is signed",
        served: |manager| {
            forged(&Forged {
                packages: None,
                index: None,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [
            by("Release' is not signed"),
            by("noarch.rpm is not signed"),
            by("is not signed"),
            by("pkg.tar.zst.sig' from packages.assay.test"),
        ],
    },
    Row {
        name: "signed-by-another",
        what: "packages (for apt, whose packages carry none, the index) are signed by another key",
        served: |manager| {
            // apt's packages carry no signature: who signs the index speaks for them.
            let index = match manager {
                Manager::Apt => TestKey::Evil,
                Manager::Dnf4 | Manager::Dnf5 | Manager::Pacman => manager.signer(),
            };
            forged(&Forged {
                packages: Some(TestKey::Evil),
                index: Some(index),
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [
            by("NO_PUBKEY"),
            by("Public key for assay-hello-2.0-1.noarch.rpm is not installed"),
            by("OpenPGP check for package"),
            by("required key missing from keyring"),
        ],
    },
    Row {
        // To a client it is the same whether a server changes between two requests, or has always
        // answered the first from one state and the second from another.
        name: "exchanged-meanwhile",
        what: "what is served changes after the first request for the index",
        served: |manager| {
            let mut files = forged(&Forged {
                only: OLD_HELLO,
                ..by_signer(manager)
            });
            let asked_first = |path: &str| is_root(path) || path == "lab.db";
            files.retain(|(name, _)| !asked_first(name));
            let before = genuine(manager).into_iter();
            files.extend(before.filter(|(name, _)| asked_first(name)));
            files
        },
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            by("404"),
            by("404"),
            by("invalid or corrupted database (PGP signature)"),
        ],
    },
    Row {
        name: PACKAGE_REDIRECTED,
        what: "the package is redirected from https to http",
        served: |manager| redirected(manager, place(manager, PACKAGE_REDIRECTED), is_package),
        pinned: Manager::signer,
        refused: [Proxy, Proxy, Proxy, Proxy],
    },
    Row {
        name: INDEX_REDIRECTED,
        what: "the index is redirected from https to http",
        served: |manager| redirected(manager, place(manager, INDEX_REDIRECTED), is_index),
        pinned: Manager::signer,
        refused: [Proxy, Proxy, Proxy, Proxy],
    },
    Row {
        name: KEY_REDIRECTED,
        what: "the key is redirected from https to http",
        served: |manager| redirected(manager, place(manager, KEY_REDIRECTED), is_key),
        pinned: Manager::signer,
        refused: [DOWN, DOWN, DOWN, Never],
    },
    Row {
        name: "wrong-length",
        what: "the index tells right hashes and wrong lengths",
        served: |manager| {
            forged(&Forged {
                bytes_left_out: 1,
                ..by_signer(manager)
            })
        },
        pinned: Manager::signer,
        refused: [
            by("unexpected size"),
            NEW,
            by("repository metadata states file length: 2284"),
            by("Maximum file size exceeded"),
        ],
    },
];

const PACKAGE_REDIRECTED: &str = "package-redirected";
const INDEX_REDIRECTED: &str = "index-redirected";
const KEY_REDIRECTED: &str = "key-redirected";

/// Where a row is served: pacman's one section is exchanged for each.
fn place(manager: Manager, row: &'static str) -> &'static str {
    match manager {
        Manager::Pacman => "lab",
        Manager::Apt | Manager::Dnf4 | Manager::Dnf5 => row,
    }
}

const OLD_HELLO: Option<&[(&str, &str)]> = Some(&[("assay-hello", "1.0")]);

#[test]
fn the_table_for_readers_is_the_one_that_is_run() {
    let readme = include_str!("README.md");
    for row in &TABLE {
        let by = row.refused.map(|refused| match refused {
            Refused::Manager(_) => "manager",
            Hash => "harness (hash)",
            Key => "harness (key)",
            DOWN => "harness (redirect)",
            Missing(_) => "harness (404)",
            Proxy => "proxy",
            Nobody(_) if row.name == "nothing" => "nobody",
            Nobody(_) => "**lock**",
            Never => "–",
        });
        let line = format!("| `{}` | {} | {} |\n", row.name, row.what, by.join(" | "));
        assert!(readme.contains(&line), "README.md lacks {line}");
    }
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows.count(), TABLE.len());
}

#[test]
fn apt() {
    together(Manager::Apt, 0);
}

#[test]
fn dnf4() {
    together(Manager::Dnf4, 1);
}

#[test]
fn dnf5() {
    together(Manager::Dnf5, 2);
}

/// Over http pacman's own downloader is seen at work.
#[test]
fn pacman() {
    pacman_at("http://packages.assay.test/lab", |refused| {
        !matches!(refused, Proxy)
    });
}

/// Only https can be led down to http. That the repository is a good one is shown beside it.
#[test]
fn pacman_over_https() {
    let shown = |refused| matches!(refused, Proxy | NEW);
    pacman_at("https://packages.assay.test/lab", shown);
}

/// pacman's repositories are the image's: what its one section serves is exchanged for each row.
fn pacman_at(server: &str, shown: fn(Refused) -> bool) {
    let Some(stand) = Stand::start(Manager::Pacman, &[("lab", server)]) else {
        return;
    };
    let mut wrong = Vec::new();
    for row in TABLE.iter().filter(|row| shown(row.refused[3])) {
        if row.refused[3].code().is_none() {
            continue;
        }
        stand.serve("lab", (row.served)(Manager::Pacman));
        stand
            .world
            .recipe(row.name, &steps(Manager::Pacman, row, row.refused[3]));
        wrong.extend(judge(&stand.test(&[row.name]), row, row.refused[3]));
    }
    assert_as_told(&wrong);
    stand.world.assert_clean();
}

/// Every row is a repository of its own; those that end with one exit code are run together.
fn together(manager: Manager, column: usize) {
    let Some(stand) = Stand::start(manager, &[]) else {
        return;
    };
    for row in &TABLE {
        let refused = row.refused[column];
        stand.serve(row.name, (row.served)(manager));
        stand.world.recipe(row.name, &steps(manager, row, refused));
    }
    // Keys come first: once the right one is in the store, its URL is not asked any more.
    let runs: [fn(&Refused) -> bool; 4] = [
        |refused| matches!(refused, Hash | Key),
        |refused| matches!(refused, Missing(_)),
        |refused| matches!(refused, Nobody(_)),
        |refused| matches!(refused, Refused::Manager(_) | Proxy),
    ];
    let mut wrong = Vec::new();
    for run in runs {
        let rows: Vec<&Row> = TABLE
            .iter()
            .filter(|row| run(&row.refused[column]))
            .collect();
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        let ran = stand.test(&names);
        let judged = rows
            .iter()
            .filter_map(|row| judge(&ran, row, row.refused[column]));
        wrong.extend(judged);
    }
    assert_as_told(&wrong);
    stand.world.assert_clean();
}

impl Refused {
    /// The exit code of a run of such rows.
    fn code(self) -> Option<i32> {
        match self {
            Self::Nobody(_) => Some(0),
            Self::Manager(_) | Self::Missing(_) | Self::Proxy => Some(1),
            Self::Hash | Self::Key => Some(4),
            Self::Never => None,
        }
    }
}

fn steps(manager: Manager, row: &Row, refused: Refused) -> String {
    let url = format!("https://packages.assay.test/{}", row.name);
    let key = Digest::of(&(row.pinned)(manager).public().expect("a key"));
    let adds = manager.adds(&url, &format!("{url}/key.asc"), &key);
    let said = match refused {
        Nobody(said) => said,
        Refused::Manager(_) | Hash | Key | Missing(_) | Proxy | Never => "assay-hello",
    };
    adds + &manager.installs("\"assay-hello\"") + &prints("assay-hello", said)
}

/// What is not as the table has it.
fn judge(ran: &Ran, row: &Row, refused: Refused) -> Option<String> {
    let (outcome, words, starts) = match refused {
        Refused::Manager(words) => ("failed apply command_failed", words, true),
        Hash => ("failed prepare content_mismatch", "key.asc", false),
        Key => ("failed prepare key_refused", "expired", false),
        Missing(words) => ("failed prepare content_unavailable", words, false),
        Proxy => ("failed apply command_failed", "", true),
        Nobody(said) => ("passed", said, true),
        Never => return None,
    };
    let told = ran.told(row.name);
    // The first thing done in a sandbox is to look at its files.
    let seen = &ran.cell(row.name)["facts"]["manifests"];
    let started = seen.as_array().is_some_and(|all| !all.is_empty());
    let as_told = ran.outcome(row.name) == outcome
        && ran.code == refused.code()
        && told.contains(words)
        && started == starts
        && (!matches!(refused, Proxy) || led_down(ran, row));
    (!as_told).then(|| {
        format!(
            "{}: wanted {refused:?}, came to `{}`, exit code {:?}, a sandbox started: {started}\n{told}",
            row.name,
            ran.outcome(row.name),
            ran.code,
        )
    })
}

/// Whether the record has it that the proxy refused to lead from https down to http, and that nobody
/// asked there.
fn led_down(ran: &Ran, row: &Row) -> bool {
    let requests = ran.cell(row.name)["facts"]["requests"].clone();
    let requests = requests.as_array().cloned().unwrap_or_default();
    let says = |request: &Value, word: &str| request.to_string().contains(word);
    requests
        .iter()
        .any(|it| says(it, "refused") && says(it, "plain http"))
        && !requests.iter().any(|it| says(&it["url"], "/elsewhere/"))
}

/// Nothing may be otherwise than in the table; all that is, is shown.
fn assert_as_told(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a recipe can do about two of the rows that nobody refuses on dnf: have the index checked.
#[test]
fn dnf_refuses_an_index_that_is_not_the_signers_where_a_recipe_asks_for_it() {
    for manager in [Manager::Dnf4, Manager::Dnf5] {
        let Some(stand) = Stand::start(manager, &[]) else {
            return;
        };
        let names = ["nothing", "index-stale", "root-changed", "downgrade"];
        let checked = TABLE.iter().filter(|row| names.contains(&row.name));
        for row in checked {
            stand.serve(row.name, (row.served)(manager));
            let steps = steps(manager, row, row.refused[1]);
            let steps = steps.replacen("key_url", "repo_gpgcheck = true\nkey_url", 1);
            stand.world.recipe(row.name, &steps);
        }
        let ran = stand.test(&names);
        for name in names {
            let wanted = match name {
                "nothing" | "index-stale" => "passed",
                _ => "failed apply command_failed",
            };
            assert_eq!(ran.outcome(name), wanted, "{name}: {}", ran.told(name));
        }
        let unsigned = ran.told("downgrade");
        assert!(unsigned.contains("repomd.xml.asc"), "{unsigned}");
        stand.world.assert_clean();
    }
}

/// The bytes of a key are in the store after the first run, and no other bytes ever come in their
/// place: the sandbox gets those that were verified, or none.
#[test]
fn a_key_url_that_answers_differently_never_brings_the_second_bytes() {
    let manager = Manager::Apt;
    let Some(stand) = Stand::start(manager, &[]) else {
        return;
    };
    stand.serve("twice", genuine(manager));
    let url = "https://packages.assay.test/twice";
    let key = Digest::of(&manager.signer().public().expect("a key"));
    let check = format!(
        "[[check]]\nname = \"bytes\"\nargv = ['sha256sum', '/etc/apt/keyrings/packages.assay.test-twice.key']\n\
         expect = {{ stdout_contains = \"{key}\" }}\n"
    );
    let adds = manager.adds(url, &format!("{url}/key.asc"), &key);
    stand.world.recipe("twice", &(adds + &check));
    for round in ["first", "second"] {
        let ran = stand.test(&["twice"]);
        assert_eq!(
            ran.outcome("twice"),
            "passed",
            "{round}: {}",
            ran.told("twice")
        );
        stand.serve_key("twice/key.asc", TestKey::Evil);
    }
    // Without what was kept, the second bytes are all there is: they are refused.
    fs::remove_dir_all(stand.world.cache().join("content")).expect("removed");
    let ran = stand.test(&["twice"]);
    assert_eq!(ran.outcome("twice"), "failed prepare content_mismatch");
    assert_eq!(ran.code, Some(4));
    stand.world.assert_clean();
}
