//! Newtypes for every grammar of a recipe. Each has a private field and a `FromStr`: whoever holds
//! a value of these types holds a text inside its grammar. No value can begin with `-` (the flag of
//! a command's version excepted), hold a control character or anything but ASCII.
//!
//! Package names, whose grammar is the manager's, are in [`crate::package`]; URLs and other texts
//! with placeholders in [`crate::template`].

use std::fmt;
use std::str::FromStr;

use assay_packages::VersionRange;
use assay_wire::digest::Digest;
use assay_wire::name::{NameError, RecipeName, StepId, TargetId};

use crate::code::Code;
use crate::diagnostic::quote;
use crate::package::file_misfit;
use crate::text::{TextFault, strict};

/// A text with a value inside a grammar.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $code:ident, $kind:literal, $grammar:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The grammar in words, for messages.
            pub const GRAMMAR: &'static str = $grammar;

            /// The value as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = TextFault;

            fn from_str(text: &str) -> Result<Self, TextFault> {
                strict($kind, text)?;
                let check: fn(&str) -> Option<usize> = $check;
                match check(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(at) => Err(outside(Code::$code, $kind, $grammar, text, at)),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

pub(crate) use named;

named!(
    /// A group of `/etc/group`, as `groupadd` takes it on every supported distribution.
    GroupName, InvalidGroupName, "group name",
    "a lower-case letter or `_`, then at most 31 lower-case letters, digits, `_` and `-`",
    |text| misfit(text, |b| b.is_ascii_lowercase() || b == b'_', |b| is_lower(b) || b"_-".contains(&b), 32)
);
named!(
    /// A user of `/etc/passwd`, as `useradd` takes it on every supported distribution.
    UserName, InvalidUserName, "user name",
    "a lower-case letter or `_`, then at most 31 lower-case letters, digits, `_` and `-`",
    |text| misfit(text, |b| b.is_ascii_lowercase() || b == b'_', |b| is_lower(b) || b"_-".contains(&b), 32)
);
named!(
    /// The bare name of a command, looked up on PATH.
    CommandName, InvalidCommand, "command",
    "a bare name of letters, digits and `._+-@`, starting with a letter, digit or `_`, at most 255 bytes",
    |text| misfit(text, |b| b.is_ascii_alphanumeric() || b == b'_', |b| b.is_ascii_alphanumeric() || b"._+-@".contains(&b), 255)
);
named!(
    /// The name of a repository, also the stem of its file.
    RepositoryName, InvalidRepositoryName, "repository name",
    "lower-case letters, digits and `._-`, starting with a letter or digit, at most 64 bytes",
    |text| misfit(text, is_lower, |b| is_lower(b) || b"._-".contains(&b), 64)
);
named!(
    /// The `ID` of a distribution, os-release(5).
    DistroId, InvalidDistro, "distribution",
    "lower-case letters, digits and `._-`, starting with a letter or digit, at most 64 bytes",
    |text| misfit(text, is_lower, |b| is_lower(b) || b"._-".contains(&b), 64)
);
named!(
    /// A role a machine may have.
    Role, InvalidRole, "role",
    "lower-case letters, digits, `_` and `-`, starting with a letter, at most 64 bytes",
    |text| misfit(text, |b| b.is_ascii_lowercase(), |b| is_lower(b) || b"_-".contains(&b), 64)
);
named!(
    /// A version a command may print about itself.
    CommandVersion, InvalidVersion, "version",
    "a digit, then letters, digits and `.+~_-`, at most 100 bytes",
    |text| misfit(text, |b| b.is_ascii_digit(), |b| b.is_ascii_alphanumeric() || b".+~_-".contains(&b), 100)
);
named!(
    /// A minimum version of a package; which rules compare it, the target says.
    PackageVersion, InvalidVersion, "version",
    "a letter or digit, then letters, digits and `.+-~^:_`, at most 256 bytes",
    |text| misfit(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b".+-~^:_".contains(&b), 256)
);

impl PackageVersion {
    /// The range of versions that are not older.
    ///
    /// # Panics
    /// Never: every value is inside the grammar of a constraint's version.
    #[must_use]
    pub fn at_least(&self) -> VersionRange {
        format!(">={}", self.0)
            .parse()
            .expect("the grammar of a package version is that of a constraint")
    }
}

/// The argument that makes a command print its version. It alone may begin with a hyphen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionFlag(String);

impl VersionFlag {
    /// The argument as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for VersionFlag {
    fn default() -> Self {
        Self("--version".to_owned())
    }
}

impl FromStr for VersionFlag {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let kind = "version flag";
        crate::text::plain_ascii(kind, text)?;
        let hyphens = text.bytes().take_while(|b| *b == b'-').count();
        let word = &text[hyphens..];
        let belongs = |b: u8| b.is_ascii_alphanumeric() || b"._=-".contains(&b);
        let at = if hyphens > 2 {
            Some(2)
        } else {
            misfit(word, |b| b.is_ascii_alphanumeric(), belongs, 64).map(|at| at + hyphens)
        };
        match at {
            None => Ok(Self(text.to_owned())),
            Some(at) => {
                let grammar = "at most two hyphens, then letters, digits and `._=-`, starting with a letter or digit";
                Err(outside(Code::InvalidArgument, kind, grammar, text, at))
            }
        }
    }
}

/// What an argument list begins with: the bare name of a command, or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Program(String);

impl Program {
    /// The program as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Program {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        if !text.starts_with('/') {
            return text.parse::<CommandName>().map(|command| Self(command.0));
        }
        strict("command", text)?;
        match file_misfit(text) {
            None => Ok(Self(text.to_owned())),
            Some(at) => Err(outside(
                Code::InvalidCommand,
                "command",
                "a bare name or an absolute path",
                text,
                at,
            )),
        }
    }
}

