//! Why something could not be fetched, told apart by what the caller does next.
//!
//! A mismatch is the content's fault, an address refused is the policy's, a status is the server's;
//! only [`FetchError::Unreachable`] and a busy server can be mended by trying again.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_wire::digest::Digest;
use thiserror::Error;
use tokio_rustls::rustls;

use crate::address::RefusedAddress;
use crate::lab_hosts::LabError;
use crate::store::StoreError;
use crate::url::UrlError;

/// Why something could not be fetched. URLs in it are redacted.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Not a URL that is followed.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Plain http where the policy does not allow it.
    #[error("`{url}` is plain http, which is not allowed here")]
    PlainHttp {
        /// The URL.
        url: String,
    },
    /// The host is at an address that may not be connected to.
    #[error("`{url}` is not fetched")]
    RefusedAddress {
        /// The URL.
        url: String,
        /// The address and why.
        #[source]
        refusal: RefusedAddress,
    },
    /// The server answered something other than the content.
    #[error("`{url}` answered with status {status}")]
    Status {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server asks to be left alone, if it does.
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    #[error("`{url}` redirects {reason}")]
    Redirect {
        /// The URL that redirected.
        url: String,
        /// To where, or how often.
        reason: String,
    },
    /// No answer, or one that broke off: the network, the name, the server.
    #[error("`{url}` cannot be reached: {reason}")]
    Unreachable {
        /// The URL.
        url: String,
        /// What happened, in words.
        reason: String,
    },
    /// The user's upstream proxy opens no tunnel, and would not a moment later.
    #[error("the proxy does not let `{url}` through: it answered with status {status}")]
    ProxyRefused {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The content is larger than the policy takes.
    #[error("`{url}` is larger than {limit} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// TLS failed: most often a certificate that is not trusted.
    #[error("no secure connection to `{url}`: {reason}")]
    Tls {
        /// The URL.
        url: String,
        /// What rustls said.
        reason: String,
    },
    /// The bytes are not the ones the hash says.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
    /// A lab host without an answer.
    #[error("`{url}` is not served")]
    Lab {
        /// The URL.
        url: String,
        /// Why.
        source: LabError,
    },
    /// Neither the URL nor a mirror of it gave the content.
    #[error("{}{}", chain(first), beside(others))]
    Everywhere {
        /// What counts: the first mismatch, else what the URL itself said.
        first: Box<FetchError>,
        /// What the other places said, in their order.
        others: Vec<FetchError>,
    },
    /// The content store failed.
    #[error("content of `{url}` cannot be stored")]
    Store {
        /// The URL.
        url: String,
        /// Why.
        source: StoreError,
    },
}

/// Bytes that are not the ones their hash says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{url}` has sha256 {actual} ({size} bytes), expected {expected}: {}", self.explanation())]
pub struct Mismatch {
    /// Where they came from.
    pub url: String,
    /// The sha256 asked for.
    pub expected: Digest,
    /// The sha256 they have.
    pub actual: Digest,
    /// How many they are.
    pub size: u64,
    /// Where they are kept; facts lie beside as `.json`.
    pub evidence: PathBuf,
    /// The bytes that were expected, if the store has them after all.
    pub known: Option<PathBuf>,
}

impl Mismatch {
    /// The command that shows the difference: between the two files, or, where the expected bytes are
    /// not there, what the file that came is.
    #[must_use]
    pub fn command(&self) -> String {
        let came = quoted(&self.evidence);
        match &self.known {
            Some(known) => format!("cmp -l {} {came}", quoted(known)),
            None => format!("assay pin show {came}"),
        }
    }

    fn advice(&self) -> String {
        match &self.known {
            Some(_) => format!("`{}` shows the bytes that differ", self.command()),
            None => format!("`{}` shows what came", self.command()),
        }
    }

    /// Both things that can have happened and the command that shows more, without the facts.
    #[must_use]
    pub fn explanation(&self) -> String {
        format!(
            "either the publisher replaced the file, or somebody between you and the publisher did; {}",
            self.advice()
        )
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// What other places said, behind what counts.
fn beside(others: &[FetchError]) -> String {
    others
        .iter()
        .map(|other| format!("; {}", chain(other)))
        .collect()
}

/// An error with its causes, on one line.
fn chain(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

impl FetchError {
    /// The error of having asked every place: one or more, the URL's own first.
    pub(crate) fn of_places(mut failures: Vec<Self>) -> Self {
        let mismatch = failures
            .iter()
            .position(|error| matches!(error, Self::Mismatch(_)));
        let first = failures.remove(mismatch.unwrap_or(0));
        if failures.is_empty() {
            return first;
        }
        Self::Everywhere {
            first: Box::new(first),
            others: failures,
        }
    }

    /// What counts, where several places were asked.
    #[must_use]
    pub fn deciding(&self) -> &Self {
        match self {
            Self::Everywhere { first, .. } => first,
            Self::Url(_)
            | Self::PlainHttp { .. }
            | Self::RefusedAddress { .. }
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::Unreachable { .. }
            | Self::ProxyRefused { .. }
            | Self::TooLarge { .. }
            | Self::Tls { .. }
            | Self::Mismatch(_)
            | Self::Lab { .. }
            | Self::Store { .. } => self,
        }
    }

    /// How long the server asks to be left alone, if it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }

    /// Whether the same request may succeed a moment later (RFC 9110 15.6; 429 is RFC 6585 4).
    #[must_use]
    pub fn retry_helps(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => matches!(status, 429 | 500 | 502 | 503 | 504),
            Self::Url(_)
            | Self::PlainHttp { .. }
            | Self::RefusedAddress { .. }
            | Self::Redirect { .. }
            | Self::ProxyRefused { .. }
            | Self::TooLarge { .. }
            | Self::Tls { .. }
            | Self::Mismatch(_)
            | Self::Lab { .. }
            | Self::Store { .. } => false,
            Self::Everywhere { first, .. } => first.retry_helps(),
        }
    }

    /// What the user can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::RefusedAddress { refusal, .. } => {
                let address = refusal.address;
                return Some(if refusal.class.may_belong_to_a_named_host() {
                    format!(
                        "if the host is yours, name it in `assay.toml`: `[network]` `allow = [\"{}\"]`",
                        refusal.host
                    )
                } else {
                    format!(
                        "if the address is yours, name it in `assay.toml`: `[network]` `allow = \
                         [\"{address}\"]`"
                    )
                });
            }
            Self::Status {
                retry_after: Some(asked),
                ..
            } => {
                return Some(format!(
                    "the server asks to be left alone for {} seconds",
                    asked.as_secs()
                ));
            }
            Self::Unreachable { .. } => {
                "check the network, and `https_proxy` and `no_proxy` if a proxy stands between"
            }
            Self::ProxyRefused { status: 407, .. } => {
                "the proxy asks for a name and a password: write them into `https_proxy`, as in \
                 `http://USER:PASSWORD@HOST:PORT`, with `%40` for `@` and the like"
            }
            Self::ProxyRefused { .. } => {
                "whoever runs the proxy can let the host through; `no_proxy` names hosts that are \
                 reached without it"
            }
            Self::Tls { reason, .. } if reason.contains(NOTHING_TRUSTED) => {
                "no certificate is trusted here at all: install `ca-certificates`, or look at what \
                 `SSL_CERT_FILE` and `SSL_CERT_DIR` name, if they are set"
            }
            Self::Tls { .. } => {
                "if a proxy opens TLS here, add its certificate to the system's trust store, or \
                 name a file with every certificate to trust in `SSL_CERT_FILE`"
            }
            Self::Mismatch(mismatch) => {
                return Some(format!("{} before changing the hash", mismatch.advice()));
            }
            Self::Lab { source, .. } => return source.hint().map(Into::into),
            Self::Everywhere { first, .. } => return first.hint(),
            Self::Store { source, .. } => return source.hint(),
            Self::Url(_)
            | Self::PlainHttp { .. }
            | Self::Status {
                retry_after: None, ..
            }
            | Self::Redirect { .. }
            | Self::TooLarge { .. } => return None,
        };
        Some(hint.to_owned())
    }

    /// Sorts an error of the HTTP client for a URL (redacted).
    pub(crate) fn from_client(url: String, error: ureq::Error) -> Self {
        let error = match refusal_within(error) {
            Ok(refusal) => return Self::RefusedAddress { url, refusal },
            Err(error) => error,
        };
        if let Some(status) = proxy_refusal(&error) {
            return Self::ProxyRefused { url, status };
        }
        let reason = plain_words(&error);
        if is_tls(&error) {
            Self::Tls { url, reason }
        } else {
            Self::Unreachable { url, reason }
        }
    }
}

