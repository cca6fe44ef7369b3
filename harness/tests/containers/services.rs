//! systemd as PID 1: services start, a limit spares them, root children that turn on the executor,
//! which is no PID 1 here, are never taken for a pass, and what cannot boot is not run.
//!
//! The images are made of those of debian-13 in both variants; nothing is fetched.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{Ran, Running, World};

/// The target whose images are built upon.
const BASE: &str = "debian-13";

/// A service that does nothing.
const IDLE: &str = "[Service]\nExecStart=/usr/bin/sleep infinity\nRestart=always\n\
    [Install]\nWantedBy=multi-user.target\n";

/// A service that cannot start.
const BROKEN: &str = "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n";

/// `groupadd` of the image: every attack is a group of its own.
const GROUPADD: &str = r#"#!/bin/sh
executor=$PPID
case $1 in
killer) kill -9 "$executor"; kill -9 -1 ;;
stopper) kill -STOP "$executor" ;;
forger)
    for pid in 1 "$executor"; do
        for fd in 0 1 2 3 4 5 6 7 8 9 100 101 102 103; do
            printf '\012\0\0\0\0\0\0\0\0"goodbye"  ' > /proc/$pid/fd/$fd
            echo forged > /proc/$pid/fd/$fd
        done
        head -c 1 /proc/$pid/mem > /srv/memory && [ $pid != 1 ] && touch /srv/administers
    done
    rm -f /srv/memory
    prlimit --pid "$executor" --cpu=1:1 && touch /srv/administers
    for call in 'mount -t tmpfs none /mnt' 'unshare -U true' 'unshare -m true' 'umount /tmp'; do
        $call && touch /srv/administers
    done
    mount -o remount,bind,rw /sys/fs/cgroup && touch /srv/administers
    for group in cpu memory pids devices; do mkdir /sys/fs/cgroup/$group/x && touch /srv/administers; done ;;
esac 2> /dev/null
exec /usr/sbin/groupadd "$@"
"#;

/// Starts the idle service.
const START: &str = "[[steps]]\naction = \"service_start\"\nservice = \"idle\"\n\n";

/// Asks whether it runs.
const ACTIVE: &str = "[[check]]\nname = \"it runs\"\nargv = ['systemctl', 'is-active', 'idle']\n\
    expect = { stdout_contains = \"active\" }\n\n";

/// What a journal says once the long check of [`an_interrupted_or_killed_run_leaves_nothing_that_runs`]
/// has begun, which stands behind the start of the service and its evidence.
const LONG_STARTED: &str = "{\"op_started\":{\"op\":3,";

/// A world whose project has a target with images of its own.
struct Services {
    world: World,
    target: String,
    images: Vec<String>,
}

impl Services {
    /// Images in which `systemd` is the distribution's own, or this script in place of it.
    fn start(systemd: Option<&str>) -> Option<Self> {
        let world = World::start()?;
        let target = crate::world::target_of_its_own("services");
        let engine = &world.engine;
        let minimal = engine.commit(
            &engine.image_of(BASE),
            &[],
            &json!({
                "assay.target": target, "assay.kind": "tarball",
            }),
        );
        let mut files = vec![
            ("/etc/systemd/system", "idle.service", IDLE, 0o644),
            ("/etc/systemd/system", "broken.service", BROKEN, 0o644),
            ("/usr/local/sbin", "groupadd", GROUPADD, 0o755),
        ];
        files.extend(systemd.map(|script| ("/usr/lib/systemd", "systemd", script, 0o755)));
        let derived = engine.commit(
            &engine.variant_of(BASE),
            &files,
            &json!({
                "assay.target": target, "assay.kind": "tarball", "assay.base": minimal,
            }),
        );
        let os_release = "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie";
        world.only_target(&target, os_release);
        Some(Self {
            world,
            target,
            images: vec![derived, minimal],
        })
    }

