//! What the harness adds to a sandbox of a target: how its tools find the runner's proxy and its
//! certificate authority, and the questions that stand for package state. Values are constant for a
//! family, so that the digest is, too. The sources of each line are measurements: what is not here
//! was tried and does not work, or was not needed.

mod contents;

use assay_recipe::when::Family;
use assay_wire::lock::Network;
use assay_wire::name::GuestPath;
use assay_wire::program::{
    EXECUTOR, FETCH, HarnessEnv, HarnessFile, Insertion, PROXY_PORT, Probe, Variable,
};

use crate::target::Target;

/// What the harness adds to every sandbox of a target.
///
/// - Proxy variables in both cases: curl, git, dnf and pacman read the lower-case ones (curl reads no
///   `HTTP_PROXY`), Python's and Go's programs either.
/// - `DEBIAN_FRONTEND=noninteractive` on the debian family: debconf asks nobody. It is the one
///   addition that a real machine's user has to make as well, and is shown for that reason.
/// - The certificate authority by the variables curl, git and pip read, and by options of apt-get,
///   apt and both dnf, which read none; only where the sandbox has a trust store, so that https
///   fails where it would on a real machine.
/// - The files that name the image's own repositories: the hosts in them may be asked.
/// - pacman takes no certificate authority by any variable or option, but another downloader
///   (pacman.conf(5), `XferCommand`): where a repository is an https one, a configuration that includes
///   the sandbox's own names the executor as that. A bundle mounted over the one pacman reads would
///   keep `update-ca-trust` and an upgrade of `ca-certificates-utils` from replacing it. What
///   differs: one file after the other, and indexes are never left alone for being unchanged.
///   A pacman that another program starts is not told, and its tunnels are not looked into.
/// - The probe `packages`: every package with version and architecture. rpm's and pacman's databases
///   differ in their bytes after every transaction.
#[must_use]
pub fn harness_env(target: &Target, network: Network) -> HarnessEnv {
    let family = target.family();
    let mut variables = proxy_variables();
    if family == Some(Family::Debian) {
        variables.push(variable("DEBIAN_FRONTEND", "noninteractive", None));
    }
    let bundle = bundle();
    for name in ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "PIP_CERT"] {
        variables.push(variable(name, HarnessEnv::TRUST_BUNDLE, Some(&bundle)));
    }
    HarnessEnv {
        variables,
        insertions: [insertions(family, &bundle), relaxations(family, network)].concat(),
        trust_stores: trust_stores(family),
        repository_files: repository_files(family),
        manager_trusts: family != Some(Family::Arch),
        files: files(family),
        contents: contents::contents(family),
        scripts: scripts(family),
        keyrings: keyrings(family),
        probes: probe(family).into_iter().collect(),
    }
}

/// Where a manager keeps a package's scripts while it runs them. rpm and pacman write them there first;
/// what rpm's own interpreter of Lua runs is in no file, nor is a program that rpm runs in place of a
/// script (`%post -p`).
fn scripts(family: Option<Family>) -> Vec<String> {
    let patterns: &[&str] = match family {
        // dpkg(1): what is installed, and what is being unpacked; dpkg-preconfigure(8), which asks a
        // package's questions before that
        Some(Family::Debian) => &[
            "/var/lib/dpkg/info/*",
            "/var/lib/dpkg/tmp.ci/*",
            "/var/cache/debconf/tmp.ci/*",
        ],
        Some(Family::Rhel | Family::Suse) => &["/var/tmp/rpm-tmp.*"],
        // libalpm, `_alpm_runscriptlet`: a folder of its own for each
        Some(Family::Arch) => &["/tmp/alpm_*/.INSTALL"],
        Some(Family::Alpine) | None => &[],
    };
    patterns.iter().map(|path| (*path).to_owned()).collect()
}

/// The keys that a manager of the image trusts before anything was added.
fn keyrings(family: Option<Family>) -> Vec<GuestPath> {
    let paths: &[&str] = match family {
        // apt-secure(8)
        Some(Family::Debian) => &[
            "/etc/apt/trusted.gpg",
            "/etc/apt/trusted.gpg.d",
            "/etc/apt/keyrings",
            "/usr/share/keyrings",
        ],
        // dnf.conf(5), `gpgkey`
        Some(Family::Rhel | Family::Suse) => &["/etc/pki/rpm-gpg"],
        // pacman-key(8); pacman.conf(5), `GPGDir`
        Some(Family::Arch) => &[
            "/etc/pacman.d/gnupg/pubring.gpg",
            "/usr/share/pacman/keyrings",
        ],
        Some(Family::Alpine) | None => &[],
    };
    paths.iter().copied().map(guest_path).collect()
}

/// What pacman reads in place of `/etc/pacman.conf` where it has to be told of a downloader.
const PACMAN_CONF: &str = "/.assay/pacman.conf";

