//! `assay new`: a recipe to begin with. What it says is a recipe already: it passes `check`, has a
//! plan, and in a project its first snapshots.

use std::fs::OpenOptions;
use std::io::{ErrorKind as IoKind, Write as _};
use std::path::PathBuf;

use assay_recipe::name::{CommandName, WireName as _};
use assay_recipe::package::{Manager, PackageName};
use assay_wire::name::RecipeName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{Recipes, Selection, SnapshotVerb};
use crate::error::CliError;
use crate::project::Project;
use crate::snapshot;
use crate::terminal::Terminal;

/// A package that every distribution has, for a recipe whose name is none.
const ANY_PACKAGE: &str = "hello";

/// What a folder gains by being a project.
const NO_PROJECT: &str = "\
there is no project here, so plans have no snapshots: an empty `assay.toml`
makes this folder one, with its recipes in `recipes/`";

/// The recipe that was made.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    /// Its file.
    file: String,
    /// True if its plans have snapshots now, too.
    snapshots: bool,
}

/// Writes a new recipe.
pub(crate) fn run(terminal: &Terminal, name: &str) -> Result<(), CliError> {
    let name = RecipeName::read(name).map_err(CliError::word)?;
    let project = Project::find(terminal)?;
    let is_project = project.root.is_some();
    let folder = if is_project {
        project.recipes()
    } else {
        PathBuf::new()
    };
    let file = folder.join(format!("{name}.toml"));
    let shown = file.display().to_string();
    write(&folder, &file, &skeleton(&name))?;
    if !terminal.is_json() {
        terminal.result(|out| writeln!(out, "{shown}"))?;
    }
    if is_project {
        let recipes = Recipes {
            recipes: vec![file.clone()],
        };
        let on = Vec::new();
        snapshot::run(terminal, &SnapshotVerb::Accept(Selection { recipes, on }))?;
    }
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-new",
            version: 1,
            file: shown,
            snapshots: is_project,
        });
    }
    let which = if is_project { name.as_str() } else { &shown };
    terminal.progress(&format!(
        "next: edit it, then\n  assay check {which}\n  assay plan {which}\n  assay test {which}"
    ));
    terminal.progress(&if is_project {
        format!("  assay snapshot accept {which}")
    } else {
        NO_PROJECT.to_owned()
    });
    Ok(())
}

/// Writes a file that is not there yet.
fn write(folder: &std::path::Path, file: &std::path::Path, text: &str) -> Result<(), CliError> {
    let fault = |error: std::io::Error| {
        let shown = file.display();
        if error.kind() == IoKind::AlreadyExists {
            CliError::usage(format!("`{shown}` is there already"))
                .hint("edit it, or choose another name")
        } else {
            CliError::infrastructure(format!("write `{shown}`: {error}"))
        }
    };
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(fault)?;
    new.write_all(text.as_bytes()).map_err(fault)
}

/// The text of a new recipe.
fn skeleton(name: &RecipeName) -> String {
    let package = |manager: Manager| {
        let fits = PackageName::for_manager(manager, name.as_str()).is_ok();
        if fits { name.as_str() } else { ANY_PACKAGE }
    };
    let fits = name.as_str().parse::<CommandName>().is_ok();
    let command = if fits { name.as_str() } else { ANY_PACKAGE };
    let (apt, dnf, pacman) = (
        package(Manager::Apt),
        package(Manager::Dnf),
        package(Manager::Pacman),
    );
    format!(
        r#"# What is written here is run as it stands: `assay plan` shows the commands.

[metadata]
name = "{name}"
description = "{name}, in one line"
# homepage = "https://example.org/"
# depends_on = ["curl"]          # recipes that come first on the same machine

# One step for each family: packages are not called the same everywhere.
# Likewise `apk_install` (alpine), `zypper_install` (suse) and `brew_install`
# (os = ["darwin"]).
[[steps]]
action = "apt_install"
packages = ["{apt}"]             # or {{ name = "{apt}", version = ">=1.0" }}
when = {{ linux_family = ["debian"] }}

[[steps]]
action = "dnf_install"
packages = ["{dnf}"]
when = {{ linux_family = ["rhel"] }}

[[steps]]
action = "pacman_install"
packages = ["{pacman}"]
when = {{ linux_family = ["arch"] }}

# What must be there at the end, on every target.
[[steps]]
action = "require_command"
command = "{command}"
# min_version = "1.0"

# Commands that must succeed, run as an ordinary user. No shell reads them.
[[check]]
name = "it prints its version"
argv = ["{command}", "--version"]
# expect = {{ exit_code = 0, stdout_contains = "{command}" }}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_gives_a_recipe_with_nothing_to_say_of() {
        for name in ["jq", "a", "0", "a_b", "c++", "x-", "gtk+3.0", "1password"] {
            let name: RecipeName = name.parse().expect("a name");
            let parsed = assay_recipe::parse(Some(name.as_str()), &skeleton(&name));
            assert_eq!(parsed.diagnostics, [], "{name}");
        }
    }
}
