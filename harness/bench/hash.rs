//! Hashing as the content store hashes: one thread, a file that lies in memory, beside the system's own
//! tools over the very same file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use assay_content::store::digest_of_reader;
use assay_wire::digest::Digest;

use crate::Failure;
use crate::process::{row, run_well};
use crate::tools::{Scratch, median};

/// Size of the file in bytes: reading it takes long enough that starting a process counts for little.
const BYTES: u64 = 1 << 30;

/// A tool that hashes a file and prints the digest among its words.
const TOOLS: [(&str, &[&str]); 2] = [("sha256sum", &[]), ("openssl", &["dgst", "-sha256"])];

/// Measures it, so many times each, in turns.
pub(crate) fn measure(repeats: usize) -> Result<(), Failure> {
    let scratch = Scratch::new("hash")?;
    let path = scratch.path().join("bytes");
    write(&path)?;
    let (mut ours, mut on_core) = (Vec::new(), Vec::new());
    let mut theirs: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..repeats {
        let (started, before) = (Instant::now(), on_a_core()?);
        let (digest, size) = digest_of_reader(&mut File::open(&path)?)?;
        ours.push(started.elapsed().as_secs_f64());
        on_core.push(on_a_core()? - before);
        if size != BYTES {
            return Err(format!("{size} of {BYTES} bytes were read").into());
        }
        for (tool, words) in TOOLS {
            if let Some(seconds) = by(tool, words, &path, digest)? {
                match theirs.iter_mut().find(|(known, _)| *known == tool) {
                    Some((_, all)) => all.push(seconds),
                    None => theirs.push((tool, vec![seconds])),
                }
            }
        }
    }
    let seconds = median(&mut ours);
    let gigabytes = BYTES as f64 / 1e9;
    crate::report(
        "hashing as the content store does, of a core's time",
        &format!("{:.2} GB/s", gigabytes / median(&mut on_core)),
        "≥ 1 GB/s",
    )?;
    row(
        "    by the clock",
        &format!("{:.2} GB/s", gigabytes / seconds),
        "what else runs on this machine counts",
    )?;
    for (tool, mut all) in theirs {
        let theirs = median(&mut all);
        row(
            &format!("    against `{tool}`"),
            &format!("{:.2} ×", theirs / seconds),
            &format!("the same file, {:.2} GB/s", gigabytes / theirs),
        )?;
    }
    Ok(())
}

/// How long this thread has been on a processor, in seconds (`schedstat` of proc_pid_schedstat(5)).
fn on_a_core() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

/// How long a tool takes, in seconds; `None` where it is not to be had.
fn by(tool: &str, words: &[&str], path: &Path, digest: Digest) -> Result<Option<f64>, Failure> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join(tool).is_file());
    if !found {
        return Ok(None);
    }
    let ended = run_well(Command::new(tool).args(words).arg(path))?;
    if !String::from_utf8_lossy(&ended.stdout).contains(&digest.to_string()) {
        return Err(format!("`{tool}` does not say {digest}").into());
    }
    Ok(Some(ended.ms / 1e3))
}

/// Bytes that are all different a piece, so that nothing compresses or shares them.
fn write(path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for number in 0..BYTES / 8 {
        file.write_all(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}
