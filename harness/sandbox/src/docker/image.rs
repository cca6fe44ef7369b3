//! An engine's images: load one from a root file system, list, inspect, read, remove.
//!
//! An image is loaded as an archive made here from one layer and a fixed configuration, not by the
//! engine's `import`: the same root file system and labels then give the same image id on every
//! machine, and the result cache can rely on ids. What an image means (its target, whether it is
//! current) is decided in [`images`](crate::images); this module only speaks to the engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ImageInspect, ImageSummary};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, ImportImageOptions, ListImagesOptions,
    RemoveContainerOptions, RemoveImageOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::engine::{Engine, EngineError};

/// How long an engine may take to unpack an image of a few hundred megabytes.
const LOAD_TIMEOUT: Duration = Duration::from_secs(900);

/// Bytes read from the layer at a time.
const CHUNK: usize = 256 * 1024;

/// The most that is read out of an image by [`Engine::read_from_image`], in bytes.
const READ_LIMIT: usize = 8 * 1024 * 1024;

/// An image to be loaded: one layer, and what the engine shall write beside it.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Repository and tag, `assay/ubuntu-24.04:bootstrap-0123456789ab`.
    pub tag: String,
    /// The labels, all of them part of the image's id.
    pub labels: BTreeMap<String, String>,
    /// Architecture in Go's words (`amd64`).
    pub architecture: String,
    /// RFC 3339; part of the image's id, so a constant of the definition and not the clock.
    pub created: String,
    /// The root file system, an uncompressed tar.
    pub layer: PathBuf,
    /// Its size in bytes.
    pub layer_size: u64,
    /// Its sha256 in lower-case hex.
    pub layer_sha256: String,
}

/// An image the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineImage {
    /// The engine's id, `sha256:…`.
    pub id: String,
    /// Its names, sorted.
    pub tags: Vec<String>,
    /// Its names by digest (`ubuntu@sha256:…`), sorted; only pulled images have any.
    pub digests: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its size in bytes, unpacked.
    pub size: u64,
    /// When the engine got it, RFC 3339, where the engine knows; else when it says it was made.
    pub since: Option<String>,
    /// Operating system in Go's words; empty if the engine does not say.
    pub os: String,
    /// Architecture in Go's words; empty if the engine does not say.
    pub architecture: String,
    /// Its layers from the bottom up, each `sha256:` of its uncompressed tar.
    pub layers: Vec<String>,
}

