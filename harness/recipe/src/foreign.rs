//! What recipes of this format carry elsewhere: `[verify]`, which is understood, and keys of other
//! tools under `[metadata]` and `[version]`, which are accepted with a hint, because nothing that
//! assay does follows from them. In steps and `when` an unknown key stays an error: there it would
//! be a command that silently does not run.

use crate::code::Code;
use crate::convert::{prose, read_line};
use crate::diagnostic::{Diagnostic, Spanned, quote};
use crate::model::{Check, Expect};
use crate::name::{Argument, Program};
use crate::table::{Reader, Table};
use crate::text::TextFault;

/// Keys of `[metadata]` that other tools read.
pub(crate) const METADATA: &[&str] = &[
    "version_format",
    "supported_os",
    "supported_arch",
    "supported_libc",
    "unsupported_platforms",
    "unsupported_reason",
    "type",
    "tier",
    "curated",
    "dependencies",
    "runtime_dependencies",
    "extra_dependencies",
    "extra_runtime_dependencies",
    "requires_sudo",
    "binaries",
    "satisfies",
    "llm_validation",
];

const VERIFY_KEYS: &[&str] = &["command", "pattern", "mode", "reason"];

/// Keys of `[verify]` that other tools read.
pub(crate) const FOREIGN_VERIFY: &[&str] = &["version_format", "exit_code", "additional"];

/// What stands for the version in a pattern.
const VERSION: &str = "{version}";

/// An expression for what commands print as their version.
const ANY_VERSION: &str = r"[0-9]+(?:\.[0-9A-Za-z]+)*(?:[-+~][0-9A-Za-z.]+)*";

/// The file's own tables.
pub(crate) fn check_root(
    reader: &mut Reader<'_>,
    root: &Table<'_>,
    known: &[&str],
    later: &[&str],
) {
    reader.check_keys_beside(root, known, later, &["version"]);
    if let Some(span) = root.key_span("version") {
        hint(
            reader,
            span,
            "`[version]`",
            "versions are asked of package managers",
        );
    }
}

/// The keys of `[metadata]`.
pub(crate) fn check_metadata(reader: &mut Reader<'_>, table: &Table<'_>, own: &[&str]) {
    reader.check_keys_beside(table, own, &[], METADATA);
    for (key, span) in table.keys().filter(|(key, _)| METADATA.contains(key)) {
        let help = match key {
            "dependencies" | "runtime_dependencies" => {
                "other recipes are named in `depends_on`, which is read"
            }
            "supported_os" | "supported_arch" | "supported_libc" | "unsupported_platforms" => {
                "where a step applies is said by its `when`, which is read"
            }
            _ => "it may stay for other tools",
        };
        hint(reader, span, &quote(key), help);
    }
}

fn hint(reader: &mut Reader<'_>, span: assay_wire::source::Span, what: &str, help: &str) {
    let message = format!("{what} is a word of other tools: nothing here follows from it");
    reader
        .faults
        .report(Diagnostic::new(Code::ForeignKey, span, message).help(help));
}

/// `[verify]` as the check it is.
pub(crate) fn read_verify(reader: &mut Reader<'_>, root: &Table<'_>) -> Option<Check> {
    let table = reader.table(root, "verify", "`[verify]`")?;
    reader.check_keys_beside(&table, VERIFY_KEYS, &[], FOREIGN_VERIFY);
    for (key, span) in table.keys().filter(|(key, _)| FOREIGN_VERIFY.contains(key)) {
        hint(reader, span, &quote(key), "it may stay for other tools");
    }
    let command = reader.parsed(&table, "command", split);
    let command = reader.required(&table, "command", command);
    let pattern = reader.parsed(&table, "pattern", |text| prose("pattern", text, &[], 1000));
    reader.parsed(&table, "mode", mode);
    read_line(reader, &table, "reason");
    let command = command?;
    if table.has("pattern") && pattern.is_none() {
        return None;
    }
    let (program, arguments) = command.value;
    let mut expect = Expect {
        exit_code: 0,
        stdout_contains: Vec::new(),
        stdout_matches: None,
        stderr_contains: Vec::new(),
    };
    if let Some(pattern) = pattern {
        if pattern.value.contains(VERSION) {
            let parts: Vec<_> = pattern.value.split(VERSION).map(regex::escape).collect();
            expect.stdout_matches = Some(Spanned::new(parts.join(ANY_VERSION), pattern.span));
        } else {
            expect.stdout_contains.push(pattern);
        }
    }
    let place = |argument| Spanned::new(argument, command.span);
    Some(Check {
        name: Spanned::new("verify".to_owned(), table.span),
        program: Spanned::new(program, command.span),
        arguments: arguments.into_iter().map(place).collect(),
        timeout: None,
        when: None,
        expect,
        span: table.span,
    })
}

