//! `assay snapshot`: plans against what was reviewed. Files are insta's, so that `cargo insta
//! review` works on them, too: `check` leaves a `.snap.new` beside a snapshot that is missing or
//! different, except in CI.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use assay_plan::snapshot::{SnapshotMeta, compare_snapshot, encode_snapshot};
use assay_plan::snapshot_text;
use assay_wire::event::SnapshotFinding;
use assay_wire::name::{RecipeName, TargetId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{Recipes, Selection, Sets, SnapshotVerb};
use crate::cells::{Library, PlannedCell, select};
use crate::check::plural;
use crate::error::{CliError, ErrorKind};
use crate::project::{Project, read_bounded};
use crate::terminal::Terminal;

/// Plans against their snapshots.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    snapshots: Vec<Row>,
    orphaned: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Row {
    file: String,
    finding: SnapshotFinding,
}

/// Compares or accepts.
pub(crate) fn run(terminal: &Terminal, verb: &SnapshotVerb) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    match verb {
        SnapshotVerb::Check(selection) => check(terminal, &project, selection),
        SnapshotVerb::Accept(selection) => accept(terminal, &project, selection),
        SnapshotVerb::Review(selection) => {
            review(terminal, &project, selection, &mut std::io::stdin().lock())
        }
        SnapshotVerb::Prune(recipes) => prune(terminal, &project, recipes),
    }
}

/// How a cell's plan compares with its snapshot; not judged outside a project, nor for a set.
pub(crate) fn finding(
    project: &Project,
    library: &Library,
    cell: &PlannedCell,
) -> Result<SnapshotFinding, CliError> {
    let ([recipe], Some(_)) = (cell.cell.recipes.as_slice(), &project.root) else {
        return Ok(SnapshotFinding::NotJudged);
    };
    if !library.is_of(project, recipe) {
        return Ok(SnapshotFinding::NotJudged);
    }
    let file = file_of(project, recipe, &cell.target.id);
    let text = if file.exists() {
        let bytes = read_bounded(&file).map_err(CliError::usage)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        None
    };
    Ok(compare_snapshot(
        text.as_deref(),
        &snapshot_text(&cell.plan),
    ))
}

fn check(terminal: &Terminal, project: &Project, selection: &Selection) -> Result<(), CliError> {
    let (library, cells) = plans(terminal, project, selection)?;
    let mut rows = Vec::new();
    for cell in &cells {
        let recipe = &cell.cell.recipes[0];
        let file = file_of(project, recipe, &cell.target.id);
        let finding = finding(project, &library, cell)?;
        leave_new(&library, cell, &file, &finding)?;
        rows.push(Row {
            file: file.display().to_string(),
            finding,
        });
    }
    let Strays { orphaned, left } = strays(project, selection, &library)?;
    if !is_ci() {
        left.iter().try_for_each(|path| remove(path))?;
    }
    let count = |wanted: fn(&SnapshotFinding) -> bool| {
        rows.iter().filter(|row| wanted(&row.finding)).count()
    };
    let found = [
        (
            count(|finding| *finding == SnapshotFinding::Missing),
            "missing",
        ),
        (
            count(|finding| matches!(finding, SnapshotFinding::Different { .. })),
            "different",
        ),
        (orphaned.len(), "orphaned"),
    ];
    if terminal.is_json() {
        let orphaned = orphaned
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        terminal.json(&Document {
            schema: "assay-snapshots",
            version: 1,
            snapshots: rows,
            orphaned,
        })?;
    } else {
        terminal.result(|out| {
            for row in &rows {
                match &row.finding {
                    SnapshotFinding::Same | SnapshotFinding::NotJudged => {}
                    SnapshotFinding::Missing => writeln!(out, "missing    {}", row.file)?,
                    SnapshotFinding::Different { diff } => writeln!(
                        out,
                        "different  {}\n{}",
                        row.file,
                        crate::terminal::plain_lines(diff)
                    )?,
                }
            }
            orphaned
                .iter()
                .try_for_each(|path| writeln!(out, "orphaned   {}", path.display()))
        })?;
    }
    let found: Vec<String> = found
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if found.is_empty() {
        terminal.progress(&format!("{} as reviewed", plural(cells.len(), "plan")));
        return Ok(());
    }
    let of = plural(cells.len(), "plan");
    let only_orphaned = found.len() == 1 && !orphaned.is_empty();
    terminal.message(&format!(
        "snapshots of {of}: {}; {}",
        found.join(", "),
        if only_orphaned {
            "`assay snapshot prune` removes what belongs to no plan"
        } else {
            "`assay snapshot review` shows each and asks, `assay snapshot accept` takes all"
        }
    ));
    Err(CliError::said(ErrorKind::Snapshot))
}

