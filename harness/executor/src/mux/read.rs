//! Receiving frames. Whatever breaks the rules ends the session; nothing here sends or waits for
//! anything but the next frame.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use assay_wire::control::{Directive, Purpose, TerminalSize, ToExecutor};
use assay_wire::frame::{FrameHeader, FrameKind, HEADER};
use assay_wire::program::Program;

use super::{CHUNK, Mux, Stream};
use crate::fault::Fault;

/// What the session is told of.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// What is to be done.
    Program(Box<Program>),
    /// What happens next.
    Directive(Directive),
    /// The runner opened a stream.
    Opened(Arc<Stream>, Purpose),
    /// A terminal has a new size.
    Resize(u32, TerminalSize),
}

/// Reads frames until the runner closes its end or breaks a rule; the body of the reading thread.
pub(crate) fn read_frames(
    mux: &'static Mux,
    input: OwnedFd,
    mut hand: impl FnMut(Incoming) -> Result<(), Fault>,
) {
    let mut input = BufReader::with_capacity(CHUNK, File::from(input));
    loop {
        match read_frame(mux, &mut input, &mut hand) {
            Ok(true) => {}
            Ok(false) => mux.goodbye(),
            Err(fault) => mux.fail(&fault),
        }
    }
}

/// Reads one frame; false at the end of input.
fn read_frame(
    mux: &'static Mux,
    input: &mut impl Read,
    hand: &mut impl FnMut(Incoming) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let mut header = [0; HEADER];
    if !filled(input, &mut header)? {
        return Ok(false);
    }
    let header = FrameHeader::decode(header).map_err(|error| Fault::Protocol(error.to_string()))?;
    let mut payload = vec![0; header.length as usize];
    if !filled(input, &mut payload)? {
        return Ok(false);
    }
    match header.kind {
        FrameKind::Bytes => match mux.find(header.stream) {
            Some(stream) => stream.arrived(payload)?,
            None => must_have_existed(mux, header.stream)?,
        },
        FrameKind::Message => {
            let message = serde_json::from_slice(&payload)
                .map_err(|error| Fault::Protocol(format!("a message cannot be read: {error}")))?;
            receive(mux, message, hand)?;
        }
    }
    Ok(true)
}

fn receive(
    mux: &'static Mux,
    message: ToExecutor,
    hand: &mut impl FnMut(Incoming) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match message {
        ToExecutor::Program(program) => hand(Incoming::Program(program)),
        ToExecutor::Directive(directive) => hand(Incoming::Directive(directive)),
        ToExecutor::Open(open) => {
            let stream = mux.admit(open.stream)?;
            hand(Incoming::Opened(stream, open.purpose))
        }
        ToExecutor::Credit(credit) => match mux.find(credit.stream) {
            Some(stream) => {
                stream.credited(credit.bytes);
                Ok(())
            }
            None => must_have_existed(mux, credit.stream),
        },
        ToExecutor::Close(close) => match mux.find(close.stream) {
            Some(stream) => {
                stream.closed_there(close.error.is_some());
                Ok(())
            }
            None => must_have_existed(mux, close.stream),
        },
        ToExecutor::Resize { stream, size } => hand(Incoming::Resize(stream, size)),
    }
}

/// Frames that crossed the end of their stream on the way are dropped.
fn must_have_existed(mux: &Mux, stream: u32) -> Result<(), Fault> {
    if mux.existed(stream) {
        Ok(())
    } else {
        Err(Fault::Protocol(format!("stream {stream} was never opened")))
    }
}

/// Fills a buffer; false if the input ended before.
fn filled(input: &mut impl Read, buffer: &mut [u8]) -> Result<bool, Fault> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Fault::io("reading the stream")(error)),
    }
}
