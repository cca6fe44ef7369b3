//! The project around the current folder: its root, its settings, its expectations. A single recipe
//! file works without any project. Which targets are meant: `targets.rs`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_plan::FaultCode;
use assay_recipe::network::Network;
use assay_recipe::project::Lints;
use assay_recipe::{
    Diagnostic, Expectations, Ledger, MAX_LEDGER_BYTES, MAX_LOCK_BYTES, MAX_RECIPE_BYTES,
    OtherCode, Project as Settings,
};
use assay_sandbox::images::set::Definitions;
use assay_wire::consent::Policy;
use assay_wire::event::ConsentBasis;
use assay_wire::lock::{Lock, LockedKey};
use assay_wire::name::TargetId;

use crate::diagnostics::{self, Source};
use crate::error::{CliError, ErrorKind};
use crate::expectations;
use crate::terminal::Terminal;
use crate::time;

/// The file that marks a project's root.
pub(crate) const MARK: &str = "assay.toml";

/// The ledger of consents, at a project's root.
pub(crate) const CONSENTS: &str = "consents.toml";

/// What recorded runs were given, at a project's root.
pub(crate) const LOCK: &str = "assay.lock";

/// What is known of the project around the current folder.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its root, relative to the current folder where that is shorter; `None` outside a project.
    pub(crate) root: Option<PathBuf>,
    /// `assay.toml`; empty outside a project.
    settings: Settings,
    /// `expected.toml`; empty where there is none.
    pub(crate) expectations: Expectations,
    /// The text of `expected.toml`, if there is one.
    pub(crate) expected: Option<Source>,
    /// `assay.lock`, if there is one. The proxy answers from this very one.
    lock: Option<Arc<Lock>>,
    /// `consents.toml`; empty where there is none.
    pub(crate) ledger: Ledger,
    /// The text of `consents.toml`, if there is one.
    pub(crate) ledger_text: Option<String>,
    /// Every target with a definition.
    pub(crate) definitions: Definitions,
}

impl Project {
    /// Looks for a project upward from the current folder and reads its files.
    ///
    /// # Errors
    /// If a file of the project is invalid; its diagnostics are printed.
    pub(crate) fn find(terminal: &Terminal) -> Result<Self, CliError> {
        Self::at(terminal, find_root())
    }

    /// Reads the files of the project at this root; `None` for no project.
    ///
    /// # Errors
    /// As [`Project::find`].
    pub(crate) fn at(terminal: &Terminal, root: Option<PathBuf>) -> Result<Self, CliError> {
        let at = |name: &str| root.as_deref().unwrap_or(Path::new("")).join(name);
        let (mut settings, mut expectations, mut expected) =
            (Settings::default(), Expectations::default(), None);
        let (mut ledger, mut ledger_text) = (Ledger::default(), None);
        let mut lock = None;
        if root.is_some() {
            let (usage, consent) = (ErrorKind::Usage, ErrorKind::Recipe);
            (settings, _) = read(terminal, usage, &at(MARK), MAX_RECIPE_BYTES, |text| {
                let parsed = assay_recipe::parse_project(text, &other_codes());
                (parsed.value, parsed.diagnostics)
            })?;
            let file = at("expected.toml");
            if file.exists() {
                let (rows, source) = read(terminal, usage, &file, MAX_RECIPE_BYTES, |text| {
                    let parsed = assay_recipe::parse_expected(text);
                    (parsed.value, parsed.diagnostics)
                })?;
                (expectations, expected) = (rows, Some(source));
            }
            let file = at(CONSENTS);
            if file.exists() {
                let (found, source) = read(terminal, consent, &file, MAX_LEDGER_BYTES, |text| {
                    let parsed = assay_recipe::parse_consents(text);
                    (parsed.value, parsed.diagnostics)
                })?;
                (ledger, ledger_text) = (found, Some(source.text));
            }
            let file = at(LOCK);
            if file.exists() {
                let (found, _) = read(terminal, usage, &file, MAX_LOCK_BYTES, |text| {
                    let parsed = assay_recipe::parse_lock(text);
                    (parsed.value, parsed.diagnostics)
                })?;
                lock = Some(Arc::new(found));
            }
        }
        let folder = settings
            .paths
            .base_images
            .as_ref()
            .map_or("base-images", |path| path.value.as_str());
        let folder = root.is_some().then(|| at(folder));
        let definitions = Definitions::load(folder.as_deref()).map_err(|faults| {
            faults
                .iter()
                .for_each(|fault| terminal.error(&CliError::usage(fault.to_string())));
            let count = crate::check::plural(faults.len(), "fault");
            CliError::usage(format!("the image definitions have {count}"))
                .hint("correct them, or take the files away: a project needs none of its own")
        })?;
        Ok(Self {
            root,
            settings,
            expectations,
            expected,
            ledger,
            ledger_text,
            lock,
            definitions,
        })
    }

