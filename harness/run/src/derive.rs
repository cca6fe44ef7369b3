//! A sandbox that becomes an image: a variant of a target is derived from its minimal image by ops
//! performed in a sandbox of it, through the same door, the same executor and the same proxy as a
//! cell. What is installed is the caller's to say; nothing is judged but whether each op succeeded.

use std::sync::Arc;

use assay_content::proxy::Names;
use assay_observe::op_failed;
use assay_sandbox::session::{CommittedImage, SandboxSpec, Session};
use assay_wire::digest::Digest;
use assay_wire::plan::{Action, Op};
use assay_wire::program::{HarnessEnv, Pass, Program, ProgramOp};
use tokio::time::Instant;

use crate::cell::{Context, far_from};
use crate::drive::Driver;
use crate::fault::Fault;

/// How many lines of a failed op's output are told.
const TOLD_LINES: usize = 5;

/// Longest line told, in characters.
const TOLD_LINE: usize = 300;

/// An image that could not be derived.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The run was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The world failed, or an op did.
    #[error("{message}")]
    Failed {
        /// What went wrong.
        message: String,
        /// What to do, if that is known.
        hint: Option<String>,
    },
}

/// What is done in the sandbox.
#[derive(Debug, Clone)]
pub struct Recast {
    /// The ops, in order.
    pub ops: Vec<Op>,
    /// What the harness adds, as for a cell.
    pub harness: HarnessEnv,
    /// What is kept of the sandbox.
    pub image: CommittedImage,
}

/// Starts a sandbox, performs the ops and keeps the sandbox as an image; returns the engine's id of
/// it. The sandbox is removed in every case. The run's lease must be held before.
///
/// # Errors
/// [`DeriveError`]; no image is made then.
pub async fn derive(
    context: &Arc<Context>,
    spec: &SandboxSpec,
    recast: &Recast,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<String, DeriveError> {
    let mut session = Session::start(&context.backend, spec)
        .await
        .map_err(|error| failed(&Fault::Sandbox(error)))?;
    let derived = tokio::select! {
        derived = perform(context, spec, recast, &mut session, progress) => derived,
        () = context.told_to_end() => Err(DeriveError::Interrupted),
    };
    // One that cannot be removed is left to the next sweep.
    let _ = session.close().await;
    derived
}

async fn perform(
    context: &Arc<Context>,
    spec: &SandboxSpec,
    recast: &Recast,
    session: &mut Session,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<String, DeriveError> {
    let channel = session
        .channel()
        .ok_or_else(|| failed(&Fault::lost("its stream was taken before".into())))?;
    let mut driver = Driver::new(
        spec.cell.clone(),
        Arc::clone(&context.journal),
        (context.serve_connection(), Names::default()),
        far_from(Instant::now(), context.cell_time),
        channel,
    );
    let driven = async {
        driver.hello(Digest::of(&context.executor)).await?;
        let runs = recast.ops.iter().map(|op| ProgramOp {
            pass: Pass::First,
            op: op.clone(),
        });
        driver
            .send_program(Program {
                harness: recast.harness.clone(),
                certificate: Some(context.certificate.clone()),
                becomes_image: true,
                runs: runs.collect(),
            })
            .await?;
        for op in &recast.ops {
            progress(&words(op));
            let end = driver.perform(op, Pass::First).await?;
            if let Some(ending) = &end.ending
                && op_failed(op, ending, &end.stdout, &end.stderr)
            {
                let said = last_lines(&end.stderr.head, &end.stderr.tail);
                return Ok(Err(format!("`{}` failed ({ending:?}){said}", words(op))));
            }
        }
        driver.stop().await?;
        Ok::<_, Fault>(Ok(()))
    };
    match driven.await {
        Ok(Ok(())) => {}
        Ok(Err(message)) => {
            return Err(DeriveError::Failed {
                message,
                hint: None,
            });
        }
        Err(fault) => return Err(failed(&fault)),
    }
    let kept = async {
        session.halt().await?;
        session.commit(&recast.image).await
    };
    kept.await.map_err(|error| failed(&Fault::Sandbox(error)))
}

fn failed(fault: &Fault) -> DeriveError {
    let event = fault.to_event(false);
    DeriveError::Failed {
        message: event.message,
        hint: event.hint,
    }
}

/// An op on one line.
fn words(op: &Op) -> String {
    match &op.action {
        Action::Run { argv } => argv.join(" "),
        Action::Write { path, .. } => format!("write {path}"),
        Action::Extract { archive, .. } => format!("extract {archive}"),
    }
}

/// The end of what an op printed, each line behind a line break.
fn last_lines(head: &str, tail: &str) -> String {
    let all = [head, tail].concat();
    let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..]
        .iter()
        .map(|line| {
            let clean = line.chars().take(TOLD_LINE);
            let clean = clean.map(|c| if c.is_control() { ' ' } else { c });
            format!("\n  {}", clean.collect::<String>())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_was_said_is_told_line_by_line() {
        let many: String = (0..9).map(|n| format!("line {n}\n\n")).collect();
        let told = last_lines(&many, "\x1b[31mlast");
        assert_eq!(
            told,
            "\n  line 5\n  line 6\n  line 7\n  line 8\n   [31mlast"
        );
        assert_eq!(last_lines("", ""), "");
    }
}