impl Engine {
    /// Loads an image and answers with what the engine then has.
    ///
    /// # Errors
    ///
    /// [`EngineError::Source`] when the layer cannot be read, any other of the request.
    pub async fn load_image(&self, image: &NewImage) -> Result<EngineImage, EngineError> {
        let operation = format!("load the image `{}`", image.tag);
        let file =
            tokio::fs::File::open(&image.layer)
                .await
                .map_err(|error| EngineError::Source {
                    operation: operation.clone(),
                    cause: format!("`{}`: {error}", image.layer.display()),
                })?;
        let options = ImportImageOptions {
            quiet: true,
            platform: None,
        };
        let client = self.docker_within(LOAD_TIMEOUT);
        let answers = client.import_image_stream(options, archive(image, file), None);
        let mut answers = Box::pin(answers);
        let mut loaded = None;
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| self.fault(&operation, error))?;
            if let Some(name) = answer.stream.as_deref().and_then(loaded_name) {
                loaded = Some(name);
            }
        }
        // Podman puts a host name before the tag, so the engine's own word for it is taken.
        self.inspect_image(loaded.as_deref().unwrap_or(&image.tag))
            .await
    }

    /// Every image that carries `label` (`key` or `key=value`), in the order of their ids, those
    /// among them that have lost their names and are kept by others made of them.
    ///
    /// # Errors
    ///
    /// Any [`EngineError`] of the request.
    pub async fn labelled_images(&self, label: &str) -> Result<Vec<EngineImage>, EngineError> {
        self.images_with("label", label).await
    }

    /// Every image that has a name of this pattern (`assay/*:registry-*`), in the order of their
    /// ids. Engines put a host before such a name or leave it out, so it is for the caller to look.
    ///
    /// # Errors
    ///
    /// Any [`EngineError`] of the request.
    pub async fn named_images(&self, pattern: &str) -> Result<Vec<EngineImage>, EngineError> {
        self.images_with("reference", pattern).await
    }

    async fn images_with(&self, filter: &str, word: &str) -> Result<Vec<EngineImage>, EngineError> {
        let listed = self.list_images([(filter, word)].into()).await?;
        let mut images = Vec::new();
        for summary in listed {
            match self.inspect_image(&summary.id).await {
                Ok(image) => images.push(image),
                // Another process may remove an image between the list and the question.
                Err(EngineError::ImageMissing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        images.sort_by(|a, b| a.id.cmp(&b.id));
        images.dedup();
        Ok(images)
    }

    async fn list_images(
        &self,
        filters: BTreeMap<&str, &str>,
    ) -> Result<Vec<ImageSummary>, EngineError> {
        let filters = filters.into_iter();
        let options = ListImagesOptions {
            // Else an engine leaves out nameless images that others are made of.
            all: true,
            filters: Some(
                filters
                    .map(|(filter, word)| (filter.to_owned(), vec![word.to_owned()]))
                    .collect(),
            ),
            ..ListImagesOptions::default()
        };
        let listed = self.docker().list_images(Some(options)).await;
        listed.map_err(|error| self.fault("list the images", error))
    }

    /// One image by name or id.
    ///
    /// # Errors
    ///
    /// [`EngineError::ImageMissing`] when the engine has none, any other of the request.
    pub async fn inspect_image(&self, name: &str) -> Result<EngineImage, EngineError> {
        match self.docker().inspect_image(name).await {
            Ok(image) => Ok(engine_image(image)),
            Err(error) => Err(self.image_fault("inspect the image", name, error)),
        }
    }

    /// The ids of the images that were made of another, as far as the engine keeps count.
    ///
    /// # Errors
    ///
    /// Any [`EngineError`] of the request.
    pub async fn images_made_of(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let listed = self.list_images(BTreeMap::new()).await?;
        let made = listed.into_iter().filter(|image| image.parent_id == id);
        Ok(made.map(|image| image.id).collect())
    }

    /// The names of the containers, running or not, that were made of an image or of one that was
    /// made of it.
    ///
    /// # Errors
    ///
    /// Any [`EngineError`] of the request.
    pub async fn containers_of_image(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let listed = self
            .containers_with("list the containers of an image", "ancestor", id)
            .await?;
        let names = listed.into_iter().flat_map(|one| one.names);
        Ok(names
            .flatten()
            .map(|name| name.trim_start_matches('/').to_owned())
            .collect())
    }

    /// Removes one image by name or id; one that is gone already is no fault.
    ///
    /// # Errors
    ///
    /// [`EngineError::Api`] with status 409 while a container uses it, any other of the request.
    pub async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptions {
            force: false,
            noprune: false,
            platforms: None,
        };
        match self.docker().remove_image(name, Some(options), None).await {
            Ok(_) => Ok(()),
            Err(error) => match self.image_fault("remove the image", name, error) {
                EngineError::ImageMissing { .. } => Ok(()),
                fault @ (EngineError::HostUnsupported { .. }
                | EngineError::Unreachable { .. }
                | EngineError::Died { .. }
                | EngineError::TimedOut { .. }
                | EngineError::Api { .. }
                | EngineError::Protocol { .. }
                | EngineError::Source { .. }) => Err(fault),
            },
        }
    }

    /// Files and folders out of an image, each as a tar whose first component is the path's last;
    /// `None` for a path the image does not have. Made for images that were pulled: those this
    /// crate loads are read before loading. A container is created for it and never started.
    ///
    /// # Errors
    ///
    /// [`EngineError::Protocol`] when a path holds more than 8 MiB, any other of the requests.
    pub async fn read_from_image(
        &self,
        id: &str,
        paths: &[&str],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let body = ContainerCreateBody {
            image: Some(id.to_owned()),
            cmd: Some(vec!["/never-started".to_owned()]),
            network_disabled: Some(true),
            ..ContainerCreateBody::default()
        };
        let created = self
            .docker()
            .create_container(None::<CreateContainerOptions>, body)
            .await
            .map_err(|error| self.image_fault("read the image", id, error))?;
        let mut contents = Vec::new();
        let mut fault = None;
        for path in paths {
            match self.read_path(&created.id, path).await {
                Ok(content) => contents.push(content),
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            }
        }
        let options = RemoveContainerOptions {
            v: true,
            force: true,
            link: false,
        };
        let removed = self
            .docker()
            .remove_container(&created.id, Some(options))
            .await;
        match fault {
            Some(error) => Err(error),
            None => removed
                .map(|()| contents)
                .map_err(|error| self.fault("remove the container the image was read with", error)),
        }
    }

    async fn read_path(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let operation = format!("read `{path}` of the image");
        let options = DownloadFromContainerOptions {
            path: path.to_owned(),
        };
        let mut parts = Box::pin(
            self.docker()
                .download_from_container(container, Some(options)),
        );
        let mut content = Vec::new();
        while let Some(part) = parts.next().await {
            match part {
                Ok(bytes) => content.extend_from_slice(&bytes),
                Err(bollard::errors::Error::DockerResponseServerError {
                    status_code: 404, ..
                }) => return Ok(None),
                Err(error) => return Err(self.fault(&operation, error)),
            }
            if content.len() > READ_LIMIT {
                return Err(EngineError::Protocol {
                    operation,
                    cause: format!("it holds more than {READ_LIMIT} bytes"),
                });
            }
        }
        Ok(Some(content))
    }

    /// As [`Engine::fault`], with a 404 told as the missing image it means; Podman may have found
    /// it and then not find it any more, and tells that with another status.
    pub(in crate::docker) fn image_fault(
        &self,
        operation: &str,
        image: &str,
        error: bollard::errors::Error,
    ) -> EngineError {
        match self.fault(operation, error) {
            EngineError::Api {
                status, message, ..
            } if status == 404 || message.contains("image not known") => {
                EngineError::ImageMissing {
                    image: image.to_owned(),
                }
            }
            fault @ (EngineError::HostUnsupported { .. }
            | EngineError::Unreachable { .. }
            | EngineError::ImageMissing { .. }
            | EngineError::Died { .. }
            | EngineError::TimedOut { .. }
            | EngineError::Api { .. }
            | EngineError::Protocol { .. }
            | EngineError::Source { .. }) => fault,
        }
    }
}

fn engine_image(image: ImageInspect) -> EngineImage {
    let mut tags = image.repo_tags.unwrap_or_default();
    tags.sort();
    let mut digests = image.repo_digests.unwrap_or_default();
    digests.sort();
    EngineImage {
        id: image.id.unwrap_or_default(),
        tags,
        digests,
        labels: image
            .config
            .and_then(|config| config.labels)
            .unwrap_or_default()
            .into_iter()
            .collect(),
        size: image
            .size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
        since: image
            .metadata
            .and_then(|metadata| metadata.last_tag_time)
            // An image that was never tagged here has the zero of Go's clock.
            .filter(|time| !time.starts_with("0001-"))
            .or(image.created),
        os: image.os.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        layers: image
            .root_fs
            .and_then(|root| root.layers)
            .unwrap_or_default(),
    }
}

/// The name in `Loaded image: NAME` or `Loaded image ID: ID`, the line every engine ends with.
fn loaded_name(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("Loaded image")?;
    let name = rest.trim_start_matches(" ID").strip_prefix(':')?.trim();
    // Podman may list several names on one line.
    name.split([',', ' '])
        .next()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The archive `docker load` reads (Docker Image Specification v1.2): the layer, the image's
/// configuration, and the manifest that names both.
fn archive(
    image: &NewImage,
    file: tokio::fs::File,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let configuration = configuration(image);
    let name = format!("{}.json", hex(&Sha256::digest(&configuration)));
    let manifest = serde_json::json!([{
        "Config": name, "RepoTags": [image.tag], "Layers": ["layer.tar"],
    }])
    .to_string();
    let mut tail = padding(image.layer_size);
    for (path, content) in [
        (name.as_str(), configuration.as_slice()),
        ("manifest.json", manifest.as_bytes()),
    ] {
        tail.extend(header(path, content.len() as u64));
        tail.extend(content);
        tail.extend(padding(content.len() as u64));
    }
    tail.extend([0; 1024]);
    let head = stream::once(std::future::ready(Ok(Bytes::from(header(
        "layer.tar",
        image.layer_size,
    )))));
    head.chain(exactly(file, image.layer_size))
        .chain(stream::once(std::future::ready(Ok(Bytes::from(tail)))))
}

/// The image's configuration: the value whose sha256 is the image's id.
fn configuration(image: &NewImage) -> Vec<u8> {
    serde_json::json!({
        "architecture": image.architecture,
        "os": "linux",
        "created": image.created,
        "config": { "Labels": image.labels },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", image.layer_sha256)] },
        "history": [{ "created": image.created, "created_by": "assay images build" }],
    })
    .to_string()
    .into_bytes()
}

/// The file's first `size` bytes; a shorter file is an error, for its header is sent already.
fn exactly(
    file: tokio::fs::File,
    size: u64,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    stream::try_unfold((file.take(size), size), |(mut source, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = vec![0; CHUNK];
        let read = source.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the layer became shorter while it was sent",
            ));
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (source, left - read as u64))))
    })
}

