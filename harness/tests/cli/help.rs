//! `--help` of every verb, and `explain` of every code.

use crate::env::TestEnv;

#[test]
fn every_verb_has_a_help() {
    let env = TestEnv::empty();
    let verbs = [
        "",
        "check",
        "explain",
        "plan",
        "snapshot",
        "snapshot check",
        "snapshot accept",
        "consent",
        "consent list",
        "consent grant",
        "consent revoke",
        "consent check",
        "consent diff",
        "test",
        "report",
        "shell",
        "images",
        "images build",
        "images list",
        "images pull",
        "images verify",
        "images prune",
        "store",
        "store list",
        "store verify",
        "store prune",
        "doctor",
        "schema",
        "new",
        "migrate",
        "completions",
    ];
    for verb in verbs {
        let said = env.run(&format!("{verb} --help"));
        let name = if verb.is_empty() {
            "assay".to_owned()
        } else {
            verb.replace(' ', "-")
        };
        insta::assert_snapshot!(format!("help-{name}"), said.whole());
        said.assert_harmless();
    }
}

#[test]
fn a_wrong_command_line_is_exit_2_with_advice() {
    let env = TestEnv::project();
    let mut all = String::new();
    for line in [
        "",
        "chek",
        "plan --on",
        "plan --format yaml",
        "plan --format junit",
        "test --list --format markdown",
        "schema recipes",
        "new",
        "new A",
        "new ../x",
        "migrate",
        "completions tcl",
        "completions bash --format json",
        "check -q -v",
        "test --jobs 0",
        "test --jobs x",
        "test --timeout 5",
        "test --timeout 0s",
        "test --timeout 9999h",
        "shell",
        "snapshot",
        "explain a b",
    ] {
        let said = env.run(line);
        assert_eq!(said.code, Some(2), "{line}");
        assert_eq!(said.stdout, "", "{line}");
        all += &format!("# assay {line}\n{}\n", said.stderr);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn every_code_is_explained() {
    let env = TestEnv::empty();
    insta::assert_snapshot!(env.run("explain").whole());
    let document = env.run("explain --format json").json();
    let codes: Vec<&str> = document["codes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["code"].as_str().expect("a code"))
        .collect();
    for expected in [
        "option-injection",
        "distro-takes-away",
        "unknown-dependency",
        "unmatched-expectation",
    ] {
        assert!(codes.contains(&expected), "{expected}");
    }
    for code in codes {
        let said = env.run_words(&["explain", code]);
        assert_eq!(said.code, Some(0), "{code}");
        assert!(said.stdout.starts_with(&format!("{code} (")), "{code}");
        said.assert_harmless();
    }
}

#[test]
fn one_code_of_each_kind() {
    let env = TestEnv::empty();
    for code in [
        "option-injection",
        "distro-takes-away",
        "unmatched-expectation",
    ] {
        insta::assert_snapshot!(
            format!("explain-{code}"),
            env.run_words(&["explain", code]).whole()
        );
    }
    insta::assert_snapshot!("explain-near", env.run("explain Unknown-Actoin").whole());
    insta::assert_snapshot!(
        "explain-unknown",
        env.run_words(&["explain", "no-such\u{1b}[2J"]).whole()
    );
    let said = env.run("explain option-injection --format json");
    insta::assert_snapshot!("explain-json", said.whole());
}
