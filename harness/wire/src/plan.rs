//! A plan: the ordered ops of one recipe set on one target. `plan` makes it, people read it,
//! snapshots hold it, the executor performs it: there is no second rendering.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, digest_of};
use crate::name::{GuestPath, RecipeName, StepRef, TargetId, Variant};
use crate::privileged::PrivilegedOperation;

/// The ordered ops of one recipe set on one target, and what became of every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The target it was made for.
    pub target: TargetId,
    /// The image variant it needs.
    pub variant: Variant,
    /// True if systemd has to run as PID 1 while the ops are performed, because a service is started.
    pub boots: bool,
    /// The set: what was asked for and what that depends on, in the order applied.
    pub recipes: Vec<RecipeName>,
    /// Why nothing is installed here although it is on other targets; `None` where the set applies.
    pub unsupported: Option<String>,
    /// Every step of the set in the authors' order, with what became of it.
    pub steps: Vec<PlannedStep>,
    /// Bytes to fetch and verify before the sandbox starts, in order of first use.
    pub content: Vec<Content>,
    /// What is done, in order.
    pub ops: Vec<Op>,
    /// What of it only root may do, in the order of the ops: derived from what the authors wrote,
    /// never from argv. No part of the plan's digest, which is of the ops alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<PrivilegedOperation>,
}

impl Plan {
    /// The plan's digest: canonical JSON of the ops alone, so that descriptions, spans and reasons
    /// of dropped steps do not change it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(&self.ops)
    }

    /// The first key that is known by its fingerprint alone, and the step that needs it. A plan with
    /// one cannot be performed: nothing says which bytes the key's file has to hold.
    #[must_use]
    pub fn unpinned_key(&self) -> Option<(&StepRef, &str)> {
        self.ops.iter().find_map(|op| match &op.action {
            Action::Write {
                content: FileContent::Key(fingerprint),
                ..
            } => Some((op.steps.first()?, fingerprint.as_str())),
            Action::Write { .. } | Action::Run { .. } | Action::Extract { .. } => None,
        })
    }

    /// The op with this id.
    #[must_use]
    pub fn op(&self, id: OpId) -> Option<&Op> {
        self.ops.iter().find(|op| op.id == id)
    }
}

/// One step and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlannedStep {
    /// The step.
    pub step: StepRef,
    /// The action's word, as the author wrote it (`apt_install`, `requires`, `check`).
    pub action: String,
    /// The author's description.
    pub description: Option<String>,
    /// What the author says to do when the step fails.
    pub fallback: Option<String>,
    /// What became of it.
    pub disposition: Disposition,
}

/// What became of a step on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Disposition {
    /// Its ops are in the plan.
    Applies,
    /// A human has to do it.
    Manual {
        /// The author's instructions.
        text: String,
        /// How many ops of the plan stand before it: what is verified later is not judged.
        after: u32,
    },
    /// It does not apply here.
    Dropped {
        /// The one reason, in words.
        reason: String,
    },
}

/// Bytes named by a recipe: fetched once, verified, then used by ops as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// What the bytes must hash to.
    pub sha256: Digest,
    /// Where they come from.
    pub url: String,
    /// The step that names them.
    pub step: StepRef,
    /// What they must be beside having that hash.
    #[serde(default, skip_serializing_if = "ContentKind::is_file")]
    pub kind: ContentKind,
}

/// What content must be beside having its hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ContentKind {
    /// Any bytes.
    #[default]
    File,
    /// OpenPGP keys that a repository is signed with.
    Key {
        /// The fingerprints declared, in capital hex digits, 40 or 64 each: all are in the file, and
        /// nothing else in it may sign. None means that the hash alone names the keys.
        fingerprints: Vec<String>,
    },
}

impl ContentKind {
    /// True for any bytes.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File)
    }
}

/// The identity of an op: its 1-based position in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct OpId(pub u32);

impl std::fmt::Display for OpId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One unit the executor performs: of execution, manifest and attribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Op {
    /// Its position in the plan.
    pub id: OpId,
    /// The steps it serves; never empty except for a refresh.
    pub steps: Vec<StepRef>,
    /// Who performs it.
    pub privilege: Privilege,
    /// What is asked first: if it holds, the op is skipped.
    pub guard: Option<Guard>,
    /// What bounds it.
    pub limits: Limits,
    /// What must come of it.
    pub expects: Expects,
    /// True for what is not repeated in the second apply (a refresh, a verification).
    pub once: bool,
    /// For what the key that is written is trusted from then on; `None` for an op that writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<KeyScope>,
    /// What is done.
    pub action: Action,
}

/// For which repositories a key is trusted once the manager has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// For the one whose file names it (`Signed-By`, sources.list(5)).
    Repository,
    /// For any on this machine: rpm has one keyring, and `gpgkey` only says where a key is imported
    /// from (dnf.conf(5)). What another repository offers is accepted as well if this key signed it.
    Machine,
}

impl Op {
    /// True if the op belongs to the apply phase: it changes the machine and its success is judged
    /// by how it ended.
    #[must_use]
    pub fn applies(&self) -> bool {
        matches!(self.expects, Expects::Success { .. })
    }
}

/// Who performs an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// The superuser.
    Root,
    /// The unprivileged user `dev`.
    User,
}