fn accept(terminal: &Terminal, project: &Project, selection: &Selection) -> Result<(), CliError> {
    let (library, cells) = plans(terminal, project, selection)?;
    let mut written = 0;
    for cell in &cells {
        let file = file_of(project, &cell.cell.recipes[0], &cell.target.id);
        if finding(project, &library, cell)? != SnapshotFinding::Same {
            write(&file, &encoded(&library, cell))?;
            written += 1;
        }
        remove(&pending(&file))?;
    }
    let Strays { orphaned, left } = strays(project, selection, &library)?;
    orphaned
        .iter()
        .chain(&left)
        .try_for_each(|path| remove(path))?;
    let written = format!("{} written", plural(written, "snapshot"));
    terminal.progress(&if orphaned.is_empty() {
        written
    } else {
        format!("{written}, {} removed", orphaned.len())
    });
    Ok(())
}

/// Asks for each snapshot that is not as its plan, and does what is answered. The end of the answers
/// is an answer as well: to quit.
fn review(
    terminal: &Terminal,
    project: &Project,
    selection: &Selection,
    answers: &mut dyn BufRead,
) -> Result<(), CliError> {
    let (library, cells) = plans(terminal, project, selection)?;
    let mut open = Vec::new();
    for cell in &cells {
        let finding = finding(project, &library, cell)?;
        if !matches!(finding, SnapshotFinding::Same | SnapshotFinding::NotJudged) {
            open.push((cell, finding));
        }
    }
    let (total, mut accepted) = (open.len(), 0);
    for (number, (cell, finding)) in open.iter().enumerate() {
        let file = file_of(project, &cell.cell.recipes[0], &cell.target.id);
        let shown = match finding {
            SnapshotFinding::Different { diff } => crate::terminal::plain_lines(diff),
            SnapshotFinding::Missing | SnapshotFinding::Same | SnapshotFinding::NotJudged => {
                snapshot_text(&cell.plan)
            }
        };
        terminal.result(|out| {
            let position = format!("{} of {total}", number + 1);
            writeln!(out, "── {position}  {}\n{shown}", file.display())
        })?;
        match ask(terminal, answers)? {
            Answer::Accept => {
                write(&file, &encoded(&library, cell))?;
                remove(&pending(&file))?;
                accepted += 1;
            }
            Answer::Skip => {}
            Answer::Quit => break,
        }
    }
    terminal.message(&format!(
        "{} of {} accepted",
        accepted,
        plural(total, "snapshot")
    ));
    if accepted == total {
        Ok(())
    } else {
        Err(CliError::said(ErrorKind::Snapshot))
    }
}

/// What becomes of one snapshot.
enum Answer {
    Accept,
    Skip,
    Quit,
}

/// Asks until one of the answers comes, or none any more.
fn ask(terminal: &Terminal, answers: &mut dyn BufRead) -> Result<Answer, CliError> {
    loop {
        terminal.result(|out| {
            write!(out, "accept (a), skip (s) or quit (q)? ")?;
            out.flush()
        })?;
        let mut line = String::new();
        let read = std::io::Read::take(&mut *answers, LONGEST_ANSWER)
            .read_line(&mut line)
            .map_err(|error| CliError::infrastructure(format!("read the answer: {error}")))?;
        match line.trim() {
            _ if read == 0 => return Ok(Answer::Quit),
            "a" | "accept" => return Ok(Answer::Accept),
            "s" | "skip" => return Ok(Answer::Skip),
            "q" | "quit" => return Ok(Answer::Quit),
            _ => {}
        }
    }
}

/// Most bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 100;

/// Removes what belongs to no plan; changes no snapshot that belongs to one.
fn prune(terminal: &Terminal, project: &Project, recipes: &Recipes) -> Result<(), CliError> {
    let selection = Selection {
        recipes: Recipes {
            recipes: recipes.recipes.clone(),
        },
        on: Vec::new(),
    };
    let (library, _) = plans(terminal, project, &selection)?;
    let Strays { orphaned, left } = strays(project, &selection, &library)?;
    orphaned
        .iter()
        .chain(&left)
        .try_for_each(|path| remove(path))?;
    terminal.result(|out| {
        orphaned
            .iter()
            .try_for_each(|path| writeln!(out, "removed  {}", path.display()))
    })?;
    terminal.progress(&format!("{} removed", plural(orphaned.len(), "snapshot")));
    Ok(())
}

/// The plans that have snapshots: one recipe each, in a project.
fn plans(
    terminal: &Terminal,
    project: &Project,
    selection: &Selection,
) -> Result<(Library, Vec<PlannedCell>), CliError> {
    if project.root.is_none() {
        return Err(CliError::usage("there is no project here")
            .hint("an `assay.toml` marks a project's root; it may be empty"));
    }
    let targets = project.targets(&selection.on)?;
    let own: BTreeSet<TargetId> = own_targets(project)?;
    let others: Vec<&str> = targets
        .iter()
        .map(|target| &target.id)
        .filter(|id| !own.contains(id))
        .map(TargetId::as_str)
        .collect();
    if !others.is_empty() {
        let names = others.join(", ");
        return Err(CliError::usage(format!(
            "{names}: not among the targets of this project, which alone have snapshots"
        ))
        .hint("add it to `targets` in `assay.toml`; `assay plan` shows the plan of any target"));
    }
    let sets = Sets { together: false };
    let (library, cells) = select(terminal, project, selection, &sets, &targets)?;
    let elsewhere = library
        .asked
        .iter()
        .find(|name| !library.is_of(project, name));
    if let Some(name) = elsewhere {
        let (file, folder) = (library.file(name), project.recipes());
        return Err(CliError::usage(format!(
            "`{file}` is not among the recipes of this project, which alone have snapshots"
        ))
        .hint(format!(
            "move it to `{}`; `assay plan` shows the plan of any recipe",
            folder.display()
        )));
    }
    Ok((library, cells))
}

