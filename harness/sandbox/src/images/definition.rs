//! Image definitions: what a target's base image is, and the sources it may come from.
//!
//! One TOML file per target under `base-images/`. Reading happens in two stages: a spanned raw
//! document, then the typed [`Definition`]; every fault names file, line and key. A definition
//! holds no host name of a package mirror: the bootstrap tool's defaults, the machine's apt
//! configuration or the variable the definition names supply it. Nothing is built here
//! ([`build`](super::build)) and no file is read ([`set`](super::set)).

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use assay_wire::digest::{Digest, digest_of};
use assay_wire::name::{GuestPath, TargetId};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::date::Date;
use super::os_release::OsRelease;
use super::source::{Bootstrap, Keyring, RegistryReference, Source, Tool, Variant, Word};

/// The most a definition may hold, in bytes.
pub const LIMIT: usize = 256 * 1024;

/// What a target's base image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The target; equal to the file's stem.
    pub id: TargetId,
    /// The architecture its images have.
    pub architecture: Architecture,
    /// The day stamped on the files and the configuration of images made here
    /// (`SOURCE_DATE_EPOCH`), so that equal contents give equal images.
    pub source_date: Date,
    /// The last day the distribution serves updates; `None` for a rolling release.
    pub eol: Option<Date>,
    /// The distribution's own `os-release`; an image must agree with it.
    pub os_release: OsRelease,
    /// The family of distributions.
    pub family: Family,
    /// The package manager.
    pub package_manager: PackageManager,
    /// The C library.
    pub libc: Libc,
    /// The environment variable that may name a mirror or a dated snapshot.
    pub mirror_variable: Option<String>,
    /// The unprivileged user recipes run as.
    pub user: Word,
    /// Packages and commands that are deliberately not in the image, sorted.
    pub absent: Vec<Word>,
    /// Where the distribution keeps its merged certificates once it has any.
    pub trust_store: Option<GuestPath>,
    /// Whether the hosts of the image's own repository files may be asked over plain http.
    pub plain_http: bool,
    /// Where the image may come from, in order of preference. Never empty.
    pub sources: Vec<Source>,
    /// Identifies what can change an image: id, architecture, day, os-release and sources.
    pub digest: Digest,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum $type {
            $($(#[$value_doc])* #[serde(rename = $word)] $value,)+
        }

        impl $type {
            /// The word used in definitions, labels and messages.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$value),)+
                    other => Err(format!(
                        "`{}` is unknown; known are {}",
                        other.escape_debug(),
                        [$(concat!("`", $word, "`")),+].join(", "),
                    )),
                }
            }
        }
    };
}
pub(super) use words;

words! {
    /// A processor architecture, in Go's words, which engines use.
    Architecture {
        /// x86-64.
        Amd64 = "amd64",
        /// 64-bit ARM.
        Arm64 = "arm64",
    }
}
words! {
    /// A family of distributions.
    Family {
        /// Debian and what derives from it.
        Debian = "debian",
        /// Fedora and what derives from it.
        Fedora = "fedora",
        /// Arch Linux.
        Arch = "arch",
    }
}
words! {
    /// A package manager.
    PackageManager {
        /// apt, with dpkg.
        Apt = "apt",
        /// dnf, with rpm.
        Dnf = "dnf",
        /// pacman.
        Pacman = "pacman",
    }
}
words! {
    /// A C library.
    Libc {
        /// The GNU C library.
        Glibc = "glibc",
        /// musl.
        Musl = "musl",
    }
}