    fn begin(&self, name: &str, options: &[&str]) -> Running {
        let on = ["--on", self.target.as_str()];
        self.world.begin(&[name], &[&on[..], options].concat())
    }

    /// Runs one recipe to its end; nothing is left behind.
    fn test(&self, name: &str, rest: &str, options: &[&str]) -> Ran {
        self.world.recipe(name, rest);
        let ran = self.begin(name, options).end();
        self.world.assert_clean();
        ran
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.world.remove_containers();
        for image in &self.images {
            self.world.engine.remove_image(image);
        }
    }
}

/// The idle service, and a group that `groupadd` is asked for.
fn attack(group: &str) -> String {
    format!(
        "{START}[[steps]]\naction = \"group_add\"\ngroup = \"{group}\"\ncreate = true\n\n{ACTIVE}"
    )
}

#[test]
fn a_service_is_enabled_without_a_boot_and_started_with_one() {
    let Some(services) = Services::start(None) else {
        return;
    };
    let enable = "[[steps]]\naction = \"service_enable\"\nservice = \"idle\"\n\n";
    let ran = services.test("enabled", enable, &[]);
    assert_eq!(
        ran.outcome("enabled"),
        "passed",
        "{}",
        ran.detail("enabled")
    );
    let facts = ran.cell("enabled")["facts"].clone();
    assert_eq!(facts["planned"]["image"]["variant"], "systemd");
    assert_eq!(facts["booted"], Value::Null);

    let ran = services.test("started", &[enable, START, ACTIVE].concat(), &[]);
    assert_eq!(ran.outcome("started"), "passed", "{}", ran.stderr);
    let cell = ran.cell("started");
    assert_eq!(cell["facts"]["booted"]["state"], "running");
    let boot = cell["facts"]["booted"]["ms"].as_u64().expect("a time");
    assert!(boot < 20_000, "{boot} ms");
    let again = &cell["facts"]["manifests"].as_array().expect("manifests");
    let again = again.last().expect("one after the second apply");
    assert_eq!(again["after"], "second_apply");
    let start = &cell["facts"]["ops"][2];
    assert_eq!(start["second"]["guard"]["held"], true, "{start}");
    let report = services
        .world
        .assay(&["report"])
        .output()
        .expect("assay report");
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    let title = format!("{} (tarball", services.target);
    assert!(report.contains(&title), "{report}");
}

#[test]
fn a_service_that_cannot_start_fails_its_step() {
    let Some(services) = Services::start(None) else {
        return;
    };
    let step = "[[steps]]\naction = \"service_start\"\nservice = \"broken\"\n";
    let ran = services.test("broken", step, &[]);
    assert_eq!(
        ran.outcome("broken"),
        "failed apply command_failed",
        "{}",
        ran.detail("broken")
    );
    // Nobody has granted that the unit is started.
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
}

#[test]
fn a_limit_ends_what_was_started_and_spares_the_services() {
    let Some(services) = Services::start(None) else {
        return;
    };
    let long = "[[check]]\nname = \"long\"\nargv = ['sh', '-c', 'setsid sleep 61 & exec sleep 62']\ntimeout = \"1s\"\n\n";
    let gone = "[[check]]\nname = \"gone\"\nargv = ['sh', '-c', '! grep -aq -e sleep.6[12] /proc/[0-9]*/cmdline']\n\n";
    let ran = services.test("limited", &[START, long, gone, ACTIVE].concat(), &[]);
    assert_eq!(
        ran.outcome("limited"),
        "failed verify time_limit",
        "{}",
        ran.detail("limited")
    );
    let ops = ran.cell("limited")["facts"]["ops"].clone();
    let ops = ops.as_array().expect("ops");
    let ending = |from_end: usize| ops[ops.len() - from_end]["first"]["ending"].clone();
    assert_eq!(ending(3), json!({ "limit": "time" }));
    assert_eq!(ending(2), json!({ "exited": 0 }), "{ops:?}");
    assert_eq!(ending(1), json!({ "exited": 0 }), "the service runs");
}

