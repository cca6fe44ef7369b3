//! A session from `Hello` to `Goodbye`: blobs and the program arrive, the sandbox is prepared, and
//! every directive is followed. How single ops are performed: [`perform`]; how a command is run
//! for its answer: [`ask`]; which of them a manifest asks: [`probes`].

mod ask;
mod perform;
mod probes;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use assay_wire::PROTOCOL;
use assay_wire::control::{Directive, Hello, Purpose, ToRunner};
use assay_wire::digest::Digest;
use assay_wire::event::ExecutorEvent;
use assay_wire::plan::OpId;
use assay_wire::program::{HARNESS_FOLDER, HarnessEnv, Program};
use assay_wire::trace::StartedFor;

use self::probes::Probes;
use crate::blobs::Blobs;
use crate::boot::Boot;
use crate::confine::missing_for_tracing;
use crate::fault::Fault;
use crate::manifest::{Contents, Manifests};
use crate::mux::{Incoming, Mux, read_frames};
use crate::reap::{Reaper, kill_everything, lock};
use crate::surroundings::TrustBundle;
use crate::users::{self, User, ensure_dev};
use crate::{keyrings, loopback, repositories, surroundings, terminal, tunnel};

/// Most bytes kept of an answer about booting.
const ANSWER_BYTES: usize = 1024;

/// What every thread of a session shares.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where everything is sent.
    pub(crate) mux: &'static Mux,
    /// Who waits for processes.
    pub(crate) reaper: Reaper,
    /// What is missing for tracing, by the names of capabilities(7): nothing where it is done.
    untraced: Vec<&'static str>,
    /// The op that runs, 0 for none.
    current: AtomicU32,
    machine: OnceLock<Machine>,
    boot: Mutex<Option<Boot>>,
    terminals: Mutex<BTreeMap<u32, Arc<OwnedFd>>>,
}

/// The prepared sandbox.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What the harness adds.
    pub(crate) harness: HarnessEnv,
    /// The unprivileged user.
    pub(crate) dev: User,
}

impl Session {
    /// The op that runs, if one does.
    pub(crate) fn current_op(&self) -> Option<OpId> {
        Some(self.current.load(Ordering::Relaxed))
            .filter(|id| *id != 0)
            .map(OpId)
    }

    /// What a command is traced for, where it can be traced.
    fn traced(&self, started_for: StartedFor) -> Option<StartedFor> {
        Some(started_for).filter(|_| self.untraced.is_empty())
    }

    /// The sandbox, once it is prepared.
    pub(crate) fn machine(&self) -> Option<&Machine> {
        self.machine.get()
    }

    /// Remembers a terminal, to be resized.
    pub(crate) fn remember_terminal(&self, stream: u32, terminal: &Arc<OwnedFd>) {
        lock(&self.terminals).insert(stream, Arc::clone(terminal));
    }

    /// Forgets a terminal.
    pub(crate) fn forget_terminal(&self, stream: u32) {
        lock(&self.terminals).remove(&stream);
    }

    /// Takes what the runner sent; called by the reading thread, so it never waits.
    fn take(&'static self, incoming: Incoming, control: &Sender<Incoming>) -> Result<(), Fault> {
        match incoming {
            Incoming::Opened(stream, Purpose::Pty { size, root }) => {
                thread::Builder::new()
                    .name("terminal".to_owned())
                    .spawn(move || terminal::serve(self, &stream, size, root))
                    .map_err(Fault::io("starting a thread for a shell"))?;
                Ok(())
            }
            Incoming::Resize(stream, size) => {
                // A shell that has not begun yet, or has just ended, is no fault.
                if let Some(found) = lock(&self.terminals).get(&stream) {
                    terminal::resize(found, size);
                }
                Ok(())
            }
            other @ (Incoming::Program(_) | Incoming::Directive(_) | Incoming::Opened(..)) => {
                // The other end only goes when the process ends.
                let _ = control.send(other);
                Ok(())
            }
        }
    }
}

/// Runs a session over a stream, beside a PID 1 that boots if there is one; returns only if it
/// cannot begin.
pub(crate) fn run(input: OwnedFd, output: OwnedFd, boot: Option<Boot>) -> io::Result<()> {
    let mux = Mux::leak(output);
    let session: &'static Session = Box::leak(Box::new(Session {
        mux,
        reaper: Reaper::default(),
        untraced: missing_for_tracing(),
        current: AtomicU32::new(0),
        machine: OnceLock::new(),
        boot: Mutex::new(boot),
        terminals: Mutex::new(BTreeMap::new()),
    }));
    std::panic::set_hook(Box::new(move |panic| {
        mux.fail(&Fault::Io {
            what: "the executor panicked".to_owned(),
            source: io::Error::other(panic.to_string()),
        })
    }));
    let executor = fs::read("/proc/self/exe")?;
    mux.send(&ToRunner::Hello(Hello {
        protocol: PROTOCOL,
        executor_sha256: Digest::of(&executor),
    }));
    drop(executor);
    let (control, incoming) = mpsc::channel();
    thread::Builder::new()
        .name("reaper".to_owned())
        .spawn(move || session.reaper.reap_for_ever())?;
    if session.untraced.is_empty() {
        thread::Builder::new()
            .name("place".to_owned())
            .spawn(move || session.reaper.tracer.let_go_for_ever())?;
    }
    thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || {
            read_frames(mux, input, |incoming| session.take(incoming, &control));
        })?;
    match follow(session, &incoming) {
        Ok(()) => mux.goodbye(),
        Err(fault) => mux.fail(&fault),
    }
}

