//! The archive an engine saves an image as (Docker Image Specification v1.2, and the layout of OCI
//! images that newer engines write beside it), and whether its bytes are those its id names.
//!
//! An id is a sha256: that of the image's configuration, which names every layer by its own, or,
//! with engines that keep images as registries do, that of a manifest, which names both. So bytes
//! and id prove each other; nothing the archive says of itself is believed.
//!
//! The archive is hostile: nothing is unpacked, no link leaves it, all that is kept is bounded.

use std::collections::BTreeMap;
use std::io::{self, Read};

use assay_wire::digest::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The most entries an archive may have. An image of 127 layers has about 400.
const ENTRIES_LIMIT: usize = 10_000;

/// The most one document may hold, in bytes; longer ones are hashed and not kept.
const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;

/// The most all documents together may hold, in bytes.
const DOCUMENTS_LIMIT: u64 = 32 * 1024 * 1024;

/// The longest chain of links that is followed. Engines write chains of one.
const LINKS_LIMIT: usize = 8;

/// Bytes hashed at a time.
const CHUNK: usize = 256 * 1024;

/// What an archive holds, read in one pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    /// A file: its sha256, its size in bytes, and its bytes if it may be a document.
    File(Digest, u64, Option<Vec<u8>>),
    /// A link to another entry's path.
    Link(Vec<u8>),
}

/// An image whose bytes are those its id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proved {
    /// How many layers it has.
    pub layers: usize,
    /// The size of all of them in bytes, as the archive has them.
    pub bytes: u64,
}

/// Why an archive proves nothing. Each message is a whole sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// The bytes are others than the id names.
    #[error("{0}")]
    Differs(String),
    /// The archive is none this program can read.
    #[error("what the engine saved cannot be read: {0}")]
    Unreadable(String),
}

/// `manifest.json`, one row an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    config: String,
    layers: Option<Vec<String>>,
}

/// An image's configuration, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

/// An OCI manifest, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
}

/// Reads an archive to its end. Blocks.
///
/// # Errors
///
/// When it is no tar or has more entries than any image has.
pub fn read_saved(reader: impl Read) -> io::Result<Saved> {
    let mut archive = tar::Archive::new(reader);
    let mut saved = Saved::default();
    let mut kept = 0_u64;
    // Raw, so that no header names how much of the next entry is kept in memory as its name.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        if saved.entries.len() >= ENTRIES_LIMIT {
            let message = format!("it has more than {ENTRIES_LIMIT} entries");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let kind = entry.header().entry_type();
        let path = entry.path_bytes().into_owned();
        let Some(path) = inside(b"", &path) else {
            continue;
        };
        if kind.is_file() {
            let size = entry.size();
            let is_document = path.ends_with(b".json") || path.starts_with(b"blobs/");
            let keep = is_document
                && size <= DOCUMENT_LIMIT
                && kept.saturating_add(size) <= DOCUMENTS_LIMIT;
            let file = hashed(&mut entry, keep)?;
            if keep {
                kept += size;
            }
            saved.entries.insert(path, file);
        } else if kind.is_symlink() || kind.is_hard_link() {
            // A symbolic link starts from its own folder, a hard one from the archive's root.
            let folder: &[u8] = match path.iter().rposition(|byte| *byte == b'/') {
                Some(slash) if kind.is_symlink() => &path[..slash],
                _ => b"",
            };
            let target = entry.link_name_bytes().unwrap_or_default();
            if let Some(target) = inside(folder, &target) {
                saved.entries.insert(path, Entry::Link(target));
            }
        }
    }
    Ok(saved)
}

fn hashed(entry: &mut impl Read, keep: bool) -> io::Result<Entry> {
    let mut sha256 = Sha256::new();
    let mut size = 0;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = entry.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        sha256.update(&chunk[..read]);
        size += read as u64;
        if keep {
            bytes.extend_from_slice(&chunk[..read]);
        }
    }
    let sha256 = Digest::from_bytes(sha256.finalize().into());
    Ok(Entry::File(sha256, size, keep.then_some(bytes)))
}

/// A path of the archive from a folder of it, without `.` and `..`; `None` for one that leads out.
fn inside(folder: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if path.starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    let whole = [folder, path].into_iter();
    for part in whole.flat_map(|half| half.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join(&b'/'))
}

