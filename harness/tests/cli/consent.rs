//! `consent`: what is missing is said with what to run, granted by whoever is asked or names it, and
//! judged again.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::env::{Said, TestEnv};

/// A recipe with an operation of three risks, one of them on one target alone.
const ENGINE: &str = r#"
[metadata]
name = "engine"

[[steps]]
action = "apt_repo"
url = "https://a.test/{distro}"
key_url = "https://a.test/key"
key_sha256 = "1500c1f56fa9e26b9b8f42452a553675796ade0807cdce11975eb98170b3a570"
key_fingerprints = ["9DC858229FC7DD38854AE2D88D81803C0EBFCD88"]
when = { linux_family = "debian" }

[[steps]]
action = "apt_install"
packages = ["engine"]
when = { linux_family = "debian" }

[[steps]]
action = "pacman_install"
packages = ["engine"]
when = { linux_family = "arch" }

[[steps]]
id = "join"
action = "group_add"
group = "docker"

[[steps]]
action = "service_enable"
service = "engine"
"#;

/// A recipe that joins a group.
fn joins(name: &str, group: &str) -> String {
    format!(
        "[metadata]\nname = \"{name}\"\n\n[[steps]]\naction = \"pacman_install\"\npackages = [\"{name}\"]\n\n\
         [[steps]]\naction = \"group_add\"\ngroup = \"{group}\"\n"
    )
}

fn project() -> TestEnv {
    TestEnv::empty()
        .with("assay.toml", "targets = [\"debian-12\", \"arch\"]\n")
        .with("recipes/engine.toml", ENGINE)
}

/// The output without the day on which the ledger was written.
pub(crate) fn timeless(env: &TestEnv, said: &Said) -> String {
    let ledger = env.read("consents.toml");
    let mut days = ledger.lines().filter_map(|line| line.strip_prefix("on = "));
    let day = days.next().expect("an entry");
    said.whole().replace(day, "[today]")
}

/// The digests of what `consent check` refuses.
fn refused(env: &TestEnv) -> Vec<String> {
    let document = env.run("consent check --format json").json();
    let rows = document["refused"].as_array().expect("a list");
    let digest = |row: &serde_json::Value| row["digest"].as_str().expect("a digest").to_owned();
    let mut digests: Vec<String> = rows.iter().map(digest).collect();
    digests.dedup();
    digests
}

/// Grants everything that is missing of a recipe, by its digests.
fn grant(env: &TestEnv, recipe: &str) -> Said {
    let document = env
        .run(&format!("consent check {recipe} --format json"))
        .json();
    let rows = document["refused"].as_array().expect("a list").iter();
    let digests = rows.map(|row| row["digest"].as_str().expect("a digest").to_owned());
    let mut words: Vec<String> = ["consent", "grant", recipe, "--yes", "--note", "it is right"]
        .map(str::to_owned)
        .to_vec();
    words.extend(["--by".to_owned(), "ann@example.org".to_owned()]);
    for digest in digests {
        words.extend(["--digest".to_owned(), digest]);
    }
    env.run_words(&words)
}

