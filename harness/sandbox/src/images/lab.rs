//! Root file systems that lie in files: the lab's, named by its manifest, and a user's tarball.
//!
//! The lab (`assay-lab build`) writes `<cache>/lab/manifest.json` and the files beside it. Every
//! file is verified against its sha256 before anything reads it, and is decompressed here if need
//! be, because an image's id is made from the uncompressed bytes.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use assay_wire::digest::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::error::BuildError;
use super::source::Word;

/// The most a manifest may hold, in bytes.
const MANIFEST_LIMIT: u64 = 1024 * 1024;

/// The most a decompressed root file system may hold, in bytes.
const ROOT_LIMIT: u64 = 16 * 1024 * 1024 * 1024;

/// The first bytes of a Zstandard frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What `assay-lab build` has made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabManifest {
    schema: String,
    version: u32,
    /// Identifies everything the lab was made from.
    pub digest: Digest,
    /// The images.
    pub images: Vec<LabImage>,
    /// The signed package repositories, served by the proxy.
    pub repositories: LabRepositories,
    /// The public test keys the repositories are signed with.
    pub keys: Vec<LabKey>,
}

/// One image of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabImage {
    /// The name definitions use (`fedora-44`).
    pub target: String,
    /// The file, relative to the manifest.
    pub file: String,
    /// What its bytes hash to.
    pub sha256: Digest,
    /// What stands in for what, in one sentence; shown with the image.
    pub kind_note: String,
}

/// The lab's package repositories.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabRepositories {
    /// The folder, relative to the manifest.
    pub path: String,
    /// The sha256 of the sorted lines `SHA256  PATH` of its files.
    pub sha256: Digest,
}

/// A public test key of the lab, served beside the repositories in both forms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabKey {
    /// Its short name.
    pub name: String,
    /// The path of the armored form below the repositories.
    pub armored_path: String,
    /// What the armored form hashes to.
    pub armored_sha256: Digest,
    /// The path of the binary form below the repositories.
    pub binary_path: String,
    /// What the binary form hashes to.
    pub binary_sha256: Digest,
    /// Forty capital hex digits.
    pub fingerprint: String,
}

/// A file with a root file system, verified by its digest when it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootFile {
    pub(super) path: PathBuf,
    pub(super) sha256: Digest,
    /// What stands in for what, where something does.
    pub(super) note: Option<String>,
}

/// Where the manifest lies below a cache folder.
pub fn manifest_path(cache: &Path) -> PathBuf {
    cache.join("lab").join("manifest.json")
}

impl LabManifest {
    /// Reads the manifest below a cache folder; `None` if the lab was never built.
    ///
    /// # Errors
    ///
    /// [`BuildError::LabManifest`] when the file cannot be read or is no such manifest.
    pub fn read(cache: &Path) -> Result<Option<Self>, BuildError> {
        let path = manifest_path(cache);
        let fault = |cause: String| BuildError::LabManifest {
            path: path.clone(),
            cause,
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error.to_string())),
        };
        let mut bytes = Vec::new();
        file.take(MANIFEST_LIMIT)
            .read_to_end(&mut bytes)
            .map_err(|error| fault(error.to_string()))?;
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
        if manifest.schema != "assay-lab" || manifest.version != 1 {
            return Err(fault(format!(
                "it is version {} of `{}`, not version 1 of `assay-lab`",
                manifest.version,
                manifest.schema.escape_debug()
            )));
        }
        Ok(Some(manifest))
    }

    /// The entry of an image.
    pub fn image(&self, name: &Word) -> Option<&LabImage> {
        self.images
            .iter()
            .find(|image| image.target == name.as_str())
    }
}

/// The file of one of the lab's images.
///
/// # Errors
///
/// [`BuildError::LabMissing`] when the lab was never built or has no such image,
/// [`BuildError::LabManifest`] when its manifest is wrong.
pub(super) fn lab_file(cache: &Path, name: &Word) -> Result<RootFile, BuildError> {
    let path = manifest_path(cache);
    let missing = || BuildError::LabMissing {
        manifest: path.clone(),
        name: name.to_string(),
    };
    let manifest = LabManifest::read(cache)?.ok_or_else(missing)?;
    let image = manifest.image(name).ok_or_else(missing)?;
    let relative = Path::new(&image.file);
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside || image.file.is_empty() {
        return Err(BuildError::LabManifest {
            path: path.clone(),
            cause: format!(
                "the file `{}` lies outside the lab",
                image.file.escape_debug()
            ),
        });
    }
    Ok(RootFile {
        path: cache.join("lab").join(relative),
        sha256: image.sha256,
        note: Some(image.kind_note.clone()),
    })
}

