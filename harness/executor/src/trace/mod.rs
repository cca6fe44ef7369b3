//! Tracing: who executes what, and asks for what, told as [`assay_wire::trace`]. What it means is not
//! known here, and nothing is ever let through or refused because of who asks.
//!
//! A command stops itself before it becomes one ([`crate::launch`]); the thread that reaps sees that,
//! seizes it and lets it go on. From then on every process and thread of it stops for the same
//! thread: when it begins, when it has executed a program, and before every call of the table in
//! [`calls`], after which it stops once more for the answer. Read [`stop`] for how, [`read`] for what
//! can be known of a stopped process, [`place`] for where it goes on, [`scripts`] for what a program was
//! told to run, [`lines`] for what is told, [`missing`] for the calls that the tracer answers itself.

mod calls;
mod lines;
mod missing;
mod place;
mod read;
mod scripts;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use assay_wire::manifest::escape_path;
use assay_wire::trace::{Call, GapReason, StartedFor, TraceLine, TracedProgram};
use rustix::process::{Pid, Signal};

use self::calls::{Names, Reads, Trapped};
use self::lines::Lines;
use self::place::Place;
use self::read::Memories;
use self::stop::Entered;
use crate::reap::lock;

pub(crate) use self::stop::{Seen, Stop, look, reap};

/// Longest address of a socket read (`struct sockaddr_storage`).
const LONGEST_ADDRESS: u64 = 128;

/// Installs the filter at which a traced program stops; to be called by the program's own process, which the
/// executor has started.
pub(crate) fn install_filter() -> io::Result<()> {
    let executor = rustix::process::getppid().map_or(1, Pid::as_raw_pid);
    calls::filter(executor.unsigned_abs()).install()
}

/// Everything that is followed.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    state: Mutex<State>,
    /// Rings when somebody is kept and nobody was.
    keeps: Condvar,
}

/// How a process or thread goes on.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// With a signal, or 0.
    On { signal: i32 },
    /// As one that will stop again in a moment.
    Here,
    /// To the end of the call it is in.
    Through { is_short: bool },
}

#[derive(Debug, Default)]
struct State {
    followed: BTreeMap<i32, Followed>,
    /// Those that ended before their maker's stop told of them: their ids may become another's.
    unannounced: BTreeSet<i32>,
    memories: Memories,
    lines: Lines,
    place: Place,
    /// Addresses that programs have bound their sockets to.
    bound: BTreeMap<(u32, u64), String>,
    programs: u32,
    /// Where the scripts of packages lie while they run: patterns of paths.
    scripts: Vec<String>,
    /// True once a program has got another root folder: absolute paths may begin elsewhere.
    has_other_roots: bool,
}

/// A process or thread.
#[derive(Debug, Default)]
struct Followed {
    /// The program it runs, its own or its maker's; none before the first.
    program: Option<u32>,
    /// True once its maker's stop has told of it.
    is_announced: bool,
    /// True once it has executed a program itself.
    has_executed: bool,
    /// True for root who has asked for no other rights since it executed its program.
    is_root: bool,
    /// What its first program is started for.
    started_for: Option<StartedFor>,
    /// The call it is in.
    inside: Option<Inside>,
}

/// A call that has begun.
#[derive(Debug)]
struct Inside {
    row: &'static Trapped,
    /// Subject and detail; none if they could not be read.
    told: Option<(String, Option<String>)>,
    first: u64,
}

impl Tracer {
    /// Tells with every program from now on which scripts among its words lie where these patterns say.
    pub(crate) fn look_for_scripts(&self, patterns: Vec<String>) {
        lock(&self.state).scripts = patterns;
    }

    /// Begins to follow a process that has stopped itself for it.
    ///
    /// # Errors
    /// It cannot be followed; it stays stopped.
    pub(crate) fn begin(&self, pid: i32, started_for: StartedFor) -> io::Result<()> {
        let mut state = lock(&self.state);
        if let Err(error) = stop::seize(pid) {
            state.lines.gap(GapReason::Process);
            return Err(error);
        }
        let followed = Followed {
            started_for: Some(started_for),
            is_announced: true,
            ..Followed::default()
        };
        state.followed.insert(pid, followed);
        let process = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        rustix::process::kill_process(process, Signal::CONT)?;
        Ok(())
    }