/// Runs git: whether it was content, and what it printed.
pub(crate) fn git(env: &TestEnv, words: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(words)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", env.path("../home"))
        .current_dir(env.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("git starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

/// Makes the folder a repository with one commit.
pub(crate) fn begin(env: &TestEnv) {
    assert!(git(env, &["init", "-q"]).0);
    commit(env, "begun");
}

pub(crate) fn commit(env: &TestEnv, message: &str) {
    assert!(git(env, &["add", "-A"]).0);
    assert!(git(env, &["commit", "-qm", message]).0);
}

#[test]
fn from_missing_to_granted_to_changed_to_revoked() {
    let env = project();
    insta::assert_snapshot!("list", env.run("consent list").whole());
    insta::assert_snapshot!("list_verbose", env.run("consent list -v --on arch").whole());
    insta::assert_snapshot!("missing", env.run("consent check").whole());
    let said = grant(&env, "engine");
    insta::assert_snapshot!("granted", timeless(&env, &said));
    assert_eq!(said.code, Some(0));
    insta::assert_snapshot!(
        "ledger",
        env.read("consents.toml")
            .lines()
            .map(|line| match line.strip_prefix("on = ") {
                Some(_) => "on = [today]\n".to_owned(),
                None => format!("{line}\n"),
            })
            .collect::<String>()
    );
    assert_eq!(
        env.run("consent check --strict").whole(),
        "exit 0\n--- stderr\n10 operations: nothing lacks a consent\n"
    );
    assert_eq!(
        timeless(&env, &grant_nothing(&env)),
        "exit 0\n--- stderr\nthere is nothing to grant\n"
    );

    // Another layout, another order of keys, another id: every consent stays.
    let formatted = ENGINE
        .replace(
            "id = \"join\"\n",
            "id   =  'joins' # renamed\ndescription = \"x\"\n",
        )
        .replace("[[steps]]", "\n\n[[steps]]");
    env.write("recipes/engine.toml", &formatted);
    assert_eq!(env.run("consent check --strict").code, Some(0));
    // A real change asks again, and what it replaced is stale.
    env.write(
        "recipes/engine.toml",
        ENGINE.replace("group = \"docker\"", "group = \"sudo\""),
    );
    let said = env.run("consent check");
    insta::assert_snapshot!("changed", timeless(&env, &said));
    let said = env.run("consent revoke --stale");
    insta::assert_snapshot!("revoked_stale", said.whole());
    assert_eq!(refused(&env).len(), 1);
    assert_eq!(grant(&env, "engine").code, Some(0));
    assert_eq!(env.run("consent check --strict").code, Some(0));

    let said = env.run("consent revoke engine --on arch --format json");
    let revoked = said.json();
    assert_eq!(revoked["revoked"].as_array().map(Vec::len), Some(2));
    assert_eq!(refused(&env).len(), 2);
    assert_eq!(env.run("consent revoke engine").code, Some(0));
    assert_eq!(
        env.read("consents.toml").lines().count(),
        2,
        "its head stays"
    );
    insta::assert_snapshot!("nothing_to_revoke", env.run("consent revoke engin").whole());
}

fn grant_nothing(env: &TestEnv) -> Said {
    env.run("consent grant engine --note right --by ann@example.org")
}

#[test]
fn what_changed_under_its_name_is_violated_and_what_is_old_has_expired() {
    let env = project().with("recipes/engine.toml", joins("engine", "docker"));
    assert_eq!(grant(&env, "engine").code, Some(0));
    let ledger = env.read("consents.toml");
    let zeros = "0".repeat(64);
    let line = ledger
        .lines()
        .find(|line| line.starts_with("digest"))
        .expect("a digest");
    env.write(
        "consents.toml",
        ledger.replace(line, &format!("digest = \"sha256:{zeros}\"")),
    );
    let said = env.run("consent check");
    assert_eq!(said.code, Some(6));
    assert!(
        said.stdout.contains("changed since ann@example.org"),
        "{}",
        said.stdout
    );
    assert_eq!(grant(&env, "engine").code, Some(0));
    assert!(
        !env.read("consents.toml").contains(&zeros),
        "it is replaced"
    );

    let old = |ledger: &str| {
        ledger
            .lines()
            .map(|line| match line.starts_with("on = ") {
                true => "on = 2001-01-01\nexpires = 2001-12-31\n".to_owned(),
                false => format!("{line}\n"),
            })
            .collect::<String>()
    };
    env.write("consents.toml", old(&env.read("consents.toml")));
    let said = env.run("consent check");
    assert_eq!(said.code, Some(6));
    assert!(
        said.stdout
            .contains("was granted by ann@example.org until 2001-12-31"),
        "{}",
        said.stdout
    );
    // Renewed on one target, the other stays as it was.
    let digest = &refused(&env)[0];
    let renew = format!(
        "consent grant engine --on arch --yes --digest {digest} --note still --by b@example.org --expires 9998-01-01"
    );
    assert_eq!(env.run(&renew).code, Some(0));
    let ledger = env.read("consents.toml");
    assert!(
        ledger.contains("targets = [\"arch\"]") && !ledger.contains("2001-12-31"),
        "{ledger}"
    );
    assert_eq!(env.run("consent check --on arch").code, Some(0));
    let gone = renew.replace("9998", "2001");
    assert_eq!(env.run(&gone).code, Some(2));
}

#[test]
fn nobody_grants_without_being_asked_or_naming_it() {
    let env = project();
    let digests = refused(&env);
    let said = env.run("consent grant engine --note right --by ann@example.org");
    insta::assert_snapshot!("nobody_is_there", said.whole());
    let said = env.answering(
        "consent grant engine --note right --by ann@example.org",
        "yes\n",
    );
    assert_eq!(said.code, Some(6), "a file is nobody");
    let said = env.run("consent grant engine --yes --note right --by ann@example.org");
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    let other = "f".repeat(64);
    for words in [
        format!("--yes --digest sha256:{other}"),
        format!("--yes --digest {}", &digests[0][7..]),
        "--kind group.membr".to_owned(),
    ] {
        let line = format!("consent grant engine {words} --note right --by ann@example.org");
        let said = env.run(&line);
        assert_eq!(said.code, Some(2), "{words}: {}", said.stderr);
    }
    let said = env.run_words(&["consent", "grant", "engine", "--note", "", "--by", "ann"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(
        env.run("consent grant engine --note right").code,
        Some(2),
        "who?"
    );
    assert!(!env.path("consents.toml").exists());
    let said = env.run(&format!(
        "consent grant engine --yes --digest {} --note right --by ann@example.org --format json",
        digests[0]
    ));
    let granted = said.json();
    assert_eq!(granted["granted"].as_array().map(Vec::len), Some(1));
    assert_eq!(refused(&env), digests[1..]);
}

#[test]
fn whoever_sits_at_a_terminal_is_asked() {
    let env = project();
    // What happens while the question stands, and the answer.
    let answered = |meanwhile: &dyn Fn(), answer: &str| {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).expect("it is ours");
        unlockpt(&terminal).expect("it opens");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let end = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().expect("plain"))
            .expect("its other end");
        let line = [
            "consent",
            "grant",
            "engine",
            "--note",
            "right",
            "--by",
            "ann@example.org",
        ];
        let mut command = env.command(&line);
        command.stdin(end).stdout(Stdio::piped());
        let mut asking = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("assay starts");
        let mut shown = Vec::new();
        let mut out = asking.stdout.take().expect("it is piped");
        while !shown.ends_with(b"(yes, no) ") {
            let mut byte = [0];
            out.read_exact(&mut byte).expect("it asks");
            shown.extend(byte);
        }
        meanwhile();
        let mut terminal = File::from(terminal);
        terminal.write_all(answer.as_bytes()).expect("an answer");
        let mut output = asking.wait_with_output().expect("it ends");
        output.stdout = shown;
        env.said(output)
    };
    let nothing = || {};
    for answer in ["no\n", "\n", "yes please\n", "\u{4}"] {
        let said = answered(&nothing, answer);
        assert_eq!(said.code, Some(6), "{answer:?} {}", said.stderr);
        assert!(
            said.stdout.ends_with("grant 4 consents? (yes, no) "),
            "{}",
            said.stdout
        );
        assert!(!env.path("consents.toml").exists());
    }
    // Somebody else's entry is not written over.
    let said = answered(&|| env.write("consents.toml", "# mine\n"), "yes\n");
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert_eq!(env.read("consents.toml"), "# mine\n");
    let said = answered(&nothing, "yes\n");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(env.run("consent check --strict").code, Some(0));
}

#[test]
fn the_policy_approves_classes_and_forbids_what_no_entry_grants() {
    let env = project();
    assert_eq!(grant(&env, "engine").code, Some(0));
    let policy = |lines: &str| {
        let text = format!("targets = [\"debian-12\", \"arch\"]\n[policy]\n{lines}");
        env.write("assay.toml", text);
    };
    policy("group_tiers = { docker = \"forbidden\" }\n");
    let said = env.run("consent check");
    insta::assert_snapshot!("forbidden", timeless(&env, &said));
    assert_eq!(said.code, Some(6));
    let said =
        env.run("consent grant engine --kind group.member --note right --by ann@example.org");
    insta::assert_snapshot!("forbidden_cannot_be_granted", said.whole());

    env.run("consent revoke engine");
    policy(
        "groups = [\"docker\"]\nservices = [\"engine\"]\n[[policy.repositories]]\n\
         url = \"https://a.test/\"\nfingerprints = [\"9DC858229FC7DD38854AE2D88D81803C0EBFCD88\"]\n",
    );
    assert_eq!(env.run("consent check --strict").code, Some(0));
    insta::assert_snapshot!("approved", env.run("consent list --on debian-12").whole());
}

#[test]
fn two_people_who_grant_in_parallel_merge() {
    let names = ["alpha", "beta", "gamma", "omega"];
    let env = TestEnv::empty().with("assay.toml", "targets = [\"arch\"]\n");
    for name in names {
        env.write(&format!("recipes/{name}.toml"), joins(name, "docker"));
    }
    for name in ["beta", "gamma"] {
        assert_eq!(grant(&env, name).code, Some(0));
    }
    begin(&env);
    let branch = |name: &str, recipe: &str| {
        assert!(git(&env, &["checkout", "-qb", name, "main"]).0);
        assert_eq!(grant(&env, recipe).code, Some(0));
        commit(&env, name);
    };
    branch("ann", "alpha");
    branch("bob", "omega");
    let (merged, said) = git(&env, &["merge", "-q", "--no-edit", "ann"]);
    assert!(merged, "{said}");
    assert_eq!(env.run("consent check --strict").code, Some(0));
    let in_order: Vec<String> = env
        .read("consents.toml")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("recipe = ")?.trim_matches('"').to_owned()))
        .collect();
    assert_eq!(in_order, names);

    // At one place they conflict, and nothing is believed until somebody has chosen.
    for name in ["beta1", "beta2"] {
        env.write(&format!("recipes/{name}.toml"), joins(name, "docker"));
    }
    commit(&env, "more");
    assert!(git(&env, &["branch", "-f", "main", "bob"]).0);
    branch("cat", "beta1");
    branch("dan", "beta2");
    assert!(!git(&env, &["merge", "-q", "--no-edit", "cat"]).0);
    let said = env.run("consent check");
    assert_eq!(said.code, Some(3));
    assert!(said.stderr.contains("merge conflict"), "{}", said.stderr);
    // One side is taken, and what the other granted is granted again.
    assert!(git(&env, &["checkout", "-q", "--ours", "consents.toml"]).0);
    assert_eq!(refused(&env).len(), 1);
    assert_eq!(grant(&env, "beta1").code, Some(0));
    assert_eq!(env.run("consent check --strict").code, Some(0));
}

#[test]
fn revisions_are_compared_by_what_only_root_may_do() {
    let env = project().with("recipes/other.toml", joins("other", "audio"));
    begin(&env);
    assert_eq!(
        env.run("consent diff main").whole(),
        "exit 0\n--- stdout\nnothing above ordinary changed\n"
    );
    let changed = ENGINE
        .replace("group = \"docker\"", "group = \"sudo\"")
        .replace("9DC858229FC7DD38", "0DC858229FC7DD38")
        .replace(
            "packages = [\"engine\"]",
            "packages = [\"engine\", \"more\"]",
        );
    env.write("recipes/engine.toml", changed);
    std::fs::remove_file(env.path("recipes/other.toml")).expect("it was there");
    insta::assert_snapshot!("diff", env.run("consent diff main").whole());
    commit(&env, "two");
    let document = env.run("consent diff main~1 main --format json").json();
    let mut changes: Vec<String> = document["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["is"]["risk"] != "ordinary")
        .map(|row| {
            format!("{} {}", row["change"], row["is"]["operation"]["subject"]).replace('"', "")
        })
        .collect();
    changes.sort();
    assert_eq!(
        changes,
        [
            "added 0DC858229FC7DD38854AE2D88D81803C0EBFCD88 -> https://a.test/debian",
            "added dev -> sudo",
            "changed https://a.test/debian",
            "removed 9DC858229FC7DD38854AE2D88D81803C0EBFCD88 -> https://a.test/debian",
            "removed dev -> audio",
            "removed dev -> docker",
        ]
    );
    let said = env.run("consent list other --at main~1");
    assert!(said.stdout.contains("dev -> audio"), "{}", said.stdout);
    for bad in [
        "consent diff nowhere",
        "consent diff --help=x",
        "consent list --at main other",
        "consent list --at main ./x",
        "consent list --at --all",
    ] {
        assert_eq!(env.run(bad).code, Some(2), "{bad}");
    }
    let said = project().run("consent diff main");
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("not a git repository"),
        "{}",
        said.stderr
    );
    // In a folder below the repository's root, too.
    let nested = TestEnv::empty().with("sub/assay.toml", "targets = [\"arch\"]\n");
    nested.write("sub/recipes/x.toml", joins("x", "docker"));
    begin(&nested);
    nested.write("sub/recipes/x.toml", joins("x", "sudo"));
    let output = nested
        .command(&["consent", "diff", "main"])
        .current_dir(nested.path("sub"))
        .output();
    let said = nested.said(output.expect("assay starts"));
    assert!(said.stdout.contains("dev -> sudo"), "{}", said.whole());
}

#[test]
fn a_ledger_that_cannot_be_read_is_no_consent() {
    let env = project();
    assert_eq!(grant(&env, "engine").code, Some(0));
    let ledger = env.read("consents.toml");
    for (bad, said_to_be) in [
        (ledger.replace("sha256:", "sha1:"), "invalid-consent-digest"),
        (
            ledger.replace("group.member", "group.membr"),
            "unknown-word",
        ),
        (format!("{ledger}{ledger}"), "duplicate-consent"),
        (ledger.replace("on = ", "on = 20"), "syntax"),
        (format!("<<<<<<< HEAD\n{ledger}"), "merge-conflict"),
        (format!("{ledger}\nallow = true\n"), "unknown-key"),
        (
            format!("{ledger}\n#{}", "x".repeat(5 << 20)),
            "file-too-large",
        ),
    ] {
        env.write("consents.toml", bad);
        let said = env.run("consent check");
        assert_eq!(said.code, Some(3), "{said_to_be}");
        assert!(
            said.stderr.contains(&format!("error[{said_to_be}]")),
            "{said_to_be}: {}",
            said.stderr
        );
    }
    env.write(
        "consents.toml",
        ledger.replace("it is right", "\\u009b31m\\u202e"),
    );
    let said = env.run("consent list");
    said.assert_harmless();
    assert_eq!(said.code, Some(3));
}

#[test]
fn outside_a_project_there_is_a_list_and_no_ledger() {
    let env = TestEnv::empty().with("engine.toml", ENGINE);
    let said = env.run("consent list engine.toml --on arch");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("dev -> docker"));
    for line in [
        "consent check engine.toml",
        "consent revoke engine",
        "consent diff main",
    ] {
        assert_eq!(env.run(line).code, Some(2), "{line}");
    }
    let env = project().with("drafts/engine.toml", ENGINE);
    assert_eq!(env.run("consent check drafts/engine.toml").code, Some(2));
}

