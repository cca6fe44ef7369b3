//! Reading from a stopped process: its memory, and what proc(5) says of it. Whatever it holds is
//! hostile: everything read is bounded, and nothing is followed.
//!
//! Memory is read through `/proc/PID/mem`: process_vm_readv(2) is not to be had under every engine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Take};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;

use assay_wire::manifest::escape_path;
use assay_wire::trace::{MAX_TEXT, MaintScript};

/// Most bytes read of an environment.
const ENVIRONMENT: u64 = 64 << 10;

/// Most bytes read of a `status` of proc(5).
const STATUS: u64 = 8 << 10;

/// Memory is read in pieces that end at a page's end: what is behind it may not be there.
const PAGE: u64 = 4096;

/// Most processes whose memory is kept open.
const OPEN: usize = 128;

/// The memory of processes, kept open between their stops.
#[derive(Debug, Default)]
pub(super) struct Memories {
    open: BTreeMap<i32, File>,
}

impl Memories {
    /// Forgets a process: it ended, or executed a program and has other memory now.
    pub(super) fn forget(&mut self, pid: i32) {
        self.open.remove(&pid);
    }

    /// Bytes at an address, all of them.
    pub(super) fn bytes(&mut self, pid: i32, address: u64, length: usize) -> Option<Vec<u8>> {
        let memory = self.of(pid)?;
        let mut bytes = vec![0; length];
        memory.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// The text at an address up to its 0, or as much of it as is kept.
    pub(super) fn text(&mut self, pid: i32, address: u64) -> Option<Vec<u8>> {
        let memory = self.of(pid)?;
        let mut text = Vec::new();
        let mut at = address;
        while text.len() < MAX_TEXT {
            let mut piece = [0; 256];
            let to_end = usize::try_from(PAGE - at % PAGE).ok()?;
            let piece = &mut piece[..to_end.min(256)];
            let read = memory.read_at(piece, at).ok().filter(|read| *read > 0)?;
            if let Some(end) = piece[..read].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return Some(text);
            }
            text.extend_from_slice(&piece[..read]);
            at = at.checked_add(read as u64)?;
        }
        Some(text)
    }

    fn of(&mut self, pid: i32) -> Option<&File> {
        if !self.open.contains_key(&pid) {
            if self.open.len() >= OPEN {
                self.open.clear();
            }
            let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
            self.open.insert(pid, memory);
        }
        self.open.get(&pid)
    }
}

/// A program as it begins.
#[derive(Debug)]
pub(super) struct Began {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) cut: bool,
    pub(super) exe: Vec<u8>,
    pub(super) folder: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) maintscript: Option<MaintScript>,
}

/// What a process that has just executed a program has become.
pub(super) fn began(pid: i32) -> Option<Began> {
    let (words, cut) = read_up_to(pid, "cmdline", MAX_TEXT as u64)?;
    let (environment, _) = read_up_to(pid, "environ", ENVIRONMENT)?;
    let status = status(pid)?;
    Some(Began {
        words: words_of(&words),
        cut,
        exe: link(pid, "exe")?,
        folder: escape_path(&link(pid, "cwd")?),
        uid: effective(&status, "Uid:")?,
        gid: effective(&status, "Gid:")?,
        maintscript: maintscript(&environment),
    })
}

/// The process whose child or thread this is.
pub(super) fn origin(pid: i32) -> Option<i32> {
    let status = status(pid)?;
    let number = |name| field(&status, name)?.next()?.parse::<i32>().ok();
    match number("Tgid:")? {
        group if group == pid => number("PPid:"),
        group => Some(group),
    }
}

/// The letter of a process's state; `None` if it is gone.
pub(super) fn state(pid: i32) -> Option<char> {
    field(&status(pid)?, "State:")?.next()?.chars().next()
}

/// Where one of a process's links leads: `exe`, `cwd`, `root` or `fd/N`.
pub(super) fn link(pid: i32, name: &str) -> Option<Vec<u8>> {
    let to = fs::read_link(format!("/proc/{pid}/{name}")).ok()?;
    Some(OsString::from(to).into_vec())
}

fn status(pid: i32) -> Option<String> {
    let (status, _) = read_up_to(pid, "status", STATUS)?;
    Some(String::from_utf8_lossy(&status).into_owned())
}

/// Reads a file of a process, and says whether there was more.
fn read_up_to(pid: i32, name: &str, most: u64) -> Option<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{name}")).ok()?;
    let mut limited: Take<File> = file.take(most + 1);
    limited.read_to_end(&mut bytes).ok()?;
    let cut = bytes.len() as u64 > most;
    if cut {
        bytes.pop();
    }
    Some((bytes, cut))
}

/// The fields behind a name. A process's own name, which may hold anything, has no line break there
/// (proc_pid_status(5)).
fn field<'s>(status: &'s str, name: &str) -> Option<impl Iterator<Item = &'s str>> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace())
}