fn proxy_variables() -> Vec<Variable> {
    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    let mut variables = Vec::new();
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        variables.push(variable(name, &proxy, None));
    }
    for name in ["no_proxy", "NO_PROXY"] {
        variables.push(variable(name, "localhost,127.0.0.1,::1", None));
    }
    variables
}

fn variable(name: &str, value: &str, only_if_exists: Option<&GuestPath>) -> Variable {
    Variable {
        name: name.to_owned(),
        value: value.to_owned(),
        only_if_exists: only_if_exists.cloned(),
    }
}

fn insertions(family: Option<Family>, bundle: &GuestPath) -> Vec<Insertion> {
    let insertion = |program: &str, words: &[String]| Insertion {
        program: program.to_owned(),
        words: words.to_vec(),
        only_if_exists: Some(bundle.clone()),
    };
    match family {
        Some(Family::Debian) => {
            let words = ["-o".to_owned(), format!("Acquire::https::CAInfo={bundle}")];
            vec![insertion("apt-get", &words), insertion("apt", &words)]
        }
        Some(Family::Rhel) => {
            let words = [format!("--setopt=sslcacert={bundle}")];
            vec![insertion("dnf", &words), insertion("dnf5", &words)]
        }
        Some(Family::Arch) => vec![Insertion {
            program: "pacman".to_owned(),
            words: vec!["--config".to_owned(), PACMAN_CONF.to_owned()],
            only_if_exists: Some(guest_path(PACMAN_CONF)),
        }],
        Some(Family::Alpine | Family::Suse) | None => Vec::new(),
    }
}

fn files(family: Option<Family>) -> Vec<HarnessFile> {
    match family {
        Some(Family::Arch) => vec![HarnessFile {
            path: guest_path(PACMAN_CONF),
            // The sandbox's own comes last: what it says of a downloader counts.
            text: format!(
                "[options]\nXferCommand = {EXECUTOR} {FETCH} %u %o\nInclude = /etc/pacman.conf\n"
            ),
            only_if_address: "https://".to_owned(),
        }],
        Some(Family::Debian | Family::Rhel | Family::Alpine | Family::Suse) | None => Vec::new(),
    }
}

/// In a replay an index may be older than it says it may become: apt is told not to look at dates
/// (apt.conf(5), `Acquire::Check-Valid-Until`, `Acquire::Check-Date`). Signatures and hashes count as
/// ever. The other managers ask for no date.
fn relaxations(family: Option<Family>, network: Network) -> Vec<Insertion> {
    let words = [
        "-o",
        "Acquire::Check-Valid-Until=false",
        "-o",
        "Acquire::Check-Date=false",
    ];
    let relaxed = |program: &str| Insertion {
        program: program.to_owned(),
        words: words.map(str::to_owned).to_vec(),
        only_if_exists: None,
    };
    match (family, network) {
        (Some(Family::Debian), Network::Replay) => vec![relaxed("apt-get"), relaxed("apt")],
        (_, Network::Live | Network::Record | Network::Replay | Network::None) => Vec::new(),
    }
}

/// Where each family keeps its trusted certificates as one PEM file.
fn trust_stores(family: Option<Family>) -> Vec<GuestPath> {
    let paths: &[&str] = match family {
        // The last one is a lab image's, whose certificates come from Debian's package.
        Some(Family::Rhel) => &[
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/certs/ca-certificates.crt",
        ],
        Some(Family::Arch) => &[
            "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
            "/etc/ssl/certs/ca-certificates.crt",
        ],
        Some(Family::Suse) => &[
            "/etc/ssl/ca-bundle.pem",
            "/var/lib/ca-certificates/ca-bundle.pem",
        ],
        Some(Family::Debian | Family::Alpine) | None => &["/etc/ssl/certs/ca-certificates.crt"],
    };
    paths.iter().map(|path| guest_path(path)).collect()
}

/// Where each family's manager reads which repositories there are: sources.list(5), dnf.conf(5),
/// pacman.conf(5), apk-repositories(5), zypper(8).
fn repository_files(family: Option<Family>) -> Vec<GuestPath> {
    let paths: &[&str] = match family {
        Some(Family::Debian) => &["/etc/apt/sources.list", "/etc/apt/sources.list.d"],
        Some(Family::Rhel) => &["/etc/yum.repos.d", "/etc/dnf/dnf.conf"],
        Some(Family::Arch) => &["/etc/pacman.conf", "/etc/pacman.d"],
        Some(Family::Alpine) => &["/etc/apk/repositories"],
        Some(Family::Suse) => &["/etc/zypp/repos.d"],
        None => &[],
    };
    paths.iter().map(|path| guest_path(path)).collect()
}

