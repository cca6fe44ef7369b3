//! The taxonomy: every kind of privileged operation with its own fields, a closed vocabulary. How grave a
//! kind is, is not said here.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FileText, KeyIdentity, SourcePlace};
use crate::digest::Digest;
use crate::name::GuestPath;
use crate::plan::KeyScope;

/// No kind of privileged operation has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such kind of privileged operation")
    }
}

impl std::error::Error for UnknownKind {}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $variant:ident = $word:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
    })+) => {
        /// What is done, with its own fields: a closed vocabulary.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub enum Kind {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant {
                $($(#[$field_doc])* $field: $type),*
            }),+
        }

        /// The kind alone, without fields.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum KindName {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant),+
        }

        impl KindName {
            /// Every kind, in the order of the taxonomy.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The kind as written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What an operation of the kind is, in a sentence for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii()),+ }
            }
        }

        impl Kind {
            /// The kind alone.
            #[must_use]
            pub fn name(&self) -> KindName {
                match self { $(Self::$variant { .. } => KindName::$variant),+ }
            }
        }
    };
}

kinds! {
    /// A command runs as root.
    ExecRoot = "exec.root" {
        /// The program's name, as it is looked up.
        program: String,
    }
    /// A package's own script runs as root.
    MaintscriptRun = "maintscript.run" {
        /// The package.
        package: String,
        /// When, in the manager's word, such as `postinst`.
        phase: String,
    }
    /// A file of root's is written.
    FileWrite = "file.write" {
        /// The file, or the folder below which files are written.
        path: String,
        /// True for a folder below which an archive decides what is written.
        tree: bool,
        /// Permission bits, where they are known.
        mode: Option<u32>,
        /// Who owns it.
        owner: String,
    }
    /// A file of root's is removed.
    FileDelete = "file.delete" {
        /// The file.
        path: String,
    }
    /// A program runs as its owner, whoever starts it.
    FileSetuid = "file.setuid" {
        /// The program.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Who owns it.
        owner: String,
    }
    /// A program runs as its group, whoever starts it.
    FileSetgid = "file.setgid" {
        /// The program.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Who owns it.
        owner: String,
    }
    /// A program has capabilities, whoever starts it.
    FileCapability = "file.capability" {
        /// The program.
        path: String,
        /// The capabilities, as getcap(8) writes them.
        capabilities: String,
    }
    /// A user is added.
    UserAdd = "user.add" {
        /// The user.
        name: String,
        /// The login shell.
        shell: Option<String>,
        /// True if the id is 0. Any other is evidence: it is the first free one.
        superuser: bool,
    }
    /// A group is added.
    GroupAdd = "group.add" {
        /// The group.
        name: String,
    }
    /// A user joins a group.
    GroupMember = "group.member" {
        /// The user.
        user: String,
        /// The group.
        group: String,
    }
    /// Who may become whom without a password changes (sudoers(5)).
    Sudoers = "sudoers" {
        /// The file.
        file: String,
        /// The rules.
        says: FileText,
    }
    /// Who may ask privileged services for what changes (polkit(8)).
    Polkit = "polkit" {
        /// The file.
        file: String,
        /// The rules.
        says: FileText,
    }
    /// How users prove who they are changes (pam(8)).
    Pam = "pam" {
        /// The file.
        file: String,
        /// The lines with modules.
        says: FileText,
    }
    /// A key lets somebody log in (sshd(8)).
    SshKey = "ssh.key" {
        /// The file of keys.
        file: String,
        /// The fingerprints.
        says: FileText,
    }
    /// Packages signed by a key are trusted.
    PkgKey = "pkg.key" {
        /// The key.
        key: KeyIdentity,
        /// The base URL of the repository that it is declared for.
        repository: Option<String>,
        /// For which repositories it is trusted from then on.
        scope: KeyScope,
    }
    /// Packages come from a further place.
    PkgSource = "pkg.source" {
        /// The place.
        place: SourcePlace,
        /// The keys it is declared with.
        signed_by: Vec<KeyIdentity>,
        /// For which repositories those are trusted.
        scope: KeyScope,
    }
    /// Servers certified by an authority are trusted.
    CaAdd = "ca.add" {
        /// The file.
        file: String,
        /// The certificates.
        says: FileText,
    }
    /// A package manager runs a command at every transaction.
    PkgHook = "pkg.hook" {
        /// The file.
        file: String,
        /// The command.
        says: FileText,
    }
    /// systemd learns of a unit.
    UnitFile = "unit.file" {
        /// The file.
        file: String,
        /// `ExecStart` and `User`.
        says: FileText,
    }
    /// A unit is started at every boot.
    UnitEnabled = "unit.enabled" {
        /// The unit.
        unit: String,
    }
    /// A unit is started.
    UnitStarted = "unit.started" {
        /// The unit.
        unit: String,
    }
    /// systemd learns of a socket that starts a service.
    Socket = "socket" {
        /// The file.
        file: String,
        /// Where it listens.
        says: FileText,
    }
    /// systemd learns of a timer.
    Timer = "timer" {
        /// The file.
        file: String,
        /// The schedule.
        says: FileText,
    }
    /// A command is run by the clock (crontab(5)).
    Cron = "cron" {
        /// The file.
        file: String,
        /// Schedule, user and command.
        says: FileText,
    }
    /// A command is run once, later (at(1)).
    At = "at" {
        /// The file.
        file: String,
        /// The command.
        says: FileText,
    }
    /// A script is run at boot by an init before systemd.
    RcScript = "rc.script" {
        /// The file.
        file: String,
        /// The commands.
        says: FileText,
    }
    /// Devices get rules, which run programs (udev(7)).
    Udev = "udev" {
        /// The file.
        file: String,
        /// The rules.
        says: FileText,
    }
    /// Shells of other users read a file when they start.
    Profile = "profile" {
        /// The file.
        file: String,
        /// The commands.
        says: FileText,
    }
    /// A program is started with every graphical session.
    Xdg = "xdg" {
        /// The file.
        file: String,
        /// The command.
        says: FileText,
    }
    /// A service answers on the system's bus, or who may speak to one changes.
    DbusService = "dbus.service" {
        /// The file.
        file: String,
        /// Names and policy.
        says: FileText,
    }
    /// A library is loaded into every program (ld.so(8)).
    LdPreload = "ld.preload" {
        /// The file.
        file: String,
        /// The libraries.
        says: FileText,
    }
    /// Libraries are looked for elsewhere.
    LdConf = "ld.conf" {
        /// The file.
        file: String,
        /// The folders.
        says: FileText,
    }
    /// The kernel gets a module, or settings of one.
    Kmod = "kmod" {
        /// The module or the file.
        name: String,
        /// What the file says, where it is one.
        says: FileText,
    }
    /// A setting of the kernel changes.
    Sysctl = "sysctl" {
        /// The key or the file.
        key: String,
        /// The value.
        says: FileText,
    }
    /// A port is listened on.
    NetListen = "net.listen" {
        /// The address.
        address: String,
        /// The port.
        port: u16,
    }
    /// A connection is made.
    NetConnect = "net.connect" {
        /// The name, or the address where no name is known.
        host: String,
        /// The port.
        port: u16,
    }
    /// A file system is mounted.
    Mount = "mount" {
        /// What, where and how.
        arguments: String,
    }
    /// A namespace is made or entered.
    Namespace = "namespace" {
        /// Which.
        arguments: String,
    }
    /// The root folder of a process changes.
    Chroot = "chroot" {
        /// The folder.
        arguments: String,
    }
    /// A process takes hold of another.
    Ptrace = "ptrace" {
        /// The other.
        target: String,
    }
    /// A program is loaded into the kernel.
    Bpf = "bpf" {
        /// The command.
        command: String,
    }
    /// A program runs that no file holds.
    MemfdExec = "memfd.exec" {
        /// Its name.
        name: String,
    }
    /// What a package brings and does above what is ordinary, as a whole: a change of any part of it is
    /// another operation.
    Accompanying = "accompanying" {
        /// The package.
        package: String,
        /// The digests of its parts, sorted.
        operations: BTreeSet<Digest>,
    }
    /// Something happened that could not be captured.
    CaptureGap = "capture.gap" {
        /// How often.
        count: u64,
        /// Why.
        reason: String,
    }
}

