//! Which targets a command line means: ids, patterns, architectures, and the os-release of a machine.
//!
//! A word is, in this order: a path (it holds a `/`), an architecture, `all`, a target's id or a
//! pattern. Ids, patterns and paths choose targets; architectures say in which architecture, and
//! leave alone what names its own. Nothing is taken from the machine this runs on.

use std::path::Path;

use assay_plan::Target;
use assay_plan::target::os_release::MAX_BYTES;
use assay_recipe::expected::TargetPattern;
use assay_recipe::when::{Arch, Libc};
use assay_sandbox::images::definition::{Definition, Os};
use assay_wire::name::TargetId;

use crate::error::{CliError, ErrorKind};
use crate::load::nearest;
use crate::project::{MARK, Project, read_at_most};
use crate::terminal::Terminal;

/// The architecture of a target whose id names none.
const UNNAMED: Arch = Arch::Amd64;

/// A target that was chosen, and whether the word that chose it named its architecture.
struct Chosen {
    target: Target,
    names_arch: bool,
    /// The file it was read from, as the user names it; `None` for one with a definition.
    file: Option<String>,
}

impl Project {
    /// The targets with definitions that are meant: those the words match, else the project's.
    ///
    /// # Errors
    /// If a word is malformed, matches nothing or is a path, or the project names an unknown target.
    pub(crate) fn targets(&self, words: &[String]) -> Result<Vec<Target>, CliError> {
        if let Some(path) = words.iter().find(|word| is_path(word)) {
            let error = format!("there is no image of the machine `{}`", path.escape_debug());
            return Err(CliError::usage(error).hint(format!(
                "a machine's os-release is only planned for: `assay plan --on {}`",
                path.escape_debug()
            )));
        }
        self.choose(words, |path| {
            Err(CliError::usage(format!("`{path}` is no target")))
        })
    }

    /// The targets that are meant, files of machines among them.
    ///
    /// # Errors
    /// As [`Project::targets`], and if a file cannot be read or two targets have one id.
    pub(crate) fn machines(
        &self,
        terminal: &Terminal,
        words: &[String],
    ) -> Result<Vec<Target>, CliError> {
        self.choose(words, |path| {
            let target = machine(path)?;
            if target.distro.is_none() {
                terminal.message(&format!(
                    "`{}` states no valid `ID`: planned for as `{}`, without a distribution",
                    path.escape_debug(),
                    target.id
                ));
            }
            Ok(target)
        })
    }

    /// The one target of this id.
    ///
    /// # Errors
    /// If it has no definition.
    pub(crate) fn one_target(&self, id: &TargetId) -> Result<Target, CliError> {
        self.target(id).ok_or_else(|| self.unknown(id.as_str()))
    }

    /// True if a pattern matches a target with a definition, in whatever architecture.
    pub(crate) fn knows(&self, pattern: &TargetPattern) -> bool {
        self.matching(pattern.as_str()).is_ok()
    }

    /// True if nothing ever runs on this target: its definition says so.
    pub(crate) fn is_plan_only(&self, id: &TargetId) -> bool {
        self.defined(id)
            .is_some_and(|(definition, _)| definition.is_plan_only())
    }

    fn choose(
        &self,
        words: &[String],
        machine: impl Fn(&str) -> Result<Target, CliError>,
    ) -> Result<Vec<Target>, CliError> {
        let (architectures, names): (Vec<&String>, Vec<&String>) =
            words.iter().partition(|word| word.parse::<Arch>().is_ok());
        let architectures: Vec<Arch> = architectures
            .into_iter()
            .filter_map(|word| word.parse().ok())
            .collect();
        let mut chosen = Vec::new();
        for name in &names {
            if is_path(name) {
                chosen.push(Chosen {
                    target: machine(name)?,
                    names_arch: false,
                    file: Some(name.escape_debug().to_string()),
                });
            } else {
                chosen.extend(self.matching(name)?);
            }
        }
        if names.is_empty() {
            chosen = self.own_targets()?;
        }
        in_architectures(chosen, &architectures)
    }

    /// Every definition's id.
    fn known(&self) -> impl Iterator<Item = &TargetId> {
        self.definitions.iter().map(|placed| &placed.definition.id)
    }

