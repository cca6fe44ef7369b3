//! URLs, suites and components: texts that may hold placeholders, which `plan` replaces by those of
//! the effective distribution. Nothing is replaced here.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::code::Code;
use crate::diagnostic::{nearest, quote};
use crate::name::outside;
use crate::text::{TextFault, strict};

/// What `plan` puts in the place of `{…}`: always that of the effective distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placeholder {
    /// `{distro}`: the id, such as `ubuntu`.
    Distro,
    /// `{codename}`: the release's code name, such as `noble`.
    Codename,
    /// `{version_id}`: the release's version, such as `24.04`.
    VersionId,
    /// `{arch}`: the architecture in the manager's own spelling.
    Arch,
}

impl Placeholder {
    /// Every placeholder.
    pub const ALL: [Self; 4] = [Self::Distro, Self::Codename, Self::VersionId, Self::Arch];

    /// The word between the braces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Distro => "distro",
            Self::Codename => "codename",
            Self::VersionId => "version_id",
            Self::Arch => "arch",
        }
    }
}

/// A text in its pieces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Piece {
    Literal(String),
    Placeholder(Placeholder),
}

impl Template {
    /// Splits a text at its placeholders.
    fn split(kind: &str, code: Code, text: &str) -> Result<Self, TextFault> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(brace) = text[at..].find(['{', '}']).map(|offset| at + offset) {
            if brace > at {
                pieces.push(Piece::Literal(text[at..brace].to_owned()));
            }
            let end = text[brace..].find('}').map(|offset| brace + offset);
            let Some(end) = end.filter(|end| *end > brace) else {
                let message = format!(
                    "the {kind} {} has a brace without its counterpart",
                    quote(text)
                );
                return Err(TextFault::new(code, message).at(brace..brace + 1));
            };
            let word = &text[brace + 1..end];
            let Some(placeholder) = Placeholder::ALL
                .into_iter()
                .find(|known| known.as_str() == word)
            else {
                return Err(unknown_placeholder(word).at(brace..end + 1));
            };
            pieces.push(Piece::Placeholder(placeholder));
            at = end + 1;
        }
        if at < text.len() {
            pieces.push(Piece::Literal(text[at..].to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Placeholder(placeholder) => Some(*placeholder),
        })
    }

    fn fill<'v>(
        &self,
        mut value: impl FnMut(Placeholder) -> Option<&'v str>,
    ) -> Result<String, Placeholder> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => filled.push_str(text),
                Piece::Placeholder(placeholder) => {
                    filled.push_str(value(*placeholder).ok_or(*placeholder)?)
                }
            }
        }
        Ok(filled)
    }
}

fn unknown_placeholder(word: &str) -> TextFault {
    let message = format!("unknown placeholder {}", quote(&format!("{{{word}}}")));
    let help = match (word, nearest(word, Placeholder::ALL.map(Placeholder::as_str))) {
        ("version", _) => "a version belongs into the `version` of a package; the distribution's is `{version_id}`".to_owned(),
        (_, Some(near)) => format!("did you mean `{{{near}}}`?"),
        (_, None) => "the placeholders are `{distro}`, `{codename}`, `{version_id}` and `{arch}`".to_owned(),
    };
    TextFault::new(Code::UnknownPlaceholder, message).help(help)
}

macro_rules! template {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Template);

        impl $type {
            /// The text as written, with its placeholders.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0.text
            }

            /// The placeholders, in the order they stand.
            pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
                self.0.placeholders()
            }

            /// The text with every placeholder replaced.
            ///
            /// # Errors
            /// The first placeholder that has no value.
            pub fn fill<'v>(&self, value: impl FnMut(Placeholder) -> Option<&'v str>) -> Result<String, Placeholder> {
                self.0.fill(value)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0.text)
            }
        }
    };
}

template!(
    /// An https URL (RFC 3986) without userinfo and fragment. The host is always literal, so that
    /// what is consented to is known without a target; placeholders may stand after it.
    Url
);
template!(
    /// A suite of an apt repository (sources.list(5)).
    Suite
);
template!(
    /// A component of an apt repository (sources.list(5)).
    Component
);

/// Longest URL in bytes.
const MAX_URL_BYTES: usize = 2048;

impl Url {
    /// The host, in lower case as written.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        authority.split(':').next().unwrap_or(authority)
    }

    /// The path with its query, as written.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = &self.0.text["https://".len()..];
        &rest[self.authority().len()..]
    }

    fn authority(&self) -> &str {
        let rest = &self.0.text["https://".len()..];
        rest.split(['/', '?']).next().unwrap_or(rest)
    }
}