/// One word of an argument list. It is never read by a shell, so it may hold anything that can be
/// seen; it has no control characters, because no command line in use needs one and a report does
/// not want one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Argument(String);

impl Argument {
    /// The argument as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Argument {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        crate::text::readable("argument", text, &[])?;
        if text.len() > 4096 {
            return Err(TextFault::new(
                Code::InvalidArgument,
                format!(
                    "the argument has {} bytes; at most 4096 are allowed",
                    text.len()
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// An OpenPGP fingerprint: 40 hex digits (version 4, RFC 4880 12.2) or 64 (version 6, RFC 9580
/// 5.5.4.3), kept in upper case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint as upper-case hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let kind = "fingerprint";
        strict(kind, text)?;
        let strange = text.bytes().position(|b| !b.is_ascii_hexdigit());
        if strange.is_none() && matches!(text.len(), 40 | 64) {
            return Ok(Self(text.to_ascii_uppercase()));
        }
        let fault = outside(
            Code::InvalidFingerprint,
            kind,
            "40 or 64 hex digits",
            text,
            strange.unwrap_or(text.len()),
        );
        let without: String = text.chars().filter(|c| *c != ' ').collect();
        if without.len() < text.len() && without.parse::<Self>().is_ok() {
            return Err(fault.help(format!("write it without spaces: `{without}`")));
        }
        Err(match text.len() {
            8 | 16 => fault.help(
                "a key id is not enough: other keys can have the same; write the whole fingerprint",
            ),
            _ => fault,
        })
    }
}

/// Reads a name whose type the wire owns, with the words and the code that a recipe's faults have.
pub trait WireName: FromStr<Err = NameError> {
    /// The code of a text outside its grammar.
    const CODE: Code;
    /// What it is, in words.
    const KIND: &'static str;
    /// Its grammar, in words.
    const GRAMMAR: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// With the bytes at fault, when the text is no such name.
    fn read(text: &str) -> Result<Self, TextFault> {
        strict(Self::KIND, text)?;
        let at = text
            .bytes()
            .position(|b| !(is_lower(b) || b"._+-".contains(&b)))
            .unwrap_or(text.len());
        text.parse()
            .map_err(|_: NameError| outside(Self::CODE, Self::KIND, Self::GRAMMAR, text, at))
    }
}

impl WireName for RecipeName {
    const CODE: Code = Code::InvalidRecipeName;
    const KIND: &'static str = "recipe name";
    const GRAMMAR: &'static str = Self::GRAMMAR;
}

impl WireName for StepId {
    const CODE: Code = Code::InvalidStepId;
    const KIND: &'static str = "step id";
    const GRAMMAR: &'static str = Self::GRAMMAR;
}

impl WireName for TargetId {
    const CODE: Code = Code::InvalidTarget;
    const KIND: &'static str = "target";
    const GRAMMAR: &'static str = Self::GRAMMAR;
}

impl WireName for Digest {
    const CODE: Code = Code::InvalidSha256;
    const KIND: &'static str = "sha256";
    const GRAMMAR: &'static str = "64 hex digits";
}

/// The fault of a text outside its grammar, pointing at the first byte that does not fit (or, at
/// the end, at the whole text).
pub(crate) fn outside(code: Code, kind: &str, grammar: &str, text: &str, at: usize) -> TextFault {
    let fault = TextFault::new(code, format!("{} is not a {kind}", quote(text)))
        .help(format!("a {kind} is: {grammar}"));
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some(c) => {
            let message = format!("{}: {} does not fit", fault.message, quote(&c.to_string()));
            TextFault { message, ..fault }.at(at..at + c.len_utf8())
        }
        None => fault,
    }
}

/// Offset of the first byte that does not fit, or the length when the text is empty or too long.
pub(crate) fn misfit(
    text: &str,
    first: impl Fn(u8) -> bool,
    rest: impl Fn(u8) -> bool,
    most: usize,
) -> Option<usize> {
    let strange = text
        .bytes()
        .enumerate()
        .position(|(at, b)| if at == 0 { !first(b) } else { !rest(b) });
    strange.or((text.is_empty() || text.len() > most).then_some(text.len()))
}

pub(crate) fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Manager, PackageName};
    use proptest::prelude::*;

