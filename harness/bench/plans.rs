//! Plans per second, by the library and by the command; and the whole suite on twenty targets.
//!
//! The library plans on one thread what the command plans: the project's recipes, each alone, on
//! every target with a definition. That both mean the same plans is seen by their digests. What the
//! command does besides – starting, reading and checking the recipes, printing – is the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use assay_plan::{Target, closure, harness_env, plan};
use assay_recipe::Recipe;
use assay_recipe::when::{Arch, Libc};
use assay_sandbox::images::definition::Os;
use assay_sandbox::images::set::Definitions;
use assay_wire::name::RecipeName;

use crate::Failure;
use crate::journal::to_f64;
use crate::process::{Repeated, repeat, row};
use crate::tools::median;

/// Machines beside the targets with definitions, by their os-release: relatives of each family, and
/// one that is of none.
const MACHINES: [&str; 10] = [
    "alma-9",
    "amazon-2023",
    "centos-stream-10",
    "fedora-43",
    "kali-2022.2",
    "manjaro",
    "mint-22",
    "opensuse-tumbleweed",
    "pop-24.04",
    "sles-15.7",
];

/// Where their os-release files are, in the project.
const OS_RELEASES: &str = "harness/plan/fixtures/os-release";

/// Measures both, so many times each.
pub(crate) fn measure(binary: &Path, project: &Path, repeats: usize) -> Result<(), Failure> {
    let recipes = recipes(project)?;
    let targets = targets(project)?;
    let (mut passes, mut digests) = (Vec::new(), BTreeMap::new());
    // The first pass is not counted.
    for pass in 0..=repeats {
        let started = Instant::now();
        let planned = plan_all(&recipes, &targets)?;
        if pass > 0 {
            passes.push(started.elapsed().as_secs_f64() * 1e3);
        }
        digests = planned;
    }
    let plans = digests.len();
    let library = median(&mut passes);
    row(
        &format!("plans by the library, {plans} a pass"),
        &per_second(plans, library),
        &format!("{:.2} ms a plan, one thread", library / count(plans)),
    )?;

    let by_command = command(binary, project, "all", repeats)?;
    if digests_of(&by_command.stdout)? != digests {
        return Err("the command and the library plan differently".into());
    }
    row(
        &format!("plans by `assay plan`, {plans} a process"),
        &per_second(plans, by_command.ms),
        &format!(
            "{:.0} ms, {:.2} × of the library's time; the same digests",
            by_command.ms,
            by_command.ms / library
        ),
    )?;
    twenty(binary, project, (plans, &by_command), repeats)
}

/// The whole suite on twenty targets, against that on the targets with definitions alone.
fn twenty(
    binary: &Path,
    project: &Path,
    (fewer, before): (usize, &Repeated),
    repeats: usize,
) -> Result<(), Failure> {
    let files = MACHINES.map(|name| format!("./{OS_RELEASES}/{name}"));
    let on = format!("all,{}", files.join(","));
    let all = command(binary, project, &on, repeats)?;
    let digests = digests_of(&all.stdout)?;
    let targets = count_targets(&digests);
    let plans = digests.len();
    row(
        &format!("`assay plan` of the suite on {targets} targets"),
        &format!("{:.0} ms", all.ms),
        &format!(
            "{repeats} runs from {:.0} to {:.0} ms; {plans} plans: {:.2} × as many in {:.2} × the time",
            all.range.0,
            all.range.1,
            count(plans) / count(fewer),
            all.ms / before.ms
        ),
    )?;
    let bytes = u64::try_from(all.stdout.len())?;
    row(
        "    printed as JSON",
        &format!("{:.1} MB", to_f64(bytes) / 1e6),
        "every run the same bytes",
    )?;
    row(
        "    peak memory",
        &format!("{:.0} MB", to_f64(all.peak) / 1e6),
        &format!(
            "{:.2} × of what it prints",
            to_f64(all.peak) / to_f64(bytes)
        ),
    )?;
    Ok(())
}

fn command(binary: &Path, project: &Path, on: &str, repeats: usize) -> Result<Repeated, Failure> {
    let mut command = Command::new(binary);
    command
        .args(["plan", "--format", "json", "--on", on])
        .current_dir(project);
    repeat(&mut command, repeats)
}

