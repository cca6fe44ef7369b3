//! What explains what: a cell's facts in, the class of every operation and the explanation of every
//! changed path out.
//!
//! One pure function. A path is explained by the first of these that holds: an op of the plan writes it
//! just so; a package that came has it just so (content, mode, owner, [`payload`]); the user `dev` made
//! what is its own; a package's script, proved by the hash of its text ([`doers`]), made it and it is
//! nobody else's; a manager keeps its own state there ([`places`]); a service that was started noted
//! something. What a package has and has otherwise, what a script does to what is not its own, and
//! whatever is left is explained by nobody. An operation takes after the path that shows it, or after the
//! program that did it; what the plan declares by digest, or by the very bytes at a path, is declared
//! whoever did it.
//!
//! *Nothing here asks whether something was granted: that is [`crate::consent`].*

mod doers;
mod paths;
mod payload;
mod places;
mod sets;

use std::collections::BTreeMap;

use assay_wire::plan::OpId;
use assay_wire::privileged::{Kind, KindName, PrivilegedOperation};
use assay_wire::trace::TracedProgram;

use crate::delta::{Class, Why};
use crate::record::CellFacts;

pub(crate) use doers::{Doer, Doers};
pub(crate) use paths::{Explanation, Paths};
pub(crate) use sets::delta;

/// Explains operations of one cell.
pub(crate) struct Explainer<'f> {
    facts: &'f CellFacts,
    pub(crate) doers: Doers<'f>,
    declared: BTreeMap<assay_wire::digest::Digest, OpId>,
}

impl<'f> Explainer<'f> {
    pub(crate) fn new(facts: &'f CellFacts, programs: BTreeMap<u32, &'f TracedProgram>) -> Self {
        let declared = facts.planned.plan.declared.iter().rev();
        Self {
            facts,
            doers: Doers::new(facts, programs),
            declared: declared.map(|one| (one.digest(), one.op)).collect(),
        }
    }

    /// The class of an operation that a changed path shows.
    pub(crate) fn of_path(
        &self,
        operation: &PrivilegedOperation,
        explanation: &Explanation,
    ) -> Class {
        if let Some(by) = self.declares(operation) {
            return Class::Declared { by };
        }
        match explanation {
            Explanation::Declared { by, whole: true } => Class::Declared { by: *by },
            // An archive decides what is in it, not what may run as root.
            Explanation::Declared { by, whole: false } if is_plain_file(operation) => {
                Class::Declared { by: *by }
            }
            Explanation::Payload { package } => accompanying(package),
            Explanation::Script { doer } => self.of_doer(operation, doer),
            // What managers and services note for themselves is never more than a file.
            Explanation::Manager | Explanation::Others
                if is_plain_file(operation) || self.imports_a_key(operation) =>
            {
                Class::Declared { by: operation.op }
            }
            Explanation::Declared { .. } | Explanation::Manager | Explanation::Others => nobody(),
            Explanation::Unexplained { why } => Class::Undeclared { why: why.clone() },
        }
    }

    /// The class of an operation that a program was seen at.
    pub(crate) fn of_program(&self, operation: &PrivilegedOperation) -> Class {
        if let Some(by) = self.declares(operation) {
            return Class::Declared { by };
        }
        let program = operation.actor.as_ref().and_then(|actor| actor.program);
        let Some(program) = program else {
            return nobody();
        };
        let doer = self.doers.of(program);
        self.of_doer(operation, &doer)
    }

    /// What bears on the capture itself is nobody's to do, whoever does it. A call that was refused because it
    /// cannot be looked into left nothing unseen: a package's script that made it (mariadbd asks for io_uring)
    /// answers for it as for all it does.
    fn of_doer(&self, operation: &PrivilegedOperation, doer: &Doer) -> Class {
        let kind = operation.kind.name();
        if kind == KindName::Ptrace {
            return Class::Undeclared { why: Why::Capture };
        }
        match doer {
            Doer::Script { package, .. } => accompanying(package),
            Doer::Manager { .. } | Doer::Op { .. } | Doer::User { .. } | Doer::Unknown => {
                let is_gap = kind == KindName::CaptureGap;
                let why = if is_gap { Why::Capture } else { Why::Nobody };
                Class::Undeclared { why }
            }
        }
    }

    /// The op that declares just this.
    fn declares(&self, operation: &PrivilegedOperation) -> Option<OpId> {
        self.declared.get(&operation.digest()).copied()
    }

    /// True where a manager takes into its own keyring what the plan has written for it.
    fn imports_a_key(&self, operation: &PrivilegedOperation) -> bool {
        let declared = self.facts.planned.plan.declared.iter();
        matches!(operation.kind, Kind::PkgKey { .. })
            && declared
                .filter(|one| one.op <= operation.op)
                .any(|one| matches!(one.kind, Kind::PkgKey { .. }))
    }
}

fn accompanying(package: &str) -> Class {
    Class::Accompanying {
        package: package.to_owned(),
    }
}

fn is_plain_file(operation: &PrivilegedOperation) -> bool {
    matches!(
        operation.kind,
        Kind::FileWrite { .. } | Kind::FileDelete { .. }
    )
}

fn nobody() -> Class {
    Class::Undeclared { why: Why::Nobody }
}

#[cfg(test)]
mod tests;
