//! Reads the relation fields of a binary package: `Depends`, `Provides`, … (Policy 7.1).
//!
//! Pure. `crate::convert` decides what the relations mean elsewhere.

use super::DebError;

/// How a version is compared (Policy 7.1; the deprecated `<` and `>` mean `<=` and `>=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Comparison {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// One package name with an optional version bound, versions as Debian writes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Relation {
    /// The package name, without an architecture qualifier.
    pub(crate) name: String,
    /// The version bound.
    pub(crate) bound: Option<(Comparison, String)>,
}

impl Relation {
    /// A relation to any version.
    pub(crate) fn any(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            bound: None,
        }
    }
}

/// Reads a relation field: groups separated by commas, alternatives by bars.
///
/// # Errors
/// `DebError::Relation` with the text that is no relation.
pub(crate) fn relations(text: &str) -> Result<Vec<Vec<Relation>>, DebError> {
    text.split(',')
        .map(str::trim)
        .filter(|group| !group.is_empty())
        .map(|group| group.split('|').map(relation).collect())
        .collect()
}

fn relation(text: &str) -> Result<Relation, DebError> {
    let fault = || DebError::Relation(text.trim().chars().take(120).collect());
    let text = text.trim();
    let (name, rest) = match text.find(|c: char| c.is_whitespace() || c == '(') {
        Some(end) => (&text[..end], text[end..].trim()),
        None => (text, ""),
    };
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_well
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
    {
        return Err(fault());
    }
    if rest.is_empty() {
        return Ok(Relation::any(name));
    }
    let inner = rest
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(fault)?;
    let split = inner.find(|c: char| !"<>=".contains(c)).ok_or_else(fault)?;
    let comparison = match &inner[..split] {
        "<<" => Comparison::Earlier,
        "<=" | "<" => Comparison::EarlierOrEqual,
        "=" => Comparison::Equal,
        ">=" | ">" => Comparison::LaterOrEqual,
        ">>" => Comparison::Later,
        _ => return Err(fault()),
    };
    let version = inner[split..].trim();
    if version.is_empty() || version.contains(|c: char| c.is_whitespace() || "()".contains(c)) {
        return Err(fault());
    }
    Ok(Relation {
        name: name.to_owned(),
        bound: Some((comparison, version.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_alternatives_and_bounds_are_read() {
        let read =
            relations("libc6 (>= 2.38), debconf (>= 0.5)|debconf-2.0, perl:any,, g++(=1:2-3)")
                .expect("well formed");
        assert_eq!(read.len(), 4);
        assert_eq!(
            read[0][0].bound,
            Some((Comparison::LaterOrEqual, "2.38".to_owned()))
        );
        assert_eq!(read[1][1], Relation::any("debconf-2.0"));
        assert_eq!(read[2], [Relation::any("perl")]);
        assert_eq!(
            read[3][0],
            Relation {
                name: "g++".to_owned(),
                bound: Some((Comparison::Equal, "1:2-3".to_owned()))
            }
        );
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for text in [
            "(>= 1)",
            "a (1)",
            "a (>= )",
            "a (=> 1)",
            "a (>= 1",
            "-a",
            "a b",
            "a | ",
            "a (>= 1 2)",
        ] {
            assert!(relations(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[a-z0-9 ,|:()<>=.+~-]{0,60}") {
            let _ = relations(&text);
        }
    }
}
