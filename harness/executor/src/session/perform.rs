//! Performing one op: its guard, then its command, its file or its archive, told as events. What an ending
//! means is not known here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use assay_wire::control::{Channel as ChannelName, Purpose};
use assay_wire::event::{Ending, ExecutorEvent, Limit};
use assay_wire::name::GuestPath;
use assay_wire::plan::{Action, FileContent, Guard, Op, Privilege};
use assay_wire::program::ProgramOp;
use assay_wire::trace::StartedFor;

use super::{Machine, Session, ask};
use crate::account::WriteAccount;
use crate::extract::Unpack;
use crate::fault::Fault;
use crate::launch::{self, Launch, NotStarted};
use crate::mux::{LineSender, Stream};
use crate::reap::Exit;
use crate::supervise::{Channel, Ended, Sink, watch};
use crate::users::User;
use crate::wake::Wake;
use crate::write::{Wanted, write_file};
use crate::{blobs, spawn, surroundings};

/// Performs an op, or skips it if its guard holds.
pub(super) fn perform(
    session: &'static Session,
    machine: &Machine,
    run: &ProgramOp,
) -> Result<(), Fault> {
    session.current.store(run.op.id.0, Ordering::Relaxed);
    let result = ask_and_act(session, machine, run);
    session.current.store(0, Ordering::Relaxed);
    result
}

fn ask_and_act(session: &'static Session, machine: &Machine, run: &ProgramOp) -> Result<(), Fault> {
    let ProgramOp { pass, op } = run;
    let user = user_of(machine, op.privilege);
    if let Some(guard) = &op.guard {
        let asked = Instant::now();
        let held = match guard {
            Guard::Asks { argv, skip_if } => {
                let answer = ask::ask(session, machine, &user, argv)?;
                answer.is_some_and(|answer| ask::holds(&answer, skip_if))
            }
            Guard::OnPath(command) => launch::is_on_path(command),
        };
        if held {
            send_trace(session, run);
        }
        session.mux.report(ExecutorEvent::GuardAsked {
            op: op.id,
            pass: *pass,
            held,
            ms: milliseconds(asked),
        });
        if held {
            return Ok(());
        }
    }
    let started = |argv| {
        session.mux.report(ExecutorEvent::OpStarted {
            op: op.id,
            pass: *pass,
            argv,
        });
        Instant::now()
    };
    let (began, ending) = match &op.action {
        Action::Run { argv } => {
            let limit = Some(op.limits.written_bytes);
            let launch = surroundings::launch(&machine.harness, &user, argv, limit);
            let began = started(launch.argv.clone());
            (began, run_command(session, run, &launch)?)
        }
        Action::Write {
            path,
            mode,
            owner,
            content,
        } => {
            let began = started(Vec::new());
            let (uid, gid) = match owner {
                Privilege::Root => (0, 0),
                Privilege::User => (machine.dev.uid, machine.dev.gid),
            };
            (began, write(op, path, (*mode, uid, gid), content))
        }
        Action::Extract {
            archive,
            dest,
            owner,
            strip_components,
        } => {
            let user = user_of(machine, *owner);
            let limit = op.limits.written_bytes;
            let unpack = Unpack {
                archive: archive.as_str().to_owned(),
                dest: dest.as_str().to_owned(),
                strip_components: *strip_components,
                most_bytes: limit,
                // As tar(1): root keeps what the archive says, a user's umask holds.
                masked: if user.uid == 0 { 0 } else { 0o022 },
            };
            let launch = Launch {
                unpack: Some(unpack),
                ..surroundings::launch(&machine.harness, &user, &[], Some(limit))
            };
            let began = started(Vec::new());
            (began, run_command(session, run, &launch)?)
        }
    };
    send_trace(session, run);
    session.mux.report(ExecutorEvent::OpFinished {
        op: op.id,
        pass: *pass,
        ending,
        ms: milliseconds(began),
    });
    Ok(())
}

