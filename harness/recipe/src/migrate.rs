//! Old install guides → typed actions, as a change of the text: only the steps of the old form
//! (`require_system`, `install_guide`) are written anew, every other byte and every comment stays.
//!
//! Nothing is run and nothing is guessed: a line of a guide that is not certain becomes a `manual`
//! step with its text ([`command`] knows which are certain). What was decided on the way is told in
//! [`Migration::notes`]; what is still wrong with the new text, [`crate::parse`] says.

mod command;
mod new_step;

use std::collections::BTreeSet;

use toml::de::DeTable;

use crate::diagnostic::{Diagnostic, Faults, quote};
use crate::document::with_document;
use crate::name::DistroId;
use crate::table::Table;
use crate::when::{Family, family_of};
use command::{Install, Tool};
use new_step::{NewStep, toml_list, toml_string};

/// A text with its old steps written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The new text; the old one if there was nothing to migrate.
    pub text: String,
    /// How many steps were written anew.
    pub steps: usize,
    /// What a reader should know, one sentence each.
    pub notes: Vec<String>,
}

/// Writes the old steps of a recipe anew.
///
/// # Errors
/// With what is wrong with the text, if it is no TOML, is too long, or its old steps are not each in
/// one piece.
pub fn migrate(text: &str) -> Result<Migration, Vec<Diagnostic>> {
    let mut faults = Faults::default();
    let found = with_document(text, &mut faults, |entries, _| Some(rewrite(text, entries)));
    found.ok_or_else(|| faults.finish())
}

fn rewrite(text: &str, entries: &DeTable<'_>) -> Migration {
    let root = Table::root(entries);
    let tables = root.get("steps").map(|steps| steps.tables("a step"));
    let tables = tables.unwrap_or_default();
    let mut starts: Vec<u32> = tables.iter().map(|table| table.span.start).collect();
    let others = root.keys().filter(|(key, _)| *key != "steps");
    starts.extend(others.map(|(_, span)| span.start));
    starts.sort_unstable();
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let (mut new, mut at) = (String::new(), 0);
    let (mut steps, mut notes) = (0, Vec::new());
    for (number, table) in (1..).zip(&tables) {
        if !is_old(table) {
            continue;
        }
        let name = format!("step {number}");
        let region = Region::of(text, table);
        // A table of a step may stand behind other tables; then the step is in several pieces.
        let next = starts.partition_point(|start| *start as usize <= region.start);
        let whole = starts
            .get(next)
            .is_none_or(|next| *next as usize >= region.end);
        if !whole || region.start < at {
            notes.push(format!(
                "{name} is left as it is: its tables do not stand together"
            ));
            continue;
        }
        let old = OldStep::read(text, table, &name, &mut notes);
        new.push_str(&text[at..region.start]);
        new.push_str(&region.write(&old.steps(), line_end));
        at = region.end;
        steps += 1;
    }
    new.push_str(&text[at..]);
    Migration {
        text: new,
        steps,
        notes,
    }
}

/// Most steps and most characters of a value that a diagnostic shows.
const MOST_ADVICE: (usize, usize) = (17, 300);

/// What to write instead of an old step, each step as TOML; nothing where it says nothing. What is
/// long is cut: it is made to be read.
pub(crate) fn advice(text: &str, table: &Table<'_>) -> Vec<String> {
    let old = OldStep::read(text, table, "", &mut Vec::new());
    if old.installs.is_empty() && old.require.is_none() {
        return Vec::new();
    }
    let (most, longest) = MOST_ADVICE;
    let steps = old.steps().into_iter().take(most);
    let shown = steps.map(|step| {
        let lines = step.entries().into_iter().map(|line| {
            let cut: String = line.chars().take(longest).collect();
            if cut.len() < line.len() {
                cut + "…"
            } else {
                cut
            }
        });
        format!("[[steps]]\n{}", lines.collect::<Vec<_>>().join("\n"))
    });
    shown.collect()
}

/// True for a step of the old form.
pub(crate) fn is_old(table: &Table<'_>) -> bool {
    let action = table.get("action").and_then(|action| action.as_str());
    action == Some("require_system") || table.has("install_guide")
}

/// The bytes of one step, and the comments among them.
struct Region {
    start: usize,
    end: usize,
    /// Written as an inline table.
    inline: bool,
    comments: Vec<String>,
}

