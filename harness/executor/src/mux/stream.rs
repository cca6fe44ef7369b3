//! One stream: what may be sent on it, what came on it, and whether either side closed it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use assay_wire::control::{Close, Credit, ToRunner};
use assay_wire::frame::{FrameHeader, WINDOW};

use super::{CHUNK, Mux};
use crate::fault::Fault;
use crate::reap::lock;
use crate::wake::Wake;

/// Consumed bytes are acknowledged once they are this many.
const ACKNOWLEDGE: u64 = WINDOW / 4;

/// One stream of a session.
#[derive(Debug)]
pub(crate) struct Stream {
    mux: &'static Mux,
    number: u32,
    state: Mutex<State>,
    changed: Condvar,
    wake: OnceLock<Arc<Wake>>,
}

#[derive(Debug)]
struct State {
    /// Bytes that may be sent.
    credit: u64,
    /// Bytes the runner may send.
    window: u64,
    /// Consumed bytes the runner has not been told of.
    owed: u64,
    inbox: VecDeque<Vec<u8>>,
    closed_here: bool,
    closed_there: bool,
    /// One side closed it with an error: nothing more is sent or received.
    broken: bool,
}

/// What came on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Bytes, at least one. [`Stream::consumed`] must be told of them.
    Bytes(Vec<u8>),
    /// Nothing for now.
    Nothing,
    /// The runner sends nothing more.
    End,
    /// The stream ended with an error.
    Broken,
}

/// The stream ended with an error; what was to be sent is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StreamBroken;

impl Stream {
    pub(super) fn new(mux: &'static Mux, number: u32, wake: Option<Arc<Wake>>) -> Self {
        Self {
            mux,
            number,
            state: Mutex::new(State {
                credit: WINDOW,
                window: WINDOW,
                owed: 0,
                inbox: VecDeque::new(),
                closed_here: false,
                closed_there: false,
                broken: false,
            }),
            changed: Condvar::new(),
            wake: wake.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Has `wake` rung whenever something about the stream changes, from now on.
    pub(crate) fn ring(&self, wake: Arc<Wake>) {
        wake.ring();
        let _ = self.wake.set(wake);
    }

    /// How many bytes can be sent without waiting, at most [`CHUNK`]. On a broken stream that is
    /// any number, because they are dropped.
    pub(crate) fn room(&self) -> usize {
        let state = lock(&self.state);
        if state.broken {
            CHUNK
        } else {
            usize::try_from(state.credit).map_or(CHUNK, |credit| credit.min(CHUNK))
        }
    }

    /// Waits until there is room; returns it.
    pub(crate) fn wait_for_room(&self) -> Result<usize, StreamBroken> {
        let mut state = lock(&self.state);
        loop {
            if state.broken {
                return Err(StreamBroken);
            }
            if state.credit > 0 {
                return Ok(usize::try_from(state.credit).map_or(CHUNK, |credit| credit.min(CHUNK)));
            }
            state = self.wait(state);
        }
    }

    /// Sends bytes, in pieces and waiting for credit as needed.
    pub(crate) fn send(&self, mut bytes: &[u8]) -> Result<(), StreamBroken> {
        while !bytes.is_empty() {
            let room = self.wait_for_room()?.min(bytes.len());
            let (now, later) = bytes.split_at(room);
            let length = u32::try_from(now.len()).unwrap_or(u32::MAX);
            lock(&self.state).credit -= u64::from(length);
            self.mux
                .send_frame(FrameHeader::bytes(self.number, length), now);
            bytes = later;
        }
        Ok(())
    }

    /// What came, waiting for it.
    pub(crate) fn receive(&self) -> Received {
        let mut state = lock(&self.state);
        loop {
            match Self::take(&mut state) {
                Received::Nothing => state = self.wait(state),
                came @ (Received::Bytes(_) | Received::End | Received::Broken) => return came,
            }
        }
    }

    /// What came, without waiting.
    pub(crate) fn try_receive(&self) -> Received {
        Self::take(&mut lock(&self.state))
    }

    /// Says that received bytes are done with, so that more may come.
    pub(crate) fn consumed(&self, bytes: usize) {
        let credit = {
            let mut state = lock(&self.state);
            state.owed += bytes as u64;
            if state.owed < ACKNOWLEDGE || state.closed_there || state.broken {
                return;
            }
            let credit = std::mem::take(&mut state.owed);
            state.window += credit;
            credit
        };
        self.mux.send(&ToRunner::Credit(Credit {
            stream: self.number,
            bytes: credit,
        }));
    }

    /// Sends nothing more; with an error nothing is received either. Closing twice is closing
    /// once.
    pub(crate) fn close(&self, error: Option<String>) {
        let gone = {
            let mut state = lock(&self.state);
            if state.broken || (state.closed_here && error.is_none()) {
                return;
            }
            let held_for_gone = state.closed_here && state.closed_there;
            state.closed_here = true;
            state.broken |= error.is_some();
            if held_for_gone {
                // The runner has forgotten the stream; only this side's waiters are told.
                drop(state);
                return self.rung();
            }
            state.broken || state.closed_there
        };
        self.changed.notify_all();
        self.mux.send(&ToRunner::Close(Close {
            stream: self.number,
            error,
        }));
        if gone {
            self.mux.forget(self.number);
        }
    }

    /// The runner gave credit.
    pub(super) fn credited(&self, bytes: u64) {
        let mut state = lock(&self.state);
        state.credit = state.credit.saturating_add(bytes);
        drop(state);
        self.rung();
    }

    /// The runner sent bytes.
    pub(super) fn arrived(&self, bytes: Vec<u8>) -> Result<(), Fault> {
        let mut state = lock(&self.state);
        if state.broken || bytes.is_empty() {
            return Ok(());
        }
        let length = bytes.len() as u64;
        if state.closed_there || length > state.window {
            return Err(Fault::Protocol(format!(
                "{length} bytes on stream {} without credit for them",
                self.number
            )));
        }
        state.window -= length;
        state.inbox.push_back(bytes);
        drop(state);
        self.rung();
        Ok(())
    }

    /// The runner closed its side.
    pub(super) fn closed_there(&self, error: bool) {
        let mut state = lock(&self.state);
        state.closed_there = true;
        state.broken |= error;
        let gone = state.broken || state.closed_here;
        drop(state);
        if gone {
            self.mux.forget(self.number);
        }
        self.rung();
    }

    fn take(state: &mut State) -> Received {
        if state.broken {
            Received::Broken
        } else if let Some(bytes) = state.inbox.pop_front() {
            Received::Bytes(bytes)
        } else if state.closed_there {
            Received::End
        } else {
            Received::Nothing
        }
    }

    fn rung(&self) {
        self.changed.notify_all();
        if let Some(wake) = self.wake.get() {
            wake.ring();
        }
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}
