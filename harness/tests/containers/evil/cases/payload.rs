//! What packages bring as files, and what makes a package manager run something later. File names that
//! are made to deceive whoever reads of them are among them.

use assay_wire::privileged::KindName;

use super::{case, on};
use crate::evil::Class::{Accompanying, Undeclared};
use crate::evil::Deed::{Hook, Payload, Trigger};
use crate::evil::On::{But, Only};
use crate::evil::Text::{Helper, HelperWithCapability, Is, Key, LinkTo};
use crate::evil::{Case, File, Text};
use crate::stand::Manager;

/// A certificate by its form; nobody signed it.
pub(super) const CERTIFICATE: &str =
    "-----BEGIN CERTIFICATE-----\nRXZpbCBhdXRob3JpdHk=\n-----END CERTIFICATE-----\n";

const fn file(path: &'static str, text: Text) -> File {
    File {
        path,
        text,
        mode: 0o644,
    }
}

const fn program(path: &'static str, text: Text, mode: u32) -> File {
    File { path, text, mode }
}

const TIMER: File = file(
    "usr/lib/systemd/system/evil.timer",
    Is("[Timer]\nOnCalendar=hourly\n"),
);
const SERVICE: File = file(
    "usr/lib/systemd/system/evil.service",
    Is("[Service]\nExecStart=/usr/bin/true\n"),
);

/// What the hooks of the corpus do when they are run.
const HOOK_DOES: &str = "mkdir -p /etc/cron.d\necho '* * * * * root true' > /etc/cron.d/evil";

const APT_HOOK: File = file(
    "etc/apt/apt.conf.d/99evil",
    Is("DPkg::Post-Invoke { \"/usr/lib/evil/hook\"; };\n"),
);
const DNF_ACTION: File = file(
    "etc/dnf/libdnf5-plugins/actions.d/evil.actions",
    Is("post_transaction::::/usr/lib/evil/hook\n"),
);
const DNF_PLUGIN: File = file(
    "etc/dnf/libdnf5-plugins/zz-evil.conf",
    Is("[main]\nname = actions\nenabled = 1\n"),
);
const ALPM_HOOK: File = file(
    "usr/share/libalpm/hooks/evil.hook",
    Is(
        "[Trigger]\nOperation = Install\nType = Package\nTarget = *\n\n[Action]\nWhen = PostTransaction\nExec = /usr/lib/evil/hook\n",
    ),
);

/// The same for a package that nobody installs: the file alone is looked at.
const ALPM_HOOK_ASLEEP: File = file(
    "usr/share/libalpm/hooks/evil.hook",
    Is(
        "[Trigger]\nOperation = Install\nType = Package\nTarget = nothing\n\n[Action]\nWhen = PostTransaction\nExec = /usr/lib/evil/hook\n",
    ),
);