/// Receives the program, prepares, and follows directives to the end.
fn follow(session: &'static Session, incoming: &Receiver<Incoming>) -> Result<(), Fault> {
    let program = receive_program(incoming)?;
    let tracer = &session.reaper.tracer;
    tracer.look_for_scripts(program.harness.scripts.clone());
    // First of all: what boots may itself add users.
    wait_for_boot(session)?;
    let machine = prepare(session, &program)?;
    let mut trust = TrustBundle::default();
    let mut probes = Probes::default();
    let mut manifests = Manifests::new(Contents::new(&machine.harness.contents));
    let mut runs = program.runs.iter();
    loop {
        match next_directive(incoming)? {
            Directive::Stop => return leave(&program),
            Directive::Continue => match runs.next() {
                None => return leave(&program),
                Some(run) => {
                    if let Some(certificate) = &program.certificate {
                        trust
                            .refresh(&machine.harness.trust_stores, certificate)
                            .map_err(Fault::io("keeping the bundle of trusted certificates"))?;
                        surroundings::keep_files(&machine.harness)
                            .map_err(Fault::io("keeping the harness's own files"))?;
                    }
                    perform::perform(session, machine, run)?;
                }
            },
            Directive::Manifest => {
                let started = Instant::now();
                let answers = probes.ask(session, machine)?;
                let taken = manifests.take(session.mux, answers, started);
                session.mux.report(taken);
            }
        }
    }
}

fn receive_program(incoming: &Receiver<Incoming>) -> Result<Program, Fault> {
    let mut blobs = Blobs::default();
    loop {
        match next(incoming)? {
            Incoming::Opened(stream, Purpose::Blob { sha256, bytes }) => {
                blobs.receive(stream, sha256, bytes)?;
            }
            Incoming::Program(program) => {
                blobs.finish()?;
                return Ok(*program);
            }
            other @ (Incoming::Opened(..) | Incoming::Directive(_) | Incoming::Resize(..)) => {
                return Err(unexpected("a program", &other));
            }
        }
    }
}

/// Waits for systemd where it is PID 1.
fn wait_for_boot(session: &'static Session) -> Result<(), Fault> {
    let Some(boot) = lock(&session.boot).take() else {
        return Ok(());
    };
    // The questions are root's, with nothing of the harness.
    let bare = Machine {
        harness: HarnessEnv::default(),
        dev: User::root(),
    };
    let booted = boot.wait(|argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        let answer = ask::ask(session, &bare, &bare.dev, &argv)?;
        Ok::<_, Fault>(answer.map(|answer| {
            let bytes = answer.stdout.get(..ANSWER_BYTES).unwrap_or(&answer.stdout);
            String::from_utf8_lossy(bytes).into_owned()
        }))
    })?;
    match booted {
        Ok(booted) => {
            session.mux.report(ExecutorEvent::Booted {
                systemd: booted.systemd,
                state: booted.state,
                ms: u64::try_from(booted.elapsed.as_millis()).unwrap_or(u64::MAX),
            });
            Ok(())
        }
        Err(message) => session.mux.not_booted(message),
    }
}

/// Makes the sandbox ready: the user, the tunnel, the keys told. One that becomes an image gets no user: what runs
/// as the unprivileged one is root's there.
fn prepare(session: &'static Session, program: &Program) -> Result<&'static Machine, Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(HARNESS_FOLDER)
        .map_err(Fault::io(format!("making {HARNESS_FOLDER}")))?;
    let (dev, user_added, hosts_added) = if program.becomes_image {
        (User::root(), false, false)
    } else {
        let (dev, user_added) = ensure_dev()?;
        let hosts_added =
            loopback::ensure_names().map_err(Fault::io("naming loopback in /etc/hosts"))?;
        (dev, user_added, hosts_added)
    };
    let (uid, gid) = (dev.uid, dev.gid);
    let machine = session.machine.get_or_init(|| Machine {
        harness: program.harness.clone(),
        dev,
    });
    tunnel::listen(session)?;
    if !program.becomes_image {
        keyrings::send(session.mux, &program.harness.keyrings);
    }
    let [users, groups] = users::names();
    session.mux.report(ExecutorEvent::Ready {
        uid,
        gid,
        user_added,
        hosts_added,
        untraced: session
            .untraced
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        addresses: repositories::addresses(&program.harness.repository_files),
        users,
        groups,
    });
    Ok(machine)
}

/// What is done when nothing more is to be performed.
fn leave(program: &Program) -> Result<(), Fault> {
    if program.becomes_image {
        kill_everything();
        fs::remove_dir_all(HARNESS_FOLDER)
            .map_err(Fault::io(format!("removing {HARNESS_FOLDER}")))?;
    }
    Ok(())
}

fn next_directive(incoming: &Receiver<Incoming>) -> Result<Directive, Fault> {
    match next(incoming)? {
        Incoming::Directive(directive) => Ok(directive),
        other @ (Incoming::Program(_) | Incoming::Opened(..) | Incoming::Resize(..)) => {
            Err(unexpected("a directive", &other))
        }
    }
}

fn next(incoming: &Receiver<Incoming>) -> Result<Incoming, Fault> {
    incoming
        .recv()
        .map_err(|_| Fault::Protocol("the reading thread is gone".to_owned()))
}

fn unexpected(wanted: &str, got: &Incoming) -> Fault {
    let got = match got {
        Incoming::Program(_) => "a program".to_owned(),
        Incoming::Directive(directive) => format!("the directive {directive:?}"),
        Incoming::Opened(stream, purpose) => format!("stream {} for {purpose:?}", stream.number()),
        Incoming::Resize(stream, _) => format!("a size for stream {stream}"),
    };
    Fault::Protocol(format!("{wanted} was due, but {got} came"))
}
