//! Hostile root: an image whose `groupadd` and `usermod` do first what the group's name says. Nothing else
//! of a recipe of checks and groups runs as root, and an image may hold anything.

use std::time::Duration;

use serde_json::json;

use crate::world::{Ran, TARGET, World};

/// `groupadd` of the image. Every attack is a group of its own; the group is then made, so that
/// what comes after can succeed.
const GROUPADD: &str = r#"#!/bin/sh
case $1 in
killer) for s in $(seq 1 64); do kill -$s 1; done; for t in /proc/1/task/*; do kill -9 ${t##*/}; done ;;
forger)
    printf '\012\0\0\0\0\0\0\0\0"goodbye"  ' > /proc/1/fd/1
    for fd in 0 1 2 3 100 101 102 103; do echo forged > /proc/1/fd/$fd; done
    rm -f /.assay/*; echo '#!/bin/sh' > /.assay/executor ;;
printer) exec head -c 1000000000 /dev/zero ;;
opener) cp /usr/bin/id /usr/local/bin/rootid; chmod 4755 /usr/local/bin/rootid; chmod 666 /etc/shadow ;;
forker) exec perl -e 'while (1) { fork }' ;;
esac 2> /dev/null
exec /usr/sbin/groupadd "$@"
"#;

/// `usermod -aG GROUP dev` of the image: one group it makes the user's first, where the guard does not
/// look for it, and counts how often it was run.
const USERMOD: &str = r#"#!/bin/sh
case $2 in
counter) echo x >> /srv/counter; exec /usr/sbin/usermod -g counter dev ;;
esac
exec /usr/sbin/usermod "$@"
"#;

/// Looks whether `dev` is in a group that was made.
const JOINED: &str =
    "[[check]]\nname = \"joined\"\nargv = ['id', '-nG']\nexpect = { stdout_contains = \" \" }\n";

/// Exit code of a run in which something was asked for that the project grants nobody: every recipe here
/// asks for a group. What nobody declared is graver.
const UNGRANTED: i32 = 6;
const UNDECLARED: i32 = 7;

/// The cell failed because root did what nobody declared, and this is said of it.
fn undeclared(ran: &Ran, recipe: &str, words: &str) {
    let detail = ran.detail(recipe);
    assert_eq!(
        ran.outcome(recipe),
        "failed apply undeclared_operation",
        "{detail}"
    );
    assert!(detail.contains(words), "no `{words}` in {detail}");
    assert_eq!(ran.code, Some(UNDECLARED), "{}", ran.stderr);
}

/// A world whose project has a target with the hostile image.
struct Hostile {
    world: World,
    target: String,
    image: String,
}

impl Hostile {
    fn start() -> Option<Self> {
        let world = World::start()?;
        let engine = &world.engine;
        let target = crate::world::target_of_its_own("hostile");
        let from = engine.image_of(TARGET);
        let files = [
            ("/usr/local/sbin", "groupadd", GROUPADD, 0o755),
            ("/usr/local/sbin", "usermod", USERMOD, 0o755),
        ];
        let labels = json!({ "assay.target": target, "assay.kind": "tarball" });
        let image = engine.commit(&from, &files, &labels);
        let os_release = "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm";
        world.only_target(&target, os_release);
        Some(Self {
            world,
            target,
            image,
        })
    }

    /// Writes a recipe that adds `dev` to this group.
    fn recipe(&self, group: &str, check: &str) {
        let step =
            format!("[[steps]]\naction = \"group_add\"\ngroup = \"{group}\"\ncreate = true\n\n");
        self.world.recipe(group, &(step + check));
    }

    /// Runs the recipe of this group beside one that passes. `check` is what it verifies.
    fn test(&self, group: &str, check: &str) -> Ran {
        self.recipe(group, check);
        self.recipe("crew", JOINED);
        let ran = self
            .world
            .test(&[group, "crew"], &["--on", &self.target, "--jobs", "2"]);
        assert_eq!(ran.outcome("crew"), "passed", "{}", ran.detail("crew"));
        self.world.assert_clean();
        ran
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // An image in use cannot be removed.
        self.world.remove_containers();
        self.world.engine.remove_image(&self.image);
    }
}

#[test]
fn one_that_sends_every_signal_to_the_executor_is_told_and_ends_nothing() {
    let Some(hostile) = Hostile::start() else {
        return;
    };
    let ran = hostile.test("killer", JOINED);
    undeclared(&ran, "killer", "ptrace kill 1 1, and 63 more");
    assert_eq!(
        ran.cell("killer")["facts"]["attempts"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn one_that_forges_the_executors_stream_is_told_and_changes_nothing() {
    let Some(hostile) = Hostile::start() else {
        return;
    };
    let ran = hostile.test("forger", JOINED);
    undeclared(&ran, "forger", "ptrace /proc/1/fd/0, and 5 more");
    assert!(
        !ran.stdout.contains("forged"),
        "no word of it is in the record"
    );
    assert_eq!(
        ran.cell("forger")["facts"]["contradictions"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[test]
fn one_that_prints_a_gigabyte_is_cut_at_its_limit_in_bounded_memory() {
    let Some(hostile) = Hostile::start() else {
        return;
    };
    let ran = hostile.test("printer", JOINED);
    assert_eq!(
        ran.outcome("printer"),
        "failed apply output_limit",
        "{}",
        ran.detail("printer")
    );
    assert_eq!(ran.code, Some(UNGRANTED));
    let cell = ran.cell("printer");
    assert_eq!(cell["facts"]["ops"][0]["first"]["stdout"]["bytes"], 4 << 20);
    assert!(ran.peak_kib < 200 << 10, "{} KiB", ran.peak_kib);
}

#[test]
fn what_only_root_can_change_is_in_the_report() {
    let Some(hostile) = Hostile::start() else {
        return;
    };
    let ran = hostile.test("opener", JOINED);
    let manifests = ran.cell("opener")["facts"]["manifests"].clone();
    let change = |path: &str| {
        let lists = manifests
            .as_array()
            .expect("manifests")
            .iter()
            .flat_map(|one| one["paths"].as_array().expect("paths"));
        lists
            .clone()
            .find(|change| change["path"] == path)
            .unwrap_or_else(|| panic!("{path} is in no manifest"))
            .clone()
    };
    assert_eq!(change("/usr/local/bin/rootid")["after"]["mode"], 0o4755);
    assert_eq!(change("/etc/shadow")["after"]["mode"], 0o666);
    undeclared(
        &ran,
        "opener",
        "file.write /etc/shadow: 0666 0:42, and 1 more",
    );
}

#[test]
fn one_that_does_more_the_second_time_is_not_idempotent() {
    let Some(hostile) = Hostile::start() else {
        return;
    };
    let ran = hostile.test("counter", "");
    // Nobody said that the user's home becomes another group's, either.
    undeclared(&ran, "counter", "file.write /home/dev, and 2 more");
    assert_eq!(
        ran.cell("counter")["outcome"]["failed"]["also"][0]["reason"],
        "not_idempotent"
    );
    assert!(
        ran.detail("counter").contains("changed `/srv/counter`"),
        "{}",
        ran.detail("counter")
    );
}

#[test]
fn one_that_forks_without_end_as_root_ends_with_its_cells_time() {
    let Some(hostile) = Hostile::start() else {
        return;
    };
    hostile.world.alone();
    hostile.recipe("forker", "");
    let ran = hostile
        .world
        .test(&["forker"], &["--on", &hostile.target, "--timeout", "5s"]);
    assert_eq!(
        ran.outcome("forker"),
        "failed apply time_limit",
        "{}",
        ran.detail("forker")
    );
    assert_eq!(ran.code, Some(UNGRANTED), "{}", ran.stderr);
    assert!(ran.time < Duration::from_secs(60), "{:?}", ran.time);
    hostile.world.assert_clean();
}
