//! The order of ops (seams: Targets, sets, plans). Steps never move inside a recipe, with one
//! exception: the *leading run* of repository and install steps of every recipe of a set is merged
//! into `install A → repositories → install B`, so that a set refreshes and installs at most twice
//! however many recipes it has. Everything after its leading run stays where its author put it.
//!
//! An install is in A when a repository step follows it in its own leading run, or in that of a
//! recipe that depends on its recipe: what a repository needs (`ca-certificates`) has to be there
//! before it is asked. But an install that follows a repository step, in its own leading run or in
//! that of a recipe its recipe depends on, may install from that repository, and is never put before
//! it: it is in B, whatever follows. All others are in B as well.

/// What a step is for the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Installs packages.
    Install,
    /// Adds a repository.
    Repository,
    /// Everything else: ends the leading run.
    Other,
}

/// One recipe's applying steps, in the author's order.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What each step is.
    pub(crate) kinds: Vec<Kind>,
    /// The positions in the set of all recipes it depends on, however far.
    pub(crate) dependencies: Vec<usize>,
}

/// A step of a set: the position of its recipe, and its position among that recipe's steps.
pub(crate) type At = (usize, usize);

/// The steps of a set in the order applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// Installs before the repositories.
    pub(crate) before: Vec<At>,
    /// Repositories.
    pub(crate) repositories: Vec<At>,
    /// Installs after the repositories.
    pub(crate) after: Vec<At>,
    /// Everything behind the leading runs, recipe by recipe.
    pub(crate) rest: Vec<At>,
}

/// Orders the steps of a set whose recipes stand behind those they depend on.
pub(crate) fn order(runs: &[Run]) -> Order {
    let leading: Vec<&[Kind]> = runs
        .iter()
        .map(|run| {
            let length = run
                .kinds
                .iter()
                .take_while(|kind| **kind != Kind::Other)
                .count();
            &run.kinds[..length]
        })
        .collect();
    let adds_repository: Vec<bool> = leading
        .iter()
        .map(|kinds| kinds.contains(&Kind::Repository))
        .collect();
    let mut order = Order::default();
    for (recipe, kinds) in leading.iter().enumerate() {
        let in_dependent = runs
            .iter()
            .zip(&adds_repository)
            .any(|(other, adds)| *adds && other.dependencies.contains(&recipe));
        let in_dependency = runs[recipe]
            .dependencies
            .iter()
            .any(|at| adds_repository[*at]);
        for (at, kind) in kinds.iter().enumerate() {
            let place = match kind {
                Kind::Repository => &mut order.repositories,
                Kind::Install => {
                    let followed = in_dependent || kinds[at..].contains(&Kind::Repository);
                    let preceded = in_dependency || kinds[..at].contains(&Kind::Repository);
                    if followed && !preceded {
                        &mut order.before
                    } else {
                        &mut order.after
                    }
                }
                Kind::Other => &mut order.rest,
            };
            place.push((recipe, at));
        }
    }
    for (recipe, run) in runs.iter().enumerate() {
        order
            .rest
            .extend((leading[recipe].len()..run.kinds.len()).map(|at| (recipe, at)));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recipes as words of `i`, `r` and `o`, with the positions each depends on.
    fn ordered(recipes: &[(&str, &[usize])]) -> String {
        let runs: Vec<Run> = recipes
            .iter()
            .map(|(steps, dependencies)| Run {
                kinds: steps.bytes().map(kind).collect(),
                dependencies: dependencies.to_vec(),
            })
            .collect();
        let order = order(&runs);
        let words = |steps: &[At]| {
            steps
                .iter()
                .map(|(recipe, at)| format!("{recipe}{at}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        [
            words(&order.before),
            words(&order.repositories),
            words(&order.after),
            words(&order.rest),
        ]
        .join(" | ")
    }

    fn kind(letter: u8) -> Kind {
        match letter {
            b'i' => Kind::Install,
            b'r' => Kind::Repository,
            _ => Kind::Other,
        }
    }

    #[test]
    fn leading_runs_are_merged_and_nothing_else_moves() {
        for (recipes, expected) in [
            // One recipe.
            (&[("i", &[][..])][..], " |  | 00 | "),
            (&[("iri", &[])], "00 | 01 | 02 | "),
            (&[("ri", &[])], " | 00 | 01 | "),
            (&[("ir", &[])], "00 | 01 |  | "),
            (&[("o", &[])], " |  |  | 00"),
            (&[("ioir", &[])], " |  | 00 | 01 02 03"),
            (&[("iirrii", &[])], "00 01 | 02 03 | 04 05 | "),
            // Recipes that know nothing of each other.
            (&[("i", &[]), ("i", &[])], " |  | 00 10 | "),
            (&[("i", &[]), ("ri", &[])], " | 10 | 00 11 | "),
            (&[("iri", &[]), ("iri", &[])], "00 10 | 01 11 | 02 12 | "),
            (&[("io", &[]), ("ri", &[])], " | 10 | 00 11 | 01"),
            (&[("oi", &[]), ("iri", &[])], "10 | 11 | 12 | 00 01"),
            // What a recipe with a repository depends on is there before the repository.
            (&[("i", &[]), ("ri", &[0])], "00 | 10 | 11 | "),
            (
                &[("i", &[]), ("i", &[0]), ("ri", &[0, 1])],
                "00 10 | 20 | 21 | ",
            ),
            (&[("io", &[]), ("rio", &[0])], "00 | 10 | 11 | 01 12"),
            // A repository behind the leading run merges nothing.
            (&[("i", &[]), ("iori", &[0])], " |  | 00 10 | 11 12 13"),
            // An install is never put before a repository it may install from.
            (&[("riri", &[])], " | 00 02 | 01 03 | "),
            (&[("ri", &[]), ("ri", &[0])], " | 00 10 | 01 11 | "),
            (&[("iri", &[]), ("ir", &[0])], "00 | 01 11 | 02 10 | "),
        ] {
            assert_eq!(ordered(recipes), expected, "{recipes:?}");
        }
    }

    proptest! {
        #[test]
        fn every_step_has_one_place_and_keeps_its_order(
            recipes in proptest::collection::vec(("[iro]{0,8}", proptest::collection::vec(any::<bool>(), 5)), 0..5),
        ) {
            let runs: Vec<Run> = recipes
                .iter()
                .enumerate()
                .map(|(at, (steps, edges))| Run {
                    kinds: steps.bytes().map(kind).collect(),
                    dependencies: (0..at).filter(|other| edges[*other]).collect(),
                })
                .collect();
            let order = order(&runs);
            let all: Vec<At> = [order.before.clone(), order.repositories.clone(), order.after.clone(), order.rest.clone()].concat();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            let expected: Vec<At> = runs.iter().enumerate().flat_map(|(recipe, run)| (0..run.kinds.len()).map(move |at| (recipe, at))).collect();
            prop_assert_eq!(sorted, expected);
            let place = |at: &At| all.iter().position(|other| other == at);
            for (recipe, run) in runs.iter().enumerate() {
                for later in 1..run.kinds.len() {
                    for earlier in 0..later {
                        let kinds = (run.kinds[earlier], run.kinds[later]);
                        // Only an install may be overtaken, and only by a repository.
                        let may_swap = kinds == (Kind::Install, Kind::Repository);
                        prop_assert!(may_swap || place(&(recipe, earlier)) < place(&(recipe, later)));
                    }
                }
            }
        }
    }
}
