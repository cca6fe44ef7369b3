//! What must be seen of a case: in the record as it is printed, an operation of the right kind and subject,
//! at the right step, by whoever did it; what explains it, and how the run ends. Nothing is taken from the
//! harness's own types, so that what a reader of the record gets is what is looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use super::packages::{COMMAND, HOOK};
use super::{Case, Class, Deed};
use crate::stand::Manager;
use crate::world::Ran;

/// Most words of an operation that are shown where a case fails.
const SHOWN: usize = 600;

/// What is wrong with the run of cases of one class as a whole.
pub(super) fn judged_run(ran: &Ran, class: Class) -> Option<String> {
    let wanted = class.exit();
    (ran.code != Some(wanted)).then(|| {
        format!(
            "the run of what is {class:?} ended with {:?}, not with {wanted}: {}",
            ran.code, ran.stderr
        )
    })
}

/// What is wrong with a case; `None` if it is as the table has it.
pub(super) fn wrong(ran: &Ran, manager: Manager, case: &Case) -> Option<String> {
    let cell = ran.cell(case.name);
    let mut faults = Vec::new();
    // What was bad must have been done: no step of the recipe fails by it.
    for op in list(&cell["facts"]["ops"]) {
        if !matches!(op["first"]["ending"]["exited"].as_i64(), Some(0) | None) {
            faults.push(format!(
                "op {} ended with {}",
                op["op"], op["first"]["ending"]
            ));
        }
    }
    if !matches!(&cell["gaps"], Value::Array(gaps) if gaps.is_empty()) {
        faults.push(format!("gaps: {}", cell["gaps"]));
    }
    let operations = list(&cell["observed"]["operations"]);
    let is_it = |seen: &&Value| {
        let operation = &seen["operation"];
        operation["kind"].get(case.kind.as_str()).is_some()
            && fits(case.subject, text(&operation["subject"]))
    };
    let mut fitting = operations.iter().filter(is_it).peekable();
    if fitting.peek().is_none() {
        faults.push(format!("no `{}` of `{}`", case.kind, case.subject));
    } else {
        // It is enough that one of them is right: a hook may run more than once.
        let of_each: Vec<Vec<String>> = fitting
            .map(|seen| {
                let wrong = [
                    not_at_its_step(manager, case, seen),
                    not_by_whom(manager, case, &cell, seen),
                    not_judged(case, seen),
                ];
                wrong.into_iter().flatten().collect()
            })
            .collect();
        faults.extend(of_each.into_iter().min_by_key(Vec::len).unwrap_or_default());
    }
    faults.extend(others_undeclared(case, operations));
    faults.extend(not_by_this(ran, case, &cell));
    if faults.is_empty() {
        return None;
    }
    let shown = operations.iter().map(|seen| {
        let line = format!("\n      {} {}", seen["class"], seen["operation"]);
        line.chars().take(SHOWN).collect::<String>()
    });
    Some(format!(
        "  {}: {}{}\n    {}",
        case.name,
        faults.join("; "),
        shown.collect::<String>(),
        ran.told(case.name).replace('\n', "\n    ")
    ))
}

/// The step that it belongs to is not the one during which it was done.
fn not_at_its_step(manager: Manager, case: &Case, seen: &Value) -> Option<String> {
    let wanted = match case.deed {
        Deed::Payload(_) | Deed::Script(_) | Deed::Trigger(_) => Some("install"),
        Deed::Command(_) => Some("join"),
        // libalpm looks for hooks when a transaction is over, the others when they start.
        Deed::Hook(..) if manager == Manager::Pacman => Some("install"),
        Deed::Hook(..) => Some("again"),
        Deed::Check(..) => Some("check-1"),
    };
    let steps = list(&seen["operation"]["steps"]);
    let steps: Vec<&str> = steps.iter().map(|step| text(&step["step"])).collect();
    (steps != wanted.into_iter().collect::<Vec<_>>()).then(|| format!("at {steps:?}"))
}

/// Who is said to have done it is not who did.
fn not_by_whom(manager: Manager, case: &Case, cell: &Value, seen: &Value) -> Option<String> {
    let actor = &seen["operation"]["actor"];
    if actor.is_null() {
        return Some("by nobody".to_owned());
    }
    let lineage = lineage(cell, actor);
    let names = |word: &str| {
        lineage
            .iter()
            .any(|argv| argv.iter().any(|said| fits(word, said)))
    };
    let is_manager = || {
        let program = text(&actor["argv"][0])
            .rsplit('/')
            .next()
            .unwrap_or_default();
        ["dpkg", "dnf", "pacman"].contains(&program)
    };
    let is_right = match case.deed {
        Deed::Payload(_) => is_manager() && actor["script"].is_null(),
        Deed::Script(_) | Deed::Trigger(_) => {
            runs_in(manager, case, &lineage) && is_named(manager, case, actor)
        }
        Deed::Hook(..) => names(HOOK) && actor["script"].is_null(),
        Deed::Command(_) => names(COMMAND) && actor["script"].is_null(),
        Deed::Check(_, script) => names(script) && actor["script"].is_null(),
    };
    (!is_right).then(|| format!("by {actor}, of {lineage:?}"))
}

