//! Which kind of operation the writing of a file is, by where it lies. Facts of Linux and of the
//! package managers' manual pages, the same for what a plan declares and for what a run shows; how
//! grave they are is not said here.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{FileText, KeyIdentity, Kind, KindName, SourcePlace};
use crate::digest::Digest;
use crate::name::GuestPath;
use crate::plan::KeyScope;

/// Files, and folders (with `/` at their end) with all below them. The first that matches counts, so
/// that what lies within another stands before it.
const PLACES: &[(&str, KindName)] = &[
    ("/etc/sudoers", KindName::Sudoers),
    ("/etc/sudoers.d/", KindName::Sudoers),
    ("/etc/polkit-1/", KindName::Polkit),
    ("/usr/local/share/polkit-1/", KindName::Polkit),
    ("/usr/share/polkit-1/", KindName::Polkit),
    ("/etc/pam.conf", KindName::Pam),
    ("/etc/pam.d/", KindName::Pam),
    ("/etc/security/", KindName::Pam),
    ("/usr/lib/pam.d/", KindName::Pam),
    ("/lib/aarch64-linux-gnu/security/", KindName::Pam),
    ("/lib/x86_64-linux-gnu/security/", KindName::Pam),
    ("/usr/lib/aarch64-linux-gnu/security/", KindName::Pam),
    ("/usr/lib/security/", KindName::Pam),
    ("/usr/lib/x86_64-linux-gnu/security/", KindName::Pam),
    ("/usr/lib64/security/", KindName::Pam),
    ("/root/.ssh/", KindName::SshKey),
    ("/etc/ssh/", KindName::SshKey),
    ("/etc/apk/keys/", KindName::PkgKey),
    ("/etc/apt/keyrings/", KindName::PkgKey),
    ("/etc/apt/trusted.gpg", KindName::PkgKey),
    ("/etc/apt/trusted.gpg.d/", KindName::PkgKey),
    ("/etc/pacman.d/gnupg/", KindName::PkgKey),
    ("/etc/pki/rpm-gpg/", KindName::PkgKey),
    ("/usr/share/keyrings/", KindName::PkgKey),
    ("/usr/share/pacman/keyrings/", KindName::PkgKey),
    ("/etc/apk/commit_hooks.d/", KindName::PkgHook),
    ("/etc/apt/apt.conf", KindName::PkgHook),
    ("/etc/apt/apt.conf.d/", KindName::PkgHook),
    ("/etc/dnf/libdnf5-plugins/", KindName::PkgHook),
    ("/etc/dnf/plugins/", KindName::PkgHook),
    ("/etc/dpkg/dpkg.cfg", KindName::PkgHook),
    ("/etc/dpkg/dpkg.cfg.d/", KindName::PkgHook),
    ("/etc/pacman.d/hooks/", KindName::PkgHook),
    ("/etc/rpm/", KindName::PkgHook),
    ("/usr/lib/rpm/", KindName::PkgHook),
    ("/usr/share/libalpm/", KindName::PkgHook),
    ("/etc/apk/repositories", KindName::PkgSource),
    ("/etc/apk/repositories.d/", KindName::PkgSource),
    ("/etc/apt/sources.list", KindName::PkgSource),
    ("/etc/apt/sources.list.d/", KindName::PkgSource),
    ("/etc/dnf/", KindName::PkgSource),
    ("/etc/pacman.conf", KindName::PkgSource),
    ("/etc/pacman.d/", KindName::PkgSource),
    ("/etc/yum.conf", KindName::PkgSource),
    ("/etc/yum.repos.d/", KindName::PkgSource),
    ("/etc/zypp/", KindName::PkgSource),
    ("/etc/ca-certificates/", KindName::CaAdd),
    ("/etc/pki/ca-trust/", KindName::CaAdd),
    ("/etc/pki/tls/certs/", KindName::CaAdd),
    ("/etc/ssl/certs/", KindName::CaAdd),
    ("/usr/local/share/ca-certificates/", KindName::CaAdd),
    ("/usr/share/ca-certificates/", KindName::CaAdd),
    ("/usr/share/pki/", KindName::CaAdd),
    ("/etc/systemd/", KindName::UnitFile),
    ("/lib/systemd/system/", KindName::UnitFile),
    (
        "/lib/systemd/system-environment-generators/",
        KindName::UnitFile,
    ),
    ("/lib/systemd/system-generators/", KindName::UnitFile),
    ("/lib/systemd/system-preset/", KindName::UnitFile),
    ("/lib/systemd/system-shutdown/", KindName::UnitFile),
    ("/lib/systemd/system-sleep/", KindName::UnitFile),
    ("/lib/systemd/system.conf.d/", KindName::UnitFile),
    ("/lib/systemd/user/", KindName::UnitFile),
    (
        "/lib/systemd/user-environment-generators/",
        KindName::UnitFile,
    ),
    ("/lib/systemd/user-generators/", KindName::UnitFile),
    ("/lib/systemd/user-preset/", KindName::UnitFile),
    ("/lib/systemd/user.conf.d/", KindName::UnitFile),
    // The rest of /run/systemd is what systemd notes for itself.
    ("/run/systemd/generator.early/", KindName::UnitFile),
    ("/run/systemd/generator.late/", KindName::UnitFile),
    ("/run/systemd/generator/", KindName::UnitFile),
    ("/run/systemd/system.attached/", KindName::UnitFile),
    ("/run/systemd/system.control/", KindName::UnitFile),
    ("/run/systemd/system/", KindName::UnitFile),
    ("/run/systemd/transient/", KindName::UnitFile),
    ("/run/systemd/user/", KindName::UnitFile),
    // Its programs and catalogs beside these are files like any other.
    ("/usr/lib/systemd/system/", KindName::UnitFile),
    (
        "/usr/lib/systemd/system-environment-generators/",
        KindName::UnitFile,
    ),
    ("/usr/lib/systemd/system-generators/", KindName::UnitFile),
    ("/usr/lib/systemd/system-preset/", KindName::UnitFile),
    ("/usr/lib/systemd/system-shutdown/", KindName::UnitFile),
    ("/usr/lib/systemd/system-sleep/", KindName::UnitFile),
    ("/usr/lib/systemd/system.conf.d/", KindName::UnitFile),
    ("/usr/lib/systemd/user/", KindName::UnitFile),
    (
        "/usr/lib/systemd/user-environment-generators/",
        KindName::UnitFile,
    ),
    ("/usr/lib/systemd/user-generators/", KindName::UnitFile),
    ("/usr/lib/systemd/user-preset/", KindName::UnitFile),
    ("/usr/lib/systemd/user.conf.d/", KindName::UnitFile),
    ("/usr/local/lib/systemd/", KindName::UnitFile),
    ("/etc/anacrontab", KindName::Cron),
    ("/etc/cron.d/", KindName::Cron),
    ("/etc/cron.daily/", KindName::Cron),
    ("/etc/cron.hourly/", KindName::Cron),
    ("/etc/cron.monthly/", KindName::Cron),
    ("/etc/cron.weekly/", KindName::Cron),
    ("/etc/crontab", KindName::Cron),
    ("/etc/periodic/", KindName::Cron),
    ("/var/spool/cron/atjobs/", KindName::At),
    ("/var/spool/at/", KindName::At),
    ("/var/spool/cron/", KindName::Cron),
    ("/etc/init.d/", KindName::RcScript),
    ("/etc/rc.d/", KindName::RcScript),
    ("/etc/rc0.d/", KindName::RcScript),
    ("/etc/rc1.d/", KindName::RcScript),
    ("/etc/rc2.d/", KindName::RcScript),
    ("/etc/rc3.d/", KindName::RcScript),
    ("/etc/rc4.d/", KindName::RcScript),
    ("/etc/rc5.d/", KindName::RcScript),
    ("/etc/rc6.d/", KindName::RcScript),
    ("/etc/rcS.d/", KindName::RcScript),
    ("/etc/rc.local", KindName::RcScript),
    ("/etc/udev/", KindName::Udev),
    ("/lib/udev/", KindName::Udev),
    ("/usr/lib/udev/", KindName::Udev),
    ("/etc/bash.bashrc", KindName::Profile),
    ("/etc/bashrc", KindName::Profile),
    ("/etc/environment", KindName::Profile),
    ("/etc/profile", KindName::Profile),
    ("/etc/profile.d/", KindName::Profile),
    ("/etc/skel/", KindName::Profile),
    ("/etc/zsh/", KindName::Profile),
    ("/etc/zshenv", KindName::Profile),
    ("/etc/zshrc", KindName::Profile),
    ("/root/.bash_profile", KindName::Profile),
    ("/root/.bashrc", KindName::Profile),
    ("/root/.profile", KindName::Profile),
    ("/etc/xdg/autostart/", KindName::Xdg),
    ("/etc/dbus-1/", KindName::DbusService),
    ("/usr/share/dbus-1/services/", KindName::DbusService),
    ("/usr/share/dbus-1/session.conf", KindName::DbusService),
    ("/usr/share/dbus-1/session.d/", KindName::DbusService),
    ("/usr/share/dbus-1/system-services/", KindName::DbusService),
    ("/usr/share/dbus-1/system.conf", KindName::DbusService),
    ("/usr/share/dbus-1/system.d/", KindName::DbusService),
    ("/etc/ld.so.preload", KindName::LdPreload),
    ("/etc/ld.so.conf", KindName::LdConf),
    ("/etc/ld.so.conf.d/", KindName::LdConf),
    ("/etc/modprobe.d/", KindName::Kmod),
    ("/etc/modules", KindName::Kmod),
    ("/etc/modules-load.d/", KindName::Kmod),
    ("/lib/modules/", KindName::Kmod),
    ("/usr/lib/modules/", KindName::Kmod),
    ("/usr/lib/modules-load.d/", KindName::Kmod),
    ("/etc/sysctl.conf", KindName::Sysctl),
    ("/etc/sysctl.d/", KindName::Sysctl),
    ("/usr/lib/sysctl.d/", KindName::Sysctl),
];

