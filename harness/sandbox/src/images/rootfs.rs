//! What a root file system in a tar says of itself, read in one pass: its digest, its
//! `os-release`, and the hosts its repository files name.
//!
//! The tar is hostile: nothing is unpacked, no link is followed, sizes are bounded. Whether what
//! it says is what was expected is decided in [`build`](super::build).

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use assay_wire::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::os_release::LIMIT as OS_RELEASE_LIMIT;

/// The most of one repository file that is read, in bytes.
const REPOSITORY_FILE_LIMIT: u64 = 1024 * 1024;

/// The most hosts an image may name.
const HOSTS_LIMIT: usize = 64;

/// What a root file system says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    /// The size of the tar in bytes.
    pub size: u64,
    /// The sha256 of the tar's bytes.
    pub sha256: Digest,
    /// What its files say.
    pub facts: Facts,
}

/// What the files of a root file system say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The bytes of `/usr/lib/os-release`, else of `/etc/os-release`.
    pub os_release: Option<Vec<u8>>,
    /// The hosts its repository files name.
    pub repository_hosts: BTreeSet<RepositoryHost>,
}

/// A host an image's repository files name, with the scheme they ask it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryHost {
    /// Whether the connection is encrypted (`https`).
    pub encrypted: bool,
    /// The host, with its port if one is given.
    pub host: String,
}

impl fmt::Display for RepositoryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            if self.encrypted { "https" } else { "http" },
            self.host
        )
    }
}

impl FromStr for RepositoryHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (encrypted, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(format!("`{}` is no http address", text.escape_debug())),
        };
        if is_host(rest) {
            Ok(Self {
                encrypted,
                host: rest.to_owned(),
            })
        } else {
            Err(format!("`{}` is no host", rest.escape_debug()))
        }
    }
}

fn is_host(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(byte)
}

/// Reads a root file system. Blocks; a few hundred megabytes take well under a second.
///
/// # Errors
///
/// When the file cannot be read or is no uncompressed tar.
pub fn read(path: &Path) -> io::Result<Rootfs> {
    let file = io::BufReader::with_capacity(256 * 1024, std::fs::File::open(path)?);
    let mut hashed = Hashed {
        inner: file,
        sha256: Sha256::new(),
        size: 0,
    };
    let facts = read_tar(&mut hashed, "")?;
    // What follows the end of the archive belongs to the bytes that are loaded, too.
    io::copy(&mut hashed, &mut io::sink())?;
    let sha256 = Digest::from_bytes(hashed.sha256.finalize().into());
    Ok(Rootfs {
        size: hashed.size,
        sha256,
        facts,
    })
}

/// Reads the facts out of a tar whose paths start at `prefix` of a root file system.
pub(super) fn read_tar(reader: impl Read, prefix: &str) -> io::Result<Facts> {
    let mut facts = Facts::default();
    let mut from_etc = None;
    let mut entries = 0_u64;
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries()? {
        let entry = entry?;
        entries += 1;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let bytes = entry.path_bytes();
        let Ok(path) = std::str::from_utf8(&bytes) else {
            continue;
        };
        let path = format!(
            "{prefix}{}",
            path.trim_start_matches("./").trim_start_matches('/')
        );
        if path == "usr/lib/os-release" {
            facts.os_release = Some(bounded(entry, OS_RELEASE_LIMIT as u64 + 1)?);
        } else if path == "etc/os-release" {
            from_etc = Some(bounded(entry, OS_RELEASE_LIMIT as u64 + 1)?);
        } else if is_repository_file(&path) {
            let content = bounded(entry, REPOSITORY_FILE_LIMIT)?;
            let hosts = hosts_of(&String::from_utf8_lossy(&content));
            let room = HOSTS_LIMIT.saturating_sub(facts.repository_hosts.len());
            facts.repository_hosts.extend(hosts.into_iter().take(room));
        }
    }
    if entries == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the archive is empty",
        ));
    }
    facts.os_release = facts.os_release.or(from_etc);
    Ok(facts)
}

