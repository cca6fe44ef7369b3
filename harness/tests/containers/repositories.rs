//! Repositories of recipes through the real managers: which key they get, and what it is good for.
//!
//! The evil twin stands for repository B: the same package names at `evil.assay.test`, signed by a
//! key of its own. Who accepts what of it:
//!
//! | B is configured with | and signed by | apt | dnf4 | dnf5 | pacman |
//! |---|---|---|---|---|---|
//! | A's key | B's | refused | refused | refused | refused: the keyring lacks B's key |
//! | B's key | A's, which another repository has | refused | **accepted** | **accepted** | **accepted** |
//! | B's key | B's | accepted | accepted | accepted | – |
//!
//! In the second row lies the scope of a key: with `Signed-By` it is one repository, and rpm and
//! pacman have one keyring for the machine. In the last, both repositories offer `assay-hello`: apt and
//! dnf take the higher version, whosever it is, so that B's is installed unless it is pinned; pacman
//! takes that of the section that stands first.

use assay_lab::forge::{Forged, Format, TestKey};
use assay_wire::digest::Digest;
use serde_json::Value;

use crate::stand::{Manager, Stand, prints};
use crate::world::Ran;

const KEY: &str = "https://packages.assay.test/a/key.asc";
const A: &str = "https://packages.assay.test/a";
const B: &str = "https://evil.assay.test/b";
const B_KEY: &str = "https://evil.assay.test/b/key.asc";

/// A stand with A and B, each signed by these; gives the hashes of A's and B's keys.
fn both(manager: Manager, b_signed_by: TestKey) -> Option<(Stand, Digest, Digest)> {
    let stand = Stand::start(manager, &[])?;
    let a = Forged::genuine(manager.format(), manager.signer());
    stand.serve("a", a.files().expect("a repository"));
    let b = Forged {
        packages: Some(b_signed_by),
        index: Some(b_signed_by),
        ..Forged::evil_twin(manager.format())
    };
    stand.serve("evil.assay.test/b", b.files().expect("a repository"));
    let a_key = stand.serve_key("a/key.asc", manager.signer());
    let b_key = stand.serve_key("evil.assay.test/b/key.asc", TestKey::Evil);
    Some((stand, a_key, b_key))
}

fn passed(manager: Manager, ran: &Ran, recipe: &str) {
    assert_eq!(ran.outcome(recipe), "passed", "{}", ran.told(recipe));
    assert_eq!(ran.code, manager.ungranted(0), "{}", ran.stderr);
}

fn refused(manager: Manager, ran: &Ran, recipe: &str, words: &str) {
    let told = ran.told(recipe);
    assert_eq!(ran.outcome(recipe), "failed apply command_failed", "{told}");
    assert_eq!(ran.code, manager.ungranted(1));
    assert!(told.contains(words), "no `{words}` in {told}");
}

fn each(managers: &[Manager], test: impl Fn(Manager)) {
    for manager in managers {
        test(*manager);
    }
}

