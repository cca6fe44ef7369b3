//! Faults that only a set of recipes, or a recipe beside targets, can have. A fault of one file is
//! `recipe`'s [`assay_recipe::Diagnostic`]; these name a recipe with every place, because their
//! places lie in several files.

use std::fmt;

use assay_recipe::Severity;
use assay_wire::name::RecipeName;
use assay_wire::source::Span;
use serde::{Serialize, Serializer};

/// One fault, with every place that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What is wrong, in one stable word.
    pub code: FaultCode,
    /// How much it matters.
    pub severity: Severity,
    /// One line, a lower-case fragment without final period; names stand in backticks.
    pub message: String,
    /// The places, the most important first; never empty.
    pub places: Vec<Place>,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

/// A place in one of the set's recipes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The recipe.
    pub recipe: RecipeName,
    /// The bytes of its file.
    pub span: Span,
    /// A few words; may be empty when the message says it all.
    pub message: String,
}

impl Fault {
    /// A fault at one place.
    pub(crate) fn new(code: FaultCode, message: String, place: Place) -> Self {
        Self {
            code,
            severity: code.severity(),
            message,
            places: vec![place],
            help: None,
        }
    }

    /// With a further place.
    pub(crate) fn and(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// With advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Place {
    /// A place with words for it.
    pub(crate) fn new(recipe: &RecipeName, span: Span, message: impl Into<String>) -> Self {
        Self {
            recipe: recipe.clone(),
            span,
            message: message.into(),
        }
    }
}

/// What is wrong with a set, in one stable word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultCode {
    /// A recipe depends on one that is not there.
    UnknownDependency,
    /// Recipes depend on each other in a circle.
    DependencyCycle,
    /// Two different recipes have one name.
    DuplicateRecipe,
    /// Two steps ask for ranges of one package that no version meets.
    ContradictingRanges,
    /// Two steps give one name to different repositories, or one repository different keys or settings.
    RepositoryConflict,
    /// Naming one distribution takes steps away from a target that would have them otherwise.
    DistroTakesAway,
    /// A step applies to none of the targets.
    UnreachableStep,
    /// No step of a recipe applies to any of the targets.
    NoTarget,
}

impl FaultCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::UnknownDependency,
        Self::DependencyCycle,
        Self::DuplicateRecipe,
        Self::ContradictingRanges,
        Self::RepositoryConflict,
        Self::DistroTakesAway,
        Self::UnreachableStep,
        Self::NoTarget,
    ];

    /// The code as written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownDependency => "unknown-dependency",
            Self::DependencyCycle => "dependency-cycle",
            Self::DuplicateRecipe => "duplicate-recipe",
            Self::ContradictingRanges => "contradicting-ranges",
            Self::RepositoryConflict => "repository-conflict",
            Self::DistroTakesAway => "distro-takes-away",
            Self::UnreachableStep => "unreachable-step",
            Self::NoTarget => "no-target",
        }
    }

    /// How much it matters: with an error there is no plan.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::UnknownDependency
            | Self::DependencyCycle
            | Self::DuplicateRecipe
            | Self::ContradictingRanges
            | Self::RepositoryConflict => Severity::Error,
            Self::DistroTakesAway | Self::NoTarget => Severity::Warning,
            Self::UnreachableStep => Severity::Hint,
        }
    }

    /// What it means and how it is mended, for `assay explain`.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::UnknownDependency => {
                "`depends_on` names a recipe that is not among those given. Recipes are found by their \
                 file's stem in the recipes folder: correct the name, or add the recipe."
            }
            Self::DependencyCycle => {
                "Recipes that depend on each other cannot be ordered: each would have to run before \
                 the other. Take out one of the named `depends_on` entries, or move what both need \
                 into a recipe of its own."
            }
            Self::DuplicateRecipe => {
                "Two files of one set hold different recipes of the same name. A name stands for one \
                 recipe on a machine: rename one of them."
            }
            Self::ContradictingRanges => {
                "All recipes of a set are installed on one machine, where a package has one version. \
                 Two steps ask for ranges of one package that have no version in common, compared by \
                 the distribution's own rules: widen one of them, or do not use both recipes together."
            }
            Self::RepositoryConflict => {
                "Two repository steps disagree. Either they give the same `name` to different \
                 repositories, so that one would overwrite the other's file: give one of them another \
                 `name`, or none. Or they add one repository with different keys or settings, which a \
                 manager refuses or takes the wrong one of: let both say the same. Steps that agree \
                 are merged into one."
            }
            Self::DistroTakesAway => {
                "A target is its `ID` and what it derives from (`ID_LIKE`); the nearest of these that \
                 any step of the recipe names is the only one `when.distro` is compared with. Here a \
                 step names a near distribution, and so steps that name only a farther one no longer \
                 apply. If they should, add the near distribution to their `when.distro`."
            }
            Self::UnreachableStep => {
                "The step applies to none of the targets it was looked at on: those of the project, or \
                 every target with a definition. It may be meant for a machine that is not among them; \
                 if not, its `when` says something that never holds. `assay plan --explain` has the \
                 reason for each target. Nothing tests a step that applies nowhere."
            }
            Self::NoTarget => {
                "No step of the recipe applies to any of the targets it was looked at on: those of the \
                 project, or every target with a definition. It is green everywhere because it does \
                 nothing anywhere. `assay plan --explain` has the reason for each step."
            }
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for FaultCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_no_codes_of_a_single_recipe_and_are_explained() {
        for code in FaultCode::ALL {
            assert!(
                code.as_str().parse::<assay_recipe::Code>().is_err(),
                "{code}"
            );
            assert!(code.explanation().ends_with('.'));
        }
        let names: std::collections::BTreeSet<_> =
            FaultCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), FaultCode::ALL.len());
    }
}
