//! The loopback interface, brought up where the engine left it down (rtnetlink(7)), and its names.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use assay_wire::program::PROXY_PORT;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::write::{Wanted, write_file};

/// The loopback interface's index in every network namespace.
const LOOPBACK: u32 = 1;

/// `RTM_NEWLINK` of linux/rtnetlink.h.
const NEW_LINK: u16 = 16;

/// `NLM_F_REQUEST | NLM_F_ACK` of linux/netlink.h.
const REQUEST_AND_ACK: u16 = 1 | 4;

/// `IFF_UP` of linux/if.h.
const UP: u32 = 1;

/// `NLMSG_ERROR` of linux/netlink.h; an error of 0 is the acknowledgement.
const ANSWER: u16 = 2;

/// What `/etc/hosts` says on every machine (hosts(5)).
const NAMES: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Where those names are.
const HOSTS: &str = "/etc/hosts";

/// Where the mounts of this process are listed (proc(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// Writes the names of loopback into an `/etc/hosts` that is empty or not there, or that the engine
/// has mounted; true if so. Docker puts an empty one into a container without a network, as into its
/// images; Podman mounts one with the names its own machine knows, which are no part of any image.
pub(crate) fn ensure_names() -> io::Result<bool> {
    let path = Path::new(HOSTS);
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && is_mounted() => {
            // A mount is written, not replaced: its file is the engine's, one for each sandbox.
            fs::write(path, NAMES)?;
            return Ok(true);
        }
        Ok(found) if !found.is_file() || found.len() > 0 => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    write_file(
        path,
        &Wanted {
            mode: 0o644,
            uid: 0,
            gid: 0,
            content: NAMES.as_bytes().into(),
        },
    )
}

/// Whether the file is a mount of its own. Without a list of mounts there is none to be found.
fn is_mounted() -> bool {
    let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
    mounts.lines().any(|line| mount_point(line) == Some(HOSTS))
}

/// The fifth word of a line of mountinfo, where it is mounted.
fn mount_point(line: &str) -> Option<&str> {
    line.split(' ').nth(4)
}

/// True if something on loopback can be reached: connecting a datagram socket looks for a route
/// and sends nothing.
pub(crate) fn is_up() -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.connect((Ipv4Addr::LOCALHOST, PROXY_PORT)))
        .is_ok()
}

/// Brings the interface up; the kernel gives it its address then.
pub(crate) fn bring_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // Protocol 0 of netlink is NETLINK_ROUTE.
        None,
    )?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let mut answer = [0; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    match error_of(&answer[..length]) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A `struct nlmsghdr` and a `struct ifinfomsg` that sets one flag.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACK.to_ne_bytes());
    // Sequence number and port, which one request needs neither of.
    message.extend([0; 8]);
    // Family and type of the interface: any.
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message
}

fn error_of(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let error = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ANSWER).then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        let request = request();
        assert_eq!(request.len(), 32);
        assert_eq!(request[..4], 32_u32.to_ne_bytes());
    }

    #[test]
    fn a_mount_is_known_by_where_it_is() {
        let hosts = "82 76 254:0 /run/userdata/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw";
        assert_eq!(mount_point(hosts), Some(HOSTS));
        for other in [
            "76 50 0:40 / / rw,relatime - overlay overlay rw",
            "82 76 254:0 /etc/hosts /srv/hosts rw - ext4 /dev/vda rw",
            "82 76",
            "",
        ] {
            assert_ne!(mount_point(other), Some(HOSTS), "{other}");
        }
    }

    #[test]
    fn short_answers_are_no_answers() {
        assert_eq!(error_of(&[0; 19]), None);
        assert_eq!(error_of(&[0; 20]), None);
    }
}
