//! Which recipes a machine gets, and in which order: what was asked for, and before each what it
//! depends on.

use std::collections::BTreeMap;

use assay_recipe::Recipe;
use assay_wire::name::RecipeName;

use crate::fault::{Fault, FaultCode, Place};

/// The recipes asked for with everything they depend on, in the order applied: what a recipe
/// depends on stands before it, otherwise the order asked for is kept.
///
/// # Errors
/// [`FaultCode::UnknownDependency`] for every dependency that `library` does not hold, with the name
/// that is near it; [`FaultCode::DependencyCycle`] for every circle. An asked name that is not in
/// `library` is left out: whoever read the name says so.
pub fn closure<'r>(
    asked: &[RecipeName],
    library: &'r [Recipe],
) -> Result<Vec<&'r Recipe>, Vec<Fault>> {
    let by_name: BTreeMap<&RecipeName, &Recipe> = library
        .iter()
        .map(|recipe| (&recipe.metadata.name.value, recipe))
        .collect();
    let mut walk = Walk {
        by_name: &by_name,
        path: Vec::new(),
        ordered: Vec::new(),
        faults: Vec::new(),
    };
    for name in asked {
        if let Some(recipe) = by_name.get(name) {
            walk.visit(recipe);
        }
    }
    walk.finish()
}

/// The recipes of a set that holds everything it depends on, in the order applied.
pub(crate) fn ordered<'r>(set: &[&'r Recipe]) -> Result<Vec<&'r Recipe>, Vec<Fault>> {
    let mut by_name: BTreeMap<&RecipeName, &Recipe> = BTreeMap::new();
    let mut duplicates = Vec::new();
    for recipe in set {
        let name = &recipe.metadata.name;
        if let Some(first) = by_name.get(&name.value) {
            if first != recipe {
                let place = Place::new(&name.value, name.span, "again");
                let message = format!("two recipes have the name `{}`", name.value);
                duplicates.push(Fault::new(FaultCode::DuplicateRecipe, message, place));
            }
        } else {
            by_name.insert(&name.value, recipe);
        }
    }
    if !duplicates.is_empty() {
        return Err(duplicates);
    }
    let mut walk = Walk {
        by_name: &by_name,
        path: Vec::new(),
        ordered: Vec::new(),
        faults: Vec::new(),
    };
    for recipe in set {
        walk.visit(recipe);
    }
    walk.finish()
}

/// For each recipe of an ordered set, the positions of all recipes it depends on, however far.
pub(crate) fn dependencies(ordered: &[&Recipe]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::with_capacity(ordered.len());
    for recipe in ordered {
        let mut positions: Vec<usize> = Vec::new();
        for dependency in &recipe.metadata.depends_on {
            let found = ordered
                .iter()
                .position(|other| other.metadata.name.value == dependency.value);
            // What a recipe depends on stands before it, so its own dependencies are known already.
            if let Some(at) = found
                && let Some(further) = all.get(at)
            {
                positions.extend(further);
                positions.push(at);
            }
        }
        positions.sort_unstable();
        positions.dedup();
        all.push(positions);
    }
    all
}

/// A walk in depth over `depends_on`.
struct Walk<'a, 'r> {
    by_name: &'a BTreeMap<&'r RecipeName, &'r Recipe>,
    /// The recipes on the way to the current one, with the number of the dependency that is walked.
    path: Vec<(&'r Recipe, usize)>,
    ordered: Vec<&'r Recipe>,
    faults: Vec<Fault>,
}

impl<'r> Walk<'_, 'r> {
    /// Adds a recipe after all it depends on. The path is a stack of its own: a chain of thousands of
    /// recipes must not exhaust the thread's.
    fn visit(&mut self, recipe: &'r Recipe) {
        if self.is_ordered(recipe) {
            return;
        }
        self.path.push((recipe, 0));
        while let Some((current, at)) = self.path.last_mut() {
            let Some(dependency) = current.metadata.depends_on.get(*at) else {
                self.ordered.push(current);
                self.path.pop();
                continue;
            };
            *at += 1;
            let current: &'r Recipe = current;
            let Some(next) = self.by_name.get(&dependency.value).copied() else {
                let name = &current.metadata.name.value;
                let message = format!(
                    "`{name}` depends on `{}`, which is not there",
                    dependency.value
                );
                let place = Place::new(name, dependency.span, "no such recipe");
                let fault = Fault::new(FaultCode::UnknownDependency, message, place);
                self.faults
                    .push(fault.help("correct the name, or add the recipe to the recipes folder"));
                continue;
            };
            if let Some(start) = self
                .path
                .iter()
                .position(|(on_path, _)| same(on_path, next))
            {
                let cycle = self.cycle(start);
                self.faults.push(cycle);
            } else if !self.is_ordered(next) {
                self.path.push((next, 0));
            }
        }
    }

    fn is_ordered(&self, recipe: &Recipe) -> bool {
        self.ordered.iter().any(|done| same(done, recipe))
    }

