//! `assay images prune`: removing the images that nothing needs any more.

use std::collections::BTreeSet;

use assay_recipe::expected::TargetPattern;
use assay_sandbox::docker::engine::Engine;
use assay_sandbox::images::prune::Role;
use assay_sandbox::images::{PruneOptions, Pruned, Scope, prune};
use assay_wire::digest::Digest;
use assay_wire::name::TargetId;
use schemars::JsonSchema;
use serde::Serialize;

use super::{connect, of_build, short};
use crate::cache;
use crate::error::CliError;
use crate::project::Project;
use crate::terminal::{Terminal, plain};
use crate::world::EXECUTOR;

/// What was removed, or would be.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    dry_run: bool,
    images: Vec<Row>,
    /// What all that was removed, or would be, held by itself.
    freed_bytes: u64,
}

/// An image that is not needed.
#[derive(Serialize, JsonSchema)]
struct Row {
    /// Null for what was prepared of an image that has gone.
    target: Option<String>,
    /// `prepared`, a variant, or the kind of source of a minimal image.
    what: &'static str,
    id: String,
    name: Option<String>,
    /// What it holds beyond what it was made of.
    bytes: u64,
    because: &'static str,
    removed: bool,
    /// Why it was not removed.
    kept: Option<String>,
}

/// Removes what is not needed, or says what that is.
pub(crate) async fn run(
    terminal: &Terminal,
    project: &Project,
    words: &[String],
    all: bool,
    dry_run: bool,
) -> Result<(), CliError> {
    let patterns = patterns(words)?;
    let engine = connect().await?;
    let scope = match (all, patterns.is_empty()) {
        (true, _) => Scope::All,
        (false, true) => Scope::Defined,
        (false, false) => Scope::Targets(chosen(project, &engine, &patterns).await?),
    };
    let options = PruneOptions {
        scope,
        executor: Digest::of(EXECUTOR),
        dry_run,
    };
    let cache = cache::folder()?;
    let mut progress = |line: &str| terminal.progress(&plain(line));
    let pruned = prune(
        &engine,
        &project.definitions,
        &cache,
        &options,
        &mut progress,
    )
    .await
    .map_err(of_build)?;
    show(terminal, &pruned, dry_run)
}

fn patterns(words: &[String]) -> Result<Vec<TargetPattern>, CliError> {
    let pattern = |word: &String| if word == "all" { "*" } else { word }.parse();
    let patterns: Result<Vec<TargetPattern>, _> = words.iter().map(pattern).collect();
    patterns.map_err(CliError::word)
}

/// The targets that the words match, with a definition or only with an image.
async fn chosen(
    project: &Project,
    engine: &Engine,
    patterns: &[TargetPattern],
) -> Result<BTreeSet<TargetId>, CliError> {
    let defined = project.definitions.iter();
    let mut known: BTreeSet<TargetId> = defined.map(|it| it.definition.id.clone()).collect();
    let found = assay_sandbox::images::prune::targets(engine).await;
    known.extend(found.map_err(of_build)?);
    let mut chosen = BTreeSet::new();
    for pattern in patterns {
        let mut matched = known.iter().filter(|id| pattern.matches(id)).peekable();
        if matched.peek().is_none() {
            let word = pattern.as_str().escape_debug();
            return Err(
                CliError::usage(format!("no target and no image matches `{word}`"))
                    .hint("`assay images list` shows what there is"),
            );
        }
        chosen.extend(matched.cloned());
    }
    Ok(chosen)
}

fn show(terminal: &Terminal, pruned: &[Pruned], dry_run: bool) -> Result<(), CliError> {
    let gone: Vec<&Pruned> = pruned.iter().filter(|one| one.kept.is_none()).collect();
    let freed = gone
        .iter()
        .fold(0_u64, |sum, one| sum.saturating_add(one.bytes));
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-pruned",
            version: 1,
            dry_run,
            images: pruned.iter().map(|one| Row::of(one, dry_run)).collect(),
            freed_bytes: freed,
        });
    }
    terminal.result(|out| {
        if pruned.is_empty() {
            return writeln!(out, "every image is needed");
        }
        writeln!(
            out,
            "{:<16} {:<10} {:<14} {:>8}  because",
            "target", "what", "id", "MB"
        )?;
        for one in pruned {
            let target = one.target.as_ref().map_or("-", TargetId::as_str);
            let kept = one.kept.as_deref().map(plain);
            writeln!(
                out,
                "{target:<16} {:<10} {:<14} {:>8.1}  {}{}",
                what(one.role),
                short(&one.id),
                one.bytes as f64 / 1e6,
                one.because.words(),
                kept.map_or_else(String::new, |why| format!("; kept: {why}"))
            )?;
        }
        let images = crate::check::plural(gone.len(), "image");
        let megabytes = freed as f64 / 1e6;
        if dry_run {
            writeln!(out, "\n{images} would be removed, {megabytes:.1} MB freed")?;
        } else {
            writeln!(out, "\n{images} removed, {megabytes:.1} MB freed")?;
        }
        Ok(())
    })
}

fn what(role: Role) -> &'static str {
    match role {
        Role::Prepared => "prepared",
        Role::Variant(variant) => variant.as_str(),
        Role::Minimal(kind) => kind.word(),
    }
}

impl Row {
    fn of(one: &Pruned, dry_run: bool) -> Self {
        Self {
            target: one.target.as_ref().map(TargetId::to_string),
            what: what(one.role),
            id: one.id.clone(),
            name: one.name.clone(),
            bytes: one.bytes,
            because: one.because.words(),
            removed: !dry_run && one.kept.is_none(),
            kept: one.kept.clone(),
        }
    }
}
