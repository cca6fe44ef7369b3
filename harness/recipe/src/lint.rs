//! Findings about a recipe that is well formed: steps that contradict or repeat each other, and what
//! a reviewer would ask about. What depends on targets is `plan`'s to find.

use std::collections::{BTreeMap, BTreeSet};

use assay_wire::source::Span;

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, Spanned};
use crate::model::{Action, PackageRequest, Recipe, RepositoryKey, Step};
use crate::system::Place;

/// Most earlier steps that one is compared with for each thing it asks for: a file with more is
/// written by a program.
const MOST_EARLIER: usize = 16;

/// Reports everything that is found.
pub(crate) fn lint(recipe: &Recipe, faults: &mut Faults) {
    let mut asked = Asked::new();
    let mut downloaded: BTreeSet<&Place> = BTreeSet::new();
    for step in &recipe.steps {
        match &step.action {
            Action::AptRepo(repo) => key_is_known(&repo.key, faults),
            Action::DnfRepo(repo) => key_is_known(&repo.key, faults),
            Action::Manual(manual) => pipes_to_shell(&manual.text, faults),
            Action::Extract(extract) => is_downloaded(&extract.archive, &downloaded, faults),
            Action::Download(download) => {
                downloaded.insert(&download.dest.value);
            }
            Action::Install(_)
            | Action::AptPpa(_)
            | Action::GroupAdd(_)
            | Action::ServiceEnable(_)
            | Action::ServiceStart(_)
            | Action::RequireCommand(_)
            | Action::InstallBinaries(_) => {}
        }
        for ask in asks(&step.action) {
            compare(&mut asked, step, ask, faults);
        }
    }
}

/// One thing a step asks for.
struct Ask {
    /// What it is asked of: a kind, and a name within it.
    of: (&'static str, String),
    /// What is wanted of it. The same twice is needless, something else a contradiction.
    wanted: String,
    /// Where it stands.
    span: Span,
}

/// What earlier steps asked for.
type Asked<'r> = BTreeMap<(&'static str, String), Vec<(&'r Step, String, Span)>>;

/// What a step asks for, as far as two such steps could be needless or contradict each other.
fn asks(action: &Action) -> Vec<Ask> {
    let one = |kind, name: String, wanted: String, span| {
        vec![Ask {
            of: (kind, name),
            wanted,
            span,
        }]
    };
    let nothing = String::new;
    match action {
        Action::Install(install) => {
            let kind = if install.cask { "cask" } else { "package" };
            let ask = |package: &PackageRequest| Ask {
                of: (
                    kind,
                    format!(
                        "{} {} {}",
                        install.manager.as_str(),
                        package.name.value,
                        package.version.value
                    ),
                ),
                wanted: String::new(),
                span: package.name.span,
            };
            install.packages.iter().map(ask).collect()
        }
        Action::AptRepo(repo) => {
            let words = repo
                .suites
                .iter()
                .map(|suite| suite.value.to_string())
                .chain(repo.components.iter().map(|word| word.value.to_string()));
            let name = format!("{} {}", repo.url.value, words.collect::<Vec<_>>().join(" "));
            one("apt repository", name, nothing(), repo.url.span)
        }
        Action::AptPpa(ppa) => one("ppa", ppa.ppa.value.to_string(), nothing(), ppa.ppa.span),
        Action::DnfRepo(repo) => one(
            "dnf repository",
            repo.url.value.to_string(),
            nothing(),
            repo.url.span,
        ),
        Action::GroupAdd(group) => {
            let name = format!(
                "{} {} {}",
                group.group.value, group.user.value, group.create
            );
            one("group", name, nothing(), group.group.span)
        }
        Action::ServiceEnable(service) => one(
            "enabled service",
            service.service.value.unit(),
            nothing(),
            service.service.span,
        ),
        Action::ServiceStart(service) => one(
            "started service",
            service.service.value.unit(),
            nothing(),
            service.service.span,
        ),
        Action::Download(download) => one(
            "file",
            download.dest.value.to_string(),
            download.sha256.value.to_string(),
            download.dest.span,
        ),
        Action::RequireCommand(_)
        | Action::Extract(_)
        | Action::InstallBinaries(_)
        | Action::Manual(_) => Vec::new(),
    }
}

/// Compares what a step asks for with what earlier ones did that apply where it does. Only equal
/// conditions are known to hold together.
fn compare<'r>(asked: &mut Asked<'r>, step: &'r Step, ask: Ask, faults: &mut Faults) {
    let when = |step: &'r Step| step.when.as_ref().map(|when| &when.value);
    let earlier = asked.entry(ask.of).or_default();
    let together = earlier
        .iter()
        .find(|(other, ..)| match (when(other), when(step)) {
            (None, None) => true,
            (Some(a), Some(b)) => a.says_the_same(b),
            (Some(_), None) | (None, Some(_)) => false,
        });
    if let Some((_, wanted, first)) = together {
        let (code, message, help) = if *wanted == ask.wanted {
            let message = format!("another `{}` step asks for the same", step.action.name());
            (Code::RepeatedStep, message, "remove one of them")
        } else {
            let message = format!(
                "another `{}` step wants something else here",
                step.action.name()
            );
            let help = "give the steps a `when` that keeps them apart, or remove one";
            (Code::ContradictingSteps, message, help)
        };
        let diagnostic = Diagnostic::new(code, ask.span, message)
            .labelled("again")
            .and(*first, "first");
        faults.report(diagnostic.help(help));
    }
    if earlier.len() < MOST_EARLIER {
        earlier.push((step, ask.wanted, ask.span));
    }
}

