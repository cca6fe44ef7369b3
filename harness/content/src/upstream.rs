//! The user's own upstream proxy, read from the environment as curl(1) and its like do.
//!
//! Behind an upstream proxy names are resolved and connections are made by that proxy: the check of
//! resolved addresses ([`crate::address`]) is then the proxy's own matter, and only literal
//! addresses and `localhost` are still refused here. Credentials stay inside these types: their
//! debug form hides them, and they never reach a record, an error or a report.

use std::fmt;

use thiserror::Error;

use crate::address::Network;
use crate::url::{HostName, Scheme, percent_decoded, split_authority};

/// Which upstream proxy, if any, requests go through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamProxies {
    http: Option<ProxyAddress>,
    https: Option<ProxyAddress>,
    bypass: Vec<Bypass>,
}

impl UpstreamProxies {
    /// No upstream proxy: every connection is direct.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The proxies this process's environment names: `http_proxy`, `https_proxy`, `all_proxy` and
    /// `no_proxy`, in lower or, if that is not set, upper case.
    ///
    /// # Errors
    /// A variable names a proxy this harness cannot use.
    pub fn from_environment() -> Result<Self, UpstreamError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`UpstreamProxies::from_environment`], from any source of variables.
    ///
    /// # Errors
    /// A variable names a proxy this harness cannot use.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UpstreamError> {
        let either_case = |name: &'static str| {
            let value = variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
            value.filter(|value| !value.trim().is_empty())
        };
        let proxy = |name: &'static str| {
            let (name, value) = match (either_case(name), either_case("all_proxy")) {
                (Some(value), _) => (name, value),
                (None, Some(value)) => ("all_proxy", value),
                (None, None) => return Ok(None),
            };
            ProxyAddress::parse(value.trim())
                .map(Some)
                .ok_or(UpstreamError { variable: name })
        };
        let bypass = either_case("no_proxy").unwrap_or_default();
        let bypass = bypass.split([',', ' ']).filter_map(Bypass::parse).collect();
        Ok(Self {
            http: proxy("http_proxy")?,
            https: proxy("https_proxy")?,
            bypass,
        })
    }

    /// The proxy for requests of a scheme to a host. `None`: connect directly.
    #[must_use]
    pub fn for_host(&self, scheme: Scheme, host: &HostName) -> Option<&ProxyAddress> {
        self.address(scheme)
            .filter(|_| !self.bypass.iter().any(|entry| entry.matches(host)))
    }

    /// The proxy for requests of a scheme, to hosts that are not excepted.
    #[must_use]
    pub fn address(&self, scheme: Scheme) -> Option<&ProxyAddress> {
        match scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }
    }
}

/// Where an upstream proxy listens, with the user's credentials for it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Its host.
    pub host: HostName,
    /// Its port.
    pub port: u16,
    credentials: Option<(String, String)>,
}

impl ProxyAddress {
    /// Reads `http://[user[:password]@]host[:port][/]`; the scheme may be left out, a port that
    /// is not named is 1080 (curl(1), `--proxy`).
    fn parse(text: &str) -> Option<Self> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return None,
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, rest),
        };
        let credentials = match credentials {
            Some(text) => {
                let (user, password) = text.split_once(':').unwrap_or((text, ""));
                Some((credential(user)?, credential(password)?))
            }
            None => None,
        };
        let (host, port) = split_authority(authority)?;
        Some(Self {
            host,
            port: port.unwrap_or(1080),
            credentials,
        })
    }

    /// User name and password for the proxy.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.credentials
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// The value of a `Proxy-Authorization` header (RFC 7617).
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        self.credentials().map(|(user, password)| {
            format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
        })
    }

    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.credentials.is_some() {
            "***@"
        } else {
            ""
        };
        write!(f, "ProxyAddress({credentials}{})", self.authority())
    }
}

/// An environment variable that names a proxy this harness cannot use. The value is not repeated:
/// it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{variable}` does not name an `http://` proxy")]
pub struct UpstreamError {
    /// The variable, in lower case.
    pub variable: &'static str,
}

