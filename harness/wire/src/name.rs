//! Names with a grammar: recipes, targets, steps, cells, runs and paths inside a sandbox.
//!
//! Every name has a private field and a `FromStr`; serde goes through the same check, so no value
//! of these types can hold anything outside its grammar, whoever sent it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A value outside the grammar of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// What kind of name it should have been.
    pub kind: &'static str,
    /// The value, as given.
    pub value: String,
    /// The grammar in words.
    pub grammar: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a {}: {}",
            self.value.escape_debug(),
            self.kind,
            self.grammar
        )
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $grammar:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The grammar in words, for messages.
            pub const GRAMMAR: &'static str = $grammar;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(value: String) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) {
                    Ok(Self(value))
                } else {
                    Err(NameError { kind: $kind, value, grammar: $grammar })
                }
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// True for `[a-z0-9][a-z0-9<extra>]*` of at most `max` bytes.
fn lower_word(text: &str, extra: &[u8], max: usize) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= max
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || extra.contains(&b))
}

name!(
    /// The name of a recipe, equal to its file's stem.
    RecipeName,
    "recipe name",
    "lower-case letters, digits and `._+-`, starting with a letter or digit, at most 100 bytes",
    |text| lower_word(text, b"._+-", 100)
);
name!(
    /// The identity of a target: `ubuntu-24.04`, `fedora-44`, `arch`, with `-arm64` appended when
    /// it is not amd64.
    TargetId,
    "target",
    "lower-case letters, digits and `._-`, starting with a letter or digit, at most 100 bytes",
    |text| lower_word(text, b"._-", 100)
);
name!(
    /// The identity of a step within its recipe: its `id`, else its 1-based number.
    StepId,
    "step id",
    "lower-case letters, digits and `._-`, starting with a letter or digit, at most 100 bytes",
    |text| lower_word(text, b"._-", 100)
);
name!(
    /// The identity of one run: a sortable time stamp and random hex.
    RunId,
    "run id",
    "lower-case letters, digits and `-`, starting with a letter or digit, at most 64 bytes",
    |text| lower_word(text, b"-", 64)
);
name!(
    /// An absolute path inside a sandbox, without `.`, `..`, empty components or control
    /// characters. It is never resolved on the host.
    GuestPath,
    "path inside a sandbox",
    "absolute, at most 4096 bytes, without `.`, `..`, empty parts or control characters",
    |text| {
        text.len() <= 4096
            && text
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
            && !text.chars().any(char::is_control)
    }
);

/// One step of one recipe, written `recipe#step`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StepRef {
    /// The recipe.
    pub recipe: RecipeName,
    /// The step within it. Entries of `[[requires]]` and `[[check]]` are `requires-N`, `check-N`.
    pub step: StepId,
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.recipe, self.step)
    }
}

/// Which image of a target a cell uses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The distribution's smallest image.
    #[default]
    Minimal,
    /// The same with systemd and D-Bus, for plans with services.
    Systemd,
}

impl Variant {
    /// The word as written in files and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Systemd => "systemd",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One cell of the matrix: what was asked for, on one target, written `target:recipe[,recipe]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct CellId {
    /// The target.
    pub target: TargetId,
    /// The recipes asked for, in order; never empty. The plan holds their closure.
    pub recipes: Vec<RecipeName>,
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.target)?;
        for (index, recipe) in self.recipes.iter().enumerate() {
            write!(f, "{}{recipe}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for CellId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (target, recipes) = text.split_once(':').ok_or_else(|| NameError {
            kind: "cell",
            value: text.to_owned(),
            grammar: "written `target:recipe[,recipe]`",
        })?;
        Ok(Self {
            target: target.parse()?,
            recipes: recipes
                .split(',')
                .map(str::parse)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<String> for CellId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<CellId> for String {
    fn from(cell: CellId) -> Self {
        cell.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_paths_have_one_spelling() {
        for good in ["/etc/apt/keyrings/a.key", "/x", "/a b/ü"] {
            assert_eq!(
                good.parse::<GuestPath>().map(String::from),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "", "/", "etc", "/a/../b", "/a//b", "/a/", "/./a", "/a\nb", "/a\u{1b}",
        ] {
            assert!(bad.parse::<GuestPath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_refuse_what_an_option_or_a_path_would_be() {
        for bad in ["", "-a", "A", "a/b", "a b", "é", ".a", "a\0"] {
            assert!(bad.parse::<RecipeName>().is_err(), "{bad:?}");
            assert!(bad.parse::<TargetId>().is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn cells_round_trip(target in "[a-z0-9][a-z0-9._-]{0,9}", recipes in proptest::collection::vec("[a-z0-9][a-z0-9._+-]{0,9}", 1..4)) {
            let text = format!("{target}:{}", recipes.join(","));
            let cell: CellId = text.parse().expect("generated from the grammar");
            proptest::prop_assert_eq!(cell.to_string(), text);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<CellId>();
            let _ = text.parse::<GuestPath>();
        }
    }
}
