//! Who executes what and asks for what, as a traced op tells it.

mod common;

use std::os::unix::fs::PermissionsExt as _;

use assay_wire::digest::Digest;
use assay_wire::event::Ending;
use assay_wire::plan::Op;
use assay_wire::program::{HarnessEnv, Program};
use assay_wire::trace::{Call, StartedFor, TraceLine, TracedCall, TracedProgram};
use common::{Root, Session, dev, root};

/// What a trace told.
struct Told {
    programs: Vec<TracedProgram>,
    calls: Vec<TracedCall>,
}

impl Told {
    /// Runs an op alone; there may be no gap.
    fn of(place: &Root, op: Op) -> Self {
        let mut session = Session::with_ops(place, vec![op]);
        let ran = session.op().expect("performed");
        assert!(matches!(ran.ending, Ending::Exited(_)), "{ran:?}");
        let told = Self::from(session.trace());
        session.stop();
        told
    }

    fn from(lines: Vec<TraceLine>) -> Self {
        let (mut programs, mut calls) = (Vec::new(), Vec::new());
        for line in lines {
            match line {
                TraceLine::Program(program) => programs.push(program),
                TraceLine::Call(call) => calls.push(call),
                TraceLine::Gap(gap) => panic!("a gap: {gap:?}"),
            }
        }
        Self { programs, calls }
    }

    /// The calls as `program call subject detail error`, by the program's first word.
    fn calls(&self, wanted: &[Call]) -> Vec<String> {
        let of = |call: &TracedCall| {
            let program = self.programs.iter().find(|one| one.id == call.program);
            let mut text = format!(
                "{} {:?} {}",
                program.map_or("?", |program| &program.argv[0]),
                call.call,
                call.subject
            );
            if let Some(detail) = &call.detail {
                text += &format!(" {detail}");
            }
            if let Some(error) = call.error {
                text += &format!(" error {error}");
            }
            text
        };
        self.calls
            .iter()
            .filter(|call| wanted.contains(&call.call))
            .map(of)
            .collect()
    }

    fn words(&self) -> Vec<String> {
        let words = |program: &TracedProgram| program.argv.join(" ");
        self.programs.iter().map(words).collect()
    }
}

#[test]
fn programs_are_a_tree_with_their_words_and_rights() {
    let place = Root::new();
    let script = "cd /tmp; env X=1 id -u; (exec true); true";
    let told = Told::of(&place, dev(script));
    assert_eq!(
        told.words(),
        [
            &format!("bash -c {script}"),
            "env X=1 id -u",
            "id -u",
            "true"
        ]
    );
    let [sh, env, id, exec] = &told.programs[..] else {
        panic!("{:?}", told.programs);
    };
    assert_eq!((sh.parent, sh.started_for), (None, Some(StartedFor::Op)));
    assert_eq!((env.parent, env.started_for), (Some(sh.id), None));
    // `env` becomes `id`: the same process.
    assert_eq!((id.parent, id.pid), (Some(env.id), env.pid));
    assert_eq!(exec.parent, Some(sh.id));
    assert_eq!((sh.uid, sh.gid, &*sh.folder), (1001, 1001, "/home/dev"));
    assert_eq!((id.uid, &*id.folder), (1001, "/tmp"));
    assert!(id.exe.ends_with("/bin/id"), "{}", id.exe);
}

