//! Snapshots of plans in insta's file format, so that `cargo insta review` works on them: a header of
//! two `---` lines with a few YAML keys, then the body. Reading and writing files is the CLI's; the
//! body is [`crate::render_plan`]'s.

use assay_wire::event::SnapshotFinding;
use assay_wire::name::{RecipeName, TargetId};
use similar::TextDiff;

/// What a snapshot's header says; none of it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotMeta {
    /// The file the plan was made from, relative to the project.
    pub source: String,
    /// The command that shows the plan.
    pub expression: String,
}

/// Where the snapshot of a recipe on a target is, relative to the project's folder of snapshots.
/// Both names are of plain characters and cannot leave that folder.
#[must_use]
pub fn snapshot_path(recipe: &RecipeName, target: &TargetId) -> String {
    format!("plans/{recipe}/{target}.snap")
}

/// The file of a snapshot with this body.
#[must_use]
pub fn encode_snapshot(body: &str, meta: &SnapshotMeta) -> String {
    let body = normalized(body);
    format!(
        "---\nsource: {}\nexpression: {}\n---\n{body}\n",
        yaml(&meta.source),
        yaml(&meta.expression)
    )
}

/// The body of a snapshot's file; `None` if its header does not end. A file without a header is all
/// body, as insta has it.
#[must_use]
pub fn decode_snapshot(file: &str) -> Option<String> {
    let file = file.replace("\r\n", "\n");
    let Some(header) = file.strip_prefix("---\n") else {
        return Some(normalized(&file));
    };
    let body = match header.strip_prefix("---\n") {
        Some(body) => body,
        None => header
            .split_once("\n---\n")
            .map(|(_, body)| body)
            .or_else(|| header.ends_with("\n---").then_some(""))?,
    };
    Some(normalized(body))
}

/// Compares a plan's text with its snapshot's file.
#[must_use]
pub fn compare_snapshot(file: Option<&str>, plan_text: &str) -> SnapshotFinding {
    let Some(file) = file else {
        return SnapshotFinding::Missing;
    };
    let new = normalized(plan_text);
    // A file whose header does not end is compared as it is: the difference shows what is wrong.
    let old = decode_snapshot(file).unwrap_or_else(|| normalized(file));
    if old == new {
        SnapshotFinding::Same
    } else {
        SnapshotFinding::Different {
            diff: unified_diff(&old, &new),
        }
    }
}

/// A unified diff of two bodies with three lines of context, from snapshot to plan.
#[must_use]
pub fn unified_diff(old: &str, new: &str) -> String {
    let (old, new) = (
        format!("{}\n", normalized(old)),
        format!("{}\n", normalized(new)),
    );
    TextDiff::from_lines(old.as_str(), new.as_str())
        .unified_diff()
        .context_radius(3)
        .header("snapshot", "plan")
        .to_string()
}

/// Line breaks as `\n`, none at the end: what insta compares.
fn normalized(text: &str) -> String {
    // Every carriage return at a line's end: one that stays would be half of an end of line once the
    // text is written.
    let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.trim_end_matches('\n').to_owned()
}

