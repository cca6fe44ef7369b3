//! Every code a diagnostic can have. Codes are stable: they are written in `assay.toml`, in JSON
//! output and in issue trackers; a code is never given another meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::diagnostic::Severity;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $severity:ident;)+) => {
        /// What is wrong, in one stable word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant),+
        }

        impl Code {
            /// Every code, in the order of the list below.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The severity it has unless `[lints]` changes it.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }
        }
    };
}

codes! {
    /// The text is not TOML.
    Syntax = "syntax", Error;
    /// Two versions of the file stand in it, as git leaves them where it cannot choose.
    MergeConflict = "merge-conflict", Error;
    /// A key or table is defined twice.
    DuplicateKey = "duplicate-key", Error;
    /// The file is not UTF-8.
    NotUtf8 = "not-utf8", Error;
    /// The file is longer than [`crate::MAX_RECIPE_BYTES`].
    FileTooLarge = "file-too-large", Error;
    /// Arrays, tables or dotted keys stand deeper in each other than is read.
    NestedTooDeep = "nested-too-deep", Error;
    /// There are more faults than are shown.
    TooManyFaults = "too-many-faults", Error;

    /// A key nobody reads.
    UnknownKey = "unknown-key", Error;
    /// A value of another type than the key takes.
    WrongType = "wrong-type", Error;
    /// A key that must be there is not.
    MissingKey = "missing-key", Error;
    /// A text or list that must hold something is empty.
    EmptyValue = "empty-value", Error;
    /// A key of the format that this version does not implement.
    KeyNotSupported = "key-not-supported", Error;
    /// A word that is not among those the key takes.
    UnknownWord = "unknown-word", Error;
    /// A list names the same thing twice.
    DuplicateEntry = "duplicate-entry", Warning;
    /// A key that has no effect beside the others.
    UnusedKey = "unused-key", Warning;
    /// A key of other tools that read such recipes.
    ForeignKey = "foreign-key", Hint;

    /// A control character where none may be.
    ControlCharacter = "control-character", Error;
    /// A character that is not what it looks like, or cannot be seen.
    LookAlikeCharacter = "look-alike-character", Error;
    /// A value that a command would read as an option.
    OptionInjection = "option-injection", Error;
    /// Not a package name of the manager.
    InvalidPackageName = "invalid-package-name", Error;
    /// Not a group name.
    InvalidGroupName = "invalid-group-name", Error;
    /// Not a user name.
    InvalidUserName = "invalid-user-name", Error;
    /// Not the bare name of a command.
    InvalidCommand = "invalid-command", Error;
    /// Not an argument of a command.
    InvalidArgument = "invalid-argument", Error;
    /// Not a recipe name.
    InvalidRecipeName = "invalid-recipe-name", Error;
    /// Not a step id.
    InvalidStepId = "invalid-step-id", Error;
    /// Not a sha256.
    InvalidSha256 = "invalid-sha256", Error;
    /// Not an OpenPGP fingerprint.
    InvalidFingerprint = "invalid-fingerprint", Error;
    /// Not a URL.
    InvalidUrl = "invalid-url", Error;
    /// A URL of another scheme than https.
    UrlNotHttps = "url-not-https", Error;
    /// A URL with a user name or password.
    UrlWithUserinfo = "url-with-userinfo", Error;
    /// A URL with a fragment.
    UrlWithFragment = "url-with-fragment", Error;
    /// The URL of a `.repo` file where a repository's base URL belongs.
    UrlOfRepoFile = "url-of-repo-file", Error;
    /// A placeholder that does not exist.
    UnknownPlaceholder = "unknown-placeholder", Error;
    /// Not a suite of a repository.
    InvalidSuite = "invalid-suite", Error;
    /// Not a component of a repository.
    InvalidComponent = "invalid-component", Error;
    /// Not the name of a repository.
    InvalidRepositoryName = "invalid-repository-name", Error;
    /// Not a version.
    InvalidVersion = "invalid-version", Error;
    /// Not a version range.
    InvalidVersionRange = "invalid-version-range", Error;
    /// A version range that no version satisfies.
    EmptyVersionRange = "empty-version-range", Error;
    /// Not a distribution with an optional version constraint.
    InvalidDistro = "invalid-distro", Error;
    /// Not a role.
    InvalidRole = "invalid-role", Error;
    /// Not a regular expression, or one too large.
    InvalidRegex = "invalid-regex", Error;
    /// A regular expression without exactly one capture group.
    RegexGroups = "regex-groups", Error;
    /// Not a duration within its limits.
    InvalidDuration = "invalid-duration", Error;
    /// Not an exit code.
    InvalidExitCode = "invalid-exit-code", Error;
    /// Not a unit of systemd.
    InvalidService = "invalid-service", Error;
    /// Not the soname of a library.
    InvalidLibrary = "invalid-library", Error;
    /// Not a place of the sandbox that a step can use.
    InvalidDestination = "invalid-destination", Error;
    /// Not permission bits.
    InvalidFileMode = "invalid-file-mode", Error;
    /// Not a number within its limits.
    InvalidNumber = "invalid-number", Error;
    /// Not a personal package archive.
    InvalidPpa = "invalid-ppa", Error;
    /// Not a tap of Homebrew.
    InvalidTap = "invalid-tap", Error;
    /// A personal package archive without the fingerprint of its key.
    PpaWithoutKey = "ppa-without-key", Error;
    /// A range of versions on a step that may be skipped.
    RangeMayBeSkipped = "range-may-be-skipped", Error;
    /// A command of `[verify]` that only a shell understands.
    VerifyNeedsShell = "verify-needs-shell", Error;

    /// An action nobody performs.
    UnknownAction = "unknown-action", Error;
    /// An action of the format that this version does not implement.
    ActionNotSupported = "action-not-supported", Error;
    /// The free-text form that typed actions replace.
    OldInstallText = "old-install-text", Error;
    /// A requirement of none or several kinds.
    RequirementKind = "requirement-kind", Error;
    /// The recipe's name is not its file's.
    NameMismatch = "name-mismatch", Error;
    /// Two steps with one id.
    DuplicateStepId = "duplicate-step-id", Error;
    /// A recipe that depends on itself.
    DependsOnItself = "depends-on-itself", Error;
    /// Two steps that want different things of one thing.
    ContradictingSteps = "contradicting-steps", Error;
    /// Two steps that ask for the same.
    RepeatedStep = "repeated-step", Warning;
    /// An archive that no step before downloads.
    NothingDownloadsIt = "nothing-downloads-it", Hint;
    /// A manual text that hands a file from the network to a shell.
    ManualPipesToShell = "manual-pipes-to-shell", Warning;
    /// A repository's key without its fingerprint.
    KeyWithoutFingerprint = "key-without-fingerprint", Hint;
    /// A recipe that does nothing.
    NoSteps = "no-steps", Warning;

    /// `platform` beside `os` or `arch`.
    PlatformWithOs = "platform-with-os", Error;
    /// A `when` that holds nowhere.
    WhenContradiction = "when-contradiction", Error;
    /// A part of a `when` that holds nowhere.
    WhenUnreachable = "when-unreachable", Warning;
    /// A distribution that is probably mistyped.
    UnknownDistro = "unknown-distro", Warning;
    /// A step whose platforms follow from its action alone.
    ImplicitPlatform = "implicit-platform", Hint;

    /// A lint nobody reports, or one whose level is fixed.
    UnknownLint = "unknown-lint", Error;
    /// Not a target or a pattern of targets.
    InvalidTarget = "invalid-target", Error;
    /// Not a path inside the project.
    InvalidPath = "invalid-path", Error;
    /// Not a range of addresses or a host.
    InvalidNetwork = "invalid-network", Error;
    /// Not something a cell can need.
    InvalidNeed = "invalid-need", Error;
    /// Not a date.
    InvalidDate = "invalid-date", Error;
    /// An expectation that no cell can meet.
    ContradictingExpectation = "contradicting-expectation", Error;
    /// Two expectations for one cell.
    DuplicateExpectation = "duplicate-expectation", Error;
    /// A lock of a version nobody here knows.
    LockVersion = "lock-version", Error;
    /// Something that may stand once in a lock stands twice.
    DuplicateLockEntry = "duplicate-lock-entry", Error;
    /// An entry of a lock that says nothing anybody could use.
    InvalidLockEntry = "invalid-lock-entry", Error;
    /// A policy that says two things of one thing.
    ContradictingPolicy = "contradicting-policy", Error;
    /// Not the digest of a privileged operation.
    InvalidConsentDigest = "invalid-consent-digest", Error;
    /// An entry of a ledger that nobody could use.
    InvalidConsent = "invalid-consent", Error;
    /// Two entries of a ledger for one decision.
    DuplicateConsent = "duplicate-consent", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No code has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCode;

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such diagnostic code")
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or(UnknownCode)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_and_round_trip() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!(
                code.as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
        }
        let names: std::collections::BTreeSet<_> =
            Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
