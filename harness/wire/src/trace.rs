//! A trace: which programs ran during an op, and which calls of theirs bear on privilege, as the
//! executor saw them stop at the kernel's door (ptrace(2), seccomp(2)).
//!
//! The trace says *who*. What became of a file is the manifest's to say: arguments can change
//! between the stop and the call, so nothing here proves what was done, only what was asked for and
//! what the kernel answered. Repetitions are counted, not listed. Paths are written with
//! [`crate::manifest::escape_path`].

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Most lines of one trace that are sent and recorded; what is beyond is counted as a gap.
pub const MAX_LINES: usize = 200_000;

/// Most bytes kept of a program's words, and of anything else a traced program names.
pub const MAX_TEXT: usize = 4096;

/// One line of a trace's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TraceLine {
    /// A program began.
    Program(TracedProgram),
    /// A program called.
    Call(TracedCall),
    /// Something happened that is not known in full.
    Gap(TraceGap),
}

/// A program that was executed: one `execve` that succeeded. What a process does between being forked
/// and executing another program is the program's that forked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TracedProgram {
    /// Its number in the sandbox, from 1 in order of execution.
    pub id: u32,
    /// The program whose process, or whose child, executed it; `None` for what the executor started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<u32>,
    /// What the executor started it for, where it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_for: Option<StartedFor>,
    /// Its process, inside the sandbox.
    pub pid: u32,
    /// Its words, escaped, at most [`MAX_TEXT`] bytes of them together.
    pub argv: Vec<String>,
    /// True if there were more.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cut: bool,
    /// The file that was executed; of a script, its interpreter.
    pub exe: String,
    /// Where it began.
    pub folder: String,
    /// Whose rights it has: the effective user and group.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The maintainer script that it says it is part of, by dpkg's variables (dpkg(1)).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub maintscript: Option<MaintScript>,
    /// The scripts among its words, by [`crate::program::HarnessEnv::scripts`], as they were when it began:
    /// what shows which package's script it is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scripts: Vec<ScriptText>,
}

/// A script that a program was told to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ScriptText {
    /// Its path, escaped.
    pub path: String,
    /// The hash of its text; `None` if it could not be read.
    pub sha256: Option<Digest>,
}

/// What the executor starts programs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StartedFor {
    /// An op's own command.
    Op,
    /// A question of the harness: a guard, or a probe of a manifest.
    Question,
}

/// What dpkg tells a maintainer script of itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MaintScript {
    /// `DPKG_MAINTSCRIPT_PACKAGE`.
    pub package: String,
    /// `DPKG_MAINTSCRIPT_NAME`, such as `postinst`.
    pub script: String,
}

/// A call of a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TracedCall {
    /// The program.
    pub program: u32,
    /// What it asked for.
    pub call: Call,
    /// Of what: a path, an address, a name, a number.
    pub subject: String,
    /// The rest: the mode, the owner, the other path.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The error it got (errno(3)); `None` if it was done, or if the program did not live to see.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<i32>,
    /// How often.
    pub count: u64,
}

/// What is asked for: calls of one purpose under the name of the best known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// open(2), openat(2), creat(2) with a flag by which the file could be changed.
    Open,
    /// truncate(2).
    Truncate,
    /// mkdir(2).
    Mkdir,
    /// unlink(2), rmdir(2).
    Unlink,
    /// rename(2); the detail is the new path.
    Rename,
    /// link(2); the detail is the new path.
    Link,
    /// symlink(2); the subject is the new path, the detail where it leads.
    Symlink,
    /// mknod(2); the detail is the mode.
    Mknod,
    /// chmod(2); the detail is the mode.
    Chmod,
    /// chown(2); the detail is owner and group.
    Chown,
    /// setxattr(2), removexattr(2); the detail is the attribute's name.
    Setxattr,
    /// setuid(2), setgid(2), setgroups(2) and their relatives; the subject is the ids.
    Setuid,
    /// capset(2).
    Capset,
    /// connect(2); the subject is the address.
    Connect,
    /// bind(2); the subject is the address.
    Bind,
    /// listen(2); the subject is the address bound before.
    Listen,
    /// mount(2) and its relatives.
    Mount,
    /// unshare(2), setns(2), clone(2) with a new namespace.
    Namespace,
    /// chroot(2), pivot_root(2).
    Chroot,
    /// ptrace(2), process_vm_writev(2); the subject is the process.
    Ptrace,
    /// bpf(2).
    Bpf,
    /// perf_event_open(2).
    Perf,
    /// memfd_create(2); the subject is the name.
    Memfd,
    /// init_module(2), finit_module(2), delete_module(2), kexec_load(2).
    Kmod,
    /// Any other call that only administration allows, by its name: refused.
    Administration,
    /// kill(2) of PID 1, of everything, or of the executor.
    Kill,
    /// io_uring_setup(2), which no filter can look into: refused.
    IoUring,
    /// A call by the numbers of another architecture, such as 32-bit: refused.
    Foreign,
}

/// What is not known of a trace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TraceGap {
    /// Why.
    pub reason: GapReason,
    /// How often.
    pub count: u64,
}

/// Why something is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The arguments of a call could not be read.
    Arguments,
    /// What was executed could not be read.
    Program,
    /// There were more lines than [`MAX_LINES`].
    Lines,
    /// A process was not followed.
    Process,
}

impl GapReason {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Arguments, Self::Program, Self::Lines, Self::Process];
}