/// A scalar of YAML 1.2: plain where that is safe, else in double quotes, in which JSON's escapes mean
/// the same.
fn yaml(text: &str) -> String {
    let starts = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./ ".contains(&b);
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if starts
        && text.bytes().all(plain)
        && !text.ends_with(' ')
        && !words.contains(&text.to_ascii_lowercase().as_str())
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> SnapshotMeta {
        SnapshotMeta {
            source: "recipes/jq.toml".into(),
            expression: "assay plan jq --on arch".into(),
        }
    }

    #[test]
    fn the_format_is_instas() {
        let file = encode_snapshot("op 1\n    x\n", &meta());
        assert_eq!(file, include_str!("../fixtures/snapshot/format.snap"));
        // insta itself reads what is written here.
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshot/format.snap");
        let snapshot = insta::Snapshot::from_file(&path).expect("insta reads it");
        assert_eq!(snapshot.metadata().source(), Some("recipes/jq.toml"));
        assert_eq!(
            snapshot.metadata().expression(),
            Some("assay plan jq --on arch")
        );
        match snapshot.contents() {
            insta::internals::SnapshotContents::Text(text) => {
                assert_eq!(text.to_string(), "op 1\n    x")
            }
            insta::internals::SnapshotContents::Binary(_) => panic!("a text snapshot"),
        }
    }

    #[test]
    fn bodies_are_compared_and_headers_are_not() {
        let file = encode_snapshot("a\nb\n", &meta());
        assert_eq!(compare_snapshot(None, "a\nb\n"), SnapshotFinding::Missing);
        assert_eq!(
            compare_snapshot(Some(&file), "a\nb\n"),
            SnapshotFinding::Same
        );
        assert_eq!(
            compare_snapshot(Some(&file.replace('\n', "\r\n")), "a\nb\n"),
            SnapshotFinding::Same
        );
        assert_eq!(
            compare_snapshot(Some(&file.replace("jq.toml", "other.toml")), "a\nb\n"),
            SnapshotFinding::Same
        );
        let diff = "--- snapshot\n+++ plan\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n".to_owned();
        assert_eq!(
            compare_snapshot(Some(&file), "a\nc\n"),
            SnapshotFinding::Different { diff }
        );
    }

    #[test]
    fn odd_files_have_a_body_or_none() {
        assert_eq!(decode_snapshot("no header\n"), Some("no header".to_owned()));
        assert_eq!(decode_snapshot("---\n---\nbody\n"), Some("body".to_owned()));
        assert_eq!(decode_snapshot("---\nsource: x\n---"), Some(String::new()));
        assert_eq!(decode_snapshot("---\nsource: x\n"), None);
        let finding = compare_snapshot(Some("---\nsource: x\n"), "a\n");
        assert!(matches!(finding, SnapshotFinding::Different { .. }));
    }

    #[test]
    fn what_was_read_is_written_so_that_it_is_read_again() {
        for file in ["a\r", "a\r\r\n", "a\r\r\nb\n", "---\nsource: x\n---\na\r"] {
            let body = decode_snapshot(file).expect("a body");
            assert_eq!(
                decode_snapshot(&encode_snapshot(&body, &meta())),
                Some(body),
                "{file:?}"
            );
        }
    }

    #[test]
    fn header_values_stay_on_their_line() {
        for (text, expected) in [
            ("a b", "a b"),
            ("true", "\"true\""),
            ("a: b", "\"a: b\""),
            ("a\n---\nb", "\"a\\U0000000a---\\U0000000ab\""),
            ("\"\\", "\"\\\"\\\\\""),
            ("", "\"\""),
        ] {
            assert_eq!(yaml(text), expected);
        }
    }

    #[test]
    fn paths_are_by_recipe_and_target() {
        let path = snapshot_path(
            &"jq".parse().expect("a name"),
            &"ubuntu-24.04".parse().expect("a name"),
        );
        assert_eq!(path, "plans/jq/ubuntu-24.04.snap");
    }

    proptest::proptest! {
        #[test]
        fn bodies_round_trip(body in "(?s)([a-z |-]{0,9}\n){0,6}", source in "(?s).{0,20}") {
            let file = encode_snapshot(&body, &SnapshotMeta { source, expression: String::new() });
            proptest::prop_assert_eq!(decode_snapshot(&file), Some(body.trim_end_matches('\n').to_owned()));
            proptest::prop_assert_eq!(compare_snapshot(Some(&file), &body), SnapshotFinding::Same);
        }

        #[test]
        fn no_file_panics(file in "(?s)(---\n|.){0,40}", text in "(?s).{0,40}") {
            let _ = compare_snapshot(Some(&file), &text);
        }
    }
}