/// Within special folders, what is none of theirs: the revocation lists of certificates, which dirmngr(8)
/// keeps and no signature of a package is checked against.
const PLAIN: &[&str] = &["/etc/pacman.d/gnupg/crls.d/"];

/// Below any home: what lets somebody log in, and what is started with a session.
const HOME_PLACES: &[(&str, KindName)] = &[
    (".ssh/", KindName::SshKey),
    (".config/autostart/", KindName::Xdg),
];

/// Who is who, and who may be whom: passwd(5), shadow(5), group(5), gshadow(5), subuid(5).
const ACCOUNTS: &[&str] = &[
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/subuid",
    "/etc/subgid",
];

/// True if writing a file is of a special kind.
#[must_use]
pub fn is_special_file(path: &str) -> bool {
    name_of_file(path).is_some()
}

fn name_of_file(path: &str) -> Option<KindName> {
    let found = in_a_place(path).or_else(|| in_a_home(path))?;
    let is_plain = PLAIN.iter().any(|place| lies_in(path, place));
    (!is_plain).then_some(found)
}

/// The special kind that writing a file is; `None` for a file that is just a file.
#[must_use]
pub fn kind_of_file(path: &GuestPath, sha256: Option<Digest>) -> Option<Kind> {
    let path = path.as_str();
    let found = name_of_file(path)?;
    let says = sha256.map_or(FileText::Unread, FileText::Sha256);
    let file = path.to_owned();
    Some(special(found, file, says))
}

