//! Why a set is unsupported on a target.

use assay_recipe::action::Scope;
use assay_recipe::when::{Family, Os};

use super::Considered;
use crate::target::Target;

/// Why nothing is installed here: every recipe that nobody in the set depends on and that installs
/// something on other targets installs nothing on this one. What they depend on does not count: a
/// package that only prepares an install is not what was asked for.
pub(super) fn unsupported(
    recipes: &[Considered<'_>],
    depends_on: &[Vec<usize>],
    target: &Target,
) -> Option<String> {
    let mut sentences: Vec<String> = Vec::new();
    for (at, considered) in recipes.iter().enumerate() {
        let installs = considered.installing_steps().next().is_some();
        if !installs
            || depends_on
                .iter()
                .any(|dependencies| dependencies.contains(&at))
        {
            continue;
        }
        let because = installs_nothing(considered, target)?;
        sentences.push(format!(
            "`{}` installs nothing on {}: {because}",
            considered.name(),
            target.id
        ));
    }
    (!sentences.is_empty()).then(|| sentences.join(" · "))
}

/// Why none of the steps that bring software applies; `None` if one does. Steps for other families say nothing where one
/// for this family has a reason of its own.
fn installs_nothing(considered: &Considered<'_>, target: &Target) -> Option<String> {
    let mut elsewhere: Vec<&str> = Vec::new();
    let mut reasons: Vec<&str> = Vec::new();
    for (scope, applied) in considered.installing_steps() {
        let reason = applied.as_ref().err()?;
        let of_here = match scope.family() {
            Some(family) => target.family() == Some(family),
            None => scope != Scope::Darwin || target.os == Os::Darwin,
        };
        let (list, word) = match scope.family() {
            Some(family) if !of_here => (&mut elsewhere, family.as_str()),
            None if !of_here => (&mut elsewhere, Os::Darwin.as_str()),
            Some(_) | None => (&mut reasons, reason.as_str()),
        };
        if !list.contains(&word) {
            list.push(word);
        }
    }
    if reasons.is_empty() {
        let elsewhere = sentence_of(&elsewhere);
        return Some(match (target.os, target.family()) {
            (Os::Darwin, _) => format!("its installs are for {elsewhere}, this is darwin"),
            (Os::Linux, family) => format!(
                "its installs are for {elsewhere}, the family here is {}",
                family.map_or("unknown", Family::as_str)
            ),
        });
    }
    Some(reasons.join("; "))
}

/// `a`, `a and b`, `a, b and c`.
fn sentence_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
