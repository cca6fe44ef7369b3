//! Words for privileged operations: what one is, who did it, where it belongs, why nothing explains it,
//! how it stands, and who vouches for a package.
//!
//! Nothing is escaped here, apart from commands, which are quoted and bounded as everywhere.

use assay_observe::CellRecord;
use assay_observe::consent::{ForbiddenBy, Standing};
use assay_observe::delta::Why;
use assay_wire::consent::Consent;
use assay_wire::package::{Chain, KeyPlace, Signature};
use assay_wire::privileged::{Actor, FileText, PrivilegedOperation};
use assay_wire::program::Pass;

use super::plural;
use crate::sanitise;

/// What stands behind the place of what the second apply did.
pub(crate) const AGAIN: &str = " again";
/// Most characters of a program's words.
const PROGRAM: usize = 200;

/// How an operation stands. The ledger is the one it was judged by.
#[must_use]
pub fn standing_in_words(standing: Standing, ledger: &[Consent]) -> String {
    let words = |entry: usize, words: &dyn Fn(&Consent) -> String| {
        ledger.get(entry).map(words).unwrap_or_default()
    };
    match standing {
        Standing::Ordinary => "ordinary: needs no consent".to_owned(),
        Standing::Approved(by) => {
            format!("approved by `{}` of `[policy]`", by.key())
        }
        Standing::Granted { entry } => words(entry, &|consent| {
            format!(
                "granted by {} on {}: {}",
                consent.by, consent.on, consent.note
            )
        }),
        Standing::Missing => "not granted".to_owned(),
        Standing::Violated { entry } => words(entry, &|consent| {
            format!("changed since {} granted it on {}", consent.by, consent.on)
        }),
        Standing::Expired { entry } => words(entry, &|consent| {
            let until = consent.expires.as_deref().unwrap_or_default();
            format!("was granted by {} until {until}", consent.by)
        }),
        Standing::Forbidden(by) => {
            let key = match by {
                ForbiddenBy::Kind => "forbidden_kinds",
                ForbiddenBy::GroupTier => "group_tiers",
            };
            format!("forbidden by `{key}` of `[policy]`: no entry can grant it")
        }
    }
}

/// That so many operations are nobody's.
pub(crate) fn not_declared(count: usize) -> String {
    let operations = plural(count, "operation");
    format!("{operations} observed that the recipe does not declare")
}

/// That so many operations have no consent.
pub(crate) fn need_consent(count: usize) -> String {
    match count {
        1 => "1 operation needs consent".to_owned(),
        more => format!("{more} operations need consent"),
    }
}

/// The way in which a consent is not there, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    /// None can be given.
    Forbidden,
    /// One was given to something else of that name.
    Violated,
    /// One was given and counts no more.
    Expired,
    /// None was given.
    Missing,
}

impl Lack {
    /// What is wanting to an operation that stands so.
    pub(crate) fn of(standing: Standing) -> Option<Self> {
        match standing {
            Standing::Forbidden(_) => Some(Self::Forbidden),
            Standing::Violated { .. } => Some(Self::Violated),
            Standing::Expired { .. } => Some(Self::Expired),
            Standing::Missing => Some(Self::Missing),
            Standing::Granted { .. } | Standing::Approved(_) | Standing::Ordinary => None,
        }
    }

    /// What documents call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "consent_forbidden",
            Self::Violated => "consent_violated",
            Self::Expired => "consent_expired",
            Self::Missing => "consent_missing",
        }
    }
}

/// The subject, and what the file says where it is one whose words matter.
pub(crate) fn what(operation: &PrivilegedOperation) -> String {
    let subject = &operation.subject;
    match operation.kind.says() {
        Some(FileText::Words(words)) if !words.is_empty() => format!("{subject}: {words}"),
        Some(FileText::Sha256(digest)) => format!("{subject}: sha256 {}", digest.short()),
        Some(FileText::Words(_) | FileText::Unread) | None => subject.clone(),
    }
}

/// Why nothing explains an operation.
pub(crate) fn why_in_words(why: &Why) -> String {
    match why {
        Why::Nobody => "no step declares it, no package brings it".to_owned(),
        Why::Differs { package } => format!("package `{package}` has it otherwise"),
        Why::NotItsOwn { package } => {
            format!("a script of package `{package}` did it to what is not the package's own")
        }
        Why::Capture => "it could not be captured, or bears on the capture itself".to_owned(),
    }
}

/// The script of a package, else the program, else nobody that was traced.
pub(crate) fn actor_in_words(actor: Option<&Actor>) -> String {
    match actor {
        Some(Actor {
            script: Some(script),
            ..
        }) => format!("{} of {}", script.script, script.package),
        Some(actor) => format!("`{}`", sanitise::command(&actor.argv, PROGRAM)),
        None => "no traced program".to_owned(),
    }
}

/// The steps of an operation, or its op where it belongs to none. Steps of a plan of one recipe are
/// named without it.
pub(crate) fn place(cell: &CellRecord, operation: &PrivilegedOperation) -> String {
    let alone = cell.facts.planned.plan.recipes.len() == 1;
    let name = |step: &assay_wire::name::StepRef| match alone {
        true => step.step.to_string(),
        false => step.to_string(),
    };
    let steps: Vec<String> = operation.steps.iter().map(name).collect();
    match steps.len() {
        0 => format!("op {}", operation.op),
        1 => format!("step {}", steps[0]),
        _ => format!("steps {}", steps.join(", ")),
    }
}

/// The same, with the apply if it is the second.
pub(crate) fn place_in(cell: &CellRecord, operation: &PrivilegedOperation, pass: Pass) -> String {
    let place = place(cell, operation);
    match pass {
        Pass::First => place,
        Pass::Second => format!("{place}{AGAIN}"),
    }
}

/// Who vouches for a package.
pub(crate) fn chain_in_words(chain: &Chain) -> String {
    let index = chain.index.as_ref();
    let index = index.map(|index| match signature_in_words(&index.signature) {
        Some(signed) => format!("listed by {}, {signed}", index.url),
        None => format!("listed by {}, which nobody signed", index.url),
    });
    let own = signature_in_words(&chain.own);
    match (own, index) {
        (Some(own), Some(index)) => format!("{own}; {index}"),
        (Some(own), None) => format!("{own}; no index that came lists it"),
        (None, Some(index)) => index,
        (None, None) => "nobody signed it, no index that came lists it".to_owned(),
    }
}

fn signature_in_words(signature: &Signature) -> Option<String> {
    match signature {
        Signature::None => None,
        Signature::Verified { fingerprint, key } => {
            let place = match key {
                KeyPlace::Declared { step } => format!("declared by {step}"),
                KeyPlace::Image { path } => format!("of the image: {path}"),
            };
            Some(format!("signed by {fingerprint} ({place})"))
        }
        Signature::UnknownKey { key } => Some(format!("signed by {key}, which nobody here has")),
        Signature::Bad { message } => Some(format!("with a bad signature: {message}")),
    }
}

/// Who vouches for a package, without the place of an index: what packages of one repository, and of
/// several that one key signs, have in common.
pub(crate) fn voucher_in_words(chain: &Chain) -> String {
    let own = signature_in_words(&chain.own);
    let index = chain.index.as_ref().map(|index| {
        let signed = signature_in_words(&index.signature);
        let signed = signed.unwrap_or_else(|| "that nobody signed".to_owned());
        format!("in an index {signed}")
    });
    match (own, index) {
        (Some(own), Some(index)) => format!("{own}, {index}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "that nobody signed, in no index that came".to_owned(),
    }
}
