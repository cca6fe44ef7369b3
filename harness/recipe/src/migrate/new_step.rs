//! Steps as they are written into a recipe.

use super::is_unseen;

/// A step as it will be written: keys and values in TOML.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NewStep(Vec<(String, String)>);

impl NewStep {
    pub(super) fn of(action: &str) -> Self {
        Self(vec![("action".to_owned(), toml_string(action))])
    }

    pub(super) fn with(mut self, key: &str, value: String) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    /// Adds a key right after the action.
    pub(super) fn put_first(&mut self, key: &str, value: String) {
        self.0.insert(1, (key.to_owned(), value));
    }

    pub(super) fn entries(&self) -> Vec<String> {
        let entries = self.0.iter();
        entries
            .map(|(key, value)| format!("{key} = {value}"))
            .collect()
    }
}

/// Texts as a list of TOML.
pub(super) fn toml_list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts
        .iter()
        .map(|text| toml_string(text.as_ref()))
        .collect();
    format!("[{}]", texts.join(", "))
}

/// A text as a basic string of TOML.
pub(super) fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            unseen if is_unseen(unseen) => {
                out.push_str(&format!("\\U{:08X}", u32::from(unseen)));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}