    fn known_in_words(&self) -> String {
        let names: Vec<&str> = self.known().map(TargetId::as_str).collect();
        format!("known targets: {}", names.join(", "))
    }

    /// The targets that `assay.toml` names, else all with a definition.
    fn own_targets(&self) -> Result<Vec<Chosen>, CliError> {
        let Some(named) = self.named_targets() else {
            return Ok(self
                .known()
                .filter_map(|id| self.target(id))
                .map(|target| Chosen::of(target, false))
                .collect());
        };
        let find = |id: &TargetId| {
            let found = self.target(id).map(|target| Chosen::of(target, false));
            found.ok_or_else(|| {
                CliError::usage(format!(
                    "`{MARK}` names the target `{id}`, which has no definition"
                ))
                .hint(self.known_in_words())
            })
        };
        named.map(find).collect()
    }

    /// The targets that a word matches; at least one.
    fn matching(&self, word: &str) -> Result<Vec<Chosen>, CliError> {
        let pattern: TargetPattern = if word == "all" { "*" } else { word }
            .parse()
            .map_err(|fault| CliError::word(fault).hint(self.known_in_words()))?;
        let mut found: Vec<Chosen> = self
            .known()
            .filter(|id| pattern.matches(id))
            .filter_map(|id| self.target(id))
            .map(|target| Chosen::of(target, false))
            .collect();
        if found.is_empty()
            && let Some((stem, arch)) = split_arch(word)
            && let Ok(stem) = stem.parse::<TargetPattern>()
        {
            found = self
                .known()
                .filter(|id| stem.matches(id))
                .filter_map(|id| self.target(id))
                .filter_map(|target| in_arch(&target, arch))
                .map(|target| Chosen::of(target, true))
                .collect();
        }
        if found.is_empty() {
            return Err(self.unknown(word));
        }
        Ok(found)
    }

    /// The error for a word that matches no target, with what may have been meant.
    fn unknown(&self, word: &str) -> CliError {
        let mut error = CliError::usage(format!("no target matches `{}`", word.escape_debug()));
        let family = format!("{word}-");
        let names: Vec<String> = self.known().map(TargetId::to_string).collect();
        let unnamed = word.strip_suffix("-amd64");
        if let Some(stem) = unnamed.filter(|stem| names.iter().any(|name| name == stem)) {
            error = error.hint(format!("did you mean `{stem}`? amd64 is not named"));
        } else if names.iter().any(|id| id.starts_with(&family)) {
            error = error.hint(format!("did you mean `--on '{family}*'`?"));
        } else if Path::new(word).is_file() {
            error = error.hint(format!(
                "did you mean the file? A path holds a `/`: `--on ./{}`",
                word.escape_debug()
            ));
        } else if let Some(alias) = ARCH_ALIASES
            .iter()
            .find_map(|(alias, arch)| (*alias == word).then_some(arch))
        {
            error = error.hint(format!("did you mean `{alias}`?"));
        } else if let Some(near) = nearest(word, &names).filter(|_| !word.contains('*')) {
            error = error.hint(format!("did you mean `{near}`?"));
        }
        error.hint(self.known_in_words())
    }

    /// The definition of a target, and the architecture that its id adds to it.
    fn defined(&self, id: &TargetId) -> Option<(&Definition, Option<Arch>)> {
        if let Some(placed) = self.definitions.get(id) {
            return Some((&placed.definition, None));
        }
        let (stem, arch) = split_arch(id.as_str())?;
        let placed = self.definitions.get(&stem.parse().ok()?)?;
        Some((&placed.definition, Some(arch)))
    }

    /// The target of this id, from its definition.
    fn target(&self, id: &TargetId) -> Option<Target> {
        let (definition, arch) = self.defined(id)?;
        let target = target_of(definition)?;
        match arch {
            None => Some(target),
            Some(arch) => in_arch(&target, arch),
        }
    }
}

impl Chosen {
    /// A target with a definition. `by_id`: the word that chose it names its architecture as well, if
    /// it has another than the one that is not named.
    fn of(target: Target, by_id: bool) -> Self {
        Self {
            names_arch: by_id && target.arch != UNNAMED,
            target,
            file: None,
        }
    }
}

/// Spellings of architectures that are not the ones used here.
const ARCH_ALIASES: &[(&str, &str)] =
    &[("aarch64", "arm64"), ("x86_64", "amd64"), ("x64", "amd64")];