/// One entry of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Bypass {
    Everything,
    Domain(String),
    Addresses(Network),
}

impl Bypass {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Ok(network) = entry.trim_matches(['[', ']']).parse() {
            return Some(Self::Addresses(network));
        }
        let domain = entry.trim_start_matches('*').trim_start_matches('.');
        split_authority(domain).map(|(host, _)| Self::Domain(host.to_string()))
    }

    fn matches(&self, host: &HostName) -> bool {
        match self {
            Self::Everything => true,
            Self::Domain(domain) => {
                let rest = host.as_str().strip_suffix(domain.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Addresses(network) => host
                .address()
                .is_some_and(|address| network.contains(address)),
        }
    }
}

/// User name or password. `None` when it is malformed, not UTF-8, or holds a control character,
/// which would let a password write header lines.
fn credential(text: &str) -> Option<String> {
    let decoded = String::from_utf8(percent_decoded(text)?).ok()?;
    Some(decoded).filter(|text| !text.contains(char::is_control))
}

/// Base64 with padding (RFC 4648 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<UpstreamProxies, UpstreamError> {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        UpstreamProxies::from_variables(|name| variables.get(name).map(ToString::to_string))
    }

    fn host(name: &str) -> HostName {
        HostName::parse(name).expect("a host")
    }

    #[test]
    fn variables_are_read_as_curl_does() {
        let none = proxies(&[("http_proxy", "")]).expect("empty is unset");
        assert_eq!(none, UpstreamProxies::none());
        let some = proxies(&[
            ("HTTP_PROXY", "http://upper:1"),
            ("http_proxy", "lower:2"),
            ("ALL_PROXY", "http://all.example:3/"),
            (
                "no_proxy",
                "localhost, .corp.example,10.0.0.0/8,*.lan example.net:8080",
            ),
        ])
        .expect("usable");
        let of = |scheme, name: &str| {
            some.for_host(scheme, &host(name))
                .map(ProxyAddress::authority)
        };
        assert_eq!(of(Scheme::Http, "example.org").as_deref(), Some("lower:2"));
        assert_eq!(
            of(Scheme::Https, "example.org").as_deref(),
            Some("all.example:3")
        );
        for direct in [
            "localhost",
            "corp.example",
            "a.corp.example",
            "10.9.8.7",
            "nas.lan",
            "example.net",
            "EXAMPLE.net.",
        ] {
            assert_eq!(of(Scheme::Http, direct), None, "{direct}");
        }
        for proxied in [
            "notcorp.example",
            "11.0.0.1",
            "example.net.org",
            "lan.example",
        ] {
            assert!(of(Scheme::Http, proxied).is_some(), "{proxied}");
        }
        let everything = proxies(&[("all_proxy", "p:1"), ("NO_PROXY", "*")]).expect("usable");
        assert_eq!(
            everything.for_host(Scheme::Http, &host("example.org")),
            None
        );
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let some =
            proxies(&[("https_proxy", "http://us%40er:p%3Aw@proxy.example")]).expect("usable");
        let proxy = some
            .for_host(Scheme::Https, &host("example.org"))
            .expect("a proxy");
        assert_eq!(proxy.credentials(), Some(("us@er", "p:w")));
        assert_eq!(proxy.authorization().as_deref(), Some("Basic dXNAZXI6cDp3"));
        assert_eq!(format!("{some:?}").matches("p:w").count(), 0);
        assert!(format!("{proxy:?}").contains("***@proxy.example:1080"));
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_value() {
        for bad in [
            "socks5://p:1",
            "https://p:1",
            "http://u:secret%0d%0aX:1@p:1",
            "http://u:secret@",
            "http://secret@p:99999",
        ] {
            let error = proxies(&[("https_proxy", bad)]).expect_err(bad);
            assert_eq!(
                error.to_string(),
                "`https_proxy` does not name an `http://` proxy"
            );
        }
    }

    #[test]
    fn base64_has_the_published_values() {
        // RFC 4648 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