fn bounded(entry: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether a package manager reads repositories from this path: sources.list(5), yum.conf(5),
/// dnf5.conf(5), pacman.conf(5).
fn is_repository_file(path: &str) -> bool {
    let in_folder = |folder: &str, endings: &[&str]| {
        path.strip_prefix(folder).is_some_and(|name| {
            !name.contains('/') && endings.iter().any(|ending| name.ends_with(ending))
        })
    };
    path == "etc/apt/sources.list"
        || path == "etc/pacman.conf"
        || in_folder("etc/apt/sources.list.d/", &[".list", ".sources"])
        || in_folder("etc/yum.repos.d/", &[".repo"])
        || in_folder("etc/pacman.d/", &["mirrorlist"])
}

/// The hosts of every http and https address outside comments.
fn hosts_of(text: &str) -> BTreeSet<RepositoryHost> {
    let mut hosts = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        for word in line.split(|c: char| c.is_whitespace() || "=,\"'<>".contains(c)) {
            let Some((scheme, rest)) = word.split_once("://") else {
                continue;
            };
            let encrypted = match scheme {
                "http" => false,
                "https" => true,
                _ => continue,
            };
            let host = rest.split('/').next().unwrap_or_default();
            // Credentials before an `@` are not part of the host and must not reach a label.
            let host = host
                .rsplit('@')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if is_host(&host) {
                hosts.insert(RepositoryHost { encrypted, host });
            }
        }
    }
    hosts
}

/// Hashes and counts what is read through it.
struct Hashed<R> {
    inner: R,
    sha256: Sha256,
    size: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, path, *content)
                .expect("an entry");
        }
        builder.into_inner().expect("a tar")
    }

    fn hosts(text: &str) -> Vec<String> {
        hosts_of(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn os_release_repositories_and_digest_are_read_in_one_pass() {
        let bytes = tar(&[
            ("./etc/os-release", b"ID=etc\n"),
            ("./usr/lib/os-release", b"ID=usr\n"),
            (
                "./etc/apt/sources.list",
                b"deb http://A.example/debian x main\n",
            ),
            (
                "./etc/apt/sources.list.d/b.sources",
                b"URIs: https://b.example:8443/x\n",
            ),
            (
                "./etc/apt/sources.list.d/b.save",
                b"URIs: https://not-read.example/x\n",
            ),
            (
                "./etc/yum.repos.d/c.repo",
                b"baseurl=http://c.example/$basearch\n",
            ),
            (
                "./etc/pacman.d/mirrorlist",
                b"Server = https://d.example/$repo\n#Server = http://no.example/\n",
            ),
        ]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("root.tar");
        std::fs::write(&path, &bytes).expect("a tar");
        let rootfs = read(&path).expect("a root file system");
        assert_eq!(rootfs.size, bytes.len() as u64);
        assert_eq!(rootfs.sha256, Digest::of(&bytes));
        assert_eq!(rootfs.facts.os_release.as_deref(), Some(&b"ID=usr\n"[..]));
        assert_eq!(
            rootfs
                .facts
                .repository_hosts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            [
                "http://a.example",
                "http://c.example",
                "https://b.example:8443",
                "https://d.example"
            ]
        );
    }

    #[test]
    fn etc_serves_where_usr_has_none_and_a_link_is_not_followed() {
        let facts =
            read_tar(tar(&[("etc/os-release", b"ID=etc\n")]).as_slice(), "").expect("facts");
        assert_eq!(facts.os_release.as_deref(), Some(&b"ID=etc\n"[..]));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "etc/os-release", "/etc/passwd")
            .expect("a link");
        let link = builder.into_inner().expect("a tar");
        assert_eq!(
            read_tar(link.as_slice(), "").expect("facts").os_release,
            None
        );
    }

    #[test]
    fn an_empty_or_broken_archive_is_an_error() {
        assert!(read_tar(&[0_u8; 1024][..], "").is_err());
        assert!(read_tar(&[7_u8; 4096][..], "").is_err());
    }

    #[test]
    fn a_host_is_taken_without_path_credentials_and_comments() {
        assert_eq!(
            hosts("deb [signed-by=/x] http://u:p@h.example/x y z"),
            ["http://h.example"]
        );
        assert_eq!(hosts("# deb http://h.example/"), Vec::<String>::new());
        assert_eq!(
            hosts("deb cdrom:[x] file:///x ftp://h.example/"),
            Vec::<String>::new()
        );
        assert_eq!(hosts("http://bad_host\u{1b}[31m/"), Vec::<String>::new());
        assert_eq!(
            hosts("a=http://x.example,https://x.example"),
            ["http://x.example", "https://x.example"]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_tar(bytes.as_slice(), "");
        }

        #[test]
        fn every_host_found_can_be_read_back(text in "(https?://)?\\PC{0,60}") {
            for host in hosts_of(&text) {
                proptest::prop_assert_eq!(host.to_string().parse::<RepositoryHost>(), Ok(host));
            }
        }
    }
}
