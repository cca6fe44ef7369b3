//! Lints that need targets. What a recipe says of itself is linted in `recipe`.

use assay_recipe::Recipe;
use assay_recipe::model::Step;
use assay_recipe::name::DistroId;

use crate::applies::{Seen, named_distros};
use crate::fault::{Fault, FaultCode, Place};
use crate::target::Target;

/// Warnings about a recipe beside these targets: where naming one distribution takes steps away from
/// a target that would have them otherwise, one warning for each such distribution and target, with
/// every step.
///
/// A step that has a counterpart (a step of the same action that names the near distribution) is not
/// taken away: its author wrote the other for the near one.
#[must_use]
pub fn lint(recipe: &Recipe, targets: &[Target]) -> Vec<Fault> {
    let taken = targets
        .iter()
        .filter_map(|target| taken_away(recipe, target));
    let mut faults: Vec<Fault> = taken.collect();
    let mut lost = unreachable(recipe, targets);
    // What a nearer distribution takes away everywhere is said already, and why.
    let said = |span| {
        faults
            .iter()
            .flat_map(|fault| &fault.places)
            .any(|place| place.span == span)
    };
    lost.retain(|fault| !fault.places.iter().any(|place| said(place.span)));
    faults.extend(lost);
    faults
}

/// Steps that apply nowhere; one fault for the whole recipe where none applies anywhere.
fn unreachable(recipe: &Recipe, targets: &[Target]) -> Vec<Fault> {
    let seen: Vec<Seen<'_>> = targets
        .iter()
        .map(|target| Seen::by(recipe, target))
        .collect();
    let applies = |step: &Step| {
        let when = step.when.as_ref().map(|when| &when.value);
        seen.iter()
            .any(|seen| seen.fits(&step.action).is_ok() && seen.holds(when).is_ok())
    };
    let (reached, lost): (Vec<&Step>, Vec<&Step>) =
        recipe.steps.iter().partition(|step| applies(step));
    if targets.is_empty() || lost.is_empty() {
        return Vec::new();
    }
    let name = &recipe.metadata.name;
    let help = "`assay plan --explain` has the reason for each target";
    if reached.is_empty() {
        let message = format!("no step of `{}` applies to any of the targets", name.value);
        let place = Place::new(&name.value, name.span, "");
        return vec![Fault::new(FaultCode::NoTarget, message, place).help(help)];
    }
    let fault = |step: &&Step| {
        let message = format!(
            "step `{}` ({}) applies to none of the targets",
            step.id.value,
            step.action.name()
        );
        let span = step
            .when
            .as_ref()
            .map_or(step.action_span, |when| when.span);
        let place = Place::new(&name.value, span, "holds nowhere");
        Fault::new(FaultCode::UnreachableStep, message, place).help(help)
    };
    lost.iter().map(fault).collect()
}

fn taken_away(recipe: &Recipe, target: &Target) -> Option<Fault> {
    let seen = Seen::by(recipe, target);
    let near = seen.distro.as_ref().map(|distro| distro.id.clone())?;
    // The rule takes nothing away unless a step names the near distribution.
    let naming = recipe.steps.iter().find(|step| names(step, &near))?;
    // How the recipe would see the target if no step named the near distribution.
    let others: Vec<&DistroId> = named_distros(recipe).filter(|id| **id != near).collect();
    let without = Seen {
        target,
        distro: target.effective_distro(&others),
    };
    let lost: Vec<&Step> = recipe
        .steps
        .iter()
        .filter(|step| is_lost(recipe, step, &near, &seen, &without))
        .collect();
    let first = lost.first()?;
    let steps: Vec<String> = lost
        .iter()
        .map(|step| format!("`{}` ({})", step.id.value, step.action.name()))
        .collect();
    let message = format!(
        "on {} naming `{near}` takes away {}",
        target.id,
        steps.join(", ")
    );
    let name = &recipe.metadata.name.value;
    let span = |step: &Step| step.when.as_ref().map_or(step.span, |when| when.span);
    let mut fault = Fault::new(
        FaultCode::DistroTakesAway,
        message,
        Place::new(name, span(first), "no longer applies"),
    );
    for step in &lost[1..] {
        fault = fault.and(Place::new(name, span(step), "no longer applies"));
    }
    let fault = fault.and(Place::new(name, span(naming), format!("names `{near}`")));
    Some(fault.help(format!(
        "add `{near}` to `distro` of the steps that should apply there"
    )))
}

