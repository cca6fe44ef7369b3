//! Text of others never reaches a terminal raw: not from a recipe, a file name, an argument, a
//! project file or a journal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::env::TestEnv;

/// An escape sequence, a title, C1, direction marks, a tag, DEL, a bell, a carriage return.
const HOSTILE: &str =
    "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\u{202e}txt\u{2066}x\u{200b}\u{e0041}\u{7f}\u{8}\r";

#[test]
fn a_recipe_cannot_speak_to_the_terminal() {
    let env = TestEnv::project();
    let places = [
        ("comment", format!("# {HOSTILE}\nbogus = 1 # {HOSTILE}\n")),
        ("value", format!("[metadata]\nname = \"x{HOSTILE}\"\n")),
        (
            "literal",
            format!("[metadata]\nname = '{HOSTILE}'\nbogus = '{HOSTILE}'\n"),
        ),
        ("key", format!("[metadata]\n\"{HOSTILE}\" = 1\n")),
        ("table", format!("['{HOSTILE}']\nx = 1\n")),
        (
            "multiline",
            format!("[metadata]\nname = 'm'\ndescription = '''\n{HOSTILE}\n'''\n"),
        ),
        (
            "step",
            format!("[metadata]\nname = 'm'\n[[steps]]\naction = '{HOSTILE}'\nid = '{HOSTILE}'\n"),
        ),
    ];
    for (name, text) in places {
        env.write("hostile.toml", &text);
        for line in [
            "check hostile.toml",
            "check hostile.toml --color never -v",
            "plan hostile.toml",
            "test hostile.toml",
        ] {
            let said = env.run(line);
            said.assert_harmless();
            assert!(
                [Some(0), Some(3)].contains(&said.code),
                "{name}: {line}: {:?}",
                said.code
            );
        }
        // With colours, the only escapes are the renderer's own.
        let said = env.run("check hostile.toml --color always");
        let rest = said
            .stderr
            .replace("\u{1b}[0m", "")
            .replace("\u{1b}[1m", "");
        assert!(
            !rest.contains("\u{1b}[31mred")
                && !rest.contains("\u{1b}]0;")
                && !rest.contains('\u{202e}'),
            "{rest:?}"
        );
    }
    env.write(
        "hostile.toml",
        format!("[metadata]\n# {HOSTILE}\nname = 'x' # {HOSTILE}\nbogus = '\\u001b{HOSTILE}'\n"),
    );
    insta::assert_snapshot!(env.run("check hostile.toml").whole());
}

#[test]
fn neither_can_what_is_shown_of_a_valid_one() {
    let env = TestEnv::project().with(
        "recipes/m.toml",
        "[metadata]\nname = \"m\"\ndescription = \"a \\u00ad b\"\n\n[[steps]]\naction = \"manual\"\ntext = \"\"\"\nReboot \\u202e now.\n\"\"\"\n\n\
         [[check]]\nname = \"it \\u200b works\"\nargv = [\"true\", \"\\u00ad\"]\n",
    );
    for line in ["check m", "plan m --explain -v", "snapshot check m"] {
        env.run(line).assert_harmless();
    }
}

#[test]
fn nor_can_names_of_files_and_arguments() {
    let env = TestEnv::project();
    let name = format!("x{HOSTILE}.toml");
    env.write(&name, "[metadata]\nname = 'x'\nbogus = 1\n");
    for words in [
        vec!["check", &name],
        vec!["plan", &name],
        vec!["check", HOSTILE],
        vec!["plan", "--on", HOSTILE],
        vec!["report", HOSTILE],
        vec!["report", &name],
        vec!["shell", HOSTILE],
        vec!["explain", HOSTILE],
        vec!["images", "build", HOSTILE],
    ] {
        let said = env.run_words(&words);
        said.assert_harmless();
        assert!(
            [Some(2), Some(3)].contains(&said.code),
            "{words:?}: {:?}",
            said.code
        );
    }
    let said = env.run_words(&[OsStr::new("check"), OsStr::from_bytes(b"\xff\xfe.toml")]);
    assert_eq!(said.code, Some(2));
    said.assert_harmless();
}

#[test]
fn nor_can_files_of_the_project() {
    for file in ["assay.toml", "expected.toml", "base-images/x.toml"] {
        let env = TestEnv::project().with(
            file,
            format!("# {HOSTILE}\n\"{HOSTILE}\" = '{HOSTILE}'\nbogus = 1 # {HOSTILE}\n"),
        );
        let said = env.run("check");
        assert_eq!(said.code, Some(2), "{file}");
        said.assert_harmless();
    }
}

#[test]
fn nor_to_the_log_of_a_job() {
    let env = TestEnv::project();
    let command = "::error file=x::y ##[add-mask]z";
    let head = "[metadata]\nname = \"m\"\n";
    let lines = format!("\"\"\"\n{command}\n{command}\n\"\"\"");
    let places = [
        format!("# {command}\n{command}\n"),
        format!("[metadata]\nname = {lines} # {command}\n"),
        format!("{head}\"{command}\" = 1\n"),
        format!("{head}[[steps]]\naction = \"{command}\"\n"),
        // Old guides are shown anew in the advice, on lines of their own.
        format!(
            "{head}[[steps]]\naction = \"require_system\"\ncommand = \"x\"\n\
             install_guide = {{ fedora = {lines} }}\n"
        ),
        format!(
            "{head}[[steps]]\naction = \"manual\"\ntext = {lines}\n\
             [[check]]\nname = \"c\"\nargv = [\"{command}\", \"##[error]\"]\n"
        ),
    ];
    for text in places {
        env.write("m.toml", &text);
        let mut shown = false;
        for line in [
            "check m.toml",
            "check m.toml --color always",
            "check m.toml --format json",
            "plan m.toml --on arch --format json",
            "plan m.toml --on arch --explain",
            "plan m.toml --on arch --format markdown",
            "plan m.toml --side-by-side",
            "test m.toml",
        ] {
            let said = env.run(line);
            said.assert_inert();
            shown |= said.whole().contains("add-mask");
        }
        assert!(shown, "the command is shown at all: {text}");
    }
}

#[test]
fn long_lines_are_cut() {
    let env = TestEnv::project();
    let text = format!(
        "[metadata]\nname = 'long' # {}\nbogus = '{}' # {}\n",
        "x".repeat(300_000),
        "y".repeat(300_000),
        "z".repeat(300_000)
    );
    env.write("long.toml", text);
    let said = env.run("check long.toml");
    let longest = said.stderr.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(160), "{longest:?}");
    insta::assert_snapshot!(said.whole());
}