#[test]
fn what_changes_files_is_told_with_path_detail_and_error() {
    let place = Root::new();
    let script = "cd /tmp; echo > a; echo >> a; chmod 4755 a; chown 1:2 a; mv a b; ln b c; \
                  ln -s b d; mkdir e; rmdir e; rm c; mkfifo f; echo > /none/x; echo > /usr; cat b > /dev/null";
    let told = Told::of(&place, root(script));
    let files = [
        Call::Open,
        Call::Mkdir,
        Call::Unlink,
        Call::Rename,
        Call::Link,
        Call::Symlink,
        Call::Mknod,
        Call::Chmod,
        Call::Chown,
    ];
    assert_eq!(
        told.calls(&files),
        [
            "bash Open /dev/null",
            "bash Open /dev/tty error 6",
            "bash Open /tmp/a",
            "bash Open /usr error 21",
            "chmod Chmod /tmp/a 4755",
            "chown Chown /tmp/a 1:2",
            "mv Rename /tmp/a /tmp/b",
            "ln Link /tmp/b /tmp/c",
            "ln Symlink /tmp/d b",
            "mkdir Mkdir /tmp/e",
            "rmdir Unlink /tmp/e",
            "rm Unlink /tmp/c",
            "mkfifo Mknod /tmp/f 10666",
        ]
    );
    let twice = told
        .calls
        .iter()
        .find(|call| call.subject == "/tmp/a" && call.call == Call::Open);
    assert_eq!(twice.expect("opened").count, 2);
}

#[test]
fn what_is_opened_through_a_link_is_told_as_what_it_is() {
    let place = Root::new();
    let script = "ln -s /etc/passwd /tmp/harmless; echo >> /tmp/harmless";
    let told = Told::of(&place, root(script));
    assert_eq!(
        told.calls(&[Call::Open]),
        ["bash Open /dev/tty error 6", "bash Open /etc/passwd"]
    );
}

/// Every call that only an attack makes, each in a process of its own.
const ATTACKS: &str = r#"
import ctypes, mmap, os, signal, socket, sys
# How some calls stop is not for the program to see.
signal.signal(signal.SIGSYS, lambda *_: print("a signal"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSYS])
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*arguments)
    return ctypes.get_errno() if result < 0 else 0
def old_call():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return -run()
def memfd():
    fd = os.memfd_create("hidden")
    os.write(fd, open("/bin/true", "rb").read())
    if os.fork() == 0:
        os.execve(f"/proc/self/fd/{fd}", ["innocent"], {})
    os.wait()
    return 0
def listen():
    s = socket.socket(); s.bind(("0.0.0.0", 4444)); s.listen()
    return 0
print("io_uring", call(425, 8, 0))
print("old call", old_call())
print("user namespace", call(272, 0x10000000))
print("clone into one", call(56, 0x10000000 | 17, 0, 0, 0, 0))
print("clone3", call(435, 0, 0))
print("mount", call(165, b"none", b"/mnt", b"tmpfs", 0, 0))
print("attach", call(101, 16, 1, 0, 0))
print("bpf", call(321, 0, 0, 0))
print("module", call(175, 0, 0, b"") != 0)
print("kill", call(62, 1, 9))
print("kill a thread", call(200, 1, 9), call(234, 1, 1, 9))
print("open a process", call(434, 1, 0))
print("memfd", memfd())
print("listen", listen())
print("chroot", call(161, b"/tmp"))
open("/within", "w").close()
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn attacks_are_told_and_what_cannot_be_looked_into_is_refused() {
    let place = Root::new();
    std::fs::write(place.join("/tmp/attacks.py"), ATTACKS).expect("written");
    let mut session = Session::with_ops(&place, vec![root("python3 /tmp/attacks.py")]);
    let ran = session.op().expect("performed");
    assert_eq!(ran.ending, Ending::Exited(0), "{ran:?}");
    // ENOSYS is 38, EPERM 1.
    assert_eq!(
        ran.stdout,
        "io_uring 38\nold call 38\nuser namespace 1\nclone into one 1\nclone3 38\nmount 1\n\
         attach 1\nbpf 1\nmodule True\nkill 0\nkill a thread 0 0\nopen a process 0\nmemfd 0\nlisten 0\nchroot 0\n"
    );
    let told = Told::from(session.trace());
    session.stop();
    let wanted = [
        Call::IoUring,
        Call::Foreign,
        Call::Namespace,
        Call::Mount,
        Call::Ptrace,
        Call::Bpf,
        Call::Kmod,
        Call::Kill,
        Call::Chroot,
        Call::Memfd,
        Call::Bind,
        Call::Listen,
    ];
    let without_error = |call: String| match call.strip_prefix("python3 Kmod init_module ") {
        Some(_) => "python3 Kmod init_module".to_owned(),
        None => call,
    };
    let calls: Vec<String> = told.calls(&wanted).into_iter().map(without_error).collect();
    assert_eq!(
        calls,
        [
            "python3 Bind 0.0.0.0:4444",
            "python3 Listen 0.0.0.0:4444",
            "python3 Mount /mnt error 1",
            "python3 Namespace clone error 1",
            "python3 Namespace unshare error 1",
            "python3 Chroot /tmp",
            "python3 Ptrace 16 1 error 1",
            "python3 Ptrace pidfd_open 1",
            "python3 Bpf 0 error 1",
            "python3 Memfd hidden",
            "python3 Kmod init_module",
            "python3 Kill 1 1 9",
            "python3 Kill 1 9",
            "python3 IoUring io_uring_setup error 38",
            "python3 Foreign 20 error 38",
        ]
    );
    assert!(
        told.calls(&[Call::Open])
            .contains(&"python3 Open /tmp/within".to_owned())
    );
    let hidden = told.programs.iter().find(|one| one.argv == ["innocent"]);
    let hidden = hidden.expect("executed");
    assert!(hidden.exe.starts_with("/memfd:hidden"), "{}", hidden.exe);
}