/// Every recipe on every target: the digest of its plan, by the cell's name.
fn plan_all(recipes: &[Recipe], targets: &[Target]) -> Result<BTreeMap<String, String>, Failure> {
    let mut digests = BTreeMap::new();
    for recipe in recipes {
        let name: &RecipeName = &recipe.metadata.name.value;
        for target in targets {
            let fault = |faults| format!("`{}:{name}` cannot be planned: {faults:?}", target.id);
            let set = closure(std::slice::from_ref(name), recipes).map_err(fault)?;
            let planned = plan(&set, target).map_err(fault)?;
            std::hint::black_box(harness_env(target, assay_wire::lock::Network::Live));
            let digest = planned.digest().to_string();
            digests.insert(format!("{}:{name}", target.id), digest);
        }
    }
    Ok(digests)
}

/// The same of what `assay plan` printed.
fn digests_of(printed: &[u8]) -> Result<BTreeMap<String, String>, Failure> {
    let document: serde_json::Value = serde_json::from_slice(printed)?;
    let plans = document["plans"].as_array().ok_or("no plans are printed")?;
    let digest = |plan: &serde_json::Value| {
        let cell = plan["cell"].as_str()?;
        Some((cell.to_owned(), plan["digest"].as_str()?.to_owned()))
    };
    plans
        .iter()
        .map(|plan| digest(plan).ok_or_else(|| "a plan without a cell or a digest".into()))
        .collect()
}

fn count_targets(cells: &BTreeMap<String, String>) -> usize {
    let targets = cells
        .keys()
        .filter_map(|cell| Some(cell.split_once(':')?.0));
    targets.collect::<std::collections::BTreeSet<_>>().len()
}

/// The project's recipes, in the order of their names.
fn recipes(project: &Path) -> Result<Vec<Recipe>, Failure> {
    let recipe = |path: PathBuf| {
        let bytes = fs::read(&path)?;
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let parsed = assay_recipe::parse_bytes(stem, &bytes).1;
        parsed
            .value
            .ok_or_else(|| Failure::from(format!("`{}` is invalid", path.display())))
    };
    files(project)?.into_iter().map(recipe).collect()
}

/// The files of the project's recipes, in the order of their names.
pub(crate) fn files(project: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(project.join("recipes"))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Every target with a definition.
fn targets(project: &Path) -> Result<Vec<Target>, Failure> {
    let definitions = Definitions::load(Some(&project.join("base-images")))
        .map_err(|faults| format!("the image definitions have faults: {faults:?}"))?;
    let mut targets = Vec::new();
    for placed in definitions.iter() {
        let definition = &placed.definition;
        let arch: Arch = definition.architecture.word().parse()?;
        let id = definition.id.clone();
        targets.push(match (definition.os, &definition.os_release) {
            (Os::Linux, Some(os_release)) => {
                let libc = definition.libc.map(|libc| libc.word().parse::<Libc>());
                Target::from_os_release(id, arch, libc.transpose()?, os_release.text())
            }
            (Os::Darwin, _) => Target::darwin(id, arch),
            (Os::Linux, None) => return Err(format!("`{id}` has no os-release").into()),
        });
    }
    Ok(targets)
}

fn per_second(plans: usize, ms: f64) -> String {
    format!("{:.0} /s", count(plans) / ms * 1e3)
}

fn count(number: usize) -> f64 {
    to_f64(u64::try_from(number).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_suite_is_planned_on_every_target_with_a_definition() {
        let (recipes, targets) = (recipes(project()), targets(project()));
        let (recipes, targets) = (recipes.expect("recipes"), targets.expect("targets"));
        let digests = plan_all(&recipes, &targets).expect("plans");
        assert_eq!(digests.len(), recipes.len() * targets.len());
        assert_eq!(count_targets(&digests), targets.len());
        assert_eq!(targets.len() + MACHINES.len(), 20);
    }

    #[test]
    fn the_machines_are_ten_that_no_definition_describes() {
        let mut ids: Vec<String> = targets(project())
            .expect("targets")
            .iter()
            .map(|target| target.id.to_string())
            .collect();
        for name in MACHINES {
            let path = project().join(OS_RELEASES).join(name);
            let text = fs::read_to_string(path).expect("a fixture");
            let target = Target::of_machine(Arch::Amd64, &text).expect("it has a name");
            assert!(!ids.contains(&target.id.to_string()), "{name}");
            ids.push(target.id.to_string());
        }
    }
}