/// Verifies a file and answers with an uncompressed tar of the same content: the file itself, or
/// one written into `work`. Blocks.
///
/// # Errors
///
/// [`BuildError::DigestMismatch`] when the bytes are not what they should be,
/// [`BuildError::File`] when they cannot be read or decompressed.
pub(super) fn verified(root: &RootFile, work: &Path) -> Result<PathBuf, BuildError> {
    let fault = |error: io::Error| BuildError::File {
        path: root.path.clone(),
        cause: error.to_string(),
    };
    let mut file = std::fs::File::open(&root.path).map_err(fault)?;
    if !file.metadata().map_err(fault)?.is_file() {
        return Err(fault(io::Error::other("it is no regular file")));
    }
    let mut sha256 = Sha256::new();
    let mut first = [0; 4];
    let mut chunk = vec![0; 1024 * 1024];
    let mut size = 0_usize;
    loop {
        let read = file.read(&mut chunk).map_err(fault)?;
        if read == 0 {
            break;
        }
        if size == 0 {
            let taken = read.min(first.len());
            first[..taken].copy_from_slice(&chunk[..taken]);
        }
        size += read;
        sha256.update(&chunk[..read]);
    }
    let found = Digest::from_bytes(sha256.finalize().into());
    if found != root.sha256 {
        return Err(BuildError::DigestMismatch {
            path: root.path.clone(),
            expected: root.sha256,
            found,
        });
    }
    if first != ZSTD_MAGIC {
        return Ok(root.path.clone());
    }
    let target = work.join("root.tar");
    let source = std::fs::File::open(&root.path).map_err(fault)?;
    let mut decoder = zstd::stream::read::Decoder::new(source)
        .map_err(fault)?
        .take(ROOT_LIMIT + 1);
    let mut out =
        io::BufWriter::with_capacity(1024 * 1024, std::fs::File::create(&target).map_err(fault)?);
    let written = io::copy(&mut decoder, &mut out).map_err(fault)?;
    out.flush().map_err(fault)?;
    if written > ROOT_LIMIT {
        return Err(fault(io::Error::other(format!(
            "it unpacks to more than {ROOT_LIMIT} bytes"
        ))));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(manifest: &str) -> tempfile::TempDir {
        let cache = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(cache.path().join("lab")).expect("a folder");
        std::fs::write(manifest_path(cache.path()), manifest).expect("a manifest");
        cache
    }

    fn manifest(file: &str, sha256: &Digest) -> String {
        format!(
            r#"{{"schema":"assay-lab","version":1,"digest":"{sha256}","images":[{{"target":"arch","file":"{file}","sha256":"{sha256}","kind_note":"a note"}}],"repositories":{{"path":"repositories.tar","sha256":"{sha256}"}},"keys":[{{"name":"lab","armored_path":"lab.asc","armored_sha256":"{sha256}","binary_path":"lab.gpg","binary_sha256":"{sha256}","fingerprint":"00"}}]}}"#
        )
    }

    fn name() -> Word {
        "arch".parse().expect("a word")
    }

    #[test]
    fn a_file_named_by_the_manifest_is_found_and_verified() {
        let digest = Digest::of(b"bytes");
        let cache = lab(&manifest("images/arch.tar", &digest));
        let file = lab_file(cache.path(), &name()).expect("the file");
        assert_eq!(file.path, cache.path().join("lab/images/arch.tar"));
        std::fs::create_dir(cache.path().join("lab/images")).expect("a folder");
        std::fs::write(&file.path, b"bytes").expect("the bytes");
        assert_eq!(verified(&file, cache.path()).expect("verified"), file.path);
        std::fs::write(&file.path, b"other").expect("other bytes");
        let error = verified(&file, cache.path()).expect_err("other bytes");
        assert!(
            matches!(error, BuildError::DigestMismatch { .. }),
            "{error:?}"
        );
        std::fs::remove_file(&file.path).expect("removed");
        assert!(matches!(
            verified(&file, cache.path()),
            Err(BuildError::File { .. })
        ));
    }

    #[test]
    fn a_compressed_file_is_verified_as_it_lies_and_unpacked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let compressed = zstd::encode_all(&b"content"[..], 1).expect("a frame");
        let path = folder.path().join("x.tar.zst");
        std::fs::write(&path, &compressed).expect("a file");
        let root = RootFile {
            path,
            sha256: Digest::of(&compressed),
            note: None,
        };
        let unpacked = verified(&root, folder.path()).expect("verified");
        assert_eq!(std::fs::read(unpacked).expect("the content"), b"content");
    }

    #[test]
    fn a_wrong_manifest_is_an_error_and_a_missing_one_a_hint() {
        let digest = Digest::of(b"");
        for text in [
            "".to_owned(),
            "{}".to_owned(),
            manifest("a.tar", &digest).replace("\"version\":1", "\"version\":2"),
            manifest("a.tar", &digest).replace("assay-lab", "other"),
            manifest("a.tar", &digest).replace("kind_note", "unknown_key"),
            manifest("../a.tar", &digest),
            manifest("/a.tar", &digest),
            manifest("", &digest),
        ] {
            let cache = lab(&text);
            let error = lab_file(cache.path(), &name()).expect_err(&text);
            assert!(
                matches!(error, BuildError::LabManifest { .. }),
                "{text}: {error:?}"
            );
        }
        let cache = lab(&manifest("a.tar", &digest));
        let other = "fedora-44".parse().expect("a word");
        assert!(matches!(
            lab_file(cache.path(), &other),
            Err(BuildError::LabMissing { .. })
        ));
        let empty = tempfile::tempdir().expect("a temporary folder");
        let error = lab_file(empty.path(), &name()).expect_err("no lab");
        assert!(matches!(error, BuildError::LabMissing { .. }));
        assert!(error.hint().expect("a hint").contains("assay-lab build"));
    }
}
