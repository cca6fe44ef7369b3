//! Where what was stopped goes on: on the processor of the thread that traces, as long as it need not be
//! elsewhere. A stop is then a switch from one to the other; between two processors it is two wake-ups,
//! which take several times as long, most of all where the machine is itself a guest.
//!
//! To say where, a process's affinity (sched_setaffinity(2)) is one processor at the moment in which it is
//! woken, and is its own again before the tracer waits. What it makes meanwhile gets its maker's, and one that
//! asks for an affinity, or changes one, stops first and then goes on wherever it may ([`Place::leave`]).
//! Where the kernel does not let the tracer say, nothing is said.

use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// How long the tracer stays on a processor before the kernel may choose anew, so that no processor is
/// everybody's while others have nothing to do.
const STAY: Duration = Duration::from_millis(20);

/// Where the tracing thread is.
#[derive(Debug, Default)]
pub(super) struct Place {
    stays: Option<Stays>,
    /// True where nobody is to be moved: somebody has changed an affinity, or there is nowhere to go.
    is_left: bool,
}

/// The thread stays on one processor.
#[derive(Debug)]
struct Stays {
    at: usize,
    since: Instant,
    /// Where it may be otherwise.
    all: CpuSet,
}

impl Place {
    /// Lets a process go on, beside the tracer if that can be.
    pub(super) fn go_on(&mut self, pid: i32, go_on: impl FnOnce()) {
        let moved = self.moved(pid);
        go_on();
        if let Some((pid, its)) = moved {
            // Nothing is to be done for one that has ended.
            let _ = sched_setaffinity(Some(pid), &its);
        }
    }

    /// Gives a process that is about to begin the affinity of its maker, which could be moved while it made it.
    pub(super) fn begin(&self, pid: i32, maker: impl FnOnce() -> Option<i32>) {
        let Some(stays) = &self.stays else {
            return;
        };
        let of = |pid| sched_getaffinity(Some(Pid::from_raw(pid)?)).ok();
        if of(pid).is_some_and(|its| its == only(stays.at))
            && let Some(its) = maker().and_then(of)
        {
            let _ = sched_setaffinity(Pid::from_raw(pid), &its);
        }
    }

    /// Moves nobody any more.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.move_on();
    }

    /// Says that a process wakes up here; gives its own affinity.
    fn moved(&mut self, pid: i32) -> Option<(Pid, CpuSet)> {
        let at = self.at()?;
        let pid = Pid::from_raw(pid)?;
        let its = sched_getaffinity(Some(pid)).ok()?;
        if its.count() < 2 || !its.is_set(at) {
            return None;
        }
        sched_setaffinity(Some(pid), &only(at)).ok()?;
        Some((pid, its))
    }

    /// The processor on which the tracer is and stays; `None` where it may be another when it has waited.
    fn at(&mut self) -> Option<usize> {
        if self.is_left {
            return None;
        }
        match &self.stays {
            Some(stays) if stays.since.elapsed() < STAY => Some(stays.at),
            Some(_) => {
                self.move_on();
                None
            }
            None => {
                self.stay();
                self.stays.as_ref().map(|stays| stays.at)
            }
        }
    }

    fn stay(&mut self) {
        let (at, all) = (sched_getcpu(), sched_getaffinity(None));
        let all = all
            .ok()
            .filter(|all| all.count() > 1 && at < CpuSet::MAX_CPU);
        match all.filter(|_| sched_setaffinity(None, &only(at)).is_ok()) {
            Some(all) => {
                self.stays = Some(Stays {
                    at,
                    since: Instant::now(),
                    all,
                });
            }
            None => self.is_left = true,
        }
    }

    fn move_on(&mut self) {
        if let Some(stays) = self.stays.take() {
            let _ = sched_setaffinity(None, &stays.all);
        }
    }
}

/// One processor alone.
fn only(at: usize) -> CpuSet {
    let mut one = CpuSet::new();
    one.set(at);
    one
}
