//! What holds on every target: the chains of real files in one table, and properties over chains
//! made of real ids and noise.

use assay_recipe::Recipe;
use assay_recipe::name::DistroId;
use assay_recipe::when::Family;
use assay_wire::plan::{Disposition, Plan};
use proptest::prelude::*;

use super::Target;
use crate::fixtures::{OS_RELEASES, linux, recipe, target};

/// An effective distribution in words: id, version and code name.
fn effective(target: &Target, named: &[&str]) -> String {
    let named: Vec<DistroId> = named
        .iter()
        .map(|id| id.parse().expect("an id of this test"))
        .collect();
    target
        .effective_distro(&named.iter().collect::<Vec<_>>())
        .map_or_else(
            || "none".to_owned(),
            |found| {
                let known = [&found.version, &found.codename].into_iter();
                let words = known.map(|word| word.as_deref().unwrap_or("-").to_owned());
                std::iter::once(found.id.to_string())
                    .chain(words)
                    .collect::<Vec<_>>()
                    .join(" ")
            },
        )
}

#[test]
fn every_real_file_in_one_table() {
    let mut table = String::new();
    for (name, _) in OS_RELEASES {
        let target = target(name);
        let chain: Vec<&str> = target.chain().map(DistroId::as_str).collect();
        let own = effective(&target, &[]);
        table.push_str(&format!(
            "{name}\n  chain    {}\n  family   {}\n  manager  {}\n  release  {own}\n",
            if chain.is_empty() {
                "-".to_owned()
            } else {
                chain.join(" ")
            },
            target.family().map_or("-", Family::as_str),
            target.manager().map_or("-", |manager| manager.as_str()),
        ));
        for id in ["ubuntu", "debian", "fedora", "rhel", "arch", "opensuse"] {
            let seen = effective(&target, &[id]);
            if seen != own {
                table.push_str(&format!("  a recipe that names {id} sees {seen}\n"));
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// The reason why the first step does not apply; `None` if it does.
fn dropped(target: &Target, when: &str) -> Option<String> {
    let recipe = recipe(&format!(
        "[metadata]\nname = \"a\"\n[[steps]]\naction = \"group_add\"\ngroup = \"x\"\ncreate = true\nwhen = {{ {when} }}\n"
    ));
    let plan = crate::plan(&[&recipe], target).expect("plannable");
    match &plan.steps[0].disposition {
        Disposition::Dropped { reason } => Some(reason.clone()),
        Disposition::Applies | Disposition::Manual { .. } => None,
    }
}

#[test]
fn version_constraints_on_a_derivative_are_about_its_parent_release() {
    for (name, holds, does_not) in [
        ("mint-22", "ubuntu>=24.04", "ubuntu<24.04"),
        ("mint-22", "ubuntu=24.04", "ubuntu>=25"),
        ("pop-22.04", "ubuntu>=22.04", "ubuntu>=24.04"),
        ("pop-24.04", "ubuntu>=24.04", "ubuntu<24"),
        ("zorin-17", "ubuntu=22.04", "ubuntu>=23"),
        ("elementary-7", "ubuntu=22.04", "ubuntu<22"),
        ("neon-22.04", "ubuntu<=22.04", "ubuntu>22.04"),
        ("lmde-6", "debian=12", "debian>=13"),
        ("ubuntu-26.04", "ubuntu>=26.04", "ubuntu<26"),
        ("mint-22", "linuxmint>=22", "linuxmint<22"),
    ] {
        let target = target(name);
        assert_eq!(
            dropped(&target, &format!("distro = \"{holds}\"")),
            None,
            "{name}"
        );
        let reason = dropped(&target, &format!("distro = \"{does_not}\""));
        assert!(
            reason.is_some_and(|reason| reason.contains("the effective distribution is")),
            "{name}"
        );
    }
    for (name, unknown) in [
        ("raspbian-12", "debian>=12"),
        ("kali-2022.2", "debian>=11"),
        ("ubuntu-24.04", "debian>=12"),
        ("rocky-9", "rhel>=9"),
        ("opensuse-leap-16.0", "opensuse>=15"),
        ("endeavouros", "arch>=1"),
    ] {
        let reason = dropped(&target(name), &format!("distro = \"{unknown}\""));
        assert!(
            reason
                .as_deref()
                .is_some_and(|reason| reason.contains("os-release does not state which version")),
            "{name}: {reason:?}"
        );
    }
}

/// Every id of the real files, and what no distribution is called.
fn id() -> impl Strategy<Value = String> {
    let real: Vec<String> = OS_RELEASES
        .iter()
        .flat_map(|(name, _)| {
            let target = target(name);
            target.chain().map(DistroId::to_string).collect::<Vec<_>>()
        })
        .collect();
    prop_oneof![
        8 => prop::sample::select(real),
        1 => "[a-z][a-z0-9._-]{0,8}",
        1 => prop::sample::select(vec!["Debian", "", "../x", "$(id)", "-x"]).prop_map(str::to_owned),
    ]
}

fn os_release() -> impl Strategy<Value = String> {
    let version = "([0-9]{1,2}(\\.[0-9]{1,2})?|rolling|sid|)";
    let codename = prop::sample::select(vec!["", "noble", "bookworm", "resolute", "wilma", "?"]);
    (
        id(),
        prop::collection::vec(id(), 0..4),
        version,
        codename.clone(),
        codename.clone(),
        codename,
    )
        .prop_map(|(id, like, version, own, ubuntu, debian)| {
            format!(
                "ID={id}\nID_LIKE=\"{}\"\nVERSION_ID=\"{version}\"\nVERSION_CODENAME={own}\nUBUNTU_CODENAME={ubuntu}\nDEBIAN_CODENAME={debian}\n",
                like.join(" ")
            )
        })
}

fn when() -> impl Strategy<Value = String> {
    let named = (id(), "((>=|<|=)[0-9]{1,2}(\\.04)?)?");
    let entry = prop_oneof![
        4 => prop::collection::vec(named, 1..3).prop_map(|named| {
            let words: Vec<String> = named.iter().map(|(id, range)| format!("\"{id}{range}\"")).collect();
            format!("distro = [{}]", words.join(", "))
        }),
        1 => id().prop_map(|id| format!("distro_like = \"{id}\"")),
        1 => "(debian|rhel|arch|alpine|suse)".prop_map(|family| format!("linux_family = \"{family}\"")),
        1 => "(linux|darwin)".prop_map(|os| format!("os = \"{os}\"")),
        1 => "(amd64|arm64)".prop_map(|arch| format!("arch = \"{arch}\"")),
        1 => "(glibc|musl)".prop_map(|libc| format!("libc = \"{libc}\"")),
    ];
    prop::option::of(entry)
        .prop_map(|entry| entry.map_or_else(String::new, |entry| format!("when = {{ {entry} }}\n")))
}

fn rules() -> impl Strategy<Value = String> {
    let sha256 = "ab".repeat(32);
    let repo = |action: &str, url: &str| {
        format!(
            "action = \"{action}\"\nurl = \"https://a.example/{url}\"\nkey_url = \"https://a.example/k\"\nkey_sha256 = \"{sha256}\"\n"
        )
    };
    let step = prop::sample::select(vec![
        "action = \"apt_install\"\npackages = [\"jq\"]\n".to_owned(),
        "action = \"dnf_install\"\npackages = [\"jq\"]\n".to_owned(),
        "action = \"pacman_install\"\npackages = [\"jq\"]\n".to_owned(),
        "action = \"apk_install\"\npackages = [\"jq\"]\n".to_owned(),
        "action = \"zypper_install\"\npackages = [\"jq\"]\n".to_owned(),
        "action = \"brew_install\"\npackages = [\"jq\"]\n".to_owned(),
        "action = \"service_enable\"\nservice = \"x.service\"\n".to_owned(),
        repo("apt_repo", "{distro}/{codename}"),
        repo("dnf_repo", "{distro}/{version_id}/{arch}"),
        "action = \"group_add\"\ngroup = \"x\"\ncreate = true\n".to_owned(),
        "action = \"require_command\"\ncommand = \"jq\"\n".to_owned(),
        "action = \"manual\"\ntext = \"do it\"\n".to_owned(),
    ]);
    prop::collection::vec((step, when()), 1..6).prop_map(|steps| {
        let steps: Vec<String> = steps
            .iter()
            .map(|(step, when)| format!("[[steps]]\n{step}{when}"))
            .collect();
        format!("[metadata]\nname = \"a\"\n{}", steps.concat())
    })
}

/// Every step has one fate, and one that is dropped has one reason, of one line.
fn is_sound(recipe: &Recipe, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert_eq!(plan.steps.len(), recipe.steps.len());
    for (planned, step) in plan.steps.iter().zip(&recipe.steps) {
        prop_assert_eq!(&planned.step.step, &step.id.value);
        let has_ops = plan.ops.iter().any(|op| op.steps.contains(&planned.step));
        match &planned.disposition {
            Disposition::Dropped { reason } => {
                prop_assert!(!has_ops);
                prop_assert!(!reason.trim().is_empty() && !reason.contains(char::is_control));
            }
            Disposition::Applies => prop_assert!(has_ops),
            Disposition::Manual { text, .. } => prop_assert!(!has_ops && !text.is_empty()),
        }
    }
    if let Some(reason) = &plan.unsupported {
        prop_assert!(!reason.trim().is_empty() && plan.ops.is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_chain_and_every_rule_have_one_plan_with_one_reason_for_each_dropped_step(
        os_release in os_release(),
        rules in rules(),
    ) {
        let parsed = assay_recipe::parse(None, &rules).value;
        // A `when` that contradicts its action, or names no id, is no recipe.
        prop_assume!(parsed.is_some());
        if let Some(recipe) = parsed {
            let target = linux("any", &os_release);
            let first = crate::plan(&[&recipe], &target);
            prop_assert_eq!(&first, &crate::plan(&[&recipe], &linux("any", &os_release)));
            let plan = first.map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?;
            is_sound(&recipe, &plan)?;
            // The explanation has one line for each step.
            let distros = crate::effective_distros(&[&recipe], &target);
            let explained = crate::render_explanation(&plan, &distros, usize::MAX);
            prop_assert_eq!(explained.lines().count(), recipe.steps.len() + 1);
        }
    }
}
