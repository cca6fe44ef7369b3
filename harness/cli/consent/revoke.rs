//! `assay consent revoke`: entries taken out of the ledger, whole or on some targets. Nothing is asked:
//! what is revoked is asked for again by `assay consent check`.

use std::collections::BTreeSet;

use assay_recipe::consents::read_digest;
use assay_recipe::expected::TargetPattern;
use assay_recipe::withdraw;
use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::name::TargetId;
use schemars::JsonSchema;
use serde::Serialize;

use super::source::Source;
use super::{own, show};
use crate::args::{Recipes, RevokeArgs, Selection};
use crate::check::plural;
use crate::error::CliError;
use crate::load::nearest;
use crate::project::{CONSENTS, Project};
use crate::terminal::{Terminal, plain};
use crate::write::replace;

/// What was revoked.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    file: String,
    /// The entries as they were, with the targets on which they count no more.
    revoked: Vec<Consent>,
}

/// Revokes.
pub(crate) fn run(terminal: &Terminal, arguments: &RevokeArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    own(&project)?;
    let ledger = project.ledger.consents();
    let chosen = if arguments.stale {
        stale(terminal, &project, arguments.from.as_deref())?
    } else {
        named(&ledger, arguments)?
    };
    let mut text = project.ledger_text.clone().unwrap_or_default();
    let mut revoked = Vec::new();
    for (entry, targets) in chosen.into_iter().rev() {
        text = withdraw(&text, entry, &targets)
            .ok_or_else(|| CliError::infrastructure(format!("`{CONSENTS}` cannot be changed")))?;
        revoked.push(Consent {
            targets,
            ..ledger[entry].clone()
        });
    }
    revoked.reverse();
    let path = project.path(CONSENTS);
    if !revoked.is_empty() {
        replace(&path, &text)?;
    }
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-consent-revoked",
            version: 1,
            file: path.display().to_string(),
            revoked,
        });
    }
    terminal.result(|out| {
        revoked.iter().try_for_each(|consent| {
            writeln!(
                out,
                "revoked  {}  {}  {}  {}",
                consent.recipe,
                consent.kind,
                plain(&consent.subject),
                show::targets(&consent.targets)
            )
        })
    })?;
    terminal.progress(&format!("{} revoked", plural(revoked.len(), "consent")));
    Ok(())
}

/// Entries by position, each with the targets that are withdrawn; in the ledger's order.
type Chosen = Vec<(usize, Vec<TargetId>)>;

/// What nothing of the project uses, or what the cells of a run did not.
fn stale(terminal: &Terminal, project: &Project, from: Option<&str>) -> Result<Chosen, CliError> {
    let all = Selection {
        recipes: Recipes {
            recipes: Vec::new(),
        },
        on: Vec::new(),
    };
    let source = Source::own(terminal, project, &all, from)?;
    let stale = source.judge().judgement.stale.into_iter();
    Ok(stale.map(|stale| (stale.entry, stale.targets)).collect())
}

/// What the command line names.
fn named(ledger: &[Consent], arguments: &RevokeArgs) -> Result<Chosen, CliError> {
    let digests: BTreeSet<Digest> = arguments
        .digest
        .iter()
        .map(|text| read_digest(text).map_err(CliError::word))
        .collect::<Result<_, _>>()?;
    let patterns: Vec<TargetPattern> = arguments
        .on
        .iter()
        .map(|text| text.parse().map_err(CliError::word))
        .collect::<Result<_, _>>()?;
    let recipes: BTreeSet<String> = ledger
        .iter()
        .map(|consent| consent.recipe.to_string())
        .collect();
    if let Some(name) = arguments
        .recipes
        .iter()
        .find(|name| !recipes.contains(*name))
    {
        let known: Vec<String> = recipes.into_iter().collect();
        let near = nearest(name, &known).map(|near| format!("did you mean `{near}`?"));
        let error = format!("`{CONSENTS}` has no entry of `{}`", plain(name));
        return Err(CliError::usage(error).hints(near));
    }
    let mut chosen = Vec::new();
    for (entry, consent) in ledger.iter().enumerate() {
        let of_recipe = arguments.recipes.iter();
        let is_named = of_recipe
            .into_iter()
            .any(|name| *name == consent.recipe.as_str())
            && (digests.is_empty() || digests.contains(&consent.digest));
        let meant = |target: &&TargetId| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(target))
        };
        let targets: Vec<TargetId> = consent.targets.iter().filter(meant).cloned().collect();
        if is_named && !targets.is_empty() {
            chosen.push((entry, targets));
        }
    }
    if chosen.is_empty() {
        return Err(CliError::usage("no entry of these recipes is meant")
            .hint("`assay consent list` shows what is granted"));
    }
    Ok(chosen)
}
