//! Steps that install packages.

use std::collections::BTreeMap;

use assay_packages::VersionRequest;
use assay_wire::source::Span;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Spanned, quote};
use crate::model::{Install, PackageRequest};
use crate::package::{Manager, PackageName};
use crate::table::{Reader, Table, Value};
use crate::text::TextFault;

/// `apt_install` and the like.
pub(super) fn read_install(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    manager: Manager,
    cask: bool,
) -> Option<Install> {
    let unless_command = reader.parsed(table, "unless_command", str::parse);
    let tap = match manager {
        Manager::Brew => reader.parsed(table, "tap", str::parse),
        Manager::Apt | Manager::Dnf | Manager::Pacman | Manager::Apk | Manager::Zypper => None,
    };
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
    if table.has("unless_command") {
        report_unverifiable(reader, &packages);
    }
    if (table.has("unless_command") && unless_command.is_none())
        || (manager == Manager::Brew && table.has("tap") && tap.is_none())
    {
        return None;
    }
    Some(Install {
        manager,
        packages,
        recommends,
        unless_command,
        tap,
        cask,
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

/// A range is verified after its install; where the install is skipped there is nothing to verify.
fn report_unverifiable(reader: &mut Reader<'_>, packages: &[PackageRequest]) {
    for package in packages {
        let VersionRequest::Range(range) = &package.version.value else {
            continue;
        };
        if range.exact().is_none() {
            let message =
                format!("`{range}` cannot be verified where `unless_command` may skip the install");
            let help = "require the version of the command: `require_command` with `min_version`";
            reader.faults.report(
                Diagnostic::new(Code::RangeMayBeSkipped, package.version.span, message).help(help),
            );
        }
    }
}

fn read_version(manager: Manager, text: &str) -> Result<VersionRequest, TextFault> {
    crate::text::strict("version", text)?;
    let request: VersionRequest = text.parse().map_err(|error: assay_packages::RangeError| {
        let message = format!("{} is no version range: {error}", quote(text));
        TextFault::new(Code::InvalidVersionRange, message)
            .help("write `any`, `auto`, or constraints such as `>=2.36,<3` or `=1.7.1`")
    })?;
    let VersionRequest::Range(range) = &request else {
        return Ok(request);
    };
    let Some(rules) = manager.rules() else {
        let message = format!("{} installs the newest version only", manager.as_str());
        return Err(TextFault::new(Code::InvalidVersionRange, message).help(
            "write `any` or `auto`, and require the version of the command with `require_command`",
        ));
    };
    if let Some((first, second)) = range.contradiction(rules) {
        let message = format!("no version satisfies both `{first}` and `{second}`");
        return Err(TextFault::new(Code::EmptyVersionRange, message));
    }
    Ok(request)
}
