//! Finds the Debian mirror of this machine in its own apt configuration.
//!
//! No host name of a mirror stands in the repository: it is read here, or named
//! by `ASSAY_DEBIAN_MIRROR`. `crate::resolve` asks the mirror.

use std::path::{Path, PathBuf};

use crate::deb::control::paragraphs;

/// The variable that names a mirror and overrides apt's sources.
pub(crate) const MIRROR_VARIABLE: &str = "ASSAY_DEBIAN_MIRROR";
/// Where the keys of Debian's archives are (package `debian-archive-keyring`).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MOST_BYTES: u64 = 1 << 20;

/// A machine whose sources name no Debian mirror.
#[derive(Debug, thiserror::Error)]
#[error(
    "no apt source of this machine is Debian's main archive; name a mirror with `ASSAY_DEBIAN_MIRROR`"
)]
pub(crate) struct NoMirror;

/// A mirror and the keyring its indexes are checked with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The address, as apt takes it.
    pub(crate) uri: String,
    /// The keyring file.
    pub(crate) keyring: PathBuf,
}

/// The mirror named by the environment, else the one this machine installs from.
///
/// # Errors
/// `NoMirror` when there is none.
pub(crate) fn mirror() -> Result<Mirror, NoMirror> {
    let keyring = PathBuf::from(KEYRING);
    if let Some(uri) = std::env::var(MIRROR_VARIABLE)
        .ok()
        .filter(|uri| is_uri(uri))
    {
        return Ok(Mirror { uri, keyring });
    }
    let codename = codename(&read(Path::new("/etc/os-release")));
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(folder.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .iter()
        .find_map(|file| {
            let text = read(file);
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => in_lines(&text, &codename),
                Some("sources") => in_paragraphs(&text, &codename),
                Some(_) | None => None,
            }
        })
        .map(|uri| Mirror { uri, keyring })
        .ok_or(NoMirror)
}

/// The suite and component make Debian's main archive, not its host name.
fn is_main<'a>(
    codename: &str,
    mut suites: impl Iterator<Item = &'a str>,
    mut components: impl Iterator<Item = &'a str>,
) -> bool {
    suites.any(|suite| suite == codename) && components.any(|component| component == "main")
}

fn in_paragraphs(text: &str, codename: &str) -> Option<String> {
    paragraphs(text).ok()?.iter().find_map(|paragraph| {
        let words = |name| paragraph.get(name).unwrap_or_default().split_whitespace();
        let enabled = paragraph.get("Enabled").is_none_or(|value| value != "no");
        let fits = enabled
            && words("Types").any(|kind| kind == "deb")
            && is_main(codename, words("Suites"), words("Components"));
        words("URIs")
            .find(|uri| is_uri(uri))
            .filter(|_| fits)
            .map(str::to_owned)
    })
}

fn in_lines(text: &str, codename: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let uri = words.next().filter(|uri| is_uri(uri))?;
        let suite = words.next()?;
        is_main(codename, [suite].into_iter(), words).then(|| uri.to_owned())
    })
}

fn is_uri(text: &str) -> bool {
    let known = ["http://", "https://", "file:/", "copy:/"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    known
        && text.len() < 1000
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"[]\"'\\".contains(&byte))
}

fn codename(os_release: &str) -> String {
    let line = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    line.unwrap_or_default().trim_matches('"').to_owned()
}

fn read(path: &Path) -> String {
    use std::io::Read;
    let mut text = String::new();
    let opened = std::fs::File::open(path);
    match opened.map(|file| file.take(MOST_BYTES).read_to_string(&mut text)) {
        Ok(Ok(_)) => text,
        Ok(Err(_)) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_told_from_others() {
        let sources = "Types: deb\nURIs: http://vendor.example/apt\nSuites: bookworm\nComponents: stable\n\n\
                       Types: deb\nURIs: http://security.example/\nSuites: bookworm-security\nComponents: main\n\n\
                       Enabled: no\nTypes: deb\nURIs: http://off.example/\nSuites: bookworm\nComponents: main\n\n\
                       Types: deb\n# note\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main contrib\n";
        assert_eq!(
            in_paragraphs(sources, "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(in_paragraphs(sources, "trixie"), None);
    }

    #[test]
    fn one_line_sources_are_read() {
        let list = "# deb http://no.example/ bookworm main\ndeb-src http://src.example/ bookworm main\n\
                    deb https://sdk.example/apt cloud-sdk-bookworm main\n\
                    deb [signed-by=/x.gpg arch=amd64] http://mirror.example/debian bookworm main\n";
        assert_eq!(
            in_lines(list, "bookworm").as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(in_lines("deb $(x) bookworm main\n", "bookworm"), None);
    }

    #[test]
    fn addresses_and_codenames() {
        assert!(
            is_uri("http://a.example/debian")
                && !is_uri("http://a b")
                && !is_uri("ftp://a")
                && !is_uri("http://a]")
        );
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=bookworm\n"),
            "bookworm"
        );
    }
}