/// What is done: a closed vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A command is run. Its standard input is empty; no shell is involved.
    Run {
        /// The words; the first is looked up on the PATH. Never empty.
        argv: Vec<String>,
    },
    /// A file is written: beside its place, synced, then renamed over it. Missing parent folders
    /// are made with mode 0755, owned as the file is. A file that already is as wanted is left alone.
    Write {
        /// Where.
        path: GuestPath,
        /// Permission bits, such as 0o644.
        mode: u32,
        /// Who owns it.
        owner: Privilege,
        /// The bytes.
        content: FileContent,
    },
    /// An archive is unpacked: tar, plain or compressed with gzip, xz, zstd or bzip2, or zip, told
    /// apart by its first bytes. An entry that would leave `dest`, a link that leads out of it and a
    /// device fail the op. What is there already is replaced file by file.
    Extract {
        /// The archive, a file of the sandbox.
        archive: GuestPath,
        /// The folder; made with its missing parents.
        dest: GuestPath,
        /// Who unpacks, and so owns everything.
        owner: Privilege,
        /// How many leading components of every entry's name are dropped.
        strip_components: u32,
    },
}

/// The bytes of a written file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FileContent {
    /// Text made by `plan`.
    Text(String),
    /// Verified bytes from the plan's content.
    Blob(Digest),
    /// An OpenPGP key that is known by its fingerprint alone, 40 capital hex digits: no hash of its
    /// bytes was pinned, and so a plan with one is never performed.
    Key(String),
}

/// What is asked before an op: is what it is for there already?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Guard {
    /// A question to a program, such as the package manager.
    Asks {
        /// The command that asks; it changes nothing and is run with the op's privilege.
        argv: Vec<String>,
        /// The answer that lets the op be skipped.
        skip_if: SkipIf,
    },
    /// The op is skipped if an executable file of this name is on the PATH.
    OnPath(String),
}

/// The answer of a guard that lets its op be skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SkipIf {
    /// The command exits with this code.
    ExitCode(i32),
    /// The command exits with 0 and the set of its lines is exactly this one.
    Lines(std::collections::BTreeSet<String>),
}

/// What bounds an op. Passing a limit kills the op's whole process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Wall-clock seconds.
    pub seconds: u32,
    /// Seconds without a byte of output.
    pub silent_seconds: u32,
    /// Bytes printed on both channels together.
    pub output_bytes: u64,
    /// Bytes written to storage by the op's process tree together.
    pub written_bytes: u64,
}

impl Limits {
    /// For ops that install: 30 minutes, 10 minutes of silence, 64 MiB printed, 8 GiB written.
    pub const INSTALL: Self = Self {
        seconds: 1800,
        silent_seconds: 600,
        output_bytes: 64 << 20,
        written_bytes: 8 << 30,
    };
    /// For questions: 60 seconds, silent for 60, 4 MiB printed, 64 MiB written.
    pub const QUERY: Self = Self {
        seconds: 60,
        silent_seconds: 60,
        output_bytes: 4 << 20,
        written_bytes: 64 << 20,
    };
}

/// What must come of an op; `observe` compares, nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expects {
    /// It ends with exit code 0 and prints none of these.
    Success {
        /// Texts within a line that mean failure whatever the exit code says (a manager that
        /// reports success although a scriptlet failed).
        failure_lines: Vec<String>,
    },
    /// A `[[requires]]` entry, asked before anything else.
    Requirement(Presence),
    /// A `require_command` step, or the range an installed package was asked for, asked in its place.
    Command(Presence),
    /// What shows that a step before did what it says, asked after it.
    Evidence(Evidence),
    /// A `[[check]]` entry.
    Check {
        /// The author's name for it.
        name: String,
        /// The exit code it must end with.
        exit_code: i32,
        /// Texts that standard output must contain.
        stdout_contains: Vec<String>,
        /// A regular expression that a line of standard output must match.
        stdout_matches: Option<String>,
        /// Texts that standard error must contain.
        stderr_contains: Vec<String>,
    },
}

/// A fact about the machine, and the answer that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The fact in words, such as "`dev` is in the group `docker`".
    pub fact: String,
    /// A regular expression that a line of standard output must match, whatever the exit code.
    pub regex: String,
}

/// Something that must be there, perhaps in a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// What must be there.
    pub subject: Subject,
    /// The version it must have; `None` if being there is enough.
    pub version: Option<VersionProbe>,
}

/// What a presence is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// A command on the PATH: there if it could be started, whatever it exits with.
    Command(String),
    /// A package: there if the manager's query exits with 0 and prints a line with a version.
    Package(String),
    /// A shared library by its soname: there if the answer's exit code is 0 and a line of it matches
    /// the probe.
    Library(String),
    /// A file: there if the question's exit code is 0.
    File(String),
    /// A user: there if the question's exit code is 0.
    User(String),
}

/// How a version is read from output and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VersionProbe {
    /// A regular expression with one capture group, tried on each line of standard output, then of
    /// standard error; the first match counts.
    pub regex: String,
    /// The version below which it is too old; `None` for a package whose presence alone is asked.
    pub minimum: Option<String>,
    /// Constraints that the version must meet as well, such as `>=1.7,<3`: the range a package was
    /// asked for, verified after its install. `None` everywhere else.
    pub range: Option<String>,
    /// The rules of comparison.
    pub rules: VersionRules,
}

/// Rules by which versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VersionRules {
    /// Debian policy 5.6.12.
    Dpkg,
    /// rpmvercmp over epoch, version, release.
    Rpm,
    /// alpm's vercmp.
    Pacman,
    /// apk-tools' `apk_version_compare`.
    Apk,
    /// Dotted numbers of a command: missing parts count as 0, a pre-release is older.
    Dotted,
}
