//! Recipes that are right: what the typed value holds, and that nothing is said about them.

use assay_packages::VersionRequest;
use assay_recipe::model::{Action, RequirementKind};
use assay_recipe::package::Manager;
use assay_recipe::{Code, Recipe, parse};

const DOCKER: &str = include_str!("good/docker.toml");

fn good(stem: &str, text: &str) -> Recipe {
    let parsed = parse(Some(stem), text);
    assert_eq!(parsed.diagnostics, []);
    parsed.value.expect("a recipe without faults has a value")
}

#[test]
fn the_example_of_the_format_is_read_whole() {
    let recipe = good("docker", DOCKER);
    let actions: Vec<_> = recipe.steps.iter().map(|step| step.action.name()).collect();
    assert_eq!(
        actions,
        [
            "apt_repo",
            "apt_install",
            "dnf_install",
            "group_add",
            "require_command",
            "manual"
        ]
    );
    let ids: Vec<_> = recipe
        .steps
        .iter()
        .map(|step| step.id.value.as_str())
        .collect();
    assert_eq!(ids, ["1", "install", "3", "4", "5", "6"]);
    let Action::AptRepo(repo) = &recipe.steps[0].action else {
        panic!("an apt repository")
    };
    assert_eq!(repo.suites[0].value.as_str(), "{codename}");
    assert_eq!(repo.components[0].value.as_str(), "stable");
    assert_eq!(
        repo.key.fingerprints[0].value.as_str(),
        "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
    );
    let Action::Install(install) = &recipe.steps[1].action else {
        panic!("an install")
    };
    assert_eq!((install.manager, install.recommends), (Manager::Apt, false));
    assert_eq!(install.packages[0].version.value, VersionRequest::Any);
    assert_eq!(install.packages[1].version.value.to_string(), ">=1.7");
    let Action::GroupAdd(group) = &recipe.steps[3].action else {
        panic!("a group")
    };
    assert_eq!(
        (
            group.group.value.as_str(),
            group.user.value.as_str(),
            group.create
        ),
        ("docker", "dev", false)
    );
    let RequirementKind::Command {
        minimum: Some(minimum),
        ..
    } = &recipe.requires[0].kind
    else {
        panic!("a command")
    };
    assert_eq!(minimum.version.value.as_str(), "1.30");
    assert_eq!(recipe.checks[0].program.value.as_str(), "docker");
    assert_eq!(
        recipe.checks[0].expect.stdout_contains[0].value,
        "Docker version"
    );
}

#[test]
fn every_place_is_exact() {
    let recipe = good("docker", DOCKER);
    let text = |span: assay_wire::source::Span| &DOCKER[span.range()];
    assert_eq!(text(recipe.metadata.name.span), "\"docker\"");
    assert_eq!(text(recipe.steps[1].span), "[[steps]]");
    assert_eq!(text(recipe.steps[1].action_span), "\"apt_install\"");
    let Action::Install(install) = &recipe.steps[1].action else {
        panic!("an install")
    };
    assert_eq!(text(install.packages[1].name.span), "\"containerd.io\"");
    assert_eq!(text(install.packages[1].version.span), "\">=1.7\"");
    let when = recipe.steps[1].when.as_ref().expect("a condition");
    assert_eq!(text(when.value.distro[0].span), "\"ubuntu>=22.04\"");
}

#[test]
fn line_ends_and_a_byte_order_mark_make_no_difference() {
    for variant in [DOCKER.replace('\n', "\r\n"), format!("\u{feff}{DOCKER}")] {
        let recipe = good("docker", &variant);
        assert_eq!(
            &variant[recipe.steps[1].action_span.range()],
            "\"apt_install\""
        );
    }
}

#[test]
fn warnings_and_hints_leave_the_value() {
    let parsed = parse(
        None,
        "[metadata]\nname = \"x\"\n[[steps]]\naction = \"apt_install\"\npackages = [\"jq\", \"jq\"]\n",
    );
    let codes: Vec<_> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert_eq!(codes, [Code::ImplicitPlatform, Code::DuplicateEntry]);
    assert!(!parsed.has_errors());
    let Action::Install(install) = &parsed.value.expect("no error").steps[0].action else {
        panic!("an install")
    };
    assert_eq!(install.packages.len(), 1);
}

#[test]
fn what_follows_a_line_that_cannot_be_read_is_checked_too() {
    let text = "[metadata]\nname = \"x\"\nnonsense\n[[steps]]\naction = \"manul\"\n";
    let codes: Vec<_> = parse(None, text)
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect();
    assert_eq!(codes, [Code::Syntax, Code::UnknownAction]);
}