    /// Takes note of why a process or thread has stopped, and lets it go on.
    pub(crate) fn stopped(&self, pid: i32, why: Stop) {
        let mut state = lock(&self.state);
        let on = Way::On { signal: 0 };
        let way = match why {
            Stop::Began => {
                state.place.begin(pid);
                state.meet(pid);
                on
            }
            Stop::Held => return stop::stay_held(pid),
            Stop::Signal(signal @ libc::SIGSYS) => match stop::signalled(pid) {
                Some(entered) => state.called(pid, entered),
                None => Way::On { signal },
            },
            Stop::Signal(signal) => Way::On { signal },
            Stop::Forked => {
                state.forked(pid);
                on
            }
            Stop::Executed => {
                state.executed(pid);
                on
            }
            Stop::Before => match stop::entered(pid) {
                Some(entered) if entered.index == calls::AFFINITY => {
                    match calls::changes_affinity(entered.number) {
                        true => state.place.leave(),
                        false => state.place.free(pid),
                    }
                    return stop::go_on(pid, 0);
                }
                Some(entered) => state.called(pid, entered),
                None => {
                    if !is_gone(pid) {
                        state.lines.gap(GapReason::Arguments);
                    }
                    on
                }
            },
            Stop::After => state.after_call(pid, stop::left(pid)),
        };
        let kept = state.place.keeps_any();
        state.go_on(pid, way);
        if !kept && state.place.keeps_any() {
            self.keeps.notify_one();
        }
    }

    /// Lets those be elsewhere who are kept and do not stop, for ever; the body of a thread.
    pub(crate) fn let_go_for_ever(&self) {
        loop {
            let mut state = lock(&self.state);
            while !state.place.keeps_any() {
                let waited = self.keeps.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            thread::sleep(place::KEPT);
            lock(&self.state).place.let_go();
        }
    }

    /// Takes note of the end of a process or thread.
    pub(crate) fn ended(&self, pid: i32) {
        let mut state = lock(&self.state);
        // Whether the call it was in was made is not known.
        state.after_call(pid, None);
        state.place.forget(pid);
        state.forget(pid);
    }

    /// What was told since the last time, and how much that was with all repetitions.
    pub(crate) fn take(&self) -> (Vec<TraceLine>, u64) {
        lock(&self.state).lines.take()
    }
}

impl State {
    /// Meets a process or thread that one of those followed has made. Its maker's own stop may come
    /// later, or never if that was killed.
    fn meet(&mut self, pid: i32) {
        if self.followed.contains_key(&pid) {
            return;
        }
        let maker = read::origin(pid).and_then(|maker| self.followed.get(&maker));
        let program = maker.and_then(|maker| maker.program);
        if program.is_none() && !is_gone(pid) {
            self.lines.gap(GapReason::Process);
        }
        self.remember(pid, program);
    }

    /// What was made may have come further than its maker, whose word is better than [`State::meet`]'s.
    fn forked(&mut self, pid: i32) {
        let program = self.followed.get(&pid).and_then(|maker| maker.program);
        let made = stop::message(pid);
        if let Some(made) = made.filter(|made| !self.unannounced.remove(made)) {
            self.remember(made, program).is_announced = true;
        }
    }

    fn remember(&mut self, pid: i32, program: Option<u32>) -> &mut Followed {
        let followed = self.followed.entry(pid).or_default();
        if !followed.has_executed {
            followed.program = program;
        }
        followed
    }

    /// Forgets a process or thread, whose id may be another's from now on.
    fn forget(&mut self, pid: i32) -> Option<Followed> {
        self.memories.forget(pid);
        let followed = self.followed.remove(&pid)?;
        if !followed.is_announced {
            self.unannounced.insert(pid);
        }
        Some(followed)
    }

    fn executed(&mut self, pid: i32) {
        // A thread that executes a program becomes its process, and the others end.
        let by = stop::message(pid).unwrap_or(pid);
        let followed = if by == pid {
            self.memories.forget(pid);
            self.followed.remove(&pid)
        } else {
            self.place.becomes(by, pid);
            let leader = self.followed.remove(&pid).unwrap_or_default();
            self.forget(by).map(|thread| Followed {
                is_announced: leader.is_announced,
                ..thread
            })
        };
        let followed = followed.unwrap_or_default();
        let (mut program, mut is_root) = (followed.program, false);
        if let Some(began) = read::began(pid) {
            is_root = began.uid == 0;
            self.programs += 1;
            let scripts = scripts::of(pid, &began, &self.scripts);
            self.lines.program(TracedProgram {
                id: self.programs,
                parent: program,
                started_for: followed.started_for,
                pid: pid.unsigned_abs(),
                argv: began.words.iter().map(|word| escape_path(word)).collect(),
                cut: began.cut,
                exe: escape_path(&began.exe),
                folder: began.folder,
                uid: began.uid,
                gid: began.gid,
                maintscript: began.maintscript,
                scripts,
            });
            program = Some(self.programs);
        } else if !is_gone(pid) {
            self.lines.gap(GapReason::Program);
        }
        let now = Followed {
            program,
            is_announced: followed.is_announced,
            has_executed: true,
            is_root,
            ..Followed::default()
        };
        self.followed.insert(pid, now);
    }