    fn code<T: FromStr<Err = TextFault>>(text: &str) -> Option<Code> {
        text.parse::<T>().err().map(|fault| fault.code)
    }

    #[test]
    fn no_name_takes_an_option_a_control_character_or_a_disguise() {
        for (bad, expected) in [
            ("-x", Code::OptionInjection),
            ("--yes", Code::OptionInjection),
            ("a\nb", Code::ControlCharacter),
            ("a\0", Code::ControlCharacter),
            ("аpt", Code::LookAlikeCharacter),
            ("a\u{200b}b", Code::LookAlikeCharacter),
            ("a\u{202e}b", Code::LookAlikeCharacter),
            ("", Code::EmptyValue),
        ] {
            assert_eq!(code::<GroupName>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<UserName>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<CommandName>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<RepositoryName>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<DistroId>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<Role>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<CommandVersion>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<PackageVersion>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<PackageName>(bad), Some(expected), "{bad:?}");
            assert_eq!(code::<Fingerprint>(bad), Some(expected), "{bad:?}");
            assert_eq!(
                RecipeName::read(bad).err().map(|fault| fault.code),
                Some(expected),
                "{bad:?}"
            );
            assert_eq!(
                StepId::read(bad).err().map(|fault| fault.code),
                Some(expected),
                "{bad:?}"
            );
            assert_eq!(
                TargetId::read(bad).err().map(|fault| fault.code),
                Some(expected),
                "{bad:?}"
            );
            assert_eq!(
                Digest::read(bad).err().map(|fault| fault.code),
                Some(expected),
                "{bad:?}"
            );
        }
    }

    /// A value is the text it was read from, up to the longest; `start` is what it begins with.
    fn longest<T: FromStr<Err = TextFault>>(start: &str, longest: usize, as_str: fn(&T) -> &str) {
        for length in [start.len() + 1, longest] {
            let text = format!("{start:a<length$}");
            let value = text.parse::<T>();
            assert_eq!(value.as_ref().map(as_str).ok(), Some(text.as_str()));
        }
        let text = format!("{start:a<length$}", length = longest + 1);
        assert!(text.parse::<T>().is_err(), "{} bytes", text.len());
    }

