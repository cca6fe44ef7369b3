//! Names of what a step does something to: services, libraries, places and files of the sandbox,
//! archives of Launchpad and taps of Homebrew. Like those of [`crate::name`], which has the rules
//! that hold for all of them.

use std::fmt;
use std::str::FromStr;

use assay_wire::name::GuestPath;
use assay_wire::plan::Privilege;
use assay_wire::program::{HARNESS_FOLDER, USER};

use crate::code::Code;
use crate::diagnostic::quote;
use crate::name::{is_lower, misfit, named, outside};
use crate::text::{TextFault, readable, strict};

named!(
    /// A unit of systemd, as systemd.unit(5) names them: with a suffix, or without for a service.
    ServiceName, InvalidService, "service",
    "letters, digits and `:_.@\\-`, starting with a letter, digit or `_`, at most 255 bytes; a suffix such as `.service` or none",
    |text| misfit(text, |b| b.is_ascii_alphanumeric() || b == b'_', |b| b.is_ascii_alphanumeric() || b":_.@\\-".contains(&b), 255)
        .or_else(|| wrong_suffix(text))
);
named!(
    /// A shared library by its soname, as `ldconfig -p` prints it.
    LibraryName, InvalidLibrary, "soname",
    "letters, digits and `._+-` with `.so` in it, such as `libssl.so.3`, at most 255 bytes",
    |text| misfit(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"._+-".contains(&b), 255)
        .or_else(|| (!text.contains(".so")).then_some(text.len()))
);
named!(
    /// A personal package archive of Launchpad, `owner/name`.
    Ppa, InvalidPpa, "ppa",
    "`owner/name`, each of lower-case letters, digits and `.+-`, starting with a letter or digit",
    |text| pair_misfit(text, |b| is_lower(b) || b"+.-".contains(&b))
);
named!(
    /// A tap of Homebrew, `owner/name`.
    Tap, InvalidTap, "tap",
    "`owner/name`, each of letters, digits and `._-`, starting with a letter or digit",
    |text| pair_misfit(text, |b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);

/// The kinds of units of systemd.unit(5).
const UNIT_SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

impl ServiceName {
    /// The whole name of the unit: one without a suffix is a service, systemctl(1).
    #[must_use]
    pub fn unit(&self) -> String {
        let has_suffix = self
            .0
            .rsplit_once('.')
            .is_some_and(|(_, suffix)| UNIT_SUFFIXES.contains(&suffix));
        if has_suffix {
            self.0.clone()
        } else {
            format!("{}.service", self.0)
        }
    }
}

/// Where a suffix begins that looks like one and is none: a unit's own name may hold dots.
fn wrong_suffix(text: &str) -> Option<usize> {
    let (stem, suffix) = text.rsplit_once('.')?;
    let near = |kind: &str| suffix.len() > 3 && strsim::damerau_levenshtein(kind, suffix) == 1;
    let mistyped = !UNIT_SUFFIXES.contains(&suffix) && UNIT_SUFFIXES.iter().any(|kind| near(kind));
    (stem.is_empty() || suffix.is_empty() || mistyped).then_some(stem.len())
}

/// The first byte at which a text is not two words with a slash between them.
fn pair_misfit(text: &str, belongs: fn(u8) -> bool) -> Option<usize> {
    let begins = |b: u8| b.is_ascii_alphanumeric() && belongs(b);
    let word = |word: &str| misfit(word, begins, belongs, 100);
    match text.split_once('/') {
        None => Some(text.len()),
        Some((owner, name)) => word(owner).or_else(|| word(name).map(|at| owner.len() + 1 + at)),
    }
}

/// A place of the sandbox that a step reads or writes, and whose it is: the unprivileged user's when
/// it is in that user's home, else root's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    path: GuestPath,
    owner: Privilege,
}

impl Place {
    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &GuestPath {
        &self.path
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> Privilege {
        self.owner
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.path.as_str())
    }
}

/// Folders that are no part of a machine's disk, and the harness's own.
const NO_PLACES: [&str; 4] = [HARNESS_FOLDER, "/proc", "/sys", "/dev"];

impl FromStr for Place {
    type Err = TextFault;

    /// Reads an absolute path, or one that begins with `~/`, the unprivileged user's home.
    fn from_str(text: &str) -> Result<Self, TextFault> {
        let kind = "path";
        readable(kind, text, &[])?;
        let home = format!("/home/{USER}");
        let absolute = match text.strip_prefix("~/") {
            Some(rest) => format!("{home}/{rest}"),
            None => text.to_owned(),
        };
        let path: GuestPath = absolute.parse().map_err(|_| {
            let message = format!("{} is not a {kind}", quote(text));
            TextFault::new(Code::InvalidDestination, message)
                .help("write an absolute path, or `~/…`, without `.`, `..` and empty parts")
        })?;
        let inside = |folder: &str| {
            absolute
                .strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(folder) = NO_PLACES.into_iter().find(|folder| inside(folder)) {
            let message = format!(
                "{} is inside `{folder}`, where nothing can be kept",
                quote(text)
            );
            return Err(TextFault::new(Code::InvalidDestination, message));
        }
        let owner = if inside(&home) {
            Privilege::User
        } else {
            Privilege::Root
        };
        Ok(Self { path, owner })
    }
}

/// A file below a folder, as a relative path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinaryPath(String);

impl BinaryPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last part, the name it is installed under.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl FromStr for BinaryPath {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let kind = "file below `from`";
        strict(kind, text)?;
        match format!("/{text}").parse::<GuestPath>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(outside(
                Code::InvalidDestination,
                kind,
                "a relative path without `.`, `..` and empty parts, such as `bin/jq`",
                text,
                text.len(),
            )),
        }
    }
}

