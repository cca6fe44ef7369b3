//! What authors write: recipes, `assay.toml`, `expected.toml`, and the grammars of single values.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::sync::OnceLock;

use assay_observe::version::find_version;
use assay_plan::snapshot::{SnapshotMeta, compare_snapshot, encode_snapshot};
use assay_plan::{
    Target, effective_distros, harness_env, lint, plan, render_explanation, render_harness_env,
    render_plan, snapshot_text,
};
use assay_recipe::name::{
    Argument, CommandName, CommandVersion, DistroId, Fingerprint, GroupName, PackageVersion,
    Program, RepositoryName, Role, UserName, VersionFlag,
};
use assay_recipe::package::{Manager, PackageName};
use assay_recipe::pattern::VersionPattern;
use assay_recipe::template::{Component, Suite, Url};
use assay_recipe::text::TextFault;
use assay_recipe::when::{DistroConstraint, Libc, Platform};
use assay_recipe::{
    Diagnostic, Parsed, Recipe, add_consent, parse_bytes, parse_consents, parse_expected,
    parse_lock, parse_project, render_lock, withdraw,
};
use assay_sandbox::images::Definition;
use assay_testkit::captured;
use assay_wire::consent::Consent;
use assay_wire::digest::{Digest, canonical_json};
use assay_wire::event::SnapshotFinding;
use assay_wire::plan::{Action, Plan, VersionProbe, VersionRules};
use assay_wire::privileged::KindName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{assert_loggable, assert_showable, parts, text};

/// Most diagnostics of one file, and one that counts the others.
const MOST_DIAGNOSTICS: usize = assay_recipe::diagnostic::MAX_DIAGNOSTICS + 1;

/// Most bytes of a message: whatever a file holds is shortened.
const LONGEST_MESSAGE: usize = 4096;

/// A recipe's bytes, read, checked and planned on every target.
pub fn recipe(bytes: &[u8]) {
    let (text, parsed) = parse_bytes(None, bytes);
    assert_eq!(parse_bytes(None, bytes).1, parsed, "read twice");
    assert_diagnostics(&text, &parsed);
    let Some(recipe) = parsed.value else { return };
    for target in targets() {
        planned(&recipe, target);
    }
    let warnings = lint(&recipe, targets());
    assert_eq!(warnings, lint(&recipe, targets()));
    for place in warnings.iter().flat_map(|warning| &warning.places) {
        assert!(text.get(place.span.range()).is_some(), "{place:?}");
    }
}

/// A recipe's bytes, its old steps written anew: that is done once, and what comes of it is TOML.
pub fn migrate(bytes: &[u8]) {
    let text = text(bytes);
    let migrated = assay_recipe::migrate(&text);
    assert_eq!(migrated, assay_recipe::migrate(&text), "migrated twice");
    let Ok(migration) = migrated else { return };
    if migration.steps == 0 {
        assert_eq!(migration.text, text, "nothing to migrate, and yet changed");
        return;
    }
    match assay_recipe::migrate(&migration.text) {
        Ok(again) => assert_eq!((again.steps, again.text), (0, migration.text.clone())),
        // What is written may be longer than what is read.
        Err(_) => assert!(migration.text.len() > assay_recipe::MAX_RECIPE_BYTES),
    }
}

fn planned(recipe: &Recipe, target: &Target) {
    let set = [recipe];
    let planned = plan(&set, target);
    assert_eq!(plan(&set, target), planned, "planned twice");
    let planned = match planned {
        Ok(planned) => planned,
        Err(faults) => {
            assert!(!faults.is_empty(), "no plan and no reason");
            return;
        }
    };
    for (op, number) in planned.ops.iter().zip(1..) {
        assert_eq!(op.id.0, number, "ops are numbered in order");
        if let Action::Run { argv } = &op.action {
            let program = argv.first().expect("a command has a program");
            assert!(!program.is_empty() && !program.starts_with('-'), "{argv:?}");
            assert!(argv.iter().all(|word| !word.contains('\0')), "{argv:?}");
        }
    }
    assert_same_after_json::<Plan>(&planned);
    let shown = render_plan(&planned);
    assert_loggable(&shown);
    assert_loggable(&render_explanation(
        &planned,
        &effective_distros(&set, target),
        80,
    ));
    assert_loggable(&render_harness_env(&harness_env(
        target,
        assay_wire::lock::Network::Live,
    )));
    let body = snapshot_text(&planned);
    let meta = SnapshotMeta {
        source: "recipes/it.toml".to_owned(),
        expression: "assay plan it".to_owned(),
    };
    let found = compare_snapshot(Some(&encode_snapshot(&body, &meta)), &body);
    assert!(matches!(found, SnapshotFinding::Same), "{found:?}");
}

