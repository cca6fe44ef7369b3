//! Pins in texts of every layout.

use proptest::prelude::*;

use super::*;

const TEXT: &str = r#"# Top.
[metadata]
name = "x"

[[steps]]
id = "repo"
action = "apt_repo" # a comment
  key_url = "https://a.test/{distro}.asc" # behind the URL
url = "https://a.test"

[[steps]]
action = "download"
url = "https://a.test/f"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" # old
dest = "/opt/f"
"#;

fn new(bytes: &[u8], fingerprints: Option<&str>) -> NewPin {
    NewPin {
        sha256: Some(Digest::of(bytes)),
        fingerprints: fingerprints.map(|one| vec![one.to_owned()]),
    }
}

#[test]
fn pins_are_found_and_written_and_everything_else_stays() {
    let found = pins(TEXT).expect("TOML");
    let told: Vec<_> = found
        .iter()
        .map(|pin| (pin.step.as_str(), pin.kind, pin.origin.value.as_str()))
        .collect();
    let wanted = [
        ("repo", PinKind::Key, "https://a.test/{distro}.asc"),
        ("2", PinKind::File, "https://a.test/f"),
    ];
    assert_eq!(told, wanted);
    let print = "0123456789ABCDEF0123456789ABCDEF01234567";
    let changes = [
        (&found[0], new(b"key", Some(print))),
        (&found[1], new(b"file", None)),
    ];
    insta::assert_snapshot!(write(TEXT, &changes));
}

#[test]
fn tables_on_one_line_and_other_line_ends_keep_their_layout() {
    let inline = "steps = [\n  { action = \"download\", url = \"https://a.test/f\", dest = \"/opt/f\" },\n]\n";
    let found = pins(inline).expect("TOML");
    let written = write(inline, &[(&found[0], new(b"x", None))]);
    let hash = Digest::of(b"x");
    assert!(
        written.contains(&format!("/f\", sha256 = \"{hash}\", dest")),
        "{written}"
    );
    let crlf = TEXT.replace('\n', "\r\n");
    let found = pins(&crlf).expect("TOML");
    let written = write(&crlf, &[(&found[0], new(b"x", None))]);
    assert!(
        written.contains(&format!("URL\r\n  key_sha256 = \"{hash}\"\r\nurl")),
        "{written}"
    );
    let bare = "[[steps]]\naction = \"download\"\nurl = \"https://a.test/f\"";
    let found = pins(bare).expect("TOML");
    let written = write(bare, &[(&found[0], new(b"x", None))]);
    assert_eq!(written, format!("{bare}\nsha256 = \"{hash}\""));
}

#[test]
fn a_list_of_fingerprints_and_that_of_a_ppa_are_replaced() {
    let text = "[[steps]]\naction = \"dnf_repo\"\nkey_url = \"https://a.test/k\"\nkey_fingerprints = [\n  \"aa\",\n]\nbaseurl = \"x\"\n[[steps]]\naction = \"apt_ppa\"\nppa = \"a/b\"\n";
    let found = pins(text).expect("TOML");
    assert_eq!(
        found[0].fingerprints.as_ref().expect("a list").value,
        ["AA"]
    );
    let prints = NewPin {
        sha256: None,
        fingerprints: Some(vec!["BB".to_owned(), "CC".to_owned()]),
    };
    let written = write(text, &[(&found[0], prints.clone()), (&found[1], prints)]);
    assert!(
        written.contains("key_fingerprints = [\"BB\", \"CC\"]\nbaseurl"),
        "{written}"
    );
    assert!(
        written.ends_with("ppa = \"a/b\"\nkey_fingerprint = \"BB\"\n"),
        "{written}"
    );
}

#[test]
fn a_recipe_that_only_lacks_pins_parses_with_something_in_their_place() {
    let text = TEXT.replace("  key_url", "key_url");
    let parsed = crate::parse(Some("x"), &text);
    let errors: Vec<_> = parsed
        .diagnostics
        .iter()
        .filter(|one| one.severity == crate::Severity::Error)
        .collect();
    assert!(
        !errors.is_empty() && errors.iter().all(|one| is_unpinned(one)),
        "{errors:?}"
    );
    assert!(
        errors[0]
            .help
            .as_ref()
            .is_some_and(|help| help.contains("assay pin --write"))
    );
    let filled = stand_in(&text, &pins(&text).expect("TOML"));
    let parsed = crate::parse(Some("x"), &filled);
    assert!(parsed.value.is_some(), "{:?}", parsed.diagnostics);
}

#[test]
fn what_is_no_toml_is_told() {
    assert!(pins("[[steps").is_err());
}

proptest! {
    /// Whatever is written is found again, and pinning twice changes nothing.
    #[test]
    fn pinning_holds_and_pinning_again_changes_nothing(
        id in "[a-z]{1,8}",
        comment in "[ -~]{0,20}",
        inline in any::<bool>(),
        has_hash in any::<bool>(),
    ) {
        let hash = has_hash.then(|| format!("key_sha256 = \"{}\"", Digest::of(b"old")));
        let parts: Vec<String> = [
            Some(format!("id = \"{id}\"")),
            Some("action = \"apt_repo\"".to_owned()),
            Some("key_url = \"https://a.test/k\"".to_owned()),
            hash,
        ].into_iter().flatten().collect();
        let text = if inline {
            format!("# {comment}\nsteps = [{{ {} }}] # {comment}\n", parts.join(", "))
        } else {
            format!("[[steps]] # {comment}\n{}\n", parts.join(&format!(" # {comment}\n")))
        };
        let found = pins(&text).expect("TOML");
        let change = new(b"new", Some("AA"));
        let written = write(&text, &[(&found[0], change.clone())]);
        let again = pins(&written).expect("still TOML");
        prop_assert_eq!(&again[0].sha256.as_ref().expect("a hash").value, &Digest::of(b"new").to_string());
        prop_assert_eq!(&again[0].fingerprints.as_ref().expect("a list").value, &["AA"]);
        prop_assert_eq!(&again[0].step, &id);
        prop_assert_eq!(write(&written, &[(&again[0], change)]), written.clone());
        prop_assert_eq!(text.matches('#').count(), written.matches('#').count());
    }
}
