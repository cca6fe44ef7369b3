//! What `[network]` of `assay.toml` means for fetching and for the sandboxes' proxy.

use assay_content::address::AddressPolicy;
use assay_content::fetch::Mirrors;
use assay_recipe::network::Network;

use crate::error::CliError;
use crate::terminal::plain;

/// What may be reached beside public addresses, and where else content may be had.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// For whoever connects: the fetcher and the proxy.
    pub(crate) addresses: AddressPolicy,
    /// For the fetcher alone: a sandbox asks for what it asks for.
    pub(crate) mirrors: Mirrors,
}

impl Reach {
    /// As the project says.
    ///
    /// # Errors
    /// If an entry is one to `assay.toml` and none to what connects.
    pub(crate) fn of(network: &Network) -> Result<Self, CliError> {
        let allowed: Vec<&str> = network.allow.iter().map(|it| it.value.as_str()).collect();
        let addresses = allowed.join(",").parse().map_err(CliError::usage)?;
        let mirrors = network
            .mirrors
            .iter()
            .try_fold(Mirrors::default(), |all, one| {
                let mirrors = one.mirrors.iter().map(|it| it.value.as_str());
                all.with(one.prefix.value.as_str(), mirrors)
            });
        Ok(Self {
            addresses,
            mirrors: mirrors.map_err(CliError::usage)?,
        })
    }
}

/// What is configured, in words; nothing where nothing is.
pub(crate) fn words(network: &Network) -> Option<String> {
    let mut parts = Vec::new();
    if !network.allow.is_empty() {
        let allowed: Vec<&str> = network.allow.iter().map(|it| it.value.as_str()).collect();
        let allowed = allowed.join(", ");
        parts.push(format!("reached beside public addresses: {allowed}"));
    }
    for one in &network.mirrors {
        let mirrors: Vec<&str> = one.mirrors.iter().map(|it| it.value.as_str()).collect();
        let (prefix, mirrors) = (one.prefix.value.as_str(), mirrors.join(", "));
        parts.push(format!("mirrors of {prefix}: {mirrors}"));
    }
    (!parts.is_empty()).then(|| plain(&format!("network: {}", parts.join("; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        let parsed = assay_recipe::parse_project(text, &[]);
        assert_eq!(parsed.diagnostics, [], "{text}");
        parsed.value.expect("no fault").network
    }

    #[test]
    fn what_a_project_may_say_is_understood() {
        for entry in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "127.0.0.1",
            "::1",
            "::/0",
            "FD00::/8",
            "::ffff:10.0.0.1",
            "localhost",
            "a.b-c.example",
            "1.a",
        ] {
            let text = format!("[network]\nallow = [\"{entry}\"]\n");
            Reach::of(&network(&text)).unwrap_or_else(|error| panic!("{entry}: {error}"));
        }
        let text =
            "[network.mirrors]\n\"https://example.org:8443/a%20b/~c/\" = \"https://127.0.0.1/\"\n";
        assert!(
            !Reach::of(&network(text))
                .expect("mirrors")
                .mirrors
                .is_empty()
        );
    }

    #[test]
    fn what_is_configured_is_told() {
        assert_eq!(words(&Network::default()), None);
        let text = "[network]\nallow = \"10.0.0.0/8\"\n[network.mirrors]\n\
                    \"https://example.org/\" = [\"https://a.example/\", \"https://b.example/\"]\n";
        assert_eq!(
            words(&network(text)).as_deref(),
            Some(
                "network: reached beside public addresses: 10.0.0.0/8; \
                 mirrors of https://example.org/: https://a.example/, https://b.example/"
            )
        );
    }
}
