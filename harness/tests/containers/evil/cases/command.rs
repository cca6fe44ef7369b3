//! What the command of a step does beside what the step declares, and what a check does as nobody in
//! particular.

use assay_wire::privileged::KindName;

use super::case;
use crate::evil::Case;
use crate::evil::Class::Undeclared;
use crate::evil::Deed::{Check, Command};
use crate::evil::File;
use crate::evil::Text::Helper;

/// A program of root's that anybody may have write anywhere.
const SETUID: &[File] = &[File {
    path: "usr/bin/evil-root",
    text: Helper,
    mode: 0o4755,
}];

/// Bad commands.
pub(super) const COMMANDS: &[Case] = &[
    case(
        "setuid-command",
        "a program of the machine's is copied, and runs as root",
        Command("cp /usr/bin/id /usr/local/bin/evil-id\nchmod 4755 /usr/local/bin/evil-id"),
        (KindName::FileSetuid, "/usr/local/bin/evil-id 4755 root"),
        Undeclared,
    ),
    case(
        "sudoers-command",
        "a line for sudo",
        Command(
            "mkdir -p /etc/sudoers.d\necho 'dev ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/evil",
        ),
        (KindName::Sudoers, "/etc/sudoers.d/evil"),
        Undeclared,
    ),
    case(
        "cron-command",
        "a command for the clock",
        Command("mkdir -p /etc/cron.d\necho '* * * * * root true' > /etc/cron.d/evil"),
        (KindName::Cron, "/etc/cron.d/evil"),
        Undeclared,
    ),
    case(
        "user-command",
        "a second user with the number 0, without a tool",
        Command("echo 'evil::0:0::/root:/bin/sh' >> /etc/passwd"),
        (KindName::UserAdd, "evil"),
        Undeclared,
    ),
    case(
        "docker-command",
        "a user joins `docker` where the step says `crew`",
        Command("/usr/sbin/groupadd docker\nusermod -aG docker dev"),
        (KindName::GroupMember, "dev -> docker"),
        Undeclared,
    ),
    case(
        "ssh-key-command",
        "a key that lets somebody log in as root",
        Command(
            "mkdir -p /root/.ssh\necho 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEV2aWwgaXMgd2hhdCBldmlsIGRvZXMsIG1hbnkgdGltZXM evil' > /root/.ssh/authorized_keys",
        ),
        (KindName::SshKey, "/root/.ssh/authorized_keys"),
        Undeclared,
    ),
    case(
        "listen-command",
        "a port is listened on",
        Command("/usr/lib/evil/helper listen 127.0.0.1 4444"),
        (KindName::NetListen, "127.0.0.1 port 4444"),
        Undeclared,
    ),
    case(
        "connect-command",
        "a connection past the proxy",
        Command("/usr/lib/evil/helper connect 192.0.2.1 443"),
        (KindName::NetConnect, "192.0.2.1 port 443"),
        Undeclared,
    ),
    case(
        "mount-command",
        "a file system is mounted",
        Command("/usr/lib/evil/helper mount /mnt"),
        (KindName::Mount, "/mnt"),
        Undeclared,
    ),
    case(
        "memfd-command",
        "a program that no file holds",
        Command("/usr/lib/evil/helper memfd evil"),
        (KindName::MemfdExec, "evil"),
        Undeclared,
    ),
    case(
        "io-uring-command",
        "calls that no filter sees, which are refused",
        Command("/usr/lib/evil/helper uring"),
        (KindName::CaptureGap, "* io_uring, which was refused"),
        Undeclared,
    ),
    case(
        "32-bit-command",
        "a call by another number, which is refused",
        Command("/usr/lib/evil/helper old"),
        (
            KindName::CaptureGap,
            "* call 20 of another architecture, which was refused",
        ),
        Undeclared,
    ),
    case(
        "attach-command",
        "the supervisor is attached to",
        Command("/usr/lib/evil/helper attach"),
        (KindName::Ptrace, "16 1"),
        Undeclared,
    ),
    case(
        "memory-command",
        "the supervisor's memory is written to",
        Command("/usr/lib/evil/helper memory"),
        (KindName::Ptrace, "/proc/1/mem"),
        Undeclared,
    ),
    case(
        "kill-command",
        "the supervisor is killed",
        Command("/usr/lib/evil/helper kill"),
        (KindName::Ptrace, "kill 1 9"),
        Undeclared,
    ),
    case(
        "forge-command",
        "the supervisor's stream of events is written to",
        Command("/usr/lib/evil/helper forge"),
        (KindName::Ptrace, "/proc/1/fd/1"),
        Undeclared,
    ),
    case(
        "passing-command",
        "a job for the clock that is gone before the step is over",
        Command(
            "mkdir -p /etc/cron.d\n/usr/lib/evil/helper passing /etc/cron.d/evil '* * * * * root true'",
        ),
        (KindName::Cron, "/etc/cron.d/evil"),
        Undeclared,
    ),
    case(
        "passing-setuid-command",
        "a program that runs as root, and is gone before the step is over",
        Command("/usr/lib/evil/helper passing-setuid /usr/local/bin/evil-id"),
        (KindName::FileSetuid, "/usr/local/bin/evil-id 4755 root"),
        Undeclared,
    ),
    case(
        "back-command",
        "a user with the number 0 comes and goes within the step",
        Command("/usr/lib/evil/helper back /etc/passwd evil::0:0::/root:/bin/sh"),
        (KindName::FileWrite, "/etc/passwd*"),
        Undeclared,
    ),
    case(
        "race-command",
        "a path that changes between the look at it and its use",
        Command(
            "mkdir -p /etc/cron.d\n/usr/lib/evil/helper race /var/tmp/evil-xy /etc/cron.d/evil '* * * * * root true'",
        ),
        (KindName::Cron, "/etc/cron.d/evil"),
        Undeclared,
    ),
    case(
        "swap-command",
        "a link that leads elsewhere between the look at it and its use",
        Command(
            "mkdir -p /etc/cron.d\n/usr/lib/evil/helper swap /var/tmp/evil /etc/cron.d/evil '* * * * * root true'",
        ),
        (KindName::Cron, "/etc/cron.d/evil"),
        Undeclared,
    ),
    case(
        "alias-command",
        "/etc/shadow is opened for everybody by another name of it",
        Command("/usr/lib/evil/helper alias /etc/shadow /etc/evil-shadow"),
        (KindName::FileWrite, "/etc/shadow*"),
        Undeclared,
    ),
    case(
        "alias-write-command",
        "a user with the number 0 is written by another name of /etc/passwd",
        Command(
            "/usr/lib/evil/helper alias-write /etc/passwd /etc/evil-passwd evil::0:0::/root:/bin/sh",
        ),
        (KindName::UserAdd, "evil"),
        Undeclared,
    ),
    case(
        "alias-kept-command",
        "another name of /etc/shadow that stays",
        Command("/usr/lib/evil/helper keep-alias /etc/shadow /etc/evil-shadow"),
        (KindName::FileWrite, "/etc/evil-shadow*"),
        Undeclared,
    ),
    case(
        "setuid-check",
        "a program of root's writes a script for every login, for whoever starts it",
        Check(
            SETUID,
            "/usr/bin/evil-root put /etc/profile.d/evil.sh \"alias sudo=true\"",
        ),
        (KindName::Profile, "/etc/profile.d/evil.sh"),
        Undeclared,
    ),
    case(
        "connect-check",
        "the unprivileged user connects past the proxy",
        Check(&[], "/usr/lib/evil/helper connect 192.0.2.1 443"),
        (KindName::NetConnect, "192.0.2.1 port 443"),
        Undeclared,
    ),
];
