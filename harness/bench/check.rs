//! `assay check` of many recipes: the project's own, copied under other names into a project of
//! their own, against reading the same bytes and against checking the project's own alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::journal::to_f64;
use crate::plans::files;
use crate::process::{repeat, row};
use crate::tools::Scratch;

/// How many recipes are checked.
const FILES: usize = 1500;

/// Measures it, so many times each.
pub(crate) fn measure(binary: &Path, project: &Path, repeats: usize) -> Result<(), Failure> {
    let scratch = Scratch::new("check")?;
    let (root, folder) = (scratch.path(), scratch.path().join("recipes"));
    fs::create_dir(&folder)?;
    fs::copy(project.join("assay.toml"), root.join("assay.toml"))?;
    let originals = files(project)?;
    let mut bytes = 0;
    for number in 0..FILES {
        let original = &originals[number % originals.len()];
        let stem = original.file_stem().and_then(|stem| stem.to_str());
        let stem = stem.ok_or_else(|| format!("`{}` is no recipe's", original.display()))?;
        let text = fs::read_to_string(original)?;
        // The first of each keeps its name: others depend on it.
        let (name, text) = match number / originals.len() {
            0 => (stem.to_owned(), text),
            copy => renamed(stem, &text, copy)?,
        };
        bytes += u64::try_from(text.len())?;
        fs::write(folder.join(format!("{name}.toml")), text)?;
    }

    let check = |folder: &Path| {
        let mut command = Command::new(binary);
        command.args(["check", "--quiet"]).current_dir(folder);
        command
    };
    let all = repeat(&mut check(root), repeats)?;
    let own = repeat(&mut check(project), repeats)?;
    let mut reading = Command::new("cat");
    let read = repeat(reading.args(files(root)?), repeats)?;
    row(
        &format!(
            "`assay check` of {FILES} recipes, {:.1} MB",
            to_f64(bytes) / 1e6
        ),
        &format!("{:.0} ms", all.ms),
        &format!(
            "{repeats} runs from {:.0} to {:.0} ms; {:.1} × of `cat`'s {:.0} ms",
            all.range.0,
            all.range.1,
            all.ms / read.ms,
            read.ms
        ),
    )?;
    let per_file = |ms: f64, files: usize| u64::try_from(files).map(|files| ms / to_f64(files));
    let (of_all, of_own) = (per_file(all.ms, FILES)?, per_file(own.ms, originals.len())?);
    row(
        "    a recipe",
        &format!("{of_all:.2} ms"),
        &format!(
            "{:.2} × of one of the project's own {} ({:.0} ms in all)",
            of_all / of_own,
            originals.len(),
            own.ms
        ),
    )?;
    row(
        "    peak memory",
        &format!("{:.0} MB", to_f64(all.peak) / 1e6),
        &format!("{:.0} MB for the project's own", to_f64(own.peak) / 1e6),
    )?;
    Ok(())
}

/// A recipe under another name, and that name.
fn renamed(stem: &str, text: &str, copy: usize) -> Result<(String, String), Failure> {
    let (old, name) = (format!("\nname = \"{stem}\"\n"), format!("{stem}-{copy}"));
    if !text.contains(&old) {
        return Err(format!("`{stem}` does not say its name on a line of its own").into());
    }
    let text = text.replacen(&old, &format!("\nname = \"{name}\"\n"), 1);
    Ok((name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_of_the_project_can_be_copied_and_stays_valid() {
        for path in files(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("recipes") {
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .expect("a name");
            let text = fs::read_to_string(&path).expect("a recipe");
            let (name, text) = renamed(stem, &text, 7).expect("it says its name");
            let parsed = assay_recipe::parse_bytes(Some(&name), text.as_bytes()).1;
            let recipe = parsed.value.expect("valid");
            assert_eq!(recipe.metadata.name.value.as_str(), format!("{stem}-7"));
        }
    }
}
