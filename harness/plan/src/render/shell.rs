//! A plan as a POSIX shell script: the plan's very commands, for reading, and right when it is run.
//! Assay itself never runs a shell, and nothing it runs is made from this text.
//!
//! Every command goes through `root` or `user`, which start a program of the PATH and nothing else:
//! a word of a plan is never a keyword, a builtin, an assignment or a function of this script.

use std::collections::BTreeSet;

use assay_wire::name::CellId;
use assay_wire::plan::{
    Action, Content, Disposition, Expects, FileContent, Guard, Limits, Op, Plan, Presence,
    Privilege, SkipIf, Subject,
};
use assay_wire::program::PATH;

use super::quote::{is_invisible, visible_line, word_of};
use super::{manual_steps, steps_of, version_bound};

/// The end of a here-document.
const END: &str = "ASSAY_END";

/// The functions of a script, in the order they are written, each with what it needs.
const FUNCTIONS: &[(&str, &[&str], &str)] = &[
    ("root", &[], "root() { (exec \"$@\"); }\n"),
    (
        "user",
        &[],
        "user() {\n    if [ \"$(id -u)\" -ne 0 ]; then\n        (exec \"$@\")\n    elif command -v runuser >/dev/null; then\n        (HOME=~dev USER=dev LOGNAME=dev; export HOME USER LOGNAME; exec runuser -u dev -- \"$@\")\n    else\n        (HOME=~dev USER=dev LOGNAME=dev; export HOME USER LOGNAME; exec su -s /bin/sh -c 'exec \"$0\" \"$@\"' dev \"$@\")\n    fi\n}\n",
    ),
    (
        "work",
        &[],
        "work=$(mktemp -d)\ntrap 'rm -rf \"$work\"' EXIT\n",
    ),
    (
        "exits",
        &[],
        "# exits CODE COMMAND: true if it ends with that code.\nexits() {\n    want=$1\n    shift\n    code=0\n    \"$@\" >/dev/null 2>&1 || code=$?\n    [ \"$code\" -eq \"$want\" ]\n}\n",
    ),
    (
        "prints",
        &[],
        "# prints COMMAND <LINES: true if it succeeds and prints these lines and no others.\nprints() {\n    lines=$(LC_ALL=C sort -u)\n    said=$(\"$@\" 2>/dev/null </dev/null) || return 1\n    [ \"$(printf '%s\\n' \"$said\" | LC_ALL=C sort -u)\" = \"$lines\" ]\n}\n",
    ),
    (
        "on_path",
        &[],
        "# on_path NAME: true if a program of that name is on the PATH.\non_path() (\n    IFS=:\n    for folder in $PATH; do\n        [ -f \"$folder/$1\" ] && [ -x \"$folder/$1\" ] && exit 0\n    done\n    exit 1\n)\n",
    ),
    (
        "starts",
        &[],
        "# starts COMMAND: fails only if there is no such command.\nstarts() {\n    code=0\n    \"$@\" || code=$?\n    [ \"$code\" -ne 126 ] && [ \"$code\" -ne 127 ]\n}\n",
    ),
    (
        "watch",
        &["work"],
        "# watch N TEXT… COMMAND: fails if it does, or if it prints one of these N texts.\nwatch() {\n    : >\"$work/texts\"\n    texts=$1\n    shift\n    while [ \"$texts\" -gt 0 ]; do\n        printf '%s\\n' \"$1\" >>\"$work/texts\"\n        texts=$((texts - 1))\n        shift\n    done\n    code=0\n    \"$@\" >\"$work/said\" 2>&1 || code=$?\n    cat \"$work/said\"\n    [ \"$code\" -eq 0 ] || return \"$code\"\n    if grep -qFf \"$work/texts\" \"$work/said\"; then\n        echo 'it printed what means failure' >&2\n        return 1\n    fi\n}\n",
    ),
    (
        "check",
        &["work"],
        "# check CODE COMMAND: fails if it does not end with that code.\ncheck() {\n    want=$1\n    shift\n    code=0\n    \"$@\" >\"$work/stdout\" 2>\"$work/stderr\" || code=$?\n    cat \"$work/stdout\"\n    cat \"$work/stderr\" >&2\n    [ \"$code\" -eq \"$want\" ]\n}\n",
    ),
    (
        "holds",
        &["work"],
        "# holds stdout|stderr TEXT: fails if the last check did not print that.\nholds() {\n    case $(cat \"$work/$1\") in\n        *\"$2\"*) ;;\n        *) echo \"$1 lacks: $2\" >&2; return 1 ;;\n    esac\n}\n",
    ),
    (
        "fetch",
        &["work"],
        "# fetch URL SHA256: gets it, and keeps it if it is what it should be.\nfetch() {\n    if command -v curl >/dev/null; then\n        curl -fsSL -o \"$work/$2\" \"$1\"\n    else\n        wget -qO \"$work/$2\" \"$1\"\n    fi\n    printf '%s  %s\\n' \"$2\" \"$work/$2\" | sha256sum -c - >/dev/null\n}\n",
    ),
    (
        "put",
        &[],
        "# put MODE OWNER PATH <BYTES: writes beside the place, then renames over it.\nput() {\n    [ ! -d \"$3\" ]\n    (umask 022 && mkdir -p \"$(dirname \"$3\")\")\n    (umask 077 && set -C && cat >\"$3.assay-$$\")\n    chown \"$2\" \"$3.assay-$$\"\n    chmod \"$1\" \"$3.assay-$$\"\n    mv -f \"$3.assay-$$\" \"$3\"\n}\n",
    ),
    (
        "unpack",
        &[],
        "# unpack root|user ARCHIVE FOLDER N: without the first N parts of every name.\nunpack() {\n    root mkdir -p \"$3\"\n    if [ \"$(dd if=\"$2\" bs=2 count=1 2>/dev/null)\" = PK ]; then\n        [ \"$4\" -eq 0 ]\n        \"$1\" unzip -oq \"$2\" -d \"$3\"\n    else\n        \"$1\" tar -x -f \"$2\" -C \"$3\" --strip-components=\"$4\" --no-same-owner\n    fi\n}\n",
    ),
];

