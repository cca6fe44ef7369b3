//! Sweeping: removing what dead runs of the same owner left behind.
//!
//! [`sweep`] removes every container that carries the owner's label and whose run nobody holds a
//! lease of, with the run's temporary files and lease file; a kept sandbox is spared for
//! [`KEPT_FOR`]. Runs and other sweeps may be at work at the same time: a run is claimed before
//! anything of it is touched, and what vanishes meanwhile is as wanted. Nothing that carries
//! another owner's label, or none, is even looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use assay_wire::name::RunId;
use futures_util::future::join_all;

use crate::docker::engine::{Engine, EngineError};
use crate::docker::session::leftover::Leftover;
use crate::error::SandboxError;
use crate::lease::{Leases, OwnerId};
use crate::session::{Backend, KeptSandbox};

/// How long a kept sandbox is spared.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of kept sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Those kept for less than [`KEPT_FOR`] are spared.
    Spare {
        /// Now.
        now: SystemTime,
    },
    /// They are removed, too, unless a shell is open in one of their run.
    Remove,
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Names of the sandboxes that were removed, sorted.
    pub removed: Vec<String>,
    /// Names of the kept sandboxes that were spared, sorted.
    pub spared: Vec<String>,
    /// Runs that are alive, or are being swept by somebody else, sorted.
    pub alive: Vec<RunId>,
    /// Dead runs whose files were removed, sorted.
    pub runs: Vec<RunId>,
    /// What could not be removed and why; the next sweep tries again.
    pub failed: Vec<(String, SandboxError)>,
}

/// Removes what dead runs of an owner left at the backend and in the cache folder.
///
/// # Errors
/// [`SandboxError`] if the engine cannot be asked what there is, or the cache folder cannot be
/// read. What could not be removed is in the report.
pub async fn sweep(
    backend: &Backend,
    owner: &OwnerId,
    leases: &Leases,
    kept: Kept,
) -> Result<SweepReport, SandboxError> {
    let mut report = SweepReport::default();
    // Containers are listed before any lease is tested: a run takes its lease before it makes a
    // container, so whatever is listed here of a living run is seen to be alive below.
    let mut runs: BTreeMap<RunId, Vec<Leftover>> = BTreeMap::new();
    for leftover in leftovers(backend, owner).await? {
        runs.entry(leftover.run.clone()).or_default().push(leftover);
    }
    let with_files: BTreeSet<RunId> = leases.runs()?;
    for run in &with_files {
        runs.entry(run.clone()).or_default();
    }
    for (run, leftovers) in runs {
        let claim = match leases.claim(&run) {
            Ok(Some(claim)) => claim,
            Ok(None) => {
                report.alive.push(run);
                continue;
            }
            Err(error) => {
                report.failed.push((run.to_string(), error));
                continue;
            }
        };
        let done = join_all(
            leftovers
                .iter()
                .map(|leftover| apply(backend, leftover, kept)),
        )
        .await;
        for (leftover, done) in leftovers.into_iter().zip(done) {
            match done {
                Ok(Fate::Removed) => report.removed.push(leftover.name),
                Ok(Fate::Spared) => report.spared.push(leftover.name),
                Err(error) => report.failed.push((leftover.name, error.into())),
            }
        }
        match claim.remove_files() {
            Ok(()) if with_files.contains(&run) => report.runs.push(run),
            Ok(()) => {}
            Err(error) => report.failed.push((run.to_string(), error)),
        }
    }
    report.removed.sort();
    report.spared.sort();
    Ok(report)
}

/// The kept sandboxes of an owner that are still there, the one kept last first. One in which a
/// shell is open is among them.
///
/// # Errors
/// [`SandboxError`] if the engine cannot be asked.
pub async fn kept_sandboxes(
    backend: &Backend,
    owner: &OwnerId,
) -> Result<Vec<KeptSandbox>, SandboxError> {
    let mut kept: Vec<KeptSandbox> = leftovers(backend, owner)
        .await?
        .into_iter()
        .filter_map(|leftover| {
            Some(KeptSandbox {
                kept: leftover.kept?,
                cell: leftover.cell?,
                name: leftover.name,
                run: leftover.run,
            })
        })
        .collect();
    kept.sort_by(|a, b| b.kept.cmp(&a.kept).then_with(|| a.name.cmp(&b.name)));
    Ok(kept)
}

async fn leftovers(backend: &Backend, owner: &OwnerId) -> Result<Vec<Leftover>, EngineError> {
    match backend {
        Backend::Docker { engine, .. } => engine.leftovers(owner).await,
        Backend::Fake(_) => Ok(Vec::new()),
    }
}

/// What becomes of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Removed,
    Spared,
}

async fn apply(backend: &Backend, leftover: &Leftover, kept: Kept) -> Result<Fate, EngineError> {
    let engine: &Engine = match backend {
        Backend::Docker { engine, .. } => engine,
        Backend::Fake(_) => return Ok(Fate::Spared),
    };
    match fate(leftover, kept) {
        Fate::Removed => engine.remove_sandbox(&leftover.id).await?,
        // The shell that had started it again is dead.
        Fate::Spared if leftover.runs => engine.stop_sandbox(&leftover.id).await?,
        Fate::Spared => {}
    }
    Ok(fate(leftover, kept))
}

/// What is to become of a container whose run is dead.
fn fate(leftover: &Leftover, kept: Kept) -> Fate {
    let (Some(since), Kept::Spare { now }) = (leftover.kept, kept) else {
        return Fate::Removed;
    };
    // A clock that was set back must not make a sandbox stay for ever.
    let age = now
        .duration_since(since)
        .unwrap_or_else(|ahead| ahead.duration());
    if age < KEPT_FOR {
        Fate::Spared
    } else {
        Fate::Removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_kept_within_a_day_is_spared() {
        let now = SystemTime::UNIX_EPOCH + 10 * KEPT_FOR;
        let leftover = |kept| Leftover {
            id: "1".to_owned(),
            name: "n".to_owned(),
            run: "r".parse().expect("a run id"),
            cell: None,
            kept,
            runs: false,
        };
        let minute = Duration::from_secs(60);
        for (kept, expected) in [
            (None, Fate::Removed),
            (Some(now), Fate::Spared),
            (Some(now - KEPT_FOR + minute), Fate::Spared),
            (Some(now - KEPT_FOR), Fate::Removed),
            (Some(now + minute), Fate::Spared),
            (Some(now + KEPT_FOR), Fate::Removed),
        ] {
            assert_eq!(
                fate(&leftover(kept), Kept::Spare { now }),
                expected,
                "{kept:?}"
            );
            assert_eq!(fate(&leftover(kept), Kept::Remove), Fate::Removed);
        }
    }
}
