//! `consent … --from RUN`: what came with packages is listed, checked, granted, revoked and compared as a
//! journal shows it, by the ledger of now.

mod journals;

use assay_testkit::Log;
use assay_testkit::log::planned;
use assay_wire::consent::Policy;
use assay_wire::event::{CellEnded, ConsentBasis, Ending, RunStarted};
use assay_wire::lock::Network;

use crate::consent::{begin, commit, git, timeless};
use crate::env::{Said, TestEnv};
use journals::{Brings, ENGINE, HELPER, UPGRADED, cell, journal, keep, plan, project, recipe};

const RUN: &str = "20260301-120000-c0ffee";
const OTHER: &str = "20260302-120000-c0ffee";

/// The words that grant all that a run lacks, by digests.
fn granting(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let document = env.run(&format!("consent check --from {RUN} --format json"));
    let document = document.json();
    let rows = document["refused"].as_array().expect("a list");
    let mut all: Vec<String> = [
        "consent",
        "grant",
        "--from",
        RUN,
        "--yes",
        "--by",
        "ann@example.org",
    ]
    .iter()
    .chain(words)
    .map(ToString::to_string)
    .collect();
    for row in rows {
        let digest = row["digest"].as_str().expect("a digest");
        all.extend(["--digest".to_owned(), digest.to_owned()]);
    }
    all
}

fn grant(env: &TestEnv, words: &[&str]) -> Said {
    env.run_words(&granting(env, words))
}

