//! What a run's journal says of where its time went.

use std::collections::BTreeMap;
use std::path::Path;

use assay_wire::event::{Body, CellPlanned, Envelope, ExecutorEvent, ManifestPoint, Request};

use crate::Failure;

/// The parts of a run, in the order they are shown.
pub(crate) const PARTS: [&str; 8] = [
    "sandbox start",
    "preparing it",
    "manifests",
    "guards",
    "ops and checks",
    "cross-check",
    "sandbox end",
    "the program itself",
];

/// Reads a journal.
pub(crate) fn read(path: &Path) -> Result<Vec<Envelope>, Failure> {
    let text = std::fs::read_to_string(path)?;
    let events = text.lines().map(serde_json::from_str);
    Ok(events.collect::<Result<_, _>>()?)
}

/// Milliseconds of each part of a run with one cell. A moment belongs to the event that ends it;
/// what no event ends is the program's own, before its first event and after its last.
pub(crate) fn parts(events: &[Envelope], whole_ms: f64) -> BTreeMap<&'static str, f64> {
    let mut parts: BTreeMap<&str, f64> = PARTS.iter().map(|part| (*part, 0.0)).collect();
    let mut before = 0;
    for event in events {
        let part = match &event.body {
            Body::SandboxStarted(_) => "sandbox start",
            Body::Executor(
                ExecutorEvent::Booted { .. }
                | ExecutorEvent::NotBooted { .. }
                | ExecutorEvent::Ready { .. },
            ) => "preparing it",
            Body::Executor(ExecutorEvent::ManifestTaken { .. }) | Body::Manifest(_) => "manifests",
            Body::Executor(ExecutorEvent::GuardAsked { .. }) => "guards",
            Body::Executor(
                ExecutorEvent::OpStarted { .. }
                | ExecutorEvent::OpFinished { .. }
                | ExecutorEvent::Broken { .. },
            )
            | Body::Output(_)
            | Body::Request(_)
            | Body::Trace(_) => "ops and checks",
            Body::Package(_) => "packages",
            Body::CrossChecked(_) => "cross-check",
            Body::SandboxLeft(_) | Body::CellEnded(_) => "sandbox end",
            Body::RunStarted(_)
            | Body::CellPlanned(_)
            | Body::AttemptStarted { .. }
            | Body::ContentReady(_)
            | Body::ContentRefused(_)
            | Body::AttemptFailed(_)
            | Body::RunEnded { .. } => "the program itself",
        };
        *parts.entry(part).or_default() += to_f64(event.t.saturating_sub(before));
        before = event.t;
    }
    *parts.entry("the program itself").or_default() += whole_ms - to_f64(before);
    parts
}

/// The manifests of a run: milliseconds of the first, which reads every file, and of those after
/// it that found nothing changed; and what the first walked.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    pub(crate) first_ms: Vec<f64>,
    pub(crate) repeated_ms: Vec<f64>,
    pub(crate) entries: u64,
}

impl Manifests {
    /// Adds those of one run.
    pub(crate) fn add(&mut self, events: &[Envelope]) {
        let mut taken = None;
        for event in events {
            if let Body::Executor(ExecutorEvent::ManifestTaken { entries, ms, .. }) = &event.body {
                taken = Some((*entries, to_f64(*ms)));
            }
            if let (Body::Manifest(manifest), Some((entries, ms))) = (&event.body, taken) {
                if manifest.after == ManifestPoint::Baseline {
                    self.first_ms.push(ms);
                    self.entries = entries;
                } else if manifest.paths.is_empty() && manifest.states.is_empty() {
                    self.repeated_ms.push(ms);
                }
            }
        }
    }
}

/// The cell a run's journal plans.
pub(crate) fn planned(event: &Envelope) -> Option<&CellPlanned> {
    if let Body::CellPlanned(planned) = &event.body {
        Some(planned)
    } else {
        None
    }
}

/// Bytes the run's proxy sent from the lab's files, and the milliseconds of the op that took them.
pub(crate) fn served(events: &[Envelope]) -> Option<(u64, f64)> {
    let request = events.iter().find_map(request)?;
    events.iter().find_map(|event| {
        if let Body::Executor(ExecutorEvent::OpFinished { op, ms, .. }) = &event.body
            && Some(*op) == request.op
        {
            return Some((request.bytes, to_f64(*ms)));
        }
        None
    })
}

fn request(event: &Envelope) -> Option<&Request> {
    if let Body::Request(request) = &event.body {
        Some(request)
    } else {
        None
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn to_f64(number: u64) -> f64 {
    number as f64
}
