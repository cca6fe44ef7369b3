//! The files whose content a manifest tells where it changed: small files of text that say who may do
//! what, and what runs by itself. Where they lie is from the manual pages of what reads them. None of
//! them is there to hold a secret; those that may (shadow(5), URLs with passwords) the executor redacts.
//!
//! What is special and not named here, such as a database of keys, is told by its hash.

use assay_recipe::when::Family;

/// Patterns of [`assay_wire::program::HarnessEnv::contents`].
pub(super) fn contents(family: Option<Family>) -> Vec<String> {
    let of_manager: &[&str] = match family {
        Some(Family::Debian) => DPKG,
        Some(Family::Rhel) => RPM,
        Some(Family::Arch) => PACMAN,
        Some(Family::Alpine) => APK,
        Some(Family::Suse) => ZYPPER,
        None => &[],
    };
    let all = EVERYWHERE.iter().chain(of_manager);
    all.map(|pattern| (*pattern).to_owned()).collect()
}

/// What every distribution has.
const EVERYWHERE: &[&str] = &[
    // passwd(5), group(5), shadow(5), gshadow(5), subuid(5)
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/subuid",
    "/etc/subgid",
    // sudoers(5), polkit(8)
    "/etc/sudoers",
    "/etc/sudoers.d/*",
    "/etc/polkit-1/**",
    "/usr/local/share/polkit-1/**",
    "/usr/share/polkit-1/**",
    // pam(8)
    "/etc/pam.conf",
    "/etc/pam.d/*",
    "/etc/security/*",
    "/etc/security/*/*",
    "/usr/lib/pam.d/*",
    // sshd(8), ssh_config(5): no key that is anybody's own
    "/etc/ssh/ssh_config",
    "/etc/ssh/ssh_config.d/*",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d/*",
    "/root/.ssh/authorized_keys*",
    "/root/.ssh/config",
    "/root/.ssh/rc",
    "/home/*/.ssh/authorized_keys*",
    "/home/*/.ssh/config",
    "/home/*/.ssh/rc",
    // systemd.unit(5), systemd.preset(5)
    "/etc/systemd/**",
    "/run/systemd/system/**",
    "/run/systemd/user/**",
    "/lib/systemd/system/**",
    "/lib/systemd/system*/*",
    "/lib/systemd/user/**",
    "/lib/systemd/user*/*",
    "/usr/lib/systemd/system/**",
    "/usr/lib/systemd/system*/*",
    "/usr/lib/systemd/user/**",
    "/usr/lib/systemd/user*/*",
    "/usr/local/lib/systemd/**",
    // crontab(5), anacrontab(5), at(1)
    "/etc/anacrontab",
    "/etc/cron*",
    "/etc/cron.*/*",
    "/etc/periodic/*/*",
    "/var/spool/at/*",
    "/var/spool/cron/**",
    // init(8)
    "/etc/init.d/*",
    "/etc/rc.d/**",
    "/etc/rc.local",
    // udev(7)
    "/etc/udev/**",
    "/lib/udev/rules.d/*",
    "/usr/lib/udev/rules.d/*",
    // bash(1), zsh(1), environment(5)
    "/etc/bash*",
    "/etc/environment",
    "/etc/profile",
    "/etc/profile.d/*",
    "/etc/skel/*",
    "/etc/zsh*",
    "/etc/zsh/*",
    "/root/.bash*",
    "/root/.profile",
    // The Desktop Application Autostart Specification
    "/etc/xdg/autostart/*",
    "/home/*/.config/autostart/*",
    // dbus-daemon(1)
    "/etc/dbus-1/**",
    "/usr/share/dbus-1/*",
    "/usr/share/dbus-1/services/*",
    "/usr/share/dbus-1/session.d/*",
    "/usr/share/dbus-1/system-services/*",
    "/usr/share/dbus-1/system.d/*",
    // ld.so(8), ldconfig(8)
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d/*",
    "/etc/ld.so.preload",
    // modprobe.d(5), modules-load.d(5), sysctl.d(5)
    "/etc/modprobe.d/*",
    "/etc/modules",
    "/etc/modules-load.d/*",
    "/usr/lib/modules-load.d/*",
    "/etc/sysctl.conf",
    "/etc/sysctl.d/*",
    "/usr/lib/sysctl.d/*",
    // What update-ca-certificates(8), update-ca-trust(8) and trust(1) read, and what they make
    "/etc/ca-certificates/**",
    "/etc/pki/ca-trust/source/**",
    "/etc/ssl/certs/*",
    "/usr/local/share/ca-certificates/**",
    "/usr/share/ca-certificates/**",
];

/// sources.list(5), apt.conf(5), apt-secure(8), dpkg.cfg(5).
const DPKG: &[&str] = &[
    "/etc/apt/apt.conf",
    "/etc/apt/apt.conf.d/*",
    "/etc/apt/keyrings/*",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/*",
    "/etc/apt/trusted.gpg",
    "/etc/apt/trusted.gpg.d/*",
    "/etc/dpkg/dpkg.cfg",
    "/etc/dpkg/dpkg.cfg.d/*",
    "/usr/share/keyrings/*",
];

/// dnf.conf(5), dnf5-actions(8), rpm(8).
const RPM: &[&str] = &[
    "/etc/dnf/**",
    "/etc/pki/rpm-gpg/*",
    "/etc/rpm/*",
    "/etc/yum.conf",
    "/etc/yum.repos.d/*",
];

/// pacman.conf(5), alpm-hooks(5).
const PACMAN: &[&str] = &[
    "/etc/pacman.conf",
    "/etc/pacman.d/*",
    "/etc/pacman.d/hooks/*",
    "/usr/share/libalpm/hooks/*",
    "/usr/share/pacman/keyrings/*",
];

/// apk-repositories(5), apk-keys(5).
const APK: &[&str] = &[
    "/etc/apk/commit_hooks.d/*",
    "/etc/apk/keys/*",
    "/etc/apk/repositories",
    "/etc/apk/repositories.d/*",
];

/// zypper(8).
const ZYPPER: &[&str] = &["/etc/pki/rpm-gpg/*", "/etc/rpm/*", "/etc/zypp/**"];

#[cfg(test)]
mod tests {
    use assay_wire::privileged::{holds_special_places, kind_of_file, says_who_is_who};

    use super::*;

    /// What a pattern begins with lies in a special place, or holds some.
    #[test]
    fn what_is_asked_for_is_special() {
        for family in [
            Family::Debian,
            Family::Rhel,
            Family::Arch,
            Family::Alpine,
            Family::Suse,
        ] {
            for pattern in contents(Some(family)) {
                let plain = pattern.replace("/home/*/", "/home/dev/");
                let plain = plain.split('*').next().unwrap_or_default();
                let (folder, name) = plain.rsplit_once('/').expect("an absolute path");
                let file = format!("{folder}/{}", if name.is_empty() { "x" } else { name });
                let known = kind_of_file(&file.parse().expect("a path"), None).is_some();
                let is_special = known || says_who_is_who(&file) || holds_special_places(folder);
                assert!(is_special, "{pattern}");
            }
        }
    }

    #[test]
    fn no_private_key_is_asked_for() {
        let all = contents(Some(Family::Arch));
        for path in [
            "/etc/ssh/ssh_host_ed25519_key",
            "/root/.ssh/id_ed25519",
            "/home/dev/.ssh/id_rsa",
            "/etc/ssl/private/x.key",
            "/etc/pacman.d/gnupg/private-keys-v1.d/x.key",
            "/etc/shadow-",
        ] {
            let asked =
                |pattern: &String| assay_wire::program::path_matches(pattern, path.as_bytes());
            assert!(!all.iter().any(asked), "{path}");
        }
    }
}