/// The same for all that an archive writes below a folder.
#[must_use]
pub fn kind_of_tree(folder: &GuestPath, sha256: Option<Digest>) -> Option<Kind> {
    // Whatever is written below a special folder is special; a name stands for any.
    let below: GuestPath = format!("{folder}/…").parse().ok()?;
    kind_of_file(&below, sha256)
}

/// True if special places lie below the folder: what an archive writes there can be anything.
#[must_use]
pub fn holds_special_places(folder: &str) -> bool {
    let below = |place: &str| {
        place
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let places = PLACES.iter().map(|(place, _)| *place);
    places.chain(ACCOUNTS.iter().copied()).any(below)
}

/// True for the files that say who is who.
#[must_use]
pub fn says_who_is_who(path: &str) -> bool {
    ACCOUNTS.contains(&path)
}

fn lies_in(path: &str, place: &str) -> bool {
    if place.ends_with('/') {
        path.starts_with(place)
    } else {
        path == place
    }
}

/// A folder on the way to places, or one itself. What counts of it has the position of its place.
#[derive(Default)]
struct Folder {
    below: HashMap<&'static str, Folder>,
    /// What all below it is.
    whole: Option<(usize, KindName)>,
    /// What a file of this name is.
    file: Option<(usize, KindName)>,
}

/// [`PLACES`] by the names of their folders: a run has millions of paths, and most leave them early.
static FOLDERS: LazyLock<Folder> = LazyLock::new(|| {
    let mut root = Folder::default();
    for (order, (place, kind)) in PLACES.iter().enumerate() {
        let names = place.split('/').filter(|name| !name.is_empty());
        let at = names.fold(&mut root, |at, name| at.below.entry(name).or_default());
        let what = match place.ends_with('/') {
            true => &mut at.whole,
            false => &mut at.file,
        };
        *what = Some((order, *kind));
    }
    root
});

/// The kind of the first place a path lies in.
fn in_a_place(path: &str) -> Option<KindName> {
    let mut names = path.strip_prefix('/')?.split('/').peekable();
    let mut at = &*FOLDERS;
    let mut found = Vec::new();
    while let Some(next) = names.next().and_then(|name| at.below.get(name)) {
        found.extend(match names.peek() {
            Some(_) => next.whole,
            None => next.file,
        });
        at = next;
    }
    let first = found.into_iter().min_by_key(|(order, _)| *order);
    first.map(|(_, kind)| kind)
}

fn in_a_home(path: &str) -> Option<KindName> {
    let (_, rest) = path.strip_prefix("/home/")?.split_once('/')?;
    let mut places = HOME_PLACES.iter();
    places
        .find(|(place, _)| lies_in(rest, place))
        .map(|(_, kind)| *kind)
}

/// A kind of which a file is all that is known.
fn special(kind: KindName, file: String, says: FileText) -> Kind {
    // What lies there counts where a source's `Signed-By` names it (sources.list(5)).
    let is_named =
        file.starts_with("/etc/apt/keyrings/") || file.starts_with("/usr/share/keyrings/");
    let scope = match is_named {
        true => KeyScope::Repository,
        false => KeyScope::Machine,
    };
    match kind {
        KindName::Sudoers => Kind::Sudoers { file, says },
        KindName::Polkit => Kind::Polkit { file, says },
        KindName::Pam => Kind::Pam { file, says },
        KindName::SshKey => Kind::SshKey { file, says },
        KindName::PkgKey => Kind::PkgKey {
            key: match says {
                FileText::Sha256(sha256) => KeyIdentity::Sha256(sha256),
                FileText::Words(_) | FileText::Unread => KeyIdentity::Unread(file),
            },
            repository: None,
            scope,
        },
        KindName::PkgSource => Kind::PkgSource {
            place: SourcePlace::File { file, says },
            signed_by: Vec::new(),
            scope: KeyScope::Machine,
        },
        KindName::CaAdd => Kind::CaAdd { file, says },
        KindName::PkgHook => Kind::PkgHook { file, says },
        KindName::UnitFile if file.ends_with(".timer") => Kind::Timer { file, says },
        KindName::UnitFile if file.ends_with(".socket") => Kind::Socket { file, says },
        KindName::UnitFile => Kind::UnitFile { file, says },
        KindName::Cron => Kind::Cron { file, says },
        KindName::At => Kind::At { file, says },
        KindName::RcScript => Kind::RcScript { file, says },
        KindName::Udev => Kind::Udev { file, says },
        KindName::Profile => Kind::Profile { file, says },
        KindName::Xdg => Kind::Xdg { file, says },
        KindName::DbusService => Kind::DbusService { file, says },
        KindName::LdPreload => Kind::LdPreload { file, says },
        KindName::LdConf => Kind::LdConf { file, says },
        KindName::Kmod => Kind::Kmod { name: file, says },
        KindName::Sysctl => Kind::Sysctl { key: file, says },
        // None of these is a place: they are no kind of file, and stand in no table above.
        KindName::ExecRoot
        | KindName::MaintscriptRun
        | KindName::FileWrite
        | KindName::FileDelete
        | KindName::FileSetuid
        | KindName::FileSetgid
        | KindName::FileCapability
        | KindName::UserAdd
        | KindName::GroupAdd
        | KindName::GroupMember
        | KindName::UnitEnabled
        | KindName::UnitStarted
        | KindName::Socket
        | KindName::Timer
        | KindName::NetListen
        | KindName::NetConnect
        | KindName::Mount
        | KindName::Namespace
        | KindName::Chroot
        | KindName::Ptrace
        | KindName::Bpf
        | KindName::MemfdExec
        | KindName::Accompanying
        | KindName::CaptureGap => Kind::FileWrite {
            path: file,
            tree: false,
            mode: None,
            owner: "root".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> Option<KindName> {
        let path = path.parse().expect("a path");
        kind_of_file(&path, None).map(|kind| kind.name())
    }

    #[test]
    fn every_place_gives_its_own_kind_and_none_hides_behind_another() {
        for (place, wanted) in PLACES {
            let path = if place.ends_with('/') {
                format!("{place}x")
            } else {
                (*place).to_owned()
            };
            assert_eq!(kind(&path), Some(*wanted), "{place}");
        }
        for (place, wanted) in HOME_PLACES {
            assert_eq!(kind(&format!("/home/dev/{place}x")), Some(*wanted));
        }
    }

    #[test]
    fn a_file_is_what_it_lies_in_and_nothing_near_it() {
        for (path, wanted) in [
            ("/etc/sudoers.d/x", Some(KindName::Sudoers)),
            ("/etc/pacman.d/gnupg/crls.d", Some(KindName::PkgKey)),
            ("/etc/pacman.d/gnupg/crls.d/DIR.txt", None),
            ("/etc/sudoers.dx", None),
            ("/etc/sudoersx", None),
            ("/etc/systemd/system/a.timer", Some(KindName::Timer)),
            ("/usr/lib/systemd/system/a.socket", Some(KindName::Socket)),
            (
                "/etc/systemd/system/a.service.d/x.conf",
                Some(KindName::UnitFile),
            ),
            ("/var/spool/cron/atjobs/a", Some(KindName::At)),
            ("/var/spool/cron/root", Some(KindName::Cron)),
            ("/home/dev/.ssh/authorized_keys", Some(KindName::SshKey)),
            ("/home/dev/x/.ssh/authorized_keys", None),
            ("/usr/local/bin/x", None),
            ("/opt/etc/sudoers", None),
        ] {
            assert_eq!(kind(path), wanted, "{path}");
        }
    }

    #[test]
    fn what_an_archive_may_write_is_seen_from_its_folder() {
        let tree = |folder: &str| {
            let folder = folder.parse().expect("a path");
            kind_of_tree(&folder, None).map(|kind| kind.name())
        };
        assert_eq!(tree("/etc/cron.d"), Some(KindName::Cron));
        assert_eq!(tree("/etc/systemd/system"), Some(KindName::UnitFile));
        assert_eq!(tree("/opt/x"), None);
        for (folder, wanted) in [
            ("/etc", true),
            ("/usr/lib", true),
            ("/usr", true),
            ("/opt", false),
            ("/usr/local/bin", false),
            ("/et", false),
        ] {
            assert_eq!(holds_special_places(folder), wanted, "{folder}");
        }
    }
}
