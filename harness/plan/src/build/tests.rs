//! Whole plans: snapshots of samples on every target, and what holds of all of them.

use super::*;
use crate::fixtures::{OS_RELEASES, metadata, recipe, sample_recipes, target};
use crate::render::quote::command_line;
use assay_wire::plan::Action as OpAction;

const HEAD: &str = "action = \"apt_install\"\npackages = ";

/// The plan of all these recipes on a target.
pub(super) fn planned(recipes: &[Recipe], name: &str) -> Plan {
    plan(&recipes.iter().collect::<Vec<_>>(), &target(name)).expect("plannable")
}

pub(crate) fn named(name: &str, depends_on: &[&str], rest: &str) -> Recipe {
    recipe(&format!("{}{rest}", metadata(name, depends_on)))
}

pub(crate) fn install(packages: &str) -> String {
    format!("[[steps]]\n{HEAD}[{packages}]\n")
}

fn repo(url: &str, rest: &str) -> String {
    let sha256 = "ab".repeat(32);
    format!(
        "[[steps]]\naction = \"apt_repo\"\nurl = \"https://{url}\"\nkey_url = \"https://{url}/key\"\nkey_sha256 = \"{sha256}\"\n{rest}"
    )
}

/// The ops, one line each: id, steps, words.
fn lines(plan: &Plan) -> Vec<String> {
    let line = |op: &assay_wire::plan::Op| {
        let steps: Vec<String> = op.steps.iter().map(StepRef::to_string).collect();
        let what = match &op.action {
            OpAction::Run { argv } => command_line(argv),
            OpAction::Write { path, .. } => format!("write {path}"),
            OpAction::Extract { archive, dest, .. } => format!("extract {archive} to {dest}"),
        };
        format!("{} [{}] {what}", op.id, steps.join(" "))
    };
    plan.ops.iter().map(line).collect()
}

fn reasons(plan: &Plan) -> Vec<String> {
    let reason = |step: &PlannedStep| match &step.disposition {
        Disposition::Dropped { reason } => Some(format!("{}: {reason}", step.step)),
        Disposition::Applies | Disposition::Manual { .. } => None,
    };
    plan.steps.iter().filter_map(reason).collect()
}

#[test]
fn a_set_refreshes_and_installs_around_its_repositories() {
    let recipes = [
        named(
            "app",
            &["certs"],
            &[repo("example.com/app", ""), install("\"app\"")].concat(),
        ),
        named("certs", &[], &install("\"ca-certificates\"")),
        named(
            "tools",
            &[],
            &[
                install("\"jq\", \"app\""),
                "[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n".into(),
                install("\"tree\""),
            ]
            .concat(),
        ),
    ];
    let plan = planned(&recipes, "debian-12");
    assert_eq!(
        plan.recipes
            .iter()
            .map(RecipeName::as_str)
            .collect::<Vec<_>>(),
        ["certs", "app", "tools"]
    );
    assert_eq!(
        lines(&plan),
        [
            "1 [] apt-get update --error-on=any",
            "2 [certs#1] apt-get install -y --no-install-recommends --no-upgrade -- ca-certificates",
            "3 [app#1] write /etc/apt/keyrings/example.com-app.key",
            "4 [app#1] write /etc/apt/sources.list.d/example.com-app.sources",
            "5 [] apt-get update --error-on=any",
            "6 [app#2 tools#1] apt-get install -y --no-install-recommends --no-upgrade -- app jq",
            "7 [tools#2] usermod -aG x dev",
            "8 [tools#2] id -nG dev",
            "9 [tools#3] apt-get install -y --no-install-recommends --no-upgrade -- tree",
        ]
    );
    assert!(plan.ops[0].once && plan.ops[4].once && !plan.ops[1].once);
}

