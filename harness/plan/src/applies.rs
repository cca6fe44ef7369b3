//! Whether a step applies to a target: its action's built-in family and its `when`, each key with
//! one reason why not. Keys AND, lists OR (recipe-format: `when`).

use std::fmt::Display;

use assay_recipe::model::{Action, Recipe};
use assay_recipe::name::DistroId;
use assay_recipe::when::{Os, When};

use crate::target::{EffectiveDistro, Target};

/// A target as one recipe sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen<'t> {
    /// The target.
    pub(crate) target: &'t Target,
    /// The nearest distribution of its chain that the recipe's steps name, else its own.
    pub(crate) distro: Option<EffectiveDistro>,
}

impl<'t> Seen<'t> {
    /// The target as a recipe sees it. Only steps name distributions for the rule of the nearest;
    /// requirements and checks use its result.
    pub(crate) fn by(recipe: &Recipe, target: &'t Target) -> Self {
        let named: Vec<&DistroId> = named_distros(recipe).collect();
        Self {
            target,
            distro: target.effective_distro(&named),
        }
    }

    /// Whether something with this `when` applies.
    ///
    /// # Errors
    /// The one reason why it does not: that of the first key that does not hold.
    pub(crate) fn holds(&self, when: Option<&When>) -> Result<(), String> {
        let Some(when) = when else { return Ok(()) };
        let target = self.target;
        listed(
            "os",
            &when.os,
            |os| os.value == target.os,
            |os| os.value.to_string(),
            || format!("this target's is {}", target.os),
        )?;
        listed(
            "arch",
            &when.arch,
            |arch| arch.value == target.arch,
            |arch| arch.value.to_string(),
            || format!("this target's is {}", target.arch),
        )?;
        let is_platform = |os, arch| os == target.os && arch == target.arch;
        listed(
            "platform",
            &when.platform,
            |platform| is_platform(platform.value.os, platform.value.arch),
            |platform| platform.value.to_string(),
            || format!("this target's is {}/{}", target.os, target.arch),
        )?;
        listed(
            "linux_family",
            &when.linux_family,
            |family| Some(family.value) == target.family(),
            |family| family.value.to_string(),
            || self.family_words(),
        )?;
        listed(
            "distro_like",
            &when.distro_like,
            |id| target.chain().any(|like| *like == id.value),
            |id| id.value.to_string(),
            || match &target.distro {
                None => NO_DISTRO.to_owned(),
                Some(_) => format!("this target is {}", join(target.chain())),
            },
        )?;
        self.distro_holds(when)?;
        listed(
            "libc",
            &when.libc,
            |libc| Some(libc.value) == target.libc,
            |libc| libc.value.to_string(),
            || {
                target.libc.map_or_else(
                    || "this target's is not known".to_owned(),
                    |libc| format!("this target's is {libc}"),
                )
            },
        )?;
        listed(
            "role",
            &when.role,
            |_| false,
            |role| role.value.to_string(),
            || "no role is given to this machine".to_owned(),
        )
    }

    /// Whether a step's action fits the target's family at all.
    pub(crate) fn fits(&self, action: &Action) -> Result<(), String> {
        let Some(family) = action.family() else {
            return Ok(());
        };
        if self.target.os == Os::Linux && self.target.family() == Some(family) {
            return Ok(());
        }
        Err(format!(
            "`{}` is for the {family} family; {}",
            action.name(),
            self.family_words()
        ))
    }

    /// `distro`: the effective distribution is listed, and its version is inside the constraint.
    fn distro_holds(&self, when: &When) -> Result<(), String> {
        if when.distro.is_empty() {
            return Ok(());
        }
        let wanted = join(when.distro.iter().map(|distro| &distro.value));
        let Some(effective) = &self.distro else {
            return Err(format!("`distro` wants {wanted}; {NO_DISTRO}"));
        };
        let mut of_this: Vec<_> = when
            .distro
            .iter()
            .map(|distro| &distro.value)
            .filter(|distro| distro.id == effective.id)
            .collect();
        if of_this.is_empty() {
            return Err(format!(
                "`distro` wants {wanted}; the effective distribution is {}",
                effective.id
            ));
        }
        if of_this.iter().any(|distro| distro.range.is_any()) {
            return Ok(());
        }
        let Some(version) = effective.dotted_version() else {
            let own = self
                .target
                .distro
                .as_ref()
                .is_some_and(|own| own.id == effective.id);
            let because = match &effective.version {
                Some(word) => format!("the version `{word}` is not a dotted number"),
                None if own => format!("os-release states no version of {}", effective.id),
                None => format!(
                    "os-release does not state which version of {} this target derives from",
                    effective.id
                ),
            };
            return Err(format!("`distro` wants {wanted}; {because}"));
        };
        of_this.retain(|distro| distro.range.contains(&version));
        if of_this.is_empty() {
            return Err(format!(
                "`distro` wants {wanted}; the effective distribution is {} {version}",
                effective.id
            ));
        }
        Ok(())
    }

    fn family_words(&self) -> String {
        if self.target.os != Os::Linux {
            return format!("this target is {}", self.target.os);
        }
        match (&self.target.distro, self.target.family()) {
            (_, Some(family)) => format!("this target is of the {family} family"),
            (Some(distro), None) => format!("the family of {} is not known", distro.id),
            (None, None) => NO_DISTRO.to_owned(),
        }
    }
}

/// Every distribution that any step of a recipe names in `when.distro`, in order.
pub(crate) fn named_distros(recipe: &Recipe) -> impl Iterator<Item = &DistroId> {
    let whens = recipe.steps.iter().filter_map(|step| step.when.as_ref());
    whens.flat_map(|when| when.value.distro.iter().map(|distro| &distro.value.id))
}

const NO_DISTRO: &str = "this target states no distribution";

/// Holds if nothing is listed, or one of the listed does.
fn listed<T>(
    key: &str,
    list: &[T],
    holds: impl FnMut(&T) -> bool,
    word: impl FnMut(&T) -> String,
    otherwise: impl FnOnce() -> String,
) -> Result<(), String> {
    if list.is_empty() || list.iter().any(holds) {
        return Ok(());
    }
    let words: Vec<String> = list.iter().map(word).collect();
    Err(format!(
        "`{key}` wants {}; {}",
        words.join(" or "),
        otherwise()
    ))
}

fn join<T: Display>(words: impl Iterator<Item = T>) -> String {
    words
        .map(|word| word.to_string())
        .collect::<Vec<_>>()
        .join(" or ")
}

#[cfg(test)]
mod tests;
