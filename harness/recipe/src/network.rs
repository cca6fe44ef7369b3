//! `[network]` of `assay.toml`: what may be reached, where else it may be had, and how long a server
//! may be silent. Nothing here resolves or connects; `content` does, by what the CLI hands it.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Spanned, quote};
use crate::name::outside;
use crate::pattern::duration;
use crate::table::{Reader, Table};
use crate::template::{Url, is_host};
use crate::text::{TextFault, strict};

/// Settings of fetching.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// How long a server may stay silent; `None` is the harness's own limit.
    pub timeout: Option<Spanned<Duration>>,
    /// What may be reached although it is not a public address.
    pub allow: Vec<Spanned<AllowedNetwork>>,
    /// Where else content may be had.
    pub mirrors: Vec<Mirrored>,
}

/// A prefix of URLs, and its mirrors in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// The prefix.
    pub prefix: Spanned<FolderUrl>,
    /// The mirrors.
    pub mirrors: Vec<Spanned<FolderUrl>>,
}

/// A range of addresses (`10.0.0.0/8`, `fd00::/8`), one address, or the name of a host in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllowedNetwork(String);

/// The https URL of a folder: it ends in `/` and has neither a query nor placeholders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderUrl(String);

impl AllowedNetwork {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FolderUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AllowedNetwork {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("network", text)?;
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let fits = match (address.parse::<IpAddr>(), prefix) {
            (Ok(address), Some(prefix)) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                // `+8` and `08` are numbers to Rust.
                let plain = prefix == "0" || !prefix.starts_with(['0', '+']);
                plain && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits)
            }
            (Ok(_), None) => true,
            (Err(_), Some(_)) => false,
            (Err(_), None) => is_host(text),
        };
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let grammar = "a range of addresses such as `10.0.0.0/8`, an address, or a host such as \
                       `mirror.corp.example`";
        Err(outside(
            Code::InvalidNetwork,
            "network",
            grammar,
            text,
            text.len(),
        ))
    }
}

impl FromStr for FolderUrl {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let url: Url = text.parse()?;
        if url.placeholders().next().is_none() && text.ends_with('/') && !text.contains('?') {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} is not the URL of a folder", quote(text));
        Err(TextFault::new(Code::InvalidUrl, message)
            .help("it ends in `/` and has neither a query nor placeholders: what follows the prefix is kept"))
    }
}

/// Reads the table.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Table<'_>) -> Network {
    let Some(table) = reader.table(root, "network", "`[network]`") else {
        return Network::default();
    };
    reader.check_keys(&table, &["timeout", "allow", "mirrors"], &[]);
    Network {
        timeout: reader.parsed(&table, "timeout", duration),
        allow: reader.list(&table, "allow", str::parse).unwrap_or_default(),
        mirrors: read_mirrors(reader, &table),
    }
}

fn read_mirrors(reader: &mut Reader<'_>, network: &Table<'_>) -> Vec<Mirrored> {
    let Some(table) = reader.table(network, "mirrors", "`mirrors` of `[network]`") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, span) in table.keys() {
        let prefix = reader.read(Spanned::new(key, span), str::parse::<FolderUrl>);
        let mirrors = reader.list(&table, key, str::parse::<FolderUrl>);
        let (Some(prefix), Some(mirrors)) = (prefix, mirrors) else {
            continue;
        };
        if let Some(itself) = mirrors.iter().find(|one| one.value == prefix.value) {
            let message = format!("{} is a mirror of itself", quote(key));
            let diagnostic = Diagnostic::new(Code::DuplicateEntry, itself.span, message);
            reader
                .faults
                .report(diagnostic.help("the original is always asked first"));
        }
        found.push(Mirrored { prefix, mirrors });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_project;

    const FULL: &str = r#"
[network]
timeout = "30s"
allow = ["10.0.0.0/8", "::1", "mirror.corp.example"]
[network.mirrors]
"https://download.example/linux/" = ["https://mirror.corp.example/d/", "https://other.example:8443/"]
"https://example.org/" = "https://mirror.corp.example/e/"
"#;

    #[test]
    fn a_full_table_is_read() {
        let parsed = parse_project(FULL, &[]);
        assert_eq!(parsed.diagnostics, []);
        let network = parsed.value.expect("no fault").network;
        let allowed: Vec<&str> = network.allow.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(allowed, ["10.0.0.0/8", "::1", "mirror.corp.example"]);
        let mirrors: Vec<(&str, usize)> = network
            .mirrors
            .iter()
            .map(|it| (it.prefix.value.as_str(), it.mirrors.len()))
            .collect();
        assert_eq!(
            mirrors,
            [
                ("https://download.example/linux/", 2),
                ("https://example.org/", 1)
            ]
        );
    }

    #[test]
    fn networks_are_ranges_addresses_or_hosts() {
        for good in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "127.0.0.1",
            "::1",
            "fd00::/8",
            "::1/128",
            "localhost",
            "a.b-c.example",
        ] {
            assert!(good.parse::<AllowedNetwork>().is_ok(), "{good}");
        }
        for bad in [
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0/8",
            "127.1",
            "0x7f000001",
            "::/129",
            "[::1]",
            "host/8",
            "host:443",
            "*.example",
            "Host",
            "a b",
            "a,b",
            "https://a/",
        ] {
            assert!(bad.parse::<AllowedNetwork>().is_err(), "{bad}");
        }
    }
}
