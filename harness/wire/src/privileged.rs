//! Privileged operations: what only root may do to a machine, in the terms of one closed taxonomy.
//!
//! One type serves both sides: `plan` derives operations from typed actions, a run observes them. A
//! [`Kind`] holds what an operation *is*, and that alone is digested with its subject; how it came
//! about (argv, hashes, ids, versions) is evidence beside it. *How grave one is, whether it was
//! declared and what attackers call it is assigned by `observe` alone and never stands here.*

mod kind;
mod places;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, digest_of};
use crate::name::StepRef;
use crate::plan::OpId;
use crate::trace::MaintScript;

pub use kind::{ANY_REPOSITORY, Kind, KindName, UnknownKind, kind_of_program};
pub use places::{
    holds_special_places, is_special_file, kind_of_file, kind_of_tree, says_who_is_who,
};

/// One privileged operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PrivilegedOperation {
    /// The steps it is done for; empty for what belongs to none, such as a refresh.
    pub steps: Vec<StepRef>,
    /// The op it belongs to.
    pub op: OpId,
    /// What is done, with the fields that make it that operation.
    pub kind: Kind,
    /// Kind and fields in one line, for people and the ledger: see [`Kind::subject`].
    pub subject: String,
    /// How it is known.
    pub origin: Origin,
    /// What was there before, in one line; `None` where nothing was, or nothing was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is there now, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Who did it, as far as it was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The package that brought it, as `name version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What shows it.
    #[serde(default, skip_serializing_if = "OperationEvidence::is_empty")]
    pub evidence: OperationEvidence,
}

/// How an operation is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A typed action declares it.
    Plan,
    /// Two manifests differ by it.
    Manifest,
    /// The executor saw a process do it.
    Trace,
}

/// The process that did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Its words.
    pub argv: Vec<String>,
    /// Its effective user id.
    pub uid: u32,
    /// Its number in the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<u32>,
    /// The script of a package that it is, or that it runs for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<MaintScript>,
}

/// What shows an operation, and is no part of what it is: none of it is digested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OperationEvidence {
    /// The exact words of the command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// The program's file, once it is resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The file that is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// sha256 of the program, script or content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Where the content comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A numeric id that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// A version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl OperationEvidence {
    /// The words of a command.
    #[must_use]
    pub fn argv(argv: &[String]) -> Self {
        Self {
            argv: argv.to_vec(),
            ..Self::default()
        }
    }

    /// True if nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl PrivilegedOperation {
    /// An operation that a step declares.
    #[must_use]
    pub fn declared(
        op: OpId,
        steps: Vec<StepRef>,
        kind: Kind,
        evidence: OperationEvidence,
    ) -> Self {
        Self {
            steps,
            op,
            subject: kind.subject(),
            kind,
            origin: Origin::Plan,
            before: None,
            after: None,
            actor: None,
            package: None,
            evidence,
        }
    }

    /// What a consent is given to: sha256 of the canonical JSON of kind, own fields and subject.
    /// Reformatting a recipe, another step or another version of a package keep it, a real change
    /// does not.
    #[must_use]
    pub fn digest(&self) -> Digest {
        #[derive(Serialize)]
        struct Canonical<'o> {
            kind: &'o Kind,
            subject: &'o str,
        }
        digest_of(&Canonical {
            kind: &self.kind,
            subject: &self.subject,
        })
    }
}

/// A key, by what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyIdentity {
    /// Its fingerprint, in capital hex digits.
    Fingerprint(String),
    /// The hash of the file that holds it, where nobody declares a fingerprint.
    Sha256(Digest),
    /// A file that nobody has read.
    Unread(String),
}

impl fmt::Display for KeyIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(fingerprint) => f.write_str(fingerprint),
            Self::Sha256(digest) => write!(f, "sha256:{digest}"),
            Self::Unread(file) => f.write_str(file),
        }
    }
}

/// What a file of configuration says. Where its words are not known its hash stands for them, so that
/// a consent to the file does not outlive its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileText {
    /// The words that matter: a rule, a command, a schedule.
    Words(String),
    /// The hash of all of it.
    Sha256(Digest),
    /// Nothing is known before it is there.
    Unread,
}

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SourcePlace {
    /// A repository, by its base URL.
    Url(String),
    /// A file of the manager's that was not written from an action of ours.
    File {
        /// The file.
        file: String,
        /// What it says.
        says: FileText,
    },
}

#[cfg(test)]
mod tests;
