//! What is put in is taken out again to the byte; the order of grants does not matter.

use assay_wire::digest::Digest;
use assay_wire::privileged::KindName;
use proptest::prelude::*;

use super::*;

fn consent(recipe: &str, subject: &str, targets: &[&str]) -> Consent {
    Consent {
        recipe: recipe.parse().expect("a name"),
        targets: targets
            .iter()
            .map(|target| target.parse().expect("a name"))
            .collect(),
        kind: KindName::GroupMember,
        subject: subject.to_owned(),
        digest: Digest::of(subject.as_bytes()),
        note: "a \"note\" with \\ in it".to_owned(),
        by: "ann@example.org".to_owned(),
        on: "2026-11-20".to_owned(),
        expires: None,
        operations: Vec::new(),
    }
}

/// What a package brings: so many parts.
fn brings(recipe: &str, package: &str, targets: &[&str], parts: usize) -> Consent {
    Consent {
        kind: KindName::Accompanying,
        operations: (0..parts)
            .map(|part| format!("file.setuid /usr/bin/\"{part:04}\" 4755 root"))
            .collect(),
        ..consent(recipe, package, targets)
    }
}

const REVIEWED: &str = include_str!("../../../tests/good/consents.toml");

#[test]
fn an_entry_is_as_the_documents_show_it() {
    let entry = Consent {
        expires: Some("2027-11-20".to_owned()),
        ..consent("docker", "dev -> docker", &["debian-12", "arch"])
    };
    let text = add_consent("", &entry).expect("an empty ledger");
    insta::assert_snapshot!(text);
    let read = parse_consents(&text).value.expect("a ledger");
    assert_eq!(read.consents(), [entry]);
}

#[test]
fn parts_of_what_a_package_brings_have_a_line_each() {
    let entry = brings("nginx", "nginx-common", &["debian-12"], 2);
    let text = add_consent("", &entry).expect("an empty ledger");
    insta::assert_snapshot!(text);
    let read = parse_consents(&text).value.expect("a ledger");
    assert_eq!(read.consents(), std::slice::from_ref(&entry));
    // An added part is an added line.
    let more = brings("nginx", "nginx-common", &["debian-12"], 3);
    let more = add_consent("", &more).expect("an empty ledger");
    let lines: Vec<&str> = text.lines().collect();
    let new = more.lines().filter(|line| !lines.contains(line)).count();
    assert_eq!((new, more.lines().count()), (1, lines.len() + 1));
    // As many as are read, and no more.
    for (parts, reads) in [(5_000, true), (5_001, false)] {
        let text = render(&brings("a", "a", &["arch"], parts), "\n");
        assert_eq!(parse_consents(&text).value.is_some(), reads, "{parts}");
    }
}

#[test]
fn a_list_that_comes_last_is_of_its_entry() {
    let first = render(&brings("a", "x", &["arch"], 2), "\n");
    let (before, list) = first.split_once("operations").expect("it is there");
    let (list, after) = list.split_once("\n]\n").expect("it is closed");
    let first = format!("{before}{after}\noperations{list}\n    # the end\n]\n");
    let text = format!("{first}\n{}\n", render(&consent("c", "x", &["arch"]), "\n"));
    let entry = brings("b", "x", &["arch"], 1);
    let added = add_consent(&text, &entry).expect("a ledger");
    let read = parse_consents(&added).value.expect("still a ledger");
    let recipes: Vec<String> = read
        .consents()
        .iter()
        .map(|one| one.recipe.to_string())
        .collect();
    assert_eq!(recipes, ["a", "b", "c"], "{added}");
    assert_eq!(withdraw(&added, 1, &entry.targets), Some(text.clone()));
    let without = withdraw(&text, 0, &entry.targets).expect("a ledger");
    assert!(
        without.starts_with("[[consent]]\nrecipe = \"c\""),
        "{without}"
    );
}

#[test]
fn comments_and_order_stay_and_the_place_is_that_of_its_name() {
    let podman = consent("podman", "dev -> podman", &["arch"]);
    let added = add_consent(REVIEWED, &podman).expect("a ledger");
    let (before, after) = added
        .split_once("[[consent]]\nrecipe = \"podman\"")
        .expect("it is there");
    assert!(before.ends_with("# --- others ---\n\n"));
    assert!(after.contains("on = 2026-11-20\n\n[[consent]]\nrecipe = \"zsh\""));
    // What stands right above an entry belongs to it.
    let ansible = consent("ansible", "dev -> ansible", &["arch"]);
    let added = add_consent(REVIEWED, &ansible).expect("a ledger");
    let at = added.find("recipe = \"ansible\"").expect("it is there");
    assert!(at < added.find("# docker is asked").expect("it stayed"));
    assert!(at > added.find("# --- engines").expect("it stayed"));
}

