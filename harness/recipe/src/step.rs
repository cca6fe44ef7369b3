//! `[[steps]]` → typed actions, one function per action.

use std::collections::BTreeMap;

use assay_packages::VersionRequest;
use assay_wire::digest::Digest;
use assay_wire::name::StepId;
use assay_wire::source::Span;

use crate::code::Code;
use crate::convert::{prose, read_line, read_minimum};
use crate::diagnostic::{Diagnostic, Spanned, nearest, quote};
use crate::model::{
    Action, AptRepo, DnfRepo, GroupAdd, Install, Manual, PackageRequest, RepositoryKey,
    RequireCommand, Step,
};
use crate::name::{UserName, WireName as _};
use crate::old;
use crate::package::{Manager, PackageName};
use crate::table::{Reader, Table, Value};
use crate::template::{Component, Suite, Url};
use crate::text::TextFault;
use crate::when::{Family, read_when};

/// What every step may have.
const COMMON_KEYS: &[&str] = &["action", "when", "id", "description"];

/// Longest text of a manual step in bytes.
const MAX_MANUAL_BYTES: usize = 10_000;

/// The actions this version performs.
const ACTIONS: &[&str] = &[
    "apt_install",
    "dnf_install",
    "pacman_install",
    "apt_repo",
    "dnf_repo",
    "group_add",
    "require_command",
    "manual",
];

/// The actions of the format that join with later versions.
const LATER_ACTIONS: &[&str] = &[
    "apk_install",
    "zypper_install",
    "apt_ppa",
    "brew_install",
    "brew_cask",
    "service_enable",
    "service_start",
    "download",
    "extract",
    "install_binaries",
    "make_install",
    "python_install",
    "nix_install",
    "os_package_install",
    "bundle_install",
    "bundle_activate",
];

/// Reads all steps; `None` when any of them has a fault.
pub(crate) fn read_steps(reader: &mut Reader<'_>, root: &Table<'_>) -> Option<Vec<Step>> {
    let mut ids: BTreeMap<StepId, Span> = BTreeMap::new();
    let mut steps = Vec::new();
    for (at, table) in reader.tables(root, "steps").into_iter().enumerate() {
        let id = read_id(reader, &table, at + 1);
        if let Some(first) = id.as_ref().and_then(|id| ids.get(&id.value)) {
            let span = table.key_span("id").unwrap_or(table.span);
            let message = format!(
                "two steps have the id {}",
                quote(id.as_ref().map_or("", |id| id.value.as_str()))
            );
            let diagnostic = Diagnostic::new(Code::DuplicateStepId, span, message)
                .labelled("again")
                .and(*first, "first");
            reader.faults.report(
                diagnostic
                    .help("give one of them another `id`; without one a step's id is its number"),
            );
        } else if let Some(id) = &id {
            ids.insert(id.value.clone(), id.span);
        }
        steps.push(read_step(reader, &table, id));
    }
    steps.into_iter().collect()
}

fn read_id(reader: &mut Reader<'_>, table: &Table<'_>, number: usize) -> Option<Spanned<StepId>> {
    if table.has("id") {
        return reader.parsed(table, "id", StepId::read);
    }
    number
        .to_string()
        .parse()
        .ok()
        .map(|id| Spanned::new(id, table.span))
}

fn read_step(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    id: Option<Spanned<StepId>>,
) -> Option<Step> {
    if old::report(reader, table) {
        return None;
    }
    let name = reader.string(table, "action");
    let name = reader.required(table, "action", name);
    let description = read_line(reader, table, "description");
    let family =
        name.and_then(|name| built_in_family(name.value).map(|family| (name.value, family)));
    let when = table
        .get("when")
        .and_then(|value| read_when(reader, value, family));
    let name = name?;
    let action = read_action(reader, table, name);
    if let Some((action, family)) = family.filter(|_| !table.has("when")) {
        let message =
            format!("where this step applies follows from `{action}` alone: the {family} family");
        let help = format!("say so: `when = {{ linux_family = [\"{family}\"] }}`");
        reader
            .faults
            .report(Diagnostic::new(Code::ImplicitPlatform, name.span, message).help(help));
    }
    Some(Step {
        id: id?,
        description,
        when,
        action: action?,
        action_span: name.span,
        span: table.span,
    })
}

/// The family of an action, by its name.
fn built_in_family(action: &str) -> Option<Family> {
    match action {
        "apt_install" | "apt_repo" => Some(Family::Debian),
        "dnf_install" | "dnf_repo" => Some(Family::Rhel),
        "pacman_install" => Some(Family::Arch),
        _ => None,
    }
}