/// The refusal that [`super::agent`]'s resolver answered, if the error is one.
fn refusal_within(error: ureq::Error) -> Result<RefusedAddress, ureq::Error> {
    if let ureq::Error::Other(inner) = error {
        return match inner.downcast::<RefusedAddress>() {
            Ok(refusal) => Ok(*refusal),
            Err(inner) => Err(ureq::Error::Other(inner)),
        };
    }
    Err(error)
}

/// What the client says where the system, or what the environment names instead of it, has not one
/// certificate to trust.
const NOTHING_TRUSTED: &str = "No CA certificates were loaded";

/// The status of a proxy that opens no tunnel, where trying again changes nothing: a wrong password
/// shown again and again locks its owner out. The client tells it in words alone.
fn proxy_refusal(error: &ureq::Error) -> Option<u16> {
    let ureq::Error::ConnectProxyFailed(words) = error else {
        return None;
    };
    let status = words.strip_prefix("proxy server responded ")?;
    let status: u16 = status.split('/').next()?.parse().ok()?;
    (matches!(status, 400..500) && !matches!(status, 408 | 429)).then_some(status)
}

fn is_tls(error: &ureq::Error) -> bool {
    if let ureq::Error::Io(error) = error {
        return error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>());
    }
    matches!(
        error,
        ureq::Error::Rustls(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Pem(_)
            | ureq::Error::TlsRequired
    )
}

/// The error as a fragment of a sentence. The client's text may repeat what a server sent, so
/// controls are escaped and the length is bounded.
fn plain_words(error: &ureq::Error) -> String {
    let text = if let ureq::Error::Timeout(which) = error {
        format!("no answer in time ({which})")
    } else if let ureq::Error::HostNotFound = error {
        "the host name does not resolve".to_owned()
    } else if let ureq::Error::Io(error) = error {
        error.to_string()
    } else {
        error.to_string()
    };
    text.chars()
        .take(300)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
