//! A plan as what a sandbox is told to do.

use assay_wire::plan::{Expects, Op, Plan};
use assay_wire::program::{Pass, ProgramOp};

/// A plan as a program: its ops, then those that apply again.
pub(crate) fn program_of(plan: &Plan) -> Vec<ProgramOp> {
    let first = plan.ops.iter().map(|op| ProgramOp {
        pass: Pass::First,
        op: op.clone(),
    });
    let second = plan.ops.iter().filter(|op| op.applies() && !op.once);
    first
        .chain(second.map(|op| ProgramOp {
            pass: Pass::Second,
            op: op.clone(),
        }))
        .collect()
}

/// What an op prints where it failed whatever its exit code says.
pub(crate) fn failure_lines(op: &Op) -> Vec<String> {
    match &op.expects {
        Expects::Success { failure_lines } => failure_lines.clone(),
        Expects::Requirement(_)
        | Expects::Command(_)
        | Expects::Evidence(_)
        | Expects::Check { .. } => Vec::new(),
    }
}
