//! Where else the content of a URL may be had: prefixes of URLs, each with mirrors in an order.
//!
//! A mirror is believed no more than the original: the same hash decides. Nothing here fetches.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::url::{Scheme, UrlError, WebUrl};

/// The mirrors of a project, by the prefix of a URL they stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mirrors {
    by_prefix: BTreeMap<WebUrl, Vec<WebUrl>>,
}

/// Why something is no mirror, or has none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MirrorError {
    /// Not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Not the https URL of a folder.
    #[error("`{url}` is not an https URL that ends in `/`, without a query")]
    NotAFolder {
        /// The URL, redacted.
        url: String,
    },
}

impl Mirrors {
    /// The same mirrors, and these for URLs that begin with a prefix. Each is the https URL of a
    /// folder: it ends in `/`.
    ///
    /// # Errors
    /// One of them is not.
    pub fn with<'m>(
        mut self,
        prefix: &str,
        mirrors: impl IntoIterator<Item = &'m str>,
    ) -> Result<Self, MirrorError> {
        let mirrors: Result<Vec<WebUrl>, MirrorError> = mirrors.into_iter().map(folder).collect();
        self.by_prefix.insert(folder(prefix)?, mirrors?);
        Ok(self)
    }

    /// True if no URL has a mirror.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// Where else a URL's content may be had, in order: the mirrors of the longest prefix it begins
    /// with.
    #[must_use]
    pub fn of(&self, url: &WebUrl) -> Vec<WebUrl> {
        let text = url.to_string();
        let longest = self
            .by_prefix
            .iter()
            .filter_map(|(prefix, mirrors)| {
                Some((text.strip_prefix(&prefix.to_string())?, mirrors))
            })
            .min_by_key(|(rest, _)| rest.len());
        let Some((rest, mirrors)) = longest else {
            return Vec::new();
        };
        // What is too long for a URL behind a mirror's name is no URL there.
        let there = |mirror: &WebUrl| format!("{mirror}{rest}").parse().ok();
        mirrors.iter().filter_map(there).collect()
    }
}

/// The https URL of a folder.
fn folder(text: &str) -> Result<WebUrl, MirrorError> {
    let url: WebUrl = text.parse()?;
    let shown = url.to_string();
    if url.scheme() == Scheme::Https && shown.ends_with('/') && !shown.contains('?') {
        Ok(url)
    } else {
        Err(MirrorError::NotAFolder {
            url: url.redacted(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mirrors: &Mirrors, url: &str) -> Vec<String> {
        let url: WebUrl = url.parse().expect("a URL");
        mirrors.of(&url).iter().map(WebUrl::to_string).collect()
    }

    #[test]
    fn the_longest_prefix_counts_and_the_rest_is_kept() {
        let mirrors = Mirrors::default()
            .with("https://Example.org/", ["https://one.example/o/"])
            .and_then(|it| {
                it.with(
                    "https://example.org/pub/",
                    ["https://two.example:8443/", "https://three.example/a/b/"],
                )
            })
            .expect("mirrors");
        assert_eq!(
            of(&mirrors, "https://example.org/pub/x/key.asc?v=1&w=/"),
            [
                "https://two.example:8443/x/key.asc?v=1&w=/",
                "https://three.example/a/b/x/key.asc?v=1&w=/"
            ]
        );
        assert_eq!(
            of(&mirrors, "https://example.org/public/key"),
            ["https://one.example/o/public/key"]
        );
        for without in [
            "http://example.org/pub/x",
            "https://example.org:444/pub/x",
            "https://example.org.evil.example/pub/x",
        ] {
            assert_eq!(of(&mirrors, without), [] as [&str; 0], "{without}");
        }
        // What leads out of the folder does not lead into the mirror's.
        assert_eq!(
            of(&mirrors, "https://example.org/pub/../x"),
            ["https://one.example/o/x"]
        );
    }

    #[test]
    fn only_https_folders_are_mirrors() {
        for bad in [
            "http://example.org/",
            "https://example.org/a",
            "https://example.org/?a=/",
            "https://user@example.org/",
            "file:///srv/",
            "",
        ] {
            assert!(Mirrors::default().with(bad, []).is_err(), "{bad}");
            let as_mirror = Mirrors::default().with("https://example.org/", [bad]);
            assert!(as_mirror.is_err(), "{bad}");
        }
    }
}
