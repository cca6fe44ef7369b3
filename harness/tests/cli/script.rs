//! `plan --format shell|markdown` and `--side-by-side`. A script is a POSIX script, and what it
//! starts are the plan's own words, to the byte.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use assay_wire::name::{CellId, StepRef};
use assay_wire::plan::{
    Action, Expects, FileContent, Guard, Limits, Op, OpId, Plan, Privilege, SkipIf,
};
use assay_wire::program::PATH;

use crate::env::TestEnv;

#[test]
fn formats_of_plans_and_of_nothing_else() {
    let env = TestEnv::project();
    insta::assert_snapshot!(
        "shell",
        env.run("plan jq --on fedora-44 --format shell").whole()
    );
    insta::assert_snapshot!(
        "markdown",
        env.run("plan jq --on debian-*,darwin --format markdown")
            .whole()
    );
    insta::assert_snapshot!(
        "side-by-side",
        env.run("plan jq --on all --side-by-side").whole()
    );
    insta::assert_snapshot!(
        "side-by-side-json",
        env.run("plan jq --on debian-*,arch --side-by-side --format json")
            .whole()
    );
    let mut all = String::new();
    for line in [
        "plan jq --format shell",
        "plan jq --side-by-side --explain",
        "plan jq --side-by-side --format shell",
        "check --format shell",
        "test --format shell",
    ] {
        let said = env.run(line);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{line}");
        all += &format!("# {line}\n{}", said.stderr);
    }
    insta::assert_snapshot!("wrong-formats", all);
}

/// Runs a script in which the PATH is a folder of this test's own.
fn sh(script: &str, bin: &Path, arguments: &[&str]) -> Output {
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let script = script.replace(&format!("PATH={PATH}"), &format!("PATH={path}"));
    let file = bin.join("../script");
    fs::write(&file, script).expect("the script");
    Command::new("sh")
        .args(arguments)
        .arg(&file)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("sh starts")
}

fn program(bin: &Path, name: &str, text: &str) {
    let file = bin.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("a program");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it may be run");
}

fn op(id: u32, privilege: Privilege, action: Action) -> Op {
    Op {
        id: OpId(id),
        steps: vec![StepRef {
            recipe: "a".parse().expect("a name"),
            step: id.to_string().parse().expect("a step"),
        }],
        privilege,
        guard: None,
        limits: Limits::INSTALL,
        expects: Expects::Success {
            failure_lines: Vec::new(),
        },
        once: false,
        scope: None,
        action,
    }
}

fn plan(ops: Vec<Op>) -> (CellId, Plan) {
    let plan = Plan {
        target: "debian-12".parse().expect("a target"),
        variant: Default::default(),
        boots: false,
        recipes: vec!["a".parse().expect("a name")],
        unsupported: None,
        steps: Vec::new(),
        content: Vec::new(),
        ops,
        declared: Vec::new(),
    };
    ("debian-12:a".parse().expect("a cell"), plan)
}

fn run_op(id: u32, argv: &[&str]) -> Op {
    let argv = argv.iter().map(|&word| word.to_owned()).collect();
    op(id, Privilege::Root, Action::Run { argv })
}

/// A world in which every program writes its words down, one NUL-ended word after the other.
fn recorders(names: &[&str]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    let log = folder.path().join("log");
    for name in names {
        let text = format!(
            "printf '%s\\0' \"${{0##*/}}\" \"$@\" >>'{0}'; printf '\\001\\0' >>'{0}'",
            log.display()
        );
        program(&bin, name, &text);
    }
    // As root, whoever runs the test.
    program(
        &bin,
        "id",
        "case $1 in -u) echo 0 ;; *) exec /usr/bin/id \"$@\" ;; esac",
    );
    program(&bin, "chown", "exit 0");
    program(&bin, "runuser", "shift 3; exec \"$@\"");
    (folder, bin)
}