impl Region {
    fn of(text: &str, table: &Table<'_>) -> Self {
        let mut leaves = vec![table.span];
        table.leaves(&mut leaves);
        leaves.sort();
        let start = table.span.start as usize;
        let inline = text[start..].starts_with('{');
        if inline {
            let end = table.span.end as usize;
            return Self {
                start,
                end,
                inline,
                comments: Vec::new(),
            };
        }
        let last = leaves.iter().map(|span| span.end as usize).max();
        let last = last.unwrap_or(start);
        let line = text[last..].lines().next().map_or(0, str::len);
        let end = last + line;
        // Whatever stands between keys and values is white space, punctuation or a comment.
        let mut comments = Vec::new();
        let mut at = start;
        let ends = leaves.iter().filter(|span| **span != table.span);
        for (from, to) in ends
            .map(|span| (span.start as usize, span.end as usize))
            .chain([(end, end)])
        {
            if let Some(between) = text.get(at..from) {
                let lines = between.lines().filter_map(|line| line.split_once('#'));
                comments.extend(lines.map(|(_, comment)| format!("#{}", comment.trim_end())));
            }
            at = at.max(to);
        }
        Self {
            start,
            end,
            inline,
            comments,
        }
    }

    /// The new steps, after the comments that stood in the old one.
    fn write(&self, steps: &[NewStep], line_end: &str) -> String {
        if self.inline {
            let steps: Vec<String> = steps
                .iter()
                .map(|step| format!("{{ {} }}", step.entries().join(", ")))
                .collect();
            return steps.join(", ");
        }
        let steps: Vec<String> = steps
            .iter()
            .map(|step| format!("[[steps]]\n{}", step.entries().join("\n")))
            .collect();
        let mut lines = self.comments.clone();
        lines.push(steps.join("\n\n"));
        lines.join("\n").replace('\n', line_end)
    }
}

/// Where something applies: the keys of `when`, each with its entries.
type When = Vec<(String, Vec<String>)>;

/// What a step of the old form says.
struct OldStep {
    /// What it installs where, or tells people to do.
    installs: Vec<NewStep>,
    require: Option<NewStep>,
    id: Option<String>,
    description: Option<String>,
}

/// Keys that are read here.
const KNOWN: &[&str] = &[
    "action",
    "command",
    "description",
    "id",
    "install_guide",
    "min_version",
    "packages",
    "version_flag",
    "version_regex",
    "when",
];

impl OldStep {
    fn read(text: &str, table: &Table<'_>, name: &str, notes: &mut Vec<String>) -> Self {
        let raw = |table: &Table<'_>, key: &str| {
            let value = table.get(key)?;
            let raw = text.get(value.span.range())?;
            // As it is written, if that is one line on which all can be seen; a text that could not
            // be read whole may have anything at this place.
            let plain = !raw.chars().any(is_unseen);
            let again = || value.as_str().map(toml_string);
            plain.then(|| raw.to_owned()).or_else(again)
        };
        let own: When = table
            .get("when")
            .and_then(|when| when.as_table("`when`"))
            .map(|when| {
                let entries = in_order(&when).into_iter().filter_map(|key| {
                    let values = when.get(key)?.texts();
                    let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
                    (!values.is_empty()).then(|| (key.to_owned(), values))
                });
                entries.collect()
            })
            .unwrap_or_default();
        let mut rewriting = Rewriting {
            name,
            own: &own,
            steps: Vec::new(),
            notes,
        };
        if let Some(guide) = table.get("install_guide") {
            rewriting.guide(guide);
        }
        if let Some(packages) = table.get("packages") {
            rewriting.packages(packages);
        }
        let installs = rewriting.steps;
        let require = table.has("command").then(|| {
            let keys = ["command", "min_version", "version_flag", "version_regex"];
            let step = keys
                .iter()
                .fold(NewStep::of("require_command"), |step, key| {
                    match raw(table, key) {
                        Some(value) => step.with(key, value),
                        None => step,
                    }
                });
            with_when(step, &own)
        });
        for (key, _) in table.keys().filter(|(key, _)| !KNOWN.contains(key)) {
            notes.push(format!("{name}: {} has no counterpart", quote(key)));
        }
        Self {
            installs,
            require,
            id: raw(table, "id"),
            description: raw(table, "description"),
        }
    }

    /// The new steps: what is installed first, then what must be there. A step that said nothing
    /// becomes one that says so.
    fn steps(&self) -> Vec<NewStep> {
        let mut steps = self.installs.clone();
        steps.extend(self.require.clone());
        if steps.is_empty() {
            let text =
                "an old step said nothing of what it needs: write what to do, or remove this";
            steps.push(NewStep::of("manual").with("text", toml_string(text)));
        }
        // An id and a description belong to the step that stands for the whole.
        if let Some(last) = steps.last_mut() {
            for (key, value) in [("id", &self.id), ("description", &self.description)] {
                if let Some(value) = value {
                    last.put_first(key, value.clone());
                }
            }
        }
        steps
    }
}

/// Where a line of a guide applies, by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// `linux`, `darwin`.
    Os(String),
    /// `linux/amd64`.
    Platform(String),
    /// `fedora`.
    Distro(DistroId, Family),
    /// A key that names no place, such as `default`.
    Anywhere,
}

