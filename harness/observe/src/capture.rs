//! Gaps in what was captured: what a run could not see, it says.
//!
//! A gap makes a cell fail whatever else happened, because nothing the record says of it can then
//! be trusted to be all. Paths the engine lists for reasons of its own are explained here, and
//! nowhere else.

use std::fmt;

use assay_wire::event::{Capture, Ending, ManifestPoint};
use assay_wire::manifest::{Content, Entry};
use assay_wire::plan::{Action, Op, OpId};
use assay_wire::program::{HARNESS_FOLDER, Pass, Probe, USER};
use assay_wire::trace::{GapReason, StartedFor};
use serde::Serialize;

use crate::noise::matches;
use crate::record::{CellFacts, OpFacts};

/// One thing that could not be captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// The executor could not do its own work.
    Broken {
        /// What it said.
        message: String,
    },
    /// Facts that cannot all be true: the stream was damaged or forged.
    Contradiction {
        /// Which.
        message: String,
    },
    /// A manifest had more lines than are kept.
    Omitted {
        /// Which manifest.
        after: ManifestPoint,
        /// How many lines were left out.
        lines: u64,
    },
    /// There was no room for what changed files say.
    Untold {
        /// Which manifest.
        after: ManifestPoint,
        /// How many files.
        files: u64,
    },
    /// The engine lists paths as changed that no manifest saw.
    Unseen {
        /// The paths, escaped.
        paths: Vec<String>,
    },
    /// An op was neither performed nor skipped although nothing had failed.
    Unperformed {
        /// Its position in the plan.
        op: u32,
        /// Which apply.
        pass: Pass,
    },
    /// Something a traced program did is not known in full.
    Trace {
        /// The op's position in the plan.
        op: u32,
        /// Which apply.
        pass: Pass,
        /// Why.
        reason: GapReason,
        /// How often.
        count: u64,
    },
    /// An op's command ran and no trace of it came.
    NoTrace {
        /// The op's position in the plan.
        op: u32,
        /// Which apply.
        pass: Pass,
    },
    /// Nothing was traced: the sandbox was not given what that takes.
    Untraced {
        /// The missing capabilities (capabilities(7)).
        missing: Vec<String>,
    },
    /// No manifest was taken after the second apply.
    NoLastManifest,
    /// The engine's own list was not compared.
    NotCrossChecked,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { message } => write!(f, "the executor broke off: {message}"),
            Self::Contradiction { message } => write!(f, "contradictory facts: {message}"),
            Self::Omitted { after, lines } => {
                write!(
                    f,
                    "{lines} lines of the manifest after {} were left out",
                    Point(after)
                )
            }
            Self::Untold { after, files } => write!(
                f,
                "there was no room for what {files} files say in the manifest after {}",
                Point(after)
            ),
            Self::Unseen { paths } => {
                let (first, more) = (paths.first().map_or("", String::as_str), paths.len());
                write!(f, "the engine lists changes no manifest saw: `{first}`")?;
                if more > 1 {
                    write!(f, " and {} more", more - 1)
                } else {
                    Ok(())
                }
            }
            Self::Unperformed {
                op,
                pass: Pass::First,
            } => {
                write!(f, "op {op} has no end although nothing failed")
            }
            Self::Unperformed {
                op,
                pass: Pass::Second,
            } => {
                write!(
                    f,
                    "op {op} has no end in the second apply although nothing failed"
                )
            }
            Self::Trace {
                op, reason, count, ..
            } => write!(f, "{count} × in op {op} {}", words(*reason)),
            Self::NoTrace { op, .. } => write!(f, "op {op} ran and there is no trace of it"),
            Self::Untraced { missing } => write!(
                f,
                "nothing was traced: the engine gave the sandbox no {}",
                missing.join(", ")
            ),
            Self::NoLastManifest => write!(f, "there is no manifest after the second apply"),
            Self::NotCrossChecked => {
                write!(
                    f,
                    "the manifests were not compared with the engine's own list"
                )
            }
        }
    }
}

/// A manifest's place in words.
struct Point<'a>(&'a ManifestPoint);

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ManifestPoint::Baseline => f.write_str("the start"),
            ManifestPoint::Op(op) => write!(f, "op {op}"),
            ManifestPoint::SecondApply => f.write_str("the second apply"),
        }
    }
}

