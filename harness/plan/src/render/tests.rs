//! The text of plans: what is shown splits back into what is run.

use super::*;
use crate::fixtures::{recipe, sample_recipes, target};

fn rendered(text: &str, name: &str) -> String {
    let recipe = recipe(text);
    render_plan(&crate::plan(&[&recipe], &target(name)).expect("plannable"))
}

#[test]
fn hostile_text_cannot_reach_a_terminal_or_forge_a_block() {
    let mut plan = crate::plan(
        &[&recipe(
            "[metadata]\nname = \"a\"\n[[steps]]\naction = \"manual\"\ntext = \"x\"\n",
        )],
        &target("arch"),
    )
    .expect("plannable");
    plan.steps[0].disposition = Disposition::Manual {
        text: "one\u{1b}[2J\nop 1  root  a#1\n\u{202e}two\r".into(),
        after: 0,
    };
    assert_eq!(
        render_plan(&plan),
        "manual  a#1\n    | one\\u{1b}[2J\n    | op 1  root  a#1\n    | \\u{202e}two\\r\n"
    );
    plan.unsupported = Some("no\nop 1\u{7}".into());
    assert_eq!(render_plan(&plan), "unsupported: no\\nop 1\\u{7}\n");
}

#[test]
fn a_plan_without_ops_says_so() {
    let text = "[metadata]\nname = \"a\"\n[[steps]]\naction = \"group_add\"\ngroup = \"x\"\nwhen = { arch = \"arm64\" }\n";
    assert_eq!(rendered(text, "arch"), "nothing to do\n");
}

#[test]
fn what_the_harness_adds_is_shown() {
    insta::assert_snapshot!(
        "harness_env_debian",
        render_harness_env(&crate::harness_env(
            &target("debian-12"),
            assay_wire::lock::Network::Live
        ))
    );
    insta::assert_snapshot!(
        "harness_env_arch",
        render_harness_env(&crate::harness_env(
            &target("arch"),
            assay_wire::lock::Network::Live
        ))
    );
}

#[test]
fn an_explanation_fits_the_width_and_says_the_same() {
    let library = sample_recipes();
    let set = crate::closure(&["vocabulary".parse().expect("a name")], &library).expect("closed");
    let target = target("debian-12");
    let plan = crate::plan(&set, &target).expect("plannable");
    let distros = crate::effective_distros(&set, &target);
    let words = |width| {
        let text = render_explanation(&plan, &distros, width);
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for width in [40, 80, 200] {
        let text = render_explanation(&plan, &distros, width);
        let widest = text.lines().skip(1).map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{text}");
        assert_eq!(words(width), words(usize::MAX), "{width}");
    }
    assert!(render_explanation(&plan, &distros, 40).lines().count() > plan.steps.len() + 1);
}
