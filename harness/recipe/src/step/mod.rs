//! `[[steps]]` → typed actions. What all steps have in common is read here; [`install`],
//! [`repository`], [`files`] and [`system`] have one function per action.

mod files;
mod install;
mod repository;
mod system;

use std::collections::BTreeMap;

use assay_wire::name::StepId;
use assay_wire::source::Span;

use crate::action::{ACTIONS, COMMON_KEYS, Grammar, LATER_ACTIONS, Scope, grammar};
use crate::code::Code;
use crate::convert::{prose, read_line};
use crate::diagnostic::{Diagnostic, Spanned, nearest, quote};
use crate::model::{Action, Step};
use crate::name::WireName as _;
use crate::old;
use crate::package::Manager;
use crate::table::{Reader, Table};
use crate::when::read_when;

/// Longest text of a manual step, and of a fallback, in bytes.
const MAX_TEXT_BYTES: usize = 10_000;

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
    let known = name.and_then(|name| grammar(name.value));
    let when = table
        .get("when")
        .and_then(|value| read_when(reader, value, known));
    let name = name?;
    let Some(known) = known else {
        report_unknown(reader, name);
        return None;
    };
    let own: Vec<_> = known.keys.iter().chain(COMMON_KEYS).copied().collect();
    reader.check_keys(table, &own, &["layer"]);
    let action = read_action(reader, table, known);
    let fallback = if known.keys.contains(&"fallback") {
        reader.parsed(table, "fallback", |text| long_text("fallback", text))
    } else {
        None
    };
    if !table.has("when") {
        hint_at_scope(reader, known, name.span);
    }
    Some(Step {
        id: id?,
        description,
        when,
        action: action?,
        fallback,
        action_span: name.span,
        span: table.span,
    })
}

/// A step that applies in one family alone and does not say so.
fn hint_at_scope(reader: &mut Reader<'_>, known: &Grammar, span: Span) {
    let condition = match (known.scope, known.scope.family()) {
        (Scope::Ubuntu, _) => "distro_like = [\"ubuntu\"]".to_owned(),
        (_, Some(family)) => format!("linux_family = [\"{family}\"]"),
        (Scope::Darwin, None) => "os = [\"darwin\"]".to_owned(),
        (Scope::Anywhere | Scope::Linux | Scope::Systemd | Scope::Family(_), None) => return,
    };
    let message = format!(
        "where this step applies follows from `{}` alone: {}",
        known.name,
        known.scope.in_words()
    );
    let help = format!("say so: `when = {{ {condition} }}`");
    reader
        .faults
        .report(Diagnostic::new(Code::ImplicitPlatform, span, message).help(help));
}

fn read_action(reader: &mut Reader<'_>, table: &Table<'_>, known: &Grammar) -> Option<Action> {
    let installs = |reader: &mut Reader<'_>, manager| {
        install::read_install(reader, table, manager, known.name == "brew_cask")
            .map(Action::Install)
    };
    match known.name {
        "apt_install" => installs(reader, Manager::Apt),
        "dnf_install" => installs(reader, Manager::Dnf),
        "pacman_install" => installs(reader, Manager::Pacman),
        "apk_install" => installs(reader, Manager::Apk),
        "zypper_install" => installs(reader, Manager::Zypper),
        "brew_install" | "brew_cask" => installs(reader, Manager::Brew),
        "apt_repo" => repository::read_apt_repo(reader, table).map(Action::AptRepo),
        "apt_ppa" => repository::read_apt_ppa(reader, table).map(Action::AptPpa),
        "dnf_repo" => repository::read_dnf_repo(reader, table).map(Action::DnfRepo),
        "group_add" => system::read_group_add(reader, table).map(Action::GroupAdd),
        "service_enable" => system::read_service(reader, table).map(Action::ServiceEnable),
        "service_start" => system::read_service(reader, table).map(Action::ServiceStart),
        "require_command" => {
            system::read_require_command(reader, table).map(Action::RequireCommand)
        }
        "download" => files::read_download(reader, table).map(Action::Download),
        "extract" => files::read_extract(reader, table).map(Action::Extract),
        "install_binaries" => {
            files::read_install_binaries(reader, table).map(Action::InstallBinaries)
        }
        "manual" => system::read_manual(reader, table).map(Action::Manual),
        // Every word of the grammar stands above; `every_action_of_the_grammar_is_read` holds that.
        _ => None,
    }
}

/// An action nobody performs, or not yet.
fn report_unknown(reader: &mut Reader<'_>, name: Spanned<&str>) {
    if LATER_ACTIONS.contains(&name.value) {
        let message = format!(
            "action `{}` is not supported by this version of assay",
            name.value
        );
        let help = "use a `manual` step until a version supports it";
        reader
            .faults
            .report(Diagnostic::new(Code::ActionNotSupported, name.span, message).help(help));
        return;
    }
    let names: Vec<&str> = ACTIONS.iter().map(|action| action.name).collect();
    let message = format!("unknown action {}", quote(name.value));
    let help = match nearest(name.value, names.iter().chain(LATER_ACTIONS).copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the actions are {}", crate::table::words(&names)),
    };
    reader
        .faults
        .report(Diagnostic::new(Code::UnknownAction, name.span, message).help(help));
}

/// Text of several lines for people. A file with CRLF line ends says the same as one without.
fn long_text(kind: &str, text: &str) -> Result<String, crate::text::TextFault> {
    prose(
        kind,
        &text.replace("\r\n", "\n"),
        &['\n', '\t'],
        MAX_TEXT_BYTES,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recipe with one step of an action and nothing else in it.
    fn bare(action: &str) -> String {
        format!("[metadata]\nname = \"a\"\n[[steps]]\naction = \"{action}\"\n")
    }

    #[test]
    fn every_action_of_the_grammar_is_read() {
        for action in ACTIONS {
            let found = crate::parse(Some("a"), &bare(action.name)).diagnostics;
            let missing: Vec<_> = found
                .iter()
                .filter(|found| found.code != Code::ImplicitPlatform)
                .collect();
            assert!(!missing.is_empty(), "`{}` is not read", action.name);
            for diagnostic in missing {
                assert_eq!(diagnostic.code, Code::MissingKey, "{}", diagnostic.message);
            }
        }
    }

    #[test]
    fn a_step_without_an_id_is_called_by_its_number() {
        let step = "[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n";
        let named = step.replace("group = ", "id = \"own\"\ngroup = ");
        let text = ["[metadata]\nname = \"a\"\n", step, &named, step].concat();
        let recipe = crate::parse(Some("a"), &text).value.expect("a recipe");
        let ids: Vec<&str> = recipe
            .steps
            .iter()
            .map(|step| step.id.value.as_str())
            .collect();
        assert_eq!(ids, ["1", "own", "3"]);
    }
}