/// A fault of a definition. `line` counts from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    /// The file, as the user knows it.
    pub file: String,
    /// The line of the fault; `None` where the file as a whole is at fault.
    pub line: Option<usize>,
    /// The key of the fault, where there is one.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key `{key}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Definition {
    /// Reads a definition. `file` is shown in errors; its stem must be the definition's `id`.
    ///
    /// # Errors
    ///
    /// The first fault, in the order of the file for faults of form.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, DefinitionError> {
        let whole = |message: &str| DefinitionError {
            file: file.to_owned(),
            line: None,
            key: None,
            message: message.to_owned(),
        };
        if bytes.len() > LIMIT {
            return Err(whole(&format!("it holds more than {LIMIT} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole("it is not UTF-8"))?;
        let document = Document { file, text };
        let raw: RawDefinition = toml::from_str(text).map_err(|error| {
            let span = error
                .span()
                .filter(|span| !span.is_empty() || span.start > 0);
            DefinitionError {
                file: file.to_owned(),
                line: span.as_ref().map(|span| document.line(span)),
                key: span.and_then(|span| document.key_at(&span)),
                message: one_line(error.message()),
            }
        })?;
        typed(&document, raw)
    }

    /// Whether the distribution has stopped serving updates on that day.
    pub fn is_past_eol(&self, today: Date) -> bool {
        self.eol.is_some_and(|eol| eol < today)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDefinition {
    id: Spanned<String>,
    architecture: Spanned<String>,
    source_date: Spanned<String>,
    eol: Option<Spanned<String>>,
    os_release: Spanned<String>,
    family: Spanned<String>,
    package_manager: Spanned<String>,
    libc: Spanned<String>,
    mirror_variable: Option<Spanned<String>>,
    user: Spanned<String>,
    #[serde(default)]
    absent: Vec<Spanned<String>>,
    trust_store: Option<Spanned<String>>,
    plain_http: bool,
    #[serde(default)]
    source: Vec<Spanned<RawSource>>,
}

/// The keys of every kind of source together: a tagged enum would lose the spans.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    kind: Spanned<String>,
    reference: Option<Spanned<String>>,
    tool: Option<Spanned<String>>,
    suite: Option<Spanned<String>>,
    variant: Option<Spanned<String>>,
    include: Option<Vec<Spanned<String>>>,
    components: Option<Vec<Spanned<String>>>,
    keyring: Option<Spanned<RawKeyring>>,
    merged_usr: Option<Spanned<bool>>,
    file: Option<Spanned<String>>,
    sha256: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKeyring {
    file: Spanned<String>,
    package: Option<Spanned<String>>,
    suite: Option<Spanned<String>>,
}

/// The text being read, to tell where a fault is.
struct Document<'a> {
    file: &'a str,
    text: &'a str,
}

impl Document<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// The key that begins the line of a span, for faults the TOML reader found.
    fn key_at(&self, span: &Range<usize>) -> Option<String> {
        let line = self.text.lines().nth(self.line(span) - 1)?;
        let key = line.split_once('=')?.0.trim();
        let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (!key.is_empty() && key.bytes().all(bare)).then(|| key.to_owned())
    }

    fn error(&self, span: &Range<usize>, key: &str, message: impl Into<String>) -> DefinitionError {
        DefinitionError {
            file: self.file.to_owned(),
            line: Some(self.line(span)),
            key: Some(key.to_owned()),
            message: message.into(),
        }
    }

    fn read<T>(&self, key: &str, value: &Spanned<String>) -> Result<T, DefinitionError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        value
            .get_ref()
            .parse()
            .map_err(|error: T::Err| self.error(&value.span(), key, error.to_string()))
    }

    fn read_list<T>(&self, key: &str, values: &[Spanned<String>]) -> Result<Vec<T>, DefinitionError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        values.iter().map(|value| self.read(key, value)).collect()
    }
}