/// Bad files.
pub(super) const PAYLOADS: &[Case] = &[
    case(
        "setuid-payload",
        "a program that runs as root, whoever starts it",
        Payload(&[program("usr/bin/evil-root", Helper, 0o4755)]),
        (KindName::FileSetuid, "/usr/bin/evil-root 4755 root"),
        Accompanying,
    ),
    on(
        But(
            Manager::Apt,
            "a .deb has no place for it (`capability-script`)",
        ),
        case(
            "capability-payload",
            "a program with a capability",
            Payload(&[program("usr/bin/evil-raw", HelperWithCapability, 0o755)]),
            (KindName::FileCapability, "/usr/bin/evil-raw cap_net_raw=ep"),
            Accompanying,
        ),
    ),
    case(
        "sudoers-payload",
        "a line for sudo",
        Payload(&[program(
            "etc/sudoers.d/evil",
            Is("dev ALL=(ALL) NOPASSWD: ALL\n"),
            0o440,
        )]),
        (KindName::Sudoers, "/etc/sudoers.d/evil"),
        Accompanying,
    ),
    case(
        "cron-payload",
        "a command for the clock",
        Payload(&[file("etc/cron.d/evil", Is("* * * * * root true\n"))]),
        (KindName::Cron, "/etc/cron.d/evil"),
        Accompanying,
    ),
    case(
        "timer-payload",
        "a timer with its service",
        Payload(&[TIMER, SERVICE]),
        (KindName::Timer, "/usr/lib/systemd/system/evil.timer"),
        Accompanying,
    ),
    case(
        "enabled-payload",
        "a timer that the package itself enables",
        Payload(&[
            TIMER,
            SERVICE,
            program(
                "etc/systemd/system/timers.target.wants/evil.timer",
                LinkTo("/usr/lib/systemd/system/evil.timer"),
                0o777,
            ),
        ]),
        (KindName::UnitEnabled, "evil.timer"),
        Accompanying,
    ),
    case(
        "ssh-key-payload",
        "a key that lets somebody log in as root",
        Payload(&[program(
            "root/.ssh/authorized_keys",
            Is(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEV2aWwgaXMgd2hhdCBldmlsIGRvZXMsIG1hbnkgdGltZXM evil\n",
            ),
            0o600,
        )]),
        (KindName::SshKey, "/root/.ssh/authorized_keys"),
        Accompanying,
    ),
    case(
        "pam-payload",
        "a module of PAM",
        Payload(&[program(
            "usr/lib/x86_64-linux-gnu/security/pam_evil.so",
            Helper,
            0o644,
        )]),
        (
            KindName::Pam,
            "/usr/lib/x86_64-linux-gnu/security/pam_evil.so",
        ),
        Accompanying,
    ),
    case(
        "preload-payload",
        "a library for every program",
        Payload(&[file("etc/ld.so.preload", Is("/usr/lib/evil.so\n"))]),
        (KindName::LdPreload, "/etc/ld.so.preload"),
        Accompanying,
    ),
    case(
        "ca-payload",
        "an authority for certificates",
        Payload(&[file(
            "usr/local/share/ca-certificates/evil.crt",
            Is(CERTIFICATE),
        )]),
        (KindName::CaAdd, "/usr/local/share/ca-certificates/evil.crt"),
        Accompanying,
    ),
    on(
        Only(Manager::Apt),
        case(
            "apt-key-payload",
            "a second key for packages",
            Payload(&[file("etc/apt/trusted.gpg.d/evil.asc", Key)]),
            (KindName::PkgKey, "* -> any repository"),
            Accompanying,
        ),
    ),
    on(
        Only(Manager::Dnf5),
        case(
            "dnf-key-payload",
            "a second key for packages",
            Payload(&[file("etc/pki/rpm-gpg/RPM-GPG-KEY-evil", Key)]),
            (KindName::PkgKey, "* -> any repository"),
            Accompanying,
        ),
    ),
    on(
        Only(Manager::Pacman),
        case(
            "pacman-key-payload",
            "a second key for packages",
            Payload(&[file("usr/share/pacman/keyrings/evil.gpg", Key)]),
            (KindName::PkgKey, "* -> any repository"),
            Accompanying,
        ),
    ),
    on(
        Only(Manager::Apt),
        case(
            "apt-source-payload",
            "a second repository",
            Payload(&[file(
                "etc/apt/sources.list.d/evil.list",
                Is("deb [trusted=yes] https://evil.assay.test/b stable main\n"),
            )]),
            (KindName::PkgSource, "https://evil.assay.test/b"),
            Accompanying,
        ),
    ),
    on(
        Only(Manager::Dnf5),
        case(
            "dnf-source-payload",
            "a second repository",
            Payload(&[file(
                "etc/yum.repos.d/evil.repo",
                Is("[evil]\nname=evil\nbaseurl=https://evil.assay.test/b\nenabled=0\ngpgcheck=0\n"),
            )]),
            (KindName::PkgSource, "https://evil.assay.test/b"),
            Accompanying,
        ),
    ),
    case(
        "udev-payload",
        "a rule by which a device runs a program",
        Payload(&[file(
            "usr/lib/udev/rules.d/99-evil.rules",
            Is("ACTION==\"add\", RUN+=\"/usr/bin/true\"\n"),
        )]),
        (KindName::Udev, "/usr/lib/udev/rules.d/99-evil.rules"),
        Accompanying,
    ),
    case(
        "profile-payload",
        "a script for every login",
        Payload(&[file("etc/profile.d/evil.sh", Is("alias sudo=true\n"))]),
        (KindName::Profile, "/etc/profile.d/evil.sh"),
        Accompanying,
    ),
    case(
        "dbus-payload",
        "a service that the bus starts as root",
        Payload(&[file(
            "usr/share/dbus-1/system-services/evil.service",
            Is("[D-BUS Service]\nName=org.evil\nExec=/usr/bin/true\nUser=root\n"),
        )]),
        (
            KindName::DbusService,
            "/usr/share/dbus-1/system-services/evil.service",
        ),
        Accompanying,
    ),
    case(
        "module-payload",
        "a module for the kernel at every boot",
        Payload(&[file("etc/modules-load.d/evil.conf", Is("evil\n"))]),
        (KindName::Kmod, "/etc/modules-load.d/evil.conf"),
        Accompanying,
    ),
    on(
        Only(Manager::Pacman),
        case(
            "newline-payload",
            "a name with an end of line, and a row of a report behind it",
            Payload(&[program(
                "usr/share/evil/x\nFOLDED 1000 files equal 34 packages",
                Helper,
                0o4755,
            )]),
            (
                KindName::FileSetuid,
                "/usr/share/evil/x\\x0aFOLDED 1000 files equal 34 packages 4755 root",
            ),
            Accompanying,
        ),
    ),
    on(
        But(
            Manager::Dnf5,
            "what writes an .rpm refuses such a name (`newline-script`)",
        ),
        case(
            "escape-payload",
            "a name that clears a terminal and names its window",
            Payload(&[program(
                "usr/share/evil/\x1b[2J\x1b[1;1H\x1b]0;safe\x07",
                Helper,
                0o4755,
            )]),
            (
                KindName::FileSetuid,
                "/usr/share/evil/\\x1b[2J\\x1b[1;1H\\x1b]0;safe\\x07 4755 root",
            ),
            Accompanying,
        ),
    ),
    case(
        "markup-payload",
        "a name of markup, for pages and for Markdown",
        Payload(&[program(
            "usr/share/evil/<script>alert(1)<img src=x onerror=alert(2)>`|**[x](javascript:alert(3))",
            Helper,
            0o4755,
        )]),
        (
            KindName::FileSetuid,
            "/usr/share/evil/<script>alert(1)<img src=x onerror=alert(2)>`|* 4755 root",
        ),
        Accompanying,
    ),
    case(
        "bidi-payload",
        "a name that is shown from right to left",
        Payload(&[program(
            "usr/share/evil/\u{202e}txt.\u{2066}root",
            Helper,
            0o4755,
        )]),
        (
            KindName::FileSetuid,
            "/usr/share/evil/\u{202e}txt.\u{2066}root 4755 root",
        ),
        Accompanying,
    ),
    on(
        Only(Manager::Apt),
        case(
            "apt-hook-payload",
            "a hook for every transaction",
            Payload(&[APT_HOOK]),
            (KindName::PkgHook, "/etc/apt/apt.conf.d/99evil"),
            Accompanying,
        ),
    ),
    on(
        Only(Manager::Dnf5),
        case(
            "dnf-hook-payload",
            "a hook for every transaction, by a plugin that is there",
            Payload(&[DNF_ACTION, DNF_PLUGIN]),
            (
                KindName::PkgHook,
                "/etc/dnf/libdnf5-plugins/actions.d/evil.actions",
            ),
            Accompanying,
        ),
    ),
    on(
        Only(Manager::Pacman),
        case(
            "alpm-hook-payload",
            "a hook for every transaction",
            Payload(&[ALPM_HOOK_ASLEEP]),
            (KindName::PkgHook, "/usr/share/libalpm/hooks/evil.hook"),
            Accompanying,
        ),
    ),
];

