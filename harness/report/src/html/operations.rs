//! Privileged operations as rows of a table: how grave, what, where, by whom.

use assay_observe::delta::{Class, Why};
use assay_observe::observed::ObservedOperation;
use assay_observe::risk::Risk;
use assay_wire::privileged::{Actor, KindName, PrivilegedOperation};
use assay_wire::program::Pass;

use super::page::{Anchor, Page};
use super::{Cell, ops};
use crate::sanitise;

/// How many columns [`HEAD`] has.
pub(super) const COLUMNS: &str = "5";

/// The head of a table of operations.
pub(super) const HEAD: &str = "<thead><tr><th scope=\"col\">Risk</th><th scope=\"col\">Operation</th><th scope=\"col\">Step</th><th scope=\"col\">By</th><th scope=\"col\"><abbr title=\"MITRE ATT&amp;CK: what the kind can be used for, not that it was\">ATT&amp;CK</abbr></th></tr></thead>\n";

/// Most characters of what a program is called by in a table.
const WHO: usize = 80;
/// Most characters of what was and is.
const STATE: usize = 200;

/// One operation, with what is said of it here.
pub(super) struct Row<'r> {
    pub(super) risk: Risk,
    pub(super) operation: &'r PrivilegedOperation,
    pub(super) attack: Option<&'static str>,
    /// Names and texts.
    pub(super) says: Vec<(&'static str, String)>,
    /// What it is made of, by kind.
    pub(super) set: Option<Vec<(KindName, String)>>,
}

impl Row<'_> {
    /// Writes it as a row.
    pub(super) fn write(&self, cell: &Cell<'_>, page: &mut Page) {
        let operation = self.operation;
        page.markup("<tr><td>");
        risk(self.risk, page);
        page.markup("</td><td class=\"what\">");
        what(operation, page);
        for (kind, names) in self.set.iter().flatten() {
            field(kind.as_str(), names, page);
        }
        let states = [("was", &operation.before), ("is", &operation.after)];
        for (name, state) in states {
            if let Some(state) = state {
                field(name, state, page);
            }
        }
        for (name, text) in &self.says {
            field(name, text, page);
        }
        evidence(operation, page);
        page.markup("</td><td class=\"step\">");
        place(cell, operation, page);
        page.markup("</td><td class=\"by\">");
        who(operation, page);
        page.markup("</td><td>");
        page.markup(self.attack.unwrap_or("–"))
            .markup("</td></tr>\n");
    }
}

/// One that was seen.
pub(super) fn seen(cell: &Cell<'_>, seen: &ObservedOperation, page: &mut Page) {
    let mut says = Vec::new();
    match &seen.class {
        Class::Declared { by } => says.push(("declared", format!("by op {by}"))),
        Class::Accompanying { package } => says.push(("comes with", package.clone())),
        Class::Undeclared { why } => says.push(("why", why_in_words(why))),
    }
    if seen.count > 1 {
        says.push(("seen", format!("{} times", seen.count)));
    }
    match seen.pass {
        Pass::First => {}
        Pass::Second => says.push(("when", "in the second apply".to_owned())),
    }
    Row {
        risk: seen.risk,
        operation: &seen.operation,
        attack: seen.attack,
        says,
        set: None,
    }
    .write(cell, page);
}

/// How many rows are left out.
pub(super) fn more(left_out: usize, page: &mut Page) {
    page.more(
        left_out,
        "<tr><td></td><td class=\"line\" colspan=\"4\">",
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

/// Kind and subject.
pub(super) fn what(operation: &PrivilegedOperation, page: &mut Page) {
    page.element("b", "kind", operation.kind.name().as_str());
    page.markup(" <code class=\"subject\">")
        .text(&operation.subject)
        .markup("</code>");
}

/// Why nothing explains it.
pub(super) fn why_in_words(why: &Why) -> String {
    match why {
        Why::Nobody => "no step declares it and no package brings it".to_owned(),
        Why::Differs { package } => format!("the package {package} has it otherwise"),
        Why::NotItsOwn { package } => {
            format!("a script of {package} changed what is not its own")
        }
        Why::Capture => "it could not be captured, or would keep others from being".to_owned(),
    }
}

fn field(name: &'static str, text: &str, page: &mut Page) {
    page.markup("<span class=\"field\"><i>")
        .markup(name)
        .markup("</i> ");
    page.text_up_to(STATE, text).markup("</span>");
}

fn evidence(operation: &PrivilegedOperation, page: &mut Page) {
    let shown = &operation.evidence;
    if !shown.argv.is_empty() {
        page.markup("<span class=\"field\"><i>runs</i> ")
            .command(&shown.argv)
            .markup("</span>");
    }
    let path = shown
        .path
        .as_ref()
        .filter(|path| !operation.subject.contains(path.as_str()));
    if let Some(path) = path {
        field("file", path, page);
    }
    if let Some(url) = &shown.url {
        field("from", url, page);
    }
}

/// The steps, and the way to the op.
fn place(cell: &Cell<'_>, operation: &PrivilegedOperation, page: &mut Page) {
    let steps = operation.steps.iter().map(ToString::to_string);
    let steps = steps.collect::<Vec<_>>().join(", ");
    let place = match steps.is_empty() {
        true => format!("op {}", operation.op),
        false => steps,
    };
    if ops::is_shown(cell, operation.op, page) {
        page.link(Anchor::Op(cell.number, operation.op), place);
    } else {
        page.text(place);
    }
}

/// The script of a package, else the program, else nobody that was traced.
fn who(operation: &PrivilegedOperation, page: &mut Page) {
    match &operation.actor {
        Some(Actor {
            script: Some(script),
            argv,
            ..
        }) => {
            page.text(format!("{} {}", script.package, script.script));
            let command = sanitise::command(argv, WHO);
            page.markup("<span class=\"field\"><code>")
                .text_up_to(WHO, command)
                .markup("</code></span>");
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
