//! How grave a privileged operation is: tables, and one function that reads them. Nobody else assigns a
//! risk, and nothing else is decided here; what a risk asks for is [`crate::consent`]'s.

use assay_wire::consent::{GroupTier, Policy};
use assay_wire::privileged::{FileText, Kind, KindName, holds_special_places, says_who_is_who};
use serde::Serialize;

/// How grave an operation is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Whoever can use it is root.
    RootEquivalent,
    /// It decides whom the machine believes.
    TrustRoot,
    /// It runs again by itself.
    Persistence,
    /// It can be reached, or reaches out.
    Network,
    /// Only root may do it, and it can be more than it seems.
    Privileged,
    /// What provisioning is made of.
    Ordinary,
}

impl Risk {
    /// Every risk, the gravest first.
    pub const ALL: &'static [Self] = &[
        Self::RootEquivalent,
        Self::TrustRoot,
        Self::Persistence,
        Self::Network,
        Self::Privileged,
        Self::Ordinary,
    ];

    /// The word as documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RootEquivalent => "root-equivalent",
            Self::TrustRoot => "trust-root",
            Self::Persistence => "persistence",
            Self::Network => "network",
            Self::Privileged => "privileged",
            Self::Ordinary => "ordinary",
        }
    }

    /// The word that stands first in a line for people, at most 7 columns.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::RootEquivalent => "ROOT",
            Self::TrustRoot => "TRUST",
            Self::Persistence => "PERSIST",
            Self::Network => "NETWORK",
            Self::Privileged => "PRIV",
            Self::Ordinary => "-",
        }
    }
}

/// Groups whose members can become root, or read what only root may, and how. Sorted.
pub const ELEVATED_GROUPS: &[(&str, &str)] = &[
    ("adm", "reads the system's logs"),
    ("admin", "sudo of older releases"),
    ("backup", "reads backups of everything"),
    ("disk", "reads and writes the disks themselves"),
    ("docker", "starts containers with the machine's root folder"),
    (
        "incus-admin",
        "starts containers with the machine's root folder",
    ),
    ("input", "reads what is typed"),
    ("kmem", "reads the kernel's memory"),
    ("kvm", "maps devices into machines"),
    ("libvirt", "starts machines with the machine's disks"),
    ("lxd", "starts containers with the machine's root folder"),
    ("mail", "reads everybody's mail"),
    ("podman", "starts containers with the machine's root folder"),
    ("root", "is root's own group"),
    ("shadow", "reads the hashes of passwords"),
    ("staff", "writes below /usr/local, which root runs"),
    ("sudo", "becomes root by sudo"),
    ("systemd-journal", "reads the system's logs"),
    ("tape", "reads backups of everything"),
    ("tty", "writes to everybody's terminals"),
    ("video", "reads what is on the screen"),
    ("wheel", "becomes root by sudo or su"),
];

/// Capabilities that are as much as root's all, or lead to them (capabilities(7)).
const ELEVATED_CAPABILITIES: &[&str] = &[
    "cap_bpf",
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_mac_admin",
    "cap_mknod",
    "cap_perfmon",
    "cap_setfcap",
    "cap_setgid",
    "cap_setpcap",
    "cap_setuid",
    "cap_sys_admin",
    "cap_sys_chroot",
    "cap_sys_module",
    "cap_sys_ptrace",
    "cap_sys_rawio",
];

/// Settings that protect a machine against its own users (the kernel's admin-guide/sysctl); prefixes.
const HARDENING: &[&str] = &[
    "fs.protected_",
    "fs.suid_dumpable",
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.kexec_load_disabled",
    "kernel.kptr_restrict",
    "kernel.modprobe",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.randomize_va_space",
    "kernel.unprivileged_",
    "kernel.yama.",
    "net.core.bpf_jit_harden",
    "user.max_user_namespaces",
    "vm.mmap_min_addr",
    "vm.unprivileged_userfaultfd",
];

/// The tier of a group: the project's word, else the table's; `None` for one that nobody has judged.
#[must_use]
pub fn group_tier(group: &str, policy: &Policy) -> Option<GroupTier> {
    let known = || {
        ELEVATED_GROUPS
            .binary_search_by(|(name, _)| (*name).cmp(group))
            .is_ok()
            .then_some(GroupTier::Elevated)
    };
    policy.group_tiers.get(group).copied().or_else(known)
}

