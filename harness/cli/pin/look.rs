//! What bytes are: hash, size, kind, and for keys everything that is known and wrong. As a value for
//! programs, and as lines for people.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use assay_content::openpgp::{
    self, Binding, Component, Form, Key, KeyFile, KeyFinding, KeySeverity, SelfHash, UserIdState,
};
use assay_content::store::{Blob, digest_of_reader};
use assay_wire::digest::Digest;
use assay_wire::key::KeyCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::kind;
use crate::error::CliError;
use crate::terminal::{Terminal, plain, wrap};
use crate::time::{now, rfc3339};

/// What bytes are.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Looked {
    /// The URL or file they came from.
    pub(super) source: String,
    pub(super) sha256: Digest,
    /// Bytes.
    pub(super) size: u64,
    /// In words, such as `OpenPGP keys, armored` and `gzip`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The keys, if it is a file of keys.
    pub(super) keys: Vec<KeyRow>,
    /// What is wrong with the keys, the gravest first.
    pub(super) findings: Vec<KeyFinding>,
    /// The file of keys itself, to be judged against what a recipe declares.
    #[serde(skip)]
    pub(super) file: Option<KeyFile>,
}

/// One key.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeyRow {
    primary: ComponentRow,
    subkeys: Vec<ComponentRow>,
    user_ids: Vec<UserIdRow>,
}

/// A primary key or subkey.
#[derive(Debug, Serialize, JsonSchema)]
struct ComponentRow {
    /// 40 or 64 capital hex digits.
    fingerprint: String,
    /// Such as `RSA 4096`.
    algorithm: String,
    /// RFC 3339.
    created: String,
    /// RFC 3339; null for never, and for what nothing binds.
    expires: Option<String>,
    revoked: bool,
    /// Whether a signature that verifies binds it.
    bound: bool,
    /// The hash of that signature.
    hash: Option<&'static str>,
    /// What it may do: `certify`, `sign`, `encrypt`, `authenticate`.
    may: Vec<&'static str>,
}

/// A user id.
#[derive(Debug, Serialize, JsonSchema)]
struct UserIdRow {
    text: String,
    /// `certified`, `revoked` or `uncertified`.
    state: &'static str,
}

/// Looks at a blob of the store.
///
/// # Errors
/// If it cannot be read.
pub(super) fn at_blob(source: &str, blob: &Blob) -> Result<Looked, CliError> {
    let file = File::open(&blob.path);
    let head = file.and_then(|mut file| head(&mut file));
    let head = head.map_err(|error| unreadable(&blob.path, &error))?;
    Ok(at(source, blob.digest, blob.size, &head))
}

/// Looks at a file.
///
/// # Errors
/// If it cannot be read, or is no file.
pub(super) fn at_file(path: &Path) -> Result<Looked, CliError> {
    let fault = |error: io::Error| unreadable(path, &error);
    let mut file = File::open(path).map_err(fault)?;
    if !file.metadata().map_err(fault)?.is_file() {
        let shown = path.display().to_string();
        return Err(CliError::usage(format!("`{}` is no file", plain(&shown))));
    }
    let head = head(&mut file).map_err(fault)?;
    let mut whole = head.as_slice().chain(file);
    let (digest, size) = digest_of_reader(&mut whole).map_err(fault)?;
    Ok(at(&path.display().to_string(), digest, size, &head))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::usage(format!(
        "read `{}`: {error}",
        plain(&path.display().to_string())
    ))
}

/// As much as a file of keys may hold, and one byte more, so that a larger one is told.
fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let most = openpgp::MAX_FILE_BYTES as u64 + 1;
    file.take(most).read_to_end(&mut head)?;
    Ok(head)
}

fn at(source: &str, sha256: Digest, size: u64, head: &[u8]) -> Looked {
    let now = now();
    let (kind, file, findings) = match openpgp::read(head, now) {
        Ok(file) => {
            let form = match file.form {
                Form::Armored => "armored",
                Form::Binary => "binary",
            };
            let count = file.keys.len();
            let keys = if count == 1 { "key" } else { "keys" };
            let findings = openpgp::findings(&file, &[], now);
            (format!("OpenPGP {keys}, {form}"), Some(file), findings)
        }
        Err(error) if kind::begins_as_keys(head) => {
            // The head is cut, so that its own length says nothing.
            let message = if size > openpgp::MAX_FILE_BYTES as u64 {
                openpgp::NotKeys::TooLarge(size).to_string()
            } else {
                error.to_string()
            };
            let finding = KeyFinding {
                severity: KeySeverity::Error,
                code: KeyCode::NotAKey,
                fingerprint: None,
                message,
            };
            ("begins as OpenPGP keys".to_owned(), None, vec![finding])
        }
        Err(_) => (kind::looks_like(head).to_owned(), None, Vec::new()),
    };
    Looked {
        source: source.to_owned(),
        sha256,
        size,
        kind,
        keys: file
            .as_ref()
            .map_or(Vec::new(), |file| file.keys.iter().map(key_row).collect()),
        findings,
        file,
    }
}

