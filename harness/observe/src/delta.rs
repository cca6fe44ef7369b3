//! The privileged delta of a cell: what it was seen to do that only root may do, held against what its
//! plan declares and its packages bring, and what the ledger says to each.
//!
//! Types only; read `crate::explain` for what explains what, and [`mod@crate::consent`] for how an
//! operation stands.

use assay_wire::digest::Digest;
use assay_wire::name::StepRef;
use assay_wire::package::Chain;
use assay_wire::plan::OpId;
use assay_wire::privileged::PrivilegedOperation;
use serde::Serialize;

use crate::consent::Standing;
use crate::risk::Risk;

/// What a cell did, against what was declared and granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delta {
    /// What the plan declares, the gravest first.
    pub declared: Vec<DeclaredOperation>,
    /// What came with packages above what is ordinary, a set each: the gravest first, then by name.
    pub accompanying: Vec<AccompanyingSet>,
    /// The packages that came, by name, with who vouches for each.
    pub packages: Vec<PackageFact>,
    /// Changed paths, by what explains them.
    pub paths: PathCounts,
    /// Entries of the ledger for this cell's recipes and target that no cell of the run used: their
    /// positions. Only where everything ran.
    pub stale: Vec<usize>,
}

/// A declared operation and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeclaredOperation {
    /// The operation.
    pub operation: PrivilegedOperation,
    /// What a consent to it is given to.
    pub digest: Digest,
    /// How grave it is.
    pub risk: Risk,
    /// What attackers' use of it is called.
    pub attack: Option<&'static str>,
    /// True if the run showed it.
    pub seen: bool,
    /// How it stands; `None` outside a project.
    pub standing: Option<Standing>,
}

/// What one package brought and did above what is ordinary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccompanyingSet {
    /// The set as one operation, of the kind `accompanying`: what a consent is given to. Its steps are those
    /// of the ops during which it came.
    pub operation: PrivilegedOperation,
    /// The digest of that.
    pub digest: Digest,
    /// The gravest of its parts.
    pub risk: Risk,
    /// Where its parts stand in [`crate::observed::Observed::operations`].
    pub parts: Vec<usize>,
    /// How it stands; `None` outside a project.
    pub standing: Option<Standing>,
}

/// A package that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackageFact {
    /// Its name, or that of its file where it could not be read.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// The sha256 of its bytes.
    pub sha256: Digest,
    /// The op during which it came.
    pub op: Option<OpId>,
    /// Those of its steps.
    pub steps: Vec<StepRef>,
    /// How many changed paths are as it has them.
    pub paths: u64,
    /// How many of its scripts ran.
    pub scripts: u64,
    /// Who vouches for it.
    pub chain: Chain,
    /// Why it could not be read.
    pub unreadable: Option<String>,
}

/// How many changed paths there are, by what explains them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PathCounts {
    /// As a package has them: content, mode and owner.
    pub packages: u64,
    /// A manager's own state.
    pub manager: u64,
    /// Made by a package's script.
    pub scripts: u64,
    /// Made by an op that declares them.
    pub declared: u64,
    /// Made by a service that was started, or by the user that may do nothing.
    pub others: u64,
    /// Explained by nobody.
    pub unexplained: u64,
}

/// What explains an operation that was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It follows from what an op of the plan declares.
    Declared {
        /// The op.
        by: OpId,
    },
    /// A package brings it, or a script of it did it.
    Accompanying {
        /// The package, by its name.
        package: String,
    },
    /// Neither.
    Undeclared {
        /// Why not.
        why: Why,
    },
}

/// Why nothing explains an operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No step declares it and no package brings it.
    Nobody,
    /// A package has the path, and has it otherwise.
    Differs {
        /// The package.
        package: String,
    },
    /// A package's script changed what another brought, or what the image had.
    NotItsOwn {
        /// The package whose script it was.
        package: String,
    },
    /// It could not be captured, or would have kept others from being.
    Capture,
}

impl Class {
    /// True if nothing explains it.
    #[must_use]
    pub fn is_undeclared(&self) -> bool {
        matches!(self, Self::Undeclared { .. })
    }
}
