//! URLs of the web, as far as fetching and the proxy need them: parsed strictly, joined, and shown safely.
//!
//! A [`WebUrl`] is `http` or `https`, has a valid host, no credentials and no fragment. Everything a
//! recipe, a redirect or a sandbox names goes through it before it is connected to, logged or
//! recorded. Nothing here touches the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// The domain whose hosts are answered from the lab's repositories, never by the network.
/// `.test` is reserved and never delegated (RFC 6761 6.2).
pub const LAB_DOMAIN: &str = "assay.test";

/// Longest URL accepted, in bytes.
pub const LONGEST_URL: usize = 4096;

/// The two schemes of the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain text over TCP, port 80.
    Http,
    /// Over TLS, port 443.
    Https,
}

impl Scheme {
    /// The scheme's name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port a URL of this scheme means when it names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// An `http` or `https` URL (RFC 3986) without credentials and fragment.
///
/// The host is in lower case, dot segments are resolved, a default port is left out of the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebUrl {
    scheme: Scheme,
    host: HostName,
    port: u16,
    path: String,
    query: Option<String>,
}

impl WebUrl {
    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The port, named or the scheme's own.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, percent-encoded as it came; starts with `/` and holds no dot segments.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL a reference means when it stands in a document or a `Location` of this one
    /// (RFC 3986 5.2.2; a fragment is dropped).
    ///
    /// # Errors
    /// The result is not a URL this type holds.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let reference = reference.split('#').next().unwrap_or_default();
        let authority = || format!("{}://{}", self.scheme.name(), self.authority());
        let query = || {
            self.query
                .as_ref()
                .map(|query| format!("?{query}"))
                .unwrap_or_default()
        };
        let text = if has_scheme(reference) {
            reference.to_owned()
        } else if reference.starts_with("//") {
            format!("{}:{reference}", self.scheme.name())
        } else if reference.starts_with('/') {
            format!("{}{reference}", authority())
        } else if reference.is_empty() {
            format!("{}{}{}", authority(), self.path, query())
        } else if reference.starts_with('?') {
            format!("{}{}{reference}", authority(), self.path)
        } else {
            let folder = self.path.rfind('/').map_or("/", |end| &self.path[..=end]);
            format!("{}{folder}{reference}", authority())
        };
        text.parse()
    }

    /// The URL with the values of query parameters that carry credentials replaced by `***`: what
    /// may stand in a log, a record or a report.
    #[must_use]
    pub fn redacted(&self) -> String {
        let mut text = format!("{}://{}{}", self.scheme.name(), self.authority(), self.path);
        if let Some(query) = &self.query {
            let shown: Vec<String> = query.split('&').map(redact_parameter).collect();
            text.push('?');
            text.push_str(&shown.join("&"));
        }
        text
    }

    /// `host` or `host:port`, the port only when it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for WebUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let fault = |fault| UrlError {
            url: shown(text),
            fault,
        };
        if text.len() > LONGEST_URL {
            return Err(fault(UrlFault::TooLong));
        }
        if !text.bytes().all(is_url_byte) {
            return Err(fault(UrlFault::Character));
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| fault(UrlFault::Scheme))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(fault(UrlFault::Scheme)),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest
            .find('/')
            .map_or((rest, "/"), |start| rest.split_at(start));
        if authority.contains('@') {
            return Err(fault(UrlFault::Credentials));
        }
        let (host, port) = split_authority(authority).ok_or_else(|| fault(UrlFault::Host))?;
        let port = port.unwrap_or_else(|| scheme.default_port());
        Ok(Self {
            scheme,
            host,
            port,
            path: without_dot_segments(path),
            query,
        })
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme.name(),
            self.authority(),
            self.path
        )?;
        self.query
            .as_ref()
            .map_or(Ok(()), |query| write!(f, "?{query}"))
    }
}

/// Splits `host`, `host:port` or `[v6]:port`. `None` when either is malformed; port 0 is malformed.
#[must_use]
pub fn split_authority(authority: &str) -> Option<(HostName, Option<u16>)> {
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        Some(_) | None => (authority, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
    };
    Some((HostName::parse(host).ok()?, port))
}

