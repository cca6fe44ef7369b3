//! A small runner for tests: starts the built binary as PID 1 of new namespaces, in a private root
//! made of the machine's own files, with the capabilities of a sandbox, and speaks the wire.
//!
//! Needs root and Linux namespaces, nothing else; no engine is involved.

#![expect(dead_code, reason = "every test file uses its own part of this client")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use assay_wire::control::{
    Close, Credit, Directive, Hello, Open, Purpose, TerminalSize, ToExecutor, ToRunner,
};
use assay_wire::digest::Digest;
use assay_wire::event::{Ending, ExecutorEvent};
use assay_wire::frame::{FrameHeader, FrameKind, HEADER};
use assay_wire::manifest::ManifestLine;
use assay_wire::plan::{Action, Expects, FileContent, Guard, Limits, Op, OpId, Privilege};
use assay_wire::program::{HarnessEnv, Pass, Program, ProgramOp};
use assay_wire::trace::TraceLine;

/// The capabilities a sandbox starts with: an engine's usual ones, and what the executor takes for
/// itself.
pub(crate) const CAPABILITIES: &str = "+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,\
    +setpcap,+sys_nice,+net_bind_service,+sys_chroot,+audit_write,+setfcap,+sys_admin,+sys_ptrace";

/// Generous limits for commands that are not about limits.
pub(crate) const LIMITS: Limits = Limits {
    seconds: 60,
    silent_seconds: 60,
    output_bytes: 64 << 20,
    written_bytes: 1 << 30,
};

/// The binary under test: the one built beside the tests, or the one named by
/// `ASSAY_TEST_EXECUTOR`, such as the static one that ships.
pub(crate) fn executor() -> PathBuf {
    std::env::var_os("ASSAY_TEST_EXECUTOR").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_assay-executor")),
        PathBuf::from,
    )
}

/// A private root folder: the machine's programs, its own writable rest.
pub(crate) struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// Makes one beside the build's output, so that what is written there is written to a disk.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let root = folder.path();
        for name in ["etc", "dev", "proc", "tmp", "home", "root", "var", ".assay"] {
            fs::create_dir(root.join(name)).expect("a folder");
        }
        // The machine's programs are mounted below /dev, which no manifest looks at.
        symlink("dev/usr", root.join("usr")).expect("a link");
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), root.join(name)).expect("a link");
        }
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("a mode");
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh",
        )
        .expect("written");
        fs::write(root.join("etc/group"), "root:x:0:\nubuntu:x:1000:\n").expect("written");
        fs::write(root.join("etc/shadow"), "root:*::0:99999:7:::\n").expect("written");
        fs::copy(executor(), root.join(".assay/executor")).expect("copied");
        Self { folder }
    }

    /// Lets the executor learn what is in this root, as when an image is prepared.
    pub(crate) fn learn(&self) {
        let mut command = inside(self, "true", CAPABILITIES, "/.assay/executor learn");
        assert!(command.status().expect("unshare starts").success());
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// What came on a stream.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) purpose: Option<Purpose>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u64,
    pub(crate) closed: Option<Option<String>>,
}

/// A session with an executor.
pub(crate) struct Session {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pub(crate) hello: Hello,
    pub(crate) streams: BTreeMap<u32, Came>,
    /// Every event that came, in order.
    pub(crate) events: Vec<ExecutorEvent>,
    /// Keep what comes on output streams; false only counts.
    pub(crate) keep: bool,
    /// Give credit for what comes; false lets the window run dry.
    pub(crate) credit: bool,
    pub(crate) goodbye: bool,
    next_stream: u32,
}

/// A command that runs an executor's command line as PID 1 in a root of its own.
fn inside(root: &Root, before: &str, capabilities: &str, executor: &str) -> Command {
    let script = format!(
        "set -e\n\
         mount -t tmpfs -o mode=755 dev \"$0/dev\"\n\
         mkdir \"$0/dev/usr\"\n\
         mount --rbind --make-rslave /usr \"$0/dev/usr\"\n\
         for d in null zero full random urandom tty; do \
           touch \"$0/dev/$d\"; mount --bind /dev/$d \"$0/dev/$d\"; \
         done\n\
         mkdir \"$0/dev/pts\"\n\
         mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 pts \"$0/dev/pts\"\n\
         ln -s pts/ptmx \"$0/dev/ptmx\"\n\
         mount -t proc proc \"$0/proc\"\n\
         {before}\n\
         cd \"$0\"\n\
         exec setpriv --bounding-set=-all,{capabilities} --inh-caps=-all \
           chroot \"$0\" {executor}\n"
    );
    let mut command = Command::new("unshare");
    command
        .args([
            "--fork",
            "--pid",
            "--mount",
            "--net",
            "--ipc",
            "--uts",
            "--kill-child",
            "bash",
            "-c",
        ])
        .arg(script)
        .arg(root.path());
    command
}