impl FromStr for Url {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        strict("URL", text)?;
        let bad = |at: usize| {
            outside(
                Code::InvalidUrl,
                "URL",
                "https://host/path, of the characters of RFC 3986",
                text,
                at,
            )
        };
        if text.len() > MAX_URL_BYTES {
            return Err(bad(text.len()));
        }
        let Some(rest) = text.strip_prefix("https://") else {
            return Err(scheme_fault(text));
        };
        let start = text.len() - rest.len();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if let Some(at) = authority.rfind('@') {
            let message = format!(
                "the URL of {} holds a user name or password",
                quote(&authority[at + 1..])
            );
            return Err(TextFault::new(Code::UrlWithUserinfo, message)
                .at(start..start + at + 1)
                .help(
                    "credentials come from the user's environment; they never stand in a recipe",
                ));
        }
        if let Some(at) = text.find('#') {
            let message = format!(
                "the URL {} has a fragment, which no server ever sees",
                quote(text)
            );
            return Err(TextFault::new(Code::UrlWithFragment, message)
                .at(at..text.len())
                .help("remove it"));
        }
        if let Some(at) = authority_misfit(authority) {
            return Err(bad(start + at));
        }
        if let Some(at) = path_misfit(&rest[authority.len()..]) {
            return Err(bad(start + authority.len() + at));
        }
        Template::split("URL", Code::InvalidUrl, text).map(Self)
    }
}

fn scheme_fault(text: &str) -> TextFault {
    match text.split_once("://") {
        Some((scheme, _)) => {
            let message = format!(
                "the URL has the scheme {}; only `https` is allowed",
                quote(scheme)
            );
            let fault = TextFault::new(Code::UrlNotHttps, message).at(0..scheme.len());
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
                fault.help("write `https://`, in lower case")
            } else {
                fault
            }
        }
        None => outside(
            Code::InvalidUrl,
            "URL",
            "https://host/path",
            text,
            text.len(),
        ),
    }
}

/// True for the name of a host or an IPv4 address, without a port.
pub(crate) fn is_host(text: &str) -> bool {
    !text.contains(':') && authority_misfit(text).is_none()
}

/// Offset of the first byte of `host[:port]` that does not fit. A host that ends in a number is a
/// whole IPv4 address: resolvers read `127.1` and `0x7f000001` as addresses, too.
fn authority_misfit(authority: &str) -> Option<usize> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let strange = host
        .bytes()
        .position(|b| !(b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or(host);
    let ends_in_a_number = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let number_fits = !ends_in_a_number || host.parse::<Ipv4Addr>().is_ok();
    let port_fits = |port: &str| {
        port.len() <= 5 && port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+')
    };
    let host_fits = host.len() <= 253 && host.split('.').all(label) && number_fits;
    strange
        .or((!host_fits).then_some(0))
        .or(port.filter(|port| !port_fits(port)).map(|_| host.len()))
}

/// Offset of the first byte of the path and query that does not fit: RFC 3986 3.3 and 3.4, braces
/// for placeholders, whole percent signs, no `.` or `..` segment.
fn path_misfit(path: &str) -> Option<usize> {
    let bytes = path.as_bytes();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~!&'()*+,;=:@/?%{}".contains(&b);
    let strange = bytes.iter().position(|b| !fits(*b));
    let percent = bytes.iter().enumerate().find(|(at, b)| {
        **b == b'%'
            && !(bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
                && bytes.get(at + 2).is_some_and(u8::is_ascii_hexdigit))
    });
    let mut start = 0;
    let mut segments = path
        .split('?')
        .next()
        .unwrap_or(path)
        .split('/')
        .map(|segment| {
            let at = start;
            start += segment.len() + 1;
            (at, segment)
        });
    strange.or(percent.map(|(at, _)| at)).or_else(|| {
        segments
            .find(|(_, segment)| matches!(*segment, "." | ".."))
            .map(|(at, _)| at)
    })
}

impl FromStr for Suite {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let grammar = "letters, digits and `._+~/-`, starting and ending with a letter, digit or placeholder; flat repositories (`./`) are not supported";
        word(Code::InvalidSuite, "suite", grammar, b"._+~/-", text).map(Self)
    }
}

impl FromStr for Component {
    type Err = TextFault;

    fn from_str(text: &str) -> Result<Self, TextFault> {
        let grammar =
            "letters, digits and `._+/-`, starting and ending with a letter, digit or placeholder";
        word(Code::InvalidComponent, "component", grammar, b"._+/-", text).map(Self)
    }
}

fn word(
    code: Code,
    kind: &str,
    grammar: &str,
    extra: &[u8],
    text: &str,
) -> Result<Template, TextFault> {
    strict(kind, text)?;
    let template = Template::split(kind, code, text)?;
    // A placeholder counts as one character that fits, wherever it stands.
    let fits_inside =
        |b: u8| b.is_ascii_alphanumeric() || b"{}".contains(&b) || extra.contains(&b) || b == b'_';
    let fits_outside = |b: u8| b.is_ascii_alphanumeric() || b"{}".contains(&b);
    let last = text.len() - 1;
    let at = text.bytes().enumerate().position(|(at, b)| {
        if at == 0 || at == last {
            !fits_outside(b)
        } else {
            !fits_inside(b)
        }
    });
    let dots = text.split('/').any(|part| matches!(part, "" | "." | ".."));
    match at.or((text.len() > 200 || dots).then_some(text.len())) {
        None => Ok(template),
        Some(at) => Err(outside(code, kind, grammar, text, at)),
    }
}

#[cfg(test)]
mod tests;