#[test]
fn a_program_that_is_setuid_works_and_is_told_with_its_rights() {
    let place = Root::new();
    let script = "cp /usr/bin/id /tmp/id; chmod 4755 /tmp/id";
    let ops = vec![root(script), dev("/tmp/id -u")];
    let mut session = Session::with_ops(&place, ops);
    session.ok();
    assert_eq!(session.ok(), "0\n");
    let told = Told::from(session.trace());
    session.stop();
    let id = told.programs.iter().find(|one| one.exe == "/tmp/id");
    assert_eq!(id.expect("executed").uid, 0);
}

#[test]
fn threads_and_quick_children_belong_to_their_program() {
    let place = Root::new();
    let script = "python3 - <<'E'
import os, subprocess, threading
def work(number):
    open(f'/tmp/{number}', 'w').close()
    subprocess.run(['touch', f'/tmp/child-{number}'])
threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
for t in threads: t.start()
for t in threads: t.join()
# A thread that is not the first becomes another program.
threading.Thread(target=lambda: os.execvp('touch', ['touch', '/tmp/last'])).start()
import time; time.sleep(10)
E";
    let told = Told::of(&place, root(script));
    let opened = told.calls(&[Call::Open]);
    for number in 0..20 {
        assert!(opened.contains(&format!("python3 Open /tmp/{number}")));
        assert!(opened.contains(&format!("touch Open /tmp/child-{number}")));
    }
    assert!(
        opened.contains(&"touch Open /tmp/last".to_owned()),
        "{opened:?}"
    );
    let touched = told.programs.iter().filter(|one| one.argv[0] == "touch");
    assert_eq!(touched.count(), 21);
}

#[test]
fn a_file_that_is_not_there_is_nothing_to_be_told_of() {
    let place = Root::new();
    let script = "python3 - <<'E'
import os
for call in (
    lambda: os.unlink('/tmp/nowhere'),
    lambda: os.rename('/tmp/nowhere', '/tmp/else'),
    lambda: os.chmod('/tmp/nowhere', 0o4755),
    lambda: os.open('/tmp/no/where', os.O_CREAT | os.O_WRONLY),
    lambda: os.mkdir('/tmp'),
    lambda: os.rename('/tmp', '/tmp/below'),
):
    try: call()
    except OSError: pass
os.mkdir('/tmp/there')
os.rename('/tmp/there', '/tmp/moved')
E";
    let told = Told::of(&place, root(script));
    let files = [
        Call::Unlink,
        Call::Rename,
        Call::Chmod,
        Call::Open,
        Call::Mkdir,
    ];
    let of_python = told.calls(&files).into_iter();
    let of_python: Vec<String> = of_python.filter(|call| call.contains("python3")).collect();
    assert_eq!(
        of_python,
        [
            "python3 Mkdir /tmp error 17",
            "python3 Mkdir /tmp/there",
            "python3 Rename /tmp /tmp/below error 22",
            "python3 Rename /tmp/there /tmp/moved",
        ]
    );
}

