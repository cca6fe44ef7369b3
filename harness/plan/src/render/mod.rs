//! A plan as text for people. The same text is the body of its snapshot: what a reviewer reads and
//! what runs come from one value.

mod beside;
mod markdown;
pub mod quote;
mod shell;

use std::fmt::Write as _;

use assay_wire::name::{StepRef, Variant};
use assay_wire::plan::{
    Action, Disposition, Expects, FileContent, Guard, KeyScope, Limits, Op, Plan, PlannedStep,
    Presence, Privilege, SkipIf, Subject, VersionProbe,
};
use assay_wire::privileged::{KindName, PrivilegedOperation};
use assay_wire::program::HarnessEnv;

use quote::{command_line, visible, visible_line, word_of, wrapped};

pub use beside::render_beside;
pub use markdown::render_markdown;
pub use shell::render_shell;

/// The plan as text: its ops with the manual steps between them, each as one block, then what of it
/// only root may do; deterministic to the byte, without control characters. An unsupported set is a
/// single line with the reason.
#[must_use]
pub fn render_plan(plan: &Plan) -> String {
    let mut text = render_ops(plan);
    let declared: Vec<&PrivilegedOperation> = beyond_commands(plan).collect();
    if !declared.is_empty() {
        text.push_str("\nprivileged\n");
    }
    for operation in declared {
        line(
            &mut text,
            format_args!(
                "    {}  {}  {}",
                named(&operation.steps),
                operation.kind.name(),
                visible_line(&operation.subject)
            ),
        );
    }
    text
}

/// What only root may do, but for commands of root's: those are the ops themselves.
pub fn beyond_commands(plan: &Plan) -> impl Iterator<Item = &PrivilegedOperation> {
    let declared = plan.declared.iter();
    declared.filter(|operation| operation.kind.name() != KindName::ExecRoot)
}

/// The ops of a plan alone.
#[must_use]
pub fn render_ops(plan: &Plan) -> String {
    if let Some(reason) = &plan.unsupported {
        return format!("unsupported: {}\n", visible_line(reason));
    }
    let mut text = String::new();
    match (plan.variant, plan.boots) {
        (Variant::Minimal, _) => {}
        (Variant::Systemd, false) => text.push_str("image  systemd\n\n"),
        (Variant::Systemd, true) => text.push_str("image  systemd, booted\n\n"),
    }
    for content in &plan.content {
        line(
            &mut text,
            format_args!("content  {}  {}", content.step, word_of(&content.url)),
        );
        line(&mut text, format_args!("    sha256  {}", content.sha256));
        text.push('\n');
    }
    let mut manual = manual_steps(plan).into_iter().peekable();
    for (before, op) in (0u32..).zip(&plan.ops) {
        while let Some((step, words, _)) = manual.next_if(|(_, _, after)| *after <= before) {
            render_manual(&mut text, step, words);
        }
        render_op(&mut text, op, plan);
    }
    for (step, words, _) in manual {
        render_manual(&mut text, step, words);
    }
    if text.is_empty() {
        text.push_str("nothing to do\n");
    }
    // Blocks end with a blank line; the text does not.
    text.truncate(text.trim_end_matches('\n').len());
    text.push('\n');
    text
}

/// The manual steps, each with its text and how many ops stand before it, in that order.
fn manual_steps(plan: &Plan) -> Vec<(&PlannedStep, &str, u32)> {
    let mut manual: Vec<(&PlannedStep, &str, u32)> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.disposition {
            Disposition::Manual { text, after } => Some((step, text.as_str(), *after)),
            Disposition::Applies | Disposition::Dropped { .. } => None,
        })
        .collect();
    manual.sort_by_key(|(_, _, after)| *after);
    manual
}

/// The body of the plan's snapshot: the same text.
#[must_use]
pub fn snapshot_text(plan: &Plan) -> String {
    render_plan(plan)
}

