//! `assay images verify`: whether the images are what they claim to be, to the last byte.

use assay_sandbox::images::prune::remove_false;
use assay_sandbox::images::{FoundImage, ImageRow, Verdict, Verified, list, verify};
use assay_wire::name::TargetId;
use schemars::JsonSchema;
use serde::Serialize;

use super::{connect, today, words};
use crate::cache;
use crate::error::{CliError, ErrorKind};
use crate::project::Project;
use crate::terminal::{Terminal, plain};

/// What came of looking at images.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    images: Vec<Row>,
}

/// An image that was looked at.
#[derive(Serialize, JsonSchema)]
struct Row {
    target: String,
    variant: &'static str,
    kind: &'static str,
    current: bool,
    id: String,
    name: Option<String>,
    verdict: &'static str,
    findings: Vec<String>,
    /// True if it was removed, with all that was made of it.
    removed: bool,
    /// How many layers it has, and their bytes; null unless each was proved.
    layers: Option<usize>,
    bytes: Option<u64>,
}

/// An image, what came of looking at it, and whether it was then removed.
struct LookedAt<'a> {
    image: &'a FoundImage,
    verified: Verified,
    removed: bool,
}

/// Looks at the images of the chosen targets, each in full, and removes what differs if asked to.
pub(crate) async fn run(
    terminal: &Terminal,
    project: &Project,
    words: &[String],
    remove: bool,
) -> Result<(), CliError> {
    let chosen = chosen(project, words)?;
    let engine = connect().await?;
    let cache = cache::folder()?;
    let rows = list(&engine, &project.definitions, &cache, today()?)
        .await
        .map_err(CliError::infrastructure)?;
    let of_chosen = |row: &&ImageRow| chosen.contains(&row.target);
    let missing: Vec<&TargetId> = rows
        .iter()
        .filter(of_chosen)
        .filter(|row| row.image.is_none() && !words.is_empty())
        .map(|row| &row.target)
        .collect();
    let mut looked_at = Vec::new();
    for row in rows.iter().filter(of_chosen) {
        let (Some(image), Some(placed)) = (&row.image, project.definitions.get(&row.target)) else {
            continue;
        };
        terminal.progress(&format!(
            "{}: reading {} MB of the image ({})",
            image.target,
            image.size / 1_000_000,
            super::words(image)
        ));
        let mut verified = verify(&engine, placed, image)
            .await
            .map_err(super::of_build)?;
        let mut removed = false;
        if remove && verified.verdict == Verdict::Differs {
            let mut progress = |line: &str| terminal.progress(&plain(line));
            let gone = remove_false(&engine, &project.definitions, &cache, image, &mut progress)
                .await
                .map_err(super::of_build)?;
            let kept = gone.iter().filter_map(|one| one.kept.as_deref());
            verified
                .findings
                .extend(kept.map(|why| format!("kept: {why}")));
            removed = !gone.is_empty() && gone.iter().all(|one| one.kept.is_none());
        }
        looked_at.push(LookedAt {
            image,
            verified,
            removed,
        });
    }
    for target in &missing {
        terminal.error(
            &CliError::infrastructure(format!("there is no image of `{target}` here"))
                .hint(format!("`assay images build {target}` makes it")),
        );
    }
    let verdicts: Vec<Verdict> = looked_at.iter().map(|it| it.verified.verdict).collect();
    show(terminal, looked_at)?;
    if verdicts.contains(&Verdict::Differs) {
        Err(CliError::said(ErrorKind::Content))
    } else if verdicts.contains(&Verdict::Unknown) || !missing.is_empty() {
        Err(CliError::said(ErrorKind::Infrastructure))
    } else {
        Ok(())
    }
}

/// The targets whose images are looked at: those that are named, else all with a definition.
fn chosen(project: &Project, words: &[String]) -> Result<Vec<TargetId>, CliError> {
    if words.is_empty() {
        let all = project.definitions.iter();
        return Ok(all.map(|placed| placed.definition.id.clone()).collect());
    }
    let chosen = super::to_build(project, words)?;
    Ok(chosen.into_iter().map(|target| target.id).collect())
}

fn show(terminal: &Terminal, images: Vec<LookedAt<'_>>) -> Result<(), CliError> {
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-verified",
            version: 1,
            images: images.into_iter().map(Row::from).collect(),
        });
    }
    terminal.result(|out| {
        if images.is_empty() {
            return writeln!(out, "there is no image; `assay images build` makes them");
        }
        writeln!(out, "{:<16} {:<19} {:<14} verdict", "target", "kind", "id")?;
        for LookedAt {
            image,
            verified,
            removed,
        } in &images
        {
            let what = match (verified.verdict, verified.proved) {
                (Verdict::Verified, Some(proved)) => format!(
                    "verified: {}, {} MB",
                    crate::check::plural(proved.layers, "layer"),
                    proved.bytes / 1_000_000
                ),
                (verdict, _) => verdict.word().to_owned(),
            };
            let id = super::short(&image.id);
            writeln!(
                out,
                "{:<16} {:<19} {id:<14} {what}{}",
                image.target.as_str(),
                words(image),
                if image.is_current() { "" } else { " (stale)" }
            )?;
            for finding in &verified.findings {
                writeln!(out, "  {}", plain(finding))?;
            }
            if *removed {
                let target = &image.target;
                writeln!(
                    out,
                    "  removed; `assay images build {target}` makes it anew"
                )?;
            }
        }
        Ok(())
    })
}

impl From<LookedAt<'_>> for Row {
    fn from(looked_at: LookedAt<'_>) -> Self {
        let LookedAt {
            image,
            verified,
            removed,
        } = looked_at;
        Self {
            target: image.target.to_string(),
            variant: image.variant.as_str(),
            kind: image.kind.word(),
            current: image.is_current(),
            id: image.id.clone(),
            name: image.name.clone(),
            verdict: verified.verdict.word(),
            findings: verified.findings,
            removed,
            layers: verified.proved.map(|proved| proved.layers),
            bytes: verified.proved.map(|proved| proved.bytes),
        }
    }
}
