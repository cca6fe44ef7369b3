//! The rules that results are of, with what to do about each; the kinds of notifications; and ATT&CK as a
//! taxonomy. A rule's id says what is wrong and, of an operation, its kind: it is never given another
//! meaning, because what others have kept of earlier runs is found again by it.

use assay_observe::attack::{ATTACK_VERSION, TECHNIQUES, technique};
use assay_wire::key::KeyCode;
use assay_wire::outcome::{OutcomeKind, Reason};
use assay_wire::privileged::KindName;

use super::log::{
    Component, ComponentReference, Configuration, Descriptor, Level, Reference, Relationship,
    RuleProperties, Text,
};
use crate::words::Lack;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// Nothing explains an operation of this kind.
    Undeclared(KindName),
    /// Something could not be captured.
    Gap,
    /// An operation of this kind has no consent.
    Consent(Lack, KindName),
    /// A plan is not as its snapshot.
    Snapshot(Snapshot),
    /// A cell failed.
    Failure(Reason),
    /// A cell did not fail although `expected.toml` says so.
    Unexpected,
    /// A key was used with which something is wrong.
    Key(KeyCode),
}

/// How a plan is not as its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Snapshot {
    Missing,
    Different,
}

impl Rule {
    pub(super) fn id(self) -> String {
        match self {
            Self::Undeclared(kind) => format!("{}/{kind}", Reason::UndeclaredOperation),
            Self::Gap => Reason::CaptureGap.to_string(),
            Self::Consent(lack, kind) => format!("{}/{kind}", lack.as_str()),
            Self::Snapshot(Snapshot::Missing) => "snapshot_missing".to_owned(),
            Self::Snapshot(Snapshot::Different) => "snapshot_different".to_owned(),
            Self::Failure(reason) => reason.to_string(),
            Self::Unexpected => "unexpected".to_owned(),
            Self::Key(code) => code.to_string(),
        }
    }