fn read_action(reader: &mut Reader<'_>, table: &Table<'_>, name: Spanned<&str>) -> Option<Action> {
    match name.value {
        "apt_install" => read_install(reader, table, Manager::Apt).map(Action::Install),
        "dnf_install" => read_install(reader, table, Manager::Dnf).map(Action::Install),
        "pacman_install" => read_install(reader, table, Manager::Pacman).map(Action::Install),
        "apt_repo" => read_apt_repo(reader, table).map(Action::AptRepo),
        "dnf_repo" => read_dnf_repo(reader, table).map(Action::DnfRepo),
        "group_add" => read_group_add(reader, table).map(Action::GroupAdd),
        "require_command" => read_require_command(reader, table).map(Action::RequireCommand),
        "manual" => read_manual(reader, table).map(Action::Manual),
        later if LATER_ACTIONS.contains(&later) => {
            let message = format!("action `{later}` is not supported by this version of assay");
            let help = "use a `manual` step until a version supports it";
            reader
                .faults
                .report(Diagnostic::new(Code::ActionNotSupported, name.span, message).help(help));
            None
        }
        unknown => {
            let message = format!("unknown action {}", quote(unknown));
            let help = match nearest(unknown, ACTIONS.iter().chain(LATER_ACTIONS).copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the actions are {}", crate::table::words(ACTIONS)),
            };
            reader
                .faults
                .report(Diagnostic::new(Code::UnknownAction, name.span, message).help(help));
            None
        }
    }
}

/// Reports keys that are neither common to all steps nor of this action.
fn check_step_keys(reader: &mut Reader<'_>, table: &Table<'_>, own: &[&str], later: &[&str]) {
    let known: Vec<_> = own.iter().chain(COMMON_KEYS).copied().collect();
    let later: Vec<_> = later.iter().copied().chain(["layer"]).collect();
    reader.check_keys(table, &known, &later);
}

fn read_install(reader: &mut Reader<'_>, table: &Table<'_>, manager: Manager) -> Option<Install> {
    check_step_keys(
        reader,
        table,
        &["packages", "recommends"],
        &["unless_command", "fallback"],
    );
    let recommends = reader
        .boolean(table, "recommends")
        .is_some_and(|flag| flag.value);
    let items = reader.items(table, "packages");
    let items = reader.required(table, "packages", items)?;
    let requests: Vec<_> = items
        .into_iter()
        .map(|item| read_package(reader, item, manager))
        .collect();
    let mut seen: BTreeMap<(PackageName, VersionRequest), Span> = BTreeMap::new();
    let mut packages = Vec::with_capacity(requests.len());
    for request in requests.into_iter().collect::<Option<Vec<_>>>()? {
        let key = (request.name.value.clone(), request.version.value.clone());
        match seen.get(&key) {
            Some(first) => {
                let message = format!("`packages` names `{}` twice", request.name.value);
                let diagnostic = Diagnostic::new(Code::DuplicateEntry, request.name.span, message)
                    .labelled("again")
                    .and(*first, "first");
                reader.faults.report(diagnostic.help("remove one of them"));
            }
            None => {
                seen.insert(key, request.name.span);
                packages.push(request);
            }
        }
    }
    Some(Install {
        manager,
        packages,
        recommends,
    })
}

fn read_package(
    reader: &mut Reader<'_>,
    item: Value<'_>,
    manager: Manager,
) -> Option<PackageRequest> {
    let read_name = |text: &str| PackageName::for_manager(manager, text);
    if let Some(text) = item.as_str() {
        let name = reader.read(Spanned::new(text, item.span), read_name)?;
        let version = Spanned::new(VersionRequest::Any, name.span);
        return Some(PackageRequest { name, version });
    }
    let Some(table) = item.as_table("a package") else {
        reader.wrong_type(
            "packages",
            item,
            "a list of names or of `{ name = …, version = … }`",
        );
        return None;
    };
    reader.check_keys(&table, &["name", "version"], &[]);
    let name = reader.parsed(&table, "name", read_name);
    let name = reader.required(&table, "name", name);
    let version = reader.parsed(&table, "version", |text| read_version(manager, text));
    if table.has("version") && version.is_none() {
        return None;
    }
    let name = name?;
    let version = version.unwrap_or_else(|| Spanned::new(VersionRequest::Any, name.span));
    Some(PackageRequest { name, version })
}

fn read_version(manager: Manager, text: &str) -> Result<VersionRequest, TextFault> {
    crate::text::strict("version", text)?;
    let request: VersionRequest = text.parse().map_err(|error: assay_packages::RangeError| {
        let message = format!("{} is no version range: {error}", quote(text));
        TextFault::new(Code::InvalidVersionRange, message)
            .help("write `any`, `auto`, or constraints such as `>=2.36,<3` or `=1.7.1`")
    })?;
    if let VersionRequest::Range(range) = &request
        && let Some((first, second)) = range.contradiction(manager.rules())
    {
        let message = format!("no version satisfies both `{first}` and `{second}`");
        return Err(TextFault::new(Code::EmptyVersionRange, message));
    }
    Ok(request)
}