/// The plan of a cell as a script. Text of authors stands in it as quoted words, exact bytes or
/// comments of one line.
#[must_use]
pub fn render_shell(cell: &CellId, plan: &Plan) -> String {
    let mut script = Script::default();
    if let Some(reason) = &plan.unsupported {
        let reason = format!("unsupported: {}", visible_line(reason));
        script.line(&format!("echo {} >&2", word_of(&reason)));
        script.line("exit 1");
    } else {
        script.plan(plan);
    }
    let mut text = format!(
        "#!/bin/sh\n# {cell}, plan {}\n#\n# For reading, and for a machine of your own: assay itself never runs a shell. It performs these\n# same commands one by one, on `{}` with the user `dev`.\n",
        plan.digest().short(),
        plan.target,
    );
    text.push_str(if script.needs.contains("root") {
        "# To be run by root.\n"
    } else {
        "# It needs no root.\n"
    });
    text.push_str("set -eu\n\n");
    let mut needed = script.needs.clone();
    for (name, needs, _) in FUNCTIONS {
        if script.needs.contains(name) {
            needed.extend(needs.iter());
        }
    }
    for (name, _, function) in FUNCTIONS {
        if needed.contains(name) {
            text.push_str(function);
            text.push('\n');
        }
    }
    text.push_str(&format!(
        "main() {{\nexec </dev/null\nPATH={PATH}\nLANG=C.UTF-8\nexport PATH LANG\n"
    ));
    if script.needs.contains("root") {
        text.push_str(
            "[ \"$(id -u)\" -eq 0 ] || { echo 'this is to be run by root' >&2; exit 1; }\n",
        );
    }
    text.push_str(&script.body);
    // A script that is piped into a shell is read to its end before anything is done.
    text.push_str("}\n\nmain\n");
    text
}

/// The part of a script that is the plan's.
#[derive(Default)]
struct Script {
    body: String,
    needs: BTreeSet<&'static str>,
    /// Words that no quotes of a POSIX shell show, as variables: how many.
    variables: usize,
}

impl Script {
    fn line(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\n');
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {}", visible_line(text)));
    }

    fn needs(&mut self, function: &'static str) -> &'static str {
        self.needs.insert(function);
        function
    }

    fn plan(&mut self, plan: &Plan) {
        let mut manual = manual_steps(plan).into_iter().peekable();
        for (before, op) in (0u32..).zip(&plan.ops) {
            while let Some((step, text, _)) = manual.next_if(|(_, _, after)| *after <= before) {
                self.manual(&step.step.to_string(), text);
            }
            self.op(op, &plan.content);
        }
        for (step, text, _) in manual {
            self.manual(&step.step.to_string(), text);
        }
        let dropped: Vec<String> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.disposition {
                Disposition::Dropped { reason } => Some(format!("{}: {reason}", step.step)),
                Disposition::Applies | Disposition::Manual { .. } => None,
            })
            .collect();
        if !dropped.is_empty() {
            self.body.push('\n');
            self.comment("Not here:");
            for step in dropped {
                self.comment(&format!("  {step}"));
            }
        }
        if self.body.is_empty() {
            self.comment("Nothing to do.");
            self.line(":");
        }
    }