#[test]
fn what_came_with_packages_from_missing_to_granted_to_changed_to_revoked() {
    let env = project();
    keep(&env, RUN, &journal(&env, &[&HELPER, &ENGINE], &[]));
    insta::assert_snapshot!("list", env.run("consent list --from latest").whole());
    let said = env.run(&format!("consent check --from {RUN}"));
    insta::assert_snapshot!("missing", said.whole());
    assert_eq!(said.code, Some(6));
    // Of the plans alone, one is missing.
    let document = env.run("consent check --format json").json();
    assert_eq!(document["refused"].as_array().map(Vec::len), Some(1));

    let said = grant(
        &env,
        &[
            "--note",
            "what it is for",
            "--note-for",
            "engine-*",
            "it opens the socket",
        ],
    );
    insta::assert_snapshot!("granted", said.whole());
    assert_eq!(said.code, Some(0));
    let ledger = env.read("consents.toml");
    let day = ledger.lines().find_map(|line| line.strip_prefix("on = "));
    insta::assert_snapshot!("ledger", ledger.replace(day.expect("an entry"), "[today]"));
    for line in [
        "consent check --strict --from latest",
        "consent check --strict",
    ] {
        let said = env.run(line);
        assert_eq!(said.code, Some(0), "{line}: {}", said.whole());
    }
    insta::assert_snapshot!("nothing_lacks", env.run("consent check").whole());

    // An upgrade brings something else, and only that is asked for.
    keep(&env, OTHER, &journal(&env, &[&HELPER, &UPGRADED], &[]));
    let said = env.run(&format!("consent check --from {OTHER}"));
    insta::assert_snapshot!("changed", timeless(&env, &said));
    assert_eq!(said.code, Some(6));
    let said = env.run(&format!("consent diff {RUN} latest"));
    insta::assert_snapshot!("diff", timeless(&env, &said));
    let same = env.run(&format!("consent diff {RUN} .assay/runs/{RUN}"));
    assert_eq!(
        same.whole(),
        "exit 0\n--- stdout\nnothing above ordinary changed\n"
    );
    let json = env
        .run(&format!("consent diff {RUN} {OTHER} --format json"))
        .json();
    assert_eq!(json["changes"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["changes"][0]["change"], "changed");

    // What no cell uses any more is revoked by a run alone.
    keep(&env, OTHER, &journal(&env, &[&ENGINE], &[]));
    assert_eq!(env.run("consent revoke --stale").code, Some(0));
    assert_eq!(env.read("consents.toml"), ledger);
    let said = env.run("consent check --strict --from latest");
    insta::assert_snapshot!("stale", said.whole());
    assert_eq!(said.code, Some(6));
    let said = env.run("consent revoke --stale --from latest");
    assert!(
        said.stdout.contains("accompanying  engine-helper"),
        "{}",
        said.whole()
    );
    assert_eq!(
        env.run("consent check --strict --from latest").code,
        Some(0)
    );
}

#[test]
fn two_people_who_grant_what_packages_bring_merge() {
    let env = TestEnv::empty().with("assay.toml", "targets = [\"debian-12\"]\n");
    let names = ["alpha", "beta", "gamma", "omega"];
    let mut log = Log::new();
    for name in names {
        env.write(&format!("recipes/{name}.toml"), recipe(name));
    }
    for name in names {
        let id = format!("debian-12:{name}");
        log = cell(log, &env, &id, &[&HELPER, &ENGINE], &[]);
    }
    keep(&env, RUN, &log.end().journal());
    env.write(".gitignore", ".assay/\n");
    let grant = |recipe: &str| {
        let check = env.run(&format!(
            "consent check {recipe} --from {RUN} --format json"
        ));
        let check = check.json();
        let rows = check["refused"].as_array().expect("a list");
        assert_eq!(rows.len(), 3, "{recipe}");
        let digests = rows.iter().map(|row| {
            let digest = row["digest"].as_str().expect("a digest");
            format!(" --digest {digest}")
        });
        let said = env.run(&format!(
            "consent grant {recipe} --from {RUN} --yes --note right --by ann@example.org{}",
            digests.collect::<String>()
        ));
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    };
    grant("beta");
    grant("gamma");
    begin(&env);
    for (branch, recipe) in [("ann", "alpha"), ("bob", "omega")] {
        assert!(git(&env, &["checkout", "-qb", branch, "main"]).0);
        grant(recipe);
        commit(&env, branch);
    }
    let (merged, said) = git(&env, &["merge", "-q", "--no-edit", "ann"]);
    assert!(merged, "{said}");
    let said = env.run(&format!("consent check --strict --from {RUN}"));
    assert_eq!(said.code, Some(0), "{}", said.whole());
    let ledger = env.read("consents.toml");
    let recipes = ledger
        .lines()
        .filter_map(|line| line.strip_prefix("recipe = "));
    let mut in_order: Vec<&str> = recipes.map(|name| name.trim_matches('"')).collect();
    in_order.dedup();
    assert_eq!(in_order, names);
}

#[test]
fn comments_and_order_of_a_ledger_stay() {
    let env = project();
    let foreign = "# Reviewed by the board.\n\n[[consent]]\n# zsh asks for it\nrecipe = 'zsh'\n\
        kind = 'group.member'\ntargets = ['arch']\nsubject = 'dev -> audio'\nnote = 'sound'\n\
        digest = 'sha256:1111111111111111111111111111111111111111111111111111111111111111'\n\
        on = 2026-01-01\nby = 'bob@example.org'\n\n# the end\n";
    env.write("consents.toml", foreign);
    keep(&env, RUN, &journal(&env, &[&HELPER, &ENGINE], &[]));
    assert_eq!(grant(&env, &["--note", "right"]).code, Some(0));
    let granted = env.read("consents.toml");
    let at = granted
        .find("[[consent]]\n# zsh")
        .expect("it stays as it was");
    assert!(granted.starts_with("# Reviewed by the board.\n\n[[consent]]\nrecipe = \"engine\""));
    assert_eq!(
        granted[at..],
        foreign[foreign.find("[[consent]]").expect("it is there")..]
    );
    assert_eq!(env.run("consent revoke engine").code, Some(0));
    assert_eq!(env.read("consents.toml"), foreign);
}

#[test]
fn what_nobody_declared_is_listed_and_never_granted() {
    let env = project();
    keep(&env, RUN, &journal(&env, &[&HELPER], &["/etc/cron.d/evil"]));
    let said = env.run("consent check --from latest");
    insta::assert_snapshot!("undeclared", said.whole());
    assert_eq!(said.code, Some(7));
    let said = grant(&env, &["--note", "right"]);
    assert_eq!(said.code, Some(0), "{}", said.whole());
    assert!(said.stdout.contains("NOT DECLARED"), "{}", said.stdout);
    assert!(!env.read("consents.toml").contains("evil"));
    let said = env.run("consent check --from latest");
    assert_eq!(said.code, Some(7), "{}", said.whole());
    let said =
        env.run("consent grant --from latest --note right --by ann@example.org --format json");
    assert_eq!(said.code, Some(7), "nothing is left that can be granted");
    let document = said.json();
    assert_eq!(document["granted"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        document["undeclared"][0]["operation"]["kind"]["cron"]["file"],
        "/etc/cron.d/evil"
    );
    // A reviewer sees what is new of it.
    keep(
        &env,
        OTHER,
        &journal(&env, &[&HELPER], &["/etc/cron.d/evil", "/etc/cron.d/worse"]),
    );
    let said = env.run(&format!("consent diff {RUN} {OTHER}"));
    insta::assert_snapshot!("diff_undeclared", said.whole());
}

#[test]
fn what_the_policy_forbids_in_a_set_is_named_and_cannot_be_granted() {
    let env = project();
    keep(&env, RUN, &journal(&env, &[&HELPER, &ENGINE], &[]));
    let policy =
        "targets = [\"debian-12\", \"debian-13\"]\n[policy]\nforbidden_kinds = [\"cron\"]\n";
    env.write("assay.toml", policy);
    let said = env.run("consent check --from latest");
    insta::assert_snapshot!("forbidden", said.whole());
    assert_eq!(said.code, Some(6));
    let one =
        env.run("consent grant --from latest --subject engine --note right --by ann@example.org");
    insta::assert_snapshot!("forbidden_cannot_be_granted", one.whole());
    // The rest can.
    assert_eq!(
        env.run("consent grant --from latest --note right --by ann@example.org")
            .code,
        Some(6)
    );
    let document = env
        .run(&format!("consent check --from {RUN} --format json"))
        .json();
    let rows = document["refused"].as_array().expect("a list").iter();
    let can = rows.filter(|row| row["standing"] == "missing");
    let words: String = can
        .map(|row| format!(" --digest {}", row["digest"].as_str().expect("a digest")))
        .collect();
    let said = env.run(&format!(
        "consent grant --from {RUN} --yes --note right --by ann@example.org{words}"
    ));
    assert_eq!(said.code, Some(0), "{}", said.whole());
    assert_eq!(env.run("consent check --from latest").code, Some(6));
    env.write("assay.toml", "targets = [\"debian-12\", \"debian-13\"]\n");
    let said = env.run("consent check --from latest");
    assert!(said.stdout.contains("not granted"), "{}", said.whole());
}

#[test]
fn what_has_expired_is_asked_for_again() {
    let env = project();
    keep(&env, RUN, &journal(&env, &[&HELPER], &[]));
    assert_eq!(grant(&env, &["--note", "right"]).code, Some(0));
    let ledger = env.read("consents.toml");
    let old = ledger.lines().map(|line| match line.starts_with("on = ") {
        true => "on = 2001-01-01\nexpires = 2001-12-31\n".to_owned(),
        false => format!("{line}\n"),
    });
    env.write("consents.toml", old.collect::<String>());
    let said = env.run("consent check --from latest");
    insta::assert_snapshot!("expired", said.whole());
    assert_eq!(said.code, Some(6));
    assert_eq!(grant(&env, &["--note", "right"]).code, Some(0));
    assert!(
        !env.read("consents.toml").contains("2001"),
        "it is replaced"
    );
    assert_eq!(
        env.run("consent check --strict --from latest").code,
        Some(0)
    );
}

#[test]
fn only_whole_runs_of_the_recipes_as_they_are_can_be_granted_from() {
    let env = project();
    let whole = journal(&env, &[&HELPER], &[]);
    let grant_from = |run: &str| {
        env.run(&format!(
            "consent grant --from {run} --note right --by ann@example.org"
        ))
    };
    let mut all = String::new();
    let mut refused = |name: &str, said: &Said, code: i32| {
        said.assert_harmless();
        assert_eq!(said.code, Some(code), "{name}: {}", said.whole());
        all += &format!("# {name}\n{}", said.stderr);
    };
    refused("no run", &grant_from("latest"), 2);
    let (cut, _) = whole.trim_end().rsplit_once('\n').expect("several lines");
    keep(&env, RUN, &format!("{cut}\n"));
    refused("no end", &grant_from("latest"), 2);
    keep(
        &env,
        RUN,
        &whole.replace("\"interrupted\":false", "\"interrupted\":true"),
    );
    refused("interrupted", &grant_from(RUN), 2);
    keep(&env, RUN, &whole);
    let said = env.run("consent grant engin --from latest --note right --by ann@example.org");
    refused("another recipe", &said, 2);
    let said = env.run("consent check --from latest --on arch");
    refused("another target", &said, 2);
    let said = env.run("consent check --from ../../etc/passwd");
    refused("no journal", &said, 2);
    for words in [
        "--note-for helper right",
        "--subject engine-helpr --note right",
        "--note-for engine-helper right",
        "--note-for engine-helper",
        "",
    ] {
        let line = format!("consent grant --from latest --by ann@example.org {words}");
        refused(words, &env.run(line.trim_end()), 2);
    }
    env.write(
        "recipes/engine.toml",
        recipe("engine").replace("docker", "sudo"),
    );
    refused("changed since", &grant_from("latest"), 2);
    assert_eq!(
        env.run("consent list --from latest").code,
        Some(0),
        "it can be looked at"
    );
    std::fs::remove_file(env.path("recipes/engine.toml")).expect("it was there");
    refused("gone", &grant_from("latest"), 2);
    insta::assert_snapshot!(
        "refused",
        all.replace(&*env.path("").to_string_lossy(), "[work]/")
    );
    assert!(!env.path("consents.toml").exists());
}

#[test]
fn cells_that_show_less_than_all_they_do_are_named() {
    let env = project();
    env.write(
        "assay.toml",
        "targets = [\"debian-12\", \"debian-13\", \"ubuntu-24.04\"]\n",
    );
    let log = cell(Log::new(), &env, "debian-12:engine", &[&HELPER], &[]);
    let begun = |log: Log, target: &str| {
        let plan = plan(&env, "engine", target);
        log.planned(&format!("{target}:engine"), planned(plan))
    };
    let not_run = |because: &str| CellEnded::NotRun {
        because: because.to_owned(),
    };
    let log = begun(log, "debian-13").ends(not_run("no image"));
    keep(&env, OTHER, &log.clone().end().journal());
    let log = begun(log, "ubuntu-24.04")
        .attempt(1)
        .op(1, Ending::Exited(100))
        .cross_checked(&[])
        .ends(CellEnded::Finished);
    keep(&env, RUN, &log.end().journal());
    let said = env.run(&format!("consent check --from {RUN}"));
    insta::assert_snapshot!("left_out", said.whole());
    assert_eq!(said.code, Some(6));
    assert_eq!(grant(&env, &["--note", "right"]).code, Some(0));
    let said = env.run(&format!("consent check --from {RUN}"));
    assert_eq!(
        said.code,
        Some(8),
        "a cell that did not run is no pass: {}",
        said.whole()
    );
    let json = env
        .run(&format!("consent check --from {RUN} --format json"))
        .json();
    assert_eq!(json["left_out"].as_array().map(Vec::len), Some(2));
    // What one of two runs does not show is not gone.
    keep(&env, OTHER, &journal(&env, &[&HELPER], &[]));
    let said = env.run(&format!("consent diff {OTHER} {RUN}"));
    insta::assert_snapshot!("diff_left_out", said.whole());
    // A gap is no pass, either.
    let log = cell(Log::new(), &env, "debian-12:engine", &[], &[]).end();
    let journal = log.journal();
    let gap = journal.replace("\"unseen\":[]", "\"unseen\":[\"/usr/bin/x\"]");
    keep(&env, RUN, &gap);
    let said = env.run(&format!("consent check --from {RUN}"));
    assert_eq!(said.code, Some(7), "{}", said.whole());
    assert!(
        said.stderr
            .contains("not captured in full: debian-12:engine"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_package_that_no_ledger_can_hold_is_refused() {
    const HOSTILE: Brings = Brings {
        package: "a\u{202e}b\n[[consent]]",
        paths: &[("/usr/bin/a\u{202e}\n\"]", 0o4755)],
    };
    let env = project();
    keep(&env, RUN, &journal(&env, &[&HOSTILE], &[]));
    let said = env.run("consent check --from latest");
    said.assert_harmless();
    let said = grant(&env, &["--note", "right"]);
    said.assert_harmless();
    insta::assert_snapshot!("no_ledger_can_hold_it", said.stderr);
    assert_eq!(said.code, Some(6));
    assert!(!env.path("consents.toml").exists());
}

#[test]
fn a_run_ends_with_6_as_its_journal_says_whatever_the_ledger_is_now() {
    let env = project();
    let judged = |ledger: &str| {
        let parsed = assay_recipe::parse_consents(ledger)
            .value
            .expect("a ledger");
        let consents = ConsentBasis {
            ledger: parsed.consents(),
            policy: Policy::default(),
            today: "2026-03-01".to_owned(),
        };
        let log = Log::started(RunStarted {
            harness: "0.1.0".to_owned(),
            started: "2026-03-01T12:00:00Z".to_owned(),
            arguments: vec!["test".to_owned()],
            project: Some(".".to_owned()),
            allow_unmet_needs: false,
            network: Network::Live,
            consents: Some(consents),
        });
        let log = cell(log, &env, "debian-12:engine", &[&HELPER], &[]);
        cell(log, &env, "debian-13:engine", &[&HELPER], &[])
            .end()
            .journal()
    };
    keep(&env, RUN, &judged(""));
    let said = env.run("report");
    insta::assert_snapshot!("report", said.whole());
    assert_eq!(said.code, Some(6));
    assert_eq!(grant(&env, &["--note", "right"]).code, Some(0));
    assert_eq!(env.run("report").code, Some(6), "the run had no ledger");
    let ledger = env.read("consents.toml");
    let stale = ledger.replacen(
        "subject = \"engine-helper\"",
        "subject = \"engine-hinder\"",
        1,
    );
    keep(&env, RUN, &judged(&ledger));
    assert_eq!(env.run("report").code, Some(0));
    keep(
        &env,
        RUN,
        &judged(&format!("{ledger}\n{}", stale_entry(&stale))),
    );
    let said = env.run("report");
    assert_eq!(said.code, Some(0), "what is stale fails nothing");
    assert!(said.stdout.contains("engine-hinder"), "{}", said.stdout);
    let json = env.run("report --format json").json();
    assert_eq!(json["cells"][0]["delta"]["stale"][0], 2);
}

/// The entry of a ledger that speaks of a package.
fn stale_entry(ledger: &str) -> String {
    let mut entries = ledger.split("[[consent]]");
    let entry = entries.find(|entry| entry.contains("engine-hinder"));
    format!("[[consent]]{}", entry.expect("an entry"))
}
