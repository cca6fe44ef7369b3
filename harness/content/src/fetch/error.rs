//! Why something could not be fetched, told apart by what the caller does next.
//!
//! A mismatch is the content's fault, an address refused is the policy's, a status is the server's;
//! only [`FetchError::Unreachable`] and a busy server can be mended by trying again.

use std::path::PathBuf;

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
#[error("`{url}` has sha256 {actual} ({size} bytes), expected {expected}; kept as `{}`", evidence.display())]
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
}

impl FetchError {
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
            | Self::TooLarge { .. }
            | Self::Tls { .. }
            | Self::Mismatch(_)
            | Self::Lab { .. }
            | Self::Store { .. } => false,
        }
    }

    /// What the user can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::RefusedAddress { .. } => {
                Some("if the host is yours, name it or its network among the allowed addresses")
            }
            Self::Unreachable { .. } => Some(
                "check the network, and `https_proxy` and `no_proxy` if a proxy stands between",
            ),
            Self::Tls { .. } => {
                Some("if a proxy opens TLS here, add its certificate to the system's trust store")
            }
            Self::Mismatch(_) => {
                Some("compare the kept bytes with what you expected before changing the hash")
            }
            Self::Lab { source, .. } => source.hint(),
            Self::Url(_)
            | Self::PlainHttp { .. }
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Store { .. } => None,
        }
    }

    /// Sorts an error of the HTTP client for a URL (redacted).
    pub(crate) fn from_client(url: String, error: ureq::Error) -> Self {
        let error = match refusal_within(error) {
            Ok(refusal) => return Self::RefusedAddress { url, refusal },
            Err(error) => error,
        };
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
