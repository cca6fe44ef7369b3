//! Repository steps: the key's bytes and a file of ours, both as writes. No manager's own verb for
//! adding repositories is used: they differ between versions and fetch what they like.

use assay_recipe::model::{AptPpa, AptRepo, DnfRepo, RepositoryKey};
use assay_recipe::template::Placeholder;
use assay_wire::digest::Digest;
use assay_wire::plan::KeyScope;

/// A repository with its placeholders filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// The name its author gave it.
    pub(crate) given_name: Option<String>,
    /// The key it is signed with.
    pub(crate) key: Key,
    /// What the manager's file says.
    pub(crate) kind: RepositoryKind,
}

/// How the key of a repository is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// By the hash of the file that holds it.
    File {
        /// Where the file comes from.
        url: String,
        /// What its bytes hash to.
        sha256: Digest,
        /// The fingerprints its author declares, in capital hex digits.
        fingerprints: Vec<String>,
    },
    /// By its fingerprint alone, 40 capital hex digits.
    Fingerprint(String),
}

impl Key {
    /// What makes it that key, wherever it comes from.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::File { sha256, .. } => sha256.to_string(),
            Self::Fingerprint(fingerprint) => fingerprint.clone(),
        }
    }
}

/// What a manager's file says of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RepositoryKind {
    /// deb822 of sources.list(5).
    Apt {
        /// The base URL.
        url: String,
        /// The suites, at least one.
        suites: Vec<String>,
        /// The components, at least one.
        components: Vec<String>,
    },
    /// The ini format of dnf.conf(5).
    Dnf {
        /// The base URL.
        url: String,
        /// Whether its metadata is signed, too.
        repo_gpgcheck: bool,
    },
}

/// Two files of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryFiles {
    /// Where the key goes.
    pub(crate) key_path: String,
    /// Where the manager's file goes.
    pub(crate) path: String,
    /// What the manager's file holds.
    pub(crate) text: String,
}