/// What a key that is trusted for the whole machine is said to be trusted for.
pub const ANY_REPOSITORY: &str = "any repository";

/// What a key is trusted for that counts only where a repository names its file, and nobody says which.
const NAMING_REPOSITORIES: &str = "repositories that name its file";

impl Kind {
    /// The operation in one line; the same fields give the same line on either side.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::ExecRoot { program } => program.clone(),
            Self::MaintscriptRun { package, phase } => format!("{package} {phase}"),
            Self::FileWrite {
                path, tree: true, ..
            } => format!("{path}/…"),
            Self::FileWrite { path, .. } | Self::FileDelete { path } => path.clone(),
            Self::FileSetuid { path, mode, owner } | Self::FileSetgid { path, mode, owner } => {
                format!("{path} {mode:04o} {owner}")
            }
            Self::FileCapability { path, capabilities } => format!("{path} {capabilities}"),
            Self::UserAdd { name, .. } | Self::GroupAdd { name } => name.clone(),
            Self::GroupMember { user, group } => format!("{user} -> {group}"),
            Self::Sudoers { file, .. }
            | Self::Polkit { file, .. }
            | Self::Pam { file, .. }
            | Self::SshKey { file, .. }
            | Self::CaAdd { file, .. }
            | Self::PkgHook { file, .. }
            | Self::UnitFile { file, .. }
            | Self::Socket { file, .. }
            | Self::Timer { file, .. }
            | Self::Cron { file, .. }
            | Self::At { file, .. }
            | Self::RcScript { file, .. }
            | Self::Udev { file, .. }
            | Self::Profile { file, .. }
            | Self::Xdg { file, .. }
            | Self::DbusService { file, .. }
            | Self::LdPreload { file, .. }
            | Self::LdConf { file, .. } => file.clone(),
            Self::PkgKey {
                key,
                repository,
                scope,
            } => match (scope, repository) {
                (KeyScope::Repository, Some(repository)) => format!("{key} -> {repository}"),
                (KeyScope::Repository, None) => format!("{key} -> {NAMING_REPOSITORIES}"),
                (KeyScope::Machine, _) => format!("{key} -> {ANY_REPOSITORY}"),
            },
            Self::PkgSource { place, .. } => match place {
                SourcePlace::Url(url) => url.clone(),
                SourcePlace::File { file, .. } => file.clone(),
            },
            Self::UnitEnabled { unit } | Self::UnitStarted { unit } => unit.clone(),
            Self::Kmod { name, .. } | Self::MemfdExec { name } => name.clone(),
            Self::Sysctl { key, .. } => key.clone(),
            Self::NetListen { address, port } => format!("{address} port {port}"),
            Self::NetConnect { host, port } => format!("{host} port {port}"),
            Self::Mount { arguments }
            | Self::Namespace { arguments }
            | Self::Chroot { arguments } => arguments.clone(),
            Self::Ptrace { target } => target.clone(),
            Self::Bpf { command } => command.clone(),
            Self::Accompanying { package, .. } => package.clone(),
            Self::CaptureGap { count, reason } => format!("{count} × {reason}"),
        }
    }
}

