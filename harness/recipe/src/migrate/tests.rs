//! Old recipes and what becomes of them; and that what is written is a recipe.

use proptest::prelude::*;

use super::*;
use crate::{Code, Severity, parse};

const OLD: &str = include_str!("../../tests/migrate/old.toml");

fn migrated(text: &str) -> Migration {
    migrate(text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Errors of a recipe.
fn errors(text: &str) -> Vec<Diagnostic> {
    let found = parse(None, text).diagnostics.into_iter();
    found
        .filter(|one| one.severity == Severity::Error)
        .collect()
}

#[test]
fn an_old_recipe_in_full() {
    let done = migrated(OLD);
    insta::assert_snapshot!(format!(
        "{}\n# notes:\n# {}",
        done.text,
        done.notes.join("\n# ")
    ));
    assert_eq!(errors(&done.text), []);
    let again = migrated(&done.text);
    assert_eq!((again.steps, again.text), (0, done.text));
}

#[test]
fn every_other_byte_stays() {
    let text = "# first\n[metadata] # name\nname='x'\n\n# the old one\n  [[steps]]\naction = \"require_system\" # why\ncommand=\"jq\"\n# last\n\n\n[[check]]\nname = \"x\"\nargv = [ \"jq\" ]\n";
    let done = migrated(text);
    insta::assert_snapshot!(done.text);
    let windows = migrated(&text.replace('\n', "\r\n"));
    assert_eq!(windows.text, done.text.replace('\n', "\r\n"));
}

#[test]
fn a_list_of_inline_tables_stays_one() {
    let text = "steps = [\n  { action = \"require_system\", command = \"jq\", install_guide = { linux = \"apt install jq\" } }, # x\n  { action = \"manual\", text = \"y\" },\n]\n[metadata]\nname = \"x\"\n";
    let done = migrated(text);
    insta::assert_snapshot!(done.text);
    assert_eq!(errors(&done.text), []);
}

#[test]
fn a_step_in_several_pieces_is_left_alone() {
    let text = "[[steps]]\naction = \"require_system\"\n[metadata]\nname = \"x\"\n[steps.install_guide]\nlinux = \"apt install jq\"\n";
    let done = migrated(text);
    assert_eq!((done.steps, done.text.as_str()), (0, text));
    assert_eq!(done.notes.len(), 1);
}

#[test]
fn what_is_no_toml_is_refused() {
    for text in ["[[steps", "a = \n", &"[".repeat(10_000), "x = 1\nx = 2\n"] {
        assert!(migrate(text).is_err(), "{text}");
    }
}

#[test]
fn a_condition_of_its_own_is_kept() {
    let step = |when: &str, guide: &str| {
        let text = format!(
            "[metadata]\nname = \"x\"\n[[steps]]\naction = \"require_system\"\nwhen = {when}\ninstall_guide = {{ {guide} }}\n"
        );
        let done = migrated(&text);
        assert_eq!(errors(&done.text), [], "{}", done.text);
        let lines = done.text.lines().filter(|line| line.starts_with("when"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        step("{ os = [\"linux\", \"darwin\"] }", "linux = \"Look.\""),
        ["when = { os = [\"linux\"] }"]
    );
    assert_eq!(
        step("{ arch = \"amd64\" }", "linux = \"apt install jq\""),
        ["when = { arch = [\"amd64\"], linux_family = [\"debian\"] }"]
    );
    assert_eq!(
        step("{ os = \"darwin\" }", "linux = \"Look.\"").len(),
        0,
        "it never applied"
    );
}

proptest! {
    #[test]
    fn guides_of_all_kinds_become_recipes(
        key in "linux|darwin|macos|fedora|debian|arch|ubuntu|linux/amd64|default|[a-z]{1,6}",
        text in "(sudo )?(apt|apt-get|dnf|pacman|brew) (install|-S) (-y )?[a-z][a-z0-9+.-]{1,8}( && apt install [a-z]{2,4})?|[ -~]{1,40}|\\PC{1,20}",
        manager in "apt|dnf|pacman|brew|zypper|pip",
        names in prop::collection::vec("[a-z][a-z0-9]{1,6}|[ -~]{1,6}", 1..4),
        command in "[a-z]{1,8}",
    ) {
        let old = format!(
            "[metadata]\nname = \"x\"\n\n[[steps]]\naction = \"require_system\"\ncommand = \"{command}\"\npackages = {{ {manager} = {} }}\n\n[steps.install_guide]\n\"{key}\" = {}\n",
            toml_list(&names),
            toml_string(&text),
        );
        let done = migrated(&old);
        prop_assert_eq!(done.steps, 1);
        let left: Vec<Code> = errors(&done.text).iter().map(|one| one.code).collect();
        // Texts a recipe may not hold are carried over, and are still said to be wrong.
        let texts = [Code::ControlCharacter, Code::LookAlikeCharacter, Code::EmptyValue];
        prop_assert!(left.iter().all(|code| texts.contains(code)), "{}\n{left:?}", done.text);
        prop_assert_eq!(migrated(&done.text).steps, 0);
    }

    #[test]
    fn no_text_panics_and_what_is_not_old_stays(text in "([\\[\\]{}=\"'#\\\\ \n.,]|steps|action|install_guide|require_system|[a-z0-9]){0,40}") {
        if let Ok(done) = migrate(&text)
            && done.steps == 0
        {
            prop_assert_eq!(done.text, text);
        }
    }
}

#[test]
fn many_steps_take_no_longer_than_their_length_allows() {
    let step = "[[steps]]\r\naction=\"require_system\"\r\ncommand=\"jq\"\r\n";
    let text = step.repeat(crate::MAX_RECIPE_BYTES / step.len());
    let done = migrated(&text);
    assert!(done.steps > 10_000);
    assert!(!done.text.replace("\r\n", "").contains('\n'));
}