/// How grave an operation is. What a file is for is known by its kind; whether it is explained is
/// judged elsewhere.
#[must_use]
pub fn risk(kind: &Kind, policy: &Policy) -> Risk {
    match kind {
        Kind::FileWrite { path, .. } | Kind::FileDelete { path } if says_who_is_who(path) => {
            Risk::RootEquivalent
        }
        Kind::FileWrite {
            path, tree: true, ..
        } if holds_special_places(path) => Risk::Privileged,
        Kind::FileWrite { .. } | Kind::FileDelete { .. } => Risk::Ordinary,
        Kind::FileSetuid { owner, .. } if owner == "root" => Risk::RootEquivalent,
        Kind::FileSetuid { .. } => Risk::Privileged,
        Kind::FileCapability { capabilities, .. } => of_capabilities(capabilities),
        Kind::UserAdd {
            superuser: true, ..
        } => Risk::RootEquivalent,
        Kind::UserAdd { .. } => Risk::Ordinary,
        Kind::GroupMember { group, .. } => match group_tier(group, policy) {
            Some(GroupTier::Safe) => Risk::Ordinary,
            Some(GroupTier::Elevated | GroupTier::Forbidden) => Risk::RootEquivalent,
            None => Risk::Privileged,
        },
        // That of its gravest part is known where the parts are: `crate::explain`.
        Kind::Accompanying { .. } => Risk::Privileged,
        Kind::Sysctl { key, says } => of_sysctl(key, says),
        Kind::ExecRoot { .. }
        | Kind::MaintscriptRun { .. }
        | Kind::GroupAdd { .. }
        | Kind::FileSetgid { .. }
        | Kind::Sudoers { .. }
        | Kind::Polkit { .. }
        | Kind::Pam { .. }
        | Kind::SshKey { .. }
        | Kind::PkgKey { .. }
        | Kind::PkgSource { .. }
        | Kind::CaAdd { .. }
        | Kind::PkgHook { .. }
        | Kind::UnitFile { .. }
        | Kind::UnitEnabled { .. }
        | Kind::UnitStarted { .. }
        | Kind::Socket { .. }
        | Kind::Timer { .. }
        | Kind::Cron { .. }
        | Kind::At { .. }
        | Kind::RcScript { .. }
        | Kind::Udev { .. }
        | Kind::Profile { .. }
        | Kind::Xdg { .. }
        | Kind::DbusService { .. }
        | Kind::LdPreload { .. }
        | Kind::LdConf { .. }
        | Kind::Kmod { .. }
        | Kind::NetListen { .. }
        | Kind::NetConnect { .. }
        | Kind::Mount { .. }
        | Kind::Namespace { .. }
        | Kind::Chroot { .. }
        | Kind::Ptrace { .. }
        | Kind::Bpf { .. }
        | Kind::MemfdExec { .. }
        | Kind::CaptureGap { .. } => gravest(kind.name()),
    }
}

/// How grave the gravest operation of a kind is: what each is whose fields say nothing else.
#[must_use]
pub fn gravest(kind: KindName) -> Risk {
    match kind {
        KindName::ExecRoot | KindName::MaintscriptRun | KindName::GroupAdd => Risk::Ordinary,
        KindName::FileWrite
        | KindName::FileDelete
        | KindName::FileSetuid
        | KindName::FileCapability
        | KindName::UserAdd
        | KindName::GroupMember
        | KindName::Sudoers
        | KindName::Polkit
        | KindName::PkgHook
        | KindName::LdPreload
        | KindName::LdConf
        | KindName::Kmod
        | KindName::Mount
        | KindName::Namespace
        | KindName::Chroot
        | KindName::Ptrace
        | KindName::Bpf
        | KindName::Accompanying
        | KindName::CaptureGap => Risk::RootEquivalent,
        KindName::Pam
        | KindName::SshKey
        | KindName::PkgKey
        | KindName::PkgSource
        | KindName::CaAdd => Risk::TrustRoot,
        KindName::UnitFile
        | KindName::UnitEnabled
        | KindName::UnitStarted
        | KindName::Socket
        | KindName::Timer
        | KindName::Cron
        | KindName::At
        | KindName::RcScript
        | KindName::Udev
        | KindName::Profile
        | KindName::Xdg
        | KindName::DbusService => Risk::Persistence,
        KindName::NetListen | KindName::NetConnect => Risk::Network,
        KindName::FileSetgid | KindName::Sysctl | KindName::MemfdExec => Risk::Privileged,
    }
}

/// A text of capabilities that names none (`=ep`) means all of them (cap_from_text(3)).
fn of_capabilities(text: &str) -> Risk {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    let mut names = words.filter(|word| word.starts_with("cap_")).peekable();
    if names.peek().is_none() || names.any(|name| ELEVATED_CAPABILITIES.contains(&name)) {
        Risk::RootEquivalent
    } else {
        Risk::Privileged
    }
}