#[test]
fn modes_are_ops_of_their_own_and_ranges_are_verified() {
    let packages = "\"jq\", { name = \"git\", version = \"auto\" }, { name = \"curl\", version = \">=7,<9\" }, { name = \"tree\", version = \"=2.1-1\" }";
    let with_recommends =
        "[[steps]]\naction = \"apt_install\"\npackages = [\"vim\"]\nrecommends = true\n";
    let plan = planned(
        &[named(
            "a",
            &[],
            &[install(packages), with_recommends.into()].concat(),
        )],
        "debian-12",
    );
    assert_eq!(
        lines(&plan)[1..],
        [
            "2 [a#1] apt-get install -y --no-install-recommends --no-upgrade -- jq",
            "3 [a#2] apt-get install -y --install-recommends --no-upgrade -- vim",
            "4 [a#1] apt-get install -y --no-install-recommends -- git curl tree=2.1-1",
            "5 [a#1] dpkg-query -W '-f=${db:Status-Abbrev}${Version}\\n' curl",
        ]
    );
    let Expects::Command(presence) = &plan.ops[4].expects else {
        panic!("a question")
    };
    let probe = presence.version.as_ref().expect("a range");
    assert_eq!(
        (probe.minimum.as_deref(), probe.range.as_deref()),
        (Some("7"), Some(">=7,<9"))
    );
    assert!(plan.ops[4].once && plan.ops[1].guard.is_some() && plan.ops[3].guard.is_none());
}

#[test]
fn a_repository_behind_the_leading_run_refreshes_in_its_place() {
    let steps = [
        install("\"jq\""),
        "[[steps]]\naction = \"require_command\"\ncommand = \"jq\"\n".into(),
        repo("example.com/a", ""),
        install("\"aa\""),
        install("\"bb\""),
    ];
    let plan = planned(&[named("a", &[], &steps.concat())], "debian-12");
    let words: Vec<String> = lines(&plan)
        .iter()
        .map(|line| line.split(' ').nth(2).unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        words,
        [
            "apt-get", "apt-get", "jq", "write", "write", "apt-get", "apt-get", "apt-get"
        ]
    );
    assert_eq!(lines(&plan)[5], "6 [] apt-get update --error-on=any");
}

#[test]
fn requirements_are_first_checks_are_last_and_manual_steps_know_their_place() {
    let steps = "[[requires]]\ncommand = \"tar\"\n[[requires]]\npackage = \"libc6\"\nmin_version = \"2.36\"\n\
        [[steps]]\naction = \"manual\"\ntext = \"one\"\n\
        [[steps]]\naction = \"apt_install\"\npackages = [\"jq\"]\n\
        [[steps]]\naction = \"manual\"\ntext = \"two\"\n\
        [[check]]\nname = \"works\"\nargv = [\"jq\", \"--version\"]\ntimeout = \"1500ms\"\n";
    let recipes = [
        named("b", &["a"], steps),
        named(
            "a",
            &[],
            "[[requires]]\ncommand = \"sed\"\n[[steps]]\naction = \"manual\"\ntext = \"x\"\n",
        ),
    ];
    let plan = planned(&recipes, "debian-12");
    assert_eq!(
        lines(&plan),
        [
            "1 [a#requires-1] sed --version",
            "2 [b#requires-1] tar --version",
            "3 [b#requires-2] dpkg-query -W '-f=${db:Status-Abbrev}${Version}\\n' libc6",
            "4 [] apt-get update --error-on=any",
            "5 [b#2] apt-get install -y --no-install-recommends --no-upgrade -- jq",
            "6 [b#check-1] jq --version",
        ]
    );
    let manual: Vec<(String, u32)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.disposition {
            Disposition::Manual { after, .. } => Some((step.step.to_string(), *after)),
            Disposition::Applies | Disposition::Dropped { .. } => None,
        })
        .collect();
    assert_eq!(
        manual,
        [
            ("a#1".to_owned(), 3),
            ("b#1".to_owned(), 3),
            ("b#3".to_owned(), 5)
        ]
    );
    assert_eq!(
        (
            plan.ops[5].limits.seconds,
            plan.ops[5].limits.silent_seconds
        ),
        (2, 2)
    );
    assert!(plan.ops.iter().all(|op| op.once == (op.id.0 != 5)));
}

