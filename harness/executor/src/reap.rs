//! Reaping: the executor inherits every orphan of what it started – as PID 1, or as the subreaper it
//! is beside systemd (prctl(2), `PR_SET_CHILD_SUBREAPER`) –, and one thread waits for all of them.
//! Nothing else in the executor waits for a process. Killing is here, too: it needs the same tree.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use assay_wire::trace::StartedFor;
use rustix::process::{Pid, Signal};

use crate::trace::{self, Seen, Stop, Tracer};
use crate::wake::Wake;

/// How long killed processes may take to be gone; uninterruptible sleep can hold one.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// How long descendants are killed one by one before everything is.
const ONE_BY_ONE_WITHIN: Duration = Duration::from_secs(1);

/// The signal that makes systemd end a machine at once, without stopping its units first
/// (systemd(1), `SIGRTMIN+14`; the C library keeps two of the kernel's signals, from 32, for itself).
const POWER_OFF: i32 = 34 + 14;

/// True in the executor that stands beside a PID 1 of its own.
static BESIDE_INIT: AtomicBool = AtomicBool::new(false);

/// Remembers that PID 1 is systemd, and of this process's own making.
pub(crate) fn stand_beside_init() {
    BESIDE_INIT.store(true, Ordering::SeqCst);
}

fn is_beside_init() -> bool {
    BESIDE_INIT.load(Ordering::SeqCst)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A process the executor started itself.
#[derive(Debug)]
pub(crate) struct Child {
    exit: Mutex<Option<Exit>>,
    wake: Arc<Wake>,
}

impl Child {
    /// How it ended; `None` while it runs.
    pub(crate) fn exit(&self) -> Option<Exit> {
        *lock(&self.exit)
    }
}

/// A process that was started and is not yet reaped.
#[derive(Debug)]
struct Started {
    child: Arc<Child>,
    /// What it is traced for, if it is.
    traced_for: Option<StartedFor>,
}

/// The processes started and not yet reaped, and those that are traced.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    /// Who follows what is traced.
    pub(crate) tracer: Tracer,
    children: Mutex<BTreeMap<i32, Started>>,
    born: Condvar,
}

impl Reaper {
    /// Starts a process and remembers it; `wake` rings when it has ended. While `start` runs
    /// nothing is reaped, so that an end is never missed and the standard library, which waits
    /// for a process it failed to start, finds it.
    pub(crate) fn start(
        &self,
        wake: Arc<Wake>,
        traced_for: Option<StartedFor>,
        start: impl FnOnce() -> io::Result<u32>,
    ) -> io::Result<Arc<Child>> {
        let mut children = lock(&self.children);
        let pid = i32::try_from(start()?).map_err(io::Error::other)?;
        let child = Arc::new(Child {
            exit: Mutex::new(None),
            wake,
        });
        let started = Started {
            child: Arc::clone(&child),
            traced_for,
        };
        children.insert(pid, started);
        self.born.notify_all();
        Ok(child)
    }

    /// Waits for processes for ever; the body of the reaping thread, which alone traces.
    pub(crate) fn reap_for_ever(&self) {
        loop {
            match trace::look() {
                Ok((pid, Seen::Stopped(why))) => self.stopped(pid, why),
                Ok((pid, Seen::Exited(code))) => self.ended(pid, Exit::Code(code)),
                Ok((pid, Seen::Killed(signal))) => self.ended(pid, Exit::Signal(signal)),
                Err(_) => {
                    // No child at all: one is born under the lock, orphans only come from children.
                    let children = lock(&self.children);
                    if children.is_empty() {
                        drop(
                            self.born
                                .wait_timeout(children, Duration::from_secs(1))
                                .unwrap_or_else(PoisonError::into_inner),
                        );
                    }
                }
            }
        }
    }

    fn stopped(&self, pid: i32, why: Stop) {
        let traced_for = lock(&self.children)
            .get_mut(&pid)
            .and_then(|started| started.traced_for.take());
        match traced_for {
            Some(traced_for) => {
                if self.tracer.begin(pid, traced_for).is_err() {
                    // Nothing runs untraced that was to be traced.
                    let _ = Pid::from_raw(pid)
                        .map(|pid| rustix::process::kill_process(pid, Signal::KILL));
                }
            }
            None => self.tracer.stopped(pid, why),
        }
    }

    fn ended(&self, pid: i32, exit: Exit) {
        let mut children = lock(&self.children);
        if !trace::reap(pid) {
            return;
        }
        self.tracer.ended(pid);
        if let Some(started) = children.remove(&pid) {
            *lock(&started.child.exit) = Some(exit);
            started.child.wake.ring();
        }
    }
}

/// Kills every process of the sandbox but PID 1 and this one, and waits until those this one
/// started are gone. `kill(-1)` reaches all of them in one pass that no fork can outrun (kill(2)).
/// Units that systemd starts again belong to it: they end with the sandbox.
pub(crate) fn kill_everything() {
    if rustix::process::getpid() != Pid::INIT && !is_beside_init() {
        return;
    }
    let until = Instant::now() + GONE_WITHIN;
    loop {
        // As a group id, 1 is sent to the kernel as -1: every process.
        let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
        if own_processes().is_empty() || Instant::now() > until {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills what an op started, and waits until it is gone. As PID 1 that is everything. Beside
/// systemd its units are spared, for ops that ask after them still come, unless what was started
/// multiplies faster than it is killed.
pub(crate) fn kill_tree() {
    let until = Instant::now() + ONE_BY_ONE_WITHIN;
    while is_beside_init() && Instant::now() < until {
        let left = own_processes();
        if left.is_empty() {
            return;
        }
        for pid in left {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // One that has ended since was a zombie of ours: its number is not another's yet.
            let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_everything();
}

/// Lets the sandbox end with the executor where that is not PID 1.
pub(crate) fn end_sandbox() {
    if is_beside_init() {
        #[expect(
            unsafe_code,
            reason = "the library has safe names for no real-time signal"
        )]
        // SAFETY: the number is a signal's, between SIGRTMIN and SIGRTMAX on every Linux.
        let power_off = unsafe { Signal::from_raw_unchecked(POWER_OFF) };
        // A systemd that does not listen is ended with its sandbox by the runner, or by a sweep.
        let _ = rustix::process::kill_process(Pid::INIT, power_off);
    }
}

/// Every process of the sandbox but this one, in order of their ids. PID 1 is among them where it is
/// not this one.
pub(crate) fn processes() -> Vec<u32> {
    let own = std::process::id();
    let mut found: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect();
    found.sort_unstable();
    found
}

/// Every process this one started, with all that those started: as PID 1 every other.
fn own_processes() -> Vec<u32> {
    let all = processes();
    if !is_beside_init() {
        return all;
    }
    let parents: BTreeMap<u32, u32> = all
        .into_iter()
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let own = std::process::id();
    let descends = |pid: &u32| {
        let mut at = *pid;
        // No chain is longer than there are processes.
        for _ in 0..=parents.len() {
            match parents.get(&at) {
                Some(parent) if *parent == own => return true,
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().copied().filter(descends).collect()
}

/// The parent of a process: field 4 of proc(5)'s `stat`, behind a name that may hold anything.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// Locks, whatever became of another thread that held the lock: a panic ends the session anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