#[test]
fn targets_are_withdrawn_one_by_one() {
    let arch = ["arch".parse().expect("a name")];
    let fewer = withdraw(REVIEWED, 0, &arch).expect("a ledger");
    assert!(fewer.contains("targets = [\"debian-12\"]\nrecipe = 'docker'"));
    let debian = ["debian-12".parse().expect("a name")];
    let without = withdraw(&fewer, 0, &debian).expect("a ledger");
    assert_eq!(
        without,
        REVIEWED.replace(
            &REVIEWED[REVIEWED.find("# docker is").expect("it is there")
                ..REVIEWED.find("# --- others").expect("it is there")],
            ""
        )
    );
    assert_eq!(withdraw(REVIEWED, 2, &arch), None);
    let last = withdraw(REVIEWED, 1, &arch).expect("a ledger");
    assert!(last.ends_with("# --- others ---\n\n# the end\n"));
}

#[test]
fn what_looks_like_a_comment_in_a_value_is_none() {
    let first = render(&consent("a", "x", &["arch"]), "\n");
    let lines = first.lines().filter(|line| !line.starts_with("note"));
    let first: String = lines.map(|line| format!("{line}\n")).collect();
    let note = format!("{first}note = \"\"\"\n# no comment\"\"\"\n");
    let text = format!("{note}{}\n", render(&consent("c", "x", &["arch"]), "\n"));
    let entry = consent("b", "x", &["arch"]);
    let added = add_consent(&text, &entry).expect("a ledger");
    let read = parse_consents(&added).value.expect("still a ledger");
    assert_eq!(read.entries.len(), 3, "{added}");
    assert_eq!(withdraw(&added, 1, &entry.targets), Some(text));
}

#[test]
fn what_is_no_ledger_is_not_written() {
    let entry = consent("a", "a", &["arch"]);
    for bad in ["x", "[[consent]]\n", "consents = 1\n", "<<<<<<< HEAD\n"] {
        assert_eq!(add_consent(bad, &entry), None, "{bad}");
        assert_eq!(withdraw(bad, 0, &entry.targets), None, "{bad}");
    }
}

/// Entries that differ in what they are sorted by.
fn entries() -> impl Strategy<Value = Vec<Consent>> {
    let one = ("[a-c]", prop::bool::ANY, "[a-d]");
    prop::collection::btree_set(one, 1..8).prop_map(|names| {
        let entry = |(recipe, is_set, subject): &(String, bool, String)| {
            entry(recipe, *is_set, subject, &["arch", "debian-12"])
        };
        let mut entries: Vec<Consent> = names.iter().map(entry).collect();
        entries.sort_by(|one, other| order(one).cmp(&order(other)));
        entries
    })
}

fn entry(recipe: &str, is_set: bool, subject: &str, targets: &[&str]) -> Consent {
    match is_set {
        true => brings(recipe, subject, targets, 3),
        false => consent(recipe, subject, targets),
    }
}

proptest! {
    #[test]
    fn grant_then_revoke_gives_the_bytes_back(
        entries in entries(),
        before in "(# [a-z]{0,5}\n|\n){0,4}",
        between in prop::collection::vec("(\n|# [a-z]{0,5}\n){0,3}", 8),
        ending in prop_oneof![Just(""), Just("\n"), Just("\n\n"), Just("\n# end"), Just(" # end\n")],
        crlf: bool,
        new in ("[a-d]", prop::bool::ANY, "[e-h]"),
    ) {
        let mut text = before;
        for (entry, comment) in entries.iter().zip(&between) {
            text.push_str(&render(entry, "\n"));
            text.push('\n');
            text.push_str(comment);
        }
        text.truncate(text.trim_end().len());
        text.push_str(ending);
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let entry = entry(&new.0, new.1, &new.2, &["arch"]);
        let added = add_consent(&text, &entry).expect("a ledger");
        let ledger = parse_consents(&added).value.expect("still a ledger");
        prop_assert_eq!(ledger.entries.len(), entries.len() + 1);
        let at = ledger.consents().iter().position(|one| *one == entry);
        let again = withdraw(&added, at.expect("it is there"), &entry.targets);
        prop_assert_eq!(again, Some(text));
    }

    #[test]
    fn the_order_of_grants_does_not_matter((entries, order) in entries().prop_flat_map(|entries| {
        let order = Just(entries.clone()).prop_shuffle();
        (Just(entries), order)
    })) {
        let grant = |entries: &[Consent]| {
            entries.iter().fold(String::new(), |text, entry| {
                add_consent(&text, entry).expect("a ledger")
            })
        };
        let sorted = grant(&entries);
        prop_assert_eq!(&grant(&order), &sorted);
        let read = parse_consents(&sorted).value.expect("a ledger");
        prop_assert_eq!(read.consents(), entries);
    }

    #[test]
    fn no_text_panics(text in "(\\[\\[consent\\]\\]|recipe|targets|operations|=|\"a\"|\n|#|\u{feff}|\\[|\\]){0,30}") {
        if let Some(ledger) = parse_consents(&text).value {
            for (at, entry) in ledger.entries.iter().enumerate() {
                let _ = withdraw(&text, at, &entry.consent.targets);
            }
        }
    }
}