#[test]
fn repositories_of_one_name_are_a_fault_and_the_same_one_twice_is_one() {
    let conflicting = [
        named("a", &[], &repo("example.com/a", "name = \"x\"\n")),
        named("b", &[], &repo("example.com/b", "name = \"x\"\n")),
    ];
    let faults = plan(
        &conflicting.iter().collect::<Vec<_>>(),
        &target("debian-12"),
    )
    .expect_err("one name");
    assert_eq!(
        faults[0].message,
        "two different repositories have the name `x`: `a#1` and `b#1`"
    );
    // One repository under two keys, or set up in two ways, is a fault, too.
    for (more, word) in [
        ("components = [\"contrib\"]\n", "differently"),
        ("", "keys"),
    ] {
        let mut other = repo("example.com/a/", more);
        if word == "keys" {
            other = other.replace(&"ab".repeat(32), &"cd".repeat(32));
        }
        let set = [
            named("a", &[], &repo("example.com/a", "")),
            named("b", &[], &other),
        ];
        let faults = plan(&set.iter().collect::<Vec<_>>(), &target("debian-12"));
        let faults = faults.expect_err("they disagree");
        assert_eq!(faults[0].code, FaultCode::RepositoryConflict);
        assert!(faults[0].message.contains(word), "{}", faults[0].message);
    }
    // One repository under two names is one.
    let renamed = [
        named("a", &[], &repo("example.com/a", "")),
        named("b", &[], &repo("example.com/a/", "name = \"x\"\n")),
    ];
    assert_eq!(
        lines(&planned(&renamed, "debian-12")),
        [
            "1 [a#1 b#1] write /etc/apt/keyrings/example.com-a.key",
            "2 [a#1 b#1] write /etc/apt/sources.list.d/example.com-a.sources"
        ]
    );
    let same = [
        named("a", &[], &repo("example.com/a", "")),
        named("b", &[], &repo("example.com/a", "")),
    ];
    assert_eq!(
        lines(&planned(&same, "debian-12")),
        [
            "1 [a#1 b#1] write /etc/apt/keyrings/example.com-a.key",
            "2 [a#1 b#1] write /etc/apt/sources.list.d/example.com-a.sources"
        ]
    );
    // A name made here gives way.
    let suites = [named(
        "a",
        &[],
        &[
            repo("example.com/a", ""),
            repo("example.com/a", "suites = [\"test\"]\n"),
        ]
        .concat(),
    )];
    let plan = planned(&suites, "debian-12");
    let written = lines(&plan);
    assert_eq!(written.len(), 4);
    assert!(
        written[3].starts_with("4 [a#2] write /etc/apt/sources.list.d/example.com-a-"),
        "{}",
        written[3]
    );
    assert_eq!(plan.content.len(), 1);
}

#[test]
fn an_unknown_placeholder_drops_its_step_with_the_reason() {
    let recipes = [named(
        "a",
        &[],
        &[
            repo("example.com/{distro}/{version_id}", ""),
            install("\"jq\""),
        ]
        .concat(),
    )];
    assert_eq!(
        lines(&planned(&recipes, "debian-12"))[0],
        "1 [a#1] write /etc/apt/keyrings/example.com-debian-12.key"
    );
    let sid = crate::fixtures::linux("sid", "ID=debian\n");
    let plan = plan(&[&recipes[0]], &sid).expect("plannable");
    assert_eq!(
        reasons(&plan),
        ["a#1: `{version_id}` of debian is not known here"]
    );
    assert_eq!(plan.unsupported, None);
}

