//! Pulling an image from a registry, and giving what came a name: what an engine does by itself,
//! told in lines a person can follow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptions, TagImageOptions};
use futures_util::StreamExt as _;

use super::engine::{Engine, EngineError};
use super::image::EngineImage;

/// How long a pull may show no progress before it is given up. A registry that cannot be reached
/// is told within this time, one that is slow is waited for.
const SILENCE: Duration = Duration::from_secs(20);

/// How long a line about the progress stands before another is told.
const LINE_STANDS: Duration = Duration::from_secs(1);

/// The most layers of one image that are counted. Engines take no more than 127.
const LAYERS_LIMIT: usize = 1000;

impl Engine {
    /// Pulls an image by its digest. `progress` gets at most one line a second: layers and bytes.
    ///
    /// # Errors
    ///
    /// [`EngineError::TimedOut`] when nothing moves for 20 s, any other of the request.
    pub async fn pull_image(
        &self,
        reference: &str,
        architecture: &str,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<EngineImage, EngineError> {
        let operation = format!("pull `{reference}`");
        let silent = || EngineError::TimedOut {
            operation: operation.clone(),
            seconds: SILENCE.as_secs(),
        };
        let options = CreateImageOptions {
            from_image: Some(reference.to_owned()),
            platform: format!("linux/{architecture}"),
            ..CreateImageOptions::default()
        };
        let client = self.docker_within(SILENCE);
        let mut answers = Box::pin(client.create_image(Some(options), None, None));
        let mut layers = Layers::default();
        let mut told = (Instant::now(), String::new());
        loop {
            match tokio::time::timeout(SILENCE, answers.next()).await {
                Err(_) => return Err(silent()),
                Ok(None) => break,
                Ok(Some(Err(bollard::errors::Error::RequestTimeoutError))) => return Err(silent()),
                Ok(Some(Err(error))) => return Err(self.fault(&operation, error)),
                Ok(Some(Ok(answer))) => layers.note(&answer),
            }
            let line = layers.line();
            if told.0.elapsed() >= LINE_STANDS && line != told.1 {
                progress(&line);
                told = (Instant::now(), line);
            }
        }
        self.inspect_image(reference).await
    }

    /// Gives an image another name, `repository:tag`, taking it from whichever has it.
    ///
    /// # Errors
    ///
    /// [`EngineError::ImageMissing`] when the engine has no such image, any other of the request.
    pub async fn name_image(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, ""));
        let options = TagImageOptions {
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
        };
        self.docker()
            .tag_image(id, Some(options))
            .await
            .map_err(|error| self.image_fault("name the image", id, error))
    }
}

/// How far a pull has come, layer by layer.
#[derive(Debug, Default)]
struct Layers {
    by_id: BTreeMap<String, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    fetched: u64,
    /// Compressed, as the registry says; 0 until it is fetched.
    size: u64,
    there: bool,
}

impl Layers {
    /// Takes in one of the engine's answers. Those that are about no layer say nothing new.
    fn note(&mut self, answer: &CreateImageInfo) {
        let (Some(id), Some(status)) = (&answer.id, &answer.status) else {
            return;
        };
        let fetching = status == "Downloading";
        let fetched = matches!(
            status.as_str(),
            "Verifying Checksum" | "Download complete" | "Extracting"
        );
        let there = matches!(status.as_str(), "Pull complete" | "Already exists");
        let waits = matches!(status.as_str(), "Pulling fs layer" | "Waiting");
        let room = self.by_id.len() < LAYERS_LIMIT || self.by_id.contains_key(id);
        if !room || !(fetching || fetched || there || waits) {
            return;
        }
        let layer = self.by_id.entry(id.clone()).or_default();
        if fetching && let Some(detail) = &answer.progress_detail {
            let bytes = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
            layer.fetched = bytes(detail.current).unwrap_or(layer.fetched);
            layer.size = bytes(detail.total).unwrap_or(layer.size);
        }
        if fetched || there {
            layer.fetched = layer.size;
            layer.there = there;
        }
    }

    /// `2 of 5 layers, 12.3 of 40.1 MB fetched`.
    fn line(&self) -> String {
        let layers = self.by_id.values();
        let sum = |bytes: fn(&Layer) -> u64| {
            let all = layers.clone().map(bytes);
            all.fold(0_u64, u64::saturating_add) as f64 / 1e6
        };
        format!(
            "{} of {} layers, {:.1} of {:.1} MB fetched",
            layers.clone().filter(|layer| layer.there).count(),
            self.by_id.len(),
            sum(|layer| layer.fetched),
            sum(|layer| layer.size)
        )
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn answer(id: &str, status: &str, bytes: Option<(i64, i64)>) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: bytes.map(|(current, total)| ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn a_pull_is_told_in_layers_and_bytes() {
        let mut layers = Layers::default();
        for (id, status, bytes, line) in [
            // The first answer has an id, too, and is about no layer.
            (
                "t",
                "Pulling from a/b",
                None,
                "0 of 0 layers, 0.0 of 0.0 MB",
            ),
            (
                "a",
                "Pulling fs layer",
                None,
                "0 of 1 layers, 0.0 of 0.0 MB",
            ),
            ("b", "Already exists", None, "1 of 2 layers, 0.0 of 0.0 MB"),
            (
                "a",
                "Downloading",
                Some((1_500_000, 9_000_000)),
                "1 of 2 layers, 1.5 of 9.0 MB",
            ),
            (
                "a",
                "Downloading",
                Some((-1, 9_000_000)),
                "1 of 2 layers, 1.5 of 9.0 MB",
            ),
            (
                "a",
                "Download complete",
                None,
                "1 of 2 layers, 9.0 of 9.0 MB",
            ),
            // Unpacking has bytes of its own, which were fetched already.
            (
                "a",
                "Extracting",
                Some((1, 9_000_000)),
                "1 of 2 layers, 9.0 of 9.0 MB",
            ),
            ("a", "Pull complete", None, "2 of 2 layers, 9.0 of 9.0 MB"),
        ] {
            layers.note(&answer(id, status, bytes));
            assert_eq!(layers.line(), format!("{line} fetched"), "{id} {status}");
        }
    }

    #[test]
    fn an_engine_that_names_layers_without_end_is_not_followed() {
        let mut layers = Layers::default();
        for number in 0..LAYERS_LIMIT + 10 {
            layers.note(&answer(&number.to_string(), "Waiting", None));
        }
        assert_eq!(layers.by_id.len(), LAYERS_LIMIT);
    }
}
