//! Package managers and the names of packages, whose grammar is the manager's.

use std::fmt;
use std::str::FromStr;

use assay_packages::Rules;

use crate::code::Code;
use crate::diagnostic::quote;
use crate::name::{is_lower, misfit, outside};
use crate::text::{TextFault, strict};

/// Which package manager a step speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// apt, on the debian family.
    Apt,
    /// dnf, on the rhel family.
    Dnf,
    /// pacman, on the arch family.
    Pacman,
    /// apk, on the alpine family.
    Apk,
    /// zypper, on the suse family.
    Zypper,
    /// Homebrew, on darwin.
    Brew,
}

impl Manager {
    /// Every manager.
    pub const ALL: [Self; 6] = [
        Self::Apt,
        Self::Dnf,
        Self::Pacman,
        Self::Apk,
        Self::Zypper,
        Self::Brew,
    ];

    /// The command's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
            Self::Zypper => "zypper",
            Self::Brew => "brew",
        }
    }

    /// Whose rules compare its versions; `None` for Homebrew, which installs the newest alone.
    #[must_use]
    pub fn rules(self) -> Option<Rules> {
        match self {
            Self::Apt => Some(Rules::Dpkg),
            Self::Dnf | Self::Zypper => Some(Rules::Rpm),
            Self::Pacman => Some(Rules::Pacman),
            Self::Apk => Some(Rules::Apk),
            Self::Brew => None,
        }
    }
}

/// The name of a package, group of packages or provided file, valid for at least one manager.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

impl PackageName {
    /// Reads a name as one manager takes it.
    ///
    /// - apt: Debian policy 5.6.1, without a final `-`, which apt-get(8) reads as "remove".
    /// - dnf: the characters of a NEVRA, or `@group`, or the absolute path of a provided file.
    /// - pacman: PKGBUILD(5) `pkgname`; groups have the same grammar.
    /// - apk: apk-package(5), lower case as in every package of Alpine's.
    /// - zypper: the characters of a NEVRA.
    /// - brew: a formula or cask, with `@` before a version, perhaps behind its tap.
    ///
    /// # Errors
    /// With the bytes at fault, when the text is no such name.
    pub fn for_manager(manager: Manager, text: &str) -> Result<Self, TextFault> {
        let kind = "package name";
        strict(kind, text)?;
        let misfit_at = match manager {
            Manager::Apt if text.ends_with('-') => {
                let message = format!(
                    "the package name {} ends with `-`: apt would remove the package",
                    quote(text)
                );
                return Err(TextFault::new(Code::OptionInjection, message)
                    .at(text.len() - 1..text.len())
                    .help("remove the `-`: recipes do not remove packages"));
            }
            Manager::Apt if text.len() == 1 => Some(1),
            Manager::Apt => misfit(
                text,
                is_lower,
                |b| is_lower(b) || b"+-.".contains(&b),
                MAX_PACKAGE_BYTES,
            ),
            Manager::Dnf => rpm_misfit(text),
            Manager::Zypper => misfit(
                text,
                |b| b.is_ascii_alphanumeric() || b == b'_',
                is_nevra,
                MAX_PACKAGE_BYTES,
            ),
            Manager::Apk => misfit(
                text,
                is_lower,
                |b| is_lower(b) || b"._+-".contains(&b),
                MAX_PACKAGE_BYTES,
            ),
            Manager::Brew => brew_misfit(text),
            Manager::Pacman => misfit(
                text,
                |b| b.is_ascii_alphanumeric() || b"@_+".contains(&b),
                |b| b.is_ascii_alphanumeric() || b"@._+-".contains(&b),
                MAX_PACKAGE_BYTES,
            ),
        };
        match misfit_at {
            None => Ok(Self(text.to_owned())),
            Some(at) => Err(outside(
                Code::InvalidPackageName,
                kind,
                Self::grammar(manager),
                text,
                at,
            )),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A manager's grammar in words.
    #[must_use]
    pub fn grammar(manager: Manager) -> &'static str {
        match manager {
            Manager::Apt => {
                "for apt: at least two lower-case letters, digits and `+-.`, starting with a letter or digit"
            }
            Manager::Dnf => {
                "for dnf: letters, digits and `._+-`, starting with a letter or digit, or `@group`, or a file's absolute path"
            }
            Manager::Pacman => "for pacman: letters, digits and `@._+-`, not starting with `.`",
            Manager::Apk => {
                "for apk: lower-case letters, digits and `._+-`, starting with a letter or digit"
            }
            Manager::Zypper => {
                "for zypper: letters, digits and `._+-`, starting with a letter, a digit or `_`"
            }
            Manager::Brew => {
                "for brew: lower-case letters, digits and `@._+-`, perhaps behind `owner/tap/`"
            }
        }
    }
}

impl FromStr for PackageName {
    type Err = TextFault;

