//! `assay explain`: what a diagnostic's code means. Codes come from three places: a recipe's text,
//! a set of recipes with its targets, and the project around them.

use std::io::{self, Write};

use assay_content::openpgp::{self, KeyCode};
use assay_plan::FaultCode;
use assay_recipe::{Code, explain};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CliError;
use crate::expectations;
use crate::load::nearest;
use crate::terminal::{Terminal, wrap};

/// The codes of diagnostics.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    codes: Vec<Explained>,
}

#[derive(Serialize, JsonSchema)]
struct Explained {
    code: &'static str,
    severity: &'static str,
    text: &'static str,
    /// A text that has the fault, and the same without it; faults of several files have none.
    wrong: Option<&'static str>,
    right: Option<&'static str>,
}

/// Columns of the code and the severity in the list.
const HEAD: usize = 38;

/// Explains one code, or lists all.
pub(crate) fn run(terminal: &Terminal, code: Option<&str>) -> Result<(), CliError> {
    let mut explained = all();
    if let Some(text) = code {
        let known: Vec<String> = explained.iter().map(|one| one.code.to_owned()).collect();
        explained.retain(|one| one.code == text);
        if explained.is_empty() {
            let shown = text.escape_debug();
            let mut error = CliError::usage(format!("no diagnostic has the code `{shown}`"));
            if let Some(near) = nearest(&text.to_lowercase(), &known) {
                error = error.hint(format!("did you mean `{near}`?"));
            }
            return Err(error.hint("`assay explain` lists all codes"));
        }
    }
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-explain",
            version: 1,
            codes: explained,
        });
    }
    let width = terminal.width();
    terminal.result(|out| {
        let write = if code.is_some() {
            write_one
        } else {
            write_line
        };
        explained.iter().try_for_each(|one| write(one, width, out))
    })
}

/// A line of the list: the code, how much it matters, and what it means in a sentence.
fn write_line(one: &Explained, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = wrap(first_sentence(one.text), width.saturating_sub(HEAD + 1)).into_iter();
    let first = lines.next().unwrap_or_default();
    writeln!(out, "{:<28} {:<8} {first}", one.code, one.severity)?;
    lines.try_for_each(|line| writeln!(out, "{:HEAD$}{line}", ""))
}

/// All there is to say of one code.
fn write_one(one: &Explained, width: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} ({})\n", one.code, one.severity)?;
    wrap(one.text, width)
        .iter()
        .try_for_each(|line| writeln!(out, "{line}"))?;
    for (title, example) in [("wrong", one.wrong), ("right", one.right)] {
        if let Some(example) = example {
            write!(out, "\n{title}:\n{}", indent(example))?;
        }
    }
    Ok(())
}

/// Every code there is, in the order of its place.
fn all() -> Vec<Explained> {
    let of_files = Code::ALL
        .iter()
        .filter_map(|code| explain(*code))
        .map(|known| Explained {
            code: known.code.as_str(),
            severity: known.code.severity().as_str(),
            text: known.text,
            wrong: Some(known.wrong),
            right: Some(known.right),
        });
    let of_sets = FaultCode::ALL.iter().map(|code| Explained {
        code: code.as_str(),
        severity: code.severity().as_str(),
        text: code.explanation(),
        wrong: None,
        right: None,
    });
    let of_projects = Explained {
        code: expectations::CODE,
        severity: expectations::SEVERITY.as_str(),
        text: expectations::EXPLANATION,
        wrong: None,
        right: None,
    };
    let of_keys = KeyCode::ALL.iter().map(|code| {
        let known = openpgp::explain(*code);
        Explained {
            code: known.code.as_str(),
            severity: known.severity.as_str(),
            text: known.text,
            wrong: None,
            right: None,
        }
    });
    let listed = of_files.chain(of_sets).chain([of_projects]);
    listed.chain(of_keys).collect()
}

fn first_sentence(text: &'static str) -> &'static str {
    text.split_once(". ")
        .map_or(text.trim_end_matches('.'), |(first, _)| first)
}

fn indent(text: &str) -> String {
    text.trim_matches('\n')
        .lines()
        .map(|line| {
            if line.is_empty() {
                "\n".to_owned()
            } else {
                format!("    {line}\n")
            }
        })
        .collect()
}