impl Place {
    fn of(key: &str) -> Self {
        match key {
            "linux" => Self::Os(key.to_owned()),
            "darwin" | "macos" => Self::Os("darwin".to_owned()),
            _ if key.parse::<crate::when::Platform>().is_ok() => Self::Platform(key.to_owned()),
            _ => {
                let id = key.parse::<DistroId>().ok();
                let known = id.and_then(|id| family_of(&id).map(|family| (id, family)));
                known.map_or(Self::Anywhere, |(id, family)| Self::Distro(id, family))
            }
        }
    }

    /// True where a tool is at home.
    fn has(&self, tool: Tool) -> bool {
        match (self, tool.family()) {
            (Self::Os(os), None) => os == "darwin",
            (Self::Os(os), Some(_)) => os == "linux",
            (Self::Platform(platform), None) => platform.starts_with("darwin/"),
            (Self::Platform(platform), Some(_)) => platform.starts_with("linux/"),
            (Self::Distro(_, family), tool) => tool == Some(*family),
            (Self::Anywhere, _) => true,
        }
    }

    /// The condition, with that of a tool where the place alone does not say it.
    fn when(&self, tool: Option<Tool>) -> When {
        let one = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
        let family = tool.map(Tool::family);
        match (self, family) {
            (Self::Os(_) | Self::Anywhere, Some(Some(family))) => {
                vec![one("linux_family", family.as_str())]
            }
            (Self::Platform(platform), Some(Some(family))) => {
                vec![
                    one("platform", platform),
                    one("linux_family", family.as_str()),
                ]
            }
            (Self::Anywhere, Some(None)) => vec![one("os", "darwin")],
            (Self::Os(os), _) => vec![one("os", os)],
            (Self::Platform(platform), _) => vec![one("platform", platform)],
            (Self::Distro(id, _), _) => vec![one("distro", id.as_str())],
            (Self::Anywhere, None) => Vec::new(),
        }
    }
}

/// The steps that one old step becomes, as they are found.
struct Rewriting<'s> {
    /// What the old step is called in notes.
    name: &'s str,
    /// Its own condition.
    own: &'s When,
    steps: Vec<NewStep>,
    notes: &'s mut Vec<String>,
}

impl Rewriting<'_> {
    /// The steps of an `install_guide`.
    fn guide(&mut self, guide: crate::table::Value<'_>) {
        let lines: Vec<(String, String)> = match (guide.as_table("`install_guide`"), guide.as_str())
        {
            (Some(table), _) => {
                let lines = in_order(&table).into_iter().filter_map(|key| {
                    let text = table.get(key).and_then(|text| text.as_str());
                    text.map(|text| (key.to_owned(), text.to_owned()))
                });
                lines.collect()
            }
            (None, Some(text)) => vec![("default".to_owned(), text.to_owned())],
            (None, None) => Vec::new(),
        };
        let places: Vec<Place> = lines.iter().map(|(key, _)| Place::of(key)).collect();
        // Families that a more exact key speaks of: a line for all of Linux is not meant for them.
        let spoken_for: BTreeSet<Family> = places
            .iter()
            .filter_map(|place| match place {
                Place::Distro(_, family) => Some(*family),
                Place::Os(_) | Place::Platform(_) | Place::Anywhere => None,
            })
            .collect();
        for ((key, text), place) in lines.iter().zip(&places) {
            let text = text.trim();
            if text.is_empty() {
                self.note(format_args!("{} says nothing", quote(key)));
                continue;
            }
            let installs = command::read(text)
                .filter(|installs| installs.iter().all(|install| place.has(install.tool)));
            if let Some(installs) = installs {
                for install in installs {
                    let when = place.when(Some(install.tool));
                    self.push(of_install(&install), &when, key);
                }
                continue;
            }
            let mut when = place.when(None);
            if *place == Place::Os("linux".to_owned()) && !spoken_for.is_empty() {
                let others = Family::ALL
                    .iter()
                    .filter(|family| !spoken_for.contains(family));
                let others = others.map(|family| family.as_str().to_owned());
                when = vec![("linux_family".to_owned(), others.collect())];
                self.note(format_args!(
                    "{} is for the families no other key speaks of",
                    quote(key)
                ));
            }
            let said = match place {
                Place::Anywhere if !is_common(key) => format!("{key}: {text}"),
                Place::Anywhere | Place::Os(_) | Place::Platform(_) | Place::Distro(..) => {
                    text.to_owned()
                }
            };
            let manual = NewStep::of("manual").with("text", toml_string(&said));
            self.push(manual, &when, key);
        }
    }

    /// The steps of `packages = { apt = […], brew = […] }`.
    fn packages(&mut self, packages: crate::table::Value<'_>) {
        let Some(table) = packages.as_table("`packages`") else {
            self.note("`packages` names no package manager");
            return;
        };
        for key in in_order(&table) {
            let names = table
                .get(key)
                .map(|value| value.texts())
                .unwrap_or_default();
            if names.is_empty() {
                self.note(format_args!("{} names no package", quote(key)));
                continue;
            }
            let install = Tool::of_key(key).and_then(|tool| Install::of(tool, &names));
            match install {
                Some(install) => {
                    let when = Place::Anywhere.when(Some(install.tool));
                    self.push(of_install(&install), &when, key);
                }
                None => {
                    let text = format!("Install with {key}: {}", names.join(" "));
                    let manual = NewStep::of("manual").with("text", toml_string(&text));
                    let when = Tool::of_key(key)
                        .map_or(Vec::new(), |tool| Place::Anywhere.when(Some(tool)));
                    self.push(manual, &when, key);
                }
            }
        }
    }

    /// Adds a step where its place and the old step's own condition hold together; where they cannot,
    /// the old step never applied.
    fn push(&mut self, step: NewStep, place: &When, key: &str) {
        match both(self.own, place) {
            Some(when) => self.steps.push(with_when(step, &when)),
            None => self.note(format_args!(
                "{} is left out: its `when` never holds there",
                quote(key)
            )),
        }
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        self.notes.push(format!("{}: {what}", self.name));
    }
}