#[test]
fn what_the_tracer_answers_is_what_the_kernel_would_say() {
    let place = Root::new();
    let script = "mkdir -p /tmp/other/only /tmp/closed && chmod 700 /tmp/closed
ln -s nowhere /tmp/dangling
python3 - <<'E' > /tmp/seen
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def said(call):
    try: call()
    except OSError as error: return error.errno
    return 0
def unlinkat(path, flags):
    libc.unlinkat(-100, path.encode(), flags)
    return ctypes.get_errno()
def as_nobody():
    os.setresuid(65534, 65534, 0)
    return said(lambda: os.unlink('/tmp/closed/nowhere'))
print('missing', said(lambda: os.unlink('/tmp/nowhere')), said(lambda: os.rmdir('/tmp/nowhere')))
print('kind', said(lambda: os.rmdir('/tmp/nowhere/')), said(lambda: os.rmdir('/tmp/dangling/')))
print('flags', unlinkat('/tmp/nowhere', 0), unlinkat('/tmp/nowhere', 0x200), unlinkat('/tmp/nowhere', 1))
print('long', said(lambda: os.unlink('/tmp/' + 'x' * 300)))
os.chdir('/tmp')
open('here', 'w').close()
print('here', said(lambda: os.unlink('here')), said(lambda: os.unlink('/tmp/here')))
open('own', 'w').close()
print('own', said(lambda: os.unlink('/proc/self/cwd/own')))
print('nobody', as_nobody())
E
python3 - <<'E' >> /tmp/seen
import os
os.chroot('/tmp/other')
# The executor's own root has no such folder.
os.rmdir('/only')
print('root', os.path.exists('/only'))
E";
    let told = Told::of(&place, root(script));
    let seen = std::fs::read_to_string(place.path().join("tmp/seen")).expect("printed");
    let wanted =
        "missing 2 2\nkind 2 20\nflags 2 2 22\nlong 36\nhere 0 2\nown 0\nnobody 13\nroot False\n";
    assert_eq!(seen, wanted);
    let unlinks = told.calls(&[Call::Unlink]).into_iter();
    let of_python: Vec<String> = unlinks.filter(|call| call.contains("python3")).collect();
    let told_of = [
        "python3 Unlink /proc/self/cwd/own",
        "python3 Unlink /tmp/closed/nowhere error 13",
        "python3 Unlink /tmp/dangling error 20",
        "python3 Unlink /tmp/here",
        "python3 Unlink /tmp/nowhere error 22",
        "python3 Unlink /tmp/other/only",
    ];
    let (long, rest): (Vec<_>, Vec<_>) = of_python
        .into_iter()
        .partition(|call| call.ends_with("error 36"));
    assert_eq!((long.len(), rest), (1, told_of.map(str::to_owned).to_vec()));
}

