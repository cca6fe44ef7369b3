//! Cells in parallel, attempts in sequence: which cell runs when, what is tried again, and that an
//! interruption or a journal that cannot be written ends everything in order.

use std::sync::Arc;
use std::time::Duration;

use assay_wire::event::{Body, CellEnded, Origin};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cell::{AttemptEnd, CellJob, Context};
use crate::fault::Fault;
use crate::journal::JournalError;

/// Pauses before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Why a run could not be carried through.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Results could not be recorded.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A cell's task broke: a fault of the harness.
    #[error("a cell's task broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Runs all cells, at most `parallel` at once, each to its `CellEnded`. The caller has recorded
/// `RunStarted` and records `RunEnded`.
///
/// # Errors
/// If the journal cannot be written: what is running is ended first, so that nothing is left
/// behind.
pub async fn run_cells(
    context: Arc<Context>,
    jobs: Vec<CellJob>,
    parallel: usize,
) -> Result<(), RunError> {
    for job in &jobs {
        context.journal.append(
            Some(&job.cell),
            Origin::Runner,
            Body::CellPlanned(Box::new(job.planned.clone())),
        )?;
    }
    let places = Arc::new(Semaphore::new(parallel.max(1)));
    let mut tasks = JoinSet::new();
    let mut first_error = None;
    for job in jobs {
        // Taken before the task is made, so that cells start in their order.
        let place = Arc::clone(&places).acquire_owned().await;
        while let Some(ended) = tasks.try_join_next() {
            first_error = first_error.or(finish(ended).err());
        }
        if first_error.is_some() {
            break;
        }
        let context = Arc::clone(&context);
        tasks.spawn(async move {
            let _place = place;
            run_cell(&context, &job).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        // Those still running are told of a journal that failed; their sandboxes are closed by then.
        first_error = first_error.or(finish(ended).err());
    }
    first_error.map_or(Ok(()), Err)
}

fn finish(ended: Result<Result<(), JournalError>, tokio::task::JoinError>) -> Result<(), RunError> {
    Ok(ended??)
}

/// Runs one cell to its end. Faults of the world become facts of the cell; only a journal that
/// fails is an error.
async fn run_cell(context: &Arc<Context>, job: &CellJob) -> Result<(), JournalError> {
    let record = |body| {
        context
            .journal
            .append(Some(&job.cell), Origin::Runner, body)
    };
    if let Some(because) = &job.not_run {
        return record(Body::CellEnded(CellEnded::NotRun {
            because: because.clone(),
        }));
    }
    for attempt in 1.. {
        if *context.interrupted.borrow() {
            return record(Body::CellEnded(CellEnded::Cancelled));
        }
        record(Body::AttemptStarted { attempt })?;
        let fault = match context.attempt(job).await {
            Ok(AttemptEnd::Finished) => return record(Body::CellEnded(CellEnded::Finished)),
            Ok(AttemptEnd::Cancelled) => return record(Body::CellEnded(CellEnded::Cancelled)),
            Err(Fault::Journal(error)) => return Err(error),
            // No fault of the recipe's, and nothing another attempt would change.
            Err(fault @ Fault::NotBooted { .. }) => {
                return record(Body::CellEnded(CellEnded::NotRun {
                    because: fault.to_string(),
                }));
            }
            Err(fault) => fault,
        };
        let pause = PAUSES
            .get(attempt as usize - 1)
            .filter(|_| fault.is_transient());
        record(Body::AttemptFailed(fault.to_event(pause.is_some())))?;
        let Some(pause) = pause else { break };
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            () = context.told_to_end() => {}
        }
    }
    record(Body::CellEnded(CellEnded::GaveUp))
}
