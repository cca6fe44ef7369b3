//! The evil corpus: recipes and packages that each do one bad thing, and what is seen of it.
//!
//! The table is in [`cases`], and for readers in `README.md` beside this file: what is done, by which
//! means, as which kind of operation it surfaces, and with which exit code the run ends. Every case is a
//! recipe and a sandbox of its own, on every package manager that can do it: the same payload and the same
//! text of a script, written by the lab as `.deb`, `.rpm` and pacman package ([`packages`]). What only a
//! program can do is a verb of `helper.c`. What must be seen of a case is checked in [`seen`].
//!
//! A sample runs with the other container tests; all of it is a proof, `ci/prove evil`.

mod cases;
mod packages;
mod seen;

use std::collections::BTreeSet;
use std::io::Write as _;

use assay_wire::privileged::KindName;

use crate::stand::Manager;

/// One bad thing.
#[derive(Debug)]
struct Case {
    /// The name of its recipe and, behind `evil-`, of its package. It ends in the word of its means.
    name: &'static str,
    /// What is done, for the table in `README.md`.
    what: &'static str,
    /// How it is done.
    deed: Deed,
    /// With which package managers.
    on: On,
    /// As which kind of operation it surfaces.
    kind: KindName,
    /// The subject of that; `*` stands for any text.
    subject: &'static str,
    /// What explains it.
    class: Class,
}