impl Session {
    /// Starts the executor in a root of its own, with loopback up as an engine leaves it.
    pub(crate) fn start(root: &Root) -> Self {
        Self::start_with(root, "ip link set lo up", CAPABILITIES)
    }

    /// Starts the executor after a command, with these capabilities.
    pub(crate) fn start_with(root: &Root, before: &str, capabilities: &str) -> Self {
        let mut child = inside(root, before, capabilities, "/.assay/executor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::with_capacity(1 << 20, child.stdout.take().expect("piped"));
        let mut session = Self {
            child,
            to: Some(to),
            from,
            hello: Hello {
                protocol: 0,
                executor_sha256: Digest::of(b""),
            },
            streams: BTreeMap::new(),
            events: Vec::new(),
            keep: true,
            credit: true,
            goodbye: false,
            next_stream: 2,
        };
        match session.read_message() {
            Some(ToRunner::Hello(hello)) => session.hello = hello,
            other => panic!("a Hello was due, but {other:?} came"),
        }
        session
    }

    /// Starts, sends a program of these ops, waits for `Ready`.
    pub(crate) fn with_ops(root: &Root, ops: Vec<Op>) -> Self {
        Self::with_program(root, program(ops))
    }

    /// Starts, sends a program, waits for `Ready`.
    pub(crate) fn with_program(root: &Root, program: Program) -> Self {
        let mut session = Self::start(root);
        session.send_program(program);
        session
    }

    pub(crate) fn send_program(&mut self, program: Program) {
        self.send(&ToExecutor::Program(Box::new(program)));
        let ready = self.next_event();
        assert!(matches!(ready, ExecutorEvent::Ready { .. }), "{ready:?}");
    }

    pub(crate) fn send(&mut self, message: &ToExecutor) {
        let payload = serde_json::to_vec(message).expect("a message");
        let length = u32::try_from(payload.len()).expect("small");
        self.send_frame(FrameHeader::message(length), &payload);
    }

    pub(crate) fn send_bytes(&mut self, stream: u32, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("small");
        self.send_frame(FrameHeader::bytes(stream, length), bytes);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let to = self.to.as_mut().expect("open");
        to.write_all(bytes).expect("sent");
    }

    fn send_frame(&mut self, header: FrameHeader, payload: &[u8]) {
        let to = self.to.as_mut().expect("open");
        to.write_all(&header.encode()).expect("sent");
        to.write_all(payload).expect("sent");
    }

    /// Opens a stream; returns its number.
    pub(crate) fn open(&mut self, purpose: Purpose) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.streams.insert(stream, Came::default());
        self.send(&ToExecutor::Open(Open { stream, purpose }));
        stream
    }

    pub(crate) fn close(&mut self, stream: u32, error: Option<&str>) {
        let error = error.map(str::to_owned);
        self.send(&ToExecutor::Close(Close { stream, error }));
    }

    /// Sends a blob whole.
    pub(crate) fn send_blob(&mut self, sha256: Digest, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let stream = self.open(Purpose::Blob {
            sha256,
            bytes: length,
        });
        assert!(bytes.len() < 200 << 10, "within the first window");
        self.send_bytes(stream, bytes);
        self.close(stream, None);
    }

    pub(crate) fn open_shell(&mut self, root: bool, size: TerminalSize) -> u32 {
        self.open(Purpose::Pty { size, root })
    }