/// What `mode` may say: whether the version or the output as a whole is compared. Both are answered
/// by the pattern.
fn mode(text: &str) -> Result<(), TextFault> {
    match text {
        "version" | "output" | "functional" => Ok(()),
        _ => Err(
            TextFault::new(Code::UnknownWord, format!("unknown mode {}", quote(text)))
                .help("the words are `version`, `output`, `functional`"),
        ),
    }
}

/// A command line as words. Quotes hold words together as in sh(1); what only a shell could do is a
/// fault, because none will.
fn split(text: &str) -> Result<(Program, Vec<Argument>), TextFault> {
    crate::text::readable("command", text, &[])?;
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = None;
    for (at, c) in text.char_indices() {
        match (quoted, c) {
            (Some(quote), c) if c == quote => quoted = None,
            (Some('"') | None, '$' | '`' | '\\')
            | (None, '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '~' | '#') => {
                let message = format!("only a shell understands `{c}` in {}", quote(text));
                return Err(TextFault::new(Code::VerifyNeedsShell, message)
                    .at(at..at + c.len_utf8())
                    .help("no shell is ever started: name one command and its arguments"));
            }
            (None, '"' | '\'') => {
                quoted = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t') => words.extend(word.take()),
            (Some(_) | None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quoted {
        let message = format!(
            "a `{quote}` of {} is not closed",
            crate::diagnostic::quote(text)
        );
        return Err(TextFault::new(Code::VerifyNeedsShell, message).help("close it"));
    }
    words.extend(word);
    let mut words = words.into_iter();
    let Some(program) = words.next() else {
        return Err(TextFault::new(Code::EmptyValue, "the command is empty"));
    };
    let fault = |fault: TextFault| TextFault {
        range: None,
        ..fault
    };
    let arguments: Result<Vec<Argument>, _> = words.map(|word| word.parse()).collect();
    Ok((program.parse().map_err(fault)?, arguments.map_err(fault)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<String, Code> {
        let (program, arguments) = split(text).map_err(|fault| fault.code)?;
        let all = std::iter::once(program.as_str()).chain(arguments.iter().map(Argument::as_str));
        Ok(all.collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn a_command_line_is_split_and_never_handed_to_a_shell() {
        for (text, wanted) in [
            ("jq --version", "jq|--version"),
            ("  tool  'a b'  \"c d\"e ", "tool|a b|c de"),
            ("tool '' x", "tool||x"),
            ("tool '$HOME'", "tool|$HOME"),
        ] {
            assert_eq!(words(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in [
            "jq --version | head",
            "a && b",
            "a; b",
            "a > b",
            "echo $HOME",
            "echo \"$(id)\"",
            "echo `id`",
            "a 'b",
            "ls *",
            "(a)",
            "a \\ b",
        ] {
            assert_eq!(words(text), Err(Code::VerifyNeedsShell), "{text}");
        }
        assert_eq!(words("  "), Err(Code::EmptyValue));
        assert_eq!(words("./jq --version"), Err(Code::InvalidCommand));
        assert_eq!(words("-jq"), Err(Code::OptionInjection));
    }

    #[test]
    fn a_pattern_with_a_version_matches_any_version_and_nothing_else() {
        let regex = |pattern: &str| {
            let parts: Vec<_> = pattern.split(VERSION).map(regex::escape).collect();
            regex::Regex::new(&parts.join(ANY_VERSION)).expect("an expression")
        };
        let matches = |pattern: &str, line: &str| regex(pattern).is_match(line);
        assert!(matches(
            "Docker version {version}",
            "Docker version 26.1.0-rc.1, build x"
        ));
        assert!(matches("({version})", "jq (1.7)"));
        assert!(!matches("jq-{version}", "jq-master"));
        assert!(!matches("a.b {version}", "axb 1.0"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = split(&text);
        }
    }
}