/// How something is done, and by that who does it and at which step of the recipe.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// The package has these files. The manager puts them there.
    Payload(&'static [File]),
    /// The script of the package that runs once its files are there says this.
    Script(&'static str),
    /// A file trigger of rpm's says this.
    Trigger(&'static str),
    /// The package has these files, which make the manager run [`packages::HOOK`], which says this.
    Hook(&'static [File], &'static str),
    /// The package has a `groupadd` that stands before the machine's own on the PATH and says this: the
    /// command of a step that declares something else.
    Command(&'static str),
    /// The package has these files, and a check of the recipe runs this as the unprivileged user.
    Check(&'static [File], &'static str),
}

/// A file of a package.
#[derive(Debug, Clone, Copy)]
struct File {
    path: &'static str,
    text: Text,
    mode: u32,
}

/// What a file holds.
#[derive(Debug, Clone, Copy)]
enum Text {
    /// This.
    Is(&'static str),
    /// The helper's program.
    Helper,
    /// The helper's program, which gets `cap_net_raw`.
    HelperWithCapability,
    /// The evil twin's public key.
    Key,
    /// Nothing: it is a link that leads there.
    LinkTo(&'static str),
}

/// Where a case can be.
#[derive(Debug, Clone, Copy)]
enum On {
    /// With every package manager.
    Every,
    /// With this one alone, because it is about something of its own.
    Only(Manager),
    /// With all but this one, for this reason.
    But(Manager, &'static str),
}

/// What explains what is seen, and by that the exit code of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A signed package of a declared repository does it by itself: it needs consent.
    Accompanying,
    /// Nothing.
    Undeclared,
}

impl Class {
    fn exit(self) -> i32 {
        match self {
            Self::Accompanying => 6,
            Self::Undeclared => 7,
        }
    }
}

impl On {
    /// True if the case can be with this manager.
    fn holds(self, manager: Manager) -> bool {
        match self {
            Self::Every => true,
            Self::Only(only) => only == manager,
            Self::But(but, _) => but != manager,
        }
    }
}

impl Deed {
    /// Its word in the table for readers.
    fn means(self) -> &'static str {
        match self {
            Self::Payload(_) => "payload",
            Self::Script(_) => "script",
            Self::Trigger(_) => "trigger",
            Self::Hook(..) => "hook",
            Self::Command(_) => "command",
            Self::Check(..) => "check",
        }
    }
}

/// The managers of the corpus: one of each format of packages.
const MANAGERS: [Manager; 3] = [Manager::Apt, Manager::Dnf5, Manager::Pacman];

/// One case of every means, for a quick look.
const SAMPLE: &[&str] = &[
    "setuid-payload",
    "escape-payload",
    "listen-script",
    "unit-edited-script",
    "apt-hook",
    "dnf-hook",
    "alpm-hook",
    "passing-command",
    "setuid-check",
];

/// The heading of the table for readers.
const SECTION: &str = "## What a hostile package or recipe does, and what is seen of it\n";

/// Most recipes of one run: a run that does not end is noticed by its time.
const TOGETHER: usize = 6;

#[test]
fn a_sample() {
    for manager in MANAGERS {
        run(manager, |case| SAMPLE.contains(&case.name));
    }
}

#[test]
#[ignore = "minutes long: `ci/prove evil` runs it"]
fn whole_apt() {
    run(Manager::Apt, |_| true);
}

#[test]
#[ignore = "minutes long: `ci/prove evil` runs it"]
fn whole_dnf() {
    run(Manager::Dnf5, |_| true);
}

#[test]
#[ignore = "minutes long: `ci/prove evil` runs it"]
fn whole_pacman() {
    run(Manager::Pacman, |_| true);
}

/// Runs some cases with one manager, those of one exit code together, and holds what was seen against the
/// table. All that is otherwise is shown. `ASSAY_EVIL` names cases to look at, with commas between.
fn run(manager: Manager, chosen: impl Fn(&Case) -> bool) {
    let Some(stand) = packages::stand(manager) else {
        return;
    };
    let alone = std::env::var("ASSAY_EVIL").ok();
    let is_chosen = |case: &&Case| match &alone {
        Some(names) => case.on.holds(manager) && names.split(',').any(|name| name == case.name),
        None => case.on.holds(manager) && chosen(case),
    };
    let cases: Vec<&Case> = cases::all().filter(is_chosen).collect();
    let mut wrong = Vec::new();
    for class in [Class::Accompanying, Class::Undeclared] {
        let of_class: Vec<&Case> = cases
            .iter()
            .copied()
            .filter(|case| case.class == class)
            .collect();
        for together in of_class.chunks(TOGETHER) {
            for case in together {
                stand
                    .world
                    .recipe(case.name, &packages::recipe(manager, case));
            }
            let names: Vec<&str> = together.iter().map(|case| case.name).collect();
            let ran = stand.test(&names);
            wrong.extend(seen::judged_run(&ran, class));
            for case in together {
                let fault = seen::wrong(&ran, manager, case);
                let (name, exit) = (case.name, class.exit());
                let told = if fault.is_none() { "caught" } else { "missed" };
                let manager = word(manager);
                say(&format!(
                    "{manager}: {name}: {told} as {} ({exit})",
                    case.kind
                ));
                wrong.extend(fault);
            }
        }
    }
    let of = |class| cases.iter().filter(|case| case.class == class).count();
    say(&format!(
        "{}: {} cases, {} with exit code 6 and {} with 7; wrong: {}",
        word(manager),
        cases.len(),
        of(Class::Accompanying),
        of(Class::Undeclared),
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{manager:?}:\n{}", wrong.join("\n"));
    stand.world.assert_clean();
}

/// Tells how far the corpus is: the proof shows it.
fn say(line: &str) {
    // Nobody is left to be told if standard output is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[test]
fn the_table_for_readers_is_the_one_that_is_run() {
    let readme = include_str!("README.md");
    let (_, behind) = readme.split_once(SECTION).expect("a section");
    let section = behind.split("\n## ").next().expect("its text");
    let mut names = BTreeSet::new();
    for case in cases::all() {
        assert!(names.insert(case.name), "{} stands there twice", case.name);
    }
    let lacks = |line: &String| !section.contains(line.as_str());
    let missing: Vec<String> = cases::all().map(line).filter(lacks).collect();
    assert!(missing.is_empty(), "README.md lacks\n{}", missing.concat());
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    assert_eq!(rows.count(), names.len());
    for name in SAMPLE {
        assert!(names.contains(name), "{name} is no case");
    }
}

/// The row of a case in `README.md`.
fn line(case: &Case) -> String {
    let on = match case.on {
        On::Every => "all".to_owned(),
        On::Only(manager) => word(manager).to_owned(),
        On::But(manager, why) => format!("not {}: {why}", word(manager)),
    };
    let class = match case.class {
        Class::Accompanying => "accompanying",
        Class::Undeclared => "undeclared",
    };
    format!(
        "| `{}` | {} | {} | {on} | `{}` | {class} | {} |\n",
        case.name,
        case.what,
        case.deed.means(),
        case.kind,
        case.class.exit(),
    )
}

fn word(manager: Manager) -> &'static str {
    match manager {
        Manager::Apt => "apt",
        Manager::Dnf4 | Manager::Dnf5 => "dnf",
        Manager::Pacman => "pacman",
    }
}
