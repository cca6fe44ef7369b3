//! Prepared images: an image with the executor in it, and with what that has learned of the
//! image's files.
//!
//! Every sandbox starts from one, so that no start has to send the executor and no first manifest
//! has to read the whole image. One is made when the first sandbox of an image is started with an
//! executor, and found by its name from then on: a cache, kept by the engine. Those of executors
//! not used any more are removed when another is made; those of an image, before the image is.

use std::time::{Duration, SystemTime};

use assay_wire::digest::Digest;
use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt as _;
use tokio::sync::Mutex;

use super::engine::{Engine, EngineError};
use super::session::Container;
use super::session::body::{LABEL_CELL, LABEL_CREATED, LABEL_OWNER, LABEL_RUN, container_body};
use crate::session::{SandboxSpec, SandboxUse};

/// Where prepared images are.
const REPOSITORY: &str = "assay/prepared";

/// Label of the image that was prepared, its id.
pub(crate) const LABEL_PREPARED: &str = "assay.prepared";

/// Label of the executor, its sha256.
pub(crate) const LABEL_EXECUTOR: &str = "assay.executor";

/// How long one of another executor is spared: two versions may be in use side by side.
const SPARED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the executor may look at an image.
const LEARNED_WITHIN: Duration = Duration::from_secs(300);

/// Whether somebody in this process is preparing an image.
static PREPARING: Mutex<()> = Mutex::const_new(());

/// A prepared image, there or not.
#[derive(Debug)]
pub(super) struct Prepared {
    executor: Digest,
    tag: String,
}

impl Prepared {
    /// What the sandboxes of a specification start from.
    pub(super) fn of(spec: &SandboxSpec) -> Self {
        let executor = Digest::of(&spec.executor);
        let id = spec.image.trim_start_matches("sha256:");
        let image: String = id.chars().take(12).collect();
        Self {
            tag: format!("{image}-{}", executor.short()),
            executor,
        }
    }

    /// Its name at the engine.
    pub(super) fn name(&self) -> String {
        format!("{REPOSITORY}:{}", self.tag)
    }

    /// Makes it, unless somebody else just has.
    pub(super) async fn make(
        &self,
        engine: &Engine,
        spec: &SandboxSpec,
        name: String,
    ) -> Result<(), EngineError> {
        let _alone = PREPARING.lock().await;
        match engine.inspect_image(&self.name()).await {
            Err(EngineError::ImageMissing { .. }) => {}
            other => return other.map(|_| ()),
        }
        // Looking needs no more than any cell gets, whatever the sandbox is for.
        let looking = SandboxSpec {
            used_for: SandboxUse::Cell,
            ..spec.clone()
        };
        let mut body = container_body(&looking, &spec.image);
        body.cmd = Some(vec!["learn".to_owned()]);
        body.open_stdin = Some(false);
        let container = Container::create(engine, name, body).await?;
        let made = self.learn_and_keep(&container, spec).await;
        let removed = container.remove().await;
        made.and(removed)?;
        // Tidying is no reason for a start to fail: the next making tries again.
        let _ = self.remove_others(engine, spec.created).await;
        Ok(())
    }

    async fn learn_and_keep(
        &self,
        container: &Container,
        spec: &SandboxSpec,
    ) -> Result<(), EngineError> {
        let Container { engine, name, .. } = container;
        container.upload(&spec.executor).await?;
        container.start().await?;
        let client = engine.docker_within(LEARNED_WITHIN);
        let mut end = Box::pin(client.wait_container(name, None::<WaitContainerOptions>));
        // However it ends: what was not learned is read by every first manifest, and an executor
        // that cannot run at all is told by the sandbox's own start.
        if tokio::time::timeout(LEARNED_WITHIN, end.next())
            .await
            .is_err()
        {
            return Err(EngineError::TimedOut {
                operation: "look at the image".to_owned(),
                seconds: LEARNED_WITHIN.as_secs(),
            });
        }
        // An image inherits the labels of its container and, through it, those of its image. None
        // of them is true of it, but when it was made.
        let image = engine.inspect_image(&spec.image).await?;
        let inherited = image.labels.into_keys();
        let untrue = inherited.chain([LABEL_RUN, LABEL_OWNER, LABEL_CELL].map(str::to_owned));
        let own = [
            (LABEL_PREPARED.to_owned(), spec.image.clone()),
            (LABEL_EXECUTOR.to_owned(), self.executor.to_string()),
        ];
        let labels = untrue.map(|label| (label, String::new())).chain(own);
        engine
            .commit(name, &self.name(), &labels.collect(), &[])
            .await
            .map(|_| ())
    }

    /// Removes those of other executors that were made some time ago.
    async fn remove_others(&self, engine: &Engine, now: SystemTime) -> Result<(), EngineError> {
        let executor = self.executor.to_string();
        for image in engine.labelled_images(LABEL_PREPARED).await? {
            let made = image
                .labels
                .get(LABEL_CREATED)
                .and_then(|seconds| seconds.parse().ok())
                .and_then(|seconds| {
                    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
                });
            let age = made.and_then(|made| now.duration_since(made).ok());
            let others = image.labels.get(LABEL_EXECUTOR) != Some(&executor);
            if others && age.is_some_and(|age| age > SPARED_FOR) {
                engine.remove_unused(&image.id).await?;
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Removes what was prepared of an image, so that the image can be removed. What a container
    /// still uses stays.
    ///
    /// # Errors
    ///
    /// Any [`EngineError`] of the requests but a refusal.
    pub async fn remove_prepared(&self, image: &str) -> Result<(), EngineError> {
        let label = format!("{LABEL_PREPARED}={image}");
        for prepared in self.labelled_images(&label).await? {
            self.remove_unused(&prepared.id).await?;
        }
        Ok(())
    }

    /// Removes an image unless the engine refuses because something uses it.
    async fn remove_unused(&self, image: &str) -> Result<(), EngineError> {
        match self.remove_image(image).await {
            Err(EngineError::Api { .. }) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::lease::OwnerId;
    use crate::session::SandboxLimits;

    #[test]
    fn a_name_says_which_image_and_which_executor() {
        let spec = |image: &str, executor: &[u8]| SandboxSpec {
            traced: true,
            run: "r-1".parse().expect("a run"),
            owner: OwnerId::of("m", 0, Path::new("/c")),
            cell: "arch:jq".parse().expect("a cell"),
            image: image.to_owned(),
            used_for: SandboxUse::Cell,
            executor: Arc::from(executor),
            limits: SandboxLimits::default(),
            created: SystemTime::UNIX_EPOCH,
        };
        let name = |image, executor| Prepared::of(&spec(image, executor)).name();
        let image = "sha256:0123456789abcdef0123456789abcdef";
        // sha256 of the empty string begins so.
        assert_eq!(name(image, b""), "assay/prepared:0123456789ab-e3b0c44298fc");
        assert_ne!(name(image, b""), name(image, b"x"));
        assert_ne!(name(image, b""), name("sha256:1123456789abcdef", b""));
    }
}
