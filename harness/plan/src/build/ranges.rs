//! Ranges of versions that the installs of a set ask for, against each other.

use assay_packages::VersionRequest;
use assay_recipe::model::Action;
use assay_recipe::package::Manager;
use assay_wire::name::StepRef;
use assay_wire::source::Span;

use super::{Considered, find_step};
use crate::fault::{Fault, FaultCode, Place};
use crate::request::{Contradiction, Request, contradictions};
use crate::target::Target;

/// Ranges of one package that no version meets, over all installs of the set.
pub(super) fn range_faults(recipes: &[Considered<'_>], target: &Target) -> Vec<Fault> {
    let Some(rules) = target.manager().and_then(Manager::rules) else {
        return Vec::new();
    };
    let requests: Vec<Request> = recipes
        .iter()
        .flat_map(Considered::applied)
        .filter_map(|(_, applied)| applied.wanted())
        .flat_map(|wanted| wanted.requests.clone())
        .collect();
    let fault = |found: Contradiction| {
        let Contradiction {
            package,
            first: (first, a),
            second: (second, b),
        } = found;
        let message = format!(
            "no version of `{package}` meets both `{a}` (`{}`) and `{b}` (`{}`)",
            first.recipe, second.recipe
        );
        let place = |step: &StepRef, range: &assay_packages::VersionRange| {
            let request = VersionRequest::Range(range.clone());
            Place::new(
                &step.recipe,
                request_span(recipes, step, &package, &request),
                format!("wants `{range}`"),
            )
        };
        Fault::new(FaultCode::ContradictingRanges, message, place(&first, &a))
            .and(place(&second, &b))
            .help("widen one of the ranges, or do not use both together")
    };
    contradictions(rules, &requests)
        .into_iter()
        .map(fault)
        .collect()
}

/// Where a step asks for this version of a package.
fn request_span(
    recipes: &[Considered<'_>],
    step: &StepRef,
    package: &str,
    version: &VersionRequest,
) -> Span {
    let found = find_step(recipes, step);
    let requests = found.into_iter().flat_map(|step| match &step.action {
        Action::Install(install) => install.packages.as_slice(),
        Action::AptRepo(_)
        | Action::AptPpa(_)
        | Action::DnfRepo(_)
        | Action::ServiceEnable(_)
        | Action::ServiceStart(_)
        | Action::Download(_)
        | Action::Extract(_)
        | Action::InstallBinaries(_)
        | Action::GroupAdd(_)
        | Action::RequireCommand(_)
        | Action::Manual(_) => &[],
    });
    let mut of_package = requests.filter(|request| {
        request.name.value.as_str() == package && request.version.value == *version
    });
    of_package
        .next()
        .map(|request| request.version.span)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use assay_recipe::Recipe;

    use crate::build::plan;
    use crate::build::tests::{install, named, planned};
    use crate::fixtures::target;

    #[test]
    fn ranges_that_exclude_each_other_name_both_recipes_and_both_ranges() {
        let recipes = [
            named("a", &[], &install("{ name = \"jq\", version = \">=1.7\" }")),
            named("b", &[], &install("{ name = \"jq\", version = \"<1.6\" }")),
        ];
        let set: Vec<&Recipe> = recipes.iter().collect();
        let faults = plan(&set, &target("debian-12")).expect_err("no version meets both");
        assert_eq!(faults.len(), 1);
        assert_eq!(
            faults[0].message,
            "no version of `jq` meets both `>=1.7` (`a`) and `<1.6` (`b`)"
        );
        let places: Vec<String> = faults[0]
            .places
            .iter()
            .map(|place| format!("{} {}", place.recipe, place.message))
            .collect();
        assert_eq!(places, ["a wants `>=1.7`", "b wants `<1.6`"]);
        assert!(
            faults[0]
                .places
                .iter()
                .all(|place| place.span.end > place.span.start)
        );
        // Where neither applies there is nothing to contradict.
        assert!(plan(&set, &target("arch")).is_ok());
        let met = [
            named("a", &[], &install("{ name = \"jq\", version = \">=1.6\" }")),
            named(
                "b",
                &[],
                &install(
                    "{ name = \"jq\", version = \"<2\" }, { name = \"jq\", version = \"auto\" }",
                ),
            ),
        ];
        let question = planned(&met, "debian-12").ops.pop().expect("a question");
        assert_eq!(question.steps.len(), 2);
    }
}
