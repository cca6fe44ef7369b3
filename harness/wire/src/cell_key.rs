//! The key of a cell: a digest that says that the same question was asked. Two cells of one key were
//! to do the same, with the same harness, in the same image, bounded alike, reaching the same world.
//!
//! It says nothing of the answer. In a replay, or without a network, the same question has one answer
//! but for what differs by itself (`observe`'s noise list); in `live` and `record` the world moves on,
//! and no part of it is in the key.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, digest_of};
use crate::event::{Capture, CellPlanned};
use crate::lock::{Lock, Network};
use crate::plan::{ContentKind, Disposition};

/// What a cell runs under beside its plan, the harness's additions and its image: everything else that
/// decides what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Version of the harness.
    pub harness: String,
    /// sha256 of the executor that is sent.
    pub executor_sha256: Digest,
    /// Where what the sandbox asks for comes from.
    pub network: Network,
    /// What it may reach beside public addresses, sorted.
    pub allow: Vec<String>,
    /// What a replay answers from, see [`answers_epoch`]; `None` otherwise.
    pub answers: Option<Digest>,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processor time, in thousandths of one processor.
    pub milli_cpus: u32,
    /// Processes and threads.
    pub pids: u32,
    /// Bytes of the longest file.
    pub file_bytes: u64,
    /// Milliseconds an attempt may take.
    pub cell_ms: u64,
}

/// What stands for the state of the world's indexes in a key: in a replay the digest of every answer
/// of the lock, for what a sandbox is going to ask for is known only afterwards. Nothing otherwise,
/// because the lock then answers nothing. What a lock says of versions and keys is not in it: that is
/// in the plan, of which it is a part where the plan uses it.
#[must_use]
pub fn answers_epoch(network: Network, lock: Option<&Lock>) -> Option<Digest> {
    match network {
        Network::Replay => lock.map(|lock| digest_of(&lock.answers)),
        Network::Live | Network::Record | Network::None => None,
    }
}

/// Everything that is asked. Names, descriptions, places and expectations are no part of a question.
#[derive(Serialize)]
struct Question<'a> {
    plan: Digest,
    harness_env: Digest,
    boots: bool,
    unsupported: bool,
    /// Content is its bytes and what they must be; where they come from changes neither.
    content: Vec<(Digest, &'a ContentKind)>,
    /// How many ops stand before each manual step.
    manual: Vec<u32>,
    image: Option<&'a str>,
    capture: Capture,
    conditions: &'a Conditions,
}

impl CellPlanned {
    /// The cell's key.
    #[must_use]
    pub fn key(&self) -> Digest {
        let manual = self.plan.steps.iter().filter_map(|step| {
            if let Disposition::Manual { after, .. } = &step.disposition {
                Some(*after)
            } else {
                None
            }
        });
        let content = self.plan.content.iter();
        digest_of(&Question {
            plan: self.plan.digest(),
            harness_env: self.harness.digest(),
            boots: self.plan.boots,
            unsupported: self.plan.unsupported.is_some(),
            content: content.map(|one| (one.sha256, &one.kind)).collect(),
            manual: manual.collect(),
            image: self.image.as_ref().map(|image| image.id.as_str()),
            capture: self.capture,
            conditions: &self.conditions,
        })
    }
}
