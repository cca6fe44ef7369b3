//! The inner end of the tunnel: a listener on loopback, every connection of which is a stream to
//! the runner's proxy. The bytes are not looked at.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use assay_wire::control::Purpose;
use assay_wire::event::Asker;
use assay_wire::program::{HarnessEnv, PROXY_PORT};
use rustix::net::sockopt;

use crate::asker::asker;
use crate::fault::Fault;
use crate::loopback;
use crate::mux::{CHUNK, Received, Stream};
use crate::reap::lock;
use crate::session::Session;

/// Most connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 256;

/// Stack of a connection's threads.
const STACK: usize = 128 << 10;

/// How long to wait before a connection is tried again that no thread could be had for.
const NO_THREAD: Duration = Duration::from_millis(20);

/// Bytes a connection's socket holds each way.
const SOCKET_BYTES: usize = 1 << 20;

/// Starts listening; connections are answered from then on.
pub(crate) fn listen(session: &'static Session) -> Result<(), Fault> {
    let address = (Ipv4Addr::LOCALHOST, PROXY_PORT);
    let listening = || Fault::io(format!("listening on 127.0.0.1:{PROXY_PORT}"));
    if !loopback::is_up() {
        loopback::bring_up().map_err(Fault::io("bringing up the loopback interface"))?;
    }
    let listener = TcpListener::bind(address).map_err(listening())?;
    thread::Builder::new()
        .name("tunnel".to_owned())
        .spawn(move || accept(session, &listener))
        .map_err(listening())?;
    Ok(())
}

/// How many connections there are.
#[derive(Debug, Default)]
struct Places {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A place, freed when dropped.
struct Place(Arc<Places>);

impl Places {
    fn take(places: &Arc<Self>) -> Place {
        let mut taken = lock(&places.taken);
        while *taken >= CONNECTIONS {
            taken = places
                .freed
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Place(Arc::clone(places))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0.taken) -= 1;
        self.0.freed.notify_one();
    }
}

fn accept(session: &'static Session, listener: &TcpListener) {
    let places = Arc::new(Places::default());
    loop {
        let place = Places::take(&places);
        let Ok((socket, _)) = listener.accept() else {
            // Out of descriptors, or the other side is gone already.
            thread::sleep(NO_THREAD);
            continue;
        };
        let connection = thread::Builder::new().stack_size(STACK).spawn(move || {
            serve(session, &socket);
            drop(place);
        });
        if connection.is_err() {
            // The sandbox is at its limit of processes; the connection is refused by closing it.
            thread::sleep(NO_THREAD);
        }
    }
}

/// Carries one connection until both sides are done.
fn serve(session: &'static Session, socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    // The kernel's defaults only cost speed.
    let _ = sockopt::set_socket_send_buffer_size(socket, SOCKET_BYTES);
    let purpose = Purpose::Connect {
        op: session.current_op(),
        asker: asker_of(socket),
        trusts: Path::new(HarnessEnv::TRUST_BUNDLE).exists(),
    };
    let stream = session.mux.open(purpose, None);
    thread::scope(|scope| {
        let outward = thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || send_out(socket, &stream));
        if outward.is_err() {
            stream.close(Some("no thread can be had inside the sandbox".to_owned()));
            return;
        }
        receive_in(socket, &stream);
    });
}

fn asker_of(socket: &TcpStream) -> Option<Asker> {
    match (socket.peer_addr().ok()?, socket.local_addr().ok()?) {
        (SocketAddr::V4(client), SocketAddr::V4(server)) => asker(client, server),
        (SocketAddr::V4(_) | SocketAddr::V6(_), _) => None,
    }
}

/// From the sandbox to the runner.
fn send_out(socket: &TcpStream, stream: &Stream) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let Ok(room) = stream.wait_for_room() else {
            return;
        };
        match rustix::io::read(socket, &mut buffer[..room]) {
            Ok(0) => return stream.close(None),
            Ok(read) => {
                if stream.send(&buffer[..read]).is_err() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return stream.close(Some(error.to_string())),
        }
    }
}

/// From the runner to the sandbox.
fn receive_in(socket: &TcpStream, stream: &Stream) {
    loop {
        match stream.receive() {
            Received::Bytes(bytes) => {
                if let Err(error) = io::Write::write_all(&mut &*socket, &bytes) {
                    stream.close(Some(error.to_string()));
                    let _ = socket.shutdown(Shutdown::Both);
                    return;
                }
                stream.consumed(bytes.len());
            }
            Received::End => {
                let _ = socket.shutdown(Shutdown::Write);
                return;
            }
            Received::Broken | Received::Nothing => {
                // Closing with linger 0 resets, so that an error never looks like an end.
                let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
                let _ = socket.shutdown(Shutdown::Read);
                return;
            }
        }
    }
}