#[test]
fn what_installs_elsewhere_and_nothing_here_is_unsupported() {
    let app = named(
        "app",
        &["certs"],
        &[
            install("\"app\""),
            "[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n".into(),
        ]
        .concat(),
    );
    let certs = named(
        "certs",
        &[],
        "[[steps]]\naction = \"apt_install\"\npackages = [\"ca-certificates\"]\n[[steps]]\naction = \"pacman_install\"\npackages = [\"ca-certificates\"]\n",
    );
    let group = named(
        "group",
        &[],
        "[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n",
    );
    let on = |set: &[&Recipe], name: &str| plan(set, &target(name)).expect("plannable");
    let unsupported = on(&[&certs, &app], "arch");
    assert_eq!(
        unsupported.unsupported.as_deref(),
        Some(
            "`app` installs nothing on arch: its installs are for debian, the family here is arch"
        )
    );
    assert!(unsupported.ops.is_empty());
    assert_eq!(reasons(&unsupported).len(), unsupported.steps.len());
    assert_eq!(on(&[&certs], "arch").unsupported, None);
    assert_eq!(on(&[&certs, &app], "debian-12").unsupported, None);
    assert_eq!(on(&[&group], "arch").unsupported, None);
    assert_eq!(on(&[&group], "no-id").unsupported, None);
    assert!(on(&[&app, &certs], "no-id").unsupported.is_some());
}

#[test]
fn a_missing_dependency_makes_a_set_unplannable() {
    let app = named("app", &["certs"], &install("\"app\""));
    let faults = plan(&[&app], &target("debian-12")).expect_err("certs is not there");
    assert_eq!(faults[0].code, FaultCode::UnknownDependency);
}

#[test]
fn the_digest_is_of_ops_alone() {
    let digest = |text: &str| planned(&[recipe(text)], "debian-12").digest();
    let base =
        "[metadata]\nname = \"a\"\n[[steps]]\naction = \"apt_install\"\npackages = [\"jq\"]\n";
    let commented = "# A comment.\n[metadata]\ndescription = \"other words\"\nname = \"a\"\n\n[[steps]]\npackages = [ \"jq\" ] # more\ndescription = \"words\"\naction = \"apt_install\"\n";
    assert_eq!(digest(base), digest(commented));
    // A step that is dropped here changes nothing here.
    let dropped = format!("{base}[[steps]]\naction = \"dnf_install\"\npackages = [\"jq\"]\n");
    assert_eq!(digest(base), digest(&dropped));
    let others = [
        base.replace("jq", "tree"),
        base.replace("[\"jq\"]", "[\"jq\", \"tree\"]"),
        base.replace("[\"jq\"]", "[\"jq\"]\nrecommends = true"),
        base.replace("\"jq\"", "{ name = \"jq\", version = \"auto\" }"),
        format!("{base}[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n"),
        format!("{base}[[check]]\nname = \"x\"\nargv = [\"jq\"]\n"),
        base.replace("[[steps]]", "[[steps]]\nid = \"other\""),
    ];
    let mut digests: Vec<_> = others
        .iter()
        .map(|text| digest(text))
        .chain([digest(base)])
        .collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), others.len() + 1);
}

#[test]
fn whole_plans() {
    let library = sample_recipes();
    for asked in ["docker", "tools"] {
        let set = crate::closure(&[asked.parse().expect("a name")], &library).expect("closed");
        for name in [
            "ubuntu-24.04",
            "debian-12",
            "mint-22",
            "fedora-44",
            "rocky-9",
            "arch",
        ] {
            let target = target(name);
            let plan = plan(&set, &target).expect("plannable");
            insta::assert_snapshot!(format!("{asked}@{name}"), crate::render_plan(&plan));
            let distros = effective_distros(&set, &target);
            insta::assert_snapshot!(
                format!("{asked}@{name}.explain"),
                crate::render_explanation(&plan, &distros, usize::MAX)
            );
            if matches!(name, "debian-12" | "fedora-44") {
                insta::assert_json_snapshot!(format!("{asked}@{name}.json"), plan);
            }
        }
    }
}

#[test]
fn the_whole_vocabulary_on_every_family() {
    let library = sample_recipes();
    let set = crate::closure(&["vocabulary".parse().expect("a name")], &library).expect("closed");
    let linux = |name: &str, os_release| crate::fixtures::linux(name, os_release);
    for target in [
        target("ubuntu-24.04"),
        target("fedora-44"),
        target("arch"),
        linux("alpine-3.22", "ID=alpine\nVERSION_ID=3.22.0\n"),
        linux(
            "opensuse-leap-15.6",
            "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\nVERSION_ID=15.6\n",
        ),
        crate::fixtures::darwin(),
    ] {
        let plan = plan(&set, &target).expect("plannable");
        let text = crate::render_plan(&plan);
        let distros = effective_distros(&set, &target);
        let explained = crate::render_explanation(&plan, &distros, usize::MAX);
        insta::assert_snapshot!(
            format!("vocabulary@{}", target.id),
            format!("{text}\n{explained}")
        );
    }
}