    /// Reads one frame into the session; false at the end of the stream.
    pub(crate) fn step(&mut self) -> bool {
        match self.read_frame() {
            None => false,
            Some(Frame::Bytes(stream, bytes)) => {
                let (keep, credit) = (self.keep, self.credit);
                let came = self.streams.get_mut(&stream).expect("an open stream");
                assert!(
                    came.closed.is_none(),
                    "bytes after the end of stream {stream}"
                );
                came.count += bytes.len() as u64;
                if keep {
                    came.bytes.extend_from_slice(&bytes);
                }
                if credit {
                    let bytes = bytes.len() as u64;
                    self.send(&ToExecutor::Credit(Credit { stream, bytes }));
                }
                true
            }
            Some(Frame::Message(message)) => {
                match message {
                    ToRunner::Hello(_) => panic!("a second Hello"),
                    ToRunner::Event(event) => self.events.push(event),
                    ToRunner::Open(open) => {
                        assert_eq!(open.stream % 2, 1);
                        let came = Came {
                            purpose: Some(open.purpose),
                            ..Came::default()
                        };
                        assert!(self.streams.insert(open.stream, came).is_none());
                    }
                    ToRunner::Credit(_) => {}
                    ToRunner::Close(close) => {
                        let came = self.streams.get_mut(&close.stream).expect("an open stream");
                        came.closed = Some(close.error);
                    }
                    ToRunner::Goodbye => self.goodbye = true,
                }
                true
            }
        }
    }

    /// The next event.
    pub(crate) fn next_event(&mut self) -> ExecutorEvent {
        let before = self.events.len();
        while self.events.len() == before {
            assert!(
                self.step(),
                "the executor ended; events so far: {:?}",
                self.events
            );
        }
        self.events[before].clone()
    }

    pub(crate) fn directive(&mut self, directive: Directive) {
        self.send(&ToExecutor::Directive(directive));
    }

    /// Continues; returns how the next op ended, or `None` if its guard held.
    pub(crate) fn op(&mut self) -> Option<Ran> {
        self.directive(Directive::Continue);
        let mut started = None;
        loop {
            match self.next_event() {
                ExecutorEvent::GuardAsked { held: true, .. } => return None,
                ExecutorEvent::GuardAsked { held: false, .. } => {}
                ExecutorEvent::OpStarted { op, argv, .. } => started = Some((op, argv)),
                ExecutorEvent::OpFinished { op, ending, ms, .. } => {
                    let (id, argv) = started.expect("started before it finished");
                    assert_eq!(op, id);
                    return Some(Ran {
                        argv,
                        ending,
                        ms,
                        stdout: self.output(op, assay_wire::control::Channel::Stdout),
                        stderr: self.output(op, assay_wire::control::Channel::Stderr),
                    });
                }
                other @ (ExecutorEvent::Booted { .. }
                | ExecutorEvent::NotBooted { .. }
                | ExecutorEvent::Ready { .. }
                | ExecutorEvent::ManifestTaken { .. }
                | ExecutorEvent::Broken { .. }) => panic!("{other:?} during an op"),
            }
        }
    }

    /// Continues with an op that runs a command; it must end with 0. Returns what it printed.
    pub(crate) fn ok(&mut self) -> String {
        let ran = self.op().expect("not skipped");
        assert_eq!(ran.ending, Ending::Exited(0), "{ran:?}");
        ran.stdout
    }

    fn output(&self, wanted: OpId, which: assay_wire::control::Channel) -> String {
        self.streams
            .values()
            .rev()
            .find(|came| matches!(came.purpose, Some(Purpose::Output { op, channel, .. }) if op == wanted && channel == which))
            .map(|came| {
                assert_eq!(came.closed, Some(None), "closed before the op finished");
                String::from_utf8_lossy(&came.bytes).into_owned()
            })
            .unwrap_or_default()
    }

    /// Takes a manifest: its lines and the event.
    pub(crate) fn manifest(&mut self) -> (Vec<ManifestLine>, ExecutorEvent) {
        self.directive(Directive::Manifest);
        let event = self.next_event();
        let (stream, came) = self
            .streams
            .iter_mut()
            .rfind(|(_, came)| matches!(came.purpose, Some(Purpose::Manifest)))
            .expect("a manifest stream");
        assert_eq!(came.closed, Some(None), "stream {stream}");
        let text = std::mem::take(&mut came.bytes);
        let lines = serde_json::Deserializer::from_slice(&text)
            .into_iter()
            .collect::<Result<_, _>>()
            .expect("manifest lines");
        (lines, event)
    }

    /// What was traced of the op performed last.
    pub(crate) fn trace(&mut self) -> Vec<TraceLine> {
        let (stream, came) = self
            .streams
            .iter_mut()
            .rfind(|(_, came)| matches!(came.purpose, Some(Purpose::Trace { .. })))
            .expect("a trace's stream");
        assert_eq!(came.closed, Some(None), "stream {stream}");
        let text = std::mem::take(&mut came.bytes);
        serde_json::Deserializer::from_slice(&text)
            .into_iter()
            .collect::<Result<_, _>>()
            .expect("lines of a trace")
    }

