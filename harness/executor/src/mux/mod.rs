//! The one byte stream, cut into frames and streams.
//!
//! [`Mux`] sends: messages always, bytes of a [`Stream`] only against credit. [`read_frames`]
//! receives: it hands messages to the session and bytes to their streams, and never sends, so that
//! it can always make room for the runner. What streams are for is not known here.

mod lines;
mod read;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use assay_wire::control::{Open, Purpose, ToRunner};
use assay_wire::event::ExecutorEvent;
use assay_wire::frame::{FrameHeader, MAX_PAYLOAD};

pub(crate) use lines::LineSender;
pub(crate) use read::{Incoming, read_frames};
pub(crate) use stream::{Received, Stream, StreamBroken};

use crate::fault::Fault;
use crate::reap::{end_sandbox, kill_everything, lock};
use crate::wake::Wake;

/// Most bytes of a stream put into one frame, so that a message never waits long.
pub(crate) const CHUNK: usize = 64 << 10;

/// How long the last message of a session may take to be accepted.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(2);

/// The sending side of a session, and its streams.
#[derive(Debug)]
pub(crate) struct Mux {
    output: Mutex<OwnedFd>,
    table: Mutex<Table>,
    ending: AtomicBool,
}

/// Which streams there are and were.
#[derive(Debug)]
struct Table {
    live: BTreeMap<u32, Arc<Stream>>,
    next_own: u32,
    seen_of_runner: BTreeSet<u32>,
}

impl Mux {
    /// A session's sending side; it lives as long as the process.
    pub(crate) fn leak(output: OwnedFd) -> &'static Self {
        Box::leak(Box::new(Self {
            output: Mutex::new(output),
            table: Mutex::new(Table {
                live: BTreeMap::new(),
                next_own: 1,
                seen_of_runner: BTreeSet::new(),
            }),
            ending: AtomicBool::new(false),
        }))
    }

    /// Sends a message. A runner that is gone ends the process.
    pub(crate) fn send(&'static self, message: &ToRunner) {
        let payload = serde_json::to_vec(message).expect("messages have string keys");
        match u32::try_from(payload.len()) {
            Ok(length) if payload.len() <= MAX_PAYLOAD => {
                self.send_frame(FrameHeader::message(length), &payload);
            }
            _ => self.fail(&Fault::Protocol(format!(
                "a message of {} bytes does not fit a frame",
                payload.len()
            ))),
        }
    }

    /// Sends an event.
    pub(crate) fn report(&'static self, event: ExecutorEvent) {
        self.send(&ToRunner::Event(event));
    }

    /// Opens a stream; `wake` rings when something about it changes.
    pub(crate) fn open(&'static self, purpose: Purpose, wake: Option<Arc<Wake>>) -> Arc<Stream> {
        let stream = {
            let mut table = lock(&self.table);
            let number = table.next_own;
            // 2^31 streams outlast every op limit.
            table.next_own = number.wrapping_add(2);
            let stream = Arc::new(Stream::new(self, number, wake));
            table.live.insert(number, Arc::clone(&stream));
            stream
        };
        self.send(&ToRunner::Open(Open {
            stream: stream.number(),
            purpose,
        }));
        stream
    }

    /// Ends the session because of a fault: everything is killed, the runner told.
    pub(crate) fn fail(&'static self, fault: &Fault) -> ! {
        self.end(
            ToRunner::Event(ExecutorEvent::Broken {
                message: fault.to_string(),
            }),
            1,
        )
    }

    /// Ends the session because systemd did not come up, and says why.
    pub(crate) fn not_booted(&'static self, message: String) -> ! {
        self.end(ToRunner::Event(ExecutorEvent::NotBooted { message }), 1)
    }

    /// Ends the session as it should end.
    pub(crate) fn goodbye(&'static self) -> ! {
        self.end(ToRunner::Goodbye, 0)
    }

    /// Kills everything, says one last thing if the runner takes it, and exits.
    fn end(&'static self, last: ToRunner, code: i32) -> ! {
        if self.ending.swap(true, Ordering::SeqCst) {
            loop {
                thread::park();
            }
        }
        kill_everything();
        let (said, heard) = mpsc::channel();
        let speaker = thread::Builder::new().spawn(move || {
            self.send(&last);
            let _ = said.send(());
        });
        if speaker.is_ok() {
            let _ = heard.recv_timeout(LAST_WORD_WITHIN);
        }
        end_sandbox();
        std::process::exit(code)
    }

    fn send_frame(&'static self, header: FrameHeader, payload: &[u8]) {
        let output = lock(&self.output);
        let header = header.encode();
        let (mut head, mut body): (&[u8], &[u8]) = (&header, payload);
        while !head.is_empty() || !body.is_empty() {
            match rustix::io::writev(&*output, &[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(written) => {
                    let of_head = written.min(head.len());
                    head = &head[of_head..];
                    body = &body[written - of_head..];
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) if self.ending.load(Ordering::SeqCst) => return,
                Err(_) => {
                    drop(output);
                    self.goodbye()
                }
            }
        }
    }

    fn find(&self, number: u32) -> Option<Arc<Stream>> {
        lock(&self.table).live.get(&number).cloned()
    }

    /// True if the stream existed once: frames that crossed its end on the way are no fault.
    fn existed(&self, number: u32) -> bool {
        let table = lock(&self.table);
        if number % 2 == 1 {
            number < table.next_own
        } else {
            table.seen_of_runner.contains(&number)
        }
    }

    /// Admits a stream the runner opened.
    fn admit(&'static self, number: u32) -> Result<Arc<Stream>, Fault> {
        let mut table = lock(&self.table);
        if number == 0 || number % 2 == 1 || !table.seen_of_runner.insert(number) {
            return Err(Fault::Protocol(format!(
                "stream {number} cannot be opened by the runner"
            )));
        }
        let stream = Arc::new(Stream::new(self, number, None));
        table.live.insert(number, Arc::clone(&stream));
        Ok(stream)
    }

    fn forget(&self, number: u32) {
        lock(&self.table).live.remove(&number);
    }
}
