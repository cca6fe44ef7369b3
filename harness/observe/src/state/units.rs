//! systemd's units: what a file says (systemd.unit(5)), and what a link enables (systemctl(1)).

use assay_wire::privileged::{FileText, Kind};

use super::lines::{Comments, lines, sections};

/// Keys that say nothing a unit does.
const WORDS_ONLY: [&str; 2] = ["Description", "Documentation"];

/// Keys a reader is to see first.
const FIRST: [&str; 14] = [
    "Exec",
    "User",
    "Group",
    "On",
    "Listen",
    "Socket",
    "Path",
    "Unit",
    "What",
    "Where",
    "Service",
    "WantedBy",
    "RequiredBy",
    "BusName",
];

/// Everything a unit, or a part of one, says: sections and settings.
pub(super) fn words(text: &str) -> Vec<String> {
    let lines = lines(text, Comments::HashOrSemicolon);
    let counts = |line: &&String| {
        let key = line.split('=').next().unwrap_or(line);
        !WORDS_ONLY.contains(&key.trim())
    };
    let mut words = Vec::new();
    for (section, settings) in sections(&lines) {
        let settings: Vec<&String> = settings.iter().filter(counts).collect();
        if !settings.is_empty() && !section.is_empty() {
            words.push(format!("[{section}]"));
        }
        words.extend(settings.into_iter().cloned());
    }
    words
}

/// Of these what a reader is to see.
pub(super) fn summary(words: &[String]) -> Vec<String> {
    let first = |line: &&String| FIRST.iter().any(|key| line.starts_with(key));
    let picked: Vec<String> = words.iter().filter(first).cloned().collect();
    if picked.is_empty() {
        words.to_vec()
    } else {
        picked
    }
}

/// What a link in a folder of units does: one in `*.wants` or `*.requires` enables a unit, one beside the
/// files gives it a name or, to nothing, masks it.
pub(super) fn link(path: &str, points_to: &str) -> Kind {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let enables = [".wants", ".requires", ".upholds"]
        .iter()
        .any(|end| folder.ends_with(end));
    let unit = name.to_owned();
    let own = folder.starts_with("/etc/") || folder.starts_with("/run/");
    if enables || (own && points_to != "/dev/null") {
        Kind::UnitEnabled { unit }
    } else {
        Kind::UnitFile {
            file: path.to_owned(),
            says: FileText::Words(format!("-> {points_to}")),
        }
    }
}
