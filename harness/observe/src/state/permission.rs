//! Files that run as somebody else, whoever starts them: setuid and setgid (inode(7)), capabilities
//! (capabilities(7)).

use assay_wire::manifest::{Entry, EntryKind, PathChange};
use assay_wire::privileged::Kind;

use super::{Found, Users, permissions, user};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// The names of capabilities, by number (linux/capability.h).
const CAPABILITIES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// The attribute, as a manifest names it.
const ATTRIBUTE: &str = "security.capability";

/// What a file that came or changed may do by itself. One that may no longer is one of less, and one
/// that only moved its content is a new program all the same.
pub(super) fn found(change: &PathChange, users: &Users) -> Vec<Found> {
    let Some(after) = change
        .after
        .as_ref()
        .filter(|entry| entry.kind == EntryKind::File)
    else {
        return Vec::new();
    };
    let path = change.path.clone();
    let owner = user(after.uid, users);
    let mode = after.mode;
    let mut kinds = Vec::new();
    if mode & SETUID != 0 {
        kinds.push(Kind::FileSetuid {
            path: path.clone(),
            mode,
            owner: owner.clone(),
        });
    } else if mode & SETGID != 0 {
        kinds.push(Kind::FileSetgid {
            path: path.clone(),
            mode,
            owner,
        });
    }
    if after.xattrs.contains_key(ATTRIBUTE) {
        kinds.push(Kind::FileCapability {
            path,
            capabilities: capabilities(after),
        });
    }
    let says = |entry: &Entry| {
        let permissions = permissions(entry, users);
        match entry.xattrs.contains_key(ATTRIBUTE) {
            true => format!("{permissions} {}", capabilities(entry)),
            false => permissions,
        }
    };
    let found = kinds.into_iter().map(|kind| Found {
        before: change.before.as_ref().map(says),
        after: Some(says(after)),
        ..Found::of(kind, change)
    });
    found.collect()
}

/// The capabilities of a file, if it has any.
pub(crate) fn capability_text(entry: &Entry) -> Option<String> {
    entry
        .xattrs
        .contains_key(ATTRIBUTE)
        .then(|| capabilities(entry))
}

/// Capabilities as getcap(8) writes them; of a value nobody understands, its digits.
fn capabilities(entry: &Entry) -> String {
    let value = entry.capability.as_deref().unwrap_or_default();
    read(value).unwrap_or_else(|| format!("unknown {value}").trim_end().to_owned())
}

fn read(hex: &str) -> Option<String> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let bytes: Vec<u8> = digits?
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |all, digit| all << 4 | digit))
        .collect();
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let magic = word(0)?;
    let (permitted, inheritable) = match (magic >> 24, bytes.len()) {
        (1, 12) => (u64::from(word(4)?), u64::from(word(8)?)),
        (2, 20) | (3, 24) => (
            u64::from(word(4)?) | u64::from(word(12)?) << 32,
            u64::from(word(8)?) | u64::from(word(16)?) << 32,
        ),
        _ => return None,
    };
    let effective = if magic & 1 == 1 { "e" } else { "" };
    let groups = [
        (permitted & inheritable, "ip"),
        (permitted & !inheritable, "p"),
        (inheritable & !permitted, "i"),
    ];
    let mut words = Vec::new();
    for (set, flags) in groups.into_iter().filter(|(set, _)| *set != 0) {
        let names = (0..64).filter(|bit| set >> bit & 1 == 1).map(|bit: usize| {
            let name = CAPABILITIES.get(bit).copied();
            name.map_or_else(|| format!("cap_{bit}"), str::to_owned)
        });
        words.push(format!(
            "{}={effective}{flags}",
            names.collect::<Vec<_>>().join(",")
        ));
    }
    if words.is_empty() {
        words.push(format!("={effective}"));
    }
    if let (3, Some(root)) = (magic >> 24, word(20)) {
        words.push(format!("[rootid={root}]"));
    }
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn values_are_read_as_getcap_shows_them() {
        for (value, wanted) in [
            (
                "0100000200200000000000000000000000000000",
                Some("cap_net_raw=ep"),
            ),
            (
                "0000000200200000000000000000000000000000",
                Some("cap_net_raw=p"),
            ),
            ("010000020000000000200000000000000000000000", None),
            (
                "0100000280000000800000000000000000000000",
                Some("cap_setuid=eip"),
            ),
            (
                "0100000200000000000000008000000000000000",
                Some("cap_bpf=ep"),
            ),
            (
                "010000030004000000000000000000000000000010270000",
                Some("cap_net_bind_service=ep [rootid=10000]"),
            ),
            (
                "0100000200000000000000000002000000000000",
                Some("cap_41=ep"),
            ),
            ("", None),
            ("zz", None),
            ("01000002", None),
        ] {
            assert_eq!(read(value).as_deref(), wanted, "{value}");
        }
    }
}
