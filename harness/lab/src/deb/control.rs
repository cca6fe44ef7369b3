//! Reads deb822 text: package control data, `Packages` files, `.sources` files.
//!
//! Policy section 5.1 is the source of the rules. Takes text, opens no file.
//! Relations between packages are read by `super::relation`.

use super::DebError;

/// The largest text that is read: the fields of one package are a few kilobytes.
const MOST_BYTES: usize = 4 << 20;

/// One paragraph: its fields in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// The value of a field, whatever its letter case; lines are joined by `\n`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a field that must be there and not be empty.
    ///
    /// # Errors
    /// `DebError::MissingField`.
    pub(crate) fn require(&self, name: &'static str) -> Result<&str, DebError> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or(DebError::MissingField(name))
    }

    /// Sets a field, replacing a value it already has.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self
            .fields
            .iter_mut()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
        {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The paragraph as text that `paragraphs` reads back; no empty line at the end.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            text.push_str(name);
            text.push(':');
            for (number, line) in value.split('\n').enumerate() {
                if number > 0 {
                    text.push('\n');
                }
                text.push(' ');
                text.push_str(if number > 0 && line.is_empty() {
                    "."
                } else {
                    line
                });
            }
            text.push('\n');
        }
        text
    }
}

/// Reads all paragraphs of a text. Lines that begin with `#` are comments.
///
/// # Errors
/// `DebError::Control` when the text is longer than four MiB, a line is neither
/// a field nor a continuation, or a field is written twice in a paragraph.
pub(crate) fn paragraphs(text: &str) -> Result<Vec<Paragraph>, DebError> {
    if text.len() > MOST_BYTES {
        return Err(DebError::Control("is longer than 4 MiB"));
    }
    let mut found = Vec::new();
    let mut current = Paragraph::default();
    for line in text.lines() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if !current.fields.is_empty() {
                found.push(std::mem::take(&mut current));
            }
        } else if line.starts_with([' ', '\t']) {
            let (_, value) = current
                .fields
                .last_mut()
                .ok_or(DebError::Control("begins with a continuation line"))?;
            let continued = line.trim();
            value.push('\n');
            value.push_str(if continued == "." { "" } else { continued });
        } else {
            let (name, value) = line
                .split_once(':')
                .ok_or(DebError::Control("has a line that is no field"))?;
            if name.is_empty()
                || !name.bytes().all(|byte| byte.is_ascii_graphic())
                || name.starts_with('-')
            {
                return Err(DebError::Control("has a field name that is not allowed"));
            }
            if current.get(name).is_some() {
                return Err(DebError::Control("has a field twice"));
            }
            current
                .fields
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }
    if !current.fields.is_empty() {
        found.push(current);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_found_whatever_their_case() {
        let read = paragraphs(
            "# note\nPackage: jq\nDescription: short\n long\n .\n end\n\n\nPackage: tree\n",
        )
        .expect("well formed");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("package"), Some("jq"));
        assert_eq!(read[0].get("description"), Some("short\nlong\n\nend"));
        assert_eq!(read[1].require("Package").expect("it is there"), "tree");
        assert!(matches!(
            read[1].require("Version"),
            Err(DebError::MissingField("Version"))
        ));
    }

    #[test]
    fn damaged_text_is_refused() {
        for text in [
            " continued\n",
            "no colon\n",
            ": value\n",
            "A: 1\na: 2\n",
            "A b: 1\n",
            "-A: 1\n",
        ] {
            assert!(
                matches!(paragraphs(text), Err(DebError::Control(_))),
                "{text:?}"
            );
        }
        assert!(paragraphs(&"A: b\n\n".repeat(800_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[A-Za-z :#.\\n\\t-]{0,200}") {
            let _ = paragraphs(&text);
        }

        #[test]
        fn rendering_is_read_back(values in proptest::collection::btree_map("[A-Z][a-z]{1,8}", "[a-z0-9]([a-z0-9 ]{0,20}[a-z0-9])?(\n[a-z]{1,9}){0,3}", 1..6)) {
            let mut paragraph = Paragraph::default();
            for (name, value) in &values {
                paragraph.set(name, value);
            }
            let fields: std::collections::BTreeSet<String> = values.keys().map(|name| name.to_lowercase()).collect();
            prop_assume!(fields.len() == values.len());
            prop_assert_eq!(paragraphs(&paragraph.render()).expect("our own text"), vec![paragraph]);
        }
    }
}
