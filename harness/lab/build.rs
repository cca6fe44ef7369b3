//! Hashes the builder's own sources and data, so that a change rebuilds the lab.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Crates whose version decides about the bytes that are written.
const WRITERS: [&str; 7] = ["flate2", "pgp", "rpm", "tar", "zlib-rs", "zstd", "zstd-sys"];

fn main() -> std::io::Result<()> {
    let root = Path::new("../..");
    let mut files = vec![PathBuf::from("Cargo.toml"), PathBuf::from("build.rs")];
    for folder in [PathBuf::from("src"), root.join("base-images/lab")] {
        println!("cargo::rerun-if-changed={}", folder.display());
        collect(&folder, &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        let bytes = std::fs::read(&file)?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    let lock = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    hash.update(writer_versions(&std::fs::read_to_string(lock)?));
    let digest: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    println!("cargo::rustc-env=ASSAY_LAB_SOURCES={digest}");
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn writer_versions(lock: &str) -> String {
    let mut versions = String::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let name = line
            .strip_prefix("name = \"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let (Some(name), Some(version)) = (name, lines.clone().next())
            && WRITERS.contains(&name)
        {
            versions.push_str(name);
            versions.push_str(version);
        }
    }
    versions
}