    #[test]
    fn values_are_their_texts_and_not_too_long() {
        longest("", 32, GroupName::as_str);
        longest("", 32, UserName::as_str);
        longest("", 255, CommandName::as_str);
        longest("", 64, RepositoryName::as_str);
        longest("", 64, DistroId::as_str);
        longest("", 64, Role::as_str);
        longest("1", 100, CommandVersion::as_str);
        longest("", 256, PackageVersion::as_str);
        longest("--", 66, VersionFlag::as_str);
        longest("", 255, Program::as_str);
        longest("/", 1024, Program::as_str);
        longest("-", 4096, Argument::as_str);
    }

    #[test]
    fn commands_are_bare_names() {
        for good in [
            "jq",
            "x86_64-linux-gnu-gcc-12",
            "g++",
            "systemd-analyze",
            "python3.11",
            "7z",
        ] {
            assert_eq!(code::<CommandName>(good), None, "{good}");
        }
        for bad in [
            "/bin/sh", "a/b", "a b", "a;b", "a|b", "$x", "a&", ".", "..", "~", "a=b", "[", "a\\b",
            "'a'",
        ] {
            assert_eq!(
                code::<CommandName>(bad),
                Some(Code::InvalidCommand),
                "{bad}"
            );
        }
    }

    #[test]
    fn version_flags_may_begin_with_two_hyphens() {
        for good in [
            "--version",
            "-V",
            "-version",
            "version",
            "--version=short",
            "-v",
        ] {
            assert_eq!(code::<VersionFlag>(good), None, "{good}");
        }
        for bad in [
            "-",
            "--",
            "---version",
            "--version;id",
            "--version id",
            "--=x",
        ] {
            assert_eq!(
                code::<VersionFlag>(bad),
                Some(Code::InvalidArgument),
                "{bad}"
            );
        }
        assert_eq!(code::<VersionFlag>(""), Some(Code::EmptyValue));
        assert_eq!(
            code::<VersionFlag>("--\u{2010}v"),
            Some(Code::LookAlikeCharacter)
        );
        assert_eq!(code::<VersionFlag>("--v\n"), Some(Code::ControlCharacter));
    }

    #[test]
    fn fingerprints_are_whole() {
        let whole = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
        assert_eq!(
            whole
                .to_lowercase()
                .parse::<Fingerprint>()
                .map(|f| f.as_str().to_owned()),
            Ok(whole.to_owned())
        );
        assert_eq!(
            code::<Fingerprint>("8D81803C0EBFCD88"),
            Some(Code::InvalidFingerprint)
        );
        let spaced = "9DC8 5822 9FC7 DD38 854A  E2D8 8D81 803C 0EBF CD88".parse::<Fingerprint>();
        let fault = spaced.expect_err("spaces are not hex digits");
        assert_eq!(
            fault.help.as_deref(),
            Some("write it without spaces: `9DC858229FC7DD38854AE2D88D81803C0EBFCD88`")
        );
    }

    #[test]
    fn a_misfit_points_at_its_byte() {
        let fault = "docker;id".parse::<GroupName>().expect_err("a semicolon");
        assert_eq!(fault.range, Some(6..7));
        assert_eq!(
            fault.message,
            "`docker;id` is not a group name: `;` does not fit"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_name_begins_with_a_hyphen(text in "\\PC{0,12}|[-a-z;@/.]{0,8}|.*") {
            for manager in Manager::ALL {
                if let Ok(name) = PackageName::for_manager(manager, &text) {
                    prop_assert!(!name.as_str().starts_with('-'));
                    let special = b"$`\"'\\;|&<>(){}*?[]!#~";
                    let plain = name.as_str().bytes().all(|b| b.is_ascii_graphic() && !special.contains(&b));
                    prop_assert!(plain);
                }
            }
            if let Ok(version) = text.parse::<PackageVersion>() {
                prop_assert_eq!(version.at_least().constraints().len(), 1);
            }
            let _ = text.parse::<PackageName>();
            let _ = text.parse::<VersionFlag>();
            let _ = text.parse::<Argument>();
            let _ = text.parse::<Fingerprint>();
            let _ = text.parse::<CommandName>();
            let _ = RecipeName::read(&text);
            let _ = Digest::read(&text);
        }
    }
}