/// A path: no target's name holds a `/`.
fn is_path(word: &str) -> bool {
    word.contains('/')
}

/// A word without the architecture at its end, and that architecture.
fn split_arch(word: &str) -> Option<(&str, Arch)> {
    let (stem, arch) = word.rsplit_once('-')?;
    let arch: Arch = arch.parse().ok()?;
    (arch != UNNAMED && !stem.is_empty()).then_some((stem, arch))
}

/// The target in an architecture: itself, or the one whose id names it. `None` where a definition
/// is of one other architecture alone.
fn in_arch(target: &Target, arch: Arch) -> Option<Target> {
    if target.arch == arch {
        return Some(target.clone());
    }
    let plain = match split_arch(target.id.as_str()) {
        Some((stem, named)) if named == target.arch => stem,
        Some(_) | None if target.arch == UNNAMED => target.id.as_str(),
        Some(_) | None => return None,
    };
    let id = if arch == UNNAMED {
        plain.to_owned()
    } else {
        format!("{plain}-{arch}")
    };
    Some(Target {
        id: id.parse().ok()?,
        arch,
        ..target.clone()
    })
}

/// The chosen targets in the architectures that were named; as they are where none was. Each once.
fn in_architectures(chosen: Vec<Chosen>, architectures: &[Arch]) -> Result<Vec<Target>, CliError> {
    // An architecture that applies to nothing would be obeyed by doing something else.
    let applies = |arch: &Arch| {
        let mut to = chosen.iter();
        to.any(|one| !one.names_arch || one.target.arch == *arch)
    };
    if let Some(arch) = architectures.iter().find(|arch| !applies(arch)) {
        return Err(CliError::usage(format!(
            "`{arch}` says nothing: every target beside it names its own architecture"
        ))
        .hint("leave it out, or leave out the architecture of the targets"));
    }
    let mut targets: Vec<(Target, Option<String>)> = Vec::new();
    for one in chosen {
        let found = if architectures.is_empty() || one.names_arch {
            vec![one.target]
        } else {
            architectures
                .iter()
                .filter_map(|arch| in_arch(&one.target, *arch))
                .collect()
        };
        for target in found {
            match targets.iter().find(|(known, _)| known.id == target.id) {
                None => targets.push((target, one.file.clone())),
                Some((_, file)) if *file == one.file => {}
                Some((_, file)) => {
                    let what = |file: &Option<String>| {
                        file.as_ref()
                            .map_or_else(|| "a definition".to_owned(), |file| format!("`{file}`"))
                    };
                    return Err(CliError::usage(format!(
                        "two targets are called `{}`: that of {} and that of {}",
                        target.id,
                        what(file),
                        what(&one.file)
                    ))
                    .hint("name them in two commands"));
                }
            }
        }
    }
    Ok(targets.into_iter().map(|(target, _)| target).collect())
}

/// The target of a definition. The two crates do not know each other; their words are the same.
fn target_of(definition: &Definition) -> Option<Target> {
    let arch: Arch = definition.architecture.word().parse().ok()?;
    let id = definition.id.clone();
    match (definition.os, &definition.os_release) {
        (Os::Linux, Some(os_release)) => {
            let libc: Option<Libc> = definition.libc.and_then(|libc| libc.word().parse().ok());
            Some(Target::from_os_release(id, arch, libc, os_release.text()))
        }
        (Os::Darwin, _) => Some(Target::darwin(id, arch)),
        (Os::Linux, None) => None,
    }
}

/// The target a machine's os-release describes, named by what it states.
fn machine(path: &str) -> Result<Target, CliError> {
    let shown = path.escape_debug();
    let bytes = read_at_most(Path::new(path), MAX_BYTES)
        .map_err(|fault| CliError::new(ErrorKind::Usage, fault))?;
    if bytes.len() > MAX_BYTES {
        let error = format!("`{shown}` holds more than {} KiB", MAX_BYTES >> 10);
        return Err(CliError::usage(error).hint("an os-release has a few lines, see os-release(5)"));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| CliError::usage(format!("`{shown}` is not UTF-8")))?;
    Target::of_machine(UNNAMED, text)
        .ok_or_else(|| CliError::usage(format!("`{shown}` gives its target no name")))
}