/// Sends what was traced since the last op, which comes before the op is over for the runner. A runner
/// that hears no more of it ends the session itself.
fn send_trace(session: &'static Session, run: &ProgramOp) {
    let (lines, events) = session.reaper.tracer.take();
    if events == 0 && lines.is_empty() {
        return;
    }
    let purpose = Purpose::Trace {
        op: run.op.id,
        pass: run.pass,
        events,
    };
    let stream = session.mux.open(purpose, None);
    let mut sender = LineSender::new(&stream);
    let sent = lines.iter().try_for_each(|line| sender.send(line));
    let _ = sent.and_then(|()| sender.flush());
    stream.close(None);
}

fn user_of(machine: &Machine, privilege: Privilege) -> User {
    match privilege {
        Privilege::Root => User::root(),
        Privilege::User => machine.dev.clone(),
    }
}

/// Runs a command, its output on two streams that are closed when this returns.
fn run_command(
    session: &'static Session,
    run: &ProgramOp,
    launch: &Launch,
) -> Result<Ending, Fault> {
    let running = || Fault::io(format!("running op {}", run.op.id));
    let wake = Arc::new(Wake::new().map_err(running())?);
    let open = |channel| {
        session.mux.open(
            Purpose::Output {
                op: run.op.id,
                pass: run.pass,
                channel,
            },
            Some(Arc::clone(&wake)),
        )
    };
    let (stdout, stdout_end) = spawn::channel_pipe().map_err(running())?;
    let (stderr, stderr_end) = spawn::channel_pipe().map_err(running())?;
    let streams = [open(ChannelName::Stdout), open(ChannelName::Stderr)];
    let mut account = WriteAccount::start();
    let ends = (stdout_end, stderr_end);
    // Archives are unpacked by the executor itself: nobody else's program runs.
    let traced_for = session
        .traced(StartedFor::Op)
        .filter(|_| launch.unpack.is_none());
    let started = spawn::start(&session.reaper, launch, traced_for, ends, Arc::clone(&wake));
    let ending = match started {
        Ok(Ok(child)) => {
            let [out, err] = &streams;
            let channel = |pipe, stream: &Arc<Stream>| Channel {
                pipe: Some(pipe),
                sink: Sink::Stream(Arc::clone(stream)),
            };
            let mut channels = [channel(stdout, out), channel(stderr, err)];
            let limits = &run.op.limits;
            match watch(&child, &wake, &mut channels, limits, &mut account).map_err(running())? {
                Ended::Exit(Exit::Code(code)) => Ending::Exited(code),
                Ended::Exit(Exit::Signal(signal)) => Ending::Signalled(signal),
                Ended::Limit(limit) => Ending::Limit(limit),
            }
        }
        Ok(Err(NotStarted { not_found, message })) => Ending::NotStarted { not_found, message },
        // A sandbox at its limit of processes: the op's failure, not the session's.
        Err(error) => Ending::NotStarted {
            not_found: false,
            message: format!("no process can be started: {error}"),
        },
    };
    for stream in streams {
        stream.close(None);
    }
    Ok(ending)
}

fn write(
    op: &Op,
    path: &GuestPath,
    (mode, uid, gid): (u32, u32, u32),
    content: &FileContent,
) -> Ending {
    let content = match content {
        FileContent::Text(text) => text.as_bytes().into(),
        FileContent::Blob(sha256) => match blobs::read(sha256) {
            Ok(bytes) => bytes.into(),
            Err(message) => return Ending::NotWritten { message },
        },
        FileContent::Key(fingerprint) => {
            return Ending::NotWritten {
                message: format!("the bytes of the key {fingerprint} are not pinned"),
            };
        }
    };
    let wanted = Wanted {
        mode,
        uid,
        gid,
        content,
    };
    if wanted.content.len() as u64 > op.limits.written_bytes {
        return Ending::Limit(Limit::Written);
    }
    match write_file(Path::new(path.as_str()), &wanted) {
        Ok(changed) => Ending::Written { changed },
        Err(error) => Ending::NotWritten {
            message: error.to_string(),
        },
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
