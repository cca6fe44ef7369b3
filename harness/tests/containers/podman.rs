//! The essential flow against Podman's socket: images, cells, prepared images, the sweep.
//!
//! On when `ASSAY_PODMAN_HOST` names a socket, as `ci/test` does; then a Podman that does not answer
//! there is a failure. The image is that of the environment's engine, handed over the first time.

use std::fs::File;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::engine::Engine;
use crate::world::{TARGET, World};

/// A world at Podman's socket, whose engine has an image of [`TARGET`]; `None` where these are off.
fn start() -> Option<World> {
    let podman = Engine::at(&std::env::var("ASSAY_PODMAN_HOST").ok()?);
    let said = podman.json("GET", "/version", &Value::Null);
    assert_eq!(said["Components"][0]["Name"], "Podman Engine", "{said}");
    // Tests are threads or processes of their own.
    let turn = Path::new(env!("CARGO_TARGET_TMPDIR")).join("podman-image");
    let turn = File::create(turn).expect("a lock file");
    turn.lock().expect("a turn");
    let docker = Engine::of_environment();
    let id = docker.image_of(TARGET);
    let label = format!("assay.target={TARGET}");
    if !podman.images_with(&label).contains(&id) {
        let image = docker.inspect_image(&id);
        docker.copy_image(image["RepoTags"][0].as_str().expect("a name"), &podman);
        assert!(podman.images_with(&label).contains(&id), "another image");
    }
    Some(World::at(podman))
}

#[test]
fn cells_pass_and_fail_as_at_any_engine_and_nothing_is_left_behind() {
    let Some(world) = start() else { return };
    world.neighbour();
    world.recipe("fails", "[[check]]\nname = \"no\"\nargv = ['false']\n");
    // Podman mounts a hosts file that names its machine, and an environment of its own.
    world.recipe(
        "alone",
        "[[check]]\nname = \"hosts\"\nargv = ['grep', '-v', 'localhost', '/etc/hosts']\nexpect = { exit_code = 1 }\n\n\
         [[check]]\nname = \"network\"\nargv = ['grep', '-c', ':', '/proc/net/dev']\nexpect = { stdout_contains = \"1\" }\n\n\
         [[check]]\nname = \"rights\"\nargv = ['grep', 'CapBnd', '/proc/self/status']\n\
         expect = { stdout_contains = \"00000000a00404fb\" }\n\n\
         [[check]]\nname = \"calls\"\nargv = ['grep', 'Seccomp:', '/proc/self/status']\nexpect = { stdout_contains = \"2\" }\n",
    );
    let image = world.engine.image_of(TARGET);
    let prepared = format!("assay.prepared={image}");
    for round in 0..2 {
        let ran = world.test(&["neighbour", "fails", "alone"], &["--jobs", "2"]);
        for passes in ["neighbour", "alone"] {
            assert_eq!(ran.outcome(passes), "passed", "{}", ran.detail(passes));
            assert_eq!(ran.cell(passes)["gaps"], Value::Array(Vec::new()));
        }
        assert_eq!(ran.outcome("fails"), "failed verify check_failed");
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let engine = ran.cell("fails")["facts"]["sandbox"]["engine"].clone();
        let engine = engine.as_str().expect("an engine").to_owned();
        assert!(engine.starts_with("podman "), "{engine}");
        world.assert_clean();
        // One of this executor, taken for no image of the target.
        let made = world.engine.images_with(&prepared);
        assert!(!made.is_empty(), "round {round}");
        for id in made {
            let labels = world.engine.inspect_image(&id)["Config"]["Labels"].clone();
            assert_eq!(labels["assay.target"], "", "{labels}");
            assert_eq!(labels["assay.run"], "", "{labels}");
        }
    }
    assert_eq!(world.engine.image_of(TARGET), image);
}

#[test]
fn what_a_killed_run_leaves_at_podman_is_removed_by_the_next() {
    let Some(world) = start() else { return };
    world.check("long", "100s", "exec sleep 90");
    world.neighbour();
    let running = world.begin(&["long"], &[]);
    world.wait_for_journal("op_started");
    running.signal(Signal::KILL);
    running.end();
    assert_eq!(world.containers().len(), 1);
    let next = world.test(&["neighbour"], &[]);
    assert_eq!(next.outcome("neighbour"), "passed", "{}", next.stderr);
    assert!(next.stderr.contains("removed what"), "{}", next.stderr);
    world.assert_clean();
}

#[test]
fn what_failed_at_podman_is_kept_until_it_is_swept() {
    let Some(world) = start() else { return };
    world.recipe("fails", "[[check]]\nname = \"no\"\nargv = ['false']\n");
    let ran = world.test(&["fails"], &["--keep-failed"]);
    assert_eq!(ran.outcome("fails"), "failed verify check_failed");
    let kept = world.containers();
    assert!(
        matches!(&kept[..], [name] if name.starts_with("assay-kept.")),
        "{kept:?}"
    );
    let doctor = world.assay(&["doctor", "--sweep"]).output();
    let doctor = doctor.expect("assay doctor");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.starts_with("ok    Podman "), "{said}");
    assert!(said.contains("1 removed, 0 kept"), "{said}");
    world.assert_clean();
}
