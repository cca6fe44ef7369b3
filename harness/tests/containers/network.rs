//! Where what a sandbox asks for comes from: recorded once, replayed for ever, and only of hosts that
//! were named. What is asked is a lab of one file, by bash alone.

use std::fs;

use assay_wire::program::PROXY_PORT;
use serde_json::{Value, json};

use crate::world::{Ran, World};

const URL: &str = "http://packages.assay.test/greeting";

/// A project with a lab of one file, and a recipe that asks for it and wants these words.
fn world(words: &str) -> Option<World> {
    let world = World::start()?;
    fs::write(
        world.project().join("assay.toml"),
        "targets = [\"debian-12\"]\n",
    )
    .expect("a project");
    world.lab(&json!([]));
    serve(&world, words);
    asks(&world, "asks", URL, words);
    Some(world)
}

/// What the lab gives from now on.
fn serve(world: &World, words: &str) {
    let file = world.cache().join("lab/repositories/greeting");
    fs::write(file, words).expect("a file");
}

/// A recipe whose check asks for a URL and wants words in the answer.
fn asks(world: &World, recipe: &str, url: &str, words: &str) {
    // In one process: of two that share a socket, nobody could say which one asked.
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{PROXY_PORT}; printf \"GET {url} HTTP/1.0\\r\\n\\r\\n\" >&3; \
         mapfile -u 3 lines; echo \"${{lines[@]}}\""
    );
    world.recipe(
        recipe,
        &format!(
            "[[check]]\nname = \"asks\"\nargv = ['bash', '-c', '{script}']\nexpect = {{ stdout_contains = \"{words}\" }}\n"
        ),
    );
}

fn run(world: &World, recipe: &str, network: &str) -> Ran {
    world.test(&[recipe], &["--network", network])
}

/// The requests of a recipe's cell: URL, status and sha256.
fn requests(ran: &Ran, recipe: &str) -> Vec<Value> {
    let cell = ran.cell(recipe);
    let requests = cell["facts"]["requests"].as_array().expect("requests");
    let told = requests.iter().map(|request| {
        assert_eq!(request["asker"]["program"], "bash", "{request}");
        json!([request["url"], request["status"], request["sha256"]])
    });
    told.collect()
}

#[test]
fn what_was_recorded_is_what_every_replay_gives() {
    let Some(world) = world("first words") else {
        return;
    };
    let lock = || fs::read_to_string(world.project().join("assay.lock")).expect("a lock");
    let recorded = run(&world, "asks", "record");
    assert_eq!(
        recorded.outcome("asks"),
        "passed",
        "{}",
        recorded.detail("asks")
    );
    let first = lock();
    assert!(
        first.contains(&format!("url = \"{URL}\", sha256")),
        "{first}"
    );
    assert_eq!(run(&world, "asks", "record").outcome("asks"), "passed");
    assert_eq!(lock(), first, "the same bytes, the same lock");

    serve(&world, "other words");
    let replayed = run(&world, "asks", "replay");
    assert_eq!(
        replayed.outcome("asks"),
        "passed",
        "{}",
        replayed.detail("asks")
    );
    assert_eq!(requests(&replayed, "asks"), requests(&recorded, "asks"));
    let key = |ran: &Ran| ran.cell("asks")["cell_key"].to_string();
    assert_ne!(key(&replayed), key(&recorded), "another question");
    assert_eq!(key(&replayed), key(&run(&world, "asks", "replay")));
    let live = run(&world, "asks", "live");
    assert_eq!(
        live.outcome("asks"),
        "failed verify check_failed",
        "{}",
        live.detail("asks")
    );
    let request = &live.cell("asks")["facts"]["requests"][0];
    assert!(
        request["locked"].is_string() && request["locked"] != request["sha256"],
        "{request}"
    );
    let human = world
        .assay(&["test", "asks.toml", "--on", "debian-12"])
        .output()
        .expect("assay");
    let human = String::from_utf8_lossy(&human.stdout);
    assert!(
        human.contains("not what assay.lock says was recorded"),
        "{human}"
    );

    run(&world, "asks", "record");
    assert_ne!(lock(), first, "recorded anew");
    let anew = run(&world, "asks", "replay");
    assert_ne!(key(&anew), key(&replayed), "of another lock");
    world.assert_clean();
}