    /// A call is about to be made: whether its answer is to be waited for.
    fn called(&mut self, pid: i32, entered: Entered) -> Way {
        let on = Way::On { signal: 0 };
        let program = self
            .followed
            .get(&pid)
            .and_then(|followed| followed.program);
        let Some(row) = calls::at(entered.index) else {
            let told = (entered.number.to_string(), None);
            self.refuse(pid, program, (Call::Foreign, libc::ENOSYS), told);
            return on;
        };
        if program.is_some() && self.is_of_nothing(pid, row, &entered.arguments) {
            // One that cannot be answered is made.
            if stop::refuse(pid, libc::ENOENT).is_ok() {
                self.lines.nothing();
                return Way::Here;
            }
        }
        let told = program.and_then(|program| self.told(pid, program, row, &entered.arguments));
        if let Some(errno) = row.refused.or_else(|| spares(row, &entered.arguments)) {
            let told = told.unwrap_or_else(|| (String::new(), None));
            self.refuse(pid, program, (row.call, errno), told);
            return on;
        }
        // What the executor does itself on the way to becoming a command is nobody's.
        let Some(followed) = self.followed.get_mut(&pid).filter(|_| program.is_some()) else {
            return on;
        };
        if matches!(row.call, Call::Setuid | Call::Capset) {
            followed.is_root = false;
        }
        followed.inside = Some(Inside {
            row,
            told,
            first: entered.arguments[0],
        });
        Way::Through {
            is_short: row.is_short(),
        }
    }

    /// True for a call that would take away what is not there, by which nothing happens ([`missing`]).
    fn is_of_nothing(&mut self, pid: i32, row: &Trapped, arguments: &[u64; 6]) -> bool {
        let Some(at) = missing::path_of(row, arguments) else {
            return false;
        };
        let is_root = self
            .followed
            .get(&pid)
            .is_some_and(|followed| followed.is_root);
        if !is_root || self.has_other_roots {
            return false;
        }
        let path = self.memories.text(pid, arguments[at]);
        path.is_some_and(|path| missing::is_nothing(&path))
    }

    fn go_on(&mut self, pid: i32, way: Way) {
        let place = &mut self.place;
        match way {
            Way::On { signal } => place.go_on(pid, || stop::go_on(pid, signal)),
            Way::Here => place.go_on_here(pid, || stop::go_on(pid, 0)),
            Way::Through { is_short: true } => {
                place.go_on_here(pid, || stop::go_on_through_call(pid));
            }
            Way::Through { is_short: false } => place.go_on(pid, || stop::go_on_through_call(pid)),
        }
    }

    fn refuse(
        &mut self,
        pid: i32,
        program: Option<u32>,
        (call, errno): (Call, i32),
        told: (String, Option<String>),
    ) {
        if stop::refuse(pid, errno).is_err() && !is_gone(pid) {
            // A call that cannot be refused must not be made.
            let process = Pid::from_raw(pid);
            let _ = process.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        }
        if let Some(program) = program {
            self.lines.call(program, call, told, Some(errno));
        }
    }

    /// How the call ended; `None` if that is not known.
    fn after_call(&mut self, pid: i32, ending: Option<Result<i64, i32>>) -> Way {
        let on = Way::On { signal: 0 };
        let Some(followed) = self.followed.get_mut(&pid) else {
            return on;
        };
        let (Some(program), Some(inside)) = (followed.program, followed.inside.take()) else {
            return on;
        };
        let is_short = inside.row.is_short();
        self.tell(pid, program, inside, ending);
        if is_short { Way::Here } else { on }
    }

    fn tell(&mut self, pid: i32, program: u32, inside: Inside, ending: Option<Result<i64, i32>>) {
        let error = ending.and_then(Result::err);
        if error == Some(libc::ENOENT) && inside.row.is_of_files() {
            self.lines.nothing();
            return;
        }
        let Some((mut subject, detail)) = inside.told else {
            // An address that leads nowhere: the kernel could not read it either.
            if error != Some(libc::EFAULT) && ending.is_some() {
                self.lines.gap(GapReason::Arguments);
            }
            return;
        };
        if let Some(Ok(given)) = ending {
            match inside.row.call {
                Call::Open => {
                    // What was opened, whatever links led there.
                    let opened = read::link(pid, &format!("fd/{given}"));
                    if let Some(opened) = opened.filter(|path| path.starts_with(b"/")) {
                        subject = escape_path(&opened);
                    }
                }
                Call::Bind => {
                    self.bound.insert((program, inside.first), subject.clone());
                }
                Call::Chroot => self.has_other_roots = true,
                Call::Truncate
                | Call::Mkdir
                | Call::Unlink
                | Call::Rename
                | Call::Link
                | Call::Symlink
                | Call::Mknod
                | Call::Chmod
                | Call::Chown
                | Call::Setxattr
                | Call::Setuid
                | Call::Capset
                | Call::Connect
                | Call::Listen
                | Call::Mount
                | Call::Namespace
                | Call::Ptrace
                | Call::Bpf
                | Call::Perf
                | Call::Memfd
                | Call::Kmod
                | Call::Administration
                | Call::Kill
                | Call::IoUring
                | Call::Foreign => {}
            }
        }
        self.lines
            .call(program, inside.row.call, (subject, detail), error);
    }