    /// Reads a name that at least one manager takes.
    fn from_str(text: &str) -> Result<Self, TextFault> {
        Manager::ALL
            .into_iter()
            .find_map(|manager| Self::for_manager(manager, text).ok())
            .map_or_else(|| Self::for_manager(Manager::Dnf, text), Ok)
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Longest package name in bytes; the longest in Debian 13 has 87.
const MAX_PACKAGE_BYTES: usize = 200;

/// The characters of a NEVRA's name, rpm-spec(5).
fn is_nevra(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+-".contains(&byte)
}

/// `name` or `owner/tap/name`.
fn brew_misfit(text: &str) -> Option<usize> {
    let parts: Vec<&str> = text.split('/').collect();
    if !matches!(parts.len(), 1 | 3) {
        return Some(text.find('/').unwrap_or(text.len()));
    }
    let belongs = |b: u8| is_lower(b) || b"@._+-".contains(&b);
    let mut start = 0;
    for part in parts {
        if let Some(at) = misfit(part, is_lower, belongs, MAX_PACKAGE_BYTES) {
            return Some(start + at);
        }
        start += part.len() + 1;
    }
    None
}

fn rpm_misfit(text: &str) -> Option<usize> {
    let word = is_nevra;
    match text.as_bytes() {
        [b'@', group @ ..] => {
            let group = std::str::from_utf8(group).unwrap_or_default();
            misfit(
                group,
                |b| b.is_ascii_alphanumeric(),
                word,
                MAX_PACKAGE_BYTES,
            )
            .map(|at| at + 1)
        }
        [b'/', ..] => file_misfit(text),
        _ => misfit(
            text,
            |b| b.is_ascii_alphanumeric() || b == b'_',
            word,
            MAX_PACKAGE_BYTES,
        ),
    }
}

/// A provided file: an absolute path of plain characters, so that no manager takes it for a pattern.
pub(crate) fn file_misfit(text: &str) -> Option<usize> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._+-@".contains(&b);
    let strange = text
        .bytes()
        .position(|b| !plain(b))
        .or((text.len() > 1024).then_some(text.len()));
    let mut at = 1;
    let mut parts = text.split('/').skip(1).map(|part| {
        let start = at;
        at += part.len() + 1;
        (start, part)
    });
    strange.or_else(|| {
        parts
            .find(|(_, part)| matches!(*part, "" | "." | ".."))
            .map(|(start, _)| start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_and_packages_are_called_as_they_are() {
        assert_eq!(
            Manager::ALL.map(Manager::as_str),
            ["apt", "dnf", "pacman", "apk", "zypper", "brew"],
        );
        let name: PackageName = "g++".parse().expect("a name");
        assert_eq!(name.as_str(), "g++");
    }

    #[test]
    fn package_names_by_manager() {
        let code = |manager, text| {
            PackageName::for_manager(manager, text)
                .err()
                .map(|fault| fault.code)
        };
        for good in ["jq", "g++", "libstdc++-12-dev", "containerd.io", "0ad"] {
            assert_eq!(code(Manager::Apt, good), None, "{good}");
        }
        for bad in [
            "j",
            "Jq",
            "jq;reboot",
            "jq rm",
            "jq/sid",
            "jq=1",
            "jq*",
            "$(id)",
            "`id`",
            "+jq",
            "jq_1",
            "a:b",
        ] {
            assert_eq!(
                code(Manager::Apt, bad),
                Some(Code::InvalidPackageName),
                "{bad}"
            );
        }
        assert_eq!(code(Manager::Apt, "jq-"), Some(Code::OptionInjection));
        for good in [
            "jq",
            "NetworkManager",
            "@development-tools",
            "/usr/bin/jq",
            "glibc.i686",
            "gcc-c++",
            "j",
        ] {
            assert_eq!(code(Manager::Dnf, good), None, "{good}");
        }
        for bad in [
            "@",
            "@-x",
            "/",
            "/usr/../x",
            "/usr//x",
            "/usr/bin/*",
            "jq*",
            "perl(JSON)",
            "http:x",
            "a b",
            "./x.rpm",
        ] {
            assert_eq!(
                code(Manager::Dnf, bad),
                Some(Code::InvalidPackageName),
                "{bad}"
            );
        }
        for good in ["jq", "base-devel", "gtk+", "python-pip", "R"] {
            assert_eq!(code(Manager::Pacman, good), None, "{good}");
        }
        for (manager, good) in [
            (Manager::Apk, "py3-pip"),
            (Manager::Zypper, "libopenssl-devel"),
            (Manager::Brew, "openssl@3"),
            (Manager::Brew, "hashicorp/tap/terraform"),
        ] {
            assert_eq!(code(manager, good), None, "{good}");
        }
        for (manager, bad) in [
            (Manager::Apk, "so:libc.musl-x86_64.so.1"),
            (Manager::Apk, "jq=1"),
            (Manager::Apk, "!jq"),
            (Manager::Zypper, "pattern:devel"),
            (Manager::Zypper, "jq>1"),
            (Manager::Brew, "tap/jq"),
            (Manager::Brew, "a//b"),
            (Manager::Brew, "./jq.rb"),
        ] {
            assert_eq!(code(manager, bad), Some(Code::InvalidPackageName), "{bad}");
        }
        for bad in [".jq", "extra/jq", "jq>1", "a b"] {
            assert_eq!(
                code(Manager::Pacman, bad),
                Some(Code::InvalidPackageName),
                "{bad}"
            );
        }
    }
}
