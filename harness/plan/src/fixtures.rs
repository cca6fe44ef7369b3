//! Targets and recipes for this crate's tests, from real os-release files.

use assay_recipe::Recipe;
use assay_recipe::when::{Arch, Libc, Os};

use crate::target::Target;

/// Names the files of `fixtures/os-release`.
macro_rules! os_releases {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../fixtures/os-release/", $name)))),+]
    };
}

/// Name and os-release of every target the tests plan for: the files as the distributions ship them,
/// two without an `ID` behind them.
pub(crate) const OS_RELEASES: &[(&str, &str)] = os_releases![
    "ubuntu-22.04",
    "ubuntu-24.04",
    "ubuntu-26.04",
    "debian-12",
    "debian-13",
    "mint-22",
    "lmde-6",
    "pop-22.04",
    "pop-24.04",
    "zorin-17",
    "elementary-7",
    "neon-22.04",
    "kali-2022.2",
    "raspbian-12",
    "fedora-43",
    "fedora-44",
    "nobara-40",
    "rhel-9",
    "rocky-9",
    "alma-9",
    "centos-stream-9",
    "centos-stream-10",
    "oracle-9",
    "amazon-2023",
    "arch",
    "manjaro",
    "endeavouros",
    "cachyos",
    "alpine-3.22",
    "opensuse-leap-15.6",
    "opensuse-leap-16.0",
    "opensuse-tumbleweed",
    "sles-15.7",
    "no-id",
    "malformed",
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
