//! What leaves no file: calls and programs of a trace as operations of the taxonomy. A call that was
//! refused or failed for want of a right was asked for all the same, and is told with its error.

use std::collections::BTreeMap;

use assay_wire::event::{Asker, Trace};
use assay_wire::privileged::{Actor, FileText, Kind, OperationEvidence, Origin};
use assay_wire::program::PROXY_PORT;
use assay_wire::trace::{Call, StartedFor, TracedCall, TracedProgram};

use super::Seen;
use super::actors::actor;
use crate::explain::{Doer, Doers};

/// connect(2) of a socket that does not wait: the connection is under way.
const IN_PROGRESS: i32 = 115;

/// The sandbox has no network: on a machine that has one, the connection would be made.
const UNREACHABLE: [i32; 3] = [100, 101, 113];

/// Most generations looked through for a question of the harness.
const GENERATIONS: usize = 64;

/// What one trace shows.
pub(super) struct Called {
    pub(super) operations: Vec<(Seen, u64)>,
    /// Programs that ran as root, but for those of the harness's own questions.
    pub(super) programs_of_root: u64,
    /// How often a program that is no package's asked a resolver of the sandbox, which has none.
    pub(super) names_asked: u64,
}

/// What one trace of a cell shows.
pub(super) fn seen(trace: &Trace, doers: &Doers<'_>, is_booted: bool) -> Called {
    let programs = doers.programs();
    let mut called = Called {
        operations: Vec::new(),
        programs_of_root: 0,
        names_asked: 0,
    };
    for program in &trace.programs {
        if is_question(program, programs) {
            continue;
        }
        called.programs_of_root += u64::from(program.uid == 0);
        for kind in of_program(program, doers, is_booted) {
            let seen = seen_of(kind, program, None);
            called.operations.push((seen, 1));
        }
    }
    for call in &trace.calls {
        let Some(kind) = of_call(call) else {
            continue;
        };
        let Some(program) = programs.get(&call.program) else {
            continue;
        };
        if program.uid != 0 && is_a_users_own(call) {
            continue;
        }
        // What a package does is told with the package.
        let is_script = matches!(doers.of(program.id), Doer::Script { .. });
        if is_resolver(&kind) && !is_script {
            called.names_asked += call.count;
            continue;
        }
        let after = call.error.map(|error| match UNREACHABLE.contains(&error) {
            true => "not made: the sandbox has no network".to_owned(),
            false => format!("asked for, answered with error {error}"),
        });
        let after = after.filter(|_| call.error != Some(IN_PROGRESS));
        called
            .operations
            .push((seen_of(kind, program, after), call.count));
    }
    called
}

pub(super) fn seen_of(kind: Kind, program: &TracedProgram, after: Option<String>) -> Seen {
    Seen {
        kind,
        origin: Origin::Trace,
        before: None,
        after,
        actor: Some(actor(program)),
        evidence: OperationEvidence {
            exe: Some(program.exe.clone()),
            ..OperationEvidence::default()
        },
    }
}

/// True for what the harness asks for itself.
fn is_question(program: &TracedProgram, programs: &BTreeMap<u32, &TracedProgram>) -> bool {
    let parent = |program: &&TracedProgram| programs.get(&program.parent?).copied();
    std::iter::successors(programs.get(&program.id).copied(), parent)
        .take(GENERATIONS)
        .any(|program| program.started_for == Some(StartedFor::Question))
}

/// What it is that a program runs at all.
fn of_program(program: &TracedProgram, doers: &Doers<'_>, is_booted: bool) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if let Some(Doer::Script { package, phase, .. }) = doers.begins(program) {
        kinds.push(Kind::MaintscriptRun { package, phase });
    }
    if let Some(name) = program.exe.strip_prefix("/memfd:") {
        // proc(5), `exe`: no file of that name was ever there.
        let name = name.strip_suffix(" (deleted)").unwrap_or(name);
        kinds.push(Kind::MemfdExec {
            name: name.to_owned(),
        });
    }
    if is_booted {
        kinds.extend(units_started(&program.argv));
    }
    kinds
}

/// The units that systemctl(1) is told to start. Without systemd as PID 1 it starts none.
pub(super) fn units_started(argv: &[String]) -> Vec<Kind> {
    let mut words = argv.iter().map(String::as_str);
    let is_systemctl = words
        .next()
        .is_some_and(|program| program.rsplit('/').next() == Some("systemctl"));
    if !is_systemctl {
        return Vec::new();
    }
    let now = argv.iter().any(|word| word == "--now");
    let mut plain = words.filter(|word| !word.starts_with('-'));
    let starts = match plain.next() {
        Some("start" | "restart" | "reload-or-restart") => true,
        Some("enable" | "reenable") => now,
        Some(_) | None => false,
    };
    if !starts {
        return Vec::new();
    }
    let unit = |name: &str| match name.contains('.') {
        true => name.to_owned(),
        false => format!("{name}.service"),
    };
    plain
        .map(|name| Kind::UnitStarted { unit: unit(name) })
        .collect()
}