#[test]
fn a_plan_shows_what_only_root_may_do_the_gravest_first() {
    let env = project();
    let said = env.run("plan engine --on debian-12");
    let (_, section) = said.stdout.split_once("\nprivileged\n").expect("a section");
    insta::assert_snapshot!("section_of_a_plan", section);
    let document = env.run("plan engine --on arch --format json").json();
    let plan = &document["plans"][0];
    let declared = plan["plan"]["declared"].as_array().expect("a list");
    let rated = plan["privileged"].as_array().expect("a list");
    assert_eq!(declared.len(), rated.len());
    let member = declared
        .iter()
        .position(|one| one["subject"] == "dev -> docker");
    let rated = &rated[member.expect("it joins a group")];
    assert_eq!(rated["risk"], "root-equivalent");
    assert_eq!(rated["attack"]["technique"], "T1098.007");
    // A review of a snapshot shows it, without a risk: that is not the plan's.
    env.run("snapshot accept");
    let snapshot = env.read("snapshots/plans/engine/arch.snap");
    assert!(snapshot.contains("privileged\n    engine#join  group.member  dev -> docker\n"));
    let json = env.run("consent list --format json").json();
    assert_eq!(json["operations"].as_array().map(Vec::len), Some(10));
}

#[test]
fn the_suites_own_ledger_grants_all_of_it_and_nothing_else() {
    let env = TestEnv::empty();
    let mut command = env.command(&["consent", "check", "--strict"]);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let said = env.said(output.expect("assay starts"));
    assert_eq!(said.code, Some(0), "{}", said.whole());
}