/// What is said of a key whose scope is the machine.
const TRUSTED_FOR_ANY: &str = "key trusted for any repository on this machine";

/// Columns before a reason that stands below its step.
const REASON_INDENT: usize = 8;

/// What became of every step of the plan (`--explain`): its ops, or the one reason why it was
/// dropped. `distros` are the effective distributions by recipe, see [`crate::effective_distros`];
/// `width` is how many columns a line may have.
#[must_use]
pub fn render_explanation(plan: &Plan, distros: &[crate::RecipeDistro], width: usize) -> String {
    let mut text = String::new();
    for recipe in &plan.recipes {
        let effective = distros
            .iter()
            .find(|distro| distro.recipe == *recipe)
            .and_then(|found| found.distro.as_ref());
        let words = effective.map_or_else(
            || "none".to_owned(),
            |distro| {
                let known = [&distro.version, &distro.codename].into_iter().flatten();
                std::iter::once(distro.id.to_string())
                    .chain(known.cloned())
                    .collect::<Vec<_>>()
                    .join(" ")
            },
        );
        line(
            &mut text,
            format_args!("{recipe}  effective distribution: {}", visible_line(&words)),
        );
        for step in plan.steps.iter().filter(|step| step.step.recipe == *recipe) {
            let what = match &step.disposition {
                Disposition::Applies => {
                    let of_step = |op: &&Op| op.steps.contains(&step.step);
                    let mut scopes = plan.ops.iter().filter(of_step).filter_map(|op| op.scope);
                    let trust = if scopes.any(|scope| scope == KeyScope::Machine) {
                        format!("; {TRUSTED_FOR_ANY}")
                    } else {
                        String::new()
                    };
                    format!("applies: {}{trust}", ops_of(plan, &step.step))
                }
                Disposition::Manual { after, .. } => format!("manual, after {}", count(*after)),
                Disposition::Dropped { reason } => format!("dropped: {}", visible_line(reason)),
            };
            let name = format!("    {}  {}  ", step.step.step, step.action);
            let lines = wrapped(&what, width.saturating_sub(REASON_INDENT));
            // A reason that does not fit beside its step stands below it.
            if let [one] = lines.as_slice()
                && name.chars().count() + one.chars().count() <= width
            {
                line(&mut text, format_args!("{name}{one}"));
                continue;
            }
            line(&mut text, format_args!("{}", name.trim_end()));
            for reason in lines {
                line(&mut text, format_args!("{:REASON_INDENT$}{reason}", ""));
            }
        }
    }
    text
}

/// What the harness adds, printed beside the plan.
#[must_use]
pub fn render_harness_env(env: &HarnessEnv) -> String {
    let mut text = String::new();
    let only_if = |path: &Option<assay_wire::name::GuestPath>| {
        path.as_ref().map_or_else(String::new, |path| {
            format!("  only if {} exists", word_of(path.as_str()))
        })
    };
    for variable in &env.variables {
        line(
            &mut text,
            format_args!(
                "variable   {}={}{}",
                variable.name,
                word_of(&variable.value),
                only_if(&variable.only_if_exists)
            ),
        );
    }
    for insertion in &env.insertions {
        line(
            &mut text,
            format_args!(
                "insertion  {} {}{}",
                word_of(&insertion.program),
                command_line(&insertion.words),
                only_if(&insertion.only_if_exists)
            ),
        );
    }
    for store in &env.trust_stores {
        line(
            &mut text,
            format_args!("trust      {}", word_of(store.as_str())),
        );
    }
    for place in &env.repository_files {
        line(
            &mut text,
            format_args!("may ask    the hosts in {}", word_of(place.as_str())),
        );
    }
    for file in &env.files {
        line(
            &mut text,
            format_args!(
                "file       {}, if an address there begins with {}",
                word_of(file.path.as_str()),
                word_of(&file.only_if_address)
            ),
        );
    }
    if !env.manager_trusts && !env.repository_files.is_empty() {
        line(
            &mut text,
            format_args!("unseen     tunnels to those of them that are asked by https"),
        );
    }
    for probe in &env.probes {
        line(
            &mut text,
            format_args!(
                "probe      {}  {}",
                word_of(&probe.name),
                command_line(&probe.argv)
            ),
        );
    }
    text
}