/// The question for packages, and where each manager keeps its database: dpkg(1), "FILES"; rpm(8), "Database",
/// at the path of Fedora and at that of Rocky, whose SQLite writes ahead into a file of its own
/// (<https://www.sqlite.org/wal.html>); alpm's folder, in which each package is a folder with its version in its
/// name (pacman(8), `--dbpath`).
fn probe(family: Option<Family>) -> Option<Probe> {
    let (argv, reads): (&[&str], &[&str]) = match family? {
        Family::Debian => (
            &[
                "dpkg-query",
                "-W",
                "-f=${db:Status-Abbrev}${binary:Package} ${Version} ${Architecture}\\n",
            ],
            &["/var/lib/dpkg/status", "/var/lib/dpkg/updates"],
        ),
        Family::Rhel => (
            &[
                "rpm",
                "-qa",
                "--qf",
                "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\\n",
            ],
            &[
                "/usr/lib/sysimage/rpm/rpmdb.sqlite",
                "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
                "/var/lib/rpm/rpmdb.sqlite",
                "/var/lib/rpm/rpmdb.sqlite-wal",
            ],
        ),
        Family::Arch => (&["pacman", "-Q"], &["/var/lib/pacman/local"]),
        Family::Alpine | Family::Suse => return None,
    };
    Some(Probe {
        name: PACKAGES.to_owned(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        reads: reads.iter().map(|path| guest_path(path)).collect(),
    })
}

/// The probe whose lines are packages.
pub const PACKAGES: &str = "packages";

/// The package that a line of the probe [`PACKAGES`] is about: its name, without an architecture, and
/// its version, which of rpm's is whole with its epoch.
#[must_use]
pub fn package_of(line: &str) -> Option<(&str, &str)> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if let [first, _, _, _] = words.as_slice() {
        // dpkg's begins with a state of which only `ii` is an installed package (dpkg-query(1)).
        if *first != "ii" {
            return None;
        }
        words.remove(0);
    }
    let [name, version, ..] = words.as_slice() else {
        return None;
    };
    let name = name.split(':').next().unwrap_or(name);
    Some((name, version))
}

fn bundle() -> GuestPath {
    guest_path(HarnessEnv::TRUST_BUNDLE)
}

/// # Panics
/// Never: the paths of this module are literals inside the grammar, which a test asks for every
/// family.
fn guest_path(path: &str) -> GuestPath {
    path.parse()
        .expect("the paths of this module are inside the grammar")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{OS_RELEASES, target};

    #[test]
    fn every_fixture_has_one_and_it_is_constant_for_the_family() {
        for (name, _) in OS_RELEASES {
            let env = harness_env(&target(name), Network::Live);
            assert_eq!(
                env.digest(),
                harness_env(&target(name), Network::Live).digest(),
                "{name}"
            );
            let with_store = |variable: &&Variable| variable.only_if_exists.is_some();
            assert_eq!(env.variables.iter().filter(with_store).count(), 3, "{name}");
            assert!(
                env.insertions
                    .iter()
                    .all(|insertion| insertion.only_if_exists.is_some()),
                "{name}"
            );
        }
        assert_eq!(
            harness_env(&target("mint-22"), Network::Live),
            harness_env(&target("debian-13"), Network::Live)
        );
        assert_ne!(
            harness_env(&target("fedora-44"), Network::Live),
            harness_env(&target("debian-13"), Network::Live)
        );
    }

    #[test]
    fn a_line_of_every_manager_is_a_package_and_its_version() {
        for (line, package) in [
            ("ii jq 1.6-2.1 amd64", Some(("jq", "1.6-2.1"))),
            ("ii libc6:amd64 2.36-9 amd64", Some(("libc6", "2.36-9"))),
            ("rc gone 1 amd64", None),
            ("jq 0:1.7.1-8.fc44 x86_64", Some(("jq", "0:1.7.1-8.fc44"))),
            ("jq 1.7.1-2", Some(("jq", "1.7.1-2"))),
            ("jq", None),
            ("", None),
        ] {
            assert_eq!(package_of(line), package, "{line}");
        }
    }

    #[test]
    fn dates_are_relaxed_in_a_replay_alone() {
        let words = |network| {
            let env = harness_env(&target("debian-12"), network);
            let insertions = env.insertions.into_iter();
            insertions
                .flat_map(|insertion| insertion.words)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(words(Network::Replay).contains("Check-Valid-Until=false"));
        for network in [Network::Live, Network::Record, Network::None] {
            assert!(!words(network).contains("Check-"), "{network:?}");
        }
    }

    #[test]
    fn families() {
        insta::assert_json_snapshot!("debian", harness_env(&target("debian-12"), Network::Live));
        insta::assert_json_snapshot!("rhel", harness_env(&target("rocky-9"), Network::Live));
        insta::assert_json_snapshot!("arch", harness_env(&target("arch"), Network::Live));
        insta::assert_json_snapshot!("none", harness_env(&target("no-id"), Network::Live));
    }
}
