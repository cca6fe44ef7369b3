//! The tunnel and shells: bytes both ways, with backpressure, half-close and errors.

#![expect(clippy::print_stderr, reason = "figures are shown beside the verdict")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use assay_wire::control::{
    Close, Credit, Directive, Open, Purpose, TerminalSize, ToExecutor, ToRunner,
};
use assay_wire::event::{Ending, ExecutorEvent};
use assay_wire::plan::OpId;
use common::{Frame, Root, Session, dev, program, root};

/// Connects, sends a length and that many bytes, shuts down its side, and checks that everything
/// comes back; several at a time.
const CLIENT: &str = r#"
import hashlib, os, socket, sys, threading
def run(index, size, wrong):
    s = socket.create_connection(("127.0.0.1", 9473))
    block = bytes([index]) * 65521
    sent, got = hashlib.sha256(), hashlib.sha256()
    def send():
        left = size
        while left:
            part = block[:left]
            s.sendall(part); sent.update(part); left -= len(part)
        s.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=send); t.start()
    count = 0
    while True:
        part = s.recv(262144)
        if not part: break
        got.update(part); count += len(part)
    t.join()
    if count != size or got.digest() != sent.digest(): wrong.append((index, count))
n, size = int(sys.argv[1]), int(sys.argv[2])
wrong = []
threads = [threading.Thread(target=run, args=(i, size, wrong)) for i in range(n)]
for t in threads: t.start()
for t in threads: t.join()
print("wrong" if wrong else "intact", wrong)
"#;

/// Downloads from the tunnel and counts.
const DOWNLOAD: &str = r#"
import socket
s = socket.create_connection(("127.0.0.1", 9473))
s.shutdown(socket.SHUT_WR)
buffer, count = bytearray(1 << 20), 0
while True:
    n = s.recv_into(buffer)
    if not n: break
    count += n
print(count)
"#;

/// Bytes of streams that are to be sent once there is credit for them.
#[derive(Default)]
struct Peer {
    waiting: Vec<u8>,
    credit: u64,
    ended: bool,
}

/// Continues with an op and sends every tunnelled byte back until the op finishes.
fn echo(session: &mut Session) -> Ending {
    session.directive(Directive::Continue);
    let mut peers: BTreeMap<u32, Peer> = BTreeMap::new();
    loop {
        match session.read_frame().expect("the executor runs") {
            Frame::Message(ToRunner::Open(Open { stream, purpose })) => {
                if let Purpose::Connect { op, asker, trusts } = purpose {
                    assert_eq!((op, trusts), (Some(OpId(1)), false));
                    let asker = asker.expect("the kernel knows who");
                    assert!(asker.program.is_some(), "{asker:?}");
                    peers.insert(
                        stream,
                        Peer {
                            credit: 256 << 10,
                            ..Peer::default()
                        },
                    );
                }
            }
            Frame::Message(ToRunner::Credit(Credit { stream, bytes })) => {
                // Credit for the last bytes may cross the end of the stream.
                if let Some(peer) = peers.get_mut(&stream) {
                    peer.credit += bytes;
                    flush(session, &mut peers, stream);
                }
            }
            Frame::Message(ToRunner::Close(Close { stream, error })) => {
                if let Some(peer) = peers.get_mut(&stream) {
                    assert_eq!(error, None);
                    peer.ended = true;
                    flush(session, &mut peers, stream);
                }
            }
            Frame::Bytes(stream, bytes) => {
                let length = bytes.len() as u64;
                match peers.get_mut(&stream) {
                    Some(peer) => {
                        peer.waiting.extend_from_slice(&bytes);
                        flush(session, &mut peers, stream);
                    }
                    None => assert!(is_printed_or_traced(&bytes, "intact"), "{bytes:?}"),
                }
                session.send(&ToExecutor::Credit(Credit {
                    stream,
                    bytes: length,
                }));
            }
            Frame::Message(ToRunner::Event(ExecutorEvent::OpFinished { ending, .. })) => {
                assert!(peers.is_empty(), "every connection has ended");
                return ending;
            }
            Frame::Message(ToRunner::Event(ExecutorEvent::OpStarted { .. })) => {}
            Frame::Message(other) => panic!("{other:?}"),
        }
    }
}

