//! A sandbox that becomes an image: what it changed, as a layer on its image.

use std::collections::HashMap;

use bollard::models::ContainerConfig;
use bollard::query_parameters::CommitContainerOptions;

use super::engine::{Engine, EngineError};
use crate::session::CommittedImage;

impl Engine {
    /// Makes an image of a container that does not run. An image inherits the labels of its
    /// container and, through it, those of its image: all but the ones given are emptied.
    pub(crate) async fn commit_sandbox(
        &self,
        container: &str,
        image: &CommittedImage,
    ) -> Result<String, EngineError> {
        let operation = format!("keep the image `{}`", image.name);
        let inspected = self
            .docker()
            .inspect_container(container, None)
            .await
            .map_err(|error| self.fault(&operation, error))?;
        let inherited = inspected.config.and_then(|config| config.labels);
        let mut labels: HashMap<String, String> = inherited
            .unwrap_or_default()
            .into_keys()
            .map(|label| (label, String::new()))
            .collect();
        labels.extend(image.labels.clone());
        let (repository, tag) = image.name.rsplit_once(':').unwrap_or((&image.name, ""));
        let options = CommitContainerOptions {
            container: Some(container.to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            ..CommitContainerOptions::default()
        };
        let config = ContainerConfig {
            labels: Some(labels),
            // The executor is no part of the image. An entry point that is left out is inherited
            // from the container; this is the engine's word for none.
            entrypoint: Some(vec![String::new()]),
            ..ContainerConfig::default()
        };
        self.docker()
            .commit_container(options, config)
            .await
            .map(|committed| committed.id)
            .map_err(|error| self.fault(&operation, error))
    }
}
