//! Spanned tables → typed recipe: the file's own tables. Steps are in [`crate::step`].

use assay_wire::name::RecipeName;
use toml::de::DeTable;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, Spanned, nearest, quote};
use crate::foreign;
use crate::model::{Check, CommandMinimum, Expect, Metadata, Recipe, Requirement, RequirementKind};
use crate::name::{CommandName, PackageVersion, VersionFlag, WireName as _};
use crate::package::PackageName;
use crate::pattern::duration;
use crate::step::read_steps;
use crate::table::{Reader, Table};
use crate::template::Url;
use crate::text::{TextFault, readable};
use crate::when::{When, read_when};

const ROOT_KEYS: &[&str] = &["metadata", "requires", "steps", "check", "verify"];
const METADATA_KEYS: &[&str] = &["name", "description", "homepage", "depends_on"];
const KINDS: &[&str] = &["command", "package", "library", "file", "user"];
const REQUIRES_KEYS: &[&str] = &[
    "command",
    "package",
    "library",
    "file",
    "user",
    "min_version",
    "version_flag",
    "version_regex",
    "when",
];
const CHECK_KEYS: &[&str] = &["name", "argv", "timeout", "when", "expect"];
const EXPECT_KEYS: &[&str] = &["exit_code", "stdout_contains", "stderr_contains"];

/// Converts a whole recipe; `stem` is the stem of its file.
pub(crate) fn read_recipe(
    stem: Option<&str>,
    text: &str,
    entries: &DeTable<'_>,
    faults: &mut Faults,
) -> Option<Recipe> {
    let reader = &mut Reader { text, faults };
    let root = Table::root(entries);
    foreign::check_root(reader, &root, ROOT_KEYS, &["layers"]);
    let metadata = read_metadata(reader, &root, stem);
    let requires: Vec<_> = reader
        .tables(&root, "requires")
        .iter()
        .map(|table| read_requirement(reader, table))
        .collect();
    let steps = read_steps(reader, &root);
    let verify = root
        .has("verify")
        .then(|| foreign::read_verify(reader, &root));
    let checks: Vec<_> = reader
        .tables(&root, "check")
        .iter()
        .map(|table| read_check(reader, table))
        .chain(verify)
        .collect();
    let metadata = metadata?;
    if !root.has("steps") && metadata.depends_on.is_empty() {
        let message = format!("recipe `{}` does nothing", metadata.name.value);
        let help = "add `[[steps]]`, or name other recipes in `depends_on`";
        reader
            .faults
            .report(Diagnostic::new(Code::NoSteps, metadata.name.span, message).help(help));
    }
    Some(Recipe {
        metadata,
        requires: requires.into_iter().collect::<Option<_>>()?,
        steps: steps?,
        checks: checks.into_iter().collect::<Option<_>>()?,
    })
}

fn read_metadata(
    reader: &mut Reader<'_>,
    root: &Table<'_>,
    stem: Option<&str>,
) -> Option<Metadata> {
    let Some(table) = reader.table(root, "metadata", "`[metadata]`") else {
        if !root.has("metadata") {
            report_no_metadata(reader, root, stem);
        }
        return None;
    };
    foreign::check_metadata(reader, &table, METADATA_KEYS);
    let name = reader.parsed(&table, "name", RecipeName::read);
    let name = reader.required(&table, "name", name);
    let depends_on = reader
        .list(&table, "depends_on", RecipeName::read)
        .unwrap_or_default();
    let description = read_line(reader, &table, "description");
    let homepage = reader.parsed(&table, "homepage", literal_url);
    let name = name?;
    if let Some(stem) = stem.filter(|stem| *stem != name.value.as_str()) {
        let message = format!(
            "the recipe is named `{}` and its file {}",
            name.value,
            quote(stem)
        );
        let help = format!(
            "write `name = {}`, or rename the file",
            quote(stem).replace('`', "\"")
        );
        reader
            .faults
            .report(Diagnostic::new(Code::NameMismatch, name.span, message).help(help));
    }
    if let Some(itself) = depends_on.iter().find(|recipe| recipe.value == name.value) {
        let message = format!("recipe `{}` depends on itself", name.value);
        reader
            .faults
            .report(Diagnostic::new(Code::DependsOnItself, itself.span, message).help("remove it"));
    }
    Some(Metadata {
        name,
        description,
        homepage,
        depends_on,
    })
}