/// Keys that mean every place without a key of its own.
fn is_common(key: &str) -> bool {
    matches!(key, "default" | "fallback" | "any" | "all" | "other")
}

fn of_install(install: &Install) -> NewStep {
    let names: Vec<&str> = install.packages.iter().map(String::as_str).collect();
    let mut step = NewStep::of(install.tool.action()).with("packages", toml_list(&names));
    if let Some(tap) = &install.tap {
        step = step.with("tap", toml_string(tap));
    }
    if install.recommends {
        step = step.with("recommends", "true".to_owned());
    }
    step
}

/// Two conditions that hold together; `None` where they cannot.
fn both(own: &When, place: &When) -> Option<When> {
    let mut when = own.clone();
    for (key, entries) in place {
        match when.iter_mut().find(|(known, _)| known == key) {
            None => when.push((key.clone(), entries.clone())),
            // `ubuntu>=22.04` is a part of `ubuntu`.
            Some((_, own)) => own.retain(|one| entries.iter().any(|all| name_of(one) == *all)),
        }
    }
    let entries = |when: &When, key: &str| {
        let found = when.iter().find(|(known, _)| known == key);
        found.map(|(_, entries)| entries.clone())
    };
    let (os, arch) = (entries(&when, "os"), entries(&when, "arch"));
    let allows = |list: &Option<Vec<String>>, word: &str| {
        list.as_ref()
            .is_none_or(|list| list.iter().any(|one| one == word))
    };
    let families = entries(&when, "linux_family");
    for (key, entries) in &mut when {
        match key.as_str() {
            // `platform` says what `os` and `arch` say, and stands beside neither.
            "platform" => entries.retain(|platform| {
                let parts = platform.split_once('/');
                parts.is_none_or(|(on, with)| allows(&os, on) && allows(&arch, with))
            }),
            "distro" => entries.retain(|distro| {
                let id = name_of(distro).parse::<DistroId>().ok();
                let family = id.and_then(|id| family_of(&id));
                family.is_none_or(|family| allows(&families, family.as_str()))
            }),
            _ => {}
        }
    }
    let has = |key: &str| when.iter().any(|(known, _)| known == key);
    let on_linux = has("linux_family") || has("distro") || has("distro_like");
    let never = when.iter().any(|(_, entries)| entries.is_empty());
    if never || (on_linux && !allows(&os, "linux")) {
        return None;
    }
    if has("platform") {
        when.retain(|(key, _)| key != "os" && key != "arch");
    }
    Some(when)
}

/// The id of a distribution without the constraint on its version.
fn name_of(entry: &str) -> &str {
    entry.split(['<', '>', '=', ' ']).next().unwrap_or(entry)
}

/// The keys of a table in the order they are written.
fn in_order<'a>(table: &Table<'a>) -> Vec<&'a str> {
    let mut keys: Vec<_> = table.keys().collect();
    keys.sort_by_key(|(_, span)| span.start);
    keys.into_iter().map(|(key, _)| key).collect()
}

fn with_when(step: NewStep, when: &When) -> NewStep {
    if when.is_empty() {
        return step;
    }
    let entries = when
        .iter()
        .map(|(key, entries)| format!("{key} = {}", toml_list(entries)));
    let entries: Vec<String> = entries.collect();
    step.with("when", format!("{{ {} }}", entries.join(", ")))
}

/// True for a character that cannot be seen, or changes how others are seen.
fn is_unseen(character: char) -> bool {
    character.is_control() || character.escape_debug().len() > 2
}

#[cfg(test)]
mod tests;