    /// The circle that starts at this position of the path and ends where the path ends.
    fn cycle(&self, start: usize) -> Fault {
        let circle = &self.path[start..];
        let mut names: Vec<String> = circle
            .iter()
            .map(|(recipe, _)| format!("`{}`", recipe.metadata.name.value))
            .collect();
        names.extend(names.first().cloned());
        let message = format!(
            "recipes depend on each other in a circle: {}",
            names.join(" → ")
        );
        let mut places = circle.iter().filter_map(|(recipe, at)| {
            let dependency = recipe.metadata.depends_on.get(at.saturating_sub(1))?;
            let words = format!("depends on `{}`", dependency.value);
            Some(Place::new(
                &recipe.metadata.name.value,
                dependency.span,
                words,
            ))
        });
        let first = places.next().unwrap_or_else(|| {
            let name = &circle[0].0.metadata.name;
            Place::new(&name.value, name.span, "")
        });
        let fault = places.fold(
            Fault::new(FaultCode::DependencyCycle, message, first),
            Fault::and,
        );
        fault.help("take out one of these dependencies")
    }

    fn finish(self) -> Result<Vec<&'r Recipe>, Vec<Fault>> {
        if self.faults.is_empty() {
            Ok(self.ordered)
        } else {
            Err(self.faults)
        }
    }
}

fn same(a: &Recipe, b: &Recipe) -> bool {
    a.metadata.name.value == b.metadata.name.value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{metadata, recipe};

    const STEP: &str = "[[steps]]\naction = \"manual\"\ntext = \"x\"\n";

    fn library(edges: &[(&str, &[&str])]) -> Vec<Recipe> {
        let text =
            |(name, depends_on): &(&str, &[&str])| format!("{}{STEP}", metadata(name, depends_on));
        edges.iter().map(|edges| recipe(&text(edges))).collect()
    }

    fn names(asked: &[&str], library: &[Recipe]) -> Result<String, Vec<String>> {
        let asked: Vec<RecipeName> = asked
            .iter()
            .map(|name| name.parse().expect("a name"))
            .collect();
        match closure(&asked, library) {
            Ok(set) => {
                let names = |set: &[&Recipe]| {
                    set.iter()
                        .map(|recipe| recipe.metadata.name.value.to_string())
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                assert_eq!(ordered(&set).map(|again| names(&again)), Ok(names(&set)));
                Ok(names(&set))
            }
            Err(faults) => Err(faults.into_iter().map(|fault| fault.message).collect()),
        }
    }

    #[test]
    fn dependencies_stand_before_and_the_rest_stays_as_asked() {
        let library = library(&[
            ("a", &["c"]),
            ("b", &[]),
            ("c", &["d", "b"]),
            ("d", &[]),
            ("unused", &[]),
        ]);
        assert_eq!(names(&["a"], &library), Ok("d b c a".to_owned()));
        assert_eq!(names(&["b", "a"], &library), Ok("b d c a".to_owned()));
        assert_eq!(names(&["d", "b", "d"], &library), Ok("d b".to_owned()));
        let set = closure(&["a".parse().expect("a name")], &library).expect("closed");
        assert_eq!(
            dependencies(&set),
            [vec![], vec![], vec![0, 1], vec![0, 1, 2]]
        );
    }

    #[test]
    fn what_is_missing_and_every_circle_is_named() {
        let library = library(&[("a", &["b", "x"]), ("b", &["c"]), ("c", &["a", "y"])]);
        assert_eq!(
            names(&["a"], &library),
            Err(vec![
                "recipes depend on each other in a circle: `a` → `b` → `c` → `a`".to_owned(),
                "`c` depends on `y`, which is not there".to_owned(),
                "`a` depends on `x`, which is not there".to_owned(),
            ])
        );
        let circle = &closure(&["a".parse().expect("a name")], &library).expect_err("a circle")[0];
        let places: Vec<_> = circle
            .places
            .iter()
            .map(|place| format!("{}: {}", place.recipe, place.message))
            .collect();
        assert_eq!(
            places,
            [
                "a: depends on `b`",
                "b: depends on `c`",
                "c: depends on `a`"
            ]
        );
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let recipes: Vec<Recipe> = (0..3000)
            .map(|n| {
                recipe(&format!(
                    "{}{STEP}",
                    metadata(&format!("r{n}"), &[format!("r{}", n + 1)])
                ))
            })
            .chain([recipe(&format!("{}{STEP}", metadata::<&str>("r3000", &[])))])
            .collect();
        let set = closure(&["r0".parse().expect("a name")], &recipes).expect("closed");
        assert_eq!(set.len(), 3001);
    }

    #[test]
    fn two_different_recipes_of_one_name_are_a_fault_and_the_same_twice_is_not() {
        let one =
            recipe("[metadata]\nname = \"a\"\n[[steps]]\naction = \"manual\"\ntext = \"x\"\n");
        let other =
            recipe("[metadata]\nname = \"a\"\n[[steps]]\naction = \"manual\"\ntext = \"y\"\n");
        assert_eq!(ordered(&[&one, &one]).map(|set| set.len()), Ok(1));
        let faults = ordered(&[&one, &other]).expect_err("two recipes");
        assert_eq!(faults[0].code, FaultCode::DuplicateRecipe);
    }
}
