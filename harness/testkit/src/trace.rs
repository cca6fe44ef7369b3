//! Traces as short as they can be.

use assay_wire::event::{Ending, Trace};
use assay_wire::plan::OpId;
use assay_wire::program::Pass;
use assay_wire::trace::{StartedFor, TracedProgram};

/// The trace of a command that executes nothing else and asks for nothing.
pub(crate) fn traced(op: OpId, pass: Pass, argv: Vec<String>) -> Trace {
    Trace {
        op,
        pass,
        events: 1,
        programs: vec![TracedProgram {
            id: op.0,
            parent: None,
            started_for: Some(StartedFor::Op),
            pid: 10 + op.0,
            argv,
            cut: false,
            exe: "/usr/bin/env".to_owned(),
            folder: "/".to_owned(),
            uid: 0,
            gid: 0,
            maintscript: None,
            scripts: Vec::new(),
        }],
        calls: Vec::new(),
        gaps: Vec::new(),
    }
}

/// True if something was executed that ended so.
pub(crate) fn runs_a_program(ending: &Ending) -> bool {
    match ending {
        Ending::Exited(_) | Ending::Signalled(_) | Ending::Limit(_) => true,
        Ending::NotStarted { .. } | Ending::Written { .. } | Ending::NotWritten { .. } => false,
    }
}
