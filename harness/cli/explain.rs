//! `assay explain`: what a diagnostic's code means.

use assay_recipe::{Code, explain};
use serde::Serialize;

use crate::error::CliError;
use crate::terminal::Terminal;

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    version: u32,
    codes: Vec<Explained>,
}

#[derive(Serialize)]
struct Explained {
    code: &'static str,
    severity: &'static str,
    text: &'static str,
    wrong: &'static str,
    right: &'static str,
}

/// Explains one code, or lists all.
pub(crate) fn run(terminal: &Terminal, code: Option<&str>) -> Result<(), CliError> {
    let chosen: Vec<Code> = match code {
        None => Code::ALL.to_vec(),
        Some(text) => vec![text.parse().map_err(|_| {
            CliError::usage(format!("no diagnostic has the code `{}`", text.escape_debug()))
                .hint("`assay explain` lists all codes")
        })?],
    };
    let explained: Vec<Explained> = chosen
        .iter()
        .filter_map(|code| explain(*code))
        .map(|known| Explained {
            code: known.code.as_str(),
            severity: known.code.severity().as_str(),
            text: known.text,
            wrong: known.wrong,
            right: known.right,
        })
        .collect();
    if terminal.is_json() {
        return terminal.json(&Document { schema: "assay-explain", version: 1, codes: explained });
    }
    terminal.result(|out| {
        for one in &explained {
            if code.is_none() {
                let first = one.text.split_once(". ").map_or(one.text, |(first, _)| first);
                writeln!(out, "{:<28} {:<8} {first}", one.code, one.severity)?;
            } else {
                writeln!(out, "{} ({})\n\n{}\n\nwrong:\n{}\nright:\n{}", one.code, one.severity, one.text, indent(one.wrong), indent(one.right))?;
            }
        }
        Ok(())
    })
}

fn indent(text: &str) -> String {
    text.trim_matches('\n').lines().map(|line| format!("    {line}\n")).collect()
}
