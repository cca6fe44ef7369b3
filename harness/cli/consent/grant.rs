//! `assay consent grant`: what is missing is shown with its commands and risk, then asked for, then
//! written where it belongs in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal as _, Read as _};

use assay_observe::consent::{Judged, Judgement, Standing, forbidden, part_line, part_lines};
use assay_recipe::consents::{read_digest, read_words, written_digest};
use assay_recipe::expected::{Date, matches_stars};
use assay_recipe::{add_consent, withdraw};
use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::name::TargetId;
use assay_wire::privileged::KindName;
use schemars::JsonSchema;
use serde::Serialize;

use super::run::LeftOutRow;
use super::source::Source;
use super::{grouped, revision, show};
use crate::args::GrantArgs;
use crate::check::plural;
use crate::error::{CliError, ErrorKind};
use crate::load::nearest;
use crate::project::{CONSENTS, Project};
use crate::terminal::{Terminal, plain};
use crate::time;
use crate::write::replace;

/// What was granted.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    schema: &'static str,
    version: u32,
    file: String,
    granted: Vec<Consent>,
    /// What a run showed that no step declares and no package brings: no entry can grant it.
    undeclared: Vec<show::Row<'d>>,
    /// Cells of a run that show less than all they do.
    left_out: Vec<LeftOutRow>,
}

/// What a new ledger begins with.
const HEAD: &str = "\
# What recipes may do as root: one entry a decision, of one digest. Written by `assay consent grant`,
# read by `assay consent check`. Review it like code.
";

/// Most bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 100;

/// Shows, asks and writes.
pub(crate) fn run(terminal: &Terminal, arguments: &GrantArgs) -> Result<(), CliError> {
    let project = Project::find(terminal)?;
    let words = Words::read(arguments)?;
    let from = arguments.from.as_deref();
    let source = Source::own(terminal, &project, &arguments.selection(), from)?;
    let judged = source.judge();
    let missing = missing(&source, &judged.judgement, &words);
    unknown_digests(&source, &judged.judgement, &missing, &words)?;
    words.check_subjects(&judged.judgement, &missing)?;
    if missing.is_empty() {
        refuse_forbidden(&source, &judged.judgement)?;
    }
    // Asked for first, because it can be refused before anything is shown.
    let by = decider(&project, arguments)?;
    let consents = consents(&missing, &words, &by)?;
    if !terminal.is_json() {
        let basis = source.basis();
        terminal.result(|out| {
            grouped(out, &missing, |out, one| {
                show::head(out, one.risk, one.operation)?;
                show::evidence(out, one)?;
                show::line(out, &written_digest(&one.digest))?;
                let standing = show::standing(one.standing, &basis.ledger);
                show::detail(out, terminal, &standing)?;
                show::detail(out, terminal, &show::targets(one.targets.iter().copied()))?;
                show::parts(out, terminal, one, basis)?;
                match words.note_for.is_empty() {
                    true => Ok(()),
                    false => show::detail(out, terminal, &words.shown(&one.operation.subject)),
                }
            })?;
            show::not_declared(out, terminal, &judged.undeclared, missing.is_empty())
        })?;
    }
    source.say_left_out(terminal, &judged);
    if consents.is_empty() {
        terminal.message("there is nothing to grant");
    } else {
        if !arguments.yes {
            confirm(terminal, consents.len())?;
        }
        write(&project, &judged.judgement, &missing, &consents)?;
        let entries = plural(consents.len(), "consent");
        terminal.progress(&format!("{entries} written to `{CONSENTS}`"));
    }
    if terminal.is_json() {
        terminal.json(&Document {
            schema: "assay-consent-granted",
            version: 1,
            file: project.path(CONSENTS).display().to_string(),
            undeclared: judged.undeclared.iter().map(show::undeclared_row).collect(),
            left_out: source.left_out_rows(&judged),
            granted: consents.clone(),
        })?;
    }
    if consents.is_empty() && !judged.undeclared.is_empty() {
        return Err(CliError::said(ErrorKind::Undeclared));
    }
    Ok(())
}

