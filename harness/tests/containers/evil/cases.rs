//! The table: every bad thing, by the means it is done by.

mod command;
mod payload;
mod script;

use assay_wire::privileged::KindName;

use super::{Case, Class, Deed, On};

/// Every case, payloads and hooks first.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    payload::PAYLOADS
        .iter()
        .chain(payload::HOOKS)
        .chain(script::SCRIPTS)
        .chain(command::COMMANDS)
}

/// A row of what can be done with every manager.
const fn case(
    name: &'static str,
    what: &'static str,
    deed: Deed,
    (kind, subject): (KindName, &'static str),
    class: Class,
) -> Case {
    Case {
        name,
        what,
        deed,
        on: On::Every,
        kind,
        subject,
        class,
    }
}

/// The same, where it can be done with some alone.
const fn on(on: On, case: Case) -> Case {
    Case { on, ..case }
}
