//! Where what was stopped goes on: on the processor of the thread that traces, as long as it need not be
//! elsewhere. A stop is then a switch from one to the other; between two processors it is two wake-ups,
//! which take several times as long, most of all where the machine is itself a guest.
//!
//! To say where, a process's affinity (sched_setaffinity(2)) is one processor at the moment in which it is
//! woken, and is its own again before the tracer waits. What it makes meanwhile gets the same, and one that
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
    /// The processor that it stays on, and since when.
    stays: Option<(usize, Instant)>,
    /// Where it may be otherwise; not known before it has stayed somewhere.
    all: Option<CpuSet>,
    /// True where nobody is to be moved: somebody has changed an affinity, or there is nowhere to go.
    is_left: bool,
}

impl Place {
    /// Lets a process go on, beside the tracer if that can be.
    pub(super) fn go_on(&mut self, pid: i32, go_on: impl FnOnce()) {
        let moved = self.moved(pid);
        go_on();
        if moved {
            self.spread(pid);
        }
    }

    /// Lets a process go on to the end of the call it is in; true if it is kept here until then, and
    /// [`Place::go_on_after`] is to let it go on.
    pub(super) fn go_on_through(&mut self, pid: i32, go_on: impl FnOnce()) -> bool {
        let moved = self.moved(pid);
        go_on();
        moved
    }

    /// Lets a process that was kept here go on.
    pub(super) fn go_on_after(&self, pid: i32, go_on: impl FnOnce()) {
        go_on();
        self.spread(pid);
    }

    /// Gives a process that is about to begin what its maker has, who could be moved while it made it.
    pub(super) fn begin(&self, pid: i32) {
        if !self.is_left {
            self.spread(pid);
        }
    }

    /// Moves nobody any more.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.move_on();
    }

    /// Says that a process wakes up here; false where that cannot be said.
    fn moved(&mut self, pid: i32) -> bool {
        let here = self.at().map(only);
        here.is_some_and(|here| sched_setaffinity(Pid::from_raw(pid), &here).is_ok())
    }

    /// Lets a process be wherever the tracer could: everything that is traced descends from the executor, and
    /// nothing of it has changed its affinity.
    fn spread(&self, pid: i32) {
        if let Some(all) = &self.all {
            // Nothing is to be done for one that has ended.
            let _ = sched_setaffinity(Pid::from_raw(pid), all);
        }
    }

    /// The processor on which the tracer is and stays; `None` where it may be another when it has waited.
    fn at(&mut self) -> Option<usize> {
        match self.stays {
            _ if self.is_left => None,
            Some((at, since)) if since.elapsed() < STAY => Some(at),
            Some(_) => {
                self.move_on();
                None
            }
            None => {
                let at = self.stay();
                self.is_left = at.is_none();
                at
            }
        }
    }

    /// Stays where it is; `None` if that cannot be.
    fn stay(&mut self) -> Option<usize> {
        let at = sched_getcpu();
        if self.all.is_none() {
            self.all = sched_getaffinity(None).ok();
        }
        self.all.filter(|all| all.count() > 1 && all.is_set(at))?;
        sched_setaffinity(None, &only(at)).ok()?;
        self.stays = Some((at, Instant::now()));
        Some(at)
    }

    fn move_on(&mut self) {
        if let (Some(_), Some(all)) = (self.stays.take(), &self.all) {
            let _ = sched_setaffinity(None, all);
        }
    }
}

/// One processor alone.
fn only(at: usize) -> CpuSet {
    let mut one = CpuSet::new();
    one.set(at);
    one
}