    /// Its technique of ATT&CK, where there is one.
    pub(super) fn technique(self) -> Option<&'static str> {
        match self {
            Self::Undeclared(kind) | Self::Consent(_, kind) => technique(kind),
            Self::Gap | Self::Snapshot(_) | Self::Failure(_) | Self::Unexpected | Self::Key(_) => {
                None
            }
        }
    }

    /// What it is, in full; its techniques are those of this taxonomy.
    pub(super) fn descriptor(self, taxonomy: &Taxonomy) -> Descriptor {
        let (short, full) = self.meaning();
        let tags = if self.is_of_security() {
            vec!["security"]
        } else {
            vec!["correctness"]
        };
        let target = self.technique().and_then(|id| taxonomy.reference(id));
        Descriptor {
            id: self.id(),
            name: None,
            short_description: text(short),
            full_description: Some(text(full)),
            help: Some(text(self.help())),
            help_uri: None,
            default_configuration: Some(Configuration {
                level: self.level(),
            }),
            relationships: target
                .map(|target| Relationship {
                    target,
                    kinds: ["relevant"],
                })
                .into_iter()
                .collect(),
            properties: Some(RuleProperties { tags }),
        }
    }

    /// How much it matters where a result does not say otherwise.
    fn level(self) -> Level {
        match self {
            Self::Undeclared(_)
            | Self::Gap
            | Self::Consent(..)
            | Self::Snapshot(_)
            | Self::Failure(_)
            | Self::Unexpected => Level::Error,
            Self::Key(_) => Level::Warning,
        }
    }

    fn is_of_security(self) -> bool {
        match self {
            Self::Undeclared(_) | Self::Gap | Self::Consent(..) | Self::Key(_) => true,
            Self::Snapshot(_) | Self::Failure(_) | Self::Unexpected => false,
        }
    }

    /// In one sentence, and in more.
    fn meaning(self) -> (String, String) {
        match self {
            Self::Undeclared(kind) => (
                format!("Not declared: {}", small(kind.meaning())),
                format!(
                    "{} No step of the recipe declares that, and no package of a declared repository \
                     explains it.",
                    kind.meaning()
                ),
            ),
            Self::Gap => same(Reason::CaptureGap.meaning()),
            Self::Consent(lack, kind) => (
                format!("{}: {}", title(lack), small(kind.meaning())),
                format!("{} {}", kind.meaning(), because(lack)),
            ),
            Self::Snapshot(Snapshot::Missing) => same("A plan has no snapshot."),
            Self::Snapshot(Snapshot::Different) => same("A plan differs from its snapshot."),
            Self::Failure(reason) => same(reason.meaning()),
            Self::Unexpected => {
                same("A cell did not fail although `expected.toml` says that it does.")
            }
            Self::Key(code) => same(match code {
                KeyCode::NotAKey => "The bytes of a repository's key are no OpenPGP key.",
                KeyCode::SecretKey => "The file of a repository's key holds a secret key.",
                KeyCode::Unreadable => "The file of a repository's key cannot be read in full.",
                KeyCode::FingerprintAbsent => "A declared fingerprint is not in the file.",
                KeyCode::Undeclared => "A key of the file can sign and is not declared.",
                KeyCode::Unbound => "A key has no valid self-signature.",
                KeyCode::Revoked => "Its owner revoked a key.",
                KeyCode::Expired => "The time of a key is over.",
                KeyCode::CannotSign => "A key may not sign.",
                KeyCode::WeakHash => "A self-signature is by a hash that is broken.",
                KeyCode::ShortRsa => "An RSA key has fewer than 2,048 bits.",
                KeyCode::Dsa => "A repository is signed by a DSA key.",
                KeyCode::ExpiresSoon => "The time of a key is over soon.",
            }),
        }
    }

    /// What to do.
    fn help(self) -> String {
        match self {
            Self::Undeclared(_) => {
                "If the recipe means it, declare it by a step of its own. If it does not, find what did it: \
                 the result names the program or the package's script, and `assay report -v` shows the \
                 whole trace. No consent covers what nobody declares."
                    .to_owned()
            }
            Self::Gap => "What could not be captured may have been anything, so the cell failed. Run it again; \
                 if that is no accident, `assay doctor` says what this machine's engine does not give."
                .to_owned(),
            Self::Consent(Lack::Forbidden, _) => {
                "`[policy]` of assay.toml forbids it, and no entry of consents.toml can grant it. Take the \
                 step out of the recipe, or change the policy."
                    .to_owned()
            }
            Self::Consent(Lack::Violated, _) => {
                "An entry of consents.toml granted something else under this name. Look at what changed \
                 (`assay consent diff`) and grant it again with the command that the result names."
                    .to_owned()
            }
            Self::Consent(Lack::Expired, _) => {
                "The entry of consents.toml that granted it counts no more. Grant it again with the command \
                 that the result names."
                    .to_owned()
            }
            Self::Consent(Lack::Missing, _) => {
                "Whoever answers for the machines has to agree to it: grant it with the command that the \
                 result names, which writes an entry to consents.toml, and have that reviewed."
                    .to_owned()
            }
            Self::Snapshot(_) => {
                "If the plan is as it should be, `assay snapshot accept` takes it; the result names the \
                 command."
                    .to_owned()
            }
            Self::Failure(_) => {
                "The result names the step, the op and what it printed last. `assay shell` opens a shell in \
                 the sandbox of the cell, and `assay test` runs it again."
                    .to_owned()
            }
            Self::Unexpected => {
                "Remove the row of `expected.toml`, or mend it, so that a failure is seen again.".to_owned()
            }
            Self::Key(code) => format!("`assay explain {code}` says what it means and what to do."),
        }
    }
}

/// The same text for both lengths.
fn same(meaning: &str) -> (String, String) {
    (meaning.to_owned(), meaning.to_owned())
}

