//! `assay.toml`, which marks a project's root: targets, paths, levels of lints, network settings, policy.
//! Recipes are read without it; the CLI applies what it says.

use std::collections::BTreeMap;
use std::str::FromStr;

use assay_wire::consent::Policy;
use assay_wire::name::TargetId;
use toml::de::DeTable;

use crate::Parsed;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, Severity, Spanned, nearest, quote};
use crate::document::with_document;
use crate::name::{WireName as _, outside};
use crate::network::{self, Network};
use crate::policy;
use crate::table::{Reader, Table};
use crate::text::{TextFault, strict};
use crate::when::word;

/// A project's settings; everything is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Project {
    /// The project's targets; `None` is every target with a definition.
    pub targets: Option<Vec<Spanned<TargetId>>>,
    /// `[paths]`.
    pub paths: Paths,
    /// `[lints]`.
    pub lints: Lints,
    /// `[network]`.
    pub network: Network,
    /// `[policy]`.
    pub policy: Policy,
}

/// Where a project keeps what, relative to its root; `None` is the default in the field's words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// The recipes: `recipes`.
    pub recipes: Option<Spanned<ProjectPath>>,
    /// The snapshots: `snapshots`.
    pub snapshots: Option<Spanned<ProjectPath>>,
    /// The definitions of targets: `base-images`.
    pub base_images: Option<Spanned<ProjectPath>>,
}

/// Levels of diagnostics that are not errors of themselves, by their codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lints(BTreeMap<&'static str, Spanned<Level>>);

/// A code that `[lints]` may name although it is reported elsewhere: what needs more than one file
/// in view is not found here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherCode {
    /// The code as written.
    pub name: &'static str,
    /// The severity it has unless `[lints]` changes it.
    pub severity: Severity,
}

/// How a lint is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not shown.
    Allow,
    /// Shown as a hint.
    Hint,
    /// Shown as a warning.
    Warn,
    /// An error.
    Deny,
}

/// A relative path that stays inside the project: parts of letters, digits and `._-` between `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectPath(String);

/// Parses `assay.toml`, whose `[lints]` may name these codes beside those of a [`Diagnostic`].
#[must_use]
pub fn parse_project(text: &str, others: &[OtherCode]) -> Parsed<Project> {
    let mut faults = Faults::default();
    let value = with_document(text, &mut faults, |entries, faults| {
        Some(read_project(text, entries, others, faults))
    });
    Parsed {
        value,
        diagnostics: faults.finish(),
    }
}

impl Lints {
    /// The severity that the project wants for a code, which has this one of itself; `None` if it is
    /// not to be shown.
    #[must_use]
    pub fn severity(&self, code: &str, of_itself: Severity) -> Option<Severity> {
        match self.0.get(code).map(|level| level.value) {
            None => Some(of_itself),
            Some(Level::Allow) => None,
            Some(Level::Hint) => Some(Severity::Hint),
            Some(Level::Warn) => Some(Severity::Warning),
            Some(Level::Deny) => Some(Severity::Error),
        }
    }

    /// Gives diagnostics the severities the project wants, and leaves out those it does not want.
    pub fn apply(&self, diagnostics: &mut Vec<Diagnostic>) {
        diagnostics.retain_mut(|diagnostic| {
            let wanted = self.severity(diagnostic.code.as_str(), diagnostic.severity);
            diagnostic.severity = wanted.unwrap_or(diagnostic.severity);
            wanted.is_some()
        });
    }
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Hint, Self::Warn, Self::Deny];

    /// The word as written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hint => "hint",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl FromStr for Level {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        word("level", text, &Self::ALL, Self::as_str)
    }
}

impl ProjectPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectPath {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("path", text)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
        let strange = text
            .bytes()
            .position(|b| !plain(b))
            .or((text.len() > 1024).then_some(text.len()));
        let leaves = text
            .trim_end_matches('/')
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."));
        match strange.or(leaves.then_some(text.len())) {
            None => Ok(Self(text.trim_end_matches('/').to_owned())),
            Some(at) => {
                let grammar = "relative to the project's root and inside it, of letters, digits and `._-` between `/`";
                Err(outside(Code::InvalidPath, "path", grammar, text, at))
            }
        }
    }
}

fn read_project(
    text: &str,
    entries: &DeTable<'_>,
    others: &[OtherCode],
    faults: &mut Faults,
) -> Project {
    let reader = &mut Reader { text, faults };
    let root = Table::root(entries);
    reader.check_keys(
        &root,
        &["targets", "paths", "lints", "network", "policy"],
        &["layers"],
    );
    Project {
        targets: reader.list(&root, "targets", TargetId::read),
        paths: read_paths(reader, &root),
        lints: read_lints(reader, &root, others),
        network: network::read(reader, &root),
        policy: policy::read(reader, &root),
    }
}

fn read_paths(reader: &mut Reader<'_>, root: &Table<'_>) -> Paths {
    let Some(table) = reader.table(root, "paths", "`[paths]`") else {
        return Paths::default();
    };
    reader.check_keys(&table, &["recipes", "snapshots", "base_images"], &[]);
    Paths {
        recipes: reader.parsed(&table, "recipes", str::parse),
        snapshots: reader.parsed(&table, "snapshots", str::parse),
        base_images: reader.parsed(&table, "base_images", str::parse),
    }
}