/// What is not known, in words.
fn words(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Arguments => "the arguments of a call could not be read",
        GapReason::Program => "a program that was executed could not be read",
        GapReason::Lines => "there was more to tell of the trace than is kept",
        GapReason::Process => "a process was not followed",
    }
}

/// What damaged a capture, whatever else happened in the cell.
#[must_use]
pub fn damage(facts: &CellFacts) -> Vec<Gap> {
    let broken = facts.broken.iter().map(|message| Gap::Broken {
        message: message.clone(),
    });
    let contradictions = facts.contradictions.iter();
    let contradictions = contradictions.map(|message| Gap::Contradiction {
        message: message.clone(),
    });
    let omitted = facts.manifests.iter().filter_map(|manifest| {
        let lines = manifest.stats.as_ref()?.omitted;
        (lines > 0).then(|| Gap::Omitted {
            after: manifest.after.clone(),
            lines,
        })
    });
    let untold = facts.manifests.iter().filter_map(|manifest| {
        let left_out = |entry: &&Entry| entry.content == Some(Content::LeftOut);
        let after = manifest
            .paths
            .iter()
            .filter_map(|change| change.after.as_ref());
        let files = after.filter(left_out).count() as u64;
        (files > 0).then(|| Gap::Untold {
            after: manifest.after.clone(),
            files,
        })
    });
    let untraced = facts.traces.iter().flat_map(|trace| {
        trace.gaps.iter().map(|gap| Gap::Trace {
            op: trace.op.0,
            pass: trace.pass,
            reason: gap.reason,
            count: gap.count,
        })
    });
    let unseen = unexplained(facts);
    let unseen = (!unseen.is_empty()).then_some(Gap::Unseen { paths: unseen });
    broken
        .chain(contradictions)
        .chain(omitted)
        .chain(untold)
        .chain(untraced)
        .chain(unseen)
        .collect()
}

/// What is wanting for a pass in a cell where nothing failed: every op's end in both applies, the
/// manifest after the second, and the cross-check.
#[must_use]
pub fn missing_evidence(facts: &CellFacts) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let plan = &facts.planned.plan;
    for pass in [Pass::First, Pass::Second] {
        for (op, known) in plan.ops.iter().zip(&facts.ops) {
            let due = pass == Pass::First || !op.once;
            let done = known
                .performance(pass)
                .is_some_and(|performance| performance.ending.is_some() || performance.skipped());
            if due && !done {
                gaps.push(Gap::Unperformed { op: op.id.0, pass });
            }
            if facts.untraced.is_empty() && ran(op, known, pass) && !is_traced(facts, op.id, pass) {
                gaps.push(Gap::NoTrace { op: op.id.0, pass });
            }
        }
    }
    let applies = plan.ops.iter().any(|op| !op.once);
    if applies && facts.manifest(&ManifestPoint::SecondApply).is_none() {
        gaps.push(Gap::NoLastManifest);
    }
    if !facts.untraced.is_empty() && facts.planned.capture == Capture::Trace {
        gaps.push(Gap::Untraced {
            missing: facts.untraced.clone(),
        });
    }
    if !plan.ops.is_empty() && facts.cross_check.is_none() {
        gaps.push(Gap::NotCrossChecked);
    }
    gaps
}

/// True if an op's command was executed.
fn ran(op: &Op, known: &OpFacts, pass: Pass) -> bool {
    let ending = known.performance(pass).and_then(|one| one.ending.as_ref());
    matches!(op.action, Action::Run { .. })
        && ending.is_some_and(|ending| match ending {
            Ending::Exited(_) | Ending::Signalled(_) | Ending::Limit(_) => true,
            Ending::NotStarted { .. } | Ending::Written { .. } | Ending::NotWritten { .. } => false,
        })
}

/// True if the program that an op's command is was traced.
fn is_traced(facts: &CellFacts, op: OpId, pass: Pass) -> bool {
    let mut traces = facts.traces.iter();
    let trace = traces.find(|trace| (trace.op, trace.pass) == (op, pass));
    let mut programs = trace.into_iter().flat_map(|trace| &trace.programs);
    programs.any(|program| program.started_for == Some(StartedFor::Op))
}