    /// Subject and detail of a call, read from its arguments.
    fn told(
        &mut self,
        pid: i32,
        program: u32,
        row: &Trapped,
        arguments: &[u64; 6],
    ) -> Option<(String, Option<String>)> {
        let number = |at: usize| arguments[at] as i32;
        Some(match row.reads {
            Reads::File(names) | Reads::MountPoint(names) => {
                (self.path(pid, names, arguments)?, None)
            }
            Reads::Mode(names, at) => {
                let mode = format!("{:04o}", arguments[at] & 0o177_777);
                (self.path(pid, names, arguments)?, Some(mode))
            }
            Reads::Owner(names, at) => {
                let owner = format!("{}:{}", number(at), number(at + 1));
                (self.path(pid, names, arguments)?, Some(owner))
            }
            Reads::Attribute(names, at) => {
                let name = self.text(pid, arguments[at])?;
                (self.path(pid, names, arguments)?, Some(name))
            }
            Reads::Two(from, to) => (
                self.path(pid, from, arguments)?,
                Some(self.path(pid, to, arguments)?),
            ),
            Reads::LeadsTo(at, names) => {
                let to = self.text(pid, arguments[at])?;
                (self.path(pid, names, arguments)?, Some(to))
            }
            Reads::Address => {
                let length = usize::try_from(arguments[2].min(LONGEST_ADDRESS)).ok()?;
                let bytes = self.memories.bytes(pid, arguments[1], length)?;
                (read::address(&bytes)?, None)
            }
            Reads::Listening => {
                let bound = self.bound.get(&(program, arguments[0]));
                (bound.cloned().unwrap_or_else(|| "any".to_owned()), None)
            }
            Reads::Numbers(count) => {
                let numbers: Vec<String> = (0..count).map(|at| number(at).to_string()).collect();
                (numbers.join(" "), None)
            }
            Reads::Text(at) => (self.text(pid, arguments[at])?, None),
            Reads::Nothing(name) => (name.to_owned(), None),
            Reads::Named(name, at) => (format!("{name} {}", number(at)), None),
        })
    }

    fn text(&mut self, pid: i32, address: u64) -> Option<String> {
        Some(escape_path(&self.memories.text(pid, address)?))
    }

    /// The absolute path of a file that is named.
    fn path(&mut self, pid: i32, names: Names, arguments: &[u64; 6]) -> Option<String> {
        let (from, at) = match names {
            Names::Path(at) => (libc::AT_FDCWD, at),
            Names::At(from, at) => (arguments[from] as i32, at),
            Names::Descriptor(at) => {
                let name = format!("fd/{}", arguments[at] as i32);
                return Some(escape_path(&read::link(pid, &name)?));
            }
        };
        let path = self.memories.text(pid, arguments[at])?;
        let base = if path.starts_with(b"/") {
            let root = match self.has_other_roots {
                true => read::link(pid, "root")?,
                false => b"/".to_vec(),
            };
            let inside = read::absolute(b"/", &path);
            return Some(escape_path(&read::absolute(&root, &inside[1..])));
        } else if from == libc::AT_FDCWD {
            read::link(pid, "cwd")?
        } else {
            read::link(pid, &format!("fd/{from}"))?
        };
        Some(escape_path(&read::absolute(&base, &path)))
    }
}

/// The error of a call that would end or stop the executor where nothing else keeps it from that: the kernel
/// spares PID 1 alone (kill(2)).
fn spares(row: &Trapped, arguments: &[u64; 6]) -> Option<i32> {
    let own = rustix::process::getpid();
    let first = arguments[0] as i32;
    let is_meant = first == own.as_raw_pid() || (first == -1 && row.call == Call::Kill);
    (row.is_of_the_first() && is_meant && own != Pid::INIT).then_some(libc::EPERM)
}

/// True if a process that was just stopped is so no more: it was killed, and what could not be learned
/// of it is lost with it.
fn is_gone(pid: i32) -> bool {
    !matches!(read::state(pid), Some('t' | 'T'))
}