/// A recipe, a project file and a list of expectations in which one piece stands many times: what
/// is deep or long costs no more than its length.
///
/// The bytes are what stands before, the piece, and what stands after, a line each; `\n` and `\t`
/// are written as in a string.
pub fn repeated(bytes: &[u8]) {
    const LENGTH: usize = 48 << 10;
    let text = text(bytes).replace("\\n", "\u{1}").replace("\\t", "\t");
    let [before, piece, after] = parts(&text).map(|part: &str| part.replace('\u{1}', "\n"));
    let times = LENGTH.saturating_sub(before.len() + after.len()) / piece.len().max(1);
    let long = format!("{before}{}{after}", piece.repeat(times));
    assert_diagnostics(&long, &assay_recipe::parse(None, &long));
    assert_diagnostics(&long, &parse_project(&long, &[]));
    assert_diagnostics(&long, &parse_expected(&long));
    let _ = Definition::parse("x.toml", long.as_bytes());
}

/// `assay.toml`.
pub fn project(bytes: &[u8]) {
    let text = text(bytes);
    let parsed = parse_project(&text, &[]);
    assert_eq!(parse_project(&text, &[]), parsed, "read twice");
    assert_diagnostics(&text, &parsed);
    if let Some(project) = parsed.value {
        let mut diagnostics = parsed.diagnostics;
        let before = diagnostics.len();
        project.lints.apply(&mut diagnostics);
        assert!(diagnostics.len() <= before, "levels add no diagnostic");
    }
}

/// A lock: what is accepted is written and read again as it was.
pub fn lock(bytes: &[u8]) {
    let text = text(bytes);
    let parsed = parse_lock(&text);
    assert_eq!(parse_lock(&text), parsed, "read twice");
    assert_diagnostics(&text, &parsed);
    let Some(lock) = parsed.value else {
        return;
    };
    let written = render_lock(&lock);
    assert_showable(&written);
    assert_eq!(parse_lock(&written).value, Some(lock));
}

/// `consents.toml`: an entry that is put in and taken out again leaves the bytes that were there, and
/// one taken out leaves the others.
pub fn consents(bytes: &[u8]) {
    let text = text(bytes);
    let parsed = parse_consents(&text);
    assert_eq!(parse_consents(&text), parsed, "read twice");
    assert_diagnostics(&text, &parsed);
    let Some(ledger) = parsed.value else { return };
    let consents = ledger.consents();
    let member = Consent {
        recipe: "docker".parse().expect("a name"),
        targets: vec!["fuzz".parse().expect("a name")],
        kind: KindName::GroupMember,
        subject: "dev -> fuzz".to_owned(),
        digest: Digest::of(b"fuzz"),
        note: "n".to_owned(),
        by: "b".to_owned(),
        on: "2026-11-20".to_owned(),
        expires: None,
        operations: Vec::new(),
    };
    let set = Consent {
        kind: KindName::Accompanying,
        operations: vec![
            "cron /etc/cron.d/fuzz".to_owned(),
            "unit.enabled fuzz".to_owned(),
        ],
        ..member.clone()
    };
    for entry in [member, set] {
        if consents.contains(&entry) {
            continue;
        }
        let added = add_consent(&text, &entry).expect("a ledger is written");
        let read = parse_consents(&added).value.expect("it stays a ledger");
        let at = read.consents().iter().position(|one| *one == entry);
        let at = at.expect("the entry is there");
        assert_eq!(
            withdraw(&added, at, &entry.targets).as_deref(),
            Some(&*text)
        );
    }
    for (at, consent) in consents.iter().enumerate() {
        let fewer = withdraw(&text, at, &consent.targets).expect("an entry is taken out");
        let mut others = consents.clone();
        others.remove(at);
        let read = parse_consents(&fewer).value.expect("it stays a ledger");
        assert_eq!(read.consents(), others);
    }
}