fn title(lack: Lack) -> &'static str {
    match lack {
        Lack::Forbidden => "Forbidden",
        Lack::Violated => "Changed since it was granted",
        Lack::Expired => "Granted no longer",
        Lack::Missing => "Not granted",
    }
}

fn because(lack: Lack) -> &'static str {
    match lack {
        Lack::Forbidden => "The policy of the project forbids that.",
        Lack::Violated => "It was granted, and is no longer what was granted.",
        Lack::Expired => "It was granted, and the time of that is over.",
        Lack::Missing => "That needs a consent, and has none.",
    }
}

/// A sentence as the second half of another: systemd stays what it is.
fn small(sentence: &str) -> String {
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn text(text: impl Into<String>) -> Text {
    Text { text: text.into() }
}

/// What a notification is about: how many cells ended how, a cell without a result, a run without an end, results that are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Notice {
    /// How many cells ended how.
    Summary,
    /// A cell ended so.
    Cell(OutcomeKind),
    /// The run did not end by itself.
    RunEnd,
    /// There are more results than are written.
    LeftOut,
}

impl Notice {
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Cell(kind) => kind.as_str(),
            Self::RunEnd => "run_end",
            Self::LeftOut => "left_out",
        }
    }

    pub(super) fn descriptor(self) -> Descriptor {
        let meaning = match self {
            Self::Summary => "How many cells ended how.",
            Self::Cell(kind) => kind.meaning(),
            Self::RunEnd => "The run did not end by itself: cells may be missing.",
            Self::LeftOut => "There are more results than are written.",
        };
        Descriptor {
            id: self.id().to_owned(),
            name: None,
            short_description: text(meaning),
            full_description: None,
            help: None,
            help_uri: None,
            default_configuration: None,
            relationships: Vec::new(),
            properties: None,
        }
    }
}

/// What ATT&CK is called where something refers to it.
const ATTACK: &str = "ATT&CK";

/// The techniques of ATT&CK that results belong to.
pub(super) struct Taxonomy {
    /// Their ids, sorted.
    ids: Vec<&'static str>,
}

impl Taxonomy {
    /// That of these ids.
    pub(super) fn of(ids: impl IntoIterator<Item = &'static str>) -> Self {
        let mut ids: Vec<&str> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids }
    }

    /// What refers to a technique of it.
    pub(super) fn reference(&self, id: &str) -> Option<Reference> {
        let index = self.ids.iter().position(|known| *known == id)?;
        Some(Reference {
            id: id.to_owned(),
            index,
            tool_component: Some(Self::component_reference()),
        })
    }

    /// What refers to all of it; the log has no other taxonomy.
    pub(super) fn component_reference() -> ComponentReference {
        ComponentReference {
            name: ATTACK,
            index: 0,
        }
    }

    /// The taxonomy itself; `None` where nothing belongs to it.
    pub(super) fn component(&self) -> Option<Component> {
        if self.ids.is_empty() {
            return None;
        }
        let (major, _) = ATTACK_VERSION.split_once('.')?;
        let site = format!("https://attack.mitre.org/versions/v{major}/");
        let taxa = self.ids.iter().map(|id| {
            let name = TECHNIQUES.iter().find(|(known, _)| known == id);
            let name = name.map_or(*id, |(_, name)| *name);
            Descriptor {
                id: (*id).to_owned(),
                name: Some(name),
                short_description: text(name),
                full_description: None,
                help: None,
                // A technique below another has the path of that before its own.
                help_uri: Some(format!("{site}techniques/{}/", id.replace('.', "/"))),
                default_configuration: None,
                relationships: Vec::new(),
                properties: None,
            }
        });
        Some(Component {
            name: ATTACK,
            full_name: format!("MITRE ATT&CK for Enterprise {ATTACK_VERSION}"),
            version: ATTACK_VERSION.to_owned(),
            organization: Some("MITRE"),
            short_description: text("Tactics and techniques of attackers."),
            taxa: taxa.collect(),
            information_uri: Some(site.clone()),
            ..Component::default()
        })
    }
}