/// Refuses if there is nothing to grant because the policy forbids it.
fn refuse_forbidden(source: &Source, judgement: &Judgement<'_>) -> Result<(), CliError> {
    let refused = judgement
        .operations
        .iter()
        .find(|one| matches!(one.standing, Standing::Forbidden(_)) && source.asked(one.recipe));
    let Some(one) = refused else {
        return Ok(());
    };
    let subject = plain(&one.operation.subject);
    let why = show::standing(one.standing, &source.basis().ledger);
    let policy = &source.basis().policy;
    let mut parts = one.parts.iter().map(|part| &part.operation);
    let part = parts.find(|part| forbidden(&part.kind, policy).is_some());
    let part = part.map(|part| format!(", with `{}`,", part_line(part)));
    let error = format!(
        "{} `{subject}`{} is {why}",
        one.operation.kind.name(),
        part.unwrap_or_default()
    );
    Err(CliError::new(ErrorKind::Consent, error))
}

/// The words of the command line, within their grammars.
struct Words {
    kind: Option<KindName>,
    digests: BTreeSet<Digest>,
    /// Patterns of subjects; empty for all.
    subjects: Vec<String>,
    note: Option<String>,
    /// Notes for what fits a pattern, in the order in which they are tried.
    note_for: Vec<(String, String)>,
    expires: Option<String>,
}

impl Words {
    fn read(arguments: &GrantArgs) -> Result<Self, CliError> {
        let kind = arguments.kind.as_deref().map(|text| {
            text.parse::<KindName>().map_err(|_| {
                let known: Vec<String> = KindName::ALL.iter().map(ToString::to_string).collect();
                let near = nearest(text, &known).map(|near| format!("did you mean `{near}`?"));
                CliError::usage(format!("there is no kind `{}`", plain(text))).hints(near)
            })
        });
        let digests = arguments.digest.iter();
        let expires = arguments.expires.as_deref().map(|text| {
            let day = text.parse::<Date>().map_err(CliError::word)?.to_string();
            if day < time::date(time::now()) {
                return Err(CliError::usage(format!("{day} has passed")));
            }
            Ok(day)
        });
        Ok(Self {
            kind: kind.transpose()?,
            digests: digests
                .map(|text| read_digest(text).map_err(CliError::word))
                .collect::<Result<_, _>>()?,
            subjects: arguments.subject.clone(),
            note: arguments.note.as_deref().map(read_note).transpose()?,
            note_for: arguments
                .note_for
                .chunks_exact(2)
                .map(|pair| Ok((pair[0].clone(), read_note(&pair[1])?)))
                .collect::<Result<_, CliError>>()?,
            expires: expires.transpose()?,
        })
    }

    /// True if an operation is among those that are meant.
    fn mean(&self, one: &Judged<'_>) -> bool {
        self.kind
            .is_none_or(|kind| one.operation.kind.name() == kind)
            && (self.digests.is_empty() || self.digests.contains(&one.digest))
            && (self.subjects.is_empty() || fits_any(&self.subjects, &one.operation.subject))
    }

    /// Why a subject is right: by the first pattern it fits, else what is said of all.
    fn note(&self, subject: &str) -> Option<&str> {
        let mut fitting = self.note_for.iter();
        let fitting = fitting.find(|(pattern, _)| matches_stars(pattern, subject));
        let own = fitting.map(|(_, note)| note.as_str());
        own.or(self.note.as_deref())
    }

    /// The same, for people.
    fn shown(&self, subject: &str) -> String {
        format!("note: {}", plain(self.note(subject).unwrap_or_default()))
    }

