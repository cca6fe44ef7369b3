//! Where packages come from: sources.list(5), the sections of dnf.conf(5) and pacman.conf(5). Each
//! place of a file that names some is an operation of its own.

use assay_wire::plan::KeyScope;
use assay_wire::privileged::{FileText, KeyIdentity, Kind, SourcePlace};

use super::lines::{Comments, lines, sections, values};

/// What a file of repositories says.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The places, each with everything that is said of it.
    pub(super) places: Vec<(Kind, String)>,
    /// What names none.
    pub(super) rest: Vec<String>,
}

/// Reads a file of repositories; one of a form nobody knows is all rest.
pub(super) fn named(path: &str, text: &str) -> Named {
    if path.ends_with(".sources") {
        return deb822(text);
    }
    let lines = lines(text, Comments::HashOrSemicolon);
    let plain = |line: &str, url: &str| (kind(url, Vec::new(), KeyScope::Machine), line.to_owned());
    if path.starts_with("/etc/apt/sources.list") {
        of_lines(lines, one_line)
    } else if path.starts_with("/etc/yum.repos.d/") || path.starts_with("/etc/zypp/repos.d/") {
        of_sections(&lines, &["baseurl", "metalink", "mirrorlist"])
    } else if path == "/etc/pacman.conf" {
        of_sections(&lines, &["Server", "Include"])
    } else if path.starts_with("/etc/pacman.d/") {
        of_lines(lines, |line| {
            let (key, url) = line.split_once('=')?;
            (key.trim() == "Server").then(|| plain(line, url.trim()))
        })
    } else if path.starts_with("/etc/apk/repositories") {
        of_lines(lines, |line| {
            let url = line.split(' ').find(|word| word.contains("://"))?;
            Some(plain(line, url))
        })
    } else {
        of_lines(lines, |_| None)
    }
}

fn of_lines(lines: Vec<String>, place: impl Fn(&str) -> Option<(Kind, String)>) -> Named {
    let mut named = Named::default();
    for line in lines {
        match place(&line) {
            Some(place) => named.places.push(place),
            None => named.rest.push(line),
        }
    }
    named
}

fn kind(url: &str, signed_by: Vec<KeyIdentity>, scope: KeyScope) -> Kind {
    Kind::PkgSource {
        place: SourcePlace::Url(url.to_owned()),
        signed_by,
        scope,
    }
}

/// Keys by the files or fingerprints that are named for them, which nobody has read here.
fn keys(named: &str) -> Vec<KeyIdentity> {
    let words = named.split([',', ' ']).filter(|word| !word.is_empty());
    let is_print = |word: &str| word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit());
    words
        .map(|word| match is_print(word) {
            true => KeyIdentity::Fingerprint(word.to_ascii_uppercase()),
            false => KeyIdentity::Unread(word.to_owned()),
        })
        .collect()
}

fn apt(url: &str, signed_by: &str) -> Kind {
    let keys = keys(signed_by);
    let scope = match keys.is_empty() {
        true => KeyScope::Machine,
        false => KeyScope::Repository,
    };
    kind(url, keys, scope)
}

/// `deb [options] URL suite component …`.
fn one_line(line: &str) -> Option<(Kind, String)> {
    let rest = line
        .strip_prefix("deb-src ")
        .or_else(|| line.strip_prefix("deb "))?;
    let (options, rest) = match rest.trim_start().strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let url = rest.split_whitespace().next()?;
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    Some((apt(url, signed_by.unwrap_or_default()), line.to_owned()))
}

/// Paragraphs of fields (deb822(5)); a key may stand in the field itself, and is then none that has a
/// name.
fn deb822(text: &str) -> Named {
    let mut named = Named::default();
    let fields = |paragraph: &str| {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in paragraph.lines().filter(|line| !line.starts_with('#')) {
            match (line.split_once(':'), fields.last_mut()) {
                (_, Some((_, value))) if line.starts_with([' ', '\t']) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (Some((key, value)), _) => {
                    fields.push((key.trim().to_lowercase(), value.trim().to_owned()));
                }
                (None, _) => fields.push((line.to_owned(), String::new())),
            }
        }
        fields
    };
    for paragraph in text.split("\n\n") {
        let fields = fields(paragraph);
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let all = fields.iter().map(|(key, value)| format!("{key}: {value}"));
        let all = all.collect::<Vec<_>>().join("; ");
        let mut urls = field("uris").split_whitespace().peekable();
        if urls.peek().is_none() && !all.is_empty() {
            named.rest.push(all.clone());
        }
        let signed_by = match field("signed-by") {
            inside if inside.contains("BEGIN PGP") => "in-the-file",
            named => named,
        };
        for url in urls {
            named.places.push((apt(url, signed_by), all.clone()));
        }
    }
    named
}

fn of_sections(lines: &[String], names: &[&str]) -> Named {
    let mut named = Named::default();
    for (section, lines) in sections(lines) {
        let line = format!("[{section}] {}", lines.join("; "));
        let gpgkey: Vec<&str> = values(lines, "gpgkey").collect();
        let gpgkey = keys(&gpgkey.join(" "));
        let urls = names.iter().flat_map(|name| values(lines, name));
        let before = named.places.len();
        named.places.extend(urls.map(|url| {
            (
                kind(url, gpgkey.clone(), KeyScope::Machine),
                line.to_owned(),
            )
        }));
        if named.places.len() == before {
            named.rest.push(line);
        }
    }
    named
}

/// The file itself, for what changed in it and names no place.
pub(super) fn file(path: &str, says: FileText) -> Kind {
    Kind::PkgSource {
        place: SourcePlace::File {
            file: path.to_owned(),
            says,
        },
        signed_by: Vec::new(),
        scope: KeyScope::Machine,
    }
}