fn header(path: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // The paths are a sha256 or a constant, far below the 100 bytes a header has room for.
    let fits = header.set_path(path);
    debug_assert!(fits.is_ok(), "`{path}` does not fit a tar header");
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// The zeros that fill a tar's last block of 512 bytes.
fn padding(size: u64) -> Vec<u8> {
    vec![0; ((512 - size % 512) % 512) as usize]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn archived(content: &[u8], claimed: u64) -> Result<Vec<u8>, std::io::Error> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layer = folder.path().join("layer");
        std::fs::write(&layer, content).expect("a layer");
        let image = NewImage {
            tag: "assay/x:lab-0".to_owned(),
            labels: [("assay.target".to_owned(), "x".to_owned())].into(),
            architecture: "amd64".to_owned(),
            created: "2024-04-25T00:00:00Z".to_owned(),
            layer: layer.clone(),
            layer_size: claimed,
            layer_sha256: "ab".repeat(32),
        };
        let file = tokio::fs::File::open(&layer).await.expect("the layer");
        let mut bytes = Vec::new();
        let mut parts = Box::pin(archive(&image, file));
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn an_archive_is_a_tar_of_layer_configuration_and_manifest() {
        for size in [0_usize, 1, 512, 700_001] {
            let content = vec![7; size];
            let bytes = archived(&content, size as u64).await.expect("an archive");
            let mut tar = tar::Archive::new(bytes.as_slice());
            let mut files = BTreeMap::new();
            for entry in tar.entries().expect("entries") {
                let mut entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
                files.insert(path, content);
            }
            assert_eq!(files["layer.tar"], content);
            let manifest: serde_json::Value =
                serde_json::from_slice(&files["manifest.json"]).expect("a manifest");
            let name = manifest[0]["Config"].as_str().expect("a name");
            assert_eq!(name, format!("{}.json", hex(&Sha256::digest(&files[name]))));
            let configuration: serde_json::Value =
                serde_json::from_slice(&files[name]).expect("a configuration");
            assert_eq!(configuration["config"]["Labels"]["assay.target"], "x");
        }
    }

    #[tokio::test]
    async fn a_layer_that_became_shorter_is_an_error_and_a_longer_one_is_cut() {
        let error = archived(b"abc", 4).await.expect_err("too short");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        let bytes = archived(b"abcdef", 3).await.expect("an archive");
        assert_eq!(&bytes[512..516], b"abc\0");
    }

    #[test]
    fn the_engines_last_line_names_the_image() {
        for (line, name) in [
            ("Loaded image: assay/x:lab-0\n", Some("assay/x:lab-0")),
            ("Loaded image ID: sha256:00ff\n", Some("sha256:00ff")),
            (
                "Loaded image: docker.io/assay/x:lab-0,docker.io/assay/y:lab-0",
                Some("docker.io/assay/x:lab-0"),
            ),
            ("Loaded image: ", None),
            ("Loading layer", None),
        ] {
            assert_eq!(loaded_name(line).as_deref(), name, "{line:?}");
        }
    }
}
