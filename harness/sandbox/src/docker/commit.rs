//! A sandbox that becomes an image: what it changed, as a layer on its image.
//!
//! What the image says of itself is asked for in instructions (`changes` of `POST /commit`), not in
//! the request's body: Docker reads either, Podman passes over the body without a word.

use std::collections::BTreeMap;

use bollard::models::ContainerConfig;
use bollard::query_parameters::CommitContainerOptions;

use super::engine::{Engine, EngineError};
use crate::session::CommittedImage;

impl Engine {
    /// Makes an image of a container that does not run, with exactly these labels, and returns the
    /// engine's id of it. The executor is no part of the image.
    pub(crate) async fn commit_sandbox(
        &self,
        container: &str,
        image: &CommittedImage,
    ) -> Result<String, EngineError> {
        let operation = format!("keep the image `{}`", image.name);
        let inherited = self.look_at(&operation, container).await?.into_labels();
        let inherited = inherited.into_keys();
        let labels = inherited
            .map(|label| (label, String::new()))
            .chain(image.labels.clone())
            .collect();
        // An entry point that is left out is inherited from the container; this is none.
        self.commit(container, &image.name, &labels, &[r#"ENTRYPOINT [""]"#])
            .await
    }

    /// Makes an image of a container, under this name (`repository:tag`), with these labels beside
    /// those it inherits, as [`instruction`] writes them; then the other instructions. Returns the
    /// engine's id of it.
    ///
    /// # Errors
    ///
    /// [`EngineError::Protocol`] if the image does not carry the labels, any other of the requests.
    pub(super) async fn commit(
        &self,
        container: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
        others: &[&str],
    ) -> Result<String, EngineError> {
        let operation = format!("keep the image `{name}`");
        let labels: BTreeMap<&str, String> = labels
            .iter()
            .filter(|(label, _)| is_plain(label))
            .map(|(label, value)| (label.as_str(), plain(value)))
            .collect();
        let instructions: Vec<String> = labels
            .iter()
            .map(|(label, value)| instruction(label, value))
            .chain(others.iter().map(|other| (*other).to_owned()))
            .collect();
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, ""));
        let options = CommitContainerOptions {
            container: Some(container.to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes: Some(instructions.join("\n")),
            ..CommitContainerOptions::default()
        };
        let committed = self
            .docker()
            .commit_container(options, ContainerConfig::default())
            .await
            .map_err(|error| self.fault(&operation, error))?;
        let image = self.inspect_image(&committed.id).await?;
        let says = |(label, value): (&&str, &String)| image.labels.get(*label) == Some(value);
        if labels.iter().all(says) {
            return Ok(image.id);
        }
        // It would be taken for something it is not.
        self.remove_image(&image.id).await?;
        Err(EngineError::Protocol {
            operation,
            cause: "the engine did not keep its labels".to_owned(),
        })
    }
}

/// A label as an instruction. Engines read them differently where anything is to be escaped, so
/// that nothing here may be.
fn instruction(label: &str, value: &str) -> String {
    format!("LABEL {label}=\"{value}\"")
}

/// Whether a label's name is one that needs no quotes. Another was not given by this program; it is
/// inherited as it is.
fn is_plain(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    !label.is_empty() && label.bytes().all(plain)
}

/// A value that means the same to every reader of instructions: what would quote, escape, expand or
/// end it is a space.
fn plain(value: &str) -> String {
    let read_differently = |c: char| c.is_control() || matches!(c, '"' | '\\' | '$');
    value
        .chars()
        .map(|c| if read_differently(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_can_become_an_instruction() {
        let value = plain("a\"\nUSER 7\r\\$PATH 'b' ü");
        assert_eq!(value, "a  USER 7   PATH 'b' ü");
        assert_eq!(instruction("assay.note", &value).lines().count(), 1);
        assert_eq!(instruction("assay.run", ""), "LABEL assay.run=\"\"");
        for label in ["assay.note", "org.opencontainers.image/x-1_2"] {
            assert!(is_plain(label), "{label}");
        }
        for label in ["", "a b", "a\nUSER", "a=b", "\"a\"", "$a", "ü"] {
            assert!(!is_plain(label), "{label:?}");
        }
    }
}