/// Permission bits of a file, written in octal as chmod(1) takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Read, write and execute for the owner, read and execute for all others.
    pub const PROGRAM: Self = Self(0o755);
}

impl FromStr for FileMode {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let kind = "file mode";
        strict(kind, text)?;
        let octal = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = (octal && matches!(text.len(), 3 | 4))
            .then(|| u32::from_str_radix(text, 8).ok())
            .flatten();
        bits.map(Self).ok_or_else(|| {
            let grammar = "three or four octal digits in a string, such as \"0755\"";
            outside(Code::InvalidFileMode, kind, grammar, text, text.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code<T: FromStr<Err = TextFault>>(text: &str) -> Option<Code> {
        text.parse::<T>().err().map(|fault| fault.code)
    }

    #[test]
    fn services_have_a_suffix_of_systemd_or_none() {
        for good in [
            "docker",
            "docker.service",
            "getty@tty1.service",
            "fstrim.timer",
            "org.example.App",
            "php8.2-fpm",
            "a.pat",
            "dev-disk-by\\x2dlabel.device",
        ] {
            assert_eq!(code::<ServiceName>(good), None, "{good}");
        }
        for (bad, wanted) in [
            ("docker.servce", Code::InvalidService),
            ("docker.paths", Code::InvalidService),
            ("docker.", Code::InvalidService),
            (".service", Code::InvalidService),
            ("a/b", Code::InvalidService),
            ("a b", Code::InvalidService),
            ("-x", Code::OptionInjection),
        ] {
            assert_eq!(code::<ServiceName>(bad), Some(wanted), "{bad}");
        }
    }

    #[test]
    fn a_name_without_a_kind_is_a_service() {
        for (name, wanted) in [
            ("docker", "docker.service"),
            ("docker.service", "docker.service"),
            ("fstrim.timer", "fstrim.timer"),
            ("org.example.App", "org.example.App.service"),
        ] {
            let service: ServiceName = name.parse().expect("a name");
            assert_eq!(service.unit(), wanted);
        }
    }

    #[test]
    fn libraries_archives_and_taps() {
        for good in ["libssl.so.3", "ld-linux-x86-64.so.2", "libstdc++.so.6"] {
            assert_eq!(code::<LibraryName>(good), None, "{good}");
        }
        for bad in ["openssl", "libssl.so.3 (x)", "/lib/libssl.so"] {
            assert_eq!(
                code::<LibraryName>(bad),
                Some(Code::InvalidLibrary),
                "{bad}"
            );
        }
        assert_eq!(code::<Ppa>("deadsnakes/ppa"), None);
        for bad in [
            "deadsnakes",
            "a/b/c",
            "/b",
            "a/",
            "ppa:deadsnakes/ppa",
            "A/b",
        ] {
            assert_eq!(code::<Ppa>(bad), Some(Code::InvalidPpa), "{bad}");
        }
        assert_eq!(code::<Tap>("hashicorp/tap"), None);
        assert_eq!(code::<Tap>("hashicorp"), Some(Code::InvalidTap));
    }

    #[test]
    fn places_belong_to_the_user_in_the_users_home_and_to_root_elsewhere() {
        for (text, path, owner) in [
            ("/opt/tool", "/opt/tool", Privilege::Root),
            (
                "~/.local/bin/jq",
                "/home/dev/.local/bin/jq",
                Privilege::User,
            ),
            ("/home/dev/x", "/home/dev/x", Privilege::User),
            ("/home/device/x", "/home/device/x", Privilege::Root),
        ] {
            let place: Place = text.parse().expect("a place");
            assert_eq!((place.path().as_str(), place.owner()), (path, owner));
        }
        for bad in [
            "",
            "/",
            "opt",
            "/opt/../etc",
            "/opt//x",
            "~root/x",
            "~",
            "/.assay/x",
            "/proc/self",
            "/dev",
            "/sys/x",
        ] {
            assert_eq!(code::<Place>(bad), Some(Code::InvalidDestination), "{bad}");
        }
        assert_eq!(code::<Place>("/opt/\u{1b}x"), Some(Code::ControlCharacter));
    }

    #[test]
    fn modes_are_octal_and_binaries_stay_below() {
        assert_eq!("0755".parse::<FileMode>().map(FileMode::bits), Ok(0o755));
        assert_eq!("4755".parse::<FileMode>().map(FileMode::bits), Ok(0o4755));
        for bad in ["755x", "77", "00755", "888", "+755"] {
            assert_eq!(code::<FileMode>(bad), Some(Code::InvalidFileMode), "{bad}");
        }
        let binary: BinaryPath = "bin/jq".parse().expect("a path");
        assert_eq!((binary.as_str(), binary.name()), ("bin/jq", "jq"));
        for bad in ["/bin/jq", "../jq", "a/../../b", "a//b", "a/"] {
            assert_eq!(
                code::<BinaryPath>(bad),
                Some(Code::InvalidDestination),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_place_is_absolute(text in ".*") {
            let _ = text.parse::<ServiceName>();
            let _ = text.parse::<LibraryName>();
            let _ = text.parse::<Ppa>();
            let _ = text.parse::<FileMode>();
            if let Ok(place) = text.parse::<Place>() {
                prop_assert!(place.path().as_str().starts_with('/'));
                prop_assert_eq!(place.path().as_str().parse::<Place>(), Ok(place.clone()));
            }
        }
    }
}