fn render_op(text: &mut String, op: &Op, plan: &Plan) {
    let who = match op.privilege {
        Privilege::Root => "root",
        Privilege::User => "user",
    };
    line(text, format_args!("op {}  {who}  {}", op.id, steps_of(op)));
    match &op.action {
        Action::Run { argv } => line(text, format_args!("    {}", command_line(argv))),
        Action::Write {
            path,
            mode,
            owner,
            content,
        } => {
            let owner = match owner {
                Privilege::Root => "root",
                Privilege::User => "user",
            };
            line(
                text,
                format_args!(
                    "    write {}  mode {mode:04o}  owner {owner}",
                    word_of(path.as_str())
                ),
            );
            match content {
                FileContent::Blob(sha256) => {
                    line(text, format_args!("      bytes of sha256 {sha256}"))
                }
                FileContent::Key(fingerprint) => line(
                    text,
                    format_args!("      OpenPGP key {fingerprint}, its bytes not pinned"),
                ),
                FileContent::Text(content) => barred(text, "      ", content),
            }
            match op.scope {
                // Named for one repository and trusted for it alone: nothing beyond the file is to say.
                None | Some(KeyScope::Repository) => {}
                Some(KeyScope::Machine) => line(text, format_args!("      {TRUSTED_FOR_ANY}")),
            }
        }
        Action::Extract {
            archive,
            dest,
            owner,
            strip_components,
        } => {
            let owner = match owner {
                Privilege::Root => "root",
                Privilege::User => "user",
            };
            line(
                text,
                format_args!(
                    "    extract {}  to {}  owner {owner}",
                    word_of(archive.as_str()),
                    word_of(dest.as_str())
                ),
            );
            if *strip_components > 0 {
                line(
                    text,
                    format_args!("      without the first {strip_components} of every name"),
                );
            }
        }
    }
    if let Some(guard) = &op.guard {
        render_guard(text, guard);
    }
    render_expects(text, &op.expects);
    render_limits(text, op.limits, &op.expects);
    if op.once {
        line(text, format_args!("    once"));
    }
    let of_op = |step: &&PlannedStep| op.applies() && op.steps.contains(&step.step);
    for step in plan.steps.iter().filter(of_op) {
        if let Some(fallback) = &step.fallback {
            line(text, format_args!("    if {} fails:", step.step));
            barred(text, "      ", fallback);
        }
    }
    text.push('\n');
}

fn steps_of(op: &Op) -> String {
    if op.steps.is_empty() {
        return "refresh".to_owned();
    }
    named(&op.steps)
}

fn named(steps: &[StepRef]) -> String {
    let names: Vec<String> = steps.iter().map(StepRef::to_string).collect();
    names.join(",")
}

fn render_guard(text: &mut String, guard: &Guard) {
    let (argv, skip_if) = match guard {
        Guard::Asks { argv, skip_if } => (argv, skip_if),
        Guard::OnPath(command) => {
            return line(
                text,
                format_args!("    unless on the PATH: {}", word_of(command)),
            );
        }
    };
    match skip_if {
        SkipIf::ExitCode(code) => line(
            text,
            format_args!("    unless exit {code}: {}", command_line(argv)),
        ),
        SkipIf::Lines(lines) => {
            line(
                text,
                format_args!(
                    "    unless it prints exactly these lines: {}",
                    command_line(argv)
                ),
            );
            for expected in lines {
                barred(text, "      ", &visible_line(expected));
            }
        }
    }
}