fn key_row(key: &Key) -> KeyRow {
    KeyRow {
        primary: component_row(&key.primary),
        subkeys: key.subkeys.iter().map(component_row).collect(),
        user_ids: key
            .user_ids
            .iter()
            .map(|id| UserIdRow {
                text: id.text.clone(),
                state: match id.state {
                    UserIdState::Certified => "certified",
                    UserIdState::Revoked => "revoked",
                    UserIdState::Uncertified => "uncertified",
                },
            })
            .collect(),
    }
}

fn component_row(one: &Component) -> ComponentRow {
    let mut row = ComponentRow {
        fingerprint: one.fingerprint.clone(),
        algorithm: one.algorithm.to_string(),
        created: rfc3339(one.created),
        expires: None,
        revoked: false,
        bound: false,
        hash: None,
        may: Vec::new(),
    };
    if let Binding::Bound {
        expires,
        revoked,
        usage,
        hash,
    } = &one.binding
    {
        row.expires = expires.map(rfc3339);
        row.revoked = *revoked;
        row.bound = true;
        row.hash = Some(match hash {
            SelfHash::Strong(name) | SelfHash::Weak(name) => name,
        });
        let uses = [
            (usage.certify, "certify"),
            (usage.sign, "sign"),
            (usage.encrypt, "encrypt"),
            (usage.authenticate, "authenticate"),
        ];
        row.may = uses
            .into_iter()
            .filter_map(|(may, word)| may.then_some(word))
            .collect();
    }
    row
}

/// The column in which values begin.
const VALUES: usize = 11;

/// Writes what bytes are, for people.
pub(super) fn write(looked: &Looked, terminal: &Terminal, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::of(terminal);
    writeln!(out, "{}", paint.bold(&plain(&looked.source)))?;
    field(out, "sha256", &looked.sha256.to_string())?;
    field(out, "size", &in_bytes(looked.size))?;
    field(out, "type", &looked.kind)?;
    for key in &looked.keys {
        component(out, "key", &key.primary)?;
        for id in &key.user_ids {
            let state = match id.state {
                "certified" => String::new(),
                other => format!(" ({other})"),
            };
            let text = format!("{}{state}", plain(&id.text));
            for line in wrap(&text, terminal.width().saturating_sub(VALUES)) {
                field(out, "", &line)?;
            }
        }
        key.subkeys
            .iter()
            .try_for_each(|subkey| component(out, "subkey", subkey))?;
    }
    findings(&looked.findings, terminal, out)
}

/// Writes what is wrong with keys.
pub(super) fn findings(
    findings: &[KeyFinding],
    terminal: &Terminal,
    out: &mut dyn Write,
) -> io::Result<()> {
    let paint = Paint::of(terminal);
    for finding in findings {
        let word = finding.severity.as_str();
        let painted = paint.severity(finding.severity, &format!("{word:<9}"));
        if let Some(fingerprint) = &finding.fingerprint {
            writeln!(out, "  {painted}{fingerprint}")?;
        }
        let text = format!("{} [{}]", finding.message, finding.code);
        let mut first = finding.fingerprint.is_none();
        for line in wrap(&text, terminal.width().saturating_sub(VALUES)) {
            if std::mem::take(&mut first) {
                writeln!(out, "  {painted}{line}")?;
            } else {
                field(out, "", &line)?;
            }
        }
    }
    Ok(())
}

fn component(out: &mut dyn Write, name: &str, one: &ComponentRow) -> io::Result<()> {
    let day = |time: &str| time.get(..10).unwrap_or(time).to_owned();
    let ends = match (&one.expires, one.bound) {
        (_, false) => "nothing binds it".to_owned(),
        (None, true) => "never ends".to_owned(),
        (Some(expires), true) => format!("ends {}", day(expires)),
    };
    let revoked = if one.revoked { ", revoked" } else { "" };
    let made = day(&one.created);
    field(out, name, &one.fingerprint)?;
    let may = match one.may.as_slice() {
        [] => String::new(),
        may => format!("; may {}", may.join(", ")),
    };
    let text = format!("{}, made {made}, {ends}{revoked}{may}", one.algorithm);
    field(out, "", &text)
}

fn field(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    let width = VALUES - 2;
    writeln!(out, "  {name:<width$}{value}")
}

/// A size with its thousands parted.
pub(super) fn in_bytes(size: u64) -> String {
    let digits = size.to_string();
    let mut parted = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            parted.push(',');
        }
        parted.push(digit);
    }
    format!("{parted} bytes")
}

/// Colours of standard output, or none.
#[derive(Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    pub(super) fn of(terminal: &Terminal) -> Self {
        Self(terminal.colors_stdout())
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn severity(self, severity: KeySeverity, text: &str) -> String {
        self.with(
            match severity {
                KeySeverity::Error => "1;31",
                KeySeverity::Warning => "33",
                KeySeverity::Hint => "36",
            },
            text,
        )
    }

    pub(super) fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parted_by_thousands() {
        assert_eq!(in_bytes(0), "0 bytes");
        assert_eq!(in_bytes(999), "999 bytes");
        assert_eq!(in_bytes(1_234_567), "1,234,567 bytes");
    }
}
