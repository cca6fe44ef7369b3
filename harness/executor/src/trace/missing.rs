//! Calls that would take away what is not there, of which a package manager makes thousands before each file
//! comes: the tracer itself answers them, with what the kernel would say (`ENOENT`). That spares each a second
//! stop, and what is answered is what is told: nobody can put a file there in between.
//!
//! Everything is asked of the kernel, with the path as the program gave it. It is the program's own answer only
//! on the root's file system, where the program has the executor's root, and where root's rights make every folder
//! open to it (see [`super::Followed::is_root`]).

use assay_wire::trace::{Call, MAX_TEXT};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::calls::{Names, Reads, Trapped};

/// Where among its arguments such a call has its path; `None` for every other call.
pub(super) fn path_of(row: &Trapped, arguments: &[u64; 6]) -> Option<usize> {
    match (row.call, row.reads) {
        (Call::Unlink, Reads::File(Names::Path(at))) => Some(at),
        (Call::Unlink, Reads::File(Names::At(_, at))) => {
            let flags = arguments.get(at + 1)?;
            // Others are an error of their own (unlink(2)).
            [0, libc::AT_REMOVEDIR.unsigned_abs().into()]
                .contains(flags)
                .then_some(at)
        }
        _ => None,
    }
}

/// True if nothing is at an absolute path of the root's own file system, and taking it away would fail because of
/// that alone.
pub(super) fn is_nothing(path: &[u8]) -> bool {
    // With a slash at its end it also says of which kind it has to be.
    let is_plain = path.starts_with(b"/") && path.len() < MAX_TEXT && !path.ends_with(b"/");
    if !is_plain {
        return false;
    }
    // What is elsewhere may be another's for whoever asks, as below `/proc/self` (proc(5)).
    let within = ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let looked = rustix::fs::openat2(CWD, path, flags, Mode::empty(), within);
    // A file system that is read only says so first.
    let is_writable = || {
        let read_only = StatVfsMountFlags::RDONLY;
        rustix::fs::statvfs(c"/").is_ok_and(|root| !root.f_flag.contains(read_only))
    };
    looked.is_err_and(|error| error == Errno::NOENT) && is_writable()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_a_plain_name_that_is_not_there_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "").expect("written");
        symlink("nowhere", folder.path().join("dangling")).expect("linked");
        for (name, wanted) in [
            ("nowhere", true),
            ("nowhere.", true),
            ("nowhere/", false),
            ("nowhere/x", true),
            ("file", false),
            ("file/x", false),
            ("dangling", false),
            ("dangling/", false),
            (".", false),
            ("..", false),
        ] {
            let path = folder.path().join(name);
            assert_eq!(is_nothing(path.as_os_str().as_bytes()), wanted, "{name}");
        }
        let long = folder.path().join("x".repeat(300));
        assert!(!is_nothing(long.as_os_str().as_bytes()));
        for path in ["nowhere", "", "/", "//", "./nowhere"] {
            assert!(!is_nothing(path.as_bytes()), "{path}");
        }
        assert!(is_nothing(b"/nowhere-at-all") && is_nothing(b"//nowhere-at-all"));
    }

    #[test]
    fn what_is_mounted_elsewhere_is_not_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let mounts = |program: &str, words: &[&str]| {
            let done = Command::new(program)
                .args(words)
                .arg(folder.path())
                .status();
            assert!(done.expect("it can be started").success(), "{program}");
        };
        mounts("mount", &["-t", "tmpfs", "-o", "ro", "tmpfs"]);
        let path = folder.path().join("nowhere");
        let is_nothing = is_nothing(path.as_os_str().as_bytes());
        let removed = fs::remove_file(&path);
        mounts("umount", &[]);
        assert!(!is_nothing);
        assert_eq!(
            removed.expect_err("read only").raw_os_error(),
            Some(libc::EROFS)
        );
        for path in ["/proc/nowhere", "/proc/self/cwd/nowhere", "/dev/fd/nowhere"] {
            assert!(!super::is_nothing(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn what_takes_away_has_its_path_somewhere() {
        let rows = (0..).map_while(super::super::calls::at);
        let found: Vec<_> = rows
            .filter_map(|row| Some((row.number, path_of(row, &[0; 6])?)))
            .collect();
        #[cfg(target_arch = "x86_64")]
        let older = [(libc::SYS_rmdir, 0), (libc::SYS_unlink, 0)];
        #[cfg(not(target_arch = "x86_64"))]
        let older = [];
        assert_eq!(
            found,
            [vec![(libc::SYS_unlinkat, 1)], older.to_vec()].concat()
        );
        let at = super::super::calls::at;
        let row = (0..)
            .map_while(at)
            .find(|row| row.number == libc::SYS_unlinkat);
        let row = row.expect("a row");
        let flags = |flags: i32| path_of(row, &[0, 0, flags.unsigned_abs().into(), 0, 0, 0]);
        assert_eq!(flags(libc::AT_REMOVEDIR), Some(1));
        assert_eq!(flags(libc::AT_SYMLINK_NOFOLLOW), None);
    }
}