/// Paths an engine makes or mounts over by itself, with what is below them.
const ENGINE_PATHS: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/.dockerenv",
    "/run/.containerenv",
];

/// What the executor writes before the first manifest where it has to add the user.
const USER_PATHS: &[&str] = &["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"];

/// What asking rpm which packages there are leaves beside its database (sqlite's write-ahead log
/// and its index, <https://sqlite.org/tempfiles.html>). The harness asks before the first walk, so
/// these are part of the first manifest, and what becomes of them later is seen.
const RPM_PROBE_PATHS: &[&str] = &[
    "/usr/lib/sysimage/rpm/rpmdb.sqlite-shm",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    "/var/lib/rpm/rpmdb.sqlite-shm",
    "/var/lib/rpm/rpmdb.sqlite-wal",
];

/// What systemd makes while it boots, before the first manifest; `*` stands for any characters within
/// one component. Found by booting every target here; each by what makes it.
const BOOT_PATHS: &[&str] = &[
    // systemd-update-done.service(8)
    "/etc/.updated",
    "/var/.updated",
    // systemd-tmpfiles-setup.service(8), for logind
    "/var/lib/systemd/linger",
    // systemd.timer(5), `Persistent=`: when each was started last
    "/var/lib/systemd/timers",
    "/var/lib/systemd/timers/stamp-*.timer",
    // systemd-journald.service(8), a folder named after the machine
    "/var/log/journal/*",
    "/var/log/journal/*/system.journal",
    // … and what it lays aside, a file that was not closed cleanly or is from later than now
    "/var/log/journal/*/system@*.journal",
    "/var/log/journal/*/system@*.journal~",
    // systemd.exec(5), `PrivateTmp=`: named after the boot and by chance
    "/var/tmp/systemd-private-*",
    "/var/tmp/systemd-private-*/tmp",
];

/// Paths of the engine's list that nothing explains.
fn unexplained(facts: &CellFacts) -> Vec<String> {
    let unseen = facts
        .cross_check
        .as_ref()
        .map_or(&[][..], |check| &check.unseen);
    if unseen.is_empty() {
        return Vec::new();
    }
    let home = format!("/home/{USER}");
    let mut known: Vec<&str> = ENGINE_PATHS.to_vec();
    known.push(HARNESS_FOLDER);
    // A sandbox that calls its root a mount explains nothing by it.
    known.extend(
        facts
            .mounts()
            .into_iter()
            .filter(|mount| !mount.trim_matches('/').is_empty()),
    );
    if facts.user.is_some_and(|user| user.added) {
        known.extend(USER_PATHS);
        known.push(&home);
    }
    let asks_rpm = |probe: &Probe| probe.argv.first().is_some_and(|program| program == "rpm");
    if facts.planned.harness.probes.iter().any(asks_rpm) {
        known.extend(RPM_PROBE_PATHS);
    }
    let manifests = facts.manifests.iter();
    let mut seen: Vec<&str> = manifests
        .flat_map(|manifest| &manifest.paths)
        .map(|change| change.path.as_str())
        .collect();
    seen.extend(&known);
    seen.sort_unstable();
    let booted = facts.booted.is_some();
    let made_by_boot = |path: &str| BOOT_PATHS.iter().any(|pattern| matches(pattern, path));
    let explained = |path: &str| {
        if booted && made_by_boot(path) {
            return true;
        }
        known.iter().any(|known| is_at_or_below(path, known)) || holds_any_of(path, &seen)
    };
    unseen
        .iter()
        .filter(|path| !explained(path))
        .cloned()
        .collect()
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// True if one of these sorted paths lies below this folder: an engine lists a folder as changed
/// when something in it is, which alters nothing but the folder's time.
fn holds_any_of(folder: &str, sorted: &[&str]) -> bool {
    let below = format!("{}/", folder.trim_end_matches('/'));
    let from = sorted.partition_point(|path| *path < below.as_str());
    sorted
        .get(from)
        .is_some_and(|path| path.starts_with(&below))
}
