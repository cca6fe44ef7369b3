//! Errors as the command line shows them, and the exit codes. The kind alone gives the exit code;
//! advice stands in hints.

use std::fmt;

use assay_recipe::text::TextFault;
use assay_run::cell::explain_chain;

/// Exit codes, in the order in which they win when several apply (`product.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// 130: interrupted.
    Interrupted,
    /// 2: the command line or a project file is wrong.
    Usage,
    /// 3: a recipe, or the ledger of consents, is invalid, or a recipe cannot be planned.
    Recipe,
    /// 7: an operation that nobody declared, or a gap in capture.
    Undeclared,
    /// 4: content is not what its hash, or the definition of an image, says.
    Content,
    /// 6: consent is missing or violated.
    Consent,
    /// 5: a snapshot is missing or different.
    Snapshot,
    /// 8: the world: no engine, no image, no host, no disk.
    Infrastructure,
}

impl ErrorKind {
    /// The process's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Usage => 2,
            Self::Recipe => 3,
            Self::Undeclared => 7,
            Self::Content => 4,
            Self::Consent => 6,
            Self::Snapshot => 5,
            Self::Infrastructure => 8,
        }
    }
}

/// What a verb that could not do its work ends with.
#[derive(Debug)]
pub(crate) struct CliError {
    /// What kind of fault it is.
    pub(crate) kind: ErrorKind,
    /// What happened; `None` if everything has been said already (diagnostics were printed).
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What to do.
    pub(crate) hints: Vec<String>,
}

impl CliError {
    /// An error of this kind.
    pub(crate) fn new(
        kind: ErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(source.into()),
            hints: Vec::new(),
        }
    }

    /// An error whose findings have been printed already.
    pub(crate) fn said(kind: ErrorKind) -> Self {
        Self {
            kind,
            source: None,
            hints: Vec::new(),
        }
    }

    /// A wrong command line or project file.
    pub(crate) fn usage(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Usage, source)
    }

    /// A word of the command line that is outside its grammar, in the words a recipe's diagnostics
    /// have for it.
    pub(crate) fn word(fault: TextFault) -> Self {
        Self::usage(fault.message).hints(fault.help)
    }

    /// A fault of the world.
    pub(crate) fn infrastructure(
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(ErrorKind::Infrastructure, source)
    }

    /// With advice, if there is some.
    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// With advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => f.write_str(&explain_chain(source.as_ref())),
            None => Ok(()),
        }
    }
}