fn read_lints(reader: &mut Reader<'_>, root: &Table<'_>, others: &[OtherCode]) -> Lints {
    let Some(table) = reader.table(root, "lints", "`[lints]`") else {
        return Lints::default();
    };
    let own = Code::ALL.iter().map(|code| OtherCode {
        name: code.as_str(),
        severity: code.severity(),
    });
    let codes: Vec<OtherCode> = own.chain(others.iter().copied()).collect();
    let mut lints = BTreeMap::new();
    for (key, span) in table.keys() {
        let level = reader.parsed(&table, key, str::parse::<Level>);
        let (message, help) = match codes.iter().find(|code| code.name == key) {
            Some(code) if code.severity != Severity::Error => {
                lints.extend(level.map(|level| (code.name, level)));
                continue;
            }
            Some(code) => (
                format!("`{}` is an error, whose level is fixed", code.name),
                "only warnings and hints have a level; see `assay explain`".to_owned(),
            ),
            None => (
                format!("no lint is named {}", quote(key)),
                near(key, &codes),
            ),
        };
        let diagnostic = Diagnostic::new(Code::UnknownLint, span, message);
        reader.faults.report(diagnostic.help(help));
    }
    Lints(lints)
}

/// The lint that is probably meant, or all there are.
fn near(key: &str, codes: &[OtherCode]) -> String {
    let lints = codes.iter().filter(|code| code.severity != Severity::Error);
    let names: Vec<&str> = lints.map(|code| code.name).collect();
    match nearest(key, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the lints are {}", crate::table::words(&names)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FULL: &str = r#"
targets = ["ubuntu-24.04", "arch"]
[paths]
recipes = "my/recipes/"
[lints]
implicit-platform = "deny"
no-steps = "allow"
[network]
timeout = "30s"
"#;

    #[test]
    fn a_full_file_is_read_and_an_empty_one_is_the_default() {
        let project = parse_project(FULL, &[]).value.expect("no fault");
        let targets: Vec<_> = project
            .targets
            .iter()
            .flatten()
            .map(|target| target.value.as_str())
            .collect();
        assert_eq!(targets, ["ubuntu-24.04", "arch"]);
        assert_eq!(
            project
                .paths
                .recipes
                .map(|path| path.value.as_str().to_owned())
                .as_deref(),
            Some("my/recipes")
        );
        assert_eq!(
            project.network.timeout.map(|timeout| timeout.value),
            Some(Duration::from_secs(30))
        );
        assert_eq!(parse_project("", &[]).value, Some(Project::default()));
    }

    #[test]
    fn levels_change_severities() {
        let project = parse_project(FULL, &[]).value.expect("no fault");
        let text =
            "[metadata]\nname = \"x\"\n[[steps]]\naction = \"apt_install\"\npackages = [\"jq\"]\n";
        let mut diagnostics = crate::parse(None, text).diagnostics;
        assert_eq!(
            diagnostics.iter().map(|d| d.severity).collect::<Vec<_>>(),
            [Severity::Hint]
        );
        project.lints.apply(&mut diagnostics);
        assert_eq!(
            diagnostics.iter().map(|d| d.severity).collect::<Vec<_>>(),
            [Severity::Error]
        );
        let mut diagnostics = crate::parse(None, "[metadata]\nname = \"x\"\n").diagnostics;
        assert_eq!(
            diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(),
            [Code::NoSteps]
        );
        project.lints.apply(&mut diagnostics);
        assert_eq!(diagnostics, []);
    }

    #[test]
    fn codes_of_others_have_levels_as_well() {
        let others = [
            OtherCode {
                name: "far-away",
                severity: Severity::Warning,
            },
            OtherCode {
                name: "fatal",
                severity: Severity::Error,
            },
        ];
        let parse = |text: &str| parse_project(text, &others);
        let project = parse("[lints]\nfar-away = \"deny\"\n")
            .value
            .expect("no fault");
        let level = |lints: &Lints| lints.severity("far-away", Severity::Warning);
        assert_eq!(level(&project.lints), Some(Severity::Error));
        assert_eq!(level(&Lints::default()), Some(Severity::Warning));
        let helps = |text: &str| -> Vec<_> {
            let found = parse(text).diagnostics;
            found.into_iter().map(|one| (one.code, one.help)).collect()
        };
        let advice = |text: &str| (Code::UnknownLint, Some(text.to_owned()));
        assert_eq!(
            helps("[lints]\nfatal = \"allow\"\nfar-avay = \"allow\"\n"),
            [
                advice("only warnings and hints have a level; see `assay explain`"),
                advice("did you mean `far-away`?"),
            ]
        );
    }

    #[test]
    fn paths_stay_inside_the_project() {
        for bad in ["/etc", "../x", "a/../b", "a//b", ".", "a b", "~"] {
            assert_eq!(
                bad.parse::<ProjectPath>().map_err(|fault| fault.code),
                Err(Code::InvalidPath),
                "{bad}"
            );
        }
        assert_eq!(
            "-x".parse::<ProjectPath>().map_err(|fault| fault.code),
            Err(Code::OptionInjection)
        );
    }
}