    fn manual(&mut self, step: &str, text: &str) {
        self.body.push('\n');
        self.comment(&format!("{step}: to be done by hand"));
        for line in text.lines() {
            self.comment(&format!("  {line}"));
        }
    }

    fn op(&mut self, op: &Op, content: &[Content]) {
        self.body.push('\n');
        let once = if op.once { "; once" } else { "" };
        self.comment(&format!("{} ({}{once})", op.id, steps_of(op)));
        self.notes(op);
        let guard = op
            .guard
            .as_ref()
            .map(|guard| self.guard(guard, op.privilege));
        let (before, command, after) = match &op.action {
            Action::Run { argv } => {
                let judged = self.judged(op);
                let command = self.command(op.privilege, argv);
                (String::new(), format!("{judged}{command}"), String::new())
            }
            Action::Write {
                path,
                mode,
                owner,
                content: bytes,
            } => self.write(path.as_str(), *mode, *owner, bytes, content),
            Action::Extract {
                archive,
                dest,
                owner,
                strip_components,
            } => {
                self.needs("unpack");
                self.needs("root");
                let who = self.needs(word_of_privilege(*owner));
                let words = [self.word(archive.as_str()), self.word(dest.as_str())];
                let command = format!("unpack {who} {} {strip_components}", words.join(" "));
                (String::new(), command, String::new())
            }
        };
        // What is fetched is fetched where it is needed, guarded as its use is.
        let (command, after) = if before.is_empty() || guard.is_none() {
            (format!("{before}{command}"), after)
        } else {
            (format!("{{ {before}{command}"), format!("{after}}}\n"))
        };
        match guard {
            None => self.line(&command),
            Some((question, lines)) => {
                self.line(&format!("{question} ||"));
                self.body.push_str(&lines);
                self.line(&format!("    {command}"));
            }
        }
        self.body.push_str(&after);
        self.after(op);
    }

    /// What no shell judges: versions, patterns, limits.
    fn notes(&mut self, op: &Op) {
        let presence = |when: &str, presence: &Presence| {
            let what = match &presence.subject {
                Subject::Command(name) => format!("the command {name}"),
                Subject::Package(name) => format!("the package {name}"),
                Subject::Library(name) => format!("the library {name}"),
                Subject::File(path) => format!("the file {path}"),
                Subject::User(name) => format!("the user {name}"),
            };
            let bound = presence.version.as_ref().and_then(version_bound);
            let bound = bound.map_or_else(String::new, |bound| format!(", version {bound}"));
            format!("{when}: {what}{bound}")
        };
        match &op.expects {
            Expects::Success { .. } => {}
            Expects::Requirement(one) => self.comment(&presence("required before all else", one)),
            Expects::Command(one) => self.comment(&presence("required here", one)),
            Expects::Evidence(evidence) => self.comment(&format!(
                "shows that {}: a line matches {}",
                evidence.fact, evidence.regex
            )),
            Expects::Check { name, .. } => {
                self.comment(&format!("check: {name}"));
                if op.limits != Limits::QUERY {
                    self.comment(&format!("at most {} s", op.limits.seconds));
                }
            }
        }
    }

    /// What stands before a command and says what must come of it.
    fn judged(&mut self, op: &Op) -> String {
        match &op.expects {
            Expects::Success { failure_lines } if failure_lines.is_empty() => String::new(),
            Expects::Success { failure_lines } => {
                self.needs("watch");
                let texts: Vec<String> = failure_lines.iter().map(|text| self.word(text)).collect();
                format!("watch {} {} ", texts.len(), texts.join(" "))
            }
            Expects::Requirement(presence) | Expects::Command(presence) => match presence.subject {
                Subject::Command(_) => format!("{} ", self.needs("starts")),
                Subject::Package(_) | Subject::Library(_) | Subject::File(_) | Subject::User(_) => {
                    String::new()
                }
            },
            Expects::Evidence(_) => format!("{} ", self.needs("starts")),
            Expects::Check { exit_code, .. } => format!("{} {exit_code} ", self.needs("check")),
        }
    }

    /// What is judged after a command.
    fn after(&mut self, op: &Op) {
        let Expects::Check {
            stdout_contains,
            stdout_matches,
            stderr_contains,
            ..
        } = &op.expects
        else {
            return;
        };
        if let Some(regex) = stdout_matches {
            self.comment(&format!(
                "a line of the output matches {regex}, which grep(1) cannot say"
            ));
        }
        for (channel, texts) in [("stdout", stdout_contains), ("stderr", stderr_contains)] {
            for text in texts {
                self.needs("holds");
                let text = self.word(text);
                self.line(&format!("holds {channel} {text}"));
            }
        }
    }