#[test]
fn every_word_arrives_as_it_is_in_the_plan() {
    let words = [
        "plain",
        "",
        "two words",
        "it's",
        "$HOME `id` $(id) \"x\" \\n",
        "a=b",
        "=x",
        "*",
        "~",
        "#",
        "-x",
        "--",
        "!",
        "line\nbreak\n",
        "\u{1b}[31m\u{202e}\t\r",
        "%s\\",
        "ünïcode 日本",
        "end.",
    ];
    // What a shell would take for a keyword, a builtin, a function of the script, an assignment.
    let programs = ["record", "if", "echo", "root", "put", "a=b", "case", "test"];
    let (folder, bin) = recorders(&programs);
    let ops: Vec<Op> = (1u32..)
        .zip(programs)
        .map(|(id, program)| {
            let argv: Vec<&str> = std::iter::once(program).chain(words).collect();
            let mut op = run_op(id, &argv);
            if id % 2 == 0 {
                op.privilege = Privilege::User;
            }
            op
        })
        .collect();
    let (cell, plan) = plan(ops);
    let script = assay_plan::render_shell(&cell, &plan);
    assert!(!script.chars().any(|c| c.is_control() && c != '\n'));
    let output = sh(&script, &bin, &[]);
    assert!(output.status.success(), "{output:?}\n{script}");
    let log = fs::read_to_string(folder.path().join("log")).expect("the log");
    let started: Vec<Vec<&str>> = log
        .split_terminator("\u{1}\0")
        .map(|line| line.split_terminator('\0').collect())
        .collect();
    assert_eq!(started.len(), programs.len());
    for (started, program) in started.iter().zip(programs) {
        assert_eq!(started[0], program);
        assert_eq!(started[1..], words, "{program}");
    }
}

#[test]
fn files_have_exactly_their_bytes_and_guards_skip() {
    let (folder, bin) = recorders(&["record"]);
    let place = |name: &str| format!("{}/out/{name}", folder.path().display());
    let texts = [
        "",
        "one\ntwo\n",
        "no line break at the end",
        "ASSAY_END\nx\n",
        "$HOME `id` \\ 'x' \"y\" %s\n",
        "\u{1b}[2J\r\n\ttab\n",
        "-n\n\n\n",
        "-n",
    ];
    let mut ops: Vec<Op> = (1u32..)
        .zip(texts)
        .map(|(id, text)| {
            op(
                id,
                Privilege::Root,
                Action::Write {
                    path: place(&id.to_string()).parse().expect("a path"),
                    mode: 0o640,
                    owner: Privilege::Root,
                    content: FileContent::Text(text.to_owned()),
                },
            )
        })
        .collect();
    let asks = |argv: &[&str], skip_if: SkipIf| Guard::Asks {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        skip_if,
    };
    let lines = |lines: &[&str]| SkipIf::Lines(lines.iter().map(|&line| line.to_owned()).collect());
    let guarded = [
        (asks(&["sh", "-c", "exit 3"], SkipIf::ExitCode(3)), true),
        (asks(&["sh", "-c", "exit 1"], SkipIf::ExitCode(0)), false),
        (asks(&["printf", "b\\na\\n"], lines(&["a", "b"])), true),
        (asks(&["printf", "a\\nb\\nc\\n"], lines(&["a", "b"])), false),
        (asks(&["sh", "-c", "echo a; exit 1"], lines(&["a"])), false),
        (asks(&["printf", "\\033\\n"], lines(&["\u{1b}"])), true),
        (Guard::OnPath("record".to_owned()), true),
        (Guard::OnPath("nowhere-to-be-found".to_owned()), false),
        (Guard::OnPath("put".to_owned()), false),
    ];
    for (at, (guard, _)) in guarded.iter().enumerate() {
        let id = 100 + u32::try_from(at).expect("few");
        let mut one = run_op(id, &["record", &id.to_string()]);
        one.guard = Some(guard.clone());
        ops.push(one);
        // A write behind a guard is skipped as a command is.
        let mut write = op(
            id + 100,
            Privilege::Root,
            Action::Write {
                path: place(&format!("guarded-{at}")).parse().expect("a path"),
                mode: 0o644,
                owner: Privilege::Root,
                content: FileContent::Text("x\n".to_owned()),
            },
        );
        write.guard = Some(guard.clone());
        ops.push(write);
    }
    let (cell, plan) = plan(ops);
    let script = assay_plan::render_shell(&cell, &plan);
    assert!(!script.chars().any(|c| c.is_control() && c != '\n'));
    let output = sh(&script, &bin, &[]);
    assert!(output.status.success(), "{output:?}\n{script}");
    for (id, text) in (1u32..).zip(texts) {
        let file = place(&id.to_string());
        assert_eq!(fs::read_to_string(&file).expect("the file"), text, "{id}");
        let mode = fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }
    let log = fs::read_to_string(folder.path().join("log")).expect("the log");
    for (at, (guard, skipped)) in guarded.iter().enumerate() {
        let ran = log.contains(&format!("record\0{}\0", 100 + at));
        assert_eq!(ran, !skipped, "{guard:?}");
        let written = Path::new(&place(&format!("guarded-{at}"))).exists();
        assert_eq!(written, !skipped, "{guard:?}");
    }
    let left: Vec<_> = fs::read_dir(folder.path().join("out"))
        .expect("the folder")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter(|name| name.contains("assay"))
        .collect();
    assert_eq!(left, [] as [&str; 0]);
}