fn key_is_known(key: &RepositoryKey, faults: &mut Faults) {
    if key.fingerprints.is_empty() {
        let message = "nothing says which keys this file may hold";
        let help = "`assay pin --write FILE` adds `key_fingerprints = [\"…\"]`, and shows what is in the file";
        faults
            .report(Diagnostic::new(Code::KeyWithoutFingerprint, key.url.span, message).help(help));
    }
}

/// A download, then a shell behind a pipe or around it.
fn pipes_to_shell(text: &Spanned<String>, faults: &mut Faults) {
    let fetches = |word: &str| matches!(word, "curl" | "wget" | "fetch");
    let shell = |word: &str| {
        let name = word.rsplit('/').next().unwrap_or(word);
        matches!(
            name,
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "python" | "python3" | "perl"
        )
    };
    let piped = text.value.lines().any(|line| {
        let mut parts = line.split('|');
        let fetched = parts.next().is_some_and(|part| words(part).any(fetches));
        fetched && parts.any(|part| words(part).find(|word| *word != "sudo").is_some_and(shell))
    });
    let inside = text.value.lines().any(|line| {
        let (before, after) = match line.split_once("$(").or_else(|| line.split_once("<(")) {
            Some(parts) => parts,
            None => return false,
        };
        words(before).any(shell) && words(after).next().is_some_and(fetches)
    });
    if piped || inside {
        let message = "this text hands a file from the network to a shell";
        let help = "say what it does in typed steps: a repository with its key, a package, a `download` by hash";
        faults.report(Diagnostic::new(Code::ManualPipesToShell, text.span, message).help(help));
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "`\"'();".contains(c))
        .filter(|word| !word.is_empty())
}

fn is_downloaded(archive: &Spanned<Place>, downloaded: &BTreeSet<&Place>, faults: &mut Faults) {
    if !downloaded.contains(&archive.value) {
        let message = format!("no step before this one downloads `{}`", archive.value);
        let help =
            "correct the path, or add a `download` step; if a package brings it, all is well";
        faults.report(Diagnostic::new(Code::NothingDownloadsIt, archive.span, message).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(steps: &str) -> Vec<Code> {
        let text = format!("[metadata]\nname = \"a\"\n{steps}");
        let codes = crate::parse(Some("a"), &text).diagnostics;
        codes.into_iter().map(|found| found.code).collect()
    }

    fn manual(text: &str) -> Vec<Code> {
        found(&format!(
            "[[steps]]\naction = \"manual\"\ntext = '{text}'\n"
        ))
    }

    #[test]
    fn a_download_into_a_shell_is_found_in_every_dress() {
        for text in [
            "curl -fsSL https://example.org/x | sh",
            "Run `wget -qO- https://example.org/x | sudo bash -s -- -y`.",
            "curl https://example.org/x | tee log | /bin/bash",
            "bash <(curl https://example.org/x)",
            "sh -c \"$(curl -fsSL https://example.org/x)\"",
        ] {
            assert_eq!(manual(text), [Code::ManualPipesToShell], "{text}");
        }
        for text in [
            "curl -O https://example.org/x, read it, then run it",
            "Accept the licence | choose a shell",
            "the shell sh is needed; curl is not",
            "curl https://example.org/x | jq .",
            "bash -c \"$(cat x)\"",
            "echo $(curl https://example.org/x)",
        ] {
            assert_eq!(manual(text), [], "{text}");
        }
    }

    #[test]
    fn steps_with_other_conditions_are_not_compared() {
        let install =
            |when: &str| format!("[[steps]]\naction = \"group_add\"\ngroup = \"x\"\n{when}\n");
        let twice = |a, b| found(&[install(a), install(b)].concat());
        let (ubuntu, debian) = (
            "when = { distro = [\"ubuntu\"] }",
            "when = { distro = [\"debian\"] }",
        );
        assert_eq!(twice("", ""), [Code::RepeatedStep]);
        assert_eq!(twice(ubuntu, ubuntu), [Code::RepeatedStep]);
        assert_eq!(twice(ubuntu, debian), []);
        assert_eq!(twice("", ubuntu), []);
    }
}
