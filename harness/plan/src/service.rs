//! `service_enable` and `service_start`: units of systemd, each with the question that makes its
//! command needless and the one that shows what came of it. systemctl(1) reports success for a unit
//! that cannot be enabled, so its exit code is no evidence.

use assay_recipe::system::ServiceName;
use assay_wire::plan::{Evidence, Guard, SkipIf};
use assay_wire::privileged::Kind;

use crate::manager::words;

/// What is done with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// It is started at every boot.
    Enable,
    /// It is started now.
    Start,
}

/// A command on a unit, with both questions.
pub(crate) struct UnitCommand {
    /// The command.
    pub(crate) argv: Vec<String>,
    /// Asked before: is it done already?
    pub(crate) guard: Guard,
    /// Asked behind it.
    pub(crate) question: Vec<String>,
    /// What the answer must show.
    pub(crate) evidence: Evidence,
}

/// What is done with a unit, as a privileged operation.
pub(crate) fn kind(verb: Verb, service: &ServiceName) -> Kind {
    let unit = service.unit();
    match verb {
        Verb::Enable => Kind::UnitEnabled { unit },
        Verb::Start => Kind::UnitStarted { unit },
    }
}

/// The command for a unit.
pub(crate) fn command(verb: Verb, service: &ServiceName) -> UnitCommand {
    let unit = service.unit();
    let (word, question, done, regex, state) = match verb {
        // An `alias` is another name of a unit that is enabled; `static` and `indirect` units
        // cannot be enabled, and start with nothing by themselves.
        Verb::Enable => (
            "enable",
            "is-enabled",
            "enabled",
            "^(enabled|alias)$",
            "enabled",
        ),
        Verb::Start => ("start", "is-active", "active", "^active$", "running"),
    };
    let ask = words(&["systemctl", question, "--", &unit]);
    UnitCommand {
        argv: words(&["systemctl", word, "--", &unit]),
        guard: Guard::Asks {
            argv: ask.clone(),
            skip_if: SkipIf::Lines([done.to_owned()].into()),
        },
        question: ask,
        evidence: Evidence {
            fact: format!("`{unit}` is {state}"),
            regex: regex.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_starts_at_boot_is_enabled() {
        let service: ServiceName = "nginx".parse().expect("a name");
        let enable = command(Verb::Enable, &service);
        assert_eq!(enable.argv.join(" "), "systemctl enable -- nginx.service");
        let shows = regex::Regex::new(&enable.evidence.regex).expect("an expression");
        for (answer, wanted) in [
            ("enabled", true),
            ("alias", true),
            ("static", false),
            ("disabled", false),
            ("enabled-runtime", false),
        ] {
            assert_eq!(shows.is_match(answer), wanted, "{answer}");
        }
        let start = command(Verb::Start, &service);
        assert_eq!(start.evidence.fact, "`nginx.service` is running");
        assert_eq!(
            start.question.join(" "),
            "systemctl is-active -- nginx.service"
        );
    }
}