/// True if a step would apply but for the naming, and nothing stands in its place.
fn is_lost(
    recipe: &Recipe,
    step: &Step,
    near: &DistroId,
    seen: &Seen<'_>,
    without: &Seen<'_>,
) -> bool {
    let when = step.when.as_ref().map(|when| &when.value);
    let applies = |seen: &Seen<'_>| seen.fits(&step.action).is_ok() && seen.holds(when).is_ok();
    if names(step, near) || applies(seen) || !applies(without) {
        return false;
    }
    let counterpart =
        |other: &Step| other.action.name() == step.action.name() && names(other, near);
    !recipe.steps.iter().any(counterpart)
}

fn names(step: &Step, distro: &DistroId) -> bool {
    step.when.as_ref().is_some_and(|when| {
        when.value
            .distro
            .iter()
            .any(|named| named.value.id == *distro)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{recipe, target};

    const HEAD: &str = "[metadata]\nname = \"a\"\n";

    fn warnings(steps: &str, targets: &[&str]) -> Vec<String> {
        let targets: Vec<Target> = targets.iter().map(|name| target(name)).collect();
        found(steps, &targets, &[FaultCode::DistroTakesAway])
    }

    fn found(steps: &str, targets: &[Target], codes: &[FaultCode]) -> Vec<String> {
        lint(&recipe(&format!("{HEAD}{steps}")), targets)
            .into_iter()
            .filter(|fault| codes.contains(&fault.code))
            .map(|fault| fault.message)
            .collect()
    }

    fn step(action: &str, distro: &str) -> String {
        let fields = if action == "group_add" {
            "group = \"x\""
        } else {
            "packages = [\"xx\"]"
        };
        let when = if distro.is_empty() {
            String::new()
        } else {
            format!("when = {{ distro = {distro} }}\n")
        };
        format!("[[steps]]\naction = \"{action}\"\n{fields}\n{when}")
    }

    #[test]
    fn steps_of_a_farther_distribution_are_listed_when_a_nearer_one_is_named() {
        let steps = [
            step("apt_install", "\"debian\""),
            step("group_add", "\"ubuntu\""),
            step("apt_install", "\"debian\""),
        ]
        .concat();
        assert_eq!(
            warnings(&steps, &["ubuntu-24.04", "debian-12", "fedora-44"]),
            ["on ubuntu-24.04 naming `ubuntu` takes away `1` (apt_install), `3` (apt_install)"]
        );
        assert_eq!(
            warnings(&steps, &["mint-22"]),
            ["on mint-22 naming `ubuntu` takes away `1` (apt_install), `3` (apt_install)"]
        );
    }

    #[test]
    fn what_applies_nowhere_is_found_and_what_applies_somewhere_is_not() {
        let steps = [step("apt_install", ""), step("group_add", "\"gentoo\"")].concat();
        let on = |names: &[&str]| {
            let targets: Vec<Target> = names.iter().map(|name| target(name)).collect();
            found(&steps, &targets, FaultCode::ALL)
        };
        assert_eq!(
            on(&["debian-12", "arch"]),
            ["step `2` (group_add) applies to none of the targets"]
        );
        assert_eq!(
            on(&["fedora-44"]),
            ["no step of `a` applies to any of the targets"]
        );
        assert_eq!(on(&[]), Vec::<String>::new());
    }

    #[test]
    fn what_is_taken_away_everywhere_is_told_once() {
        let steps = [
            step("apt_install", "\"debian\""),
            step("group_add", "\"ubuntu\""),
            step("group_add", "\"gentoo\""),
        ]
        .concat();
        let targets = ["ubuntu-24.04", "mint-22"].map(target);
        assert_eq!(
            found(&steps, &targets, FaultCode::ALL),
            [
                "on ubuntu-24.04 naming `ubuntu` takes away `1` (apt_install)",
                "on mint-22 naming `ubuntu` takes away `1` (apt_install)",
                "step `3` (group_add) applies to none of the targets",
            ]
        );
    }

    #[test]
    fn counterparts_and_steps_for_both_are_no_loss() {
        let counterparts = [
            step("apt_install", "\"debian\""),
            step("apt_install", "\"ubuntu\""),
        ]
        .concat();
        let both = [
            step("apt_install", "[\"ubuntu\", \"debian\"]"),
            step("group_add", "\"ubuntu\""),
        ]
        .concat();
        let unnamed = [step("apt_install", ""), step("group_add", "\"ubuntu\"")].concat();
        let only_debian = step("apt_install", "\"debian\"");
        let never_there = [
            step("apt_install", "\"debian>=12\""),
            step("group_add", "\"ubuntu\""),
        ]
        .concat();
        for steps in [counterparts, both, unnamed, only_debian, never_there] {
            assert_eq!(
                warnings(&steps, &["ubuntu-24.04", "mint-22", "no-id", "arch"]),
                Vec::<String>::new(),
                "{steps}"
            );
        }
    }
}