/// The name of a host: DNS labels (RFC 1123 2.1; underscores are let through), an IPv4 address, or
/// an IPv6 address in brackets. In lower case, without the root's trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads a host name.
    ///
    /// # Errors
    /// It is empty, longer than 253 bytes, has a malformed label, or ends in a number without
    /// being a dotted IPv4 address: resolvers read `127.1` and `0x7f000001` as addresses.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let bad = || UrlError {
            url: shown(text),
            fault: UrlFault::Host,
        };
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Some(address) = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let address: Ipv6Addr = address.parse().map_err(|_| bad())?;
            return Ok(Self(format!("[{address}]")));
        }
        let labels_are_fine = name.len() <= 253 && name.split('.').all(is_label);
        let last = name.rsplit('.').next().unwrap_or_default();
        let ends_in_a_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !labels_are_fine || (ends_in_a_number && name.parse::<Ipv4Addr>().is_err()) {
            return Err(bad());
        }
        Ok(Self(name))
    }

    /// The name; an IPv6 address stands in brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, when the name is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .ok()
    }

    /// Whether the name is an address rather than a name.
    #[must_use]
    pub fn looks_like_an_address(&self) -> bool {
        self.address().is_some()
    }

    /// Whether the host is one of the lab's (`*.assay.test`).
    #[must_use]
    pub fn is_lab(&self) -> bool {
        self.0
            .strip_suffix(LAB_DOMAIN)
            .is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a URL this harness follows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{url}` {fault}")]
pub struct UrlError {
    /// The text, escaped, without credentials and at most 200 characters.
    pub url: String,
    /// What is wrong with it.
    pub fault: UrlFault,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlFault {
    /// Neither `http` nor `https`.
    Scheme,
    /// The host or the port is malformed.
    Host,
    /// User name or password before the host.
    Credentials,
    /// A byte that may not stand in a URL (RFC 3986 2).
    Character,
    /// Longer than [`LONGEST_URL`].
    TooLong,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "is not an http or https URL",
            Self::Host => "has no valid host and port",
            Self::Credentials => "holds credentials",
            Self::Character => "holds a character that must be percent-encoded",
            Self::TooLong => "is too long for a URL",
        })
    }
}

/// A text that failed to parse as a URL, made fit for a message or a record: everything that may be
/// credentials is cut out, too much rather than too little, since where they end is not certain.
pub(crate) fn shown(text: &str) -> String {
    let start = text.find("://").map_or(0, |scheme| scheme + 3);
    let text = match text.rfind('@') {
        Some(at) if start <= at => format!("{}***{}", &text[..start], &text[at..]),
        Some(_) | None => text.to_owned(),
    };
    text.chars()
        .take(200)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

/// Decodes `%xx` (RFC 3986 2.1). `None` when a percent sign is not followed by two hex digits.
pub(crate) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || {
                (bytes.next()? as char)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            decoded.push((digit()? << 4) | digit()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

fn is_url_byte(byte: u8) -> bool {
    // `^`, `{`, `|` and `}` are sent unencoded by common tools and mean no harm.
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`')
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

/// RFC 3986 5.2.4. Encoded dots (`%2e`) are left: a server may read them as it likes, and
/// [`crate::lab_hosts`] refuses them.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let end = if ends_in_folder && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

fn redact_parameter(parameter: &str) -> String {
    const SECRET_WORDS: [&str; 8] = [
        "token",
        "secret",
        "password",
        "passwd",
        "signature",
        "credential",
        "auth",
        "key",
    ];
    match parameter.split_once('=') {
        Some((name, _)) => {
            let lower = name.to_ascii_lowercase();
            if lower == "sig" || SECRET_WORDS.iter().any(|word| lower.contains(word)) {
                format!("{name}=***")
            } else {
                parameter.to_owned()
            }
        }
        None => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests;
