//! What the harness adds to a sandbox of a target: how its tools find the runner's proxy and its
//! certificate authority, and the questions that stand for package state. Values are constant for a
//! family, so that the digest is, too. The sources of each line are measurements: what is not here
//! was tried and does not work, or was not needed.

use assay_recipe::when::Family;
use assay_wire::name::GuestPath;
use assay_wire::program::{HarnessEnv, Insertion, PROXY_PORT, Probe, Variable};

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
/// - The probe `packages`: every package with version and architecture. rpm's and pacman's databases
///   differ in their bytes after every transaction.
#[must_use]
pub fn harness_env(target: &Target) -> HarnessEnv {
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
        insertions: insertions(family, &bundle),
        trust_stores: trust_stores(family),
        probes: probe(family).into_iter().collect(),
    }
}

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
        Some(Family::Arch | Family::Alpine | Family::Suse) | None => Vec::new(),
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

fn probe(family: Option<Family>) -> Option<Probe> {
    let argv: &[&str] = match family? {
        Family::Debian => &[
            "dpkg-query",
            "-W",
            "-f=${db:Status-Abbrev}${binary:Package} ${Version} ${Architecture}\\n",
        ],
        Family::Rhel => &[
            "rpm",
            "-qa",
            "--qf",
            "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\\n",
        ],
        Family::Arch => &["pacman", "-Q"],
        Family::Alpine | Family::Suse => return None,
    };
    Some(Probe {
        name: "packages".to_owned(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
    })
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
            let env = harness_env(&target(name));
            assert_eq!(env.digest(), harness_env(&target(name)).digest(), "{name}");
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
            harness_env(&target("mint-22")),
            harness_env(&target("debian-13"))
        );
        assert_ne!(
            harness_env(&target("fedora-44")),
            harness_env(&target("debian-13"))
        );
    }

    #[test]
    fn families() {
        insta::assert_json_snapshot!("debian", harness_env(&target("debian-12")));
        insta::assert_json_snapshot!("rhel", harness_env(&target("rocky-9")));
        insta::assert_json_snapshot!("arch", harness_env(&target("arch")));
        insta::assert_json_snapshot!("none", harness_env(&target("no-id")));
    }
}
