//! `assay consent grant`: what is missing is shown with its commands and risk, then asked for, then
//! written where it belongs in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal as _, Read as _};

use assay_observe::consent::{Judged, Judgement, Standing};
use assay_recipe::consents::{read_digest, read_words, written_digest};
use assay_recipe::expected::Date;
use assay_recipe::{add_consent, withdraw};
use assay_wire::consent::Consent;
use assay_wire::digest::Digest;
use assay_wire::name::{RecipeName, TargetId};
use assay_wire::privileged::KindName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Declared, grouped, revision, show};
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
pub(crate) struct Document {
    schema: &'static str,
    version: u32,
    file: String,
    granted: Vec<Consent>,
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
    let declared = Declared::plan_own(terminal, &project, &arguments.selection())?;
    let judgement = declared.judge();
    let missing = missing(&declared, &judgement, &words);
    unknown_digests(&declared, &judgement, &missing, &words)?;
    if missing.is_empty() {
        let forbidden = judgement.operations.iter().find(|one| {
            matches!(one.standing, Standing::Forbidden(_)) && declared.asked(one.recipe)
        });
        if let Some(one) = forbidden {
            let subject = plain(&one.operation.subject);
            let why = show::standing(one.standing, &declared.basis.ledger);
            let error = format!("{} `{subject}` is {why}", one.operation.kind.name());
            return Err(CliError::new(ErrorKind::Consent, error));
        }
    }
    // Asked for first, because it can be refused before anything is shown.
    let by = decider(&project, arguments)?;
    let consents = consents(&missing, &words, &by);
    if !terminal.is_json() {
        terminal.result(|out| {
            grouped(out, &missing, |out, one| {
                show::head(out, one.risk, one.operation)?;
                show::evidence(out, one)?;
                show::line(out, &written_digest(&one.digest))?;
                let standing = show::standing(one.standing, &declared.basis.ledger);
                show::detail(out, terminal, &standing)?;
                show::detail(out, terminal, &show::targets(one.targets.iter().copied()))
            })
        })?;
    }
    if consents.is_empty() {
        terminal.message("there is nothing to grant");
    } else {
        if !arguments.yes {
            confirm(terminal, consents.len())?;
        }
        write(&project, &judgement, &missing, &consents)?;
        let entries = plural(consents.len(), "consent");
        terminal.progress(&format!("{entries} written to `{CONSENTS}`"));
    }
    if terminal.is_json() {
        return terminal.json(&Document {
            schema: "assay-consent-granted",
            version: 1,
            file: project.path(CONSENTS).display().to_string(),
            granted: consents,
        });
    }
    Ok(())
}

/// The words of the command line, within their grammars.
struct Words {
    kind: Option<KindName>,
    digests: BTreeSet<Digest>,
    note: String,
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
            note: read_words("note", &arguments.note).map_err(CliError::word)?,
            expires: expires.transpose()?,
        })
    }

    /// True if an operation is among those that are meant.
    fn mean(&self, one: &Judged<'_>) -> bool {
        self.kind
            .is_none_or(|kind| one.operation.kind.name() == kind)
            && (self.digests.is_empty() || self.digests.contains(&one.digest))
    }
}

impl Declared {
    /// True if the command line names the recipe; others are there because it depends on them.
    fn asked(&self, recipe: &RecipeName) -> bool {
        self.library.asked.contains(recipe)
    }
}

fn missing<'j, 'p>(
    declared: &Declared,
    judgement: &'j Judgement<'p>,
    words: &Words,
) -> Vec<&'j Judged<'p>> {
    let operations = judgement.operations.iter();
    let missing = operations.filter(|one| {
        one.standing.can_be_granted() && declared.asked(one.recipe) && words.mean(one)
    });
    missing.collect()
}

/// Refuses a digest that names nothing: what was meant by it is not known.
fn unknown_digests(
    declared: &Declared,
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
    let known = operations.find(|one| one.digest == *digest && declared.asked(one.recipe));
    Err(match known {
        Some(one) => {
            let standing = show::standing(one.standing, &declared.basis.ledger);
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
fn consents(missing: &[&Judged<'_>], words: &Words, by: &str) -> Vec<Consent> {
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
            note: words.note.clone(),
            by: by.to_owned(),
            on: time::date(time::now()),
            expires: words.expires.clone(),
            operations: Vec::new(),
        });
    }
    for consent in &mut found {
        consent.targets.sort();
        consent.targets.dedup();
    }
    found
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
