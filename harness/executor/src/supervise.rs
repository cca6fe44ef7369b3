//! Watching a running command: its output drained in bounded memory, its limits kept.
//!
//! A limit that is passed kills every process the executor started, in whatever session it gave
//! itself: the cell ends in failure anyway. A command that ended as it
//! should leaves its background processes alone, and does not wait for them to close its channels.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use assay_wire::event::Limit;
use assay_wire::plan::Limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::account::WriteAccount;
use crate::mux::{CHUNK, Stream};
use crate::reap::{Child, Exit, kill_tree};
use crate::wake::Wake;

/// How often limits are looked at.
const TICK: Duration = Duration::from_millis(250);

/// How long after a command's end its channels may stay open before they are let go of.
const GRACE: Duration = Duration::from_millis(500);

/// Most bytes read after the grace: what a pipe may still have held.
const LEFT_IN_PIPE: u64 = 1 << 20;

/// Stack of a thread that only reads what nobody wants.
const SMALL_STACK: usize = 64 << 10;

/// What becomes of a channel's bytes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// They are sent on a stream, as its credit allows.
    Stream(Arc<Stream>),
    /// They are kept; the limit on output bounds them.
    Keep(Vec<u8>),
    /// They are counted and dropped.
    Drop,
}

/// A channel of a command.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The end to read; `None` once it has ended.
    pub(crate) pipe: Option<OwnedFd>,
    /// Where bytes go.
    pub(crate) sink: Sink,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exit(Exit),
    /// It passed a limit, and everything was killed.
    Limit(Limit),
}

/// Watches a command until it has ended and its channels are drained. `wake` must ring when the
/// child ends and when a sink's stream changes.
pub(crate) fn watch(
    child: &Child,
    wake: &Wake,
    channels: &mut [Channel; 2],
    limits: &Limits,
    account: &mut WriteAccount,
) -> io::Result<Ended> {
    let mut watch = Watch {
        started: Instant::now(),
        last_byte: Instant::now(),
        next_account: Instant::now() + TICK,
        printed: 0,
        ended: None,
        after_grace: 0,
        buffer: vec![0; CHUNK],
    };
    loop {
        let readable = watch.wait(wake, channels)?;
        wake.clear();
        for (channel, readable) in channels.iter_mut().zip(readable) {
            if readable && watch.drain(channel, limits)? {
                return Ok(limit(Limit::Output));
            }
        }
        if watch.ended.is_none() {
            watch.ended = child.exit().map(|exit| (exit, Instant::now()));
        }
        if let Some(passed) = watch.passed(limits, account) {
            return Ok(limit(passed));
        }
        if let Some((exit, since)) = watch.ended {
            let open = channels.iter().any(|channel| channel.pipe.is_some());
            let idle = readable == [false, false] && channels.iter().all(has_room);
            let over = since.elapsed() >= GRACE && (idle || watch.after_grace >= LEFT_IN_PIPE);
            if !open || over {
                // A file that stopped growing at its limit leaves exactly that many bytes.
                if account.written() >= limits.written_bytes {
                    return Ok(limit(Limit::Written));
                }
                channels.iter_mut().for_each(let_go);
                return Ok(Ended::Exit(exit));
            }
        }
    }
}

/// Where a watch stands.
struct Watch {
    started: Instant,
    last_byte: Instant,
    next_account: Instant,
    printed: u64,
    ended: Option<(Exit, Instant)>,
    after_grace: u64,
    buffer: Vec<u8>,
}

impl Watch {
    /// Waits until something may have changed; says which channels can be read.
    fn wait(&mut self, wake: &Wake, channels: &[Channel; 2]) -> io::Result<[bool; 2]> {
        let mut polled = vec![PollFd::new(wake, PollFlags::IN)];
        let mut of_channel = [None; 2];
        for (channel, index) in channels.iter().zip(&mut of_channel) {
            match &channel.pipe {
                Some(pipe) if has_room(channel) => {
                    *index = Some(polled.len());
                    polled.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
                }
                // Silence that waits for credit is the runner's, not the command's.
                Some(_) => self.last_byte = Instant::now(),
                None => {}
            }
        }
        let patience = if self.ended.is_some() {
            GRACE / 10
        } else {
            TICK
        };
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: patience.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(of_channel.map(|index| index.is_some_and(|index| !polled[index].revents().is_empty())))
    }

    /// Reads once from a channel; true if the limit on output is passed.
    fn drain(&mut self, channel: &mut Channel, limits: &Limits) -> io::Result<bool> {
        let Some(pipe) = &channel.pipe else {
            return Ok(false);
        };
        let room = match &channel.sink {
            Sink::Stream(stream) => stream.room(),
            Sink::Keep(_) | Sink::Drop => CHUNK,
        };
        let read = match rustix::io::read(pipe, &mut self.buffer[..room]) {
            Ok(read) => read,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            channel.pipe = None;
            return Ok(false);
        }
        self.last_byte = Instant::now();
        if self
            .ended
            .is_some_and(|(_, since)| since.elapsed() >= GRACE)
        {
            self.after_grace += read as u64;
        }
        let allowed = limits.output_bytes.saturating_sub(self.printed);
        let kept = usize::try_from(allowed).map_or(read, |allowed| allowed.min(read));
        self.printed += kept as u64;
        match &mut channel.sink {
            // A stream that broke drops what is sent; the op goes on.
            Sink::Stream(stream) => drop(stream.send(&self.buffer[..kept])),
            Sink::Keep(bytes) => bytes.extend_from_slice(&self.buffer[..kept]),
            Sink::Drop => {}
        }
        Ok(kept < read)
    }

    /// Which limit is passed, if one is.
    fn passed(&mut self, limits: &Limits, account: &mut WriteAccount) -> Option<Limit> {
        if self.ended.is_some() {
            return None;
        }
        let now = Instant::now();
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        if now - self.started >= seconds(limits.seconds) {
            return Some(Limit::Time);
        }
        if now - self.last_byte >= seconds(limits.silent_seconds) {
            return Some(Limit::Silence);
        }
        if now >= self.next_account {
            let written = account.written();
            // A sandbox full of processes must not make the account the executor's main work.
            self.next_account = Instant::now() + TICK.max(now.elapsed() * 4);
            if written > limits.written_bytes {
                return Some(Limit::Written);
            }
        }
        None
    }
}

fn limit(passed: Limit) -> Ended {
    kill_tree();
    Ended::Limit(passed)
}

fn has_room(channel: &Channel) -> bool {
    match &channel.sink {
        Sink::Stream(stream) => stream.room() > 0,
        Sink::Keep(_) | Sink::Drop => true,
    }
}

/// Leaves a channel to a thread that reads and drops: a daemon that still prints must not be
/// killed by a closed pipe, which it would not meet on a machine of its own.
fn let_go(channel: &mut Channel) {
    if let Some(pipe) = channel.pipe.take() {
        let reader = thread::Builder::new()
            .stack_size(SMALL_STACK)
            .spawn(move || {
                let mut buffer = [0; 4096];
                while matches!(rustix::io::read(&pipe, &mut buffer), Ok(read) if read > 0) {}
            });
        // Without a thread the pipe closes, the lesser evil.
        drop(reader);
    }
}