/// What a file says that nobody has read may be anything.
fn of_sysctl(key: &str, says: &FileText) -> Risk {
    let hardens = |text: &str| HARDENING.iter().any(|prefix| text.contains(prefix));
    match says {
        FileText::Words(words) if !hardens(&format!("{key} {words}").replace('/', ".")) => {
            Risk::Ordinary
        }
        FileText::Words(_) | FileText::Sha256(_) | FileText::Unread => Risk::Privileged,
    }
}

#[cfg(test)]
mod tests {
    use assay_wire::digest::Digest;

    use super::*;

    fn file(path: &str, tree: bool) -> Kind {
        Kind::FileWrite {
            path: path.to_owned(),
            tree,
            mode: None,
            owner: "root".to_owned(),
        }
    }

    fn member(group: &str) -> Kind {
        Kind::GroupMember {
            user: "dev".to_owned(),
            group: group.to_owned(),
        }
    }

    #[test]
    fn kinds_and_their_risks() {
        let setuid = |owner: &str| Kind::FileSetuid {
            path: "/opt/x".to_owned(),
            mode: 0o4755,
            owner: owner.to_owned(),
        };
        let capability = |capabilities: &str| Kind::FileCapability {
            path: "/opt/x".to_owned(),
            capabilities: capabilities.to_owned(),
        };
        let user = |superuser| Kind::UserAdd {
            name: "x".to_owned(),
            shell: None,
            superuser,
        };
        let sysctl = |says| Kind::Sysctl {
            key: "/etc/sysctl.d/x".to_owned(),
            says,
        };
        let words = |text: &str| FileText::Words(text.to_owned());
        for (kind, wanted) in [
            (file("/opt/x", false), Risk::Ordinary),
            (file("/opt/x", true), Risk::Ordinary),
            (file("/usr", true), Risk::Privileged),
            (file("/etc", true), Risk::Privileged),
            (file("/etc/passwd", false), Risk::RootEquivalent),
            (
                Kind::FileDelete {
                    path: "/etc/shadow".to_owned(),
                },
                Risk::RootEquivalent,
            ),
            (setuid("root"), Risk::RootEquivalent),
            (setuid("dev"), Risk::Privileged),
            (capability("cap_net_bind_service=ep"), Risk::Privileged),
            (
                capability("cap_net_raw,cap_setuid=ep"),
                Risk::RootEquivalent,
            ),
            (capability("=ep"), Risk::RootEquivalent),
            (capability(""), Risk::RootEquivalent),
            (user(false), Risk::Ordinary),
            (user(true), Risk::RootEquivalent),
            (sysctl(words("net.ipv4.tcp_rmem = 4096")), Risk::Ordinary),
            (
                sysctl(words("kernel.yama.ptrace_scope = 0")),
                Risk::Privileged,
            ),
            (
                sysctl(words("kernel/yama/ptrace_scope = 0")),
                Risk::Privileged,
            ),
            (sysctl(FileText::Sha256(Digest::of(b""))), Risk::Privileged),
            (sysctl(FileText::Unread), Risk::Privileged),
        ] {
            assert_eq!(risk(&kind, &Policy::default()), wanted, "{kind:?}");
            assert!(gravest(kind.name()) <= wanted, "{kind:?}");
        }
    }

    #[test]
    fn groups_have_a_tier_of_the_table_or_of_the_project() {
        assert!(ELEVATED_GROUPS.is_sorted_by_key(|(name, _)| name));
        for group in [
            "docker", "sudo", "wheel", "disk", "lxd", "libvirt", "kvm", "shadow", "adm",
        ] {
            assert_eq!(
                risk(&member(group), &Policy::default()),
                Risk::RootEquivalent,
                "{group}"
            );
        }
        assert_eq!(risk(&member("redis"), &Policy::default()), Risk::Privileged);
        let policy = Policy {
            group_tiers: [
                ("redis".to_owned(), GroupTier::Safe),
                ("kvm".to_owned(), GroupTier::Safe),
                ("ops".to_owned(), GroupTier::Forbidden),
            ]
            .into(),
            ..Policy::default()
        };
        for (group, wanted) in [
            ("redis", Risk::Ordinary),
            ("kvm", Risk::Ordinary),
            ("ops", Risk::RootEquivalent),
            ("docker", Risk::RootEquivalent),
        ] {
            assert_eq!(risk(&member(group), &policy), wanted, "{group}");
        }
    }

    #[test]
    fn labels_fit_their_column_and_words_are_those_of_json() {
        for risk in Risk::ALL {
            assert!(risk.label().len() <= 7);
            assert_eq!(
                serde_json::to_string(risk).expect("JSON"),
                format!("\"{}\"", risk.as_str())
            );
        }
        assert!(Risk::ALL.is_sorted());
    }
}
