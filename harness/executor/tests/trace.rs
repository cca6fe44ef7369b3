//! Who executes what and asks for what, as a traced op tells it.

mod common;

use assay_wire::event::Ending;
use assay_wire::plan::Op;
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
                  ln -s b d; mkdir e; rmdir e; rm c; mkfifo f; echo > /none/x; cat b > /dev/null";
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
            "bash Open /none/x error 2",
            "bash Open /tmp/a",
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
