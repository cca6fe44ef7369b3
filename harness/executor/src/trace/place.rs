//! Where what was stopped goes on: on the processor of the thread that traces, as long as it need not be
//! elsewhere. A stop is then a switch from one to the other; between two processors it is two wake-ups,
//! which take several times as long, most of all where the machine is itself a guest.
//!
//! To say where, a process's affinity (sched_setaffinity(2)) is one processor at the moment in which it is
//! woken, and is its own again before the tracer waits. One that asks for a file's name, mode or owner mostly
//! asks for the next in a moment: it is kept until it has not for a while ([`Place::let_go`]). What is made
//! meanwhile gets the same, and one that asks for an affinity, or changes one, stops first and then goes on
//! wherever it may ([`Place::free`], [`Place::leave`]). Where the kernel does not let the tracer say, nothing is
//! said.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// How long the tracer stays on a processor before the kernel may choose anew, so that no processor is
/// everybody's while others have nothing to do.
const STAY: Duration = Duration::from_millis(20);

/// How long a process is kept that does not stop: once or twice this.
pub(super) const KEPT: Duration = Duration::from_millis(10);

/// Where the tracing thread is.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The processor that it stays on, and since when.
    stays: Option<(usize, Instant)>,
    /// Where it may be otherwise; not known before it has stayed somewhere.
    all: Option<CpuSet>,
    /// True where nobody is to be moved: somebody has changed an affinity, or there is nowhere to go.
    is_left: bool,
    /// Who is kept.
    kept: BTreeMap<i32, Kept>,
}

/// A process that can be on one processor alone.
#[derive(Debug, Clone, Copy)]
struct Kept {
    at: usize,
    /// True if it stopped since [`Place::let_go`] looked last.
    has_stopped: bool,
}

impl Place {
    /// Lets a process go on beside the tracer if that can be, and be elsewhere from then on.
    pub(super) fn go_on(&mut self, pid: i32, go_on: impl FnOnce()) {
        self.bring(pid);
        go_on();
        self.free(pid);
    }

    /// Lets a process go on beside the tracer if that can be, and keeps it there.
    pub(super) fn go_on_here(&mut self, pid: i32, go_on: impl FnOnce()) {
        self.bring(pid);
        go_on();
    }

    /// True while anybody is kept.
    pub(super) fn keeps_any(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Lets everybody go who has not stopped since the last time.
    pub(super) fn let_go(&mut self) {
        let all = self.all;
        self.kept.retain(|pid, kept| {
            let stays = std::mem::take(&mut kept.has_stopped);
            if !stays {
                spread(*pid, all.as_ref());
            }
            stays
        });
    }

    /// Lets a process be elsewhere.
    pub(super) fn free(&mut self, pid: i32) {
        if self.kept.remove(&pid).is_some() {
            spread(pid, self.all.as_ref());
        }
    }

    /// Forgets a process that has ended.
    pub(super) fn forget(&mut self, pid: i32) {
        self.kept.remove(&pid);
    }

    /// A thread goes on under its process's id, and is kept as it was.
    pub(super) fn becomes(&mut self, thread: i32, process: i32) {
        self.kept.remove(&process);
        if let Some(kept) = self.kept.remove(&thread) {
            self.kept.insert(process, kept);
        }
    }

    /// Gives a process that is about to begin what its maker has, who could be kept while it made it.
    pub(super) fn begin(&self, pid: i32) {
        if !self.is_left {
            spread(pid, self.all.as_ref());
        }
    }

    /// Moves nobody any more.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.move_on();
        for pid in std::mem::take(&mut self.kept).into_keys() {
            spread(pid, self.all.as_ref());
        }
    }

    /// Says that a process wakes up here, if that can be said.
    fn bring(&mut self, pid: i32) {
        let Some(at) = self.at() else {
            return;
        };
        let is_here = self.kept.get(&pid).is_some_and(|kept| kept.at == at);
        if is_here || sched_setaffinity(Pid::from_raw(pid), &only(at)).is_ok() {
            let has_stopped = true;
            self.kept.insert(pid, Kept { at, has_stopped });
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

/// Lets a process be wherever the tracer could: everything that is traced descends from the executor, and
/// nothing of it has changed its affinity.
fn spread(pid: i32, all: Option<&CpuSet>) {
    if let Some(all) = all {
        // Nothing is to be done for one that has ended.
        let _ = sched_setaffinity(Pid::from_raw(pid), all);
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// Something that waits, and is ended with the test.
    struct Other(Child);

    impl Other {
        fn start() -> Self {
            Self(Command::new("sleep").arg("60").spawn().expect("started"))
        }

        fn pid(&self) -> i32 {
            i32::try_from(self.0.id()).expect("an id")
        }

        /// On how many processors it may be.
        fn may_be_on(&self) -> u32 {
            let affinity = sched_getaffinity(Pid::from_raw(self.pid()));
            affinity.expect("it waits").count()
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }

    #[test]
    fn who_stops_again_and_again_is_kept_and_let_go_once_it_does_not() {
        let all = sched_getaffinity(None).expect("known").count();
        let kept = if all > 1 { 1 } else { all };
        let (one, other) = (Other::start(), Other::start());
        let mut place = Place::default();
        place.go_on(other.pid(), || assert_eq!(other.may_be_on(), kept));
        assert_eq!(other.may_be_on(), all);
        if let Some((_, since)) = &mut place.stays {
            // However long the test takes, it moves on at no moment of it.
            *since += Duration::from_secs(3600);
        }
        for _ in 0..3 {
            place.go_on_here(one.pid(), || assert_eq!(one.may_be_on(), kept));
            place.go_on_here(other.pid(), || assert_eq!(other.may_be_on(), kept));
            assert_eq!(place.keeps_any(), all > 1);
            place.let_go();
            assert_eq!((one.may_be_on(), other.may_be_on()), (kept, kept));
        }
        place.free(other.pid());
        assert_eq!((one.may_be_on(), other.may_be_on()), (kept, all));
        place.let_go();
        assert_eq!(one.may_be_on(), all);
        assert!(!place.keeps_any());
        place.go_on_here(one.pid(), || ());
        place.leave();
        assert_eq!(one.may_be_on(), all);
        place.go_on_here(one.pid(), || assert_eq!(one.may_be_on(), all));
        assert!(!place.keeps_any());
    }
}
