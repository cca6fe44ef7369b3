//! Blobs: verified bytes sent ahead of the ops that write them, kept under `/.assay/blobs` by
//! their sha256. Bytes that hash to anything else end the session; what a root child does to them
//! afterwards is found when they are read again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use assay_wire::digest::Digest;
use assay_wire::program::HARNESS_FOLDER;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::mux::{Received, Stream};
use crate::write::read_bounded;

/// Most bytes of all blobs of a session.
const TOTAL: u64 = 2 << 30;

/// Blobs on their way and arrived.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    announced: u64,
    arriving: Vec<JoinHandle<Result<(), Fault>>>,
}

impl Blobs {
    /// Receives a blob in a thread of its own.
    pub(crate) fn receive(
        &mut self,
        stream: Arc<Stream>,
        sha256: Digest,
        bytes: u64,
    ) -> Result<(), Fault> {
        self.announced = self.announced.saturating_add(bytes);
        if self.announced > TOTAL {
            return Err(wrong(
                &sha256,
                format!("more than {TOTAL} bytes of blobs in all"),
            ));
        }
        let thread = thread::Builder::new()
            .spawn(move || receive(&stream, &sha256, bytes))
            .map_err(Fault::io("starting a thread for a blob"))?;
        self.arriving.push(thread);
        Ok(())
    }

    /// Waits until all that were announced have arrived.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        for thread in self.arriving {
            thread.join().expect("a panic has ended the session")?;
        }
        Ok(())
    }
}

/// A blob's bytes, verified again.
pub(crate) fn read(sha256: &Digest) -> Result<Vec<u8>, String> {
    let content = read_bounded(&place(sha256), TOTAL)
        .map_err(|error| format!("blob {sha256} cannot be read: {error}"))?;
    if Digest::of(&content) == *sha256 {
        Ok(content)
    } else {
        Err(format!("blob {sha256} was changed inside the sandbox"))
    }
}

fn receive(stream: &Stream, sha256: &Digest, bytes: u64) -> Result<(), Fault> {
    let keeping = |error: io::Error| wrong(sha256, format!("cannot be kept: {error}"));
    let place = place(sha256);
    let mut file = create(&place).map_err(keeping)?;
    let mut hash = Sha256::new();
    let mut arrived = 0;
    loop {
        match stream.receive() {
            Received::Bytes(chunk) => {
                arrived += chunk.len() as u64;
                if arrived > bytes {
                    return Err(wrong(
                        sha256,
                        format!("more than the announced {bytes} bytes"),
                    ));
                }
                hash.update(&chunk);
                file.write_all(&chunk).map_err(keeping)?;
                stream.consumed(chunk.len());
            }
            Received::End => break,
            Received::Broken | Received::Nothing => {
                return Err(wrong(sha256, "broken off by the runner".to_owned()));
            }
        }
    }
    let actual = Digest::from_bytes(hash.finalize().into());
    if actual != *sha256 || arrived != bytes {
        return Err(wrong(
            sha256,
            format!("{arrived} bytes arrived that hash to {actual}"),
        ));
    }
    stream.close(None);
    Ok(())
}

fn create(place: &std::path::Path) -> io::Result<File> {
    let folder = place.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(HARNESS_FOLDER)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // A session before this one, in a sandbox that was kept, may have left it.
    if let Err(error) = fs::remove_file(place)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place)
}

fn place(sha256: &Digest) -> PathBuf {
    PathBuf::from(format!("{HARNESS_FOLDER}/blobs/{sha256}"))
}

fn wrong(sha256: &Digest, problem: String) -> Fault {
    Fault::Blob {
        announced: sha256.to_string(),
        problem,
    }
}