impl Repository {
    /// An apt repository, its placeholders filled.
    ///
    /// # Errors
    /// The first placeholder without a value.
    pub(crate) fn apt<'v>(
        step: &AptRepo,
        value: impl Fn(Placeholder) -> Option<&'v str>,
    ) -> Result<Self, Placeholder> {
        let url = step.url.value.fill(&value)?;
        let suites = step
            .suites
            .iter()
            .map(|suite| suite.value.fill(&value))
            .collect::<Result<_, _>>()?;
        let components = step
            .components
            .iter()
            .map(|component| component.value.fill(&value))
            .collect::<Result<_, _>>()?;
        let kind = RepositoryKind::Apt {
            url,
            suites,
            components,
        };
        Self::new(
            step.name.as_ref().map(|name| name.value.to_string()),
            &step.key,
            kind,
            value,
        )
    }

    /// A dnf repository, its placeholders filled.
    ///
    /// # Errors
    /// The first placeholder without a value.
    pub(crate) fn dnf<'v>(
        step: &DnfRepo,
        value: impl Fn(Placeholder) -> Option<&'v str>,
    ) -> Result<Self, Placeholder> {
        let kind = RepositoryKind::Dnf {
            url: step.url.value.fill(&value)?,
            repo_gpgcheck: step.repo_gpgcheck,
        };
        Self::new(
            step.name.as_ref().map(|name| name.value.to_string()),
            &step.key,
            kind,
            value,
        )
    }

    fn new<'v>(
        given_name: Option<String>,
        key: &RepositoryKey,
        kind: RepositoryKind,
        value: impl Fn(Placeholder) -> Option<&'v str>,
    ) -> Result<Self, Placeholder> {
        let fingerprints = key.fingerprints.iter();
        Ok(Self {
            given_name,
            key: Key::File {
                url: key.url.value.fill(value)?,
                sha256: key.sha256.value,
                fingerprints: fingerprints
                    .map(|one| one.value.as_str().to_owned())
                    .collect(),
            },
            kind,
        })
    }

    /// A personal package archive of Launchpad, as add-apt-repository(1) adds it, for a release of
    /// Ubuntu by its code name.
    pub(crate) fn ppa(step: &AptPpa, codename: &str) -> Self {
        let ppa = &step.ppa.value;
        Self {
            given_name: None,
            key: Key::Fingerprint(step.key_fingerprint.value.as_str().to_owned()),
            kind: RepositoryKind::Apt {
                url: format!("https://ppa.launchpadcontent.net/{ppa}/ubuntu"),
                suites: vec![codename.to_owned()],
                components: vec!["main".to_owned()],
            },
        }
    }

    /// The name it gets when its author gave none: host and path of its URL in characters every
    /// manager takes in a file name, `download.docker.com-linux-ubuntu`.
    pub(crate) fn derived_name(&self) -> String {
        let url = self.url();
        let place = url.split_once("://").map_or(url, |(_, rest)| rest);
        let mut name = String::new();
        for c in place
            .split(['?', '#'])
            .next()
            .unwrap_or(place)
            .to_ascii_lowercase()
            .chars()
        {
            let plain = c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_';
            if plain {
                name.push(c);
            } else if !name.ends_with('-') {
                name.push('-');
            }
        }
        let name = name.trim_matches(['-', '.', '_']);
        if name.len() > MAX_NAME {
            format!(
                "{}-{}",
                name[..MAX_NAME - 9].trim_end_matches(['-', '.', '_']),
                self.short_digest()
            )
        } else {
            name.to_owned()
        }
    }

    /// Eight hex digits that tell it from every other repository.
    pub(crate) fn short_digest(&self) -> String {
        let whole = format!("{:?} {}", self.kind, self.key.identity());
        Digest::of(whole.as_bytes()).to_string()[..8].to_owned()
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> &str {
        let (RepositoryKind::Apt { url, .. } | RepositoryKind::Dnf { url, .. }) = &self.kind;
        url
    }

    /// Whether both are the same for their manager: of one URL, and for apt with a suite in common.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        if self.url().trim_end_matches('/') != other.url().trim_end_matches('/') {
            return false;
        }
        match (&self.kind, &other.kind) {
            (RepositoryKind::Apt { suites, .. }, RepositoryKind::Apt { suites: others, .. }) => {
                suites.iter().any(|suite| others.contains(suite))
            }
            (RepositoryKind::Dnf { .. }, RepositoryKind::Dnf { .. }) => true,
            (RepositoryKind::Apt { .. }, RepositoryKind::Dnf { .. })
            | (RepositoryKind::Dnf { .. }, RepositoryKind::Apt { .. }) => false,
        }
    }

    /// Whether two of one URL are set up alike, but for their names.
    pub(crate) fn is_set_up_as(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (
                RepositoryKind::Apt {
                    suites, components, ..
                },
                RepositoryKind::Apt {
                    suites: other_suites,
                    components: other_components,
                    ..
                },
            ) => suites == other_suites && components == other_components,
            (
                RepositoryKind::Dnf { repo_gpgcheck, .. },
                RepositoryKind::Dnf {
                    repo_gpgcheck: other,
                    ..
                },
            ) => repo_gpgcheck == other,
            (RepositoryKind::Apt { .. }, RepositoryKind::Dnf { .. })
            | (RepositoryKind::Dnf { .. }, RepositoryKind::Apt { .. }) => false,
        }
    }

    /// For what its key is trusted once the manager has read its file.
    pub(crate) fn key_scope(&self) -> KeyScope {
        match &self.kind {
            RepositoryKind::Apt { .. } => KeyScope::Repository,
            RepositoryKind::Dnf { .. } => KeyScope::Machine,
        }
    }

    /// Its files under this name.
    pub(crate) fn files(&self, name: &str) -> RepositoryFiles {
        match &self.kind {
            RepositoryKind::Apt {
                url,
                suites,
                components,
            } => apt_files(name, url, suites, components),
            RepositoryKind::Dnf { url, repo_gpgcheck } => dnf_files(name, url, *repo_gpgcheck),
        }
    }
}

/// Longest name made from a URL.
const MAX_NAME: usize = 64;

