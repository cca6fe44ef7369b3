//! What is refused of a repository that somebody tampered with, and by whom.
//!
//! The table is [`TABLE`] ([`table`]), and for readers in `README.md` beside this file: a row for each way to
//! tamper, a column for each manager. Every row is run against the real manager; that nobody refuses
//! something is asserted as well, because there a lock is what is missing.

mod locked;
mod spoil;
mod table;

use std::fs;

use assay_lab::forge::TestKey;
use assay_wire::digest::Digest;
use serde_json::Value;

use crate::stand::{Files, Manager, Stand, prints};
use crate::world::Ran;
use spoil::genuine;
use table::{DOWN, NEW, TABLE};

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
    let (section, _) = readme
        .split_once("\n## What a key is trusted for")
        .expect("another");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
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
        let ran = stand.test(&[row.name]);
        wrong.extend(judge(Manager::Pacman, &ran, row, row.refused[3]));
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
            .filter_map(|row| judge(manager, &ran, row, row.refused[column]));
        wrong.extend(judged);
    }
    assert_as_told(&wrong);
    stand.world.assert_clean();
}

impl Refused {
    /// The exit code of a run of such rows, if all of it is consented to.
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
fn judge(manager: Manager, ran: &Ran, row: &Row, refused: Refused) -> Option<String> {
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
        && ran.code == refused.code().and_then(|code| manager.ungranted(code))
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
        .any(|it| says(&it["decision"], "answer_refused") && says(it, "plain http"))
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