fn typed(document: &Document<'_>, raw: RawDefinition) -> Result<Definition, DefinitionError> {
    let id: TargetId = document.read("id", &raw.id)?;
    let stem = document
        .file
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".toml"));
    if stem != Some(id.as_str()) {
        let message = format!("`{id}` is not the file's name without `.toml`");
        return Err(document.error(&raw.id.span(), "id", message));
    }
    let os_release = OsRelease::parse(raw.os_release.get_ref().as_bytes())
        .map_err(|error| document.error(&raw.os_release.span(), "os_release", error.to_string()))?;
    let mirror_variable = raw
        .mirror_variable
        .map(|variable| {
            if is_variable(variable.get_ref()) {
                return Ok(variable.into_inner());
            }
            let message = "it is no name of an environment variable (capitals, digits and `_`)";
            Err(document.error(&variable.span(), "mirror_variable", message))
        })
        .transpose()?;
    let mut absent: Vec<Word> = document.read_list("absent", &raw.absent)?;
    absent.sort();
    absent.dedup();
    let sources: Vec<Source> = raw
        .source
        .iter()
        .map(|source| typed_source(document, source))
        .collect::<Result<_, _>>()?;
    if sources.is_empty() {
        return Err(DefinitionError {
            file: document.file.to_owned(),
            line: None,
            key: Some("source".to_owned()),
            message: "there is no `[[source]]`, so no image can be made".to_owned(),
        });
    }
    let mut definition = Definition {
        id,
        architecture: document.read("architecture", &raw.architecture)?,
        source_date: document.read("source_date", &raw.source_date)?,
        eol: raw.eol.map(|eol| document.read("eol", &eol)).transpose()?,
        os_release,
        family: document.read("family", &raw.family)?,
        package_manager: document.read("package_manager", &raw.package_manager)?,
        libc: document.read("libc", &raw.libc)?,
        mirror_variable,
        user: document.read("user", &raw.user)?,
        absent,
        trust_store: raw
            .trust_store
            .map(|path| document.read("trust_store", &path))
            .transpose()?,
        plain_http: raw.plain_http,
        sources,
        digest: Digest::from_bytes([0; 32]),
    };
    definition.digest = digest(&definition);
    Ok(definition)
}

fn typed_source(
    document: &Document<'_>,
    spanned: &Spanned<RawSource>,
) -> Result<Source, DefinitionError> {
    let span = spanned.span();
    let raw = spanned.get_ref();
    let allowed: &[&str] = match raw.kind.get_ref().as_str() {
        "registry" => &["reference"],
        "bootstrap" => &[
            "tool",
            "suite",
            "variant",
            "include",
            "components",
            "keyring",
            "merged_usr",
        ],
        "lab" => &["file"],
        "tarball" => &["file", "sha256"],
        other => {
            let message = format!(
                "`{}` is no kind of source; known are `registry`, `bootstrap`, `lab`, `tarball`",
                other.escape_debug()
            );
            return Err(document.error(&raw.kind.span(), "kind", message));
        }
    };
    for (key, place) in given(raw) {
        if !allowed.contains(&key) {
            let message = format!("a source of kind `{}` has no such key", raw.kind.get_ref());
            return Err(document.error(&place, key, message));
        }
    }
    let required = |key: &str, value: &Option<Spanned<String>>| {
        value.clone().ok_or_else(|| {
            let message = format!("a source of kind `{}` needs it", raw.kind.get_ref());
            document.error(&span, key, message)
        })
    };
    let list = |key, values: &Option<Vec<Spanned<String>>>| {
        document.read_list::<Word>(key, values.as_deref().unwrap_or_default())
    };
    match raw.kind.get_ref().as_str() {
        "registry" => {
            let reference: RegistryReference =
                document.read("reference", &required("reference", &raw.reference)?)?;
            Ok(Source::Registry(reference))
        }
        "bootstrap" => {
            let tool: Tool = document.read("tool", &required("tool", &raw.tool)?)?;
            let suite: Word = document.read("suite", &required("suite", &raw.suite)?)?;
            let variant: Variant = document.read("variant", &required("variant", &raw.variant)?)?;
            let include = list("include", &raw.include)?;
            let components = list("components", &raw.components)?;
            if components.is_empty() {
                let message = "a bootstrap needs at least one component of the archive";
                return Err(document.error(&span, "components", message));
            }
            let keyring = raw
                .keyring
                .as_ref()
                .map(|keyring| typed_keyring(document, keyring))
                .transpose()?
                .ok_or_else(|| {
                    document.error(
                        &span,
                        "keyring",
                        "a bootstrap verifies signatures and needs it",
                    )
                })?;
            Ok(Source::Bootstrap(Bootstrap {
                tool,
                suite,
                variant,
                include,
                components,
                merged_usr: raw
                    .merged_usr
                    .as_ref()
                    .is_some_and(|merged| *merged.get_ref()),
                keyring,
            }))
        }
        "lab" => Ok(Source::Lab {
            file: document.read("file", &required("file", &raw.file)?)?,
        }),
        _ => {
            let file = required("file", &raw.file)?;
            if file.get_ref().is_empty() || file.get_ref().chars().any(char::is_control) {
                return Err(document.error(&file.span(), "file", "it is no path"));
            }
            Ok(Source::Tarball {
                file: PathBuf::from(file.get_ref()),
                sha256: document.read("sha256", &required("sha256", &raw.sha256)?)?,
            })
        }
    }
}

