//! The sources of an image: the value types of a definition's `[[source]]`.
//!
//! Every text that will become an argument of a command or part of a request has a grammar here:
//! none can begin with `-`, hold white space, or mean a path outside its place.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use assay_wire::digest::Digest;
use assay_wire::name::GuestPath;
use serde::Serialize;

use super::definition::words;

/// Where an image may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// A registry, by digest.
    Registry(RegistryReference),
    /// Built from the distribution's own signed archive.
    Bootstrap(Bootstrap),
    /// A stand-in made by `assay-lab`.
    Lab {
        /// The `target` of an image in the lab's manifest.
        file: Word,
    },
    /// A root file system in a file.
    Tarball {
        /// Its path, relative to the definition's folder.
        file: PathBuf,
        /// What its bytes must hash to.
        sha256: Digest,
    },
}

impl Source {
    /// The kind, which every result names.
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Registry(_) => SourceKind::Registry,
            Self::Bootstrap(_) => SourceKind::Bootstrap,
            Self::Lab { .. } => SourceKind::Lab,
            Self::Tarball { .. } => SourceKind::Tarball,
        }
    }
}

words! {
    /// The kind of a source, and of the images that came from it.
    SourceKind {
        /// Pulled from a registry: the distribution's own image.
        Registry = "registry",
        /// Built from the distribution's own packages.
        Bootstrap = "bootstrap",
        /// A stand-in: the real package manager on another distribution's packages.
        Lab = "lab",
        /// From a file the user named.
        Tarball = "tarball",
    }
}

impl SourceKind {
    /// Whether what runs in it is the distribution itself, not a stand-in.
    pub fn is_genuine(self) -> bool {
        match self {
            Self::Registry | Self::Bootstrap | Self::Tarball => true,
            Self::Lab => false,
        }
    }
}

/// How a root file system is built from a distribution's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// The tool that builds it.
    pub tool: Tool,
    /// The archive's suite (`noble`).
    pub suite: Word,
    /// The tool's package set.
    pub variant: Variant,
    /// Packages beyond it.
    pub include: Vec<Word>,
    /// The archive's components, never empty.
    pub components: Vec<Word>,
    /// The keys the archive is signed with.
    pub keyring: Keyring,
    /// Whether the directories are merged into `/usr` before anything is unpacked, as the
    /// distribution's own installer does it; else Debian 12 pulls in `usrmerge` and with it Perl.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub merged_usr: bool,
}

/// The keys an archive is signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Keyring {
    /// Where the machine's own package puts it, and where it lies inside that package.
    pub file: GuestPath,
    /// For machines that lack the file: the package in Debian's archive that has it, and the
    /// suite to take it from.
    pub package: Option<(Word, Word)>,
}

words! {
    /// A tool that builds a root file system.
    Tool {
        /// mmdebstrap(1).
        Mmdebstrap = "mmdebstrap",
    }
}
words! {
    /// A package set of mmdebstrap(1).
    Variant {
        /// The essential packages and apt.
        Minbase = "minbase",
        /// The essential packages.
        Essential = "essential",
        /// Every package of priority required.
        Required = "required",
    }
}

/// A word that becomes an argument: a package, a suite, a component, a user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Word(String);

impl Word {
    /// The word as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-._".contains(&b);
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if text.len() <= 100 && text.bytes().next().is_some_and(first) && text.bytes().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{}` is not made of lower-case letters, digits and `+-._`, beginning with a letter or digit",
                text.chars().take(120).collect::<String>().escape_debug()
            ))
        }
    }
}

/// A registry's image by digest: `[HOST[:PORT]/]PATH[:TAG]@sha256:HEX`. The tag is for people; the
/// digest decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryReference {
    name: String,
    tag: Option<String>,
    digest: Digest,
}

impl RegistryReference {
    /// What an engine is asked for: name and digest, without the tag (which some engines refuse
    /// beside a digest).
    pub fn by_digest(&self) -> String {
        format!("{}@sha256:{}", self.name, self.digest)
    }

    /// The digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        write!(f, "@sha256:{}", self.digest)
    }
}

impl FromStr for RegistryReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = text
            .split_once('@')
            .ok_or("it has no digest: write `NAME:TAG@sha256:…`, a tag alone can be moved")?;
        let digest = digest
            .strip_prefix("sha256:")
            .ok_or("its digest does not begin with `sha256:`")?
            .parse()
            .map_err(|error: assay_wire::name::NameError| error.to_string())?;
        // A colon after the last slash begins a tag; one before it a port.
        let path_start = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name[path_start..].split_once(':') {
            Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
            None => (name, None),
        };
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:".contains(&b);
        let part = |part: &str| {
            part.bytes().all(inner)
                && part
                    .bytes()
                    .next()
                    .is_some_and(|b| b.is_ascii_alphanumeric())
        };
        let tag_byte = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let valid = name.len() <= 255
            && name.split('/').all(part)
            && tag
                .is_none_or(|tag| !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(tag_byte));
        if !valid {
            return Err(format!("`{}` is no name of an image", name.escape_debug()));
        }
        Ok(Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "786a8b558f7be160c6c8c4a54f9a57274f3b4fb1491cf65146521ae77ff1dc54";

    #[test]
    fn a_reference_is_taken_apart() {
        for (text, asked) in [
            (
                format!("ubuntu:24.04@sha256:{HEX}"),
                format!("ubuntu@sha256:{HEX}"),
            ),
            (
                format!("ubuntu@sha256:{HEX}"),
                format!("ubuntu@sha256:{HEX}"),
            ),
            (
                format!("localhost:5000/a/b:t@sha256:{HEX}"),
                format!("localhost:5000/a/b@sha256:{HEX}"),
            ),
            (
                format!("localhost:5000/b@sha256:{HEX}"),
                format!("localhost:5000/b@sha256:{HEX}"),
            ),
        ] {
            let reference: RegistryReference = text.parse().expect("a reference");
            assert_eq!(reference.by_digest(), asked);
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn a_reference_without_a_whole_digest_is_refused() {
        for (text, word) in [
            ("ubuntu:24.04".to_owned(), "no digest"),
            (format!("ubuntu:24.04@md5:{HEX}"), "sha256:"),
            (format!("ubuntu@sha256:{}", &HEX[1..]), "64 hex digits"),
            (format!("ubuntu@sha256:{}g", &HEX[1..]), "64 hex digits"),
            (format!("-ubuntu@sha256:{HEX}"), "no name"),
            (format!("ubuntu:@sha256:{HEX}"), "no name"),
            (format!("Ubuntu@sha256:{HEX}"), "no name"),
            (format!("a//b@sha256:{HEX}"), "no name"),
            (format!("a b@sha256:{HEX}"), "no name"),
            (format!("@sha256:{HEX}"), "no name"),
        ] {
            let error = text.parse::<RegistryReference>().expect_err(&text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_word_cannot_be_an_option_or_several_words() {
        for text in [
            "", "-x", "--option", "a b", "a,b", "a;b", "a/b", "A", "ä", ".a", "a\n",
        ] {
            assert!(text.parse::<Word>().is_err(), "{text:?}");
        }
        for text in ["noble", "bookworm-updates", "g++", "24.04", "libstdc++6"] {
            assert_eq!(text.parse::<Word>().expect("a word").as_str(), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_reference_or_refused(text in "\\PC{0,40}(@sha256:[0-9a-f]{60,66})?") {
            if let Ok(reference) = text.parse::<RegistryReference>() {
                proptest::prop_assert!(!reference.by_digest().starts_with('-'));
                proptest::prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
