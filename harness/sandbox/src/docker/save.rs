//! A whole image out of an engine, as the archive `docker save` writes: the only way to make an
//! engine read every byte of its layers.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::engine::{Engine, EngineError};

/// How long an engine may take to begin, and between two parts: it gathers the whole image first.
const SAVE_SILENCE: Duration = Duration::from_secs(300);

/// Parts that may wait for their reader.
const WAITING: usize = 8;

impl Engine {
    /// Has an image saved and gives the archive to `read`, on a thread of its own and as it comes.
    /// What `read` leaves is not fetched.
    ///
    /// # Errors
    ///
    /// [`EngineError::ImageMissing`] when the engine has no such image, [`EngineError::TimedOut`]
    /// when nothing comes for 300 s, any other of the request. What `read` then made of the part it
    /// got is dropped.
    pub async fn save_image<T: Send + 'static>(
        &self,
        id: &str,
        read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let operation = format!("save the image `{id}`");
        let (parts, waiting) = mpsc::channel(WAITING);
        let reader = tokio::task::spawn_blocking(move || {
            read(&mut Parts {
                waiting,
                part: Bytes::new(),
            })
        });
        let client = self.docker_within(SAVE_SILENCE);
        let mut answers = Box::pin(client.export_image(id));
        loop {
            match tokio::time::timeout(SAVE_SILENCE, answers.next()).await {
                Err(_) => {
                    return Err(EngineError::TimedOut {
                        operation,
                        seconds: SAVE_SILENCE.as_secs(),
                    });
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(self.image_fault(&operation, id, error)),
                Ok(Some(Ok(part))) => {
                    if parts.send(part).await.is_err() {
                        break;
                    }
                }
            }
        }
        drop(parts);
        match reader.await {
            Ok(read) => Ok(read),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(EngineError::Source {
                    operation,
                    cause: error.to_string(),
                }),
            },
        }
    }
}

/// Parts that come from another thread, as a reader.
struct Parts {
    waiting: mpsc::Receiver<Bytes>,
    part: Bytes,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.waiting.blocking_recv() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.part.len());
        buffer[..taken].copy_from_slice(&self.part[..taken]);
        self.part.advance(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_one() {
        let (parts, waiting) = mpsc::channel(WAITING);
        for part in ["", "ab", "", "cde"] {
            parts
                .blocking_send(Bytes::from(part))
                .expect("room for a part");
        }
        drop(parts);
        let mut reader = Parts {
            waiting,
            part: Bytes::new(),
        };
        let mut all = String::new();
        let mut one = [0];
        while reader.read(&mut one).expect("readable") == 1 {
            all.push(char::from(one[0]));
        }
        assert_eq!(all, "abcde");
    }
}