impl Kind {
    /// What the file says, of an operation on one whose words matter.
    #[must_use]
    pub fn says(&self) -> Option<&FileText> {
        if let Self::Sudoers { says, .. }
        | Self::Polkit { says, .. }
        | Self::Pam { says, .. }
        | Self::SshKey { says, .. }
        | Self::CaAdd { says, .. }
        | Self::PkgHook { says, .. }
        | Self::UnitFile { says, .. }
        | Self::Socket { says, .. }
        | Self::Timer { says, .. }
        | Self::Cron { says, .. }
        | Self::At { says, .. }
        | Self::RcScript { says, .. }
        | Self::Udev { says, .. }
        | Self::Profile { says, .. }
        | Self::Xdg { says, .. }
        | Self::DbusService { says, .. }
        | Self::LdPreload { says, .. }
        | Self::LdConf { says, .. }
        | Self::Kmod { says, .. }
        | Self::Sysctl { says, .. }
        | Self::PkgSource {
            place: SourcePlace::File { says, .. },
            ..
        } = self
        {
            Some(says)
        } else {
            None
        }
    }
}

impl FromStr for KindName {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let mut all = Self::ALL.iter().copied();
        all.find(|kind| kind.as_str() == text).ok_or(UnknownKind)
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The kind that writing a program is, by its permission bits (inode(7)).
#[must_use]
pub fn kind_of_program(path: &GuestPath, mode: u32, owner: &str) -> Kind {
    const SETUID: u32 = 0o4000;
    const SETGID: u32 = 0o2000;
    let (path, owner) = (path.as_str().to_owned(), owner.to_owned());
    if mode & SETUID != 0 {
        Kind::FileSetuid { path, mode, owner }
    } else if mode & SETGID != 0 {
        Kind::FileSetgid { path, mode, owner }
    } else {
        Kind::FileWrite {
            path,
            tree: false,
            mode: Some(mode),
            owner,
        }
    }
}