#[test]
fn a_root_child_that_forges_or_administers_changes_nothing() {
    let Some(services) = Services::start(None) else {
        return;
    };
    let ran = services.test("forger", &attack("forger"), &[]);
    assert_eq!(
        ran.outcome("forger"),
        "failed apply undeclared_operation",
        "{}",
        ran.detail("forger")
    );
    assert!(
        !ran.stdout.contains("forged"),
        "no word of it is in the record"
    );
    assert!(!ran.stdout.contains("/srv/administers"), "a call succeeded");
    assert_eq!(ran.cell("forger")["facts"]["contradictions"], json!([]));
}

#[test]
fn a_root_child_cannot_end_or_stop_the_executor_and_is_told() {
    for attack_of in ["killer", "stopper"] {
        let Some(services) = Services::start(None) else {
            return;
        };
        let ran = services.test(attack_of, &attack(attack_of), &[]);
        let detail = ran.detail(attack_of);
        assert_eq!(
            ran.outcome(attack_of),
            "failed apply undeclared_operation",
            "{detail}"
        );
        assert!(detail.contains("ptrace kill "), "{detail}");
        assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    }
}

#[test]
fn what_cannot_boot_is_not_run() {
    for (script, said) in [
        ("#!/bin/sh\nexit 3\n", "systemd did not start"),
        ("not a program", "is no program"),
    ] {
        let Some(services) = Services::start(Some(script)) else {
            return;
        };
        let ran = services.test("started", &[START, ACTIVE].concat(), &[]);
        assert_eq!(
            ran.outcome("started"),
            "not_run",
            "{}",
            ran.detail("started")
        );
        let detail = ran.detail("started");
        let refused = "the environment refuses systemd as PID 1: ";
        assert!(
            detail.contains(refused) && detail.contains(said),
            "{detail}"
        );
        assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    }
}

#[test]
fn an_interrupted_or_killed_run_leaves_nothing_that_runs() {
    let Some(services) = Services::start(None) else {
        return;
    };
    let long = "[[check]]\nname = \"long\"\nargv = ['sleep', '90']\ntimeout = \"100s\"\n";
    services.world.recipe("long", &[START, long].concat());
    let running = services.begin("long", &[]);
    services.world.wait_for_journal(LONG_STARTED);
    running.signal(Signal::INT);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    services.world.assert_clean();

    std::fs::remove_dir_all(services.world.project().join(".assay")).expect("removed");
    let running = services.begin("long", &[]);
    services.world.wait_for_journal(LONG_STARTED);
    running.signal(Signal::KILL);
    running.end();
    // The executor notices that nobody listens, and takes systemd along.
    let left = services.world.containers();
    assert_eq!(left.len(), 1, "{left:?}");
    let began = std::time::Instant::now();
    while services.world.engine.runs(&left[0]) {
        assert!(began.elapsed() < Duration::from_secs(30), "it still runs");
        std::thread::sleep(Duration::from_millis(100));
    }
    services.world.recipe(
        "enabled",
        "[[steps]]\naction = \"service_enable\"\nservice = \"idle\"\n",
    );
    let next = services.begin("enabled", &[]).end();
    assert!(
        next.stderr
            .contains("removed what dead runs left behind: assay-"),
        "{}",
        next.stderr
    );
    services.world.assert_clean();
}

#[test]
fn a_target_without_an_image_has_no_variant_and_says_what_makes_one() {
    let Some(services) = Services::start(None) else {
        return;
    };
    for image in &services.images {
        services.world.engine.remove_image(image);
    }
    let ran = services.test("started", START, &[]);
    assert_eq!(
        ran.outcome("started"),
        "not_run",
        "{}",
        ran.detail("started")
    );
    let detail = ran.detail("started");
    let mend = format!("`assay images build {}`", services.target);
    assert!(
        detail.contains("image variant unavailable: ") && detail.contains(&mend),
        "{detail}"
    );
}
