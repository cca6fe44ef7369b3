//! Names of sandboxes, and finding those of one owner.
//!
//! A name is `assay-<run>-<n>`; that of a kept one is `assay-kept.<seconds>.<run>-<n>`, where
//! seconds since 1970 say when it was kept; no run's name holds a dot. Whose a container is and of which run is read from
//! its labels, never from its name. What is done with what is found is [`crate::sweep`]'s.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use assay_wire::name::{CellId, RunId};

use super::body::{LABEL_CELL, LABEL_OWNER, LABEL_RUN};
use crate::docker::engine::{Engine, EngineError};
use crate::lease::OwnerId;

const KEPT: &str = "assay-kept.";

/// A container that carries an owner's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// The engine's id of it.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// The run on its label.
    pub(crate) run: RunId,
    /// The cell on its label, if that is one.
    pub(crate) cell: Option<CellId>,
    /// When it was kept, if it was.
    pub(crate) kept: Option<SystemTime>,
    /// Whether its processes live.
    pub(crate) runs: bool,
}

impl Engine {
    /// Every container with this owner's label and a run's, in order of their names, running or
    /// not. One whose run is no run's name was not made by this program and is left out.
    pub(crate) async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>, EngineError> {
        let filter = format!("{LABEL_OWNER}={owner}");
        let listed = self
            .containers_with("list the sandboxes", "label", &filter)
            .await?;
        let mut found: Vec<Leftover> = listed
            .into_iter()
            .filter_map(|container| {
                let labels = container.labels.unwrap_or_default();
                // The filter is the engine's; what is removed is decided by the label itself.
                if labels.get(LABEL_OWNER) != Some(&owner.to_string()) {
                    return None;
                }
                let id = container.id;
                let name = container
                    .names
                    .and_then(|names| names.into_iter().next())
                    .map_or_else(
                        || id.clone(),
                        |name| name.trim_start_matches('/').to_owned(),
                    );
                Some(Leftover {
                    run: labels.get(LABEL_RUN)?.parse().ok()?,
                    cell: labels.get(LABEL_CELL).and_then(|cell| cell.parse().ok()),
                    kept: kept_time(&name),
                    runs: container.state == "running",
                    id,
                    name,
                })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

/// A name that no other sandbox of this process has.
pub(super) fn sandbox_name(run: &RunId) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(1);
    format!("assay-{run}-{}", STARTED.fetch_add(1, Ordering::Relaxed))
}

/// The name of a sandbox from when on it is kept; the moment of one kept before is replaced.
pub(super) fn kept_name(name: &str, now: SystemTime) -> String {
    let seconds = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let rest = match split_kept(name) {
        Some((_, rest)) => rest,
        None => name.strip_prefix("assay-").unwrap_or(name),
    };
    format!("{KEPT}{seconds}.{rest}")
}

/// When the sandbox of this name was kept; `None` if it is not a kept one's name.
pub(super) fn kept_time(name: &str) -> Option<SystemTime> {
    let (seconds, _) = split_kept(name)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn split_kept(name: &str) -> Option<(u64, &str)> {
    let (seconds, rest) = name.strip_prefix(KEPT)?.split_once('.')?;
    Some((seconds.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn names_of_one_run_differ() {
        let run: RunId = "20260101-ab".parse().expect("a run id");
        let (first, second) = (sandbox_name(&run), sandbox_name(&run));
        assert!(first.starts_with("assay-20260101-ab-"));
        assert_ne!(first, second);
    }

    #[test]
    fn a_kept_name_tells_since_when() {
        let kept = kept_name("assay-20260101-ab-3", at(1_700_000_000));
        assert_eq!(kept, "assay-kept.1700000000.20260101-ab-3");
        assert_eq!(kept_time(&kept), Some(at(1_700_000_000)));
        let again = kept_name(&kept, at(1_700_000_100));
        assert_eq!(again, "assay-kept.1700000100.20260101-ab-3");
        for other in [
            "assay-20260101-ab-3",
            "assay-kept.x.1",
            "assay-kept.",
            "kept.1.a",
            "assay-kept-1-run-1",
        ] {
            assert_eq!(kept_time(other), None, "{other}");
        }
    }
}
