//! Privileged operations as rows of a table: how grave, what, where, by whom.

use assay_observe::delta::Class;
use assay_observe::observed::ObservedOperation;
use assay_observe::risk::Risk;
use assay_wire::privileged::{Actor, PrivilegedOperation};
use assay_wire::program::Pass;

use super::page::{Anchor, Page};
use super::{Cell, ops};
use crate::sanitise;
use crate::words::{what, why_in_words};

/// How many columns a table of operations has.
pub(super) const COLUMNS: &str = "4";

/// Most characters of what a program is called by in a table.
const WHO: usize = 80;
/// Most characters of what was and is.
const STATE: usize = 200;

/// What stands beside an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// The steps it belongs to, where there are several.
    Step,
    /// Who did it, where the step is known.
    By,
}

/// The head of a table of operations.
pub(super) fn head(beside: Beside, page: &mut Page) {
    page.markup("<thead><tr><th scope=\"col\">Risk</th><th scope=\"col\">Operation</th><th scope=\"col\">")
        .markup(match beside {
            Beside::Step => "Step",
            Beside::By => "By",
        })
        .markup("</th><th scope=\"col\"><abbr title=\"MITRE ATT&amp;CK: what the kind can be used for, not that it was\">ATT&amp;CK</abbr></th></tr></thead>\n");
}

/// One that was seen, as a row of its op.
pub(super) fn seen(seen: &ObservedOperation, page: &mut Page) {
    let operation = &seen.operation;
    page.markup("<tr><td>");
    risk(seen.risk, page);
    page.markup("</td><td class=\"what\">");
    page.element("b", "kind", operation.kind.name().as_str())
        .markup(" ");
    page.element("code", "subject", what(operation));
    match &seen.class {
        Class::Declared { by } => field("declared", &format!("by op {by}"), page),
        Class::Accompanying { package } => field("comes with", package, page),
        Class::Undeclared { why } => {
            page.markup("<span class=\"field undeclared\"><b>not declared</b> ")
                .prose(why_in_words(why))
                .markup("</span>");
        }
    }
    states(operation, page);
    let evidence = &operation.evidence;
    if !evidence.argv.is_empty() {
        page.markup("<span class=\"field\"><i>runs</i> ")
            .command(&evidence.argv)
            .markup("</span>");
    }
    let path = evidence.path.as_ref();
    if let Some(path) = path.filter(|path| !operation.subject.contains(path.as_str())) {
        field("file", path, page);
    }
    if let Some(url) = &evidence.url {
        field("from", url, page);
    }
    let pass = match seen.pass {
        Pass::First => None,
        Pass::Second => Some("in the second apply"),
    };
    let times = (seen.count > 1).then(|| format!("{} times", seen.count));
    let times = times.as_deref();
    for says in pass.into_iter().chain(times) {
        field("seen", says, page);
    }
    page.markup("</td><td class=\"by\">");
    who(operation, page);
    page.markup("</td>");
    attack(seen.attack, page);
    page.markup("</tr>\n");
}

/// How many rows are left out.
pub(super) fn more(left_out: usize, page: &mut Page) {
    page.more(
        left_out,
        "<tr><td></td><td class=\"line\" colspan=\"3\">",
        "</td></tr>\n",
    );
}

/// How grave, as a badge with its word.
pub(super) fn risk(risk: Risk, page: &mut Page) {
    let class = match risk {
        Risk::RootEquivalent => "risk root",
        Risk::TrustRoot => "risk trust",
        Risk::Persistence => "risk persist",
        Risk::Network => "risk network",
        Risk::Privileged => "risk priv",
        Risk::Ordinary => "risk",
    };
    let label = match risk {
        Risk::Ordinary => "ordinary",
        Risk::RootEquivalent
        | Risk::TrustRoot
        | Risk::Persistence
        | Risk::Network
        | Risk::Privileged => risk.label(),
    };
    page.markup("<span class=\"")
        .markup(class)
        .markup("\" title=\"");
    page.markup(risk.as_str())
        .markup("\">")
        .markup(label)
        .markup("</span>");
}

/// What it changed from and to.
pub(super) fn states(operation: &PrivilegedOperation, page: &mut Page) {
    let states = [("was", &operation.before), ("is", &operation.after)];
    for (name, state) in states {
        if let Some(state) = state {
            field(name, state, page);
        }
    }
}

/// What attackers' use of the kind is called, as the last cell of a row.
pub(super) fn attack(technique: Option<&'static str>, page: &mut Page) {
    match technique {
        Some(technique) => page.markup("<td>").markup(technique),
        None => page.markup("<td class=\"none\">–"),
    };
    page.markup("</td>");
}

/// Where an operation belongs, as the way to its op.
pub(super) fn place(
    cell: &Cell<'_>,
    operation: &PrivilegedOperation,
    words: &str,
    page: &mut Page,
) {
    if ops::is_shown(cell, operation.op, page) {
        page.link(Anchor::Op(cell.number, operation.op), words);
    } else {
        page.text(words);
    }
}

fn field(name: &'static str, text: &str, page: &mut Page) {
    page.markup("<span class=\"field\"><i>")
        .markup(name)
        .markup("</i> ");
    page.text_up_to(STATE, text).markup("</span>");
}

/// The script of a package, else the program, else nobody that was traced.
fn who(operation: &PrivilegedOperation, page: &mut Page) {
    match &operation.actor {
        Some(Actor {
            script: Some(script),
            argv,
            ..
        }) => {
            page.text(format!("{} of {}", script.script, script.package));
            if !argv.is_empty() {
                let command = sanitise::command(argv, WHO);
                page.markup("<span class=\"field\"><code>")
                    .text_up_to(WHO, command)
                    .markup("</code></span>");
            }
        }
        Some(actor) => {
            let command = sanitise::command(&actor.argv, WHO);
            page.markup("<code>")
                .text_up_to(WHO, command)
                .markup("</code>");
        }
        None => {
            page.markup("<span class=\"none\">–</span>");
        }
    }
}
