//! Reading a definition, in two stages: a spanned raw document, then the typed [`Definition`]; every
//! fault names file, line and key. What a key means: [`definition`](super::definition).

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use assay_wire::digest::Digest;
use assay_wire::name::{GuestPath, TargetId};
use serde::Deserialize;
use toml::Spanned;

use super::definition::{Definition, DefinitionError, LIMIT, Os};
use super::os_release::OsRelease;
use super::source::{Bootstrap, Keyring, RegistryReference, Source, Tool, Variant, Word};

/// Reads a definition, all but its digest.
///
/// # Errors
/// The first fault, in the order of the file for faults of form.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Definition, DefinitionError> {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDefinition {
    id: Spanned<String>,
    os: Option<Spanned<String>>,
    architecture: Spanned<String>,
    plan_only: Option<Spanned<bool>>,
    source_date: Option<Spanned<String>>,
    eol: Option<Spanned<String>>,
    os_release: Option<Spanned<String>>,
    family: Option<Spanned<String>>,
    package_manager: Spanned<String>,
    libc: Option<Spanned<String>>,
    mirror_variable: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    #[serde(default)]
    absent: Vec<Spanned<String>>,
    trust_store: Option<Spanned<String>>,
    plain_http: Option<Spanned<bool>>,
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

    fn read_option<T>(
        &self,
        key: &str,
        value: Option<&Spanned<String>>,
    ) -> Result<Option<T>, DefinitionError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        value.map(|value| self.read(key, value)).transpose()
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
    let os = raw
        .os
        .as_ref()
        .map_or(Ok(Os::Linux), |os| document.read("os", os))?;
    let plan_only = raw
        .plan_only
        .as_ref()
        .is_some_and(|plan_only| *plan_only.get_ref());
    check_keys(document, &raw, os, plan_only)?;
    let os_release = raw
        .os_release
        .as_ref()
        .map(|text| {
            OsRelease::parse(text.get_ref().as_bytes())
                .map_err(|error| document.error(&text.span(), "os_release", error.to_string()))
        })
        .transpose()?;
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
    Ok(Definition {
        id,
        os,
        architecture: document.read("architecture", &raw.architecture)?,
        source_date: document.read_option("source_date", raw.source_date.as_ref())?,
        eol: document.read_option("eol", raw.eol.as_ref())?,
        os_release,
        family: document.read_option("family", raw.family.as_ref())?,
        package_manager: document.read("package_manager", &raw.package_manager)?,
        libc: document.read_option("libc", raw.libc.as_ref())?,
        mirror_variable,
        user: document.read_option("user", raw.user.as_ref())?,
        absent,
        trust_store: document.read_option("trust_store", raw.trust_store.as_ref())?,
        plain_http: raw.plain_http.is_some_and(Spanned::into_inner),
        sources,
        digest: Digest::from_bytes([0; 32]),
    })
}

/// Which keys there must and may be: those of an image where one is made, those of a distribution
/// on Linux.
fn check_keys(
    document: &Document<'_>,
    raw: &RawDefinition,
    os: Os,
    plan_only: bool,
) -> Result<(), DefinitionError> {
    let place = |text: &Option<Spanned<String>>| text.as_ref().map(Spanned::span);
    let of_linux = [
        ("os_release", place(&raw.os_release)),
        ("family", place(&raw.family)),
        ("libc", place(&raw.libc)),
    ];
    let image_needs = [
        ("source_date", place(&raw.source_date)),
        ("user", place(&raw.user)),
        ("plain_http", raw.plain_http.as_ref().map(Spanned::span)),
        ("source", raw.source.first().map(Spanned::span)),
    ];
    let image_may_have = [
        ("mirror_variable", place(&raw.mirror_variable)),
        ("trust_store", place(&raw.trust_store)),
        ("absent", raw.absent.first().map(Spanned::span)),
    ];
    let missing = |key: &str, message: &str| DefinitionError {
        file: document.file.to_owned(),
        line: None,
        key: Some(key.to_owned()),
        message: message.to_owned(),
    };
    if let (Os::Darwin, false) = (os, plan_only) {
        let message =
            "a target of this system is only planned for and needs it: `plan_only = true`";
        return Err(missing("plan_only", message));
    }
    for (key, found) in of_linux {
        match (os, found) {
            (Os::Linux, None) => return Err(missing(key, "a Linux target needs it")),
            (Os::Darwin, Some(place)) => {
                return Err(document.error(&place, key, "only a Linux target has it"));
            }
            (Os::Linux, Some(_)) | (Os::Darwin, None) => {}
        }
    }
    for (key, found) in &image_needs {
        match (plan_only, found) {
            (false, None) if *key == "source" => {
                let message = "there is no `[[source]]`, so no image can be made; `plan_only = true` says that none is meant";
                return Err(missing(key, message));
            }
            (false, None) => return Err(missing(key, "a target with images needs it")),
            (true, _) | (false, Some(_)) => {}
        }
    }
    for (key, found) in image_needs.into_iter().chain(image_may_have) {
        if let (true, Some(place)) = (plan_only, found) {
            return Err(document.error(&place, key, "a target that is only planned for has none"));
        }
    }
    Ok(())
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