#[test]
fn a_replay_ends_at_what_was_not_recorded_and_names_it() {
    let Some(world) = world("words") else {
        return;
    };
    run(&world, "asks", "record");
    asks(&world, "more", "http://packages.assay.test/more", "HTTP");
    let ran = run(&world, "more", "replay");
    assert_eq!(
        ran.outcome("more"),
        "infra not_recorded",
        "{}",
        ran.detail("more")
    );
    let detail = ran.detail("more");
    assert!(
        detail.contains("`http://packages.assay.test/more` is not in the lock"),
        "{detail}"
    );
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);

    fs::remove_dir_all(world.cache().join("content/blobs")).expect("removed");
    let ran = run(&world, "asks", "replay");
    assert_eq!(
        ran.outcome("asks"),
        "infra not_recorded",
        "{}",
        ran.detail("asks")
    );
    assert!(
        ran.detail("asks").contains("not in the content store"),
        "{}",
        ran.detail("asks")
    );
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);
    world.assert_clean();
}

#[test]
fn only_hosts_that_were_named_are_asked_and_none_without_a_network() {
    let Some(world) = world("words") else {
        return;
    };
    // A name that a recipe does not spell out is a name nobody could have reviewed.
    asks(
        &world,
        "hidden",
        "http://packages.${x:-assay}.test/greeting",
        "403",
    );
    let ran = run(&world, "hidden", "live");
    assert_eq!(
        ran.outcome("hidden"),
        "failed verify undeclared_operation",
        "{}",
        ran.detail("hidden")
    );
    let request = &ran.cell("hidden")["facts"]["requests"][0];
    let reason = request["decision"]["refused"]["reason"]
        .as_str()
        .expect("a reason");
    assert!(reason.contains("names `packages.assay.test`"), "{reason}");
    let ran = run(&world, "asks", "none");
    assert_eq!(ran.outcome("asks"), "failed verify undeclared_operation");
    let request = &ran.cell("asks")["facts"]["requests"][0];
    assert_eq!(
        request["decision"]["refused"]["reason"],
        "this run has no network"
    );
    world.assert_clean();
}

#[test]
fn what_cannot_be_recorded_or_replayed_is_said_before_anything_runs() {
    let Some(world) = world("words") else {
        return;
    };
    for (lock, said) in [
        (None, "there is no `assay.lock` to replay"),
        (Some("version = 2\n"), "lock-version"),
        (
            Some("version = 1\nanswers = [\n<<<<<<< ours\n"),
            "assay.lock` is invalid",
        ),
    ] {
        let file = world.project().join("assay.lock");
        match lock {
            Some(text) => fs::write(&file, text).expect("written"),
            None => assert!(!file.exists()),
        }
        let ran = run(&world, "asks", "replay");
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        fs::remove_file(&file).ok();
    }
    fs::remove_file(world.project().join("assay.toml")).expect("removed");
    let ran = run(&world, "asks", "record");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("outside a project"), "{}", ran.stderr);
}

/// Asks as often as it can over one connection; what is counted are the answers' bytes.
const FLOOD: &str = r"my $s = IO::Socket::INET->new(q(127.0.0.1:PORT)) or die; my $r = qq(HEAD http://packages.assay.test/greeting HTTP/1.1\r\nHost: x\r\n\r\n); $SIG{PIPE} = q(IGNORE); if (fork()) { print $s $r for 1..25000; shutdown($s, 1); wait } else { my $n = 0; while (sysread($s, my $b, 65536)) { $n += length $b } print qq($n bytes\n) }";

#[test]
fn a_flood_of_requests_is_bounded_and_the_cell_beside_it_passes() {
    let Some(world) = world("words") else {
        return;
    };
    let flood = FLOOD.replace("PORT", &PROXY_PORT.to_string());
    world.recipe(
        "flood",
        &format!(
            "[[check]]\nname = \"floods\"\nargv = ['perl', '-MIO::Socket::INET', '-e', '{flood}']\nexpect = {{ stdout_contains = \" bytes\" }}\n"
        ),
    );
    world.neighbour();
    let ran = world.test(&["flood", "neighbour"], &["--jobs", "2"]);
    assert_eq!(
        ran.outcome("neighbour"),
        "passed",
        "{}",
        ran.detail("neighbour")
    );
    assert_eq!(
        ran.outcome("flood"),
        "failed verify undeclared_operation",
        "{}",
        ran.detail("flood")
    );
    let cell = ran.cell("flood");
    let requests = cell["facts"]["requests"].as_array().expect("requests");
    let refused = requests.iter().filter(|request| request["status"] == 429);
    assert_eq!((requests.len(), refused.count()), (20_001, 1));
    assert!(ran.peak_kib < 400 << 10, "{} KiB", ran.peak_kib);
    world.assert_clean();
}
