//! Who connects: the user and, as far as may be seen, the program behind a connection on loopback
//! (sock_diag(7), proc(5)). Facts for a report; nothing is decided by them.
//!
//! The kernel tells a socket's user and inode to anybody in its network namespace. Whose descriptor
//! the inode is may only be read of processes with the same ids (ptrace(2), access modes), so for a
//! downloader that gave its ids up, such as apt's, the program is known where all processes of its
//! user bear one name.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::os::unix::fs::MetadataExt as _;

use assay_wire::event::Asker;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::reap::processes;

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const BY_FAMILY: u16 = 20;

/// `NLM_F_REQUEST` of linux/netlink.h.
const REQUEST: u16 = 1;

/// Bytes of `struct nlmsghdr` and of `struct inet_diag_req_v2`.
const HEADER: usize = 16;
const QUESTION: usize = 56;

/// Where `struct inet_diag_msg` holds the user and the inode, behind the header.
const UID_AT: usize = HEADER + 64;
const INODE_AT: usize = HEADER + 68;

/// Longest name of a program, in bytes.
const NAME_BYTES: usize = 64;

/// Most descriptors looked at in one process.
const DESCRIPTORS: usize = 4096;

/// The process that holds this end of a connection; `None` where the kernel does not say.
pub(crate) fn asker(client: SocketAddrV4, server: SocketAddrV4) -> Option<Asker> {
    let socket = socket_of(client, server).ok()??;
    Some(Asker {
        uid: socket.uid,
        program: program_of(&socket),
    })
}

/// A socket as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    uid: u32,
    inode: u32,
}

fn socket_of(client: SocketAddrV4, server: SocketAddrV4) -> io::Result<Option<Socket>> {
    let kernel = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&kernel, &question(client, server), SendFlags::empty())?;
    let mut answer = [0; 512];
    let (length, _) = rustix::net::recv(&kernel, &mut answer, RecvFlags::empty())?;
    Ok(read_answer(&answer[..length]))
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2` that names one connection exactly.
fn question(client: SocketAddrV4, server: SocketAddrV4) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + QUESTION);
    let length = u32::try_from(HEADER + QUESTION).unwrap_or(u32::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence number and port, which one request needs neither of.
    message.extend([0; 8]);
    // AF_INET, IPPROTO_TCP, no extensions, padding; any state.
    message.extend([2, 6, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(client.port().to_be_bytes());
    message.extend(server.port().to_be_bytes());
    for address in [client.ip(), server.ip()] {
        message.extend(address.octets());
        message.extend([0; 12]);
    }
    // Any interface, no cookie.
    message.extend(0_u32.to_ne_bytes());
    message.extend([0xff; 8]);
    message
}

/// `None` for an error and for what is too short to be an answer.
fn read_answer(answer: &[u8]) -> Option<Socket> {
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    (kind == BY_FAMILY).then_some(())?;
    Some(Socket {
        uid: word(UID_AT)?,
        inode: word(INODE_AT)?,
    })
}

fn program_of(socket: &Socket) -> Option<String> {
    let target = format!("socket:[{}]", socket.inode);
    let of_user: Vec<u32> = processes()
        .into_iter()
        .filter(|pid| fs::metadata(format!("/proc/{pid}")).is_ok_and(|at| at.uid() == socket.uid))
        .collect();
    if let Some(pid) = of_user.iter().find(|pid| holds(**pid, &target)) {
        return name_of(*pid);
    }
    let names: BTreeSet<String> = of_user.into_iter().filter_map(name_of).collect();
    let mut names = names.into_iter();
    names.next().filter(|_| names.next().is_none())
}

fn holds(pid: u32, target: &str) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .take(DESCRIPTORS)
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.as_os_str() == target)
}

fn name_of(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let mut shown = String::new();
    for c in String::from_utf8_lossy(&name).trim_end().escape_debug() {
        if shown.len() + c.len_utf8() > NAME_BYTES {
            break;
        }
        shown.push(c);
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    fn v4(address: std::net::SocketAddr) -> SocketAddrV4 {
        match address {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_connection_has_a_user_and_its_descriptor_a_process() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let server = v4(listener.local_addr().expect("an address"));
        let client = TcpStream::connect(server).expect("a connection");
        let client_at = v4(client.local_addr().expect("an address"));
        let socket = socket_of(client_at, server).expect("asked").expect("found");
        assert_eq!(socket.uid, rustix::process::geteuid().as_raw());
        let own = std::process::id();
        assert!(holds(own, &format!("socket:[{}]", socket.inode)));
        let comm = fs::read_to_string("/proc/self/comm").expect("a name");
        assert_eq!(name_of(own).as_deref(), Some(comm.trim_end()));
        let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        assert_eq!(socket_of(nobody, server).expect("asked"), None);
    }

    #[test]
    fn what_is_short_or_an_error_is_no_answer() {
        let mut answer = vec![0; INODE_AT + 4];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer[UID_AT] = 42;
        assert_eq!(read_answer(&answer).map(|socket| socket.uid), Some(42));
        for length in 0..answer.len() {
            assert_eq!(read_answer(&answer[..length]), None, "{length}");
        }
        answer[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(read_answer(&answer), None);
    }
}