/// The key has a neutral extension: apt 2.4 to 2.8 decide by the first line whether a keyring that is
/// neither `.asc` nor `.gpg` is armored (apt-key, `dearmor_filename`), and apt 3 hands it to sqv, which
/// takes both. A `.gpg` must be binary and an `.asc` armored, and the author states only a hash.
fn apt_files(name: &str, url: &str, suites: &[String], components: &[String]) -> RepositoryFiles {
    let key_path = format!("/etc/apt/keyrings/{name}.key");
    let text = format!(
        "Types: deb\nURIs: {url}\nSuites: {}\nComponents: {}\nSigned-By: {key_path}\n",
        suites.join(" "),
        components.join(" ")
    );
    RepositoryFiles {
        key_path,
        path: format!("/etc/apt/sources.list.d/{name}.sources"),
        text,
    }
}

/// dnf imports the key itself, from this file of verified bytes and from nowhere else: an `rpm
/// --import` of ours would trust it before anything asks for it, and again in the second apply,
/// because no guard can ask rpm for a key by its file. A repository that cannot be had is a failure
/// (`skip_if_unavailable`, whose default differs between distributions).
fn dnf_files(name: &str, url: &str, repo_gpgcheck: bool) -> RepositoryFiles {
    let key_path = format!("/etc/pki/rpm-gpg/{name}.key");
    let text = format!(
        "[{name}]\nname={name}\nbaseurl={url}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck={}\ngpgkey=file://{key_path}\nskip_if_unavailable=0\n",
        u8::from(repo_gpgcheck)
    );
    RepositoryFiles {
        key_path,
        path: format!("/etc/yum.repos.d/{name}.repo"),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apt(url: &str) -> Repository {
        Repository {
            given_name: None,
            key: Key::File {
                url: String::new(),
                sha256: Digest::of(b"key"),
                fingerprints: Vec::new(),
            },
            kind: RepositoryKind::Apt {
                url: url.to_owned(),
                suites: vec!["noble".into()],
                components: vec!["main".into(), "extra".into()],
            },
        }
    }

    #[test]
    fn names_come_from_host_and_path() {
        for (url, name) in [
            (
                "https://download.docker.com/linux/ubuntu",
                "download.docker.com-linux-ubuntu",
            ),
            (
                "https://download.docker.com/linux/ubuntu/",
                "download.docker.com-linux-ubuntu",
            ),
            (
                "https://example.com:8443/A~b/%20c?d=e",
                "example.com-8443-a-b-20c",
            ),
            ("https://example.com", "example.com"),
        ] {
            assert_eq!(apt(url).derived_name(), name);
        }
        let long = format!("https://example.com/{}", "x/".repeat(200));
        let name = apt(&long).derived_name();
        assert!(
            name.len() <= MAX_NAME && name.starts_with("example.com-x-x-"),
            "{name}"
        );
        assert_ne!(name, apt(&format!("{long}y")).derived_name());
    }

    #[test]
    fn apt_files_are_deb822_with_a_keyring() {
        let files = apt("https://example.com/debian").files("example");
        assert_eq!(files.key_path, "/etc/apt/keyrings/example.key");
        assert_eq!(files.path, "/etc/apt/sources.list.d/example.sources");
        assert_eq!(
            files.text,
            "Types: deb\nURIs: https://example.com/debian\nSuites: noble\nComponents: main extra\nSigned-By: /etc/apt/keyrings/example.key\n"
        );
    }

    #[test]
    fn dnf_files_are_checked_against_the_written_key_alone() {
        let mut repository = apt("x");
        repository.kind = RepositoryKind::Dnf {
            url: "https://example.com/rpm/$basearch".into(),
            repo_gpgcheck: true,
        };
        let files = repository.files("example");
        assert_eq!(files.path, "/etc/yum.repos.d/example.repo");
        assert_eq!(
            files.text,
            "[example]\nname=example\nbaseurl=https://example.com/rpm/$basearch\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/example.key\nskip_if_unavailable=0\n"
        );
    }
}