#[test]
fn the_keyring_holds_the_verified_bytes_and_the_repository_names_it() {
    each(&[Manager::Apt, Manager::Dnf4, Manager::Dnf5], |manager| {
        let Some((stand, key, _)) = both(manager, TestKey::Evil) else {
            return;
        };
        let (keyring, file, lines) = match manager {
            Manager::Apt => (
                "/etc/apt/keyrings/packages.assay.test-a.key",
                "/etc/apt/sources.list.d/packages.assay.test-a.sources",
                "^Signed-By: /etc/apt/keyrings/packages.assay.test-a.key$",
            ),
            Manager::Dnf4 | Manager::Dnf5 => (
                "/etc/pki/rpm-gpg/packages.assay.test-a.key",
                "/etc/yum.repos.d/packages.assay.test-a.repo",
                "^(gpgcheck=1|gpgkey=file:///etc/pki/rpm-gpg/packages.assay.test-a.key)$",
            ),
            Manager::Pacman => unreachable!("no action adds a repository"),
        };
        let named = if manager == Manager::Apt { "1" } else { "2" };
        let checks = format!(
            "[[check]]\nname = \"bytes\"\nargv = ['sha256sum', '{keyring}']\nexpect = {{ stdout_contains = \"{key}\" }}\n\n\
             [[check]]\nname = \"named\"\nargv = ['grep', '-cE', '{lines}', '{file}']\nexpect = {{ stdout_contains = \"{named}\" }}\n\n"
        );
        let adds = manager.adds(A, KEY, &key);
        let rest = manager.installs("\"assay-hello\"") + &prints("assay-hello", "assay-hello 2.0");
        stand.world.recipe("one", &(adds.clone() + &checks + &rest));
        // The same repository in another recipe, on the same machine.
        stand.world.recipe("two", &(adds + &rest));
        let ran = stand
            .world
            .test(&["one", "two"], &["--together", "--on", &stand.target]);
        assert_eq!(
            ran.code,
            manager.ungranted(0),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
        let cell = ran.record()["cells"][0].clone();
        let writes = |path: &str| {
            let ops = cell["facts"]["planned"]["plan"]["ops"].as_array();
            let ops = ops.into_iter().flatten();
            ops.filter(|op| op["action"]["write"]["path"] == path)
                .map(|op| op["steps"].as_array().map_or(0, Vec::len))
                .collect::<Vec<_>>()
        };
        assert_eq!((writes(keyring), writes(file)), (vec![2], vec![2]));
        stand.world.assert_clean();
    });
}

#[test]
fn one_repository_under_two_keys_is_refused_before_anything_starts() {
    let Some((stand, a_key, b_key)) = both(Manager::Apt, TestKey::Evil) else {
        return;
    };
    for (name, key_url, key) in [("one", KEY, &a_key), ("two", B_KEY, &b_key)] {
        stand
            .world
            .recipe(name, &Manager::Apt.adds(A, key_url, key));
    }
    let ran = stand
        .world
        .test(&["one", "two"], &["--together", "--on", &stand.target]);
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    let told = ran.stdout + &ran.stderr;
    assert!(
        told.contains("name different keys for the repository"),
        "{told}"
    );
    stand.world.assert_clean();
}

#[test]
fn a_repository_that_another_key_signed_is_refused() {
    each(&[Manager::Apt, Manager::Dnf4, Manager::Dnf5], |manager| {
        let Some((stand, a_key, _)) = both(manager, TestKey::Evil) else {
            return;
        };
        let steps = manager.adds(B, KEY, &a_key) + &manager.installs("\"assay-hello\"");
        stand.world.recipe("b", &steps);
        let words = match manager {
            Manager::Apt => "NO_PUBKEY 4F6B8A833D93546F",
            Manager::Dnf4 => "Public key for assay-hello-3.0-1.noarch.rpm is not installed",
            Manager::Dnf5 | Manager::Pacman => "OpenPGP check for package",
        };
        refused(manager, &stand.test(&["b"]), "b", words);
        stand.world.assert_clean();
    });
}

#[test]
fn on_apt_the_key_of_one_repository_makes_nothing_of_another_acceptable() {
    let Some((stand, a_key, b_key)) = both(Manager::Apt, TestKey::Apt) else {
        return;
    };
    let manager = Manager::Apt;
    let a = manager.adds(A, KEY, &a_key);
    let b = manager.adds(B, B_KEY, &b_key);
    let hello = manager.installs("\"assay-hello\"");
    stand.world.recipe("b", &(a + &b + &hello));
    let ran = stand.test(&["b"]);
    refused(manager, &ran, "b", "NO_PUBKEY 944505BC517292C6");
    assert_eq!(scopes(&ran, "b"), ["repository", "repository"]);
    stand.world.assert_clean();
}

#[test]
fn on_dnf_the_key_of_one_repository_is_trusted_for_any_and_the_report_says_so() {
    each(&[Manager::Dnf4, Manager::Dnf5], |manager| {
        let Some((stand, a_key, b_key)) = both(manager, TestKey::Evil) else {
            return;
        };
        let a = manager.adds(A, KEY, &a_key);
        // Only what is installed from A makes dnf import A's key: B's comes after, as what is asked
        // for in one version does.
        let only_b = Forged {
            only: Some(&[("assay-hello", "3.0")]),
            packages: Some(TestKey::Rpm),
            ..Forged::evil_twin(manager.format())
        };
        stand.serve("evil.assay.test/b", only_b.files().expect("a repository"));
        stand.serve_key("evil.assay.test/b/key.asc", TestKey::Evil);
        let from_a = manager.installs("\"assay-provider\"");
        let b = manager.adds(B, B_KEY, &b_key);
        let hello = manager.installs("{ name = \"assay-hello\", version = \"=3.0-1\" }")
            + &prints("assay-hello", "evil assay-hello 3.0");
        stand.world.recipe("b", &(a + &from_a + &b + &hello));
        let ran = stand.test(&["b"]);
        passed(manager, &ran, "b");
        assert_eq!(scopes(&ran, "b"), ["machine", "machine"]);
        let report = stand.world.assay(&["report"]).output().expect("a report");
        let report = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(
            report.contains("keys trusted for any repository on the machine")
                && report.contains("/etc/pki/rpm-gpg/packages.assay.test-a.key"),
            "{report}"
        );
        let plan = stand.assay(&["plan", "b.toml"]).stdout;
        let times = plan
            .matches("key trusted for any repository on this machine")
            .count();
        assert_eq!(times, 2, "{plan}");
        stand.world.assert_clean();
    });
}

#[test]
fn of_two_proper_repositories_apt_and_dnf_take_the_higher_version_whosever_it_is() {
    each(&[Manager::Apt, Manager::Dnf4, Manager::Dnf5], |manager| {
        let Some((stand, a_key, b_key)) = both(manager, TestKey::Evil) else {
            return;
        };
        let repositories = manager.adds(A, KEY, &a_key) + &manager.adds(B, B_KEY, &b_key);
        let hello =
            manager.installs("\"assay-hello\"") + &prints("assay-hello", "evil assay-hello 3.0");
        stand.world.recipe("newest", &(repositories + &hello));
        passed(manager, &stand.test(&["newest"]), "newest");
        stand.world.assert_clean();
    });
}

#[test]
fn on_pacman_one_keyring_serves_every_section_and_the_first_section_wins() {
    let section = |name: &'static str| Format::Pacman(name);
    let sections = [
        ("one", "http://packages.assay.test/a"),
        ("two", "http://evil.assay.test/b"),
    ];
    let Some(stand) = Stand::start(Manager::Pacman, &sections) else {
        return;
    };
    let serve_b = |signer| {
        let b = Forged {
            packages: Some(signer),
            index: None,
            ..Forged::evil_twin(section("two"))
        };
        stand.serve("evil.assay.test/b", b.files().expect("a repository"));
    };
    let serve_a = |only| {
        let a = Forged {
            only,
            ..Forged::genuine(section("one"), TestKey::Arch)
        };
        stand.serve("a", a.files().expect("a repository"));
    };
    let install = Manager::Pacman.installs("\"assay-hello\"");
    stand.world.recipe("strange", &install);
    serve_a(Some(&[("assay-provider", "2.0")]));
    serve_b(TestKey::Evil);
    refused(
        Manager::Pacman,
        &stand.test(&["strange"]),
        "strange",
        "required key missing from keyring",
    );

    let recipe = install.clone() + &prints("assay-hello", "evil assay-hello 3.0");
    stand.world.recipe("trusted", &recipe);
    serve_b(TestKey::Arch);
    passed(Manager::Pacman, &stand.test(&["trusted"]), "trusted");

    let recipe = install + &prints("assay-hello", "assay-hello 2.0");
    stand.world.recipe("first", &recipe);
    serve_a(None);
    passed(Manager::Pacman, &stand.test(&["first"]), "first");
    stand.world.assert_clean();
}

/// pacman takes no certificate authority by any option: its https is asked by the executor, and
/// recorded like any other's. Nothing is mounted, so that what replaces the trust store still can.
#[test]
fn on_pacman_an_https_repository_is_recorded_and_replayed() {
    const SERVER: &str = "https://packages.assay.test/arch/lab";
    let Some(stand) = Stand::start(Manager::Pacman, &[("lab", SERVER)]) else {
        return;
    };
    std::fs::write(stand.world.project().join("assay.toml"), "").expect("a project");
    let genuine = Forged::genuine(Format::Pacman("lab"), TestKey::Arch);
    let served = genuine.files().expect("a repository");
    stand.serve("arch/lab", served.clone());
    let install = Manager::Pacman.installs("\"assay-hello\"");
    let recipe = install + &prints("assay-hello", "assay-hello 2.0");
    stand.world.recipe("secure", &recipe);
    let run = |network| {
        let ran = stand.test_with(&["secure"], &["--network", network]);
        passed(Manager::Pacman, &ran, "secure");
        let cell = ran.cell("secure");
        let requests = cell["facts"]["requests"].as_array().cloned();
        let told = requests.unwrap_or_default().into_iter().map(|request| {
            assert_eq!(request["asker"]["program"], "pacman", "{request}");
            assert!(request["op"].is_u64(), "{request}");
            assert_ne!(request["method"], "CONNECT", "{request}");
            (request["url"].clone(), request["sha256"].clone())
        });
        let mut told: Vec<String> = told.map(|pair| format!("{pair:?}")).collect();
        told.sort_unstable();
        (cell, told)
    };
    let (cell, recorded) = run("record");
    let lock = std::fs::read_to_string(stand.world.project().join("assay.lock")).expect("a lock");
    for (name, bytes) in served
        .iter()
        .filter(|(name, _)| name == "lab.db" || name.contains("assay-hello-2.0"))
    {
        let entry = format!(
            "url = \"{SERVER}/{name}\", sha256 = \"{}\"",
            Digest::of(bytes)
        );
        assert!(lock.contains(&entry), "no {entry} in {lock}");
        let asked = format!("{SERVER}/{name}");
        let sha256 = Digest::of(bytes).to_string();
        let told = |told: &&String| told.contains(&asked) && told.contains(&sha256);
        assert!(recorded.iter().any(|it| told(&it)), "{recorded:?}");
    }
    let facts = &cell["facts"];
    let changed = facts["manifests"].to_string() + &facts["cross_check"].to_string();
    let shown = |path: &str| changed.contains(path);
    assert!(shown("assay-hello") && !shown(".assay"), "{changed}");
    assert_eq!(run("live").1, recorded);
    std::fs::remove_dir_all(stand.folder("arch")).expect("removed");
    assert_eq!(run("replay").1, recorded);
    stand.world.assert_clean();
}

/// The scopes that the ops of a cell's plan carry.
fn scopes(ran: &Ran, recipe: &str) -> Vec<String> {
    let cell = ran.cell(recipe);
    let ops = cell["facts"]["planned"]["plan"]["ops"].as_array().cloned();
    let scope = |op: &Value| op["scope"].as_str().map(str::to_owned);
    ops.unwrap_or_default().iter().filter_map(scope).collect()
}