fn render_expects(text: &mut String, expects: &Expects) {
    match expects {
        Expects::Success { failure_lines } => {
            for failure in failure_lines {
                line(
                    text,
                    format_args!("    fails if a line holds {}", word_of(failure)),
                );
            }
        }
        Expects::Requirement(presence) => {
            render_presence(text, "required before anything else", presence)
        }
        Expects::Command(presence) => render_presence(text, "required here", presence),
        Expects::Evidence(evidence) => {
            line(
                text,
                format_args!("    shows: {}", visible_line(&evidence.fact)),
            );
            line(
                text,
                format_args!("      by a line that matches {}", word_of(&evidence.regex)),
            );
        }
        Expects::Check {
            name,
            exit_code,
            stdout_contains,
            stdout_matches,
            stderr_contains,
        } => {
            line(text, format_args!("    check: {}", visible_line(name)));
            line(text, format_args!("      exit code {exit_code}"));
            if let Some(regex) = stdout_matches {
                line(
                    text,
                    format_args!("      a line of the output matches {}", word_of(regex)),
                );
            }
            for (channel, texts) in [
                ("output", stdout_contains),
                ("error output", stderr_contains),
            ] {
                for contained in texts {
                    line(
                        text,
                        format_args!("      {channel} contains {}", word_of(contained)),
                    );
                }
            }
        }
    }
}

fn render_presence(text: &mut String, when: &str, presence: &Presence) {
    let subject = match &presence.subject {
        Subject::Command(name) => format!("command {}", word_of(name)),
        Subject::Package(name) => format!("package {}", word_of(name)),
        Subject::Library(name) => format!("library {}", word_of(name)),
        Subject::File(path) => format!("file {}", word_of(path)),
        Subject::User(name) => format!("user {}", word_of(name)),
    };
    line(text, format_args!("    {when}: {subject}"));
    let Some(probe) = &presence.version else {
        return;
    };
    if let Some(bound) = version_bound(probe) {
        line(
            text,
            format_args!(
                "      version {}, found by {}",
                visible_line(&bound),
                word_of(&probe.regex)
            ),
        );
    }
}

/// The version that is asked for, if one is.
fn version_bound(probe: &VersionProbe) -> Option<String> {
    match (&probe.range, &probe.minimum) {
        (Some(range), _) => Some(range.clone()),
        (None, Some(minimum)) => Some(format!(">={minimum}")),
        (None, None) => None,
    }
}

/// Limits are shown where they are the author's.
fn render_limits(text: &mut String, limits: Limits, expects: &Expects) {
    if matches!(expects, Expects::Check { .. }) && limits != Limits::QUERY {
        line(text, format_args!("      at most {} s", limits.seconds));
    }
}

fn render_manual(text: &mut String, step: &PlannedStep, words: &str) {
    line(text, format_args!("manual  {}", step.step));
    barred(text, "    ", words);
    text.push('\n');
}

fn ops_of(plan: &Plan, step: &StepRef) -> String {
    let ids: Vec<String> = plan
        .ops
        .iter()
        .filter(|op| op.steps.contains(step))
        .map(|op| op.id.to_string())
        .collect();
    match ids.as_slice() {
        [] => "no op".to_owned(),
        [one] => format!("op {one}"),
        several => format!("ops {}", several.join(", ")),
    }
}

fn count(ops: u32) -> String {
    match ops {
        0 => "no op".to_owned(),
        1 => "op 1".to_owned(),
        several => format!("op {several}"),
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(words);
    text.push('\n');
}

/// Lines of a longer text, each behind a bar.
fn barred(text: &mut String, indent: &str, words: &str) {
    for words in visible(words).split_terminator('\n') {
        let space = if words.is_empty() { "" } else { " " };
        line(text, format_args!("{indent}|{space}{words}"));
    }
}

#[cfg(test)]
mod shell_tests;

#[cfg(test)]
mod tests;
