//! The hosts a sandbox may ask: those its plan and its image's own repository files name, and those
//! that a named host leads to, by a redirect or by a list of mirrors.
//!
//! Names only: whether the address behind one may be connected to is [`crate::address`]'s to say.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::url::{HostName, WebUrl, split_authority};

/// Most hosts a sandbox may have; a list of mirrors has a few hundred.
const MOST_HOSTS: usize = 4096;

/// Longest list of mirrors that is read, in bytes.
pub(super) const LONGEST_LIST: u64 = 1 << 20;

/// The hosts one sandbox may ask. Clones share one set.
#[derive(Clone, Default)]
pub struct Names {
    inner: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    named: BTreeSet<HostName>,
    unseen: BTreeSet<HostName>,
}

impl Names {
    /// Adds the hosts of addresses, as they stand in plans and repository files. What has none, or
    /// one that only a variable names, adds nothing.
    pub fn add_addresses<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) {
        let mut known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for host in addresses.into_iter().filter_map(host_of) {
            if known.named.len() < MOST_HOSTS {
                known.named.insert(host);
            }
        }
    }

    /// Adds the hosts of the addresses that stand in a text of any kind.
    pub fn add_text(&self, text: &str) {
        let words = text.split(|c: char| c.is_whitespace() || "<>()[]\"'=,;|`".contains(c));
        self.add_addresses(words.filter(|word| word.contains("://")));
    }

    /// Adds the host of a word of a command that is one, such as curl(1) takes it: `example.org`,
    /// `example.org:8080/path`. It has a dot, so that most other words are none.
    pub fn add_word(&self, word: &str) {
        let authority = word.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((host, _)) = split_authority(authority)
            && host.as_str().contains('.')
        {
            self.add_addresses([format!("http://{host}/").as_str()]);
        }
    }

    /// Says of the https hosts among these that no tool that asks them can be told to trust the
    /// run's certificate.
    pub fn leave_unseen<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) {
        let secure = addresses
            .into_iter()
            .filter(|address| address.starts_with("https://"));
        let mut known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        known.unseen.extend(secure.filter_map(host_of));
    }

    /// True if the host may be asked.
    #[must_use]
    pub fn contains(&self, host: &HostName) -> bool {
        let known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        known.named.contains(host)
    }

    /// True if no tool that asks this host over https can be told to trust the run's certificate.
    #[must_use]
    pub fn is_unseen(&self, host: &HostName) -> bool {
        let known = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        known.unseen.contains(host)
    }

    /// Takes note of where a redirect of a named host leads.
    pub(super) fn follow(&self, url: &WebUrl, location: &str) {
        if let Ok(next) = url.join(location) {
            self.add_addresses([next.to_string().as_str()]);
        }
    }

    /// Takes note of the mirrors that a named host lists.
    pub(super) fn read_list(&self, list: &[u8]) {
        self.add_text(&String::from_utf8_lossy(list));
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

/// True if a URL is asked for a list of mirrors (dnf.conf(5): `metalink`, `mirrorlist`).
pub(super) fn lists_mirrors(url: &WebUrl) -> bool {
    let text = url.to_string();
    text.contains("metalink") || text.contains("mirrorlist")
}

/// The host of an address. The path may hold what no URL may, such as a manager's variable.
fn host_of(address: &str) -> Option<HostName> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, _) = split_authority(authority)?;
    Some(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> HostName {
        HostName::parse(text).expect("a host")
    }

    #[test]
    fn hosts_are_taken_from_addresses_of_every_kind() {
        let names = Names::default();
        names.add_addresses([
            "http://a.example/$repo/os/$arch",
            "https://B.example:8443/x?y#z",
            "mirror+file:/etc/x",
            "nonsense",
            "http://user@c.example/",
            "http:///",
        ]);
        for (name, there) in [
            ("a.example", true),
            ("b.example", true),
            ("c.example", false),
            ("example", false),
        ] {
            assert_eq!(names.contains(&host(name)), there, "{name}");
        }
    }

    #[test]
    fn a_word_of_a_command_may_be_a_host() {
        let names = Names::default();
        for word in [
            "a.example",
            "b.example:8080/x",
            "jq",
            "-o",
            "/etc/c.example",
            "https://d.example/",
        ] {
            names.add_word(word);
        }
        for (name, there) in [
            ("a.example", true),
            ("b.example", true),
            ("c.example", false),
            ("d.example", false),
        ] {
            assert_eq!(names.contains(&host(name)), there, "{name}");
        }
    }

    #[test]
    fn a_named_host_leads_to_others() {
        let names = Names::default();
        let url: WebUrl = "https://a.example/x".parse().expect("a URL");
        names.follow(&url, "//cdn.example/y");
        names.follow(&url, "http://[");
        names.read_list(
            b"<url protocol=\"https\">https://m1.example/f/</url>\nhttp://m2.example/\n\xff://x",
        );
        for name in ["cdn.example", "m1.example", "m2.example"] {
            assert!(names.contains(&host(name)), "{name}");
        }
        for (text, lists) in [
            ("https://m.example/metalink?repo=fedora-44", true),
            ("https://m.example/mirrorlist", true),
            ("https://m.example/repodata", false),
        ] {
            assert_eq!(
                lists_mirrors(&text.parse().expect("a URL")),
                lists,
                "{text}"
            );
        }
    }

    #[test]
    fn only_https_is_left_unseen() {
        let names = Names::default();
        names.leave_unseen(["https://a.example/", "http://b.example/"]);
        assert!(names.is_unseen(&host("a.example")) && !names.is_unseen(&host("b.example")));
        assert!(!names.contains(&host("a.example")));
    }

    proptest! {
        #[test]
        fn no_list_panics_and_none_grows_without_end(list in proptest::collection::vec(any::<u8>(), 0..400)) {
            let names = Names::default();
            names.read_list(&list);
            names.read_list(&[b"http://", list.as_slice()].concat());
        }
    }
}
