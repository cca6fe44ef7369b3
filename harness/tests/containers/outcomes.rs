//! What recipes come to that are merely wrong, or need a human, in real sandboxes.

use serde_json::json;

use crate::world::World;

#[test]
fn unmet_requirements_are_all_listed_with_what_was_found_and_nothing_is_done() {
    let Some(world) = World::start() else { return };
    world.recipe(
        "needy",
        "[[requires]]\ncommand = \"bash\"\nmin_version = \"99.5\"\nversion_flag = \"--version\"\nversion_regex = \"version ([0-9.]+)\"\n\n\
         [[requires]]\ncommand = \"nobody-has-this\"\n\n\
         [[requires]]\npackage = \"libc6\"\nmin_version = \"77\"\n\n\
         [[requires]]\npackage = \"dpkg\"\nmin_version = \"1.0\"\n\n\
         [[steps]]\naction = \"group_add\"\ngroup = \"crew\"\ncreate = true\n",
    );
    let ran = world.test(&["needy"], &[]);
    assert_eq!(ran.outcome("needy"), "failed prepare requirement_unmet");
    assert_eq!(ran.code, Some(1));
    let outcome = ran.cell("needy")["outcome"]["failed"].clone();
    let mut messages = vec![outcome["first"]["message"].as_str().expect("a message")];
    messages.extend(
        outcome["also"]
            .as_array()
            .expect("more")
            .iter()
            .filter_map(|failure| failure["message"].as_str()),
    );
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(
        messages[0].contains("`bash` 99.5 or newer is needed, 5."),
        "{}",
        messages[0]
    );
    assert!(
        messages[1].contains("`nobody-has-this` is needed and not there"),
        "{}",
        messages[1]
    );
    assert!(
        messages[2].contains("`libc6` 77 or newer is needed, 2.36"),
        "{}",
        messages[2]
    );
    assert_eq!(ran.ending("needy", 5), "null", "nothing is done");
    world.assert_clean();
}

#[test]
fn a_command_that_is_too_old_names_itself_the_minimum_and_what_was_found() {
    let Some(world) = World::start() else { return };
    world.recipe("old", "[[steps]]\naction = \"require_command\"\ncommand = \"perl\"\nmin_version = \"77.1\"\nwhen = { os = [\"linux\"] }\n");
    let ran = world.test(&["old"], &[]);
    assert_eq!(ran.outcome("old"), "failed verify version_too_old");
    assert!(
        ran.detail("old")
            .contains("command `perl` 77.1 or newer is needed, 5.36"),
        "{}",
        ran.detail("old")
    );
    assert_eq!(ran.code, Some(1));
    let steps = &ran.cell("old")["outcome"]["failed"]["first"]["steps"];
    assert_eq!(steps, &json!([{ "recipe": "old", "step": "1" }]));
}

#[test]
fn a_human_step_is_rehearsed_around() {
    let Some(world) = World::start() else { return };
    world.recipe(
        "licence",
        "[[steps]]\naction = \"group_add\"\ngroup = \"crew\"\ncreate = true\n\n\
         [[steps]]\naction = \"manual\"\ntext = \"Read the licence.\"\nwhen = { os = [\"linux\"] }\n\n\
         [[check]]\nname = \"only a human makes this work\"\nargv = ['false']\n",
    );
    let ran = world.test(&["licence"], &[]);
    assert_eq!(
        (ran.outcome("licence").as_str(), ran.code),
        ("manual", Some(0)),
        "{}",
        ran.detail("licence")
    );
    assert_eq!(
        ran.cell("licence")["outcome"]["manual"]["not_judged"],
        json!([4])
    );
}

#[test]
fn a_group_nobody_made_is_named() {
    let Some(world) = World::start() else { return };
    world.recipe(
        "stranger",
        "[[steps]]\naction = \"group_add\"\ngroup = \"nobody-made-this\"\n",
    );
    let ran = world.test(&["stranger"], &[]);
    assert_eq!(
        (ran.outcome("stranger").as_str(), ran.code),
        ("failed apply command_failed", Some(1))
    );
    assert!(
        ran.cell("stranger")["facts"]["ops"][0]["first"]["stderr"]["head"]
            .to_string()
            .contains("nobody-made-this")
    );
}

#[test]
fn targets_that_are_only_planned_for_are_not_run_and_no_pass() {
    let Some(world) = World::start() else { return };
    world.neighbour();
    for (target, because) in [
        ("alpine-3.22", "plan only"),
        ("darwin", "plan only"),
        ("alpine-3.22-arm64", "plan only"),
        ("debian-12-arm64", "no executor for arm64"),
    ] {
        let ran = world.test(&["neighbour"], &["--on", target]);
        let outcome = &ran.cell("neighbour")["outcome"];
        assert_eq!(
            *outcome,
            json!({ "not_run": { "because": because } }),
            "{target}"
        );
        assert_eq!(ran.code, Some(8), "{target}");
    }
    world.assert_clean();
}