/// A file without its first table; what it takes is small enough to be shown.
fn report_no_metadata(reader: &mut Reader<'_>, root: &Table<'_>, stem: Option<&str>) {
    let name = stem.filter(|stem| stem.parse::<RecipeName>().is_ok());
    let help = format!(
        "begin with:\n[metadata]\nname = \"{}\"",
        name.unwrap_or("jq")
    );
    let diagnostic = Diagnostic::new(Code::MissingKey, root.span, "the file has no `[metadata]`");
    reader.faults.report(diagnostic.help(help));
}

fn read_requirement(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Requirement> {
    let when = optional_when(reader, table);
    let kinds: Vec<_> = table
        .keys()
        .filter(|(key, _)| KINDS.contains(key))
        .collect();
    let kind = match kinds.as_slice() {
        [kind] => *kind,
        [] => {
            let near = table
                .keys()
                .find_map(|(key, _)| nearest(key, KINDS.iter().copied()));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add `command = …` or `package = …`".to_owned(),
            };
            let message = format!("{} requires nothing", table.name);
            reader
                .faults
                .report(Diagnostic::new(Code::RequirementKind, table.span, message).help(help));
            reader.check_keys(table, REQUIRES_KEYS, &[]);
            return None;
        }
        [first, second, ..] => {
            let message = format!(
                "{} requires `{}` and `{}` at once",
                table.name, first.0, second.0
            );
            let diagnostic = Diagnostic::new(Code::RequirementKind, first.1, message)
                .labelled("one")
                .and(second.1, "another");
            reader
                .faults
                .report(diagnostic.help("write one `[[requires]]` for each"));
            return None;
        }
    };
    reader.check_keys(table, REQUIRES_KEYS, &[]);
    let kind = match kind.0 {
        "command" => required_command(reader, table),
        "package" => required_package(reader, table),
        key => required_thing(reader, table, key),
    };
    Some(Requirement {
        kind: kind?,
        when,
        span: table.span,
    })
}

