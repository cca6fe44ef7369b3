//! One download with any number of readers: each follows the file while it grows, so that nobody
//! waits for its end and the bytes come in once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// These many bytes are there, more may come.
    Coming(u64),
    /// All are there.
    Whole(u64),
    /// It broke off.
    Broken(String),
}

/// The end of a download that its one writer holds. Dropped before it is finished, it broke off.
#[derive(Debug)]
pub(super) struct Download {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Read by position: every reader has its own.
    file: File,
    progress: Mutex<Progress>,
    moved: Condvar,
}

/// A reader of a download, from its first byte.
#[derive(Debug)]
pub(super) struct Follower {
    read: u64,
    shared: Arc<Shared>,
}

impl Download {
    /// A download into a file, which is open for reading here.
    pub(super) fn into_file(file: File) -> Self {
        Self {
            shared: Arc::new(Shared {
                file,
                progress: Mutex::new(Progress::Coming(0)),
                moved: Condvar::new(),
            }),
        }
    }

    /// More bytes are in the file.
    pub(super) fn has(&self, bytes: u64) {
        self.set(Progress::Coming(bytes));
    }

    /// All bytes are in the file.
    pub(super) fn finish(self, bytes: u64) {
        self.set(Progress::Whole(bytes));
    }

    /// No more bytes come, though more should.
    pub(super) fn break_off(self, reason: &str) {
        self.set(Progress::Broken(reason.to_owned()));
    }

    /// A way to make readers.
    pub(super) fn watch(&self) -> Watch {
        Watch {
            shared: Arc::clone(&self.shared),
        }
    }

    fn set(&self, progress: Progress) {
        *lock(&self.shared.progress) = progress;
        self.shared.moved.notify_all();
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let mut progress = lock(&self.shared.progress);
        if matches!(*progress, Progress::Coming(_)) {
            *progress = Progress::Broken("the download broke off".to_owned());
            self.shared.moved.notify_all();
        }
    }
}

/// A download as others see it.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    shared: Arc<Shared>,
}

impl Watch {
    /// A reader of what comes, and of what has come.
    pub(super) fn follow(&self) -> Follower {
        Follower {
            read: 0,
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until it is over, however it ends.
    pub(super) fn wait(&self) {
        let mut progress = lock(&self.shared.progress);
        while matches!(*progress, Progress::Coming(_)) {
            progress = self
                .shared
                .moved
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// True if it did not, and will not, come to its end.
    pub(super) fn is_broken(&self) -> bool {
        matches!(*lock(&self.shared.progress), Progress::Broken(_))
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut progress = lock(&self.shared.progress);
        let there = loop {
            match &*progress {
                Progress::Coming(bytes) if *bytes > self.read => break *bytes,
                Progress::Coming(_) => {
                    progress = self
                        .shared
                        .moved
                        .wait(progress)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Progress::Whole(bytes) => break *bytes,
                Progress::Broken(reason) => return Err(io::Error::other(reason.clone())),
            }
        };
        drop(progress);
        let left = usize::try_from(there - self.read).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let read = self.shared.file.read_at(&mut buffer[..most], self.read)?;
        self.read += read as u64;
        Ok(read)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;

    use super::*;

    #[test]
    fn every_reader_gets_every_byte_however_it_comes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let mut file = File::create(&path).expect("a file");
        let download = Download::into_file(File::open(&path).expect("readable"));
        let mut readers: Vec<_> = (0..3).map(|_| download.watch().follow()).collect();
        let writer = thread::spawn(move || {
            let mut written = 0;
            for piece in 0..100_u8 {
                file.write_all(&[piece; 1000]).expect("written");
                written += 1000;
                download.has(written);
            }
            download.finish(written);
        });
        let expected: Vec<u8> = (0..100_u8).flat_map(|piece| [piece; 1000]).collect();
        for reader in &mut readers {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).expect("to its end");
            assert!(all == expected, "{} bytes", all.len());
        }
        writer.join().expect("no panic");
    }

    #[test]
    fn a_download_that_breaks_off_is_no_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        std::fs::write(&path, b"abc").expect("a file");
        for told in [true, false] {
            let download = Download::into_file(File::open(&path).expect("readable"));
            let watch = download.watch();
            let mut reader = watch.follow();
            assert!(!watch.is_broken());
            download.has(3);
            let mut three = [0; 3];
            reader.read_exact(&mut three).expect("what is there");
            if told {
                download.break_off("the server went away");
            } else {
                drop(download);
            }
            let error = reader.read(&mut three).expect_err("broken");
            assert_eq!(error.to_string().contains("server"), told, "{error}");
            assert!(watch.is_broken());
        }
    }
}
