//! Recipes as the command line names them: names, files and folders, read and parsed.

use std::path::{Path, PathBuf};

use assay_recipe::Recipe;

use crate::diagnostics::{self, Source};
use crate::error::{CliError, ErrorKind};
use crate::project::{Project, ReadError, read_bounded};
use crate::terminal::Terminal;

/// A recipe's file, read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its text and what is wrong with it.
    pub(crate) source: Source,
    /// The recipe; `None` if it is invalid.
    pub(crate) recipe: Option<Recipe>,
}

/// Reads the recipes that are meant, in order, each once.
///
/// # Errors
/// If one does not exist. One that cannot be read or is invalid is no error here: it is one of many,
/// and the others are looked at all the same.
pub(crate) fn load(project: &Project, named: &[PathBuf]) -> Result<Vec<Loaded>, CliError> {
    let mut files = Vec::new();
    if named.is_empty() {
        let folder = project.recipes();
        if !folder.is_dir() {
            let error = CliError::usage(format!("there is no folder `{}`", folder.display()));
            return Err(error.hint(if project.root.is_some() {
                "`assay new NAME` makes the first recipe in it"
            } else {
                "name a recipe's file, or run this in a project"
            }));
        }
        files = in_folder(&folder)?;
    }
    for path in named {
        if path.is_dir() {
            files.extend(in_folder(path)?);
        } else if path.exists() {
            files.push(path.clone());
        } else {
            files.push(by_name(project, path)?);
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files.iter().map(|file| load_file(project, file)).collect())
}

/// Reads recipes and ends with their diagnostics printed if any is invalid.
///
/// # Errors
/// As [`load`], and if a recipe is invalid.
pub(crate) fn load_valid(
    terminal: &Terminal,
    project: &Project,
    named: &[PathBuf],
) -> Result<Vec<(Recipe, Source)>, CliError> {
    let loaded = load(project, named)?;
    let mut valid = Vec::new();
    let mut invalid = 0;
    for Loaded { source, recipe } in loaded {
        match recipe {
            Some(recipe) if !source.is_invalid() => valid.push((recipe, source)),
            Some(_) | None => {
                diagnostics::print(terminal, &source);
                invalid += 1;
            }
        }
    }
    if invalid > 0 {
        terminal.message(&format!(
            "{invalid} of {} recipes are invalid; `assay explain CODE` says more",
            valid.len() + invalid
        ));
        return Err(CliError::said(ErrorKind::Recipe));
    }
    Ok(valid)
}

fn load_file(project: &Project, path: &Path) -> Loaded {
    let name = path.display().to_string();
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let hint = matches!(error, ReadError::NotAFile(_))
                .then(|| "a recipe is one TOML file".to_owned());
            let error = CliError::new(ErrorKind::Recipe, error).hints(hint);
            return Loaded {
                source: Source {
                    name,
                    unreadable: Some(error),
                    ..Source::default()
                },
                recipe: None,
            };
        }
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let (text, mut parsed) = assay_recipe::parse_bytes(stem, &bytes);
    project.lints().apply(&mut parsed.diagnostics);
    let source = Source {
        name,
        text: text.into_owned(),
        diagnostics: parsed.diagnostics,
        unreadable: None,
    };
    Loaded {
        source,
        recipe: parsed.value,
    }
}

/// The recipes of a folder, sorted by name; folders below it are not read.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let fault =
        |error: std::io::Error| CliError::usage(format!("read `{}`: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(
            CliError::usage(format!("there is no recipe in `{}`", folder.display()))
                .hint("a recipe is a file whose name ends in `.toml`"),
        );
    }
    files.sort();
    Ok(files)
}

/// The file of a recipe that is named without one.
fn by_name(project: &Project, name: &Path) -> Result<PathBuf, CliError> {
    let folder = project.recipes();
    let file = name
        .to_str()
        .filter(|text| text.parse::<assay_wire::name::RecipeName>().is_ok());
    if let Some(path) = file
        .map(|text| folder.join(format!("{text}.toml")))
        .filter(|path| path.exists())
    {
        return Ok(path);
    }
    let shown = name.display().to_string();
    if shown.contains('/') || shown.ends_with(".toml") {
        return Err(CliError::usage(format!(
            "there is no file `{}`",
            shown.escape_debug()
        )));
    }
    let mut error = CliError::usage(format!("there is no recipe `{}`", shown.escape_debug()));
    let known: Vec<String> = in_folder(&folder)
        .unwrap_or_default()
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    if let Some(nearest) = nearest(&shown, &known) {
        error = error.hint(format!("did you mean `{nearest}`?"));
    }
    let looked = format!(
        "looked for a file of that name, and for `{}`",
        folder
            .join(format!("{}.toml", shown.escape_debug()))
            .display()
    );
    Err(error.hint(looked))
}

/// The name that was probably meant: one part of the other, or a few letters apart.
pub(crate) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let part = |known: &&String| {
        !name.is_empty() && (known.contains(name) || name.contains(known.as_str()))
    };
    let close = || {
        let distances = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(name, known), known));
        distances
            .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
            .min()
            .map(|(_, known)| known)
    };
    // Longer names are not compared letter by letter.
    if name.len() > 100 {
        None
    } else {
        known.iter().find(part).or_else(close).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found() {
        let known = ["docker", "jq", "tree"].map(str::to_owned);
        assert_eq!(nearest("dock", &known), Some("docker"));
        assert_eq!(nearest("tree-x", &known), Some("tree"));
        assert_eq!(nearest("teer", &known), None);
        assert_eq!(nearest("tere", &known), Some("tree"));
        assert_eq!(nearest("jp", &known), Some("jq"));
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), &known), None);
    }
}