fn read_key(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<RepositoryKey> {
    let url = reader.parsed(table, "key_url", str::parse::<Url>);
    let url = reader.required(table, "key_url", url);
    let sha256 = reader.parsed(table, "key_sha256", Digest::read);
    let sha256 = reader.required(table, "key_sha256", sha256);
    let fingerprints = reader
        .list(table, "key_fingerprints", str::parse)
        .unwrap_or_default();
    Some(RepositoryKey {
        url: url?,
        sha256: sha256?,
        fingerprints,
    })
}

fn read_apt_repo(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<AptRepo> {
    check_step_keys(
        reader,
        table,
        &[
            "url",
            "key_url",
            "key_sha256",
            "key_fingerprints",
            "suites",
            "components",
            "name",
        ],
        &[],
    );
    let url = reader.parsed(table, "url", str::parse::<Url>);
    let url = reader.required(table, "url", url);
    let key = read_key(reader, table);
    let name = reader.parsed(table, "name", str::parse);
    let suites = reader.list(table, "suites", str::parse::<Suite>);
    let components = reader.list(table, "components", str::parse::<Component>);
    let default_suite = || {
        "{codename}"
            .parse()
            .ok()
            .map(|suite| vec![Spanned::new(suite, table.span)])
    };
    let default_component = || {
        "main"
            .parse()
            .ok()
            .map(|component| vec![Spanned::new(component, table.span)])
    };
    Some(AptRepo {
        url: url?,
        key: key?,
        name,
        suites: suites.or_else(default_suite)?,
        components: components.or_else(default_component)?,
    })
}

fn read_dnf_repo(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<DnfRepo> {
    check_step_keys(
        reader,
        table,
        &[
            "url",
            "key_url",
            "key_sha256",
            "key_fingerprints",
            "repo_gpgcheck",
            "name",
        ],
        &[],
    );
    let url = reader.parsed(table, "url", base_url);
    let url = reader.required(table, "url", url);
    let key = read_key(reader, table);
    let repo_gpgcheck = reader
        .boolean(table, "repo_gpgcheck")
        .is_some_and(|flag| flag.value);
    let name = reader.parsed(table, "name", str::parse);
    Some(DnfRepo {
        url: url?,
        key: key?,
        repo_gpgcheck,
        name,
    })
}

/// A base URL: the `.repo` file is written by assay, from what the recipe says.
fn base_url(text: &str) -> Result<Url, TextFault> {
    let url: Url = text.parse()?;
    if url
        .path()
        .split('?')
        .next()
        .is_some_and(|path| path.ends_with(".repo"))
    {
        let message = format!("{} is a `.repo` file, not a repository", quote(text));
        return Err(TextFault::new(Code::UrlOfRepoFile, message)
            .help("write the `baseurl` that stands in it; assay writes the file"));
    }
    Ok(url)
}

fn read_group_add(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<GroupAdd> {
    check_step_keys(reader, table, &["group", "user", "create"], &[]);
    let group = reader.parsed(table, "group", str::parse);
    let group = reader.required(table, "group", group);
    let user = match table.has("user") {
        true => reader.parsed(table, "user", str::parse::<UserName>),
        false => "dev"
            .parse()
            .ok()
            .map(|user| Spanned::new(user, table.span)),
    };
    let create = reader
        .boolean(table, "create")
        .is_some_and(|flag| flag.value);
    Some(GroupAdd {
        group: group?,
        user: user?,
        create,
    })
}

fn read_require_command(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<RequireCommand> {
    check_step_keys(
        reader,
        table,
        &["command", "min_version", "version_flag", "version_regex"],
        &[],
    );
    let command = reader.parsed(table, "command", str::parse);
    let command = reader.required(table, "command", command);
    let minimum = read_minimum(reader, table);
    Some(RequireCommand {
        command: command?,
        minimum,
    })
}

fn read_manual(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Manual> {
    check_step_keys(reader, table, &["text"], &[]);
    let text = reader.parsed(table, "text", |text| {
        // A file with CRLF line ends says the same as one without.
        prose(
            "text",
            &text.replace("\r\n", "\n"),
            &['\n', '\t'],
            MAX_MANUAL_BYTES,
        )
    });
    let text = reader.required(table, "text", text);
    Some(Manual { text: text? })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_action_is_both_performed_and_to_come() {
        let all: BTreeSet<_> = ACTIONS.iter().chain(LATER_ACTIONS).collect();
        assert_eq!(all.len(), ACTIONS.len() + LATER_ACTIONS.len());
    }
}
