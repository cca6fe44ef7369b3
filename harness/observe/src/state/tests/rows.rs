//! One table: a change of a file, and the operations it is.

use super::*;

/// The rows of the taxonomy that a manifest shows.
pub(super) fn rows() -> Vec<(&'static str, PathChange, &'static str)> {
    let setuid = |mode| Some(file(mode, b"x"));
    let mut capable = file(0o755, b"x");
    capable.capability = Some("0100000200200000000000000000000000000000".to_owned());
    let value = Digest::of(b"cap_net_raw=ep");
    capable
        .xattrs
        .insert("security.capability".to_owned(), value);
    vec![
        (
            "setuid",
            change("/opt/a", None, setuid(0o4755)),
            "file.setuid /opt/a 4755 root: - => 4755 root:0",
        ),
        (
            "setuid by chmod",
            change("/opt/a", setuid(0o755), setuid(0o4755)),
            "file.setuid /opt/a 4755 root: 0755 root:0 => 4755 root:0",
        ),
        (
            "setgid",
            change("/opt/a", None, setuid(0o2755)),
            "file.setgid /opt/a 2755 root: - => 2755 root:0",
        ),
        (
            "capability",
            change("/opt/a", None, Some(capable)),
            "file.capability /opt/a cap_net_raw=ep: - => 0755 root:0 cap_net_raw=ep",
        ),
        (
            "user",
            became(
                "/etc/passwd",
                PASSWD,
                &format!("{PASSWD}web:x:33:33::/:/bin/sh\n"),
            ),
            "user.add web: - => web:33:33::/:/bin/sh",
        ),
        (
            "group",
            became("/etc/group", GROUP, &format!("{GROUP}web:x:33:\n")),
            "group.add web: - => web:33:",
        ),
        (
            "member",
            became("/etc/group", GROUP, &GROUP.replace("101:", "101:dev")),
            "group.member dev -> docker: docker:101: => docker:101:dev",
        ),
        (
            "password",
            became(
                "/etc/shadow",
                SHADOW,
                &SHADOW.replace("dev:locked", "dev:set=1a"),
            ),
            "file.write /etc/shadow: password of dev: locked => password of dev: set",
        ),
        (
            "another password",
            became("/etc/shadow", "a:set=1:1::::::", "a:set=2:1::::::"),
            "file.write /etc/shadow: password of a: set => password of a: set, another than before",
        ),
        (
            "account opened",
            change(
                "/etc/shadow",
                Some(entry(SHADOW)),
                Some(Entry {
                    mode: 0o666,
                    ..entry(SHADOW)
                }),
            ),
            "file.write /etc/shadow: 0644 0:0 => 0666 0:0",
        ),
        (
            "account gone",
            change("/etc/shadow", Some(entry(SHADOW)), None),
            "file.delete /etc/shadow: 0644, not read => -",
        ),
        (
            "a line nobody understands",
            became("/etc/passwd", PASSWD, &format!("{PASSWD}+::::::\n")),
            "file.write /etc/passwd: - => +::::::",
        ),
        (
            "sudoers",
            came("/etc/sudoers.d/x", "# all\ndev ALL=(ALL)  NOPASSWD: ALL\n"),
            "sudoers /etc/sudoers.d/x: - => dev ALL=(ALL) NOPASSWD: ALL",
        ),
        (
            "an include is no comment",
            came("/etc/sudoers.d/x", "#includedir /tmp\n#1000 ALL=ALL\n"),
            "sudoers /etc/sudoers.d/x: - => #includedir /tmp; #1000 ALL=ALL",
        ),
        (
            "polkit",
            came(
                "/etc/polkit-1/rules.d/x.rules",
                "// x\npolkit.addRule(f);\n",
            ),
            "polkit /etc/polkit-1/rules.d/x.rules: - => polkit.addRule(f);",
        ),
        (
            "pam",
            became(
                "/etc/pam.d/su",
                "auth required pam_unix.so\n",
                "auth sufficient pam_permit.so\n",
            ),
            "pam /etc/pam.d/su: auth required pam_unix.so => auth sufficient pam_permit.so",
        ),
        (
            "ssh",
            came("/root/.ssh/authorized_keys", "ssh-ed25519 me\n"),
            "ssh.key /root/.ssh/authorized_keys: - => ssh-ed25519 me",
        ),
        (
            "key",
            came("/etc/apt/keyrings/x.asc", "k"),
            "pkg.key sha256:8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a -> repositories that name its file: - => 1 lines: k",
        ),
        (
            "source",
            came(
                "/etc/apt/sources.list.d/x.list",
                "deb [signed-by=/k.asc] https://a.test/x stable main\n",
            ),
            "pkg.source https://a.test/x: - => deb [signed-by=/k.asc] https://a.test/x stable main",
        ),
        (
            "source in fields",
            came(
                "/etc/apt/sources.list.d/x.sources",
                "Types: deb\nURIs: https://a.test/\nSuites: s\nTrusted: yes\n",
            ),
            "pkg.source https://a.test/: - => types: deb; uris: https://a.test/; suites: s; trusted: yes",
        ),
        (
            "dnf's source",
            came(
                "/etc/yum.repos.d/x.repo",
                "[x]\nbaseurl=https://a.test/\ngpgcheck=0\n",
            ),
            "pkg.source https://a.test/: - => [x] baseurl=https://a.test/; gpgcheck=0",
        ),
        (
            "pacman's settings",
            became(
                "/etc/pacman.conf",
                "[options]\nSigLevel=Required\n[core]\nServer=https://a.test/\n",
                "[options]\nSigLevel=Never\n[core]\nServer=https://a.test/\n",
            ),
            "pkg.source /etc/pacman.conf: [options]; SigLevel=Required; [core]; Server=https://a.test/ => [options]; SigLevel=Never; [core]; Server=https://a.test/",
        ),
        (
            "authority",
            came(
                "/usr/local/share/ca-certificates/x.crt",
                "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n",
            ),
            "ca.add /usr/local/share/ca-certificates/x.crt: - => SHA256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        ),
        (
            "apt's hook",
            came(
                "/etc/apt/apt.conf.d/x",
                "// x\nDPkg::Post-Invoke {\"/x\";};\n",
            ),
            "pkg.hook /etc/apt/apt.conf.d/x: - => DPkg::Post-Invoke {\"/x\";};",
        ),
        (
            "pacman's hook",
            came("/usr/share/libalpm/hooks/x.hook", "[Action]\nExec = /x\n"),
            "pkg.hook /usr/share/libalpm/hooks/x.hook: - => [Action]; Exec = /x",
        ),
        (
            "unit",
            came(
                "/etc/systemd/system/x.service",
                "[Unit]\nDescription=x\n[Service]\nExecStart=/x\nUser=dev\n",
            ),
            "unit.file /etc/systemd/system/x.service: - => ExecStart=/x; User=dev",
        ),
        (
            "unit enabled",
            change(
                "/etc/systemd/system/multi-user.target.wants/x.service",
                None,
                Some(link("/usr/lib/systemd/system/x.service")),
            ),
            "unit.enabled x.service: - => -> /usr/lib/systemd/system/x.service",
        ),
        (
            "unit masked",
            change(
                "/etc/systemd/system/x.service",
                None,
                Some(link("/dev/null")),
            ),
            "unit.file /etc/systemd/system/x.service: - => -> /dev/null",
        ),
        (
            "unit masked by nothing",
            came("/etc/systemd/system/x.service", ""),
            "unit.file /etc/systemd/system/x.service: - => ",
        ),
        (
            "unit gone",
            change(
                "/etc/systemd/system/x.service",
                Some(entry("[Service]\nExecStart=/x\n")),
                None,
            ),
            "unit.file /etc/systemd/system/x.service: ExecStart=/x => -",
        ),
        (
            "socket",
            came(
                "/usr/lib/systemd/system/x.socket",
                "[Socket]\nListenStream=80\n",
            ),
            "socket /usr/lib/systemd/system/x.socket: - => ListenStream=80",
        ),
        (
            "timer",
            came(
                "/usr/lib/systemd/system/x.timer",
                "[Timer]\nOnCalendar=daily\n",
            ),
            "timer /usr/lib/systemd/system/x.timer: - => OnCalendar=daily",
        ),
        (
            "cron",
            came("/etc/cron.d/x", "# x\n* * * * *\troot /x\n"),
            "cron /etc/cron.d/x: - => * * * * * root /x",
        ),
        (
            "cron's script",
            came("/etc/cron.daily/x", "#!/bin/sh\n/x\n"),
            "cron /etc/cron.daily/x: - => 2 lines: /x",
        ),
        (
            "a file of cron's that anybody writes",
            change(
                "/etc/cron.d/x",
                Some(entry("a")),
                Some(Entry {
                    mode: 0o666,
                    ..entry("a")
                }),
            ),
            "cron /etc/cron.d/x: a => 0666 root:0: a",
        ),
        (
            "at",
            came("/var/spool/cron/atjobs/a", "/x\n"),
            "at /var/spool/cron/atjobs/a: - => 1 lines: /x",
        ),
        (
            "rc",
            came("/etc/init.d/x", "#!/bin/sh\nstart\n"),
            "rc.script /etc/init.d/x: - => 2 lines: start",
        ),
        (
            "rc enabled",
            change("/etc/rc2.d/S01x", None, Some(link("../init.d/x"))),
            "rc.script /etc/rc2.d/S01x: - => -> ../init.d/x",
        ),
        (
            "udev",
            came("/etc/udev/rules.d/x.rules", "RUN+=\"/x\"\n"),
            "udev /etc/udev/rules.d/x.rules: - => RUN+=\"/x\"",
        ),
        (
            "profile",
            came("/etc/profile.d/x.sh", "x\n"),
            "profile /etc/profile.d/x.sh: - => 1 lines: x",
        ),
        (
            "autostart",
            came("/etc/xdg/autostart/x.desktop", "[Desktop Entry]\nExec=/x\n"),
            "xdg /etc/xdg/autostart/x.desktop: - => [Desktop Entry]; Exec=/x",
        ),
        (
            "bus",
            came(
                "/usr/share/dbus-1/system.d/x.conf",
                "<!-- x --><policy user=\"root\"/>\n",
            ),
            "dbus.service /usr/share/dbus-1/system.d/x.conf: - => <policy user=\"root\"/>",
        ),
        (
            "preload",
            came("/etc/ld.so.preload", "/x.so\n"),
            "ld.preload /etc/ld.so.preload: - => /x.so",
        ),
        (
            "libraries",
            came("/etc/ld.so.conf.d/x.conf", "/x\n"),
            "ld.conf /etc/ld.so.conf.d/x.conf: - => /x",
        ),
        (
            "module",
            came("/etc/modules-load.d/x.conf", "x\n"),
            "kmod /etc/modules-load.d/x.conf: - => x",
        ),
        (
            "sysctl",
            came("/etc/sysctl.d/x.conf", "; x\nkernel.x = 1\n"),
            "sysctl /etc/sysctl.d/x.conf: - => kernel.x = 1",
        ),
    ]
}