#[test]
fn a_formula_and_a_cask_of_one_name_are_both_installed() {
    let step = |action: &str| {
        format!(
            "[[steps]]\naction = \"{action}\"\npackages = [\"docker\"]\nwhen = {{ os = \"darwin\" }}\n"
        )
    };
    let both = named(
        "both",
        &[],
        &[step("brew_cask"), step("brew_install")].concat(),
    );
    let plan = plan(&[&both], &crate::fixtures::darwin()).expect("plannable");
    assert_eq!(
        lines(&plan),
        [
            "1 [] brew update",
            "2 [both#2] brew install --formula -- docker",
            "3 [both#1] brew install --cask -- docker",
        ]
    );
}

#[test]
fn the_docker_example_of_the_first_document_is_planned_as_it_stands() {
    let recipe = crate::fixtures::seed_docker();
    for target in [
        target("ubuntu-24.04"),
        target("debian-12"),
        target("fedora-44"),
        crate::fixtures::darwin(),
    ] {
        let plan = plan(&[&recipe], &target).expect("plannable");
        insta::assert_snapshot!(
            format!("seed-docker@{}", target.id),
            crate::render_plan(&plan)
        );
    }
}

#[test]
fn every_fixture_target_has_a_plan() {
    let library = sample_recipes();
    for (name, _) in OS_RELEASES {
        let plan = planned(&library, name);
        for step in &plan.steps {
            let ops = plan
                .ops
                .iter()
                .filter(|op| op.steps.contains(&step.step))
                .count();
            assert_eq!(
                ops > 0,
                step.disposition == Disposition::Applies,
                "{name} {}",
                step.step
            );
        }
    }
}

mod properties {
    use super::*;
    use crate::render::quote::tests::split;
    use proptest::prelude::*;

    /// Steps with their `when`, edges to earlier recipes, whether it requires and checks something.
    type Entry = (Vec<(String, String)>, [bool; 4], bool, bool);

