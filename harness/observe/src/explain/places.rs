//! Places by whose state they are: tables, as data, each with where that is written down.
//!
//! A manager's own state says which packages there are and what they said; nothing runs because of it but
//! at the next transaction. Shared state is what the policies of distributions have packages register in:
//! their scripts change it although it was there before. *What is special by where it lies stays an
//! operation of its own, whichever table it is in.*

use crate::noise::{Manager, matches};

/// Where each manager keeps its own state.
const MANAGER_STATE: &[(Manager, &[&str])] = &[
    (
        Manager::Apt,
        &[
            // apt(8), apt.conf(5) `Dir::State`, `Dir::Cache`; dpkg(1) FILES; debconf(7)
            "/var/lib/apt/**",
            "/var/lib/dpkg/**",
            "/var/cache/apt/**",
            "/var/cache/debconf/**",
            "/var/log/apt/**",
            "/var/log/dpkg.log",
            "/var/log/alternatives.log",
        ],
    ),
    (
        Manager::Dnf,
        &[
            // rpm(8) `%_dbpath`; dnf5(8) FILES, dnf(8) FILES
            "/usr/lib/sysimage/**",
            "/var/lib/rpm/**",
            "/var/lib/dnf/**",
            "/var/lib/libdnf5/**",
            "/var/cache/dnf/**",
            "/var/cache/libdnf5/**",
            "/var/log/dnf*",
            "/var/log/hawkey.log",
            "/run/dnf/**",
            "/root/.gnupg/**",
        ],
    ),
    (
        Manager::Pacman,
        &[
            // pacman(8), pacman.conf(5) `DBPath`, `CacheDir`, `LogFile`, `GPGDir`
            "/var/lib/pacman/**",
            "/var/cache/pacman/**",
            "/var/log/pacman.log",
            "/etc/pacman.d/gnupg/**",
        ],
    ),
];

/// What the loader keeps for every manager (ldconfig(8)).
const LOADER_STATE: &[&str] = &["/etc/ld.so.cache", "/var/cache/ldconfig/**"];

/// What scripts of packages change although it was there before.
const SHARED_STATE: &[&str] = &[
    // passwd(5) and its relatives, with the backups and locks of shadow's tools; told name by name
    "/etc/passwd*",
    "/etc/group*",
    "/etc/shadow*",
    "/etc/gshadow*",
    "/etc/subuid*",
    "/etc/subgid*",
    "/etc/.pwd.lock",
    // update-alternatives(1), Debian Policy 3.9
    "/etc/alternatives/*",
    "/var/lib/alternatives/*",
    // add-shell(8)
    "/etc/shells",
    "/etc/shells.*",
    "/var/lib/shells.state",
    // ucf(1), Debian Policy 10.7
    "/var/lib/ucf/**",
    // update-ca-certificates(8), update-ca-trust(8)
    "/etc/ca-certificates.conf",
    "/etc/ca-certificates/**",
    "/etc/ssl/certs/**",
    "/etc/pki/ca-trust/**",
    "/etc/pki/tls/**",
    // pam-auth-update(8)
    "/etc/pam.d/common-*",
    "/var/lib/pam/*",
    // machine-id(5): an empty one is filled once; fstab(5) and systemd's tmpfiles.d/debian.conf
    "/etc/machine-id",
    "/etc/mtab",
    // nss(5): packages of name services add themselves
    "/etc/nsswitch.conf",
    // install-info(1), update-mime-database(1), update-desktop-database(1), gtk-update-icon-cache(1),
    // glib-compile-schemas(1), update-catalog(8), update-xmlcatalog(8), mailcap(5)
    "/usr/share/info/dir",
    "/usr/share/info/dir.old",
    "/usr/share/mime/**",
    "/usr/share/applications/mimeinfo.cache",
    "/usr/share/icons/*/icon-theme.cache",
    "/usr/share/glib-2.0/schemas/gschemas.compiled",
    "/etc/sgml/**",
    "/etc/xml/**",
    "/etc/mailcap",
    "/etc/mailcap.order",
    // deb-systemd-helper(1p), systemctl(1), update-rc.d(8)
    "/var/lib/systemd/**",
    "/etc/rc*.d/*",
    // file-hierarchy(7): what does not outlive a boot, caches, logs
    "/run/**",
    "/tmp/**",
    "/var/tmp/**",
    "/var/cache/**",
    "/var/log/**",
];

/// True for a manager's own state.
pub(super) fn is_manager_state(manager: Manager, path: &str) -> bool {
    let of_manager = MANAGER_STATE.iter().filter(|(of, _)| *of == manager);
    let mut patterns = of_manager
        .flat_map(|(_, patterns)| patterns.iter())
        .chain(LOADER_STATE);
    patterns.any(|pattern| matches(pattern, path))
}

/// True for what packages' scripts may change although it was there.
pub(super) fn is_shared_state(path: &str) -> bool {
    let managers = MANAGER_STATE
        .iter()
        .flat_map(|(_, patterns)| patterns.iter());
    let mut patterns = SHARED_STATE.iter().chain(LOADER_STATE).chain(managers);
    patterns.any(|pattern| matches(pattern, path))
}

/// True for a place of which nothing outlives a boot, or only caches and notes: a service writes there.
pub(super) fn is_of_services(path: &str) -> bool {
    const SERVICES: &[&str] = &["/run/**", "/tmp/**", "/var/**"];
    SERVICES.iter().any(|pattern| matches(pattern, path))
}