/// The script is said to be that of the package, at the time it runs.
fn is_named(manager: Manager, case: &Case, actor: &Value) -> bool {
    let phase = match (manager, case.deed) {
        (Manager::Apt, _) => "postinst",
        (Manager::Dnf4 | Manager::Dnf5, Deed::Trigger(_)) => "%transfiletriggerin",
        (Manager::Dnf4 | Manager::Dnf5, _) => "%post",
        (Manager::Pacman, _) => "post_install",
    };
    let script = &actor["script"];
    script["package"] == format!("evil-{}", case.name) && script["script"] == phase
}

/// Among the programs that led to it is one that the manager runs scripts by.
fn runs_in(manager: Manager, case: &Case, lineage: &[Vec<String>]) -> bool {
    let word = match manager {
        Manager::Apt => format!("*/evil-{}.postinst", case.name),
        Manager::Dnf4 | Manager::Dnf5 => "/var/tmp/rpm-tmp.*".to_owned(),
        Manager::Pacman => ". */.INSTALL; post_install 1.0-1".to_owned(),
    };
    lineage
        .iter()
        .any(|argv| argv.iter().any(|said| fits(&word, said)))
}

/// The words of a program and of those that it descends from; of one that is only known by its name,
/// those of its name.
fn lineage(cell: &Value, actor: &Value) -> Vec<Vec<String>> {
    let mut programs: BTreeMap<u64, &Value> = BTreeMap::new();
    for trace in list(&cell["facts"]["traces"]) {
        for program in list(&trace["programs"]) {
            programs.extend(program["id"].as_u64().map(|id| (id, program)));
        }
    }
    let mut lineage = Vec::new();
    let mut next = actor["program"].as_u64();
    while let Some(program) = next.and_then(|id| programs.get(&id)) {
        let argv = list(&program["argv"]);
        lineage.push(argv.iter().map(|word| text(word).to_owned()).collect());
        next = program["parent"].as_u64();
    }
    lineage
}

/// Its class.
fn not_judged(case: &Case, seen: &Value) -> Option<String> {
    let class = &seen["class"];
    let is_right = match case.class {
        Class::Accompanying => {
            class["accompanying"]["package"] == format!("evil-{}", case.name).as_str()
        }
        Class::Undeclared => class.get("undeclared").is_some(),
    };
    (!is_right).then(|| format!("as {class}"))
}

/// Where the package does it by itself nothing else may be nobody's: the exit code would be of that.
fn others_undeclared(case: &Case, operations: &[Value]) -> Vec<String> {
    if case.class == Class::Undeclared {
        return Vec::new();
    }
    let others = operations
        .iter()
        .filter(|seen| seen["class"].get("undeclared").is_some() && seen["risk"] != "ordinary");
    others
        .map(|seen| format!("beside it: {}", seen["operation"]["subject"]))
        .collect()
}

/// Several cells share a run: that its exit code is of this one, too, is told by the cell alone.
fn not_by_this(ran: &Ran, case: &Case, cell: &Value) -> Option<String> {
    let detail = ran.detail(case.name);
    match case.class {
        Class::Undeclared => {
            let is_failed = detail.contains("\"undeclared_operation\"");
            (!is_failed).then(|| format!("its cell is {detail}"))
        }
        Class::Accompanying => {
            let package = format!("evil-{}", case.name);
            let is_asked = |set: &&Value| set["operation"]["subject"] == package.as_str();
            let mut sets = list(&cell["delta"]["accompanying"]).iter();
            let standing = sets.find(is_asked).map(|set| &set["standing"]);
            let is_passed = cell["outcome"] == "passed";
            let is_missing = standing.is_some_and(|standing| standing == "missing");
            (!is_passed || !is_missing)
                .then(|| format!("its cell is {detail}, and what accompanies it {standing:?}"))
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a text is of a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(behind) = text.strip_prefix(first) else {
        return false;
    };
    (0..=behind.len())
        .filter_map(|at| behind.get(at..))
        .any(|behind| fits(rest, behind))
}