/// The project's targets.
fn own_targets(project: &Project) -> Result<BTreeSet<TargetId>, CliError> {
    let targets = project.targets(&[])?.into_iter();
    Ok(targets.map(|target| target.id).collect())
}

/// Files among the snapshots that belong to no plan.
struct Strays {
    /// Snapshots of recipes that are not there any more, or on targets that are not the project's.
    orphaned: Vec<PathBuf>,
    /// What an earlier check left beside such a snapshot.
    left: Vec<PathBuf>,
}

/// Looks for strays. With recipes named, only what lies among those is looked at.
fn strays(project: &Project, selection: &Selection, library: &Library) -> Result<Strays, CliError> {
    let folder = project.plan_snapshots();
    let targets = own_targets(project)?;
    let everything = selection.recipes.recipes.is_empty();
    let mut strays = Strays {
        orphaned: Vec::new(),
        left: Vec::new(),
    };
    for recipe_folder in entries(&folder)? {
        let name = recipe_folder
            .file_name()
            .and_then(|name| name.to_str()?.parse::<RecipeName>().ok());
        let known = name.is_some_and(|name| library.asked.contains(&name));
        if !known && !everything {
            continue;
        }
        let files = if recipe_folder.is_dir() {
            entries(&recipe_folder)?
        } else {
            vec![recipe_folder]
        };
        for file in files {
            let name = file.file_name().and_then(|name| name.to_str());
            let snapshot = name.map(|name| name.strip_suffix(".new").unwrap_or(name));
            let target =
                snapshot.and_then(|name| name.strip_suffix(".snap")?.parse::<TargetId>().ok());
            if known && target.is_some_and(|target| targets.contains(&target)) {
                continue;
            }
            let is_left = snapshot != name;
            if is_left {
                strays.left.push(file)
            } else {
                strays.orphaned.push(file)
            }
        }
    }
    Ok(strays)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let fault =
        |error: std::io::Error| CliError::usage(format!("read `{}`: {error}", folder.display()));
    let mut paths = Vec::new();
    if folder.exists() {
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            paths.push(entry.map_err(fault)?.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_of(project: &Project, recipe: &RecipeName, target: &TargetId) -> PathBuf {
    project
        .plan_snapshots()
        .join(recipe.as_str())
        .join(format!("{target}.snap"))
}

fn pending(file: &Path) -> PathBuf {
    file.with_extension("snap.new")
}

fn encoded(library: &Library, cell: &PlannedCell) -> String {
    let recipe = &cell.cell.recipes[0];
    let meta = SnapshotMeta {
        source: library.file(recipe).to_owned(),
        expression: format!("assay plan {recipe} --on {}", cell.target.id),
    };
    encode_snapshot(&snapshot_text(&cell.plan), &meta)
}

/// Leaves what the snapshot would be for `cargo insta review`, or removes what an earlier check
/// left.
fn leave_new(
    library: &Library,
    cell: &PlannedCell,
    file: &Path,
    finding: &SnapshotFinding,
) -> Result<(), CliError> {
    match finding {
        SnapshotFinding::Same | SnapshotFinding::NotJudged => remove(&pending(file)),
        SnapshotFinding::Missing | SnapshotFinding::Different { .. } => {
            if is_ci() {
                Ok(())
            } else {
                write(&pending(file), &encoded(library, cell))
            }
        }
    }
}

/// True where nobody is there to review what a check leaves.
fn is_ci() -> bool {
    std::env::var_os("CI")
        .is_some_and(|value| !value.is_empty() && value != "0" && value != "false")
}

/// Writes beside the file, then renames: a snapshot is never half a snapshot.
fn write(file: &Path, text: &str) -> Result<(), CliError> {
    let fault = |error: std::io::Error| {
        CliError::infrastructure(format!("write `{}`: {error}", file.display()))
    };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let beside = file.with_extension("snap.tmp");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(fault)
}

fn remove(file: &Path) -> Result<(), CliError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(
            CliError::infrastructure(format!("remove `{}`: {error}", file.display())),
        ),
        Ok(()) => {
            // A folder that holds nothing else goes, too; one that does stays.
            let _ = file.parent().map(std::fs::remove_dir);
            Ok(())
        }
        Err(_) => Ok(()),
    }
}
