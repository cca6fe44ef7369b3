//! Steps about users, services and commands, and those for a human.

use crate::convert::read_minimum;
use crate::diagnostic::Spanned;
use crate::model::{GroupAdd, Manual, RequireCommand, Service};
use crate::name::UserName;
use crate::table::{Reader, Table};

use super::long_text;

/// `group_add`.
pub(super) fn read_group_add(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<GroupAdd> {
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

/// `require_command`.
pub(super) fn read_require_command(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
) -> Option<RequireCommand> {
    let command = reader.parsed(table, "command", str::parse);
    let command = reader.required(table, "command", command);
    let minimum = read_minimum(reader, table);
    Some(RequireCommand {
        command: command?,
        minimum,
    })
}

/// `manual`.
pub(super) fn read_manual(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Manual> {
    let text = reader.parsed(table, "text", |text| long_text("text", text));
    let text = reader.required(table, "text", text);
    Some(Manual { text: text? })
}

/// `service_enable` and `service_start`.
pub(super) fn read_service(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Service> {
    let service = reader.parsed(table, "service", str::parse);
    let service = reader.required(table, "service", service);
    Some(Service { service: service? })
}
