//! One bad file per diagnostic code, `fixtures/<kind>/<code>[--<case>].toml`, with one snapshot
//! each; and the rule that every code has a file and an explanation whose examples tell the truth.
#![expect(
    clippy::disallowed_methods,
    reason = "the fixtures are files; the crate itself reads none"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assay_recipe::explain::{FileKind, all};
use assay_recipe::{
    Code, Diagnostic, decode, explain, parse, parse_consents, parse_expected, parse_lock,
    parse_project,
};
use assay_wire::source::LineIndex;

/// Codes whose files would be too long to keep; `generated_files` makes them.
const GENERATED: [Code; 2] = [Code::FileTooLarge, Code::TooManyFaults];

fn diagnostics(kind: FileKind, code: Option<Code>, bytes: &[u8]) -> (String, Vec<Diagnostic>) {
    let (text, fault) = decode(bytes);
    let stem = (code == Some(Code::NameMismatch)).then_some("name-mismatch");
    let found = match (fault, kind) {
        (Some(fault), _) => vec![fault],
        (None, FileKind::Recipe) => parse(stem, &text).diagnostics,
        (None, FileKind::Project) => parse_project(&text, &[]).diagnostics,
        (None, FileKind::Expected) => parse_expected(&text).diagnostics,
        (None, FileKind::Lock) => parse_lock(&text).diagnostics,
        (None, FileKind::Consents) => parse_consents(&text).diagnostics,
    };
    (text.into_owned(), found)
}

/// Each diagnostic with line, column and the covered text.
fn render(text: &str, diagnostics: &[Diagnostic]) -> String {
    let lines = LineIndex::new(text);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out += &format!(
            "{}[{}]: {}\n",
            diagnostic.severity.as_str(),
            diagnostic.code,
            diagnostic.message
        );
        for label in &diagnostic.labels {
            let (line, column) = lines.line_column(label.span.start);
            let covered = text
                .get(label.span.range())
                .expect("spans lie on character boundaries inside the text");
            out += &format!(
                "  {line}:{column} `{}` {}\n",
                covered.escape_debug(),
                label.message
            )
            .replace(" \n", "\n");
        }
        if let Some(help) = &diagnostic.help {
            out += &format!("  help: {}\n", help.replace('\n', "\n        "));
        }
    }
    out
}

fn fixtures(kind: FileKind) -> Vec<PathBuf> {
    let folder = match kind {
        FileKind::Recipe => "recipe",
        FileKind::Project => "project",
        FileKind::Expected => "expected",
        FileKind::Lock => "lock",
        FileKind::Consents => "consents",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder of fixtures");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn code_of(path: &Path) -> Code {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a plain file name");
    stem.split("--")
        .next()
        .unwrap_or(stem)
        .parse()
        .expect("a fixture is named after its code")
}

fn check(kind: FileKind, folder: &str) {
    for path in fixtures(kind) {
        let code = code_of(&path);
        let (text, found) =
            diagnostics(kind, Some(code), &std::fs::read(&path).expect("a fixture"));
        assert!(
            found.iter().any(|diagnostic| diagnostic.code == code),
            "{} does not report `{code}`: {found:#?}",
            path.display()
        );
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a plain file name");
        insta::with_settings!({ snapshot_path => format!("snapshots/{folder}"), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(stem, render(&text, &found));
        });
    }
}

#[test]
fn bad_recipes() {
    check(FileKind::Recipe, "recipe");
}

#[test]
fn bad_project_files() {
    check(FileKind::Project, "project");
}

#[test]
fn bad_expectations() {
    check(FileKind::Expected, "expected");
}

#[test]
fn locks() {
    check(FileKind::Lock, "lock");
}

#[test]
fn bad_ledgers() {
    check(FileKind::Consents, "consents");
}

#[test]
fn generated_files() {
    let long = format!("#{}", "x".repeat(assay_recipe::MAX_RECIPE_BYTES));
    let found = parse(None, &long).diagnostics;
    assert_eq!(
        found.iter().map(|d| d.code).collect::<Vec<_>>(),
        [Code::FileTooLarge]
    );
    let many: String = (0..600).map(|at| format!("k{at} = 1\n")).collect();
    let found = parse(None, &many).diagnostics;
    assert_eq!(found.last().map(|d| d.code), Some(Code::TooManyFaults));
    assert_eq!(found.len(), 501);
}

#[test]
fn every_code_has_an_explanation_and_a_fixture() {
    let codes: BTreeSet<_> = Code::ALL.iter().copied().collect();
    let explained: Vec<_> = all().map(|explanation| explanation.code).collect();
    assert_eq!(explained.len(), codes.len(), "one explanation per code");
    assert_eq!(explained.iter().copied().collect::<BTreeSet<_>>(), codes);
    let kinds = [
        FileKind::Recipe,
        FileKind::Project,
        FileKind::Expected,
        FileKind::Lock,
        FileKind::Consents,
    ];
    let mut covered: BTreeSet<_> = kinds
        .into_iter()
        .flat_map(fixtures)
        .map(|path| code_of(&path))
        .collect();
    covered.extend(GENERATED);
    assert_eq!(covered, codes);
}

#[test]
fn the_examples_of_explanations_tell_the_truth() {
    for code in Code::ALL
        .iter()
        .copied()
        .filter(|code| !GENERATED.contains(code) && *code != Code::NotUtf8)
    {
        let explanation = explain(code).expect("every code has one");
        let reported = |example: &str| {
            let whole = match explanation.file {
                FileKind::Recipe if !example.contains("[metadata]") => {
                    format!("[metadata]\nname = \"x\"\n{example}")
                }
                FileKind::Recipe
                | FileKind::Project
                | FileKind::Expected
                | FileKind::Lock
                | FileKind::Consents => example.to_owned(),
            };
            let stem = whole.starts_with("# recipes/jq.toml").then_some("jq");
            match explanation.file {
                FileKind::Recipe => parse(stem, &whole).diagnostics,
                FileKind::Project => parse_project(&whole, &[]).diagnostics,
                FileKind::Expected => parse_expected(&whole).diagnostics,
                FileKind::Lock => parse_lock(&whole).diagnostics,
                FileKind::Consents => parse_consents(&whole).diagnostics,
            }
        };
        let wrong = reported(explanation.wrong);
        assert!(
            wrong.iter().any(|d| d.code == code),
            "the wrong example of `{code}` is right: {wrong:#?}"
        );
        let right: Vec<_> = reported(explanation.right)
            .into_iter()
            // What an example is too short for, unless it is about exactly that.
            .filter(|d| {
                d.code == code
                    || !matches!(
                        d.code,
                        Code::NoSteps | Code::KeyWithoutFingerprint | Code::NothingDownloadsIt
                    )
            })
            .collect();
        assert_eq!(right, [], "the right example of `{code}` is wrong");
    }
}

#[test]
fn the_json_form_is_stable() {
    let found = parse(
        None,
        "[metadata]\nname = \"x\"\n[[steps]]\naction = \"manul\"\n",
    )
    .diagnostics;
    insta::assert_json_snapshot!(found);
}