    /// Refuses a note or a pattern that nothing has to do with, and a grant without a note: each would be a
    /// mistake.
    fn check_subjects(
        &self,
        judgement: &Judgement<'_>,
        missing: &[&Judged<'_>],
    ) -> Result<(), CliError> {
        let subject = |one: &Judged<'_>| one.operation.subject.clone();
        let known: BTreeSet<String> = judgement.operations.iter().map(subject).collect();
        let known: Vec<String> = known.into_iter().collect();
        let notes = self.note_for.iter().map(|(pattern, _)| pattern);
        let mut patterns = self.subjects.iter().chain(notes);
        let fits_none = |pattern: &&String| !known.iter().any(|one| matches_stars(pattern, one));
        if let Some(pattern) = patterns.find(fits_none) {
            let error = format!("no operation of these recipes fits `{}`", plain(pattern));
            let near = nearest(pattern, &known);
            let near = near.map(|near| format!("did you mean `{}`?", plain(near)));
            return Err(CliError::usage(error).hints(near));
        }
        let without: BTreeSet<String> = missing
            .iter()
            .filter(|one| self.note(&one.operation.subject).is_none())
            .map(|one| format!("`{}`", plain(&one.operation.subject)))
            .collect();
        if without.is_empty() {
            return Ok(());
        }
        let without: Vec<String> = without.into_iter().collect();
        let error = format!("no note says why these are right: {}", without.join(", "));
        Err(CliError::usage(error).hint("`--note` is for all that have none of their own"))
    }
}

fn read_note(text: &str) -> Result<String, CliError> {
    read_words("note", text).map_err(CliError::word)
}

fn fits_any(patterns: &[String], subject: &str) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| matches_stars(pattern, subject))
}

fn missing<'j, 'p>(
    source: &Source,
    judgement: &'j Judgement<'p>,
    words: &Words,
) -> Vec<&'j Judged<'p>> {
    let operations = judgement.operations.iter();
    let missing = operations
        .filter(|one| one.standing.can_be_granted() && source.asked(one.recipe) && words.mean(one));
    missing.collect()
}

