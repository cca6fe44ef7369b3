//! Reaping: PID 1 inherits every orphan, and one thread waits for all of them. Nothing else in
//! the executor waits for a process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};

use crate::wake::Wake;

/// How long killed processes may take to be gone; uninterruptible sleep can hold one.
const GONE_WITHIN: Duration = Duration::from_secs(5);

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

/// The processes started and not yet reaped.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    children: Mutex<BTreeMap<i32, Arc<Child>>>,
    born: Condvar,
}

impl Reaper {
    /// Starts a process and remembers it; `wake` rings when it has ended. While `start` runs
    /// nothing is reaped, so that an end is never missed and the standard library, which waits
    /// for a process it failed to start, finds it.
    pub(crate) fn start(
        &self,
        wake: Arc<Wake>,
        start: impl FnOnce() -> io::Result<u32>,
    ) -> io::Result<Arc<Child>> {
        let mut children = lock(&self.children);
        let pid = i32::try_from(start()?).map_err(io::Error::other)?;
        let child = Arc::new(Child {
            exit: Mutex::new(None),
            wake,
        });
        children.insert(pid, Arc::clone(&child));
        self.born.notify_all();
        Ok(child)
    }

    /// Waits for processes for ever; the body of the reaping thread.
    pub(crate) fn reap_for_ever(&self) {
        loop {
            let ended =
                rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let children = lock(&self.children);
            if ended.is_err() {
                // No child at all: one is born under the lock, orphans only come from children.
                drop(
                    self.born
                        .wait_timeout(children, Duration::from_secs(1))
                        .unwrap_or_else(PoisonError::into_inner),
                );
                continue;
            }
            Self::reap_ended(children);
        }
    }

    fn reap_ended(mut children: MutexGuard<'_, BTreeMap<i32, Arc<Child>>>) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => continue,
            };
            if let Some(child) = children.remove(&pid.as_raw_pid()) {
                *lock(&child.exit) = Some(exit);
                child.wake.ring();
            }
        }
    }
}

/// Kills every process of the sandbox but this one, and waits until they are gone. `kill(-1)` of
/// PID 1 reaches all of them in one pass that no fork can outrun (kill(2)).
pub(crate) fn kill_everything() {
    if rustix::process::getpid() != Pid::INIT {
        return;
    }
    let until = Instant::now() + GONE_WITHIN;
    loop {
        // As a group id, 1 is sent to the kernel as -1: every process.
        let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
        if processes().is_empty() || Instant::now() > until {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every process of the sandbox but PID 1, in order of their ids.
pub(crate) fn processes() -> Vec<u32> {
    let mut found: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1)
        .collect();
    found.sort_unstable();
    found
}

/// Locks, whatever became of another thread that held the lock: a panic ends the session anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