fn flush(session: &mut Session, peers: &mut BTreeMap<u32, Peer>, stream: u32) {
    let peer = peers.get_mut(&stream).expect("open");
    let now = usize::try_from(peer.credit)
        .expect("small")
        .min(peer.waiting.len());
    for part in peer.waiting[..now].chunks(64 << 10) {
        session.send_bytes(stream, part);
    }
    peer.waiting.drain(..now);
    peer.credit -= now as u64;
    if peer.ended && peer.waiting.is_empty() {
        peers.remove(&stream);
        session.close(stream, None);
    }
}

/// What an op prints, or lines of its trace.
fn is_printed_or_traced(bytes: &[u8], printed: &str) -> bool {
    bytes.starts_with(printed.as_bytes()) || bytes.starts_with(b"{\"program\":")
}

#[test]
fn eight_connections_at_a_time_arrive_whole_and_half_closed() {
    let place = Root::new();
    let script = format!("cat > /tmp/c.py <<'E'\n{CLIENT}\nE\npython3 /tmp/c.py 8 20000000");
    let mut session = Session::with_ops(&place, vec![root(&script)]);
    assert_eq!(echo(&mut session), Ending::Exited(0));
    session.stop();
}

#[test]
fn a_download_is_as_fast_as_promised() {
    const SIZE: u64 = 400_000_000;
    let place = Root::new();
    let mut session = Session::with_ops(&place, vec![dev(&format!("python3 -c '{DOWNLOAD}'"))]);
    session.directive(Directive::Continue);
    let (stream, mut left, mut began) = (1, SIZE, Instant::now());
    let part = vec![b'x'; 64 << 10];
    let mut credit: u64 = 0;
    let mut tunnel = None;
    while session.events.len() < 3 {
        match session.read_frame().expect("the executor runs") {
            Frame::Message(ToRunner::Open(open))
                if matches!(open.purpose, Purpose::Connect { .. }) =>
            {
                assert_ne!(open.stream, stream);
                began = Instant::now();
                tunnel = Some(open.stream);
                credit = 256 << 10;
            }
            Frame::Message(ToRunner::Credit(more)) if Some(more.stream) == tunnel => {
                credit += more.bytes;
            }
            Frame::Message(ToRunner::Event(event)) => session.events.push(event),
            Frame::Bytes(_, bytes) => {
                assert!(
                    is_printed_or_traced(&bytes, &format!("{SIZE}\n")),
                    "{bytes:?}"
                );
            }
            Frame::Message(_) => {}
        }
        while let Some(tunnel) = tunnel
            && left > 0
            && credit >= part.len() as u64
        {
            let now = left.min(part.len() as u64);
            session.send_bytes(tunnel, &part[..usize::try_from(now).expect("small")]);
            left -= now;
            credit -= now;
            if left == 0 {
                session.close(tunnel, None);
                let rate = SIZE as f64 / 1e6 / began.elapsed().as_secs_f64();
                eprintln!("tunnel, one download: {rate:.0} MB/s");
            }
        }
    }
    assert_eq!(left, 0);
    session.stop();
}