    fn when() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "",
            "when = { os = \"linux\" }\n",
            "when = { arch = \"arm64\" }\n",
            "when = { distro = [\"ubuntu\", \"fedora>=41\"] }\n",
            "when = { distro = \"debian>=12\" }\n",
            "when = { distro_like = \"debian\" }\n",
            "when = { libc = \"musl\" }\n",
        ])
        .prop_map(str::to_owned)
    }

    fn step() -> impl Strategy<Value = String> {
        let packages = "(\"[a-z]{2,4}\"|\\{ name = \"jq\", version = \"(any|auto|>=1|<3|=2)\" \\})(, \"[a-d]{2}\")?";
        let manager = prop::sample::select(vec!["apt_install", "dnf_install", "pacman_install"]);
        prop_oneof![
            4 => (manager, packages, any::<bool>()).prop_map(|(action, packages, recommends)| format!("action = \"{action}\"\npackages = [{packages}]\nrecommends = {recommends}\n")),
            2 => ("(apt|dnf)", "[a-c]", "(/\\{codename\\}|/\\{version_id\\}|)").prop_map(|(manager, host, path)| {
                let sha256 = "ab".repeat(32);
                format!("action = \"{manager}_repo\"\nurl = \"https://{host}.example{path}\"\nkey_url = \"https://{host}.example/k\"\nkey_sha256 = \"{sha256}\"\n")
            }),
            1 => any::<bool>().prop_map(|create| format!("action = \"group_add\"\ngroup = \"x\"\ncreate = {create}\n")),
            1 => Just("action = \"require_command\"\ncommand = \"jq\"\nmin_version = \"1.5\"\n".to_owned()),
            1 => Just("action = \"manual\"\ntext = \"do it\"\n".to_owned()),
        ]
    }

    fn recipes() -> impl Strategy<Value = Vec<String>> {
        let entry = (
            prop::collection::vec((step(), when()), 1..7),
            any::<[bool; 4]>(),
            any::<bool>(),
            any::<bool>(),
        );
        prop::collection::vec(entry, 1..4).prop_map(|entries| {
            let text = |(at, (steps, edges, requires, check)): (usize, Entry)| {
                let depends_on: Vec<String> = (0..at)
                    .filter(|other| edges[*other])
                    .map(|other| format!("r{other}"))
                    .collect();
                let mut text = metadata(&format!("r{at}"), &depends_on);
                if requires {
                    text.push_str("[[requires]]\npackage = \"jq\"\n");
                }
                for (step, when) in steps {
                    text.push_str(&format!("[[steps]]\n{step}{when}"));
                }
                if check {
                    text.push_str("[[check]]\nname = \"c\"\nargv = [\"jq\", \"it's\", \"\"]\n");
                }
                text
            };
            entries.into_iter().enumerate().map(text).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn every_set_has_a_sound_plan_on_every_target(texts in recipes(), os_release in 0..OS_RELEASES.len()) {
            // A `when` that contradicts its action is no recipe.
            let parsed: Option<Vec<Recipe>> = texts.iter().map(|text| assay_recipe::parse(None, text).value).collect();
            prop_assume!(parsed.is_some());
            let parsed = parsed.unwrap_or_default();
            let set: Vec<&Recipe> = parsed.iter().collect();
            let target = target(OS_RELEASES[os_release].0);
            let plan = match plan(&set, &target) {
                Ok(plan) => plan,
                Err(faults) => {
                    prop_assert!(faults.iter().all(|fault| fault.code == FaultCode::ContradictingRanges));
                    return Ok(());
                }
            };
            let again = super::super::plan(&set, &target).expect("the same plan again");
            prop_assert_eq!(serde_json::to_string(&plan).ok(), serde_json::to_string(&again).ok());
            let text = crate::render_plan(&plan);
            prop_assert_eq!(&text, &crate::render_plan(&again));
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));

            // Ids count from 1, and every step has one fate.
            for (at, op) in plan.ops.iter().enumerate() {
                prop_assert_eq!(op.id.0 as usize, at + 1);
                prop_assert_eq!(op.steps.is_empty(), op.once && op.applies());
            }
            for step in &plan.steps {
                let ops = plan.ops.iter().filter(|op| op.steps.contains(&step.step)).count();
                prop_assert_eq!(ops > 0, step.disposition == Disposition::Applies, "{}", step.step);
                if let Disposition::Dropped { reason } = &step.disposition {
                    prop_assert!(!reason.is_empty() && !reason.contains('\n'));
                }
            }

            // What is shown is what runs: each command's line reads back to its words.
            let shown: Vec<Vec<String>> = text.lines().filter_map(|line| split(line.strip_prefix("    ")?)).collect();
            for op in &plan.ops {
                if let OpAction::Run { argv } = &op.action {
                    prop_assert!(shown.contains(argv), "{argv:?}");
                }
            }

            // No install without a refresh since the last repository.
            let mut fresh = false;
            for op in &plan.ops {
                match &op.action {
                    OpAction::Write { .. } => fresh = false,
                    OpAction::Run { .. } if op.steps.is_empty() => fresh = true,
                    OpAction::Run { argv } if argv.iter().any(|word| word == "install" || word == "-S") => prop_assert!(fresh),
                    OpAction::Run { .. } | OpAction::Extract { .. } => {}
                }
            }

            // Behind the leading run ops stand in the order of their steps.
            for considered in &plan.recipes {
                let mut last = 0;
                for step in plan.steps.iter().filter(|step| step.step.recipe == *considered) {
                    let leading = step.action.ends_with("_install") || step.action.ends_with("_repo");
                    let ops: Vec<u32> = plan.ops.iter().filter(|op| op.steps.contains(&step.step)).map(|op| op.id.0).collect();
                    if let (false, Some(first)) = (leading, ops.first()) {
                        prop_assert!(*first > last, "{}", step.step);
                        last = *first;
                    }
                }
            }
        }
    }
}