    /// The question of a guard, and its here-document.
    fn guard(&mut self, guard: &Guard, privilege: Privilege) -> (String, String) {
        match guard {
            Guard::OnPath(command) => {
                self.needs("on_path");
                (format!("on_path {}", self.word(command)), String::new())
            }
            Guard::Asks {
                argv,
                skip_if: SkipIf::ExitCode(code),
            } => {
                self.needs("exits");
                let command = self.command(privilege, argv);
                (format!("exits {code} {command}"), String::new())
            }
            Guard::Asks {
                argv,
                skip_if: SkipIf::Lines(lines),
            } => {
                self.needs("prints");
                let command = self.command(privilege, argv);
                let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
                match here_document(&lines) {
                    Some(document) => (format!("prints {command} <<'{END}'"), document),
                    None => (
                        format!("{} | prints {command}", printf(&lines)),
                        String::new(),
                    ),
                }
            }
        }
    }

    /// A write: what stands before it, the command, the here-document behind it.
    fn write(
        &mut self,
        path: &str,
        mode: u32,
        owner: Privilege,
        bytes: &FileContent,
        content: &[Content],
    ) -> (String, String, String) {
        self.needs("put");
        self.needs("root");
        let owner = match owner {
            Privilege::Root => "0:0",
            Privilege::User => "\"$(id -u dev):$(id -g dev)\"",
        };
        let put = format!("put {mode:04o} {owner} {}", self.word(path));
        match bytes {
            FileContent::Text(text) => match here_document(text) {
                Some(document) => (String::new(), format!("{put} <<'{END}'"), document),
                None => (
                    String::new(),
                    format!("{} | {put}", printf(text)),
                    String::new(),
                ),
            },
            FileContent::Blob(sha256) => {
                self.needs("fetch");
                let url = content.iter().find(|one| one.sha256 == *sha256);
                let url = url.map_or_else(|| "''".to_owned(), |one| self.word(&one.url));
                (
                    format!("fetch {url} {sha256}\n"),
                    format!("{put} <\"$work/{sha256}\""),
                    String::new(),
                )
            }
            FileContent::Key(fingerprint) => (
                String::new(),
                format!(
                    "{{ echo {} >&2; exit 1; }}",
                    word_of(&format!(
                        "the bytes of the OpenPGP key {fingerprint} are not pinned"
                    ))
                ),
                String::new(),
            ),
        }
    }

    fn command(&mut self, privilege: Privilege, argv: &[String]) -> String {
        let who = self.needs(word_of_privilege(privilege));
        let words: Vec<String> = argv.iter().map(|word| self.word(word)).collect();
        format!("{who} {}", words.join(" "))
    }

    /// A word as a POSIX shell reads it. What a terminal acts upon is in a variable.
    fn word(&mut self, word: &str) -> String {
        if !word.chars().any(is_invisible) {
            return word_of(word);
        }
        self.variables += 1;
        let name = format!("word_{}", self.variables);
        // A substitution drops line breaks at the end; a dot behind them keeps them.
        self.line(&format!("{name}=$({}; echo .)", printf(word)));
        self.line(&format!("{name}=${{{name}%.}}"));
        format!("\"${name}\"")
    }
}

fn word_of_privilege(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::Root => "root",
        Privilege::User => "user",
    }
}

/// The body and end of a here-document with exactly these bytes; `None` where there is none, or
/// where a terminal would act upon it.
fn here_document(text: &str) -> Option<String> {
    let whole = text.is_empty() || text.ends_with('\n');
    let shown = |line: &str| line != END && !line.chars().any(is_invisible);
    (whole && text.split_terminator('\n').all(shown)).then(|| format!("{text}{END}\n"))
}

/// A command that prints exactly these bytes.
fn printf(text: &str) -> String {
    let mut format = String::from("printf '");
    for (at, c) in text.chars().enumerate() {
        match c {
            // It would begin an option.
            '-' if at == 0 => format.push_str("\\055"),
            '\'' => format.push_str("'\\''"),
            '\\' => format.push_str("\\\\"),
            '%' => format.push_str("%%"),
            '\n' => format.push_str("\\n"),
            c if is_invisible(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    format.push_str(&format!("\\{byte:03o}"));
                }
            }
            c => format.push(c),
        }
    }
    format.push('\'');
    format
}
