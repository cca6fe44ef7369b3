//! What attackers' use of a kind of operation is called: techniques of MITRE ATT&CK for Enterprise, as
//! data. An id says what a kind *can* be used for, never that it was.

use assay_wire::privileged::KindName;

/// The version of ATT&CK the ids are of.
pub const ATTACK_VERSION: &str = "17.1";

/// The techniques that kinds belong to, by id, each with its name as that version of ATT&CK has it.
pub const TECHNIQUES: &[(&str, &str)] = &[
    ("T1014", "Rootkit"),
    ("T1037.004", "RC Scripts"),
    ("T1053.002", "At"),
    ("T1053.003", "Cron"),
    ("T1053.006", "Systemd Timers"),
    ("T1055.008", "Ptrace System Calls"),
    ("T1059.004", "Unix Shell"),
    ("T1098.004", "SSH Authorized Keys"),
    ("T1098.007", "Additional Local or Domain Groups"),
    ("T1105", "Ingress Tool Transfer"),
    ("T1136.001", "Local Account"),
    ("T1195.002", "Compromise Software Supply Chain"),
    (
        "T1222.002",
        "Linux and Mac File and Directory Permissions Modification",
    ),
    ("T1543.002", "Systemd Service"),
    ("T1546.004", "Unix Shell Configuration Modification"),
    ("T1546.016", "Installer Packages"),
    ("T1546.017", "Udev Rules"),
    ("T1547.006", "Kernel Modules and Extensions"),
    ("T1547.013", "XDG Autostart Entries"),
    ("T1548", "Abuse Elevation Control Mechanism"),
    ("T1548.001", "Setuid and Setgid"),
    ("T1548.003", "Sudo and Sudo Caching"),
    ("T1553.004", "Install Root Certificate"),
    ("T1556.003", "Pluggable Authentication Modules"),
    ("T1562", "Impair Defenses"),
    ("T1574.006", "Dynamic Linker Hijacking"),
    ("T1611", "Escape to Host"),
    ("T1620", "Reflective Code Loading"),
];

/// The technique a kind belongs to; `None` where ATT&CK has none.
#[must_use]
pub fn technique(kind: KindName) -> Option<&'static str> {
    match kind {
        KindName::ExecRoot => Some("T1059.004"),
        KindName::MaintscriptRun | KindName::PkgHook => Some("T1546.016"),
        KindName::FileWrite | KindName::FileDelete => Some("T1222.002"),
        KindName::FileSetuid | KindName::FileSetgid => Some("T1548.001"),
        KindName::FileCapability | KindName::Polkit => Some("T1548"),
        KindName::UserAdd | KindName::GroupAdd => Some("T1136.001"),
        KindName::GroupMember => Some("T1098.007"),
        KindName::Sudoers => Some("T1548.003"),
        KindName::Pam => Some("T1556.003"),
        KindName::SshKey => Some("T1098.004"),
        KindName::PkgKey | KindName::PkgSource => Some("T1195.002"),
        KindName::CaAdd => Some("T1553.004"),
        KindName::UnitFile | KindName::UnitEnabled | KindName::UnitStarted | KindName::Socket => {
            Some("T1543.002")
        }
        KindName::Timer => Some("T1053.006"),
        KindName::Cron => Some("T1053.003"),
        KindName::At => Some("T1053.002"),
        KindName::RcScript => Some("T1037.004"),
        KindName::Udev => Some("T1546.017"),
        KindName::Profile => Some("T1546.004"),
        KindName::Xdg => Some("T1547.013"),
        KindName::LdPreload | KindName::LdConf => Some("T1574.006"),
        KindName::Kmod => Some("T1547.006"),
        KindName::Sysctl => Some("T1562"),
        KindName::NetConnect => Some("T1105"),
        KindName::Mount | KindName::Namespace | KindName::Chroot => Some("T1611"),
        KindName::Ptrace => Some("T1055.008"),
        KindName::Bpf => Some("T1014"),
        KindName::MemfdExec => Some("T1620"),
        KindName::DbusService
        | KindName::NetListen
        | KindName::Accompanying
        | KindName::CaptureGap => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_techniques_and_only_four_kinds_have_none() {
        let form = regex::Regex::new(r"^T[0-9]{4}(\.[0-9]{3})?$").expect("an expression");
        let mut without = Vec::new();
        for kind in KindName::ALL {
            let Some(id) = technique(*kind) else {
                without.push(kind.as_str());
                continue;
            };
            assert!(form.is_match(id), "{kind}: {id}");
        }
        let none = ["dbus.service", "net.listen", "accompanying", "capture.gap"];
        assert_eq!(without, none);
    }

    #[test]
    fn every_technique_has_its_name_once() {
        assert!(TECHNIQUES.is_sorted());
        let used: std::collections::BTreeSet<_> = KindName::ALL
            .iter()
            .filter_map(|kind| technique(*kind))
            .collect();
        let named: Vec<_> = TECHNIQUES.iter().map(|(id, _)| *id).collect();
        assert_eq!(named, used.into_iter().collect::<Vec<_>>());
    }
}
