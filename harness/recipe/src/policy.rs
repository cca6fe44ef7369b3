//! `[policy]` of `assay.toml`: what every recipe may do without an entry in the ledger, and what none may
//! whatever the ledger says. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::consent::{AllowedRepository, GroupTier, Policy};
use assay_wire::privileged::KindName;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Spanned, quote};
use crate::name::{Fingerprint, GroupName};
use crate::network::FolderUrl;
use crate::package::PackageName;
use crate::system::ServiceName;
use crate::table::{Reader, Table};
use crate::when::word;

/// Reads the table.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Table<'_>) -> Policy {
    let Some(table) = reader.table(root, "policy", "`[policy]`") else {
        return Policy::default();
    };
    let keys = [
        "repositories",
        "groups",
        "services",
        "authorities",
        "forbidden_kinds",
        "group_tiers",
    ];
    reader.check_keys(&table, &keys, &[]);
    let repositories = reader.tables(&table, "repositories");
    let repositories = repositories
        .iter()
        .filter_map(|table| read_repository(reader, table))
        .collect();
    let group_tiers = read_tiers(reader, &table);
    let groups = reader.list(&table, "groups", str::parse::<GroupName>);
    let mut allowed = BTreeSet::new();
    for group in groups.unwrap_or_default() {
        let name = group.value.as_str();
        if group_tiers.get(name) == Some(&GroupTier::Forbidden) {
            let message = format!("the group {} is allowed and forbidden", quote(name));
            let diagnostic = Diagnostic::new(Code::ContradictingPolicy, group.span, message);
            let help = "remove it from `groups` or from `group_tiers`";
            reader.faults.report(diagnostic.help(help));
        }
        allowed.insert(name.to_owned());
    }
    let services = reader.list(&table, "services", str::parse::<ServiceName>);
    let authorities = reader.list(&table, "authorities", str::parse::<PackageName>);
    let kinds = reader.list(&table, "forbidden_kinds", |text| {
        word("kind", text, KindName::ALL, KindName::as_str)
    });
    Policy {
        repositories,
        groups: allowed,
        services: services
            .unwrap_or_default()
            .iter()
            .map(|service| service.value.unit())
            .collect(),
        authorities: authorities
            .unwrap_or_default()
            .iter()
            .map(|package| package.value.as_str().to_owned())
            .collect(),
        forbidden_kinds: kinds
            .unwrap_or_default()
            .iter()
            .map(|kind| kind.value)
            .collect(),
        group_tiers,
    }
}

fn read_repository(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<AllowedRepository> {
    reader.check_keys(table, &["url", "fingerprints", "machine_wide"], &[]);
    let url = reader.parsed(table, "url", str::parse::<FolderUrl>);
    let url = reader.required(table, "url", url);
    // Without a key it would approve whatever a server gives.
    let fingerprints = reader.list(table, "fingerprints", str::parse::<Fingerprint>);
    let fingerprints = reader.required(table, "fingerprints", fingerprints);
    let machine_wide = reader.boolean(table, "machine_wide");
    Some(AllowedRepository {
        url: url?.value.as_str().to_owned(),
        fingerprints: fingerprints?
            .iter()
            .map(|print| print.value.as_str().to_owned())
            .collect(),
        machine_wide: machine_wide.is_some_and(|flag| flag.value),
    })
}

fn read_tiers(reader: &mut Reader<'_>, policy: &Table<'_>) -> BTreeMap<String, GroupTier> {
    let name = "`group_tiers` of `[policy]`";
    let Some(table) = reader.table(policy, "group_tiers", name) else {
        return BTreeMap::new();
    };
    let mut tiers = BTreeMap::new();
    for (key, span) in table.keys() {
        let group = reader.read(Spanned::new(key, span), str::parse::<GroupName>);
        let tier = reader.parsed(&table, key, |text| {
            word("tier", text, GroupTier::ALL, GroupTier::as_str)
        });
        if let (Some(group), Some(tier)) = (group, tier) {
            tiers.insert(group.value.as_str().to_owned(), tier.value);
        }
    }
    tiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_project;

    const FULL: &str = r#"
[policy]
groups = ["docker"]
services = ["nginx", "docker.socket"]
authorities = ["ca-certificates"]
forbidden_kinds = ["kmod", "ptrace"]
group_tiers = { redis = "safe", ops = "forbidden" }

[[policy.repositories]]
url = "https://download.example/linux/"
fingerprints = ["9dc858229fc7dd38854ae2d88d81803c0ebfcd88"]

[[policy.repositories]]
url = "https://rpm.example/"
fingerprints = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
machine_wide = true
"#;

    #[test]
    fn a_full_table_is_read() {
        let parsed = parse_project(FULL, &[]);
        assert_eq!(parsed.diagnostics, []);
        let policy = parsed.value.expect("no fault").policy;
        let print = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88".to_owned();
        let repository = |url: &str, machine_wide| AllowedRepository {
            url: url.to_owned(),
            fingerprints: [print.clone()].into(),
            machine_wide,
        };
        let wanted = Policy {
            repositories: vec![
                repository("https://download.example/linux/", false),
                repository("https://rpm.example/", true),
            ],
            groups: ["docker".to_owned()].into(),
            services: ["nginx.service".to_owned(), "docker.socket".to_owned()].into(),
            authorities: ["ca-certificates".to_owned()].into(),
            forbidden_kinds: [KindName::Kmod, KindName::Ptrace].into(),
            group_tiers: [
                ("redis".to_owned(), GroupTier::Safe),
                ("ops".to_owned(), GroupTier::Forbidden),
            ]
            .into(),
        };
        assert_eq!(policy, wanted);
    }

    #[test]
    fn a_repository_is_a_folder_and_has_keys() {
        for (bad, code) in [
            ("url = \"https://a.test/\"", Code::MissingKey),
            (
                "url = \"https://a.test/\"\nfingerprints = []",
                Code::EmptyValue,
            ),
            (
                "url = \"https://a.test/x\"\nfingerprints = \"9DC858229FC7DD38854AE2D88D81803C0EBFCD88\"",
                Code::InvalidUrl,
            ),
            (
                "url = \"https://a.test/\"\nfingerprints = \"0EBFCD88\"",
                Code::InvalidFingerprint,
            ),
        ] {
            let text = format!("[[policy.repositories]]\n{bad}\n");
            let found = parse_project(&text, &[]).diagnostics;
            assert_eq!(found[0].code, code, "{bad}");
        }
    }
}
