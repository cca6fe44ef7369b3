//! Targets and recipes for this crate's tests, from real os-release files.

use assay_recipe::Recipe;
use assay_recipe::when::{Arch, Libc, Os};

use crate::target::Target;

/// Name and os-release of every target the tests plan for.
pub(crate) const OS_RELEASES: &[(&str, &str)] = &[
    (
        "ubuntu-22.04",
        include_str!("../fixtures/os-release/ubuntu-22.04"),
    ),
    (
        "ubuntu-24.04",
        include_str!("../fixtures/os-release/ubuntu-24.04"),
    ),
    (
        "debian-12",
        include_str!("../fixtures/os-release/debian-12"),
    ),
    (
        "debian-13",
        include_str!("../fixtures/os-release/debian-13"),
    ),
    ("mint-22", include_str!("../fixtures/os-release/mint-22")),
    ("lmde-6", include_str!("../fixtures/os-release/lmde-6")),
    (
        "pop-22.04",
        include_str!("../fixtures/os-release/pop-22.04"),
    ),
    (
        "fedora-44",
        include_str!("../fixtures/os-release/fedora-44"),
    ),
    ("rocky-9", include_str!("../fixtures/os-release/rocky-9")),
    ("arch", include_str!("../fixtures/os-release/arch")),
    ("manjaro", include_str!("../fixtures/os-release/manjaro")),
    ("no-id", include_str!("../fixtures/os-release/no-id")),
    (
        "malformed",
        include_str!("../fixtures/os-release/malformed"),
    ),
];

/// The amd64 target with one of [`OS_RELEASES`].
pub(crate) fn target(name: &str) -> Target {
    let found = OS_RELEASES.iter().find(|(known, _)| *known == name);
    linux(name, found.expect("a target of the fixtures").1)
}

/// An amd64 target with glibc and this os-release.
pub(crate) fn linux(name: &str, os_release: &str) -> Target {
    let id = name.parse().expect("a target's name");
    Target::from_os_release(id, Arch::Amd64, Some(Libc::Glibc), os_release)
}

/// A recipe, whose text must be without errors.
pub(crate) fn recipe(text: &str) -> Recipe {
    let parsed = assay_recipe::parse(None, text);
    parsed
        .value
        .unwrap_or_else(|| panic!("not a recipe: {:?}\n{text}", parsed.diagnostics))
}

/// The recipes whose whole plans are snapshotted.
pub(crate) fn sample_recipes() -> Vec<Recipe> {
    [
        include_str!("../fixtures/recipes/ca-certificates.toml"),
        include_str!("../fixtures/recipes/docker.toml"),
        include_str!("../fixtures/recipes/tools.toml"),
        include_str!("../fixtures/recipes/vocabulary.toml"),
    ]
    .map(recipe)
    .into()
}

/// The Docker example of the document the actions come from, word for word.
pub(crate) fn seed_docker() -> Recipe {
    let steps = include_str!("../fixtures/recipes/seed-docker.toml");
    recipe(&format!("[metadata]\nname = \"docker\"\n\n{steps}"))
}

/// macOS on an Apple machine.
pub(crate) fn darwin() -> Target {
    Target {
        id: "darwin".parse().expect("a target's name"),
        os: Os::Darwin,
        arch: Arch::Arm64,
        libc: None,
        distro: None,
    }
}

/// `[metadata]` of a recipe; an empty `depends_on` is left out, as the format wants it.
pub(crate) fn metadata<D: std::fmt::Debug>(name: &str, depends_on: &[D]) -> String {
    let depends_on = if depends_on.is_empty() {
        String::new()
    } else {
        format!("depends_on = {depends_on:?}\n")
    };
    format!("[metadata]\nname = \"{name}\"\n{depends_on}")
}
