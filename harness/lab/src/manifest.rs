//! The manifest at the root of the cache: what the lab consists of, by hash.
//!
//! Its form is a contract with `assay images build`, which reads it. `crate::build`
//! writes it, last.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};

/// The file's name in the cache folder.
pub(crate) const FILE: &str = "manifest.json";
/// The value of its field `schema`.
pub(crate) const SCHEMA: &str = "assay-lab";
/// The value of its field `version`.
pub(crate) const VERSION: u32 = 1;

/// What the lab consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// `assay-lab`
    pub(crate) schema: String,
    /// The version of the form.
    pub(crate) version: u32,
    /// SHA-256 of all inputs: builder, data and every Debian package.
    pub(crate) digest: String,
    /// The images that were built, sorted by target.
    pub(crate) images: Vec<Image>,
    /// The folder that is served.
    pub(crate) repositories: Repositories,
    /// The public keys, sorted by name.
    pub(crate) keys: Vec<PublicKey>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    /// The target's id.
    pub(crate) target: String,
    /// The archive, relative to the cache folder.
    pub(crate) file: String,
    /// SHA-256 of the archive.
    pub(crate) sha256: String,
    /// What the image is, in words for reports.
    pub(crate) kind_note: String,
}

/// The repositories: path = path of the URL below `packages.assay.test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repositories {
    /// The folder, relative to the cache folder.
    pub(crate) path: String,
    /// SHA-256 of the sorted lines `SHA256  PATH` of its files.
    pub(crate) sha256: String,
}

/// One public key, as it is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicKey {
    /// The short name.
    pub(crate) name: String,
    /// The path of the armored form.
    pub(crate) armored_path: String,
    /// SHA-256 of the armored form.
    pub(crate) armored_sha256: String,
    /// The path of the binary form.
    pub(crate) binary_path: String,
    /// SHA-256 of the binary form.
    pub(crate) binary_sha256: String,
    /// Forty capital hexadecimal digits.
    pub(crate) fingerprint: String,
}

/// Reads a JSON document; one that is missing, damaged or of another form is none.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&files::read(path).ok()?).ok()
}

/// Writes a JSON document, whole or not at all.
///
/// # Errors
/// `FileError`.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| files::at("write", path)(error.into()))?;
    text.push(b'\n');
    files::write(path, &text)
}