#[test]
fn where_the_tracer_puts_a_program_is_not_seen() {
    let place = Root::new();
    // Everything asked here may be asked at the moment at which it was woken.
    let script = "python3 - <<'E' > /tmp/seen
import os, threading, time
def status():
    lines = open('/proc/thread-self/status').read().splitlines()
    return [line.split()[1] for line in lines if line.startswith('Cpus_allowed_list')]
def look():
    for number in range(300):
        try: os.unlink('/tmp/nowhere')
        except OSError: pass
        seen.add(len(os.sched_getaffinity(0)))
seen = set()
threads = [threading.Thread(target=look) for n in range(3)]
for t in threads: t.start()
for t in threads: t.join()
for number in range(50):
    os.mkdir(f'/tmp/{number}')
    if os.fork() == 0:
        os._exit(len(os.sched_getaffinity(0)))
    seen.add(os.waitstatus_to_exitcode(os.wait()[1]))
print(sorted(seen))
# A thread that executes a program becomes its process.
def become():
    try: os.unlink('/tmp/nowhere')
    except OSError: pass
    os.execvp('nproc', ['nproc'])
for number in range(100):
    if os.fork() == 0:
        os.dup2(os.open('/tmp/threads', os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        thread = threading.Thread(target=become)
        thread.start()
        thread.join()
    os.wait()
everywhere = status()
for wait in (lambda: time.sleep(0.2), lambda: [n for n in range(4000000)]):
    try: os.unlink('/tmp/nowhere')
    except OSError: pass
    wait()
    assert status() == everywhere, status()
one = {min(os.sched_getaffinity(0))}
os.sched_setaffinity(0, one)
for number in range(50):
    os.rmdir(f'/tmp/{number}')
    assert os.sched_getaffinity(0) == one and status() == [str(*one)]
E";
    Told::of(&place, root(script));
    let seen = std::fs::read_to_string(place.path().join("tmp/seen")).expect("printed");
    let all = std::thread::available_parallelism().expect("processors");
    assert_eq!(seen, format!("[{all}]\n"));
    let threads = std::fs::read_to_string(place.path().join("tmp/threads")).expect("printed");
    assert_eq!(threads, format!("{all}\n").repeat(100));
}

#[test]
fn what_an_op_leaves_running_is_told_with_later_ops() {
    let place = Root::new();
    let later = "(while [ ! -e /tmp/go ]; do sleep 0.01; done; echo > /tmp/late; echo > /tmp/done) \
                 > /dev/null 2>&1 &";
    let wait = "echo > /tmp/go; while [ ! -e /tmp/done ]; do sleep 0.01; done";
    let mut session = Session::with_ops(&place, vec![root(later), root(wait)]);
    session.ok();
    let first = Told::from(session.trace());
    session.ok();
    let second = Told::from(session.trace());
    session.stop();
    let late = second.calls.iter().find(|call| call.subject == "/tmp/late");
    let by = late.expect("told").program;
    assert_eq!(
        first
            .programs
            .iter()
            .find(|one| one.id == by)
            .expect("known")
            .argv[0],
        "bash"
    );
}

/// Runs a script where these lie, with patterns of every manager's; told are `path hash` of every
/// program that has any, behind its first word.
fn scripts(files: &[(&str, &str)], script: &str) -> Vec<String> {
    let place = Root::new();
    for (path, text) in files {
        let path = place.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("a mode");
    }
    let patterns = [
        "/var/lib/dpkg/info/*",
        "/var/tmp/rpm-tmp.*",
        "/tmp/alpm_*/.INSTALL",
    ];
    let program = Program {
        harness: HarnessEnv {
            scripts: patterns.map(str::to_owned).to_vec(),
            ..HarnessEnv::default()
        },
        ..common::program(vec![root(script)])
    };
    let mut session = Session::with_program(&place, program);
    session.ok();
    let told = Told::from(session.trace());
    session.stop();
    // What the op itself was started with names everything.
    let of_program = |program: &TracedProgram| {
        let scripts = program.scripts.iter().map(|script| {
            let sha256 = script.sha256.map(|sha256| sha256.to_string());
            format!("{} {}", script.path, sha256.unwrap_or_default())
        });
        let mut words = vec![program.argv[0].clone()];
        words.extend(scripts);
        words.join(" ")
    };
    let with_any = |one: &&TracedProgram| one.parent.is_some() && !one.scripts.is_empty();
    told.programs
        .iter()
        .filter(with_any)
        .map(of_program)
        .collect()
}

#[test]
fn a_packages_script_is_told_with_its_hash_however_it_is_run() {
    let text = "#!/bin/sh -e\ntrue\n";
    let sourced = "post_install() { true; }\n";
    let told = scripts(
        &[
            ("/var/lib/dpkg/info/a:x.postinst", text),
            ("/var/tmp/rpm-tmp.AbC", "true"),
            ("/tmp/alpm_AbC/.INSTALL", sourced),
        ],
        "cp /usr/bin/true /var/lib/dpkg/info/b.preinst
         /var/lib/dpkg/info/a:x.postinst configure 1.0
         (exec -a preinst /var/lib/dpkg/info/b.preinst install)
         sh /var/tmp/rpm-tmp.AbC 1
         sh -c '. /tmp/alpm_AbC/.INSTALL; post_install 1.0-1'
         sh /var/tmp/rpm-tmp.AbC < /var/tmp/rpm-tmp.AbC",
    );
    let of = |text: &str| Digest::of(text.as_bytes());
    let program = std::fs::read("/usr/bin/true").expect("readable");
    let rpm = format!("sh /var/tmp/rpm-tmp.AbC {}", of("true"));
    assert_eq!(
        told,
        [
            // It is not there yet.
            "cp /var/lib/dpkg/info/b.preinst ".to_owned(),
            format!("/bin/sh /var/lib/dpkg/info/a:x.postinst {}", of(text)),
            format!(
                "preinst /var/lib/dpkg/info/b.preinst {}",
                Digest::of(&program)
            ),
            rpm.clone(),
            format!("sh /tmp/alpm_AbC/.INSTALL {}", of(sourced)),
            rpm,
        ]
    );
}

#[test]
fn what_cannot_be_read_as_a_script_has_no_hash() {
    let told = scripts(
        &[("/elsewhere", "x")],
        "mkdir -p /var/tmp /var/lib/dpkg/info; ln -s /elsewhere /var/tmp/rpm-tmp.link
         mkfifo /var/tmp/rpm-tmp.pipe; truncate -s 17M /var/lib/dpkg/info/large
         /bin/echo /var/tmp/rpm-tmp.link /var/tmp/rpm-tmp.pipe /var/lib/dpkg/info/large \
             /var/lib/dpkg/info/none /var/lib/dpkg/info /elsewhere
         /bin/true /var/lib/dpkg/info/{a,b,c,d,e,f,g,h,i}",
    );
    let all = told.iter().rev().take(2).rev();
    let words: Vec<_> = all.map(|told| told.split_whitespace().collect()).collect();
    let [named, many]: [Vec<&str>; 2] = words.try_into().expect("two");
    let info = ["large", "none"].map(|name| format!("/var/lib/dpkg/info/{name}"));
    let tmp = ["link", "pipe"].map(|name| format!("/var/tmp/rpm-tmp.{name}"));
    assert_eq!(named[1..], [tmp, info].concat());
    assert_eq!(many.len(), 1 + 8, "{many:?}");
}

#[test]
fn a_script_is_read_where_its_program_finds_it() {
    let told = scripts(
        &[
            ("/elsewhere/a", "outside"),
            ("/other/elsewhere/a", "inside"),
            ("/other/var/lib/dpkg/x", ""),
        ],
        "ln -s /elsewhere /other/var/lib/dpkg/info
         for file in $(ldd /bin/true | grep -o '/[^ ]*') /bin/true; do
             mkdir -p /other${file%/*}; cp -L $file /other$file
         done
         chroot /other /bin/true /var/lib/dpkg/info/a",
    );
    let wanted = format!(
        "/bin/true /other/var/lib/dpkg/info/a {}",
        Digest::of(b"inside")
    );
    assert_eq!(told.last(), Some(&wanted), "{told:?}");
}

#[test]
fn without_the_capabilities_nothing_is_traced_and_the_start_says_so() {
    let place = Root::new();
    let fewer = common::CAPABILITIES.replace(",+sys_ptrace", "");
    let mut session = Session::start_with(&place, "ip link set lo up", &fewer);
    session.send_program(common::program(vec![root("true")]));
    let Some(assay_wire::event::ExecutorEvent::Ready { untraced, .. }) = session.events.first()
    else {
        panic!("{:?}", session.events);
    };
    assert_eq!(untraced, &["CAP_SYS_PTRACE"]);
    session.ok();
    session.stop();
}