    /// The files of keys that were sent, in order.
    pub(crate) fn keyrings(&self) -> Vec<(&str, &[u8])> {
        let keyrings = self
            .streams
            .values()
            .filter_map(|came| match &came.purpose {
                Some(Purpose::Keyring { path }) => {
                    assert_eq!(came.closed, Some(None), "{path}");
                    Some((path.as_str(), came.bytes.as_slice()))
                }
                _ => None,
            });
        keyrings.collect()
    }

    /// Ends the session as it should end: `Goodbye` and exit code 0.
    pub(crate) fn stop(mut self) {
        self.directive(Directive::Stop);
        while self.step() {}
        assert!(self.goodbye, "{:?}", self.events);
        assert_eq!(self.exit_code(), Some(0));
    }

    /// Closes the way in.
    pub(crate) fn hang_up(&mut self) {
        self.to = None;
    }

    /// Reads until the executor ends because the session broke; returns why.
    pub(crate) fn broken(mut self) -> String {
        while self.step() {}
        assert_eq!(self.exit_code(), Some(1));
        match self.events.last() {
            Some(ExecutorEvent::Broken { message }) => message.clone(),
            other => panic!("`Broken` was due, but {other:?} came"),
        }
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match self.child.try_wait().expect("waited") {
                Some(status) => return status.code(),
                None if Instant::now() > until => panic!("the executor does not end"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// The executor's process id as the host sees it.
    pub(crate) fn executor_pid(&self) -> u32 {
        let parent = self.child.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))
            .expect("unshare has a child");
        children.trim().parse().expect("one child")
    }

    /// The most memory the executor ever used, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.executor_pid())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("a line");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    }

    fn read_message(&mut self) -> Option<ToRunner> {
        match self.read_frame()? {
            Frame::Message(message) => Some(message),
            Frame::Bytes(..) => panic!("bytes instead of a message"),
        }
    }

    pub(crate) fn read_frame(&mut self) -> Option<Frame> {
        let mut header = [0; HEADER];
        self.from.read_exact(&mut header).ok()?;
        let header = FrameHeader::decode(header).expect("a frame");
        let mut payload = vec![0; header.length as usize];
        self.from.read_exact(&mut payload).ok()?;
        Some(match header.kind {
            FrameKind::Message => {
                Frame::Message(serde_json::from_slice(&payload).expect("a message"))
            }
            FrameKind::Bytes => Frame::Bytes(header.stream, payload),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // `--kill-child` takes the namespace along.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) enum Frame {
    Message(ToRunner),
    Bytes(u32, Vec<u8>),
}

/// How an op ran.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) argv: Vec<String>,
    pub(crate) ending: Ending,
    pub(crate) ms: u64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program of ops with nothing added by the harness.
pub(crate) fn program(ops: Vec<Op>) -> Program {
    Program {
        harness: HarnessEnv::default(),
        certificate: None,
        becomes_image: false,
        runs: ops
            .into_iter()
            .zip(1..)
            .map(|(op, id)| ProgramOp {
                pass: Pass::First,
                op: Op { id: OpId(id), ..op },
            })
            .collect(),
    }
}

/// An op with an action; its id is set by [`program`].
pub(crate) fn op(privilege: Privilege, action: Action) -> Op {
    Op {
        id: OpId(0),
        steps: Vec::new(),
        privilege,
        guard: None,
        limits: LIMITS,
        expects: Expects::Success {
            failure_lines: Vec::new(),
        },
        once: false,
        scope: None,
        action,
    }
}

pub(crate) fn run(privilege: Privilege, argv: &[&str]) -> Op {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    op(privilege, Action::Run { argv })
}

/// A script run by root's bash, for tests of hostile children.
pub(crate) fn root(script: &str) -> Op {
    run(Privilege::Root, &["bash", "-c", script])
}

/// A script run by the user's bash.
pub(crate) fn dev(script: &str) -> Op {
    run(Privilege::User, &["bash", "-c", script])
}

pub(crate) fn write(path: &str, mode: u32, owner: Privilege, content: FileContent) -> Op {
    op(
        Privilege::Root,
        Action::Write {
            path: path.parse().expect("a path"),
            mode,
            owner,
            content,
        },
    )
}

pub(crate) fn with_limits(op: Op, limits: Limits) -> Op {
    Op { limits, ..op }
}

pub(crate) fn with_guard(op: Op, guard: Guard) -> Op {
    Op {
        guard: Some(guard),
        ..op
    }
}