#[test]
fn a_connection_that_fails_outside_is_reset_inside() {
    let place = Root::new();
    let script = "python3 -c '
import socket
s = socket.create_connection((\"127.0.0.1\", 9473))
s.sendall(b\"ask\")
try: print(\"ended\", s.recv(10))
except ConnectionResetError: print(\"reset\")
'";
    let mut session = Session::with_ops(&place, vec![root(script), root("echo next")]);
    session.directive(Directive::Continue);
    let connect = loop {
        assert!(session.step());
        let asked = session.streams.iter().find(|(_, came)| {
            matches!(came.purpose, Some(Purpose::Connect { .. })) && came.bytes == b"ask"
        });
        if let Some((stream, _)) = asked {
            break *stream;
        }
    };
    session.close(connect, Some("refused by the proxy"));
    while session.events.len() < 3 {
        assert!(session.step());
    }
    let stdout = session
        .streams
        .values()
        .find(|came| came.bytes == b"reset\n");
    assert!(stdout.is_some(), "{:?}", session.streams);
    assert_eq!(session.ok(), "next\n");
    session.stop();
}

#[test]
fn a_connection_nobody_reads_holds_back_its_sender_only() {
    let place = Root::new();
    let script = "python3 -c '
import socket
s = socket.create_connection((\"127.0.0.1\", 9473))
s.settimeout(0.5)
sent = 0
try:
    while sent < 1 << 30: sent += s.send(bytes(65536))
except TimeoutError: pass
print(sent < 64 << 20)
'";
    let mut session = Session::with_ops(&place, vec![root(script), root("echo next")]);
    session.credit = false;
    assert_eq!(session.ok(), "True\n");
    let held = session
        .streams
        .values()
        .find(|came| matches!(came.purpose, Some(Purpose::Connect { .. })));
    assert_eq!(held.expect("connected").count, 256 << 10);
    session.credit = true;
    assert_eq!(session.ok(), "next\n");
    session.stop();
}

#[test]
fn loopback_is_brought_up_where_the_engine_left_it_down() {
    let place = Root::new();
    let mut session = Session::start_with(
        &place,
        "true",
        "+net_admin,+chown,+sys_chroot,+setuid,+setgid",
    );
    session.send_program(program(vec![root("ip -br address show lo")]));
    assert!(session.ok().contains("127.0.0.1/8"));
    session.stop();
}

#[test]
fn an_engines_own_hosts_file_is_made_to_say_loopback_alone() {
    let place = Root::new();
    std::fs::write(place.join("/etc/hosts"), "192.0.2.7 the-engines-machine\n").expect("written");
    let program = || program(vec![root("cat /etc/hosts")]);
    // As part of the image it stays.
    let mut session = Session::with_program(&place, program());
    assert_eq!(session.ok(), "192.0.2.7 the-engines-machine\n");
    session.stop();
    let mount =
        "cp \"$0/etc/hosts\" \"$0/dev/hosts\"; mount --bind \"$0/dev/hosts\" \"$0/etc/hosts\"";
    let before = format!("ip link set lo up; {mount}");
    let mut session = Session::start_with(&place, &before, common::CAPABILITIES);
    session.send_program(program());
    assert_eq!(
        session.ok(),
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    );
    session.stop();
    let kept = std::fs::read_to_string(place.join("/etc/hosts")).expect("readable");
    assert_eq!(kept, "192.0.2.7 the-engines-machine\n");
}

#[test]
fn a_shell_is_a_login_shell_on_a_terminal_of_the_given_size() {
    let place = Root::new();
    std::fs::write(place.join("/etc/profile"), "PS1=prompt: HELLO=profile\n").expect("written");
    let mut session = Session::with_program(&place, program(vec![]));
    let size = |rows, columns| TerminalSize { rows, columns };
    let shell = session.open_shell(false, size(33, 101));
    say(
        &mut session,
        shell,
        "stty size; id -un; tty; echo $HELLO; pwd\n",
    );
    wait_for(
        &mut session,
        shell,
        "33 101\r\ndev\r\n/dev/pts/0\r\nprofile\r\n/home/dev\r\n",
    );
    session.send(&ToExecutor::Resize {
        stream: shell,
        size: size(50, 200),
    });
    say(&mut session, shell, "stty size; sleep 100\n");
    wait_for(&mut session, shell, "50 200\r\n");
    // Control-C reaches the foreground job through the terminal.
    std::thread::sleep(Duration::from_millis(200));
    say(&mut session, shell, "\x03");
    say(&mut session, shell, "echo still; exit 3\n");
    wait_for(&mut session, shell, "still\r\n");
    while session.streams[&shell].closed.is_none() {
        assert!(session.step());
    }
    assert_eq!(session.streams[&shell].closed, Some(None));
    session.close(shell, None);

    let other = session.open_shell(true, size(24, 80));
    say(
        &mut session,
        other,
        "sh -c 'trap \"touch /tmp/hup; exit\" HUP; id -u; while :; do sleep 0.05; done'\n",
    );
    wait_for(&mut session, other, "0\r\n");
    session.close(other, None);
    while session.streams[&other].closed.is_none() {
        assert!(session.step());
    }
    let until = Instant::now() + Duration::from_secs(5);
    while !place.join("/tmp/hup").exists() {
        assert!(
            Instant::now() < until,
            "a closed stream hangs up the terminal"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    session.stop();
}

fn say(session: &mut Session, stream: u32, text: &str) {
    session.send_bytes(stream, text.as_bytes());
}

fn wait_for(session: &mut Session, stream: u32, text: &str) {
    loop {
        let came = String::from_utf8_lossy(&session.streams[&stream].bytes).into_owned();
        if came.contains(text) {
            return;
        }
        assert!(session.step(), "{came:?}");
    }
}