fn required_command(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<RequirementKind> {
    let command = reader.parsed(table, "command", str::parse::<CommandName>);
    let minimum = read_minimum(reader, table);
    if table.has("min_version") {
        // Before anything is installed nothing may be guessed about a command's output.
        for key in ["version_flag", "version_regex"] {
            let present = table.has(key).then_some(());
            reader.required(table, key, present);
        }
    }
    Some(RequirementKind::Command {
        command: command?,
        minimum,
    })
}

fn required_package(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<RequirementKind> {
    for key in ["version_flag", "version_regex"] {
        if let Some(span) = table.key_span(key) {
            let message = format!("`{key}` has no effect on a required package");
            reader.faults.report(
                Diagnostic::new(Code::UnusedKey, span, message)
                    .help("the package manager knows the version: remove it"),
            );
        }
    }
    let package = reader.parsed(table, "package", str::parse::<PackageName>);
    let min_version = reader.parsed(table, "min_version", str::parse::<PackageVersion>);
    Some(RequirementKind::Package {
        package: package?,
        min_version,
    })
}

/// A library, file or user: it is there, or it is not.
fn required_thing(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    key: &str,
) -> Option<RequirementKind> {
    for unused in ["min_version", "version_flag", "version_regex"] {
        if let Some(span) = table.key_span(unused) {
            let message = format!("`{unused}` has no effect on a required {key}");
            let help = "require a command or a package to ask for a version, or remove it";
            reader
                .faults
                .report(Diagnostic::new(Code::UnusedKey, span, message).help(help));
        }
    }
    match key {
        "library" => reader
            .parsed(table, key, str::parse)
            .map(RequirementKind::Library),
        "file" => reader
            .parsed(table, key, str::parse)
            .map(RequirementKind::File),
        _ => reader
            .parsed(table, key, str::parse)
            .map(RequirementKind::User),
    }
}

/// Reads `min_version`, `version_flag` and `version_regex` of a command.
pub(crate) fn read_minimum(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<CommandMinimum> {
    let version = reader.parsed(table, "min_version", str::parse);
    let flag = reader.parsed(table, "version_flag", str::parse::<VersionFlag>);
    let pattern = reader.parsed(table, "version_regex", str::parse);
    if !table.has("min_version") {
        for key in ["version_flag", "version_regex"] {
            if let Some(span) = table.key_span(key) {
                let message = format!("`{key}` has no effect without `min_version`");
                reader.faults.report(
                    Diagnostic::new(Code::UnusedKey, span, message)
                        .help("add `min_version`, or remove it"),
                );
            }
        }
    }
    let version = version?;
    let flag = flag.unwrap_or_else(|| Spanned::new(VersionFlag::default(), version.span));
    Some(CommandMinimum {
        version,
        flag,
        pattern,
    })
}

fn read_check(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Check> {
    reader.check_keys(table, CHECK_KEYS, &[]);
    let name = read_line(reader, table, "name");
    let name = reader.required(table, "name", name);
    let command = read_argv(reader, table);
    let command = reader.required(table, "argv", command);
    let timeout = reader.parsed(table, "timeout", duration);
    let when = optional_when(reader, table);
    let expect = read_expect(reader, table);
    let (program, arguments) = command?;
    Some(Check {
        name: name?,
        program,
        arguments,
        timeout,
        when,
        expect,
        span: table.span,
    })
}

type Argv = (
    Spanned<crate::name::Program>,
    Vec<Spanned<crate::name::Argument>>,
);

fn read_argv(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Argv> {
    let value = table.get("argv")?;
    if let Some(command_line) = value.as_str() {
        let split: Vec<_> = command_line
            .split_whitespace()
            .map(|word| format!("{word:?}"))
            .collect();
        let diagnostic = Diagnostic::new(
            Code::WrongType,
            value.span,
            "`argv` is a string, not a list of strings",
        );
        let help = if split.len() <= 20 {
            format!("no shell splits it: write `argv = [{}]`", split.join(", "))
        } else {
            "no shell splits it".to_owned()
        };
        reader.faults.report(diagnostic.help(help));
        return None;
    }
    let items = reader.items(table, "argv")?;
    let mut program = None;
    let mut arguments = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let Some(text) = reader.string_value("argv", item) else {
            continue;
        };
        if at == 0 {
            program = reader.read(text, str::parse);
        } else {
            arguments.extend(reader.read(text, str::parse));
        }
    }
    program.map(|program| (program, arguments))
}

fn read_expect(reader: &mut Reader<'_>, table: &Table<'_>) -> Expect {
    let mut expect = Expect {
        exit_code: 0,
        stdout_contains: Vec::new(),
        stdout_matches: None,
        stderr_contains: Vec::new(),
    };
    let Some(table) = reader.table(table, "expect", "`expect`") else {
        return expect;
    };
    reader.check_keys(&table, EXPECT_KEYS, &[]);
    if let Some(code) = reader.integer(&table, "exit_code") {
        match code.value.and_then(|code| u8::try_from(code).ok()) {
            Some(code) => expect.exit_code = code,
            None => {
                let message = "`exit_code` is not within 0 and 255";
                reader
                    .faults
                    .report(Diagnostic::new(Code::InvalidExitCode, code.span, message));
            }
        }
    }
    let contains = |text: &str| {
        if text.is_empty() {
            Err(TextFault::new(
                Code::EmptyValue,
                "every output holds the empty text",
            ))
        } else {
            Ok(text.to_owned())
        }
    };
    expect.stdout_contains = reader
        .list(&table, "stdout_contains", contains)
        .unwrap_or_default();
    expect.stderr_contains = reader
        .list(&table, "stderr_contains", contains)
        .unwrap_or_default();
    expect
}

/// `when` where no action adds a constraint of its own.
fn optional_when(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Spanned<When>> {
    let value = table.get("when")?;
    read_when(reader, value, None)
}

/// One line for people.
pub(crate) fn read_line(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    key: &str,
) -> Option<Spanned<String>> {
    reader.parsed(table, key, |text| prose(key, text, &[], 300))
}

/// Text for people: something to see, nothing hidden, not endless.
pub(crate) fn prose(
    kind: &str,
    text: &str,
    allowed: &[char],
    most: usize,
) -> Result<String, TextFault> {
    readable(kind, text, allowed)?;
    if text.trim().is_empty() {
        return Err(TextFault::new(
            Code::EmptyValue,
            format!("the {kind} is empty"),
        ));
    }
    if text.len() > most {
        return Err(TextFault::new(
            Code::InvalidArgument,
            format!(
                "the {kind} has {} bytes; at most {most} are allowed",
                text.len()
            ),
        ));
    }
    Ok(text.to_owned())
}

/// A URL for people: the same everywhere.
pub(crate) fn literal_url(text: &str) -> Result<Url, TextFault> {
    let url: Url = text.parse()?;
    let first = url.placeholders().next();
    match first {
        Some(placeholder) => {
            let message = format!(
                "the URL {} holds the placeholder `{{{}}}`, which has no value here",
                quote(text),
                placeholder.as_str()
            );
            Err(TextFault::new(Code::UnknownPlaceholder, message))
        }
        None => Ok(url),
    }
}