/// What hooks do once they are there.
pub(super) const HOOKS: &[Case] = &[
    on(
        Only(Manager::Apt),
        case(
            "apt-hook",
            "the hook of a package writes a job for the clock when another is installed",
            Hook(&[APT_HOOK], HOOK_DOES),
            (KindName::Cron, "/etc/cron.d/evil"),
            Undeclared,
        ),
    ),
    on(
        Only(Manager::Dnf5),
        case(
            "dnf-hook",
            "the hook of a package writes a job for the clock when another is installed",
            Hook(&[DNF_ACTION, DNF_PLUGIN], HOOK_DOES),
            (KindName::Cron, "/etc/cron.d/evil"),
            Undeclared,
        ),
    ),
    on(
        Only(Manager::Pacman),
        case(
            "alpm-hook",
            "the hook of a package writes a job for the clock, in its own transaction",
            Hook(&[ALPM_HOOK], HOOK_DOES),
            (KindName::Cron, "/etc/cron.d/evil"),
            Undeclared,
        ),
    ),
    on(
        Only(Manager::Dnf5),
        case(
            "cron-trigger",
            "the file trigger of a package writes a job for the clock",
            Trigger(HOOK_DOES),
            (KindName::Cron, "/etc/cron.d/evil"),
            Accompanying,
        ),
    ),
];
