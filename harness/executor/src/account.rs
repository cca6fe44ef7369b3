//! How much an op's processes have written to storage, summed over its whole tree.
//!
//! The kernel adds what a reaped process wrote to its parent's account (proc(5), `/proc/PID/io`,
//! `write_bytes`), and PID 1 reaps every orphan: so the sum over the executor's own account and
//! those of the living covers everything that ever ran, except a process whose parent ignores
//! SIGCHLD while both live. Each pass reads the executor's account first and then the processes
//! in order of their ids, so that an account that moves to a parent in between is missed in that
//! pass rather than counted twice; the greatest sum seen counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::thread::{Gid, Uid};

use crate::reap::processes;

/// The account of one op.
#[derive(Debug)]
pub(crate) struct WriteAccount {
    /// What the executor's own account held at the start, and what processes of earlier ops
    /// brought into it since.
    before: u64,
    /// Processes that existed before the op: when they started and their last known account.
    earlier: BTreeMap<u32, (u64, u64)>,
    greatest: u64,
}

impl WriteAccount {
    /// An account that starts now, from nothing.
    pub(crate) fn start() -> Self {
        Self {
            before: own_written(),
            earlier: processes()
                .into_iter()
                .filter_map(|pid| Some((pid, (start_time(pid)?, written_by(pid)))))
                .collect(),
            greatest: 0,
        }
    }

    /// Bytes written since the start; never less than an answer before.
    pub(crate) fn written(&mut self) -> u64 {
        let own = own_written();
        let mut living = 0;
        let mut remaining = std::mem::take(&mut self.earlier);
        for pid in processes() {
            let written = written_by(pid);
            match remaining.remove(&pid) {
                Some((started, _)) if start_time(pid) == Some(started) => {
                    self.earlier.insert(pid, (started, written));
                }
                Some((_, last)) => {
                    self.before += last;
                    living += written;
                }
                None => living += written,
            }
        }
        self.before += remaining.values().map(|(_, last)| last).sum::<u64>();
        self.greatest = self
            .greatest
            .max((own + living).saturating_sub(self.before));
        self.greatest
    }
}

fn own_written() -> u64 {
    read_written("/proc/self/io").unwrap_or(0)
}

/// What a process has written, with what it inherited from reaped children; 0 if it is gone.
fn written_by(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/io");
    match read_written(&path) {
        Ok(written) => written,
        // Another user's process shows its account to that user only: PID 1 has no CAP_SYS_PTRACE.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            as_owner_of(pid, || read_written(&path).unwrap_or(0)).unwrap_or(0)
        }
        Err(_) => 0,
    }
}

fn read_written(path: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Does something with this thread's effective ids set to those a process runs with. Dropping and
/// regaining them resets the dumpable flag to `fs.suid_dumpable` (credentials(7), proc(5)); where
/// that would open the executor to its children, nothing is done.
fn as_owner_of<T>(pid: u32, act: impl FnOnce() -> T) -> Option<T> {
    let dumpable = fs::read_to_string("/proc/sys/fs/suid_dumpable").ok()?;
    if !matches!(dumpable.trim(), "0" | "2") {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let effective = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let (uid, gid) = (effective("Uid:")?, effective("Gid:")?);
    let root = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(None, Gid::from_raw(gid), None).ok()?;
    let result = rustix::thread::set_thread_res_uid(None, Uid::from_raw(uid), None)
        .is_ok()
        .then(act);
    // The real ids stay root's, so going back is always allowed.
    rustix::thread::set_thread_res_uid(None, root.0, None)
        .and_then(|()| rustix::thread::set_thread_res_gid(None, root.1, None))
        .expect("a thread may always take its real ids as effective ones");
    result
}

/// When a process started, in ticks since boot; with its id this names it for ever.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&stat)
}

/// Field 22 of proc(5)'s `stat`; the command's name before it may hold anything, spaces and
/// parentheses included.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let stat = "7 (a) b ) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10";
        assert_eq!(parse_start_time(stat), Some(4242));
        assert_eq!(parse_start_time("7 (x"), None);
    }

    #[test]
    fn a_process_reads_its_own_account() {
        assert!(read_written("/proc/self/io").is_ok());
        assert!(start_time(std::process::id()).is_some());
    }
}