/// The second of four ids: real, effective, saved, of the file system.
fn effective(status: &str, name: &str) -> Option<u32> {
    field(status, name)?.nth(1)?.parse().ok()
}

fn words_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

fn maintscript(environment: &[u8]) -> Option<MaintScript> {
    let value = |name: &[u8]| {
        environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(name))
            .map(|value| escape_path(&value[..value.len().min(MAX_TEXT)]))
    };
    Some(MaintScript {
        package: value(b"DPKG_MAINTSCRIPT_PACKAGE=")?,
        script: value(b"DPKG_MAINTSCRIPT_NAME=")?,
    })
}

/// An absolute path without `.`, `..` and doubled slashes, as its text says: no link is looked at.
pub(super) fn absolute(base: &[u8], path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let from_root = path.starts_with(b"/");
    let base = if from_root { b"" } else { base };
    for part in base
        .split(|byte| *byte == b'/')
        .chain(path.split(|byte| *byte == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut out = Vec::with_capacity(base.len() + path.len() + 1);
    for part in parts {
        out.push(b'/');
        out.extend_from_slice(part);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

/// An address of a socket as text, such as `127.0.0.1:80` or `unix:/run/a`.
pub(super) fn address(bytes: &[u8]) -> Option<String> {
    let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    Some(match family {
        libc::AF_INET => {
            let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            format!("{}:{}", std::net::Ipv4Addr::from(octets), port()?)
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            format!("[{}]:{}", std::net::Ipv6Addr::from(octets), port()?)
        }
        libc::AF_UNIX => match bytes.get(2..)? {
            [] => "unix:".to_owned(),
            [0, name @ ..] => format!("unix:@{}", escape_path(name)),
            path => {
                let end = path.iter().position(|byte| *byte == 0);
                format!("unix:{}", escape_path(&path[..end.unwrap_or(path.len())]))
            }
        },
        libc::AF_UNSPEC => "none".to_owned(),
        libc::AF_NETLINK => "netlink".to_owned(),
        other => format!("family {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_by_their_text() {
        for (base, path, wanted) in [
            ("/a/b", "c", "/a/b/c"),
            ("/a/b", "../c/./d//e", "/a/c/d/e"),
            ("/a/b", "/c/../d", "/d"),
            ("/", "../../x", "/x"),
            ("/a", "", "/a"),
            ("/", ".", "/"),
        ] {
            let made = absolute(base.as_bytes(), path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&made), wanted, "{base} {path}");
        }
    }

    #[test]
    fn addresses_are_told_as_text() {
        let told = |family: i32, rest: &[u8]| {
            let family = u16::try_from(family).expect("a family").to_ne_bytes();
            address(&[&family, rest].concat())
        };
        assert_eq!(
            told(libc::AF_INET, &[0, 80, 127, 0, 0, 1, 0, 0]).as_deref(),
            Some("127.0.0.1:80")
        );
        let mut six = vec![1, 187, 0, 0, 0, 0];
        six.extend([0; 15]);
        six.extend([1, 0, 0, 0, 0]);
        assert_eq!(told(libc::AF_INET6, &six).as_deref(), Some("[::1]:443"));
        assert_eq!(
            told(libc::AF_UNIX, b"/run/a\x1b\0rest").as_deref(),
            Some("unix:/run/a\\x1b")
        );
        assert_eq!(told(libc::AF_UNIX, b"\0bus").as_deref(), Some("unix:@bus"));
        assert_eq!(told(libc::AF_INET, &[0, 80, 1]), None);
        assert_eq!(address(&[1]), None);
    }

    #[test]
    fn a_maintainer_script_is_known_by_both_variables() {
        let both = b"PATH=/bin\0DPKG_MAINTSCRIPT_PACKAGE=nginx\0DPKG_MAINTSCRIPT_NAME=postinst\0";
        assert_eq!(
            maintscript(both),
            Some(MaintScript {
                package: "nginx".to_owned(),
                script: "postinst".to_owned()
            })
        );
        assert_eq!(maintscript(b"DPKG_MAINTSCRIPT_PACKAGE=nginx\0"), None);
    }

    #[test]
    fn this_process_is_read_like_any_other() {
        let pid = i32::try_from(std::process::id()).expect("an id");
        let began = began(pid).expect("this process");
        assert!(!began.words.is_empty() && began.folder.starts_with('/'));
        let text = c"some text";
        let address = text.as_ptr() as u64;
        let mut memories = Memories::default();
        assert_eq!(
            memories.text(pid, address).as_deref(),
            Some(&b"some text"[..])
        );
        assert_eq!(
            memories.bytes(pid, address, 4).as_deref(),
            Some(&b"some"[..])
        );
        assert_eq!(memories.text(pid, 8), None);
    }
}