fn typed_keyring(
    document: &Document<'_>,
    spanned: &Spanned<RawKeyring>,
) -> Result<Keyring, DefinitionError> {
    let raw = spanned.get_ref();
    let file: GuestPath = document.read("file", &raw.file)?;
    let package = match (&raw.package, &raw.suite) {
        (Some(package), Some(suite)) => Some((
            document.read("package", package)?,
            document.read("suite", suite)?,
        )),
        (None, None) => None,
        (Some(_), None) => {
            let message = "a keyring's `package` needs the `suite` of Debian that has it";
            return Err(document.error(&spanned.span(), "suite", message));
        }
        (None, Some(_)) => {
            let message = "a keyring's `suite` needs the `package` it is in";
            return Err(document.error(&spanned.span(), "package", message));
        }
    };
    Ok(Keyring { file, package })
}

/// The keys a source gives beside its kind, and where.
fn given(raw: &RawSource) -> Vec<(&'static str, Range<usize>)> {
    let texts = [
        ("reference", &raw.reference),
        ("tool", &raw.tool),
        ("suite", &raw.suite),
        ("variant", &raw.variant),
        ("file", &raw.file),
        ("sha256", &raw.sha256),
    ];
    let lists = [("include", &raw.include), ("components", &raw.components)];
    let mut keys: Vec<_> = texts
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?.span())))
        .collect();
    keys.extend(lists.into_iter().filter_map(|(key, values)| {
        // An empty list has no span of its own; the kind's is the nearest.
        let values = values.as_ref()?;
        Some((key, values.first().map_or(raw.kind.span(), Spanned::span)))
    }));
    keys.extend(
        raw.merged_usr
            .as_ref()
            .map(|merged| ("merged_usr", merged.span())),
    );
    keys.extend(
        raw.keyring
            .as_ref()
            .map(|keyring| ("keyring", keyring.span())),
    );
    keys
}

fn is_variable(name: &str) -> bool {
    name.len() <= 100
        && name.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn one_line(message: &str) -> String {
    message
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The digest of what a definition means. Fields that cannot change an image (`eol`, `absent`,
/// the mirror's variable) are left out, so that correcting them rebuilds nothing.
fn digest(definition: &Definition) -> Digest {
    #[derive(Serialize)]
    struct Meaning<'a> {
        id: &'a TargetId,
        architecture: Architecture,
        source_date: String,
        os_release: &'a str,
        sources: &'a [Source],
    }
    digest_of(&Meaning {
        id: &definition.id,
        architecture: definition.architecture,
        source_date: definition.source_date.to_string(),
        os_release: definition.os_release.text(),
        sources: &definition.sources,
    })
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