/// Refuses a digest that names nothing: what was meant by it is not known.
fn unknown_digests(
    source: &Source,
    judgement: &Judgement<'_>,
    missing: &[&Judged<'_>],
    words: &Words,
) -> Result<(), CliError> {
    let named = |digest: &&Digest| !missing.iter().any(|one| one.digest == **digest);
    let Some(digest) = words.digests.iter().find(named) else {
        return Ok(());
    };
    let written = written_digest(digest);
    let mut operations = judgement.operations.iter();
    let known = operations.find(|one| one.digest == *digest && source.asked(one.recipe));
    Err(match known {
        Some(one) => {
            let standing = show::standing(one.standing, &source.basis().ledger);
            let error = format!("{written} cannot be granted: {standing}");
            if matches!(one.standing, Standing::Forbidden(_)) {
                CliError::new(ErrorKind::Consent, error)
            } else {
                CliError::usage(error)
            }
        }
        None => CliError::usage(format!("no operation of these recipes has the digest {written}"))
            .hint("the recipe has changed, or the digest is of another: `assay consent check` shows what is missing"),
    })
}

/// Who decides: as the command line says, else as git knows the user.
fn decider(project: &Project, arguments: &GrantArgs) -> Result<String, CliError> {
    let by = match &arguments.by {
        Some(by) => Some(by.clone()),
        None => revision::user(project),
    };
    let by = by.ok_or_else(|| {
        CliError::usage("it is not known who decides").hint("`--by name@example.org` says it")
    })?;
    read_words("name", &by).map_err(CliError::word)
}

/// An entry for each operation of each recipe, however it stands on which target.
///
/// # Errors
/// If what a package brings has words that no ledger can hold.
fn consents(missing: &[&Judged<'_>], words: &Words, by: &str) -> Result<Vec<Consent>, CliError> {
    let mut found: Vec<Consent> = Vec::new();
    for one in missing {
        let targets = one.targets.iter().copied().cloned();
        let same =
            |consent: &&mut Consent| consent.recipe == *one.recipe && consent.digest == one.digest;
        if let Some(consent) = found.iter_mut().find(same) {
            consent.targets.extend(targets);
            continue;
        }
        found.push(Consent {
            recipe: one.recipe.clone(),
            targets: targets.collect(),
            kind: one.operation.kind.name(),
            subject: one.operation.subject.clone(),
            digest: one.digest,
            note: words
                .note(&one.operation.subject)
                .unwrap_or_default()
                .to_owned(),
            by: by.to_owned(),
            on: time::date(time::now()),
            expires: words.expires.clone(),
            operations: part_lines(one.parts.iter().map(|part| &part.operation)),
        });
    }
    for consent in &mut found {
        consent.targets.sort();
        consent.targets.dedup();
    }
    let mut entries = found.iter();
    if let Some(consent) = entries.find(|consent| add_consent("", consent).is_none()) {
        let subject = plain(&consent.subject);
        let parts = plural(consent.operations.len(), "part");
        let error = format!(
            "no ledger can hold {} `{subject}` with {parts}",
            consent.kind
        );
        return Err(CliError::new(ErrorKind::Consent, error)
            .hint("its words or its size are not such that anybody could review it"));
    }
    Ok(found)
}

/// Asks whoever sits there.
fn confirm(terminal: &Terminal, count: usize) -> Result<(), CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || terminal.is_json() {
        return Err(CliError::new(
            ErrorKind::Consent,
            "nobody is there to be asked, and nothing is granted",
        )
        .hint("`--yes` with a `--digest` for each of them grants without asking"));
    }
    if asked(terminal, &mut stdin.lock(), count)? {
        return Ok(());
    }
    terminal.message("nothing is granted");
    Err(CliError::said(ErrorKind::Consent))
}

/// True if the answer is yes; anything else, and no answer, is no.
fn asked(terminal: &Terminal, answers: &mut dyn BufRead, count: usize) -> Result<bool, CliError> {
    terminal.result(|out| {
        write!(out, "\ngrant {}? (yes, no) ", plural(count, "consent"))?;
        out.flush()
    })?;
    let mut line = String::new();
    answers
        .take(LONGEST_ANSWER)
        .read_line(&mut line)
        .map_err(|error| CliError::infrastructure(format!("read the answer: {error}")))?;
    Ok(matches!(line.trim(), "y" | "yes"))
}

/// Writes the entries, and takes out what they replace.
fn write(
    project: &Project,
    judgement: &Judgement<'_>,
    missing: &[&Judged<'_>],
    consents: &[Consent],
) -> Result<(), CliError> {
    let path = project.path(CONSENTS);
    // Whoever was asked may have taken an hour.
    if std::fs::read_to_string(&path).ok() != project.ledger_text {
        return Err(CliError::usage(format!(
            "`{CONSENTS}` was changed meanwhile, and nothing is granted"
        ))
        .hint("run the command again"));
    }
    let mut text = project
        .ledger_text
        .clone()
        .unwrap_or_else(|| HEAD.to_owned());
    let fault = || CliError::infrastructure(format!("`{CONSENTS}` cannot be changed"));
    // From the last entry to the first, so that what stands before keeps its position.
    for (entry, targets) in replaced(judgement, missing).into_iter().rev() {
        let targets: Vec<TargetId> = targets.into_iter().cloned().collect();
        text = withdraw(&text, entry, &targets).ok_or_else(fault)?;
    }
    for consent in consents {
        text = add_consent(&text, consent).ok_or_else(fault)?;
    }
    replace(&path, &text)
}

/// The entries, with their targets, that no longer count for what is granted anew and that nothing
/// else uses.
fn replaced<'p>(
    judgement: &Judgement<'p>,
    missing: &[&Judged<'p>],
) -> BTreeMap<usize, BTreeSet<&'p TargetId>> {
    let mut found: BTreeMap<usize, BTreeSet<&TargetId>> = BTreeMap::new();
    for one in missing {
        if let Standing::Expired { entry } | Standing::Violated { entry } = one.standing {
            found.entry(entry).or_default().extend(&one.targets);
        }
    }
    for one in &judgement.operations {
        if let Standing::Granted { entry } = one.standing
            && let Some(targets) = found.get_mut(&entry)
        {
            targets.retain(|target| !one.targets.contains(target));
        }
    }
    found.retain(|_, targets| !targets.is_empty());
    found
}
