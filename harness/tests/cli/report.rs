//! `report`: a run again from its journal alone, whatever state the journal is in.

use assay_testkit::{Log, PlanBuilder, log};
use assay_wire::event::{CellEnded, Ending, InfraCause, SnapshotFinding};

use crate::env::TestEnv;

const RUN: &str = "20260301-120000-c0ffee";

fn env_with(journal: impl AsRef<[u8]>) -> TestEnv {
    TestEnv::project().with(&format!(".assay/runs/{RUN}/journal.jsonl"), journal)
}

fn jq(target: &str) -> assay_wire::plan::Plan {
    PlanBuilder::new(target, "jq")
        .refresh()
        .install("jq")
        .require_command("jq", Some("1.6"))
        .build()
}

fn passed() -> Log {
    Log::new().cell("debian-12:jq", jq("debian-12")).cleanly()
}

fn failed(log: Log) -> Log {
    log.cell("debian-13:jq", jq("debian-13"))
        .attempt(1)
        .op(1, Ending::Exited(0))
        .printed(
            2,
            Ending::Exited(100),
            "",
            "E: Unable to locate package \u{1b}[31mjq\u{202e}\n",
        )
        .cross_checked(&[])
        .ends(CellEnded::Finished)
}

#[test]
fn a_run_that_passed() {
    let env = env_with(passed().end().journal());
    insta::assert_snapshot!("passed", env.run("report").whole());
    assert_eq!(
        env.run(&format!("report {RUN}")).whole(),
        env.run("report").whole()
    );
    assert_eq!(
        env.run(&format!("report .assay/runs/{RUN}/journal.jsonl"))
            .whole(),
        env.run("report").whole()
    );
}

#[test]
fn a_run_that_failed() {
    let env = env_with(failed(passed()).end().journal());
    let said = env.run("report");
    said.assert_harmless();
    insta::assert_snapshot!("failed", said.whole());
    let coloured = env.run("report --color always").stdout;
    insta::assert_snapshot!("failed-coloured", coloured.replace('\u{1b}', "␛"));
    insta::assert_snapshot!("failed-verbose", env.run("report -v").whole());
}

#[test]
fn json_is_valid_and_holds_every_cell() {
    let env = env_with(failed(passed()).end().journal());
    let said = env.run("report --format json");
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), ""));
    let document = said.json();
    assert_eq!(document["cells"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_run_for_programs_and_pages_of_others() {
    let env = env_with(failed(passed()).end().journal());
    for format in ["junit", "github", "markdown"] {
        let said = env.run(&format!("report --format {format}"));
        said.assert_harmless();
        assert_eq!((said.code, said.stderr.as_str()), (Some(1), ""), "{format}");
        insta::assert_snapshot!(format!("as-{format}"), said.stdout);
        if format != "github" {
            said.assert_inert();
        }
    }
}

#[test]
fn a_run_for_code_scanning() {
    let env = env_with(failed(passed()).end().journal());
    let said = env.run("report --format sarif");
    said.assert_harmless();
    said.assert_inert();
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), ""));
    let log: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON document");
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "command_failed");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "recipes/jq.toml");
    assert_eq!(log["runs"][0]["invocations"][0]["exitCode"], 1);
}

#[test]
fn the_newest_run_is_meant() {
    let env = env_with(failed(passed()).end().journal());
    env.write(
        ".assay/runs/20260302-000000-000000/journal.jsonl",
        passed().end().journal(),
    );
    env.write(".assay/runs/20260303-000000-000000/other", "");
    assert_eq!(env.run("report").code, Some(0));
    assert_eq!(env.run(&format!("report {RUN}")).code, Some(1));
}

#[test]
fn what_counts_first() {
    let infra = |log: Log| {
        log.cell("arch:jq", jq("arch"))
            .attempt(1)
            .attempt_failed(InfraCause::EngineDied, "the engine died", false)
            .ends(CellEnded::GaveUp)
    };
    let snapshot = |log: Log| {
        let mut planned = log::planned(jq("ubuntu-24.04"));
        planned.snapshot = SnapshotFinding::Missing;
        log.planned("ubuntu-24.04:jq", planned).cleanly()
    };
    let code = |log: Log| env_with(log.end().journal()).run("report -q").code;
    assert_eq!(code(passed()), Some(0));
    assert_eq!(code(infra(passed())), Some(8));
    assert_eq!(code(failed(infra(passed()))), Some(1));
    assert_eq!(code(snapshot(failed(infra(passed())))), Some(5));
    let gap = passed()
        .cell("fedora-44:jq", jq("fedora-44"))
        .attempt(1)
        .rest_of_first(1, "jq-1.7")
        .second(vec![], vec![]);
    let gap = gap.cross_checked(&["/usr/bin/evil"]).closes();
    assert_eq!(code(snapshot(failed(infra(gap)))), Some(7));
    // A run that did not end was interrupted.
    assert_eq!(
        env_with(failed(passed()).journal()).run("report").code,
        Some(130)
    );
}

#[test]
fn a_journal_that_breaks_off() {
    let whole = failed(passed()).end().journal();
    let last = whole.trim_end().rfind('\n').expect("several lines");
    let env = env_with(&whole[..last + 20]);
    insta::assert_snapshot!("breaks-off", env.run("report").whole());
    // Wherever it breaks off: a report or a clear error, never a pass.
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let said = env_with(&whole[..at]).run("report");
        said.assert_harmless();
        assert!(
            [Some(2), Some(130)].contains(&said.code),
            "at {at}: {}",
            said.whole()
        );
    }
}

#[test]
fn journals_that_are_none() {
    let good = passed().end().journal();
    let first = good.lines().next().expect("a line");
    let mut binary = vec![0xff; 1000];
    binary.push(b'\n');
    let deep = format!("{}\n", "[".repeat(200_000));
    let cases: [(&str, Vec<u8>); 8] = [
        ("empty", Vec::new()),
        ("garbage", b"hello\nworld\n".to_vec()),
        ("binary", binary),
        (
            "other-version",
            good.replace("{\"v\":2,", "{\"v\":99,").into_bytes(),
        ),
        (
            "gap",
            format!("{first}\n{}\n", good.lines().nth(2).expect("a line")).into_bytes(),
        ),
        (
            "huge-line",
            format!(
                "{first}\n{{\"v\":2,\"x\":\"{}\"}}\n",
                "y".repeat(20_000_000)
            )
            .into_bytes(),
        ),
        ("deep", deep.into_bytes()),
        ("hostile", b"{\"\x1b[2J\xe2\x80\xae\": 1}\n".to_vec()),
    ];
    let mut all = String::new();
    for (name, journal) in cases {
        let said = env_with(journal).run("report");
        said.assert_harmless();
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(
            said.stderr.len() < 1000,
            "{name}: {} bytes",
            said.stderr.len()
        );
        all += &format!("# {name}\n{}", said.stderr);
    }
    insta::assert_snapshot!("none", all);
}

#[test]
fn where_there_is_no_run() {
    let env = TestEnv::project();
    insta::assert_snapshot!("no-run", env.run("report").whole());
    insta::assert_snapshot!(
        "no-such-run",
        env.run("report 20200101-000000-abcdef").whole()
    );
    std::fs::create_dir_all(env.path("folder")).expect("a folder");
    assert_eq!(env.run("report folder").code, Some(2));
    assert_eq!(env.run("report ../../etc/passwd").code, Some(2));
}
