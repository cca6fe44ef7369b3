//! Shells on a terminal, for `assay shell`: a pseudo-terminal (pty(7)) between the user's login
//! shell and a stream the runner opened.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_wire::control::TerminalSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::mux::{CHUNK, Received, Stream};
use crate::session::Session;
use crate::surroundings;
use crate::users::User;
use crate::wake::Wake;

/// How long a shell's last words may take once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What programs on the terminal may take it for.
const KIND: &str = "xterm-256color";

/// Serves a shell until it ends or the runner closes the stream.
pub(crate) fn serve(session: &'static Session, stream: &Stream, size: TerminalSize, root: bool) {
    let result = run(session, stream, size, root);
    session.forget_terminal(stream.number());
    stream.close(result.err().map(|error| error.to_string()));
}

/// Tells a terminal its size.
pub(crate) fn resize(terminal: &OwnedFd, size: TerminalSize) {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // A shell that has just ended needs no size.
    let _ = rustix::termios::tcsetwinsize(terminal, size);
}

fn run(
    session: &'static Session,
    stream: &Stream,
    size: TerminalSize,
    root: bool,
) -> io::Result<()> {
    let machine = session
        .machine()
        .ok_or_else(|| io::Error::other("a shell needs a program first"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = Arc::new(rustix::pty::openpt(flags)?);
    rustix::pty::unlockpt(&*terminal)?;
    let inner = rustix::pty::ioctl_tiocgptpeer(&*terminal, flags)?;
    resize(&terminal, size);
    session.remember_terminal(stream.number(), &terminal);

    let user = if root {
        User::root()
    } else {
        machine.dev.clone()
    };
    let mut launch = surroundings::launch(
        &machine.harness,
        &user,
        std::slice::from_ref(&user.shell),
        None,
    );
    let name = user.shell.rsplit('/').next().unwrap_or("sh");
    launch.arg0 = Some(format!("-{name}"));
    launch.folder.clone_from(&user.home);
    launch.terminal = true;
    for (variable, value) in &mut launch.environment {
        if variable == "TERM" {
            KIND.clone_into(value);
        }
    }
    launch.environment.push(("SHELL".to_owned(), user.shell));

    let wake = Arc::new(Wake::new()?);
    stream.ring(Arc::clone(&wake));
    let channels = (inner.try_clone()?, inner);
    let shell = crate::spawn::start(&session.reaper, &launch, None, channels, Arc::clone(&wake))?
        .map_err(|not_started| io::Error::other(not_started.message))?;
    let flags = rustix::fs::fcntl_getfl(&*terminal)?;
    rustix::fs::fcntl_setfl(&*terminal, flags | OFlags::NONBLOCK)?;
    let mut line = Line {
        terminal: &terminal,
        stream,
        typed: Vec::new(),
        buffer: vec![0; CHUNK],
    };
    let mut ended_at: Option<Instant> = None;
    loop {
        line.wait(&wake)?;
        wake.clear();
        if shell.exit().is_some() && ended_at.is_none() {
            ended_at = Some(Instant::now());
        }
        let open = line.print()? && line.type_in()?;
        // A shell whose terminal is closed gets SIGHUP from the kernel.
        if !open || ended_at.is_some_and(|at| at.elapsed() >= LAST_WORDS) {
            return Ok(());
        }
    }
}

/// A terminal's two directions.
struct Line<'l> {
    terminal: &'l OwnedFd,
    stream: &'l Stream,
    /// What was received and not yet taken by the terminal.
    typed: Vec<u8>,
    buffer: Vec<u8>,
}

impl Line<'_> {
    fn wait(&self, wake: &Wake) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        if self.stream.room() > 0 {
            flags |= PollFlags::IN;
        }
        if !self.typed.is_empty() {
            flags |= PollFlags::OUT;
        }
        let mut polled = vec![PollFd::new(wake, PollFlags::IN)];
        if !flags.is_empty() {
            polled.push(PollFd::from_borrowed_fd(self.terminal.as_fd(), flags));
        }
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: LAST_WORDS.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// From the terminal to the runner; false once nobody holds the terminal any more.
    fn print(&mut self) -> io::Result<bool> {
        loop {
            let room = self.stream.room();
            if room == 0 {
                return Ok(true);
            }
            match rustix::io::read(self.terminal, &mut self.buffer[..room]) {
                Ok(0) | Err(Errno::IO) => return Ok(false),
                Ok(read) => {
                    if self.stream.send(&self.buffer[..read]).is_err() {
                        return Ok(false);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// From the runner to the terminal; false once the runner has closed the stream.
    fn type_in(&mut self) -> io::Result<bool> {
        loop {
            if self.typed.is_empty() {
                match self.stream.try_receive() {
                    Received::Bytes(bytes) => self.typed = bytes,
                    Received::Nothing => return Ok(true),
                    Received::End | Received::Broken => return Ok(false),
                }
            }
            match rustix::io::write(self.terminal, &self.typed) {
                Ok(written) => {
                    self.typed.drain(..written);
                    self.stream.consumed(written);
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
                Err(Errno::IO) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
