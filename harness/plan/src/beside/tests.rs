//! What differs between targets, and how it looks on terminals of several widths.

use super::*;
use crate::fixtures::{OS_RELEASES, darwin, recipe, sample_recipes, target};
use crate::render_beside;

const NAMES: &[&str] = &[
    "ubuntu-24.04",
    "debian-12",
    "debian-13",
    "mint-22",
    "fedora-44",
    "rocky-9",
    "arch",
    "alpine-3.22",
    "no-id",
];

fn side_by_side(recipes: &[Recipe], names: &[&str]) -> Beside {
    let set: Vec<&Recipe> = recipes.iter().collect();
    let targets: Vec<Target> = names
        .iter()
        .map(|name| match *name {
            "darwin" => darwin(),
            linux => target(linux),
        })
        .collect();
    let plans: Vec<Plan> = targets
        .iter()
        .map(|target| crate::plan(&set, target).expect("plannable"))
        .collect();
    beside(&set, &targets.iter().zip(&plans).collect::<Vec<_>>())
}

#[test]
fn a_set_on_terminals_of_two_widths() {
    let certs_and_docker = &sample_recipes()[..2];
    let beside = side_by_side(certs_and_docker, NAMES);
    for width in [80, 200] {
        insta::assert_snapshot!(
            format!("docker-{width}"),
            render_beside(&beside, width, false)
        );
    }
    insta::assert_snapshot!(
        "docker-200-colored",
        render_beside(&beside, 200, true).replace('\u{1b}', "^")
    );
    insta::assert_json_snapshot!("docker-json", beside);
}

#[test]
fn every_action_on_every_family() {
    let names = [
        "ubuntu-24.04",
        "fedora-44",
        "arch",
        "alpine-3.22",
        "opensuse-leap-16.0",
        "darwin",
    ];
    let beside = side_by_side(&sample_recipes()[3..], &names);
    insta::assert_snapshot!("vocabulary", render_beside(&beside, 160, false));
}

#[test]
fn what_differs_is_said_with_its_reason() {
    let text = r#"
[metadata]
name = "a"

[[requires]]
package = "libc6"
min_version = "2.36"
when = { distro = "debian" }
[[requires]]
package = "libc6"
min_version = "2.39"
when = { distro = "ubuntu" }

[[steps]]
action = "apt_install"
packages = ["fd-find", "jq"]
[[steps]]
action = "dnf_install"
packages = ["fd-find", "jq"]
[[steps]]
action = "pacman_install"
packages = ["fd", "jq"]
[[steps]]
action = "group_add"
group = "x"
create = true
when = { distro = ["debian", "ubuntu>=24.04"] }
[[check]]
name = "c"
argv = ["true"]
when = { linux_family = "arch" }
"#;
    let beside = side_by_side(
        &[recipe(text)],
        &[
            "debian-12",
            "ubuntu-22.04",
            "ubuntu-24.04",
            "arch",
            "fedora-44",
        ],
    );
    let said: Vec<String> = beside
        .rows
        .iter()
        .flat_map(|row| {
            row.differs
                .iter()
                .map(|sentence| format!("{} {}: {sentence}", row.kind.as_str(), row.subject))
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    insta::assert_snapshot!("narrow-table", render_beside(&beside, 120, false));
}

#[test]
fn the_same_everywhere_is_said_and_no_line_is_too_long() {
    let text = "[metadata]\nname = \"a\"\n[[check]]\nname = \"c\"\nargv = [\"true\"]\n";
    let names: Vec<&str> = OS_RELEASES.iter().map(|(name, _)| *name).collect();
    let same = side_by_side(&[recipe(text)], &names);
    assert!(same.rows.iter().all(|row| row.differs.is_empty()));
    assert!(render_beside(&same, 80, false).contains("The same is done everywhere."));
    let everything = side_by_side(&sample_recipes(), &names);
    for beside in [same, everything] {
        for width in [40, 80, 100, 132, 200, 400] {
            let shown = render_beside(&beside, width, false);
            let longest = shown.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width), "{width}: {longest:?}\n{shown}");
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
            let bare = strip(&render_beside(&beside, width, true));
            assert_eq!(bare, shown);
        }
    }
}

fn strip(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').expect("a colour").1);
    std::iter::once(first)
        .chain(rest.map(str::to_owned))
        .collect()
}
