//! Steps that add repositories.

use assay_wire::digest::Digest;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Spanned, quote};
use crate::model::{AptPpa, AptRepo, DnfRepo, RepositoryKey};
use crate::name::{Fingerprint, WireName as _};
use crate::table::{Reader, Table};
use crate::template::{Component, Suite, Url};
use crate::text::TextFault;

fn read_key(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<RepositoryKey> {
    let url = reader.parsed(table, "key_url", str::parse::<Url>);
    let url = reader.required(table, "key_url", url);
    let sha256 = reader.parsed(table, "key_sha256", Digest::read);
    let sha256 = reader.required_hash(table, "key_sha256", sha256);
    let fingerprints = reader
        .list(table, "key_fingerprints", str::parse)
        .unwrap_or_default();
    Some(RepositoryKey {
        url: url?,
        sha256: sha256?,
        fingerprints,
    })
}

/// `apt_repo`.
pub(super) fn read_apt_repo(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<AptRepo> {
    let url = reader.parsed(table, "url", str::parse::<Url>);
    let url = reader.required(table, "url", url);
    let key = read_key(reader, table);
    let name = reader.parsed(table, "name", str::parse);
    let suites = reader.list(table, "suites", str::parse::<Suite>);
    let components = reader.list(table, "components", str::parse::<Component>);
    let default_suite = || {
        "{codename}"
            .parse()
            .ok()
            .map(|suite| vec![Spanned::new(suite, table.span)])
    };
    let default_component = || {
        "main"
            .parse()
            .ok()
            .map(|component| vec![Spanned::new(component, table.span)])
    };
    Some(AptRepo {
        url: url?,
        key: key?,
        name,
        suites: suites.or_else(default_suite)?,
        components: components.or_else(default_component)?,
    })
}

/// `dnf_repo`.
pub(super) fn read_dnf_repo(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<DnfRepo> {
    let url = reader.parsed(table, "url", base_url);
    let url = reader.required(table, "url", url);
    let key = read_key(reader, table);
    let repo_gpgcheck = reader
        .boolean(table, "repo_gpgcheck")
        .is_some_and(|flag| flag.value);
    let name = reader.parsed(table, "name", str::parse);
    Some(DnfRepo {
        url: url?,
        key: key?,
        repo_gpgcheck,
        name,
    })
}

/// A base URL: the `.repo` file is written by assay, from what the recipe says.
fn base_url(text: &str) -> Result<Url, TextFault> {
    let url: Url = text.parse()?;
    if url
        .path()
        .split('?')
        .next()
        .is_some_and(|path| path.ends_with(".repo"))
    {
        let message = format!("{} is a `.repo` file, not a repository", quote(text));
        return Err(TextFault::new(Code::UrlOfRepoFile, message)
            .help("write the `baseurl` that stands in it; assay writes the file"));
    }
    Ok(url)
}

/// `apt_ppa`. Who may sign its packages is known from the recipe alone: Launchpad would answer with
/// any key for a name that changed hands.
pub(super) fn read_apt_ppa(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<AptPpa> {
    let ppa = reader.parsed(table, "ppa", str::parse);
    let ppa = reader.required(table, "ppa", ppa);
    if let (Some(ppa), false) = (&ppa, table.has("key_fingerprint")) {
        let message = format!(
            "nothing says which key signs the packages of `{}`",
            ppa.value
        );
        let help = "add `key_fingerprint = \"…\"`, the 40 hex digits that Launchpad shows under \"Technical details about this PPA\"";
        reader
            .faults
            .report(Diagnostic::new(Code::PpaWithoutKey, ppa.span, message).help(help));
    }
    let key_fingerprint = reader.parsed(table, "key_fingerprint", version_4)?;
    Some(AptPpa {
        ppa: ppa?,
        key_fingerprint,
    })
}

/// The fingerprint of a version 4 key, the only kind Launchpad makes.
fn version_4(text: &str) -> Result<Fingerprint, TextFault> {
    let fingerprint: Fingerprint = text.parse()?;
    if fingerprint.as_str().len() != 40 {
        let message = format!("{} is not a fingerprint of 40 hex digits", quote(text));
        return Err(TextFault::new(Code::InvalidFingerprint, message));
    }
    Ok(fingerprint)
}