#[test]
fn what_fails_stops_the_script() {
    let (_folder, bin) = recorders(&["record"]);
    let failing = |change: &dyn Fn(&mut Op)| {
        let mut one = run_op(1, &["sh", "-c", "echo ' bad scriptlet'; exit ${CODE:-0}"]);
        change(&mut one);
        let (cell, plan) = plan(vec![one, run_op(2, &["echo", "reached"])]);
        let output = sh(&assay_plan::render_shell(&cell, &plan), &bin, &[]);
        let reached = String::from_utf8_lossy(&output.stdout).contains("reached");
        assert_eq!(reached, output.status.success());
        reached
    };
    assert!(failing(&|_| {}));
    let exits = |code: &str| vec!["sh".to_owned(), "-c".to_owned(), format!("exit {code}")];
    assert!(!failing(&|op| op.action = Action::Run { argv: exits("1") }));
    assert!(!failing(&|op| op.action = Action::Run {
        argv: vec!["no-such-command".to_owned()]
    }));
    let lines = |text: &str| Expects::Success {
        failure_lines: vec!["never".to_owned(), text.to_owned()],
    };
    assert!(!failing(&|op| op.expects = lines("bad scriptlet")));
    assert!(failing(&|op| op.expects = lines("good scriptlet")));
    let check = |code: i32, text: &str| Expects::Check {
        name: "c".to_owned(),
        exit_code: code,
        stdout_contains: vec![text.to_owned()],
        stdout_matches: None,
        stderr_contains: Vec::new(),
    };
    assert!(failing(&|op| op.expects = check(0, "scriptlet")));
    assert!(!failing(&|op| op.expects = check(0, "script let")));
    assert!(!failing(&|op| op.expects = check(1, "scriptlet")));
    assert!(!failing(&|op| op.action = Action::Write {
        path: "/dev".parse().expect("a path"),
        mode: 0o644,
        owner: Privilege::Root,
        content: FileContent::Text("x\n".to_owned()),
    }));
    assert!(!failing(&|op| op.action = Action::Write {
        path: "/nowhere/x".parse().expect("a path"),
        mode: 0o644,
        owner: Privilege::Root,
        content: FileContent::Key("9DC858229FC7DD38854AE2D88D81803C0EBFCD88".to_owned()),
    }));
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn every_recipe_of_the_repository_is_a_posix_script() {
    let (_folder, bin) = recorders(&[]);
    let env = TestEnv::empty();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = 0;
    let mut recipes = Vec::new();
    env.write("assay.toml", "");
    for entry in fs::read_dir(root.join("recipes")).expect("the recipes") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let place = format!("recipes/{}", name.expect("a plain name"));
        env.write(&place, fs::read_to_string(&path).expect("a recipe"));
        recipes.push(place);
    }
    for recipe in recipes {
        for target in ["debian-12", "fedora-44", "arch", "alpine-3.22", "darwin"] {
            let said = env.run_words(&["plan", &recipe, "--on", target, "--format", "shell"]);
            assert_eq!(said.code, Some(0), "{recipe}: {}", said.stderr);
            let checked = sh(&said.stdout, &bin, &["-n"]);
            assert!(checked.status.success(), "{recipe} {target}: {checked:?}");
            scripts += 1;
        }
    }
    assert!(scripts > 50, "{scripts}");
}

#[test]
fn what_is_fetched_is_used_only_with_its_hash() {
    let (folder, bin) = recorders(&[]);
    // `curl -fsSL -o FILE URL`
    program(&bin, "curl", "printf 'bytes of %s' \"$4\" >\"$3\"");
    let url = "https://keys.example/it's.key";
    let bytes = format!("bytes of {url}");
    let fetched = |sha256: assay_wire::digest::Digest, name: &str| {
        let path = format!("{}/{name}", folder.path().display());
        let (cell, mut plan) = plan(vec![op(
            1,
            Privilege::Root,
            Action::Write {
                path: path.parse().expect("a path"),
                mode: 0o644,
                owner: Privilege::Root,
                content: FileContent::Blob(sha256),
            },
        )]);
        plan.content.push(assay_wire::plan::Content {
            sha256,
            url: url.to_owned(),
            step: plan.ops[0].steps[0].clone(),
            kind: assay_wire::plan::ContentKind::File,
        });
        let output = sh(&assay_plan::render_shell(&cell, &plan), &bin, &[]);
        (output.status.success(), fs::read_to_string(path).ok())
    };
    let right = assay_wire::digest::Digest::of(bytes.as_bytes());
    assert_eq!(fetched(right, "right"), (true, Some(bytes.clone())));
    let wrong = assay_wire::digest::Digest::of(b"other bytes");
    assert_eq!(fetched(wrong, "wrong"), (false, None));
}