/// What a call asks for; `None` for what the manifest shows better, and for what gives nothing.
fn of_call(call: &TracedCall) -> Option<Kind> {
    let subject = || call.subject.clone();
    Some(match call.call {
        Call::Connect => return connection(call),
        Call::Listen if call.error.is_none() => {
            let (address, port) = address(&call.subject)?;
            Kind::NetListen { address, port }
        }
        Call::Mount => Kind::Mount {
            arguments: subject(),
        },
        Call::Namespace => Kind::Namespace {
            arguments: subject(),
        },
        // pacman does that before every scriptlet (pacman(8), `--root`), and nothing changes by it.
        Call::Chroot if call.subject == "/" => return None,
        Call::Chroot => Kind::Chroot {
            arguments: subject(),
        },
        Call::Ptrace => Kind::Ptrace { target: subject() },
        Call::Kill => Kind::Ptrace {
            target: format!("kill {}", call.subject),
        },
        // What is open there is the supervisor's, its memory and its stream of events.
        Call::Open if is_of_the_first(call) => Kind::Ptrace { target: subject() },
        Call::Bpf => Kind::Bpf { command: subject() },
        Call::Perf => Kind::Bpf {
            command: "perf_event_open".to_owned(),
        },
        Call::Kmod => Kind::Kmod {
            name: subject(),
            says: FileText::Words("loaded or removed".to_owned()),
        },
        // sethostname(2), syslog(2) and their like: the kernel's own state.
        Call::Administration => Kind::Sysctl {
            key: subject(),
            says: FileText::Unread,
        },
        // Nobody can say what would have been done by it.
        Call::IoUring => Kind::CaptureGap {
            count: 1,
            reason: "io_uring, which was refused".to_owned(),
        },
        Call::Foreign => Kind::CaptureGap {
            count: 1,
            reason: format!(
                "call {} of another architecture, which was refused",
                call.subject
            ),
        },
        Call::Listen
        | Call::Open
        | Call::Truncate
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
        | Call::Bind
        | Call::Memfd => return None,
    })
}

/// True for a file of the first process that is opened for writing, or was meant to be.
fn is_of_the_first(call: &TracedCall) -> bool {
    const REFUSED: [i32; 2] = [1, 13];
    let is_asked_for = call.error.is_none_or(|error| REFUSED.contains(&error));
    is_asked_for && call.subject.starts_with("/proc/1/")
}

/// A connection that was made, or would have been made where there is a network. Port 0 is of no
/// connection: the resolver asks the kernel by it which address it would come from (getaddrinfo(3)).
fn connection(call: &TracedCall) -> Option<Kind> {
    let counts = |error: i32| error == IN_PROGRESS || UNREACHABLE.contains(&error);
    let (host, port) = address(&call.subject)?;
    let is_proxy = host == "127.0.0.1" && port == PROXY_PORT;
    let is_counted = call.error.is_none_or(counts) && port != 0 && !is_proxy;
    is_counted.then_some(Kind::NetConnect { host, port })
}

/// Who a request to the proxy is from: the one program of its name and user that connects there. `None`
/// where several do, or none.
pub(super) fn asks<'t>(
    asker: &Asker,
    traces: impl Iterator<Item = &'t Trace>,
    programs: &BTreeMap<u32, &TracedProgram>,
) -> Option<Actor> {
    let name = asker.program.as_deref().filter(|name| !name.is_empty())?;
    let proxy = format!("127.0.0.1:{PROXY_PORT}");
    let to_proxy = |call: &&TracedCall| call.call == Call::Connect && call.subject == proxy;
    let is_it = |program: &&TracedProgram| {
        let own = program.exe.rsplit('/').next().unwrap_or_default();
        // Of a longer name proc(5) tells the first 15 bytes.
        program.uid == asker.uid && (own == name || (name.len() == 15 && own.starts_with(name)))
    };
    let calls = traces.flat_map(|trace| &trace.calls).filter(to_proxy);
    let mut of_name = calls
        .filter_map(|call| programs.get(&call.program).copied())
        .filter(is_it);
    let first = of_name.next()?;
    of_name
        .all(|other| other.id == first.id)
        .then(|| actor(first))
}

/// True for what any user may ask for and was refused: io_uring, which libuv asks for at every start and goes on
/// without, and tracing, which the kernel lets a user do to nobody else's processes (ptrace(2)).
fn is_a_users_own(call: &TracedCall) -> bool {
    call.call == Call::IoUring || (call.call == Call::Ptrace && call.error.is_some())
}

/// Where resolvers ask if resolv.conf(5) names nobody. A package manager does so although it was told of
/// a proxy; for anybody else it is the beginning of a connection past it.
fn is_resolver(kind: &Kind) -> bool {
    const DNS: u16 = 53;
    matches!(kind, Kind::NetConnect { host, port: DNS } if host == "127.0.0.1" || host == "::1")
}

/// Address and port of the internet; `None` for a socket of this machine's own.
fn address(text: &str) -> Option<(String, u16)> {
    if text == "any" {
        return Some(("any".to_owned(), 0));
    }
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<std::net::IpAddr>().ok()?;
    Some((host.to_owned(), port.parse().ok()?))
}