impl Saved {
    /// Whether these are the bytes of the image `id` (`sha256:HEX`). `layers` is what the engine
    /// says of its layers, each `sha256:` of the uncompressed tar; empty if it says nothing.
    ///
    /// # Errors
    ///
    /// [`SavedError::Differs`] when they are others, [`SavedError::Unreadable`] when that cannot be
    /// told.
    pub fn prove(&self, id: &str, layers: &[String]) -> Result<Proved, SavedError> {
        let rows: Vec<Row> = self.document(b"manifest.json")?;
        let [row] = rows.as_slice() else {
            let message = format!("it holds {} images instead of one", rows.len());
            return Err(SavedError::Unreadable(message));
        };
        let name = row.config.rsplit('/').next().unwrap_or_default();
        let claimed = name.strip_suffix(".json").unwrap_or(name);
        let (sha256, _) = self.file(row.config.as_bytes())?;
        if sha256.to_string() != claimed {
            return Err(SavedError::Differs(format!(
                "its configuration has sha256 {sha256}, not {}",
                shown(claimed)
            )));
        }
        let listed = self.layers_of_manifest(id, claimed)?;
        let configuration: Configuration = self.document(row.config.as_bytes())?;
        let named = configuration.rootfs.diff_ids.unwrap_or_default();
        if !layers.is_empty() && layers != named {
            return Err(SavedError::Differs(
                "the engine lists other layers than its configuration names".to_owned(),
            ));
        }
        let paths = row.layers.as_deref().unwrap_or_default();
        if paths.len() != named.len() {
            return Err(SavedError::Differs(format!(
                "the engine has {} of its {} layers",
                paths.len(),
                named.len()
            )));
        }
        let mut bytes = 0_u64;
        for (index, (path, name)) in paths.iter().zip(&named).enumerate() {
            let (sha256, size) = self.file(path.as_bytes())?;
            let found = format!("sha256:{sha256}");
            let in_manifest = listed.as_ref().and_then(|listed| listed.get(index));
            if found != *name && in_manifest != Some(&found) {
                return Err(SavedError::Differs(format!(
                    "layer {} of {} has {found}, not {}",
                    index + 1,
                    named.len(),
                    shown(in_manifest.unwrap_or(name))
                )));
            }
            bytes = bytes.saturating_add(size);
        }
        Ok(Proved {
            layers: named.len(),
            bytes,
        })
    }

    /// The layers as the manifest names them whose digest is the id; `None` where the id is the
    /// configuration's.
    fn layers_of_manifest(
        &self,
        id: &str,
        configuration: &str,
    ) -> Result<Option<Vec<String>>, SavedError> {
        let asked = id.strip_prefix("sha256:").unwrap_or(id);
        if asked == configuration {
            return Ok(None);
        }
        let path = format!("blobs/sha256/{asked}");
        if !self.entries.contains_key(path.as_bytes()) {
            return Err(SavedError::Differs(format!(
                "the engine saved the image `{}` instead",
                shown(configuration)
            )));
        }
        let (sha256, _) = self.file(path.as_bytes())?;
        if sha256.to_string() != asked {
            return Err(SavedError::Differs(format!(
                "its manifest has sha256 {sha256}, not {}",
                shown(asked)
            )));
        }
        let manifest: Manifest = self.document(path.as_bytes())?;
        if manifest.config.digest != format!("sha256:{configuration}") {
            return Err(SavedError::Differs(
                "its manifest names another configuration".to_owned(),
            ));
        }
        let layers = manifest.layers.into_iter().map(|layer| layer.digest);
        Ok(Some(layers.collect()))
    }

    /// Digest and size of a file, links followed.
    fn file(&self, path: &[u8]) -> Result<(Digest, u64), SavedError> {
        self.entry(path).map(|(sha256, size, _)| (*sha256, *size))
    }

    fn document<T: for<'a> Deserialize<'a>>(&self, path: &[u8]) -> Result<T, SavedError> {
        let unreadable = |cause: String| {
            let path = shown(&String::from_utf8_lossy(path));
            SavedError::Unreadable(format!("`{path}`: {cause}"))
        };
        let (_, size, bytes) = self.entry(path)?;
        let bytes = bytes
            .as_ref()
            .ok_or_else(|| unreadable(format!("it holds {size} bytes")))?;
        serde_json::from_slice(bytes).map_err(|error| unreadable(shown(&error.to_string())))
    }

    fn entry(&self, path: &[u8]) -> Result<(&Digest, &u64, &Option<Vec<u8>>), SavedError> {
        let mut at = inside(b"", path);
        for _ in 0..=LINKS_LIMIT {
            match at.as_ref().and_then(|at| self.entries.get(at)) {
                Some(Entry::File(sha256, size, bytes)) => return Ok((sha256, size, bytes)),
                Some(Entry::Link(target)) => at = Some(target.clone()),
                None => break,
            }
        }
        let path = shown(&String::from_utf8_lossy(path));
        Err(SavedError::Unreadable(format!("it has no file `{path}`")))
    }
}

/// A word of the archive's for a message.
fn shown(word: &str) -> String {
    let cut: String = word.chars().take(100).collect();
    cut.escape_debug().to_string()
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