    /// What recorded runs were given, if any was recorded.
    pub(crate) fn lock(&self) -> Option<&Arc<Lock>> {
        self.lock.as_ref()
    }

    /// Plans from now on under keys that were learned since the lock was read.
    pub(crate) fn learn(&mut self, keys: BTreeMap<String, LockedKey>) {
        Arc::make_mut(self.lock.get_or_insert_default())
            .keys
            .extend(keys);
    }

    /// A path of the project as the user would name it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.as_deref().unwrap_or(Path::new("")).join(name)
    }

    /// The folder of recipes.
    pub(crate) fn recipes(&self) -> PathBuf {
        self.path(
            self.settings
                .paths
                .recipes
                .as_ref()
                .map_or("recipes", |path| path.value.as_str()),
        )
    }

    /// The folder of plan snapshots.
    pub(crate) fn plan_snapshots(&self) -> PathBuf {
        self.path(
            self.settings
                .paths
                .snapshots
                .as_ref()
                .map_or("snapshots", |path| path.value.as_str()),
        )
        .join("plans")
    }

    /// The folder of runs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.path(".assay/runs")
    }

    /// `[network]`.
    pub(crate) fn network(&self) -> &Network {
        &self.settings.network
    }

    /// `[policy]`.
    pub(crate) fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// What consents are judged by today.
    pub(crate) fn consents(&self) -> ConsentBasis {
        ConsentBasis {
            ledger: self.ledger.consents(),
            policy: self.settings.policy.clone(),
            today: time::date(time::now()),
        }
    }

    /// The levels the project gives to lints.
    pub(crate) fn lints(&self) -> &Lints {
        &self.settings.lints
    }

    /// The targets that `assay.toml` names, if it names any.
    pub(crate) fn named_targets(&self) -> Option<impl Iterator<Item = &TargetId>> {
        let named = self.settings.targets.as_ref()?;
        Some(named.iter().map(|target| &target.value))
    }
}

/// Codes that are found with more than one file in view.
fn other_codes() -> Vec<OtherCode> {
    let of_sets = FaultCode::ALL.iter().map(|code| OtherCode {
        name: code.as_str(),
        severity: code.severity(),
    });
    let of_projects = OtherCode {
        name: expectations::CODE,
        severity: expectations::SEVERITY,
    };
    of_sets.chain([of_projects]).collect()
}

/// The nearest folder upward that holds the mark, as `.`, `..`, `../..`, … so that paths below it
/// read as the user would write them.
fn find_root() -> Option<PathBuf> {
    let current = std::env::current_dir().ok()?;
    let mut up = PathBuf::new();
    for folder in current.ancestors() {
        if folder.join(MARK).is_file() {
            return Some(up);
        }
        up.push("..");
    }
    None
}

/// Reads a file of the project; what is wrong with it is an error of this kind.
fn read<T>(
    terminal: &Terminal,
    kind: ErrorKind,
    path: &Path,
    limit: usize,
    parse: impl FnOnce(&str) -> (Option<T>, Vec<Diagnostic>),
) -> Result<(T, Source), CliError> {
    let bytes = read_at_most(path, limit).map_err(|fault| CliError::new(kind, fault))?;
    let (text, fault) = assay_recipe::decode(&bytes);
    let (value, diagnostics) = match fault {
        Some(fault) => (None, vec![fault]),
        None => parse(&text),
    };
    let source = Source {
        name: path.display().to_string(),
        text: text.into_owned(),
        diagnostics,
        unreadable: None,
    };
    diagnostics::print(terminal, &source);
    match value {
        Some(value) => Ok((value, source)),
        None => Err(CliError::new(kind, format!("`{}` is invalid", source.name))),
    }
}

/// A file that is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is a folder, a device, a pipe.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file system said no.
    #[error("read `{}`", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
}

/// Reads a recipe or a file of the project, see [`read_at_most`].
///
/// # Errors
/// If it is no regular file or cannot be read.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, ReadError> {
    read_at_most(path, MAX_RECIPE_BYTES)
}

/// Reads a file written by a person: at most one byte more than may be in it, so that the reader
/// can say that it is too long.
///
/// # Errors
/// If it is no regular file or cannot be read.
pub(crate) fn read_at_most(path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    let io = |error| ReadError::Io(path.to_owned(), error);
    // Asked before it is opened: opening a pipe would wait for somebody to write.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(ReadError::NotAFile(path.to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(io)?;
    Ok(bytes)
}