/// `expected.toml`.
pub fn expected(bytes: &[u8]) {
    let text = text(bytes);
    let parsed = parse_expected(&text);
    assert_eq!(parse_expected(&text), parsed, "read twice");
    assert_diagnostics(&text, &parsed);
    let Some(expectations) = parsed.value else {
        return;
    };
    for row in &expectations.rows {
        for target in targets() {
            if let Some(found) = expectations.find(&row.recipe.value, &target.id) {
                assert_eq!(found.recipe.value, row.recipe.value);
                assert!(
                    found
                        .targets
                        .iter()
                        .any(|named| named.value.matches(&target.id))
                );
            }
        }
    }
}

/// Every grammar of a single value: what is accepted is printed as it is read, and may stand in a
/// command.
pub fn names(bytes: &[u8]) {
    let text = text(bytes);
    let text = &*text;
    assert_word(text, GroupName::as_str);
    assert_word(text, UserName::as_str);
    assert_word(text, CommandName::as_str);
    assert_word(text, CommandVersion::as_str);
    assert_word(text, PackageVersion::as_str);
    assert_word(text, PackageName::as_str);
    assert_word(text, RepositoryName::as_str);
    assert_word(text, DistroId::as_str);
    assert_word(text, Role::as_str);
    assert_word(text, Program::as_str);
    assert_word(text, Suite::as_str);
    assert_word(text, Component::as_str);
    assert_word(text, Url::as_str);
    if let Some(flag) = accepted::<VersionFlag>(text) {
        assert_eq!(flag.as_str(), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    }
    if let Some(argument) = accepted::<Argument>(text) {
        assert_eq!(argument.as_str(), text);
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    // Digits in lower case are read, too.
    if let Some(fingerprint) = accepted::<Fingerprint>(text) {
        assert!(fingerprint.as_str().eq_ignore_ascii_case(text));
        assert_word(fingerprint.as_str(), Fingerprint::as_str);
    }
    assert_printed::<Platform>(text);
    assert_printed::<DistroConstraint>(text);
    for manager in Manager::ALL {
        if let Ok(name) = PackageName::for_manager(manager, text) {
            assert_eq!(name.as_str(), text);
            assert_eq!(text.parse(), Ok(name), "a name of {manager:?} is one");
        }
    }
    if let Ok(version) = text.parse::<PackageVersion>() {
        assert_eq!(version.at_least().constraints().len(), 1);
    }
    assert_wire_name::<assay_wire::name::RecipeName>(text);
    assert_wire_name::<assay_wire::name::TargetId>(text);
    assert_wire_name::<assay_wire::name::StepId>(text);
    assert_wire_name::<assay_wire::name::RunId>(text);
    assert_wire_name::<assay_wire::name::CellId>(text);
    assert_wire_name::<assay_wire::name::GuestPath>(text);
}

/// A version pattern and output to look in: what a recipe may say, `observe` can use.
pub fn patterns(bytes: &[u8]) {
    let text = text(bytes);
    let [pattern, output]: [&str; 2] = parts(&text);
    let Ok(pattern) = pattern.parse::<VersionPattern>() else {
        return;
    };
    let probe = VersionProbe {
        regex: pattern.as_str().to_owned(),
        minimum: None,
        range: None,
        rules: VersionRules::Dotted,
    };
    let found = find_version(&probe, &captured(output), &captured(""));
    let found = found.expect("a pattern that was accepted compiles");
    if let Some(version) = found {
        assert!(output.contains(&version), "{version:?}");
    }
}

/// What a text is read as; a refusal says why, at a place in the text.
fn accepted<T>(text: &str) -> Option<T>
where
    T: FromStr<Err = TextFault>,
{
    match text.parse() {
        Ok(value) => Some(value),
        Err(fault) => {
            assert!(!fault.message.chars().any(char::is_control), "{fault:?}");
            assert!(fault.message.len() <= LONGEST_MESSAGE, "{fault:?}");
            if let Some(range) = &fault.range {
                assert!(text.get(range.clone()).is_some(), "{fault:?} in {text:?}");
            }
            None
        }
    }
}

/// A value that is read from what it is printed as.
fn assert_printed<T>(text: &str)
where
    T: FromStr<Err = TextFault> + Display + Debug + PartialEq,
{
    if let Some(value) = accepted::<T>(text) {
        assert_eq!(accepted(&value.to_string()), Some(value), "{text:?}");
    }
}

/// A value that stands in commands as a word of its own.
fn assert_word<T: FromStr<Err = TextFault>>(text: &str, as_str: fn(&T) -> &str) {
    if let Some(value) = accepted::<T>(text) {
        assert_eq!(as_str(&value), text);
        assert!(!text.is_empty() && !text.starts_with('-'), "{text:?}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    }
}

fn assert_wire_name<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq + Serialize + DeserializeOwned,
{
    let json = serde_json::to_string(text).expect("text is JSON");
    let by_serde = serde_json::from_str::<T>(&json).ok();
    match text.parse::<T>() {
        Ok(name) => {
            assert_eq!(name.to_string(), text);
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert_eq!(by_serde.as_ref(), Some(&name));
            assert_same_after_json(&name);
        }
        Err(error) => {
            assert_eq!(by_serde, None, "serde checks the same grammar");
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }
}

fn assert_same_after_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = canonical_json(value);
    let again: T = serde_json::from_str(&json).expect("what was written is read");
    assert_eq!(&again, value);
}

fn assert_diagnostics<T>(text: &str, parsed: &Parsed<T>) {
    let diagnostics = &parsed.diagnostics;
    assert_eq!(
        parsed.value.is_none(),
        parsed.has_errors(),
        "no value without an error, no error beside a value: {diagnostics:?}"
    );
    assert!(
        diagnostics.len() <= MOST_DIAGNOSTICS,
        "{}",
        diagnostics.len()
    );
    for diagnostic in diagnostics {
        assert_diagnostic(text, diagnostic);
    }
}

fn assert_diagnostic(text: &str, diagnostic: &Diagnostic) {
    assert!(!diagnostic.message.is_empty() && !diagnostic.labels.is_empty());
    let labels = diagnostic.labels.iter().map(|label| &label.message);
    for said in labels.chain([&diagnostic.message]) {
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert!(said.len() <= LONGEST_MESSAGE, "{} bytes", said.len());
    }
    // Advice alone may have several lines: what to write instead.
    let help = diagnostic.help.as_deref().unwrap_or_default();
    assert!(
        !help.contains(|c: char| c.is_control() && c != '\n'),
        "{help:?}"
    );
    for label in &diagnostic.labels {
        assert!(text.get(label.span.range()).is_some(), "{diagnostic:?}");
    }
}

/// The targets of the project, from their definitions, and one without a distribution.
fn targets() -> &'static [Target] {
    static TARGETS: OnceLock<Vec<Target>> = OnceLock::new();
    TARGETS.get_or_init(|| {
        let mut targets: Vec<Target> = [
            (
                "arch",
                &include_bytes!("../../../base-images/arch.toml")[..],
            ),
            (
                "debian-12",
                include_bytes!("../../../base-images/debian-12.toml"),
            ),
            (
                "fedora-44",
                include_bytes!("../../../base-images/fedora-44.toml"),
            ),
            (
                "ubuntu-24.04",
                include_bytes!("../../../base-images/ubuntu-24.04.toml"),
            ),
        ]
        .into_iter()
        .map(|(name, bytes)| {
            let definition =
                Definition::parse(&format!("{name}.toml"), bytes).expect("a definition");
            let arch = definition
                .architecture
                .word()
                .parse()
                .expect("a word both know");
            let os_release = definition.os_release.expect("a Linux target has one");
            let text = os_release.text();
            Target::from_os_release(definition.id, arch, Some(Libc::Glibc), text)
        })
        .collect();
        let arch = targets[0].arch;
        let id = "unknown".parse().expect("a name");
        targets.push(Target::from_os_release(id, arch, None, ""));
        targets
    })
}
